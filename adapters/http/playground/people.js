/** Reads people from Label Studio's regions. A person is {box, points}, a point {index, x, y, score}; in percent. */
import { indexOf, schema } from "./schema.js";

export function peopleIn(prediction) {
  const people = new Map();
  for (const region of prediction.result) {
    if (region.type === "rectanglelabels") people.set(region.id, { box: { ...region.value, score: region.score }, points: [] });
  }
  for (const { parentID, score, value } of prediction.result) {
    const index = indexOf.get(value.keypointlabels?.[0]);
    if (index !== undefined) people.get(parentID)?.points.push({ index, score, x: value.x, y: value.y });
  }
  for (const { points } of people.values()) points.sort((a, b) => a.index - b.index);
  return [...people.values()];
}

/** The points of a person that are shown. */
export function visible(person, view) {
  return person.points.filter(
    point => point.score >= view.threshold && view.parts.has(schema.keypoints[point.index].part),
  );
}

/** The number of shown points of a part, of all its points, and the mean score of those shown. */
export function summary(person, part, threshold) {
  const all = schema.keypoints.filter(keypoint => keypoint.part === part).length;
  const scores = person.points
    .filter(point => point.score >= threshold && schema.keypoints[point.index].part === part)
    .map(point => point.score);
  const mean = scores.reduce((sum, score) => sum + score, 0) / scores.length;
  return { shown: scores.length, all, mean: scores.length ? mean : null };
}

/** Draws a picture and the people in it on a canvas of any size. */
import { schema } from "./schema.js";
import { visible } from "./people.js";

const FINE = new Set(["face", "left_hand", "right_hand"]);

/**
 * @param context 2D context, cleared here
 * @param size {width, height} to draw in, in units of the context
 * @param image picture or null
 * @param people see people.js
 * @param view {threshold, parts, boxes, only}: `only` is the index of the one person who is not faded, or null
 */
export function draw(context, size, image, people, view) {
  context.clearRect(0, 0, size.width, size.height);
  if (image) context.drawImage(image, 0, 0, size.width, size.height);
  people.forEach((person, index) => {
    context.globalAlpha = view.only === null || view.only === index ? 1 : 0.2;
    drawPerson(context, size, person, view, index);
  });
  context.globalAlpha = 1;
}

/** Where a point of a person is drawn. */
export function place(point, size) {
  return { x: (point.x / 100) * size.width, y: (point.y / 100) * size.height };
}

function drawPerson(context, size, person, view, index) {
  const corner = place(person.box, size);
  const extent = place({ x: person.box.width, y: person.box.height }, size);
  const thick = Math.min(Math.max(Math.hypot(extent.x, extent.y) / 210, size.width / 800, 1.2), size.width / 100);
  context.lineCap = context.lineJoin = "round";
  if (view.boxes) drawBox(context, corner, extent, thick, `${index + 1}`);
  const points = visible(person, view);
  const found = new Map(points.map(point => [point.index, { ...place(point, size), ...schema.keypoints[point.index] }]));
  const bones = schema.skeleton.map(pair => pair.map(end => found.get(end))).filter(([a, b]) => a && b);
  for (const outline of [true, false]) {
    for (const [a, b] of bones) {
      const width = thick * (FINE.has(a.part) ? 0.5 : 1);
      context.lineWidth = outline ? width + Math.max(thick * 0.5, 1) : width;
      context.strokeStyle = outline ? "rgb(0 0 0 / 0.45)" : colourAlong(context, a, b);
      context.beginPath();
      context.moveTo(a.x, a.y);
      context.lineTo(b.x, b.y);
      context.stroke();
    }
  }
  for (const point of found.values()) {
    const radius = thick * (point.part === "face" ? 0.5 : FINE.has(point.part) ? 0.65 : 1.3);
    context.beginPath();
    context.arc(point.x, point.y, radius, 0, 2 * Math.PI);
    context.fillStyle = point.colour;
    context.fill();
    context.lineWidth = Math.max(radius * 0.35, 0.5);
    context.strokeStyle = "rgb(255 255 255 / 0.9)";
    context.stroke();
  }
}

function colourAlong(context, a, b) {
  if (a.colour === b.colour) return a.colour;
  const colours = context.createLinearGradient(a.x, a.y, b.x, b.y);
  colours.addColorStop(0, a.colour);
  colours.addColorStop(1, b.colour);
  return colours;
}

function drawBox(context, corner, extent, thick, label) {
  for (const [colour, width] of [["rgb(0 0 0 / 0.4)", thick + 1], ["rgb(255 255 255 / 0.85)", thick * 0.6]]) {
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.strokeRect(corner.x, corner.y, extent.x, extent.y);
  }
  const height = Math.max(thick * 5, 13);
  context.font = `600 ${height * 0.78}px system-ui, sans-serif`;
  context.textBaseline = "middle";
  context.textAlign = "center";
  const width = context.measureText(label).width + height * 0.7;
  context.fillStyle = "rgb(14 20 25 / 0.85)";
  context.fillRect(corner.x, corner.y, width, height);
  context.fillStyle = "#fff";
  context.fillText(label, corner.x + width / 2, corner.y + height / 2);
}

/** Draws a picture and the people in it on a canvas of any size; colours and widths come from the server. */
import { schema } from "./schema.js";
import { visible } from "./people.js";

const { edge, box: boxPen } = schema;
const FULL = 2 * Math.PI;

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
  const placed = people.map((person, index) => ({ person, index, diagonal: diagonalOf(person, size) }));
  placed.sort((a, b) => a.diagonal - b.diagonal); // larger people are nearer
  for (const { person, index, diagonal } of placed) {
    const shown = view.only === null || view.only === index ? 1 : 0.2;
    if (view.boxes) drawBox(context, size, person.box, diagonal, shown, `${index + 1}`);
    const found = new Map(visible(person, view).map(point => [point.index, place(point, size)]));
    for (const stroke of schema.strokes) drawStroke(context, stroke, found, diagonal, shown);
  }
  context.globalAlpha = 1;
}

/** Where a point of a person is drawn. */
export function place(point, size) {
  return { x: (point.x / 100) * size.width, y: (point.y / 100) * size.height };
}

function diagonalOf({ box }, size) {
  const { x, y } = place({ x: box.width, y: box.height }, size);
  return Math.hypot(x, y);
}

function widthOf({ line, thinnest }, diagonal) {
  return Math.max(line * diagonal, thinnest);
}

function drawStroke(context, stroke, found, diagonal, shown) {
  const width = widthOf(stroke, diagonal);
  const lines = stroke.bones.map(pair => pair.map(end => found.get(end))).filter(([a, b]) => a && b);
  const dots = stroke.keypoints.map(index => found.get(index)).filter(Boolean);
  const layers = [
    [edge.colour, stroke.opacity * edge.opacity, edge.width * width],
    [stroke.colour, stroke.opacity, 0],
  ];
  for (const [colour, opacity, wider] of layers) {
    context.beginPath();
    for (const [a, b] of lines) addLine(context, a, b, width / 2 + wider);
    for (const dot of dots) addDot(context, dot, schema.pointRadius * width + wider);
    context.globalAlpha = shown * opacity;
    context.fillStyle = colour;
    context.fill(); // once, so that it is even where lines cross
  }
}

/** A line with round ends; clockwise as a dot is, because the same area in opposite directions is a hole. */
function addLine(context, a, b, radius) {
  const angle = Math.atan2(b.y - a.y, b.x - a.x);
  context.moveTo(a.x + radius * Math.cos(angle + FULL / 4), a.y + radius * Math.sin(angle + FULL / 4));
  context.arc(a.x, a.y, radius, angle + FULL / 4, angle + (3 * FULL) / 4);
  context.arc(b.x, b.y, radius, angle - FULL / 4, angle + FULL / 4);
  context.closePath();
}

function addDot(context, { x, y }, radius) {
  context.moveTo(x + radius, y);
  context.arc(x, y, radius, 0, FULL);
}

function drawBox(context, size, box, diagonal, shown, label) {
  const corner = place(box, size);
  const extent = place({ x: box.width, y: box.height }, size);
  const line = widthOf(boxPen, diagonal);
  const layers = [
    [edge.colour, boxPen.opacity * edge.opacity, line * (1 + 2 * edge.width)],
    [boxPen.colour, boxPen.opacity, line],
  ];
  for (const [colour, opacity, width] of layers) {
    context.globalAlpha = shown * opacity;
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.strokeRect(corner.x, corner.y, extent.x, extent.y);
  }
  const height = Math.max(diagonal / 42, 13);
  context.globalAlpha = shown;
  context.font = `600 ${height * 0.78}px system-ui, sans-serif`;
  context.textBaseline = "middle";
  context.textAlign = "center";
  const width = context.measureText(label).width + height * 0.7;
  const top = Math.max(corner.y - height, 0); // above the box, where it hides no head
  context.fillStyle = "rgb(14 20 25 / 0.85)";
  context.fillRect(corner.x, top, width, height);
  context.fillStyle = "#fff";
  context.fillText(label, corner.x + width / 2, top + height / 2);
}

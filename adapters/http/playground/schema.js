/** The tables that the server embeds in the page: keypoints, parts, strokes, label configs, the example. */
export const schema = JSON.parse(document.getElementById("schema").textContent);

export const indexOf = new Map(schema.keypoints.map((keypoint, index) => [keypoint.name, index]));

/** A part's name for display. */
export const partName = part => (part[0].toUpperCase() + part.slice(1)).replaceAll("_", " ");

/** The address of one of the service's routes; without the password that the page's own address may hold. */
export function route(name) {
  const address = new URL(name, document.baseURI);
  address.username = address.password = "";
  return address;
}

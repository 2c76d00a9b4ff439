/** Asks the service as Label Studio does, and says in words what went wrong. */
import { route, schema } from "./schema.js";
import { smaller } from "./picture.js";
import { Trouble } from "./trouble.js";

const LIMIT_MS = 100_000; // what Label Studio waits
const TRIES = 4;
const AROUND_PICTURE = 20_000; // characters of the label config and the rest of the body

/**
 * Ask for everybody, or for the one person in a box.
 *
 * @param picture see picture.js
 * @param box null, or {x, y, width, height} in percent of the upright picture of `width` × `height` pixels
 * @param signal ends the wait
 * @returns {prediction, picture}: the slot, and the picture as it was sent
 */
export async function ask(picture, box, signal) {
  let sent = fitting(picture, schema.requestBytes);
  for (let attempt = 1; ; attempt++) {
    const response = await post(body(sent, box), signal);
    if (response.ok) {
      const { results: [prediction], failures: [failure] } = await response.json();
      if (failure) throw new Trouble(`This did not work: ${failure.detail}`, { again: true });
      return { prediction, picture: sent };
    }
    const next = response.status === 413 && attempt < TRIES ? smaller(sent, 0.4) : null;
    if (!next) throw await refused(response);
    sent = next;
  }
}

function fitting(picture, bytes) {
  const room = bytes - AROUND_PICTURE;
  if (picture.address.length <= room) return picture;
  const reduced = smaller(picture, room / picture.address.length);
  if (!reduced) throw new Trouble(`This picture is larger than the ${Math.floor(bytes / 2 ** 20)} MiB that are taken.`);
  return reduced;
}

function body(picture, box) {
  return {
    tasks: [{ id: "playground", data: { image: picture.address } }],
    project: "playground",
    label_config: schema.askingLabelConfig,
    params: { context: box ? { result: [drawnRegion(box)] } : {} },
  };
}

function drawnRegion({ x, y, width, height }) {
  return {
    id: token(), from_name: "person", to_name: "image", type: "rectanglelabels", origin: "manual",
    value: { x, y, width, height, rotation: 0, rectanglelabels: ["person"] },
  };
}

async function post(content, signal) {
  const limit = AbortSignal.timeout(LIMIT_MS);
  try {
    return await fetch(route("predict"), {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(content),
      signal: AbortSignal.any([signal, limit]),
    });
  } catch (error) {
    if (signal.aborted) throw error;
    if (limit.aborted) throw new Trouble("No answer came within 100 seconds.", { again: true });
    throw new Trouble("The service could not be reached. Is it running, and is the network there?", { again: true });
  }
}

async function refused(response) {
  const { detail, request_id: id } = await response.json().catch(() => ({}));
  const said = detail ? ` ${detail}` : "";
  const trace = id ? ` (request ${id})` : "";
  switch (response.status) {
    case 401:
      return new Trouble("User name or password is missing or wrong: reload this page and log in.");
    case 413:
      return new Trouble(`The picture is too large for this service or a proxy before it.${said}`);
    case 503: {
      const seconds = response.headers.get("Retry-After");
      const when = seconds ? `Ask again in ${seconds} s.` : "Ask again in a moment.";
      return new Trouble(`The service is busy or still starting. ${when}`, { again: true });
    }
    default:
      return new Trouble(`The service answered ${response.status}.${said}${trace}`, { again: response.status >= 500 });
  }
}

function token() {
  return [...crypto.getRandomValues(new Uint8Array(6))].map(byte => byte.toString(16).padStart(2, "0")).join("");
}

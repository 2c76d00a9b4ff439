/** Sends prediction requests as Label Studio does, and describes their errors. */
import { route, schema } from "./schema.js";
import { smaller } from "./picture.js";
import { Trouble } from "./trouble.js";

const LIMIT_MS = 100_000; // as Label Studio
const TRIES = 4;
const REST_OF_BODY = 20_000; // characters, label config included

/**
 * Predict all people, or the one person in a box.
 *
 * @param picture see picture.js
 * @param box null, or {x, y, width, height} in percent of the upright picture of `width` × `height` pixels
 * @param signal aborts the request
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
  const room = bytes - REST_OF_BODY;
  if (picture.address.length <= room) return picture;
  const reduced = smaller(picture, room / picture.address.length);
  if (!reduced) throw new Trouble(`This picture is larger than ${Math.floor(bytes / 2 ** 20)} MiB. Choose a smaller one.`);
  return reduced;
}

function body(picture, box) {
  return {
    tasks: [{ id: "playground", data: { image: picture.address } }],
    project: "playground",
    label_config: schema.requestLabelConfig,
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
    if (limit.aborted) throw new Trouble("The request timed out after 100 seconds.", { again: true });
    throw new Trouble("The service is unreachable. Check that it runs, and your network.", { again: true });
  }
}

async function refused(response) {
  const { detail, request_id: id } = await response.json().catch(() => ({}));
  const reason = detail ? ` ${detail}` : "";
  const trace = id ? ` (request ${id})` : "";
  switch (response.status) {
    case 401:
      return new Trouble("User name or password is missing or wrong. Reload this page and log in.");
    case 413:
      return new Trouble(`The picture is too large for this service or its proxy.${reason}`);
    case 503: {
      const seconds = response.headers.get("Retry-After");
      const when = seconds ? `Retry after ${seconds} s.` : "Retry in a moment.";
      return new Trouble(`The service is overloaded or still starting. ${when}`, { again: true });
    }
    default:
      return new Trouble(`The service returned ${response.status}.${reason}${trace}`, { again: response.status >= 500 });
  }
}

function token() {
  return [...crypto.getRandomValues(new Uint8Array(6))].map(byte => byte.toString(16).padStart(2, "0")).join("");
}

/** Connects the page's controls with the picture, the service and the canvas. */
import { ask } from "./asking.js";
import { peopleIn, summary } from "./people.js";
import { copyable, pictureFromAddress, pictureFromFile } from "./picture.js";
import { partName, route, schema } from "./schema.js";
import { Stage } from "./stage.js";
import { Trouble } from "./trouble.js";

const element = id => document.getElementById(id);
const make = (tag, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
};

let picture = null;
let people = [];
let working = new AbortController(); // a new task aborts the one before
let again = null;

const stage = new Stage({
  canvas: element("stage"),
  frame: element("frame"),
  tooltip: element("tooltip"),
  onBox: box => request(box),
  onArmed(on) {
    element("box").setAttribute("aria-pressed", on);
    element("box-help").hidden = !on;
  },
  onSaid: say,
});

function say(text) {
  element("status").textContent = text;
}

function showTrouble(error) {
  element("trouble").hidden = !error;
  element("trouble-text").textContent = error?.message ?? "";
  element("again").hidden = !(error?.again && again);
}

/** Run a long task that may fail, and abort the one before. */
async function work(task) {
  working.abort();
  const mine = (working = new AbortController());
  showTrouble(null);
  element("busy").hidden = false;
  try {
    await task(mine.signal);
  } catch (error) {
    if (mine.signal.aborted) return;
    say("");
    showTrouble(error instanceof Trouble ? error : new Trouble(`Unexpected error: ${error.message}`));
    if (!(error instanceof Trouble)) throw error;
  } finally {
    if (mine === working) element("busy").hidden = true;
  }
}

function load(source) {
  again = null;
  return work(async signal => {
    const loaded = await source();
    signal.throwIfAborted();
    picture = loaded;
    people = [];
    element("json").value = "";
    element("copy-json").disabled = true;
    if (picture.image) showPicture({ width: picture.image.naturalWidth, height: picture.image.naturalHeight });
    await find(null, signal);
  });
}

function request(box) {
  return work(signal => find(box, signal));
}

async function find(box, signal) {
  again = () => request(box);
  say("Looking for people…");
  const started = performance.now();
  const { prediction, picture: sent } = await ask(picture, box, signal);
  const took = performance.now() - started;
  signal.throwIfAborted();
  const found = peopleIn(prediction);
  people = box ? [...people, ...found] : found;
  const [region] = prediction.result;
  if (!picture.image && region) showPicture({ width: region.original_width, height: region.original_height });
  else if (picture.image) showPicture(stage.natural);
  element("json").value = jsonLines(prediction);
  element("copy-json").disabled = false;
  say([outcome(found.length, box), duration(took), remarks(sent)].join(" ").trim());
}

function duration(milliseconds) {
  return milliseconds < 1000 ? `${Math.round(milliseconds)} ms.` : `${(milliseconds / 1000).toFixed(1)} s.`;
}

function outcome(count, box) {
  if (box) return count ? `Person ${people.length} was added from the box.` : "No person was found in the box.";
  return count === 1 ? "One person was found." : `${count || "No"} people were found.`;
}

function remarks(sent) {
  const made = sent.reduced ? `The picture was too large: sent with ${sent.reduced} pixels.` : "";
  const unseen = picture.image ? "" : "This browser cannot show the picture: only the skeletons are drawn.";
  return `${made} ${unseen}`.trim();
}

function showPicture(natural) {
  element("frame").classList.remove("empty");
  element("drop").hidden = true;
  element("stage").hidden = false;
  for (const id of ["box", "everybody", "download"]) element(id).disabled = false;
  stage.show(picture.image, natural, people);
  showPeople();
}

/** One region per line: readable, and with a thousandth of the lines of JSON.stringify's indented form. */
function jsonLines({ result, ...rest }) {
  const head = JSON.stringify(rest, null, 2).slice(0, -2);
  return `${head},\n  "result": [\n${result.map(region => `    ${JSON.stringify(region)}`).join(",\n")}\n  ]\n}`;
}

function showPeople() {
  const { threshold } = stage.view;
  const table = element("people");
  table.hidden = element("people-help").hidden = !people.length;
  element("nobody").hidden = Boolean(people.length);
  const rows = people.map((person, index) => {
    const cells = schema.parts.map(part => {
      const { shown, all, mean } = summary(person, part, threshold);
      return make("td", {}, `${shown}/${all}`, make("span", {}, mean === null ? "–" : mean.toFixed(2)));
    });
    const row = make("tr", {}, make("th", { scope: "row" }, `${index + 1}`), ...cells);
    row.addEventListener("pointerenter", () => single(index));
    row.addEventListener("pointerleave", () => single(null));
    return row;
  });
  table.tBodies[0].replaceChildren(...rows);
  const what = people.length === 1 ? "one person" : `${people.length || "no"} people`;
  element("stage").setAttribute("aria-label", `${picture ? picture.name : "No picture"}, with ${what}; see the table of people`);
}

function single(index) {
  stage.view.only = index;
  stage.redraw();
}

function showThreshold() {
  const value = Number(element("threshold").value);
  stage.view.threshold = value;
  element("threshold-value").value = value.toFixed(2);
  stage.show(stage.image, stage.natural, people);
  if (people.length) showPeople();
}

function swatch(part) {
  const colours = [...new Set(schema.keypoints.filter(keypoint => keypoint.part === part).map(keypoint => keypoint.colour))];
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", `0 0 ${colours.length * 8} 8`);
  svg.setAttribute("aria-hidden", "true");
  svg.style.width = `${colours.length * 0.55}rem`;
  colours.forEach((colour, index) => {
    const dot = document.createElementNS("http://www.w3.org/2000/svg", "circle");
    const look = { cx: index * 8 + 4, cy: 4, r: 3.3, fill: colour, stroke: "#808a92", "stroke-width": 0.5 };
    for (const [name, value] of Object.entries(look)) dot.setAttribute(name, value);
    svg.append(dot);
  });
  return svg;
}

function addSwitch(name, label, toggled, ...more) {
  const box = make("input", { type: "checkbox", checked: true, name });
  box.addEventListener("change", () => {
    toggled(box.checked);
    stage.show(stage.image, stage.natural, people);
  });
  element("parts").append(make("label", { className: "part" }, box, ...more, label));
}

async function copy(area, what) {
  try {
    await navigator.clipboard.writeText(area.value);
  } catch {
    area.select(); // the clipboard API needs https and permission; execCommand does not
    if (!document.execCommand("copy")) {
      showTrouble(new Trouble(`The browser blocked copying. The ${what} is selected: press Ctrl+C.`));
      return;
    }
  }
  say(`The ${what} was copied.`);
}

async function download() {
  const image = await copyable(picture);
  const blob = await stage.png(image);
  if (!blob) {
    showTrouble(new Trouble("This browser cannot save a picture of this size."));
    return;
  }
  const link = make("a", { href: URL.createObjectURL(blob), download: "keypoints.png" });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  say(
    image
      ? "Saved keypoints.png."
      : "Saved keypoints.png with the skeletons only: the picture's server does not allow copying it.",
  );
}

function take(transfer) {
  const [file] = transfer.files;
  const address = (transfer.getData("text/uri-list") || transfer.getData("text/plain")).trim();
  if (file) load(() => pictureFromFile(file));
  else if (/^(https?:|data:image)/i.test(address)) load(() => pictureFromAddress(address));
  else showTrouble(new Trouble("This is neither a picture nor an address. Drop or paste one of them."));
}

element("file").addEventListener("change", event => {
  const [file] = event.target.files;
  if (file) load(() => pictureFromFile(file));
  event.target.value = ""; // or choosing the same file again would fire no event
});
element("address-form").addEventListener("submit", event => {
  event.preventDefault();
  load(() => pictureFromAddress(element("address").value.trim()));
});
element("example").addEventListener("click", () => load(() => pictureFromAddress(schema.example)));
document.addEventListener("dragover", event => {
  event.preventDefault();
  element("frame").classList.add("over");
});
document.addEventListener("dragleave", event => {
  if (!event.relatedTarget) element("frame").classList.remove("over");
});
document.addEventListener("drop", event => {
  event.preventDefault();
  element("frame").classList.remove("over");
  take(event.dataTransfer);
});
document.addEventListener("paste", event => {
  if (event.target.matches("input, textarea") && !event.clipboardData.files.length) return;
  event.preventDefault();
  take(event.clipboardData);
});

element("box").addEventListener("click", () => {
  stage.arm(!stage.armed);
  if (stage.armed) element("stage").focus();
});
element("everybody").addEventListener("click", () => request(null));
element("again").addEventListener("click", () => again());
element("download").addEventListener("click", download);
element("copy-json").addEventListener("click", () => copy(element("json"), "JSON"));
element("copy-label-config").addEventListener("click", () => copy(element("label-config"), "label config"));
element("threshold").addEventListener("input", showThreshold);
element("preset").addEventListener("change", event => {
  element("label-config").value = schema.labelConfigs[event.target.value];
});

element("threshold").value = schema.threshold;
showThreshold();
for (const part of schema.parts) {
  addSwitch(part, partName(part), on => stage.view.parts[on ? "add" : "delete"](part), swatch(part));
}
addSwitch("boxes", "Boxes", on => (stage.view.boxes = on));
for (const [name, config] of Object.entries(schema.labelConfigs)) {
  const count = config.match(/model_index/g).length;
  element("preset").append(make("option", { value: name }, `${partName(name).replace("-", " ")} (${count})`));
}
element("label-config").value = schema.labelConfigs[element("preset").value];
element("people").tHead.append(
  make("tr", {}, ...["Person", ...schema.parts.map(partName)].map(name => make("th", { scope: "col" }, name))),
);
fetch(route("health"), { cache: "no-store" })
  .then(response => response.json())
  .then(({ model_version: version }) => (element("version").textContent = version))
  .catch(() => showTrouble(new Trouble("The service is unreachable.")));

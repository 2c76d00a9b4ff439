/** The canvas: shows picture and people, tells which keypoint is pointed at, and lets a box be drawn. */
import { draw, place } from "./drawing.js";
import { visible } from "./people.js";
import { partName, schema } from "./schema.js";

const REACH = 16; // CSS pixels around the pointer
const STEP = 2; // percent that an arrow key moves a box
const LEAST = 1; // percent; a narrower box is a mistake

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

export class Stage {
  /**
   * @param canvas, frame, tooltip elements
   * @param onBox called with a drawn box in percent
   * @param onArmed called when drawing a box begins or ends
   * @param onSaid called with what keyboard users should hear
   */
  constructor({ canvas, frame, tooltip, onBox, onArmed, onSaid }) {
    Object.assign(this, { canvas, frame, tooltip, onBox, onArmed, onSaid });
    this.image = null;
    this.natural = { width: 4, height: 3 };
    this.people = [];
    this.view = { threshold: 0, parts: new Set(schema.parts), boxes: true, only: null };
    this.box = null; // being drawn, in percent
    this.armed = false;
    this.pointed = null; // {person, point}
    new ResizeObserver(() => this.redraw()).observe(frame);
    canvas.addEventListener("pointerdown", event => this.#press(event));
    canvas.addEventListener("pointermove", event => this.#move(event));
    canvas.addEventListener("pointerup", event => this.#release(event));
    canvas.addEventListener("pointercancel", () => this.arm(false));
    canvas.addEventListener("pointerleave", () => this.#point(null));
    canvas.addEventListener("blur", () => this.#point(null));
    canvas.addEventListener("keydown", event => this.#key(event));
  }

  show(image, natural, people) {
    Object.assign(this, { image, natural, people });
    this.#point(null);
    this.redraw();
  }

  redraw() {
    cancelAnimationFrame(this.waiting);
    this.waiting = requestAnimationFrame(() => this.#draw());
  }

  arm(on) {
    this.armed = on;
    this.box = null;
    this.start = null;
    this.canvas.classList.toggle("drawing", on);
    this.#point(null);
    this.onArmed(on);
    this.redraw();
  }

  /** A PNG in the picture's size; of the skeletons only if `image` is null. */
  png(image) {
    const canvas = document.createElement("canvas");
    Object.assign(canvas, this.natural);
    draw(canvas.getContext("2d"), this.natural, image, this.people, { ...this.view, only: null });
    return new Promise(resolve => canvas.toBlob(resolve, "image/png"));
  }

  #draw() {
    if (this.canvas.hidden) return;
    const { width, height } = this.natural;
    const scale = Math.min(this.frame.clientWidth / width, (0.72 * innerHeight) / height);
    this.size = { width: width * scale, height: height * scale };
    const ratio = Math.min(devicePixelRatio || 1, 2);
    this.canvas.width = Math.round(this.size.width * ratio);
    this.canvas.height = Math.round(this.size.height * ratio);
    this.canvas.style.width = `${this.size.width}px`;
    this.canvas.style.height = `${this.size.height}px`;
    const context = this.canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    draw(context, this.size, this.image, this.people, this.view);
    if (this.box) this.#drawBox(context);
    if (this.pointed) this.#drawRing(context);
  }

  #drawBox(context) {
    const corner = place(this.box, this.size);
    const extent = place({ x: this.box.width, y: this.box.height }, this.size);
    context.fillStyle = "rgb(108 192 220 / 0.25)";
    context.fillRect(corner.x, corner.y, extent.x, extent.y);
    for (const [colour, dash] of [["#08222c", []], ["#fff", [6, 5]]]) {
      context.setLineDash(dash);
      context.strokeStyle = colour;
      context.lineWidth = 2;
      context.strokeRect(corner.x, corner.y, extent.x, extent.y);
    }
    context.setLineDash([]);
  }

  #drawRing(context) {
    const { x, y } = place(this.pointed.point, this.size);
    for (const [colour, width] of [["#0e1419", 5], ["#fff", 2.5]]) {
      context.beginPath();
      context.arc(x, y, 8, 0, 2 * Math.PI);
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.stroke();
    }
  }

  #percent(event) {
    const { left, top, width, height } = this.canvas.getBoundingClientRect();
    return {
      x: clamp((100 * (event.clientX - left)) / width, 0, 100),
      y: clamp((100 * (event.clientY - top)) / height, 0, 100),
    };
  }

  #press(event) {
    if (!this.armed) {
      this.#hover(event); // a finger does not hover
      return;
    }
    event.preventDefault();
    this.canvas.setPointerCapture(event.pointerId);
    this.start = this.#percent(event);
  }

  #move(event) {
    if (!this.armed) {
      this.#hover(event);
    } else if (this.start) {
      const end = this.#percent(event);
      this.box = {
        x: Math.min(this.start.x, end.x), y: Math.min(this.start.y, end.y),
        width: Math.abs(end.x - this.start.x), height: Math.abs(end.y - this.start.y),
      };
      this.redraw();
    }
  }

  #release() {
    if (this.armed && this.start) this.#finishBox();
  }

  #finishBox() {
    const box = this.box;
    if (!box || box.width < LEAST || box.height < LEAST) {
      this.start = this.box = null;
      this.onSaid("The box is too small. Drag from one corner of the person to the opposite one.");
      this.redraw();
      return;
    }
    this.arm(false);
    this.onBox(box);
  }

  #hover(event) {
    const at = place(this.#percent(event), this.size);
    let nearest = null;
    let least = REACH;
    this.people.forEach((person, index) => {
      for (const point of visible(person, this.view)) {
        const { x, y } = place(point, this.size);
        const distance = Math.hypot(x - at.x, y - at.y);
        if (distance < least) [nearest, least] = [{ person: index, point }, distance];
      }
    });
    this.#point(nearest);
  }

  #point(pointed) {
    if (pointed?.point === this.pointed?.point) return;
    this.pointed = pointed;
    this.tooltip.hidden = !pointed;
    if (pointed) this.#showTooltip(pointed);
    this.redraw();
  }

  #showTooltip({ person, point }) {
    const { name, part } = schema.keypoints[point.index];
    const title = document.createElement("b");
    title.textContent = name;
    this.tooltip.replaceChildren(title, ` ${point.score.toFixed(2)} · ${partName(part)} · person ${person + 1}`);
    const at = place(point, this.size);
    const left = this.canvas.offsetLeft + at.x + 14;
    const top = this.canvas.offsetTop + at.y - this.tooltip.offsetHeight - 12;
    const room = this.frame.clientWidth - this.tooltip.offsetWidth - 6;
    this.tooltip.style.transform = `translate(${clamp(left, 6, Math.max(room, 6))}px, ${top < 6 ? top + this.tooltip.offsetHeight + 28 : top}px)`;
  }

  #key(event) {
    const direction = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (event.key === "Escape" && (this.armed || this.pointed)) {
      if (this.armed) this.arm(false);
      else this.#point(null);
    } else if (this.armed && event.key === "Enter" && this.box) {
      this.#finishBox();
    } else if (direction && this.armed) {
      this.#moveBox(direction, event.shiftKey);
    } else if (direction) {
      this.#step(direction);
    } else {
      return;
    }
    event.preventDefault();
  }

  #moveBox([x, y], resize) {
    const box = this.box ?? { x: 25, y: 10, width: 50, height: 80 };
    this.box = resize
      ? { ...box, width: clamp(box.width + x * STEP, LEAST, 100 - box.x), height: clamp(box.height + y * STEP, LEAST, 100 - box.y) }
      : { ...box, x: clamp(box.x + x * STEP, 0, 100 - box.width), y: clamp(box.y + y * STEP, 0, 100 - box.height) };
    const { x: left, y: top, width, height } = this.box;
    this.onSaid(`Box from ${left.toFixed(0)}, ${top.toFixed(0)} percent, ${width.toFixed(0)} by ${height.toFixed(0)} percent.`);
    this.redraw();
  }

  #step([across, down]) {
    const shown = this.people.map(person => visible(person, this.view));
    const people = shown.flatMap((points, index) => (points.length ? [index] : []));
    if (!people.length) {
      this.onSaid("No keypoint is shown.");
      return;
    }
    let { person, point } = this.pointed ?? { person: people[0], point: null };
    const places = shown[person];
    if (down) {
      person = people[(people.indexOf(person) + down + people.length) % people.length];
      point = shown[person].find(other => other.index === point?.index) ?? shown[person][0];
    } else {
      const from = places.findIndex(other => other === point);
      point = places[from < 0 ? 0 : (from + across + places.length) % places.length];
    }
    this.#point({ person, point });
    const { name } = schema.keypoints[point.index];
    this.onSaid(`${name.replaceAll("_", " ")}, score ${point.score.toFixed(2)}, person ${person + 1}.`);
  }
}

/** The sandbox: digits drawn by mouse, pen, finger or key, set moving; every change is a new clip. */

import { FRAMES, GIVEN, SIZE, move } from "./bounce.js";
import { digitOf, thumbnail, typedDigit } from "./digit.js";
import { control, debounce, element, keepStrokes, say } from "./dom.js";

const PAD = 224; // pixels of the pad's canvas
const PEN = 20; // about a MNIST stroke, when 160 pixels become 20
const MOST = 4; // digits at once
const STEP = 0.1; // of Moving MNIST

export class Sandbox extends EventTarget {
  /** Events: "change" (`{values, shape}` in `detail`: uint8 frames). @param {HTMLElement} root */
  constructor(root) {
    super();
    this.root = root;
    this.movers = [];
    this.strokes = [];
    this.emit = debounce(() => {
      if (this.movers.length === 0) return;
      const detail = { values: move(this.movers), shape: [FRAMES, 1, SIZE, SIZE] };
      this.dispatchEvent(new CustomEvent("change", { detail }));
    }, 120);
    this.pad = element("canvas", { width: PAD, height: PAD, class: "pad", role: "img", "data-testid": "pad",
      "aria-label": "Drawing pad for mouse, pen or finger; or type a digit below" });
    this.pen = this.pad.getContext("2d", { willReadFrequently: true });
    const button = (id, text, click) => element("button", { type: "button", text, "data-testid": id, on: { click } });
    const digits = Array.from("0123456789", (text) => element("option", { text }));
    const typed = element("select", { "data-testid": "typed-digit" }, ...digits);
    this.list = element("ul", { class: "movers", "data-testid": "movers" });
    root.append(
      element("div", { class: "pad-box" }, this.pad, element("span", { class: "pad-hint", text: "Draw a digit" })),
      element("div", { class: "row" },
        button("pad-add", "Set it moving", () => this.#add(digitOf(this.pad))),
        button("pad-undo", "Undo", () => this.#undo()),
        button("pad-clear", "Clear", () => this.#clear())),
      element("div", { class: "row" }, element("label", { class: "inline" }, "Or a digit ", typed),
        button("typed-add", "Add it", () => this.#add(typedDigit(typed.value)))),
      this.list,
      element("p", { class: "quiet", text:
        `Digits bounce for ${FRAMES} frames. The model is given the first ${GIVEN}, and the rest is the truth.` }));
    control(root, "pad-add").classList.add("primary");
    this.#drawing();
    this.#redraw();
  }

  #drawing() {
    const { pad } = this;
    const at = (event) => {
      const box = pad.getBoundingClientRect();
      return [((event.clientX - box.left) / box.width) * PAD, ((event.clientY - box.top) / box.height) * PAD];
    };
    let stroke = null;
    pad.addEventListener("pointerdown", (event) => {
      if (event.button > 0) return;
      event.preventDefault();
      pad.setPointerCapture(event.pointerId);
      stroke = [at(event)];
      this.strokes.push(stroke);
      this.#redraw();
    });
    pad.addEventListener("pointermove", (event) => {
      if (!stroke) return;
      for (const part of event.getCoalescedEvents?.() ?? [event]) stroke.push(at(part));
      this.#redraw();
    });
    keepStrokes(pad);
    for (const end of ["pointerup", "pointercancel"]) pad.addEventListener(end, () => (stroke = null));
  }

  #redraw() {
    const { pen, strokes } = this;
    pen.fillStyle = "#000";
    pen.fillRect(0, 0, PAD, PAD);
    Object.assign(pen, { strokeStyle: "#fff", lineWidth: PEN, lineCap: "round", lineJoin: "round" });
    for (const [first, ...rest] of strokes) {
      pen.beginPath();
      pen.moveTo(...first);
      for (const point of rest.length ? rest : [first]) pen.lineTo(...point);
      pen.stroke();
    }
    this.pad.parentElement.classList.toggle("drawn", strokes.length > 0);
  }

  #undo() {
    this.strokes.pop();
    this.#redraw();
  }

  #clear() {
    this.strokes = [];
    this.#redraw();
  }

  #add(image) {
    if (!image) return say("Nothing is drawn yet.");
    const random = Math.random;
    const mover = { image, x: random(), y: random(), speed: STEP, angle: Math.round(random() * 71) * 5 };
    this.movers.push(mover);
    this.list.append(this.#row(mover));
    this.#clear();
    this.#limit();
    say("The digit moves.");
    this.emit();
  }

  #remove(mover) {
    this.list.children[this.movers.indexOf(mover)].remove();
    this.movers.splice(this.movers.indexOf(mover), 1);
    this.#limit();
    this.emit();
  }

  #limit() {
    const full = this.movers.length >= MOST;
    control(this.root, "pad-add").disabled = full;
    control(this.root, "typed-add").disabled = full;
  }

  #row(mover) {
    const arrow = element("span", { class: "arrow", text: "➜", "aria-hidden": "true" });
    const turn = () => (arrow.style.transform = `rotate(${mover.angle}deg)`);
    const slider = (id, label, max, step, key, changed = () => {}) => element("label", { class: "slider" }, label,
      element("input", { type: "range", min: "0", max, step, value: String(mover[key]), "data-testid": id, on: {
        input: (event) => {
          mover[key] = event.target.valueAsNumber;
          changed();
          this.emit();
        },
      } }));
    turn();
    return element("li", {}, thumbnail(mover.image),
      slider("speed-of", "Speed", "0.25", "0.01", "speed"),
      slider("direction-of", element("span", {}, "Direction ", arrow), "355", "5", "angle", turn),
      element("button", {
        type: "button", class: "icon", "aria-label": "Remove this digit", text: "×", "data-testid": "remove-digit",
        on: { click: () => this.#remove(mover) },
      }));
  }
}

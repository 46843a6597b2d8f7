/** The frames of a clip on a line: what each is, where we are, and, in Try, which are hidden. */

import { element, keepStrokes, styleOf } from "./dom.js";
import { drawMark } from "./marks.js";
import { KIND_TEXT } from "./scene.js";

export class Timeline extends EventTarget {
  /**
   * Events: "seek" (frame in `detail`), "hide" (`{frames, hide}` in `detail`).
   * @param {HTMLElement} root
   */
  constructor(root) {
    super();
    this.marks = element("canvas", { "aria-hidden": "true" });
    this.head = element("span", { class: "head", "aria-hidden": "true" });
    this.slider = element("div", {
      class: "timeline", role: "slider", tabindex: "0", "aria-label": "Frame", "aria-valuemin": "0",
      "data-testid": "timeline",
    }, this.marks, this.head);
    this.lane = element("div", { class: "lane", "data-testid": "drop-lane", "aria-hidden": "true", hidden: true },
      element("canvas"), element("span", { class: "lane-label", text: "click or drag here to hide frames" }));
    this.key = element("ul", { class: "marks-key", "data-testid": "marks" });
    root.append(this.slider, this.lane, this.key);
    this.frames = 1;
    this.frame = 0;
    this.kinds = ["given"];
    this.#drag(this.slider, (t) => this.dispatchEvent(new CustomEvent("seek", { detail: t })));
    this.#dropping();
    new ResizeObserver(() => this.redraw()).observe(this.slider);
  }

  /**
   * @param {import("./scene.js").FrameKind[]} kinds of every frame
   * @param {{canHide: (t: number) => boolean, isHidden: (t: number) => boolean}|null} editing
   */
  show(kinds, editing) {
    this.kinds = kinds;
    this.frames = kinds.length;
    this.editing = editing;
    this.lane.hidden = editing === null;
    this.slider.setAttribute("aria-valuemax", String(this.frames - 1));
    this.redraw();
  }

  /** Moves the head; `text` says what the frame is. */
  moveTo(frame, text) {
    this.frame = frame;
    this.head.style.left = `${((frame + 0.5) / this.frames) * 100}%`;
    this.slider.setAttribute("aria-valuenow", String(frame));
    this.slider.setAttribute("aria-valuetext", text);
  }

  /** Draws all marks anew, as where the size or the theme has changed. */
  redraw() {
    this.#showKey();
    this.#strip(this.marks, this.slider, (t) => this.kinds[t]);
    if (!this.editing) return;
    this.lane.lastElementChild.hidden = this.kinds.some((_, t) => this.editing.isHidden(t));
    this.#strip(this.lane.firstElementChild, this.lane, (t) =>
      this.editing.isHidden(t) ? "hidden" : this.editing.canHide(t) ? "slot" : "none");
  }

  /** What the marks mean, of the kinds that there are. */
  #showKey() {
    const present = [...new Set(this.kinds)];
    this.key.replaceChildren(...(present.length > 1 || present[0] !== "given" ? present : []).map((kind) => {
      const side = 18 * devicePixelRatio;
      const swatch = element("canvas", { width: side, height: side, "aria-hidden": "true" });
      const context = swatch.getContext("2d");
      context.scale(devicePixelRatio, devicePixelRatio);
      drawMark(context, kind, 1, 1, 16, 16, colours());
      return element("li", {}, swatch, KIND_TEXT[kind]);
    }));
  }

  #strip(canvas, box, kindOf) {
    const { clientWidth, clientHeight } = box;
    if (!clientWidth) return;
    const scale = devicePixelRatio;
    canvas.width = Math.round(clientWidth * scale);
    canvas.height = Math.round(clientHeight * scale);
    const context = canvas.getContext("2d");
    context.scale(scale, scale);
    const width = clientWidth / this.frames;
    const gap = width > 5 ? 1 : 0;
    const found = colours();
    for (let t = 0; t < this.frames;) {
      const kind = kindOf(t);
      const first = t++;
      while (gap === 0 && t < this.frames && kindOf(t) === kind) t++; // narrow frames alike are one mark
      drawMark(context, kind, first * width + gap / 2, 4, (t - first) * width - gap, clientHeight - 8, found);
    }
  }

  #frameAt(box, clientX) {
    const { left, width } = box.getBoundingClientRect();
    return Math.min(this.frames - 1, Math.max(0, Math.floor(((clientX - left) / width) * this.frames)));
  }

  /** Calls `during` with the frame under the pointer while it is down on `box`. */
  #drag(box, during, before = () => {}) {
    let down = false;
    keepStrokes(box);
    box.addEventListener("pointerdown", (event) => {
      if (event.button > 0) return;
      event.preventDefault();
      box.setPointerCapture(event.pointerId);
      this.slider.focus({ preventScroll: true });
      down = true;
      const first = this.#frameAt(box, event.clientX);
      before(first);
      during(first);
    });
    box.addEventListener("pointermove", (event) => down && during(this.#frameAt(box, event.clientX)));
    for (const end of ["pointerup", "pointercancel"]) box.addEventListener(end, () => (down = false));
  }

  /** In the lane, the first frame decides whether the drag hides or shows. */
  #dropping() {
    let hide = true;
    let last = 0;
    this.#drag(this.lane, (t) => {
      this.hideBetween(last, t, hide);
      last = t;
    }, (t) => {
      hide = !this.editing.isHidden(t);
      last = t;
    });
  }

  /** Hides, or shows, the frames from one to another. */
  hideBetween(from, to, hide) {
    const [low, high] = from < to ? [from, to] : [to, from];
    const frames = Array.from({ length: high - low + 1 }, (_, i) => low + i).filter((t) => this.editing?.canHide(t));
    if (frames.length) this.dispatchEvent(new CustomEvent("hide", { detail: { frames, hide } }));
  }
}

const colours = () =>
  Object.fromEntries(["ink", "quiet", "line", "accent"].map((name) => [name, styleOf(`--${name}`)]));

/** One picture with its title, what the frame is, and the value under the cursor. */

import { element, styleOf } from "./dom.js";

/**
 * @typedef {Object} Content what a panel shows at a frame
 * @property {"picture"|"nothing"|"waiting"} kind
 * @property {((out: Uint32Array) => void)|undefined} paint of a picture: fills (H, W) packed colours, 0 is clear
 * @property {boolean|Uint8Array} [marked] pixels that the mask overlay covers
 * @property {string} [note] what nothing or waiting means
 * @property {string} tag what the frame is
 */

export class Panel {
  /**
   * @param {string} key its test id is `panel-KEY`
   * @param {import("./view.js").View} view
   */
  constructor(key, view) {
    this.key = key;
    this.view = view;
    this.title = element("span", { class: "title" });
    this.tag = element("span", { class: "tag" });
    this.value = element("output", { class: "value", "aria-live": "off" });
    this.note = element("span", { class: "panel-note", hidden: true });
    this.canvas = element("canvas", { role: "img" });
    this.cross = element("span", { class: "cross", hidden: true });
    this.frame = element("div", { class: "picture" }, this.canvas, this.note, this.cross);
    this.root = element("figure", { class: "panel", "data-testid": `panel-${key}` },
      element("figcaption", {}, this.title, this.tag), this.frame, this.value);
    this.context = this.canvas.getContext("2d");
    this.small = element("canvas");
    this.smallContext = this.small.getContext("2d");
    this.overlay = element("canvas");
    this.resized = null; // called when the panel has another size
    new ResizeObserver(() => this.#fit()).observe(this.frame);
  }

  /** Sets the size of a frame in pixels. */
  setSize(width, height) {
    this.small.width = width;
    this.small.height = height;
    this.pixels = this.smallContext.createImageData(width, height);
    this.words = new Uint32Array(this.pixels.data.buffer);
    this.frame.style.aspectRatio = `${width} / ${height}`;
  }

  setTitle(title) {
    this.title.textContent = title;
    this.title.title = title;
    this.canvas.setAttribute("aria-label", title);
  }

  /** @param {Content} content @param {boolean} overlay whether `marked` is shown */
  draw(content, overlay) {
    const { context, canvas } = this;
    this.#text(this.tag, content.tag);
    this.#text(this.note, content.note ?? "");
    this.note.hidden = !content.note;
    this.note.classList.toggle("waiting", content.kind === "waiting");
    context.fillStyle = hatch(context, "ground");
    context.fillRect(0, 0, canvas.width, canvas.height);
    if (content.kind !== "picture") return;
    content.paint(this.words);
    this.smallContext.putImageData(this.pixels, 0, 0);
    this.#stretch(context);
    if (overlay && content.marked !== false) this.#mark(content.marked);
  }

  /** Shows the pixel cursor at a pixel, or nowhere. */
  point(pixel) {
    this.cross.hidden = pixel === null;
    if (!pixel) return;
    const { x, y, width, height } = this.view.part;
    const { style } = this.cross;
    style.left = `${((pixel.x - x) / width) * 100}%`;
    style.top = `${((pixel.y - y) / height) * 100}%`;
    style.width = `${100 / width}%`;
    style.height = `${100 / height}%`;
  }

  /** The pixel of the picture at a place of the window. */
  pixelAt(clientX, clientY) {
    const box = this.frame.getBoundingClientRect();
    const { x, y, width, height } = this.view.part;
    return { x: x + ((clientX - box.left) / box.width) * width, y: y + ((clientY - box.top) / box.height) * height };
  }

  #text(node, text) {
    if (node.textContent !== text) node.textContent = text;
  }

  #stretch(context, picture = this.small) {
    const { x, y, width, height } = this.view.part;
    // Enlarged pixels stay crisp; a picture that is larger than its panel is averaged.
    context.imageSmoothingEnabled = this.canvas.width < width;
    context.drawImage(picture, x, y, width, height, 0, 0, this.canvas.width, this.canvas.height);
  }

  /** Hatches the marked pixels, at the panel's own resolution. */
  #mark(marked) {
    const { overlay, canvas } = this;
    overlay.width = canvas.width;
    overlay.height = canvas.height;
    const context = overlay.getContext("2d");
    if (marked !== true) {
      this.words.forEach((_, i, words) => (words[i] = marked[i] ? 0xff000000 : 0));
      this.smallContext.putImageData(this.pixels, 0, 0);
      this.#stretch(context);
      context.globalCompositeOperation = "source-in";
    }
    context.fillStyle = hatch(context, "mark");
    context.fillRect(0, 0, overlay.width, overlay.height);
    this.context.drawImage(overlay, 0, 0);
  }

  #fit() {
    const width = Math.round(this.frame.clientWidth * devicePixelRatio);
    const height = Math.round(this.frame.clientHeight * devicePixelRatio);
    if (!width || !height || (this.canvas.width === width && this.canvas.height === height)) return;
    this.canvas.width = width;
    this.canvas.height = height;
    this.resized?.();
  }
}

const hatches = new Map();

/** Slanted lines: the ground where nothing is known, or the mark of what was not observed. */
function hatch(context, use) {
  const key = `${use} ${document.documentElement.dataset.theme}`;
  if (!hatches.has(key)) {
    const size = use === "ground" ? 8 : 10;
    const tile = element("canvas", { width: size, height: size });
    const pen = tile.getContext("2d");
    if (use === "ground") {
      pen.fillStyle = styleOf("--ground");
      pen.fillRect(0, 0, size, size);
    }
    pen.strokeStyle = styleOf(use === "ground" ? "--hatch" : "--mark");
    pen.lineWidth = 1;
    pen.beginPath();
    for (const shift of [-size, 0, size]) {
      pen.moveTo(shift - 1, size + 1);
      pen.lineTo(shift + size + 1, -1);
    }
    pen.stroke();
    hatches.set(key, context.createPattern(tile, "repeat"));
  }
  return hatches.get(key);
}

/** Which part of the picture all panels show: zoom and centre, in pixels of the picture. */

const MOST = 32;
const STEP = 1.5;

export class View extends EventTarget {
  constructor() {
    super();
    this.reset(1, 1);
  }

  /** A new picture of this size, shown whole. */
  reset(width, height) {
    Object.assign(this, { width, height });
    this.fit();
  }

  fit() {
    this.zoom = 1;
    this.x = this.width / 2;
    this.y = this.height / 2;
    this.#changed();
  }

  /** The part shown, in pixels of the picture. */
  get part() {
    const width = this.width / this.zoom;
    const height = this.height / this.zoom;
    return { x: this.x - width / 2, y: this.y - height / 2, width, height };
  }

  /** Zooms by a factor; the point (x, y) of the picture stays where it is. */
  zoomBy(factor, x = this.x, y = this.y) {
    const before = this.zoom;
    this.zoom = Math.min(MOST, Math.max(1, this.zoom * factor));
    const kept = before / this.zoom;
    this.x = x + (this.x - x) * kept;
    this.y = y + (this.y - y) * kept;
    this.#changed();
  }

  zoomIn() {
    this.zoomBy(STEP);
  }

  zoomOut() {
    this.zoomBy(1 / STEP);
  }

  /** Moves the part shown by pixels of the picture. */
  pan(dx, dy) {
    this.x += dx;
    this.y += dy;
    this.#changed();
  }

  /** Moves the part shown so far that the pixel (x, y) is in it. */
  reveal(x, y) {
    const { x: left, y: top, width, height } = this.part;
    const beyond = (at, from, size) => Math.min(0, at - from) + Math.max(0, at + 1 - from - size);
    this.pan(beyond(x, left, width), beyond(y, top, height));
  }

  #changed() {
    const { width, height } = this.part;
    this.x = Math.min(this.width - width / 2, Math.max(width / 2, this.x));
    this.y = Math.min(this.height - height / 2, Math.max(height / 2, this.y));
    this.dispatchEvent(new Event("change"));
  }
}

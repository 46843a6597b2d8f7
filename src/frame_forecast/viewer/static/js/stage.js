/** The panels side by side: one view, one pixel cursor, and what pointers do on them. */

import { keepStrokes } from "./dom.js";
import { Panel } from "./panel.js";
import { View } from "./view.js";

/**
 * @typedef {Object} Brush what painting on the input does, in pixels of the picture
 * @property {(pixel: {x: number, y: number}, from: {x: number, y: number}) => void} stroke from a point to another
 * @property {() => void} end after the last
 */

export class Stage extends EventTarget {
  /** @param {HTMLElement} root */
  constructor(root) {
    super();
    this.root = root;
    this.view = new View();
    this.panels = [];
    this.pixel = null; // the pixel cursor: {x, y}, whole numbers
    this.brush = null; // a Brush while painting is on
    this.fingers = new Map(); // pointer id: where it was last
    this.view.addEventListener("change", () => {
      this.root.classList.toggle("zoomed", this.view.zoom > 1);
      this.#changed();
    });
    keepStrokes(root, (event) => this.view.zoom > 1 || (this.brush !== null && this.#panelOf(event)?.key === "input"));
    for (const [event, listener] of Object.entries({
      pointerdown: this.#down, pointermove: this.#move, pointerup: this.#up, pointercancel: this.#up,
      pointerleave: this.#leave, wheel: this.#wheel, dblclick: this.#double,
    })) root.addEventListener(event, listener.bind(this), { passive: false });
  }

  /** @param {number} width @param {number} height of a frame @param {[string, string][]} specs key and title */
  show(width, height, specs) {
    if (width !== this.view.width || height !== this.view.height) {
      this.view.reset(width, height);
      this.pixel = null;
    }
    const kept = new Map(this.panels.map((panel) => [panel.key, panel]));
    this.panels = specs.map(([key, title]) => {
      const panel = kept.get(key) ?? new Panel(key, this.view);
      panel.setSize(width, height);
      panel.setTitle(title);
      panel.resized = () => this.#changed();
      return panel;
    });
    const roots = this.panels.map(({ root }) => root);
    if (roots.length !== this.root.children.length || roots.some((one, i) => one !== this.root.children[i])) {
      this.root.replaceChildren(...roots);
    }
    this.root.dataset.count = String(roots.length);
    this.root.style.setProperty("--shape", String(width / height));
  }

  /** Moves the pixel cursor by keys; it begins in the middle. */
  moveCursor(dx, dy) {
    const { width, height } = this.view;
    const from = this.pixel ?? { x: Math.floor(width / 2), y: Math.floor(height / 2) };
    const to = (value, most) => Math.min(most - 1, Math.max(0, value));
    this.pixel = { x: to(from.x + dx, width), y: to(from.y + dy, height) };
    this.view.reveal(this.pixel.x, this.pixel.y);
  }

  /** Paints one dab where the pixel cursor is. */
  dab() {
    if (!this.brush || !this.pixel) return;
    const point = { x: this.pixel.x + 0.5, y: this.pixel.y + 0.5 };
    this.brush.stroke(point, point);
    this.brush.end();
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }

  #panelOf(event) {
    return this.panels.find(({ frame }) => frame.contains(event.target));
  }

  #setPixel(panel, event) {
    const { x, y } = panel.pixelAt(event.clientX, event.clientY);
    const inside = x >= 0 && y >= 0 && x < this.view.width && y < this.view.height;
    this.pixel = inside ? { x: Math.floor(x), y: Math.floor(y) } : null;
    this.#changed();
  }

  #down(event) {
    const panel = this.#panelOf(event);
    if (!panel || event.button > 0) return;
    const paints = this.brush !== null && panel.key === "input";
    panel.frame.setPointerCapture(event.pointerId);
    if (paints || this.view.zoom > 1) {
      event.preventDefault();
      this.root.focus({ preventScroll: true });
    }
    const point = panel.pixelAt(event.clientX, event.clientY);
    this.fingers.set(event.pointerId, { panel, x: event.clientX, y: event.clientY, point, paints });
    if (paints) this.brush.stroke(point, point);
    this.#setPixel(panel, event);
  }

  #move(event) {
    const finger = this.fingers.get(event.pointerId);
    const panel = finger?.panel ?? this.#panelOf(event);
    if (!panel) return;
    if (finger?.paints && this.brush) {
      for (const part of event.getCoalescedEvents?.() ?? [event]) {
        const point = panel.pixelAt(part.clientX, part.clientY);
        this.brush.stroke(point, finger.point);
        finger.point = point;
      }
    } else if (finger && this.fingers.size === 2) {
      this.#pinch(finger, event);
    } else if (finger && this.view.zoom > 1) {
      const point = panel.pixelAt(event.clientX, event.clientY);
      const before = panel.pixelAt(finger.x, finger.y);
      this.view.pan(before.x - point.x, before.y - point.y);
    }
    if (finger) Object.assign(finger, { x: event.clientX, y: event.clientY });
    this.#setPixel(panel, event);
  }

  /** Two fingers: the distance between them zooms. */
  #pinch(finger, event) {
    const other = [...this.fingers.values()].find((one) => one !== finger);
    const before = Math.hypot(finger.x - other.x, finger.y - other.y);
    const after = Math.hypot(event.clientX - other.x, event.clientY - other.y);
    const middle = finger.panel.pixelAt((event.clientX + other.x) / 2, (event.clientY + other.y) / 2);
    if (before > 0) this.view.zoomBy(after / before, middle.x, middle.y);
  }

  #up(event) {
    const finger = this.fingers.get(event.pointerId);
    this.fingers.delete(event.pointerId);
    if (finger?.paints) this.brush?.end();
  }

  #leave(event) {
    if (event.pointerType !== "mouse") return; // a finger that is lifted leaves its read-out behind
    this.pixel = null;
    this.#changed();
  }

  /** The wheel alone scrolls the page; with Ctrl, and as a pinch on a touch pad, it zooms. */
  #wheel(event) {
    const panel = this.#panelOf(event);
    if (!panel || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    const { x, y } = panel.pixelAt(event.clientX, event.clientY);
    this.view.zoomBy(Math.exp(-event.deltaY / 300), x, y);
  }

  #double(event) {
    const panel = this.#panelOf(event);
    if (!panel || this.brush) return;
    const { x, y } = panel.pixelAt(event.clientX, event.clientY);
    if (this.view.zoom > 1) this.view.fit();
    else this.view.zoomBy(4, x, y);
  }
}

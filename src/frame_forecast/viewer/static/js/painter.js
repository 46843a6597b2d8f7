/** From values in the source's units to pixels, by look-up tables that are made once for each setting. */

import { packed } from "./colours.js";

const CLEAR = 0; // the ground of the panel shows through: nothing is known here

/**
 * @typedef {Object} Settings how values are shown
 * @property {number} low the value of the map's first colour
 * @property {number} high that of its last
 * @property {number} span the error that the signed map ends with
 * @property {number|null} channel which one is shown; null: red, green and blue as they are
 * @property {Uint32Array} map
 * @property {Uint32Array} signed
 */

/** @typedef {import("./binary.js").Frame} Frame */

/** True for a pixel that is known; `hidden` is true, false, or (H, W) of 0 and 1. */
export const isKnown = (frame, hidden, pixel) =>
  frame.observed !== false && hidden !== true &&
  (frame.observed === true || frame.observed[pixel] === 1) && (hidden === false || hidden[pixel] === 0);

export class Painter {
  /** @param {number} pixels of one channel of a frame */
  constructor(pixels) {
    this.pixels = pixels;
    this.tables = new Map(); // length of the table: its colours
  }

  /** @param {Settings} settings */
  set(settings) {
    this.settings = settings;
    this.tables.clear();
  }

  /**
   * @param {Frame} frame
   * @param {boolean|Uint8Array} hidden besides what is not observed
   * @param {Uint32Array} out (H, W), packed colours
   */
  values(frame, hidden, out) {
    const { channel } = this.settings;
    if (channel === null) this.#colours(frame, out);
    else this.#mapped(frame.values, channel * this.pixels, out);
    this.#clear(frame, hidden, out);
  }

  /** The signed difference a - b; of colours, that of the channel where it is largest. */
  difference(a, b, out) {
    const { channel, span, signed } = this.settings;
    const { pixels } = this;
    const scale = 127.5 / span;
    for (let i = 0; i < pixels; i++) {
      const difference = channel === null ? largest(a.values, b.values, i, pixels)
        : a.values[channel * pixels + i] - b.values[channel * pixels + i];
      const index = 127.5 + difference * scale;
      out[i] = colourAt(signed, index);
    }
    this.#clear(a, false, out);
    this.#clear(b, false, out);
  }

  #mapped(values, offset, out) {
    const { low, high, map } = this.settings;
    const { pixels } = this;
    if (values instanceof Uint8Array || values instanceof Uint16Array) {
      const table = this.#table(values instanceof Uint8Array ? 256 : 65536);
      for (let i = 0; i < pixels; i++) out[i] = table[values[offset + i]];
      return;
    }
    const scale = 255 / (high - low);
    for (let i = 0; i < pixels; i++) {
      const index = (values[offset + i] - low) * scale;
      out[i] = colourAt(map, index);
    }
  }

  #table(length) {
    if (!this.tables.has(length)) {
      const { low, high, map } = this.settings;
      const scale = 255 / (high - low);
      this.tables.set(length, Uint32Array.from({ length }, (_, value) => map[byte((value - low) * scale)]));
    }
    return this.tables.get(length);
  }

  #colours({ values }, out) {
    const { low, high } = this.settings;
    const { pixels } = this;
    if (values instanceof Uint8Array && low === 0 && high === 255) {
      for (let i = 0; i < pixels; i++) out[i] = packed(values[i], values[pixels + i], values[2 * pixels + i]);
      return;
    }
    const scale = 255 / (high - low);
    for (let i = 0; i < pixels; i++) {
      out[i] = packed(byte((values[i] - low) * scale), byte((values[pixels + i] - low) * scale),
        byte((values[2 * pixels + i] - low) * scale));
    }
  }

  #clear({ observed }, hidden, out) {
    if (observed === false || hidden === true) return void out.fill(CLEAR);
    if (observed !== true) for (let i = 0; i < out.length; i++) if (!observed[i]) out[i] = CLEAR;
    if (hidden !== false) for (let i = 0; i < out.length; i++) if (hidden[i]) out[i] = CLEAR;
  }
}

/** The colour of a map; NaN, which compares as false, has none. */
const colourAt = (map, index) =>
  (index >= 255 ? map[255] : index <= 0 ? map[0] : index > 0 ? map[Math.round(index)] : CLEAR);

const byte = (value) => (value >= 255 ? 255 : value > 0 ? Math.round(value) : 0);

function largest(a, b, i, pixels) {
  let found = a[i] - b[i];
  for (let at = i + pixels; at < a.length; at += pixels) {
    const difference = a[at] - b[at];
    if (Math.abs(difference) > Math.abs(found)) found = difference;
  }
  return found;
}

/** The error of one pixel, as `difference` shows it. */
export const errorAt = (a, b, pixel, pixels, channel) =>
  channel === null ? largest(a.values, b.values, pixel, pixels)
    : a.values[channel * pixels + pixel] - b.values[channel * pixels + pixel];

/** What the user hides from the model: whole frames, and holes painted in all frames or in some. */

import { packedMask } from "./binary.js";

export class Hidden {
  /** @param {number} pixels of one channel of a frame */
  constructor(pixels) {
    this.pixels = pixels;
    this.frames = new Set();
    this.everywhere = null; // (H, W) of 0 and 1: the hole that all frames have, or null
    this.own = new Map(); // frame number: (H, W), the hole of this frame alone
  }

  /** @param {number} t @param {boolean} hide */
  setFrame(t, hide) {
    if (hide) this.frames.add(t);
    else this.frames.delete(t);
  }

  /**
   * Paints, or erases, pixels in frames.
   * @param {number[]|null} frames null: in all
   * @param {(mask: Uint8Array) => void} change sets pixels of a mask to 0 or 1
   */
  paint(frames, change) {
    if (frames === null) {
      this.everywhere ??= new Uint8Array(this.pixels);
      change(this.everywhere);
      for (const mask of this.own.values()) change(mask);
      return;
    }
    for (const t of frames) {
      if (!this.own.has(t)) this.own.set(t, new Uint8Array(this.pixels));
      change(this.own.get(t));
    }
  }

  clearFrames() {
    this.frames.clear();
  }

  clearHoles() {
    this.everywhere = null;
    this.own.clear();
  }

  /** What of frame t is hidden: true, false, or (H, W) of 0 and 1. */
  at(t) {
    if (this.frames.has(t)) return true;
    const own = this.own.get(t);
    if (!own) return this.everywhere ?? false;
    return this.everywhere ? own.map((one, i) => one | this.everywhere[i]) : own;
  }

  /** True where a part of frame t, but not all of it, is hidden. */
  partly(t) {
    const hidden = this.at(t);
    return typeof hidden !== "boolean" && hidden.includes(1);
  }

  get empty() {
    return this.frames.size === 0 && this.holes.length === 0;
  }

  /** The holes as the API takes them; frames with the same hole share one entry. */
  get holes() {
    const found = [];
    if (this.everywhere?.includes(1)) found.push({ frames: null, mask: packedMask(this.everywhere) });
    const alike = new Map();
    for (const [t, mask] of this.own) {
      if (!mask.includes(1)) continue;
      const key = packedMask(mask);
      alike.set(key, [...(alike.get(key) ?? []), t]);
    }
    for (const [mask, frames] of alike) found.push({ frames: frames.sort((a, b) => a - b), mask });
    return found;
  }
}

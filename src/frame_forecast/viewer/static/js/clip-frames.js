/** The frames of one clip on this side: fetched in pieces, decoded once, kept as typed arrays. */

import * as api from "./api.js";
import { isAbort, showError } from "./notices.js";

const PIECE = 4 << 20; // bytes of one request: the first picture of a long clip is soon there
const BUDGET = 320 << 20; // bytes kept of one clip; beyond it, what is farthest from the frame shown goes

/** @typedef {import("./binary.js").Frame} Frame */

export class ClipFrames {
  /**
   * @param {Object} clip as the API describes it
   * @param {Frame[]} [drawn] all its frames, where they were made here
   */
  constructor(clip, drawn = []) {
    this.clip = clip;
    this.made = new Set(clip.made); // frames that a model made, wholly or in part
    const bytes = clip.channels * clip.height * clip.width * ({ uint8: 1, uint16: 2 }[clip.dtype] ?? 4);
    this.perPiece = Math.max(1, Math.floor(PIECE / bytes));
    this.most = Math.max(2, Math.floor(BUDGET / (bytes * this.perPiece)));
    this.pieces = new Map(); // number of the piece: its frames
    for (let t = 0; t < drawn.length; t += this.perPiece) {
      this.pieces.set(t / this.perPiece, drawn.slice(t, t + this.perPiece));
    }
    this.listeners = new Set();
    this.centre = 0; // the frame shown
    this.loading = null; // the promise of what is being fetched
    this.stop = new AbortController();
  }

  /**
   * Frame t, or null where it has not arrived; then it is fetched and listeners hear of it.
   * @returns {Frame|null}
   */
  at(t) {
    if (t < 0 || t >= this.clip.frames) return null;
    this.centre = t;
    const piece = this.pieces.get(Math.floor(t / this.perPiece));
    if (!this.loading) this.#fetchOn();
    return piece ? piece[t % this.perPiece] : null;
  }

  /** Waits for frame t. */
  async ready(t) {
    while (this.at(t) === null && this.loading) await this.loading;
  }

  /** Fetches no more, keeps nothing. */
  close() {
    this.stop.abort();
    this.pieces.clear();
    this.listeners.clear();
  }

  /** The piece wanted next: the one of the frame shown, then those after it, as far as the budget goes. */
  #wanted() {
    const count = Math.ceil(this.clip.frames / this.perPiece);
    const first = Math.floor(this.centre / this.perPiece);
    for (let i = 0; i < Math.min(count, this.most); i++) {
      const number = (first + i) % count;
      if (!this.pieces.has(number)) return number;
    }
    return null;
  }

  #fetchOn() {
    const number = this.#wanted();
    if (number === null || this.stop.signal.aborted) return;
    const start = number * this.perPiece;
    const stop = Math.min(this.clip.frames, start + this.perPiece);
    this.loading = api.frames(this.clip.id, start, stop, this.stop.signal).then(
      (frames) => {
        this.loading = null;
        if (this.stop.signal.aborted) return;
        this.pieces.set(number, frames);
        this.#drop();
        for (const listener of this.listeners) listener();
        this.#fetchOn();
      },
      (error) => {
        this.loading = null;
        this.stop.abort(); // asking for the same again at every drawing would not help
        if (!isAbort(error)) showError(error);
      },
    );
  }

  #drop() {
    const first = Math.floor(this.centre / this.perPiece);
    while (this.pieces.size > this.most) {
      const farthest = [...this.pieces.keys()].reduce((a, b) => (Math.abs(b - first) > Math.abs(a - first) ? b : a));
      this.pieces.delete(farthest);
    }
  }
}

/** Time: which frame is shown, and how it goes on. */

const SLOWEST = 10; // frames a second of a clip that does not say: fast enough to see motion
const FASTEST = 60;

export class Playback extends EventTarget {
  #last = 0; // milliseconds, when a frame was due
  #request = 0;

  constructor() {
    super();
    this.frame = 0;
    this.frames = 1;
    this.rate = SLOWEST;
    this.speed = 1;
    this.playing = false;
    this.isReady = () => true; // whether a frame has arrived
  }

  /**
   * @param {number} frames
   * @param {number|null} rate frames a second of the clip; radar scans have minutes between them
   */
  setClip(frames, rate) {
    this.frames = frames;
    this.rate = rate ? Math.min(FASTEST, Math.max(SLOWEST, rate)) : SLOWEST;
    this.seek(Math.min(this.frame, frames - 1));
  }

  seek(frame) {
    const next = Math.min(this.frames - 1, Math.max(0, Math.round(frame)));
    const moved = next !== this.frame;
    this.frame = next;
    if (moved) this.dispatchEvent(new Event("frame"));
  }

  toggle() {
    if (this.playing) this.pause();
    else this.play();
  }

  play() {
    if (this.playing || this.frames < 2) return;
    this.playing = true;
    this.#last = performance.now();
    this.#request = requestAnimationFrame((now) => this.#tick(now));
    this.dispatchEvent(new Event("state"));
  }

  pause() {
    if (!this.playing) return;
    this.playing = false;
    cancelAnimationFrame(this.#request);
    this.dispatchEvent(new Event("state"));
  }

  #tick(now) {
    const due = 1000 / (this.rate * this.speed);
    const steps = Math.floor((now - this.#last) / due);
    const next = (this.frame + steps) % this.frames;
    if (steps > 0 && this.isReady(next)) {
      this.#last += steps * due;
      this.seek(next);
    } else if (steps > 0) {
      this.#last = now; // it waits for the frame rather than leap over many
    }
    if (this.playing) this.#request = requestAnimationFrame((later) => this.#tick(later));
  }
}

/** What is shown together: a clip, what the model saw of it, and what one model or two made of it. */

/** @typedef {import("./clip-frames.js").ClipFrames} ClipFrames */
/** @typedef {"given"|"partly"|"missing"|"hidden"|"ahead"|"forecast"|"filled"} FrameKind */

/**
 * @typedef {Object} Prediction
 * @property {string} title of the model
 * @property {ClipFrames|null} frames null while it is computed
 * @property {string} [note] why there are no frames, where nothing computes them
 * @property {Object|null} scores as the API gives them
 */

/** Words for the kinds of frames. */
export const KIND_TEXT = {
  given: "given", partly: "given in part", missing: "missing", hidden: "hidden", ahead: "not given",
  forecast: "forecast", filled: "filled",
};

export class Scene {
  /**
   * @param {ClipFrames} target the clip: the truth, where it is known
   * @param {Object} [given]
   * @param {"forecast"|"recreate"|"reconstruct"|null} [given.task] null: nothing is made of the clip yet
   * @param {number|null} [given.start] of a forecast: how many frames are given; null: all
   * @param {import("./hidden.js").Hidden|null} [given.hidden] what else the model does not see
   * @param {Prediction[]} [given.predictions] none, one, or two to compare
   * @param {boolean} [given.stale] the predictions are of other settings than the rest
   */
  constructor(target, { task = null, start = null, hidden = null, predictions = [], stale = false } = {}) {
    Object.assign(this, { target, task, start, hidden, predictions, stale });
  }

  get clip() {
    return this.target.clip;
  }

  /** Frames on the timeline: a forecast may go on after the clip's end. */
  get frames() {
    return Math.max(this.clip.frames, ...this.predictions.map(({ frames }) => frames?.clip.frames ?? 0));
  }

  /** Given frames of a forecast; Infinity for other tasks. */
  get given() {
    return this.task === "forecast" ? this.start ?? this.clip.frames : Infinity;
  }

  /** Which of the frame the model does not see, besides what the clip lacks: true, false, or (H, W) of 0 and 1. */
  hiddenAt(t) {
    if (t >= this.given) return true;
    return this.hidden?.at(t) ?? false;
  }

  /** True where the clip has frame t, wholly or in part. */
  hasTarget(t) {
    return t < this.clip.frames && !this.missing.has(t);
  }

  /** True where the truth of something that a model makes is known: only then is there an error to show. */
  get hasTruth() {
    if (this.task === "forecast") return this.given < this.clip.frames;
    return this.task === "reconstruct" || !(this.hidden?.empty ?? true);
  }

  get missing() {
    this.lacking ??= new Set(this.clip.missing);
    return this.lacking;
  }

  /**
   * What frame t is: "given" whole, "partly" given; of what the model does not see, "missing" in the source, "hidden"
   * by the user, "ahead" of what is given; or, once there is a prediction, "forecast" or "filled".
   * @returns {FrameKind}
   */
  kind(t) {
    const made = !this.stale && this.predictions.some(({ frames }) => frames !== null);
    if (t >= this.given) return made ? "forecast" : "ahead";
    const lacking = this.missing.has(t);
    if (lacking || this.hidden?.frames.has(t)) return made ? "filled" : lacking ? "missing" : "hidden";
    const filledIn = made && this.task === "recreate" && this.predictions[0]?.frames?.made.has(t);
    return filledIn || this.hidden?.partly(t) ? "partly" : "given";
  }

  /** Words for `kind`. */
  kindText(t) {
    const kind = this.kind(t);
    if (kind === "forecast") return `forecast, lead time ${t - this.given + 1}`;
    return KIND_TEXT[kind];
  }

  /** True where frame t has arrived of every clip that has one. */
  has(t) {
    return this.sources.every((source) => t >= source.clip.frames || source.at(t) !== null);
  }

  /** Every clip of frames of the scene that is there. */
  get sources() {
    return [this.target, ...this.predictions.flatMap(({ frames }) => (frames ? [frames] : []))];
  }
}

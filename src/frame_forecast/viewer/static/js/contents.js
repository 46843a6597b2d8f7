/** What each panel shows at a frame: pixels, or why there are none, and the value of one pixel. */

import { errorAt, isKnown } from "./painter.js";
import { quantity } from "./words.js";

const COMPUTING = "computing …";

/** @typedef {import("./scene.js").Scene} Scene */
/** @typedef {import("./painter.js").Painter} Painter */
/** @typedef {import("./panel.js").Content} Content */

/** Panels of a scene, in the order they stand in: `[key, title]`. */
export function panelsOf(scene) {
  const { predictions } = scene;
  if (predictions.length === 0) return [["input", scene.task === null ? "Clip" : "Input"]];
  const withError = scene.hasTruth;
  const target = withError && scene.task !== "reconstruct" ? [["target", "Target"]] : [];
  const [first, second] = predictions;
  const named = (what, { title }) => (second ? `${what} ${title}` : what);
  const made = (one, number) => [`prediction${number}`, named("Prediction", one)];
  const error = (one, number) => (withError ? [[`error${number}`, named("Error", one)]] : []);
  if (!second) return [["input", "Input"], made(first, ""), ...target, ...error(first, "")];
  return [["input", "Input"], made(first, ""), ...error(first, ""), ...target, made(second, 2), ...error(second, 2)];
}

/** Pictures that two of can be compared: `[key, title]`. */
export const comparable = (scene) => panelsOf(scene).filter(([key]) => !key.startsWith("error"));

/**
 * The frame behind a panel.
 * @returns {{frame: import("./binary.js").Frame|null, hidden: boolean|Uint8Array, note: string}}
 *   no frame: `note` says why, and is empty where it has yet to arrive
 */
function frameOf(scene, key, t) {
  if (key === "input") {
    const hidden = scene.hiddenAt(t);
    if (hidden === true) return { frame: null, hidden, note: t >= scene.given ? "not given" : "hidden" };
    const ended = t >= scene.clip.frames;
    if (!scene.hasTarget(t)) return { frame: null, hidden, note: ended ? "the clip has ended" : "missing" };
    return { frame: scene.target.at(t), hidden, note: "" };
  }
  if (key === "target") {
    if (!scene.hasTarget(t)) return { frame: null, hidden: false, note: "no truth here" };
    return { frame: scene.target.at(t), hidden: false, note: "" };
  }
  const { frames, note } = scene.predictions[key.endsWith("2") ? 1 : 0];
  if (frames && t >= frames.clip.frames) return { frame: null, hidden: false, note: "the forecast has ended" };
  return { frame: frames?.at(t) ?? null, hidden: false, note: frames ? "" : note ?? COMPUTING };
}

/** The two frames whose difference an error panel shows. */
const errorPair = (key) => [key.replace("error", "prediction"), "target"];

/**
 * @param {Scene} scene
 * @param {Painter} painter
 * @param {string} key of the panel
 * @param {number} t
 * @returns {Content}
 */
export function contentOf(scene, painter, key, t) {
  if (key.startsWith("error")) return differenceOf(scene, painter, errorPair(key), t);
  const { frame, hidden, note } = frameOf(scene, key, t);
  const untold = key === "target" || (key === "input" && note);
  const remade = scene.task === "reconstruct" && key.startsWith("prediction"); // of every frame, given or not
  const kind = remade ? "reconstructed" : scene.kindText(t);
  const tag = untold ? "" : t >= scene.given ? `lead time ${t - scene.given + 1}` : kind;
  if (!frame) return { ...absent(note), tag };
  return { kind: "picture", tag, marked: unobserved(scene, t), paint: (out) => painter.values(frame, hidden, out) };
}

/** What a panel shows instead of a frame. */
function absent(note) {
  const waits = note === "" || note === COMPUTING;
  return { kind: waits ? "waiting" : "nothing", note: note || "loading …" };
}

/** The signed difference of two pictures, first minus second. */
export function differenceOf(scene, painter, [first, second], t) {
  const a = frameOf(scene, first, t);
  const b = frameOf(scene, second, t);
  if (!a.frame || !b.frame) return { ...absent(a.note || b.note), tag: "" };
  const paint = (out) => painter.difference(a.frame, b.frame, out);
  return { kind: "picture", tag: "", marked: unobserved(scene, t), paint };
}

/** What of frame t no model saw: true, false, or (H, W) of 0 and 1. */
function unobserved(scene, t) {
  const hidden = scene.hiddenAt(t);
  if (hidden === true || !scene.hasTarget(t)) return true;
  const { observed } = scene.target.at(t) ?? { observed: true };
  if (observed === true) return hidden;
  return observed.map((one, i) => (one && (hidden === false || !hidden[i]) ? 0 : 1));
}

/** The difference at a pixel, in words. */
export function differenceAt(scene, pair, t, pixel, channel) {
  const { clip } = scene;
  const [a, b] = pair.map((key) => frameOf(scene, key, t));
  const known = ({ frame, hidden }) => frame && isKnown(frame, hidden, pixel);
  if (!known(a) || !known(b)) return "–";
  return quantity(errorAt(a.frame, b.frame, pixel, clip.width * clip.height, channel), clip.units, true);
}

/**
 * The value of a pixel in a panel, in words.
 * @param {Scene} scene
 * @param {string} key
 * @param {number} t
 * @param {number} pixel index in (H, W)
 * @param {number|null} channel null: red, green, blue
 */
export function valueOf(scene, key, t, pixel, channel) {
  const { clip } = scene;
  const pixels = clip.width * clip.height;
  if (key.startsWith("error")) return differenceAt(scene, errorPair(key), t, pixel, channel);
  const { frame, hidden } = frameOf(scene, key, t);
  if (!frame || !isKnown(frame, hidden, pixel)) return "–";
  if (channel !== null) return quantity(frame.values[channel * pixels + pixel], clip.units);
  return [0, 1, 2].map((one) => quantity(frame.values[one * pixels + pixel], "")).join(", ");
}

/** A digit as MNIST has them: 28 x 28, at most 20 pixels long, its centre of mass in the middle. */

import { DIGIT } from "./bounce.js";
import { element } from "./dom.js";

const LONGEST = 20;

/**
 * @param {HTMLCanvasElement} canvas white on black
 * @returns {Uint8Array|null} (DIGIT, DIGIT); null where nothing is drawn
 */
export function digitOf(canvas) {
  const box = bounds(canvas);
  if (!box) return null;
  const scale = LONGEST / Math.max(box.width, box.height);
  const width = Math.max(1, Math.round(box.width * scale));
  const height = Math.max(1, Math.round(box.height * scale));
  const context = reader(DIGIT, DIGIT);
  context.imageSmoothingQuality = "high";
  const [left, top] = [(DIGIT - width) / 2, (DIGIT - height) / 2];
  context.drawImage(canvas, box.x, box.y, box.width, box.height, left, top, width, height);
  const image = greys(context);
  return shifted(image, ...offCentre(image));
}

/** A digit that is typed, for those who do not draw. @param {string} character */
export function typedDigit(character) {
  const context = reader(140, 140);
  context.font = "120px system-ui, sans-serif";
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillStyle = "#fff";
  context.fillText(character, 70, 70);
  return digitOf(context.canvas);
}

/** Draws a digit into a small canvas. */
export function thumbnail(image) {
  const canvas = element("canvas", { width: DIGIT, height: DIGIT, class: "thumbnail", "aria-hidden": "true" });
  const context = canvas.getContext("2d");
  const picture = context.createImageData(DIGIT, DIGIT);
  image.forEach((value, i) => picture.data.set([value, value, value, 255], i * 4));
  context.putImageData(picture, 0, 0);
  return canvas;
}

/** The context of a new black canvas that is read from. */
function reader(width, height) {
  const context = element("canvas", { width, height }).getContext("2d", { willReadFrequently: true });
  context.fillRect(0, 0, width, height);
  return context;
}

function greys(context) {
  const { data } = context.getImageData(0, 0, context.canvas.width, context.canvas.height);
  return Uint8Array.from({ length: data.length / 4 }, (_, i) => data[i * 4]);
}

/** The smallest box around what is lit. */
function bounds(canvas) {
  const { width } = canvas;
  const lit = [];
  greys(canvas.getContext("2d")).forEach((value, i) => value > 40 && lit.push(i));
  if (lit.length === 0) return null;
  const columns = lit.map((i) => i % width);
  const least = (values) => values.reduce((a, b) => Math.min(a, b));
  const most = (values) => values.reduce((a, b) => Math.max(a, b));
  const x = least(columns);
  const y = Math.floor(lit[0] / width);
  return { x, y, width: most(columns) - x + 1, height: Math.floor(lit.at(-1) / width) - y + 1 };
}

/** How far the centre of mass is from the middle, in whole pixels. */
function offCentre(image) {
  let [sum, x, y] = [0, 0, 0];
  image.forEach((value, i) => {
    sum += value;
    x += value * (i % DIGIT);
    y += value * Math.floor(i / DIGIT);
  });
  const middle = (DIGIT - 1) / 2;
  return [Math.round(middle - x / sum), Math.round(middle - y / sum)];
}

function shifted(image, dx, dy) {
  const inside = (at) => at >= 0 && at < DIGIT;
  return image.map((_, i) => {
    const x = (i % DIGIT) - dx;
    const y = Math.floor(i / DIGIT) - dy;
    return inside(x) && inside(y) ? image[y * DIGIT + x] : 0;
  });
}

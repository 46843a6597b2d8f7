/** Numbers and frame lists as people write them. */

/** A value in the source's units, short: integers whole, others with four significant digits. */
export function valueText(value) {
  if (!Number.isFinite(value)) return "–";
  if (Number.isInteger(value)) return String(value);
  const size = Math.abs(value);
  return size >= 1e5 || size < 1e-3 ? value.toExponential(2) : String(Number(value.toPrecision(4)));
}

/** The same with a unit behind it, and a true minus. */
export function quantity(value, units, signed = false) {
  const text = valueText(value).replace("-", "−");
  const sign = signed && value > 0 ? "+" : "";
  return `${sign}${text}${units ? ` ${units}` : ""}`;
}

/** Seconds since the clip began: 0:05, 1:02:03, or 0.25 s. */
export function clock(seconds) {
  if (seconds < 1 && seconds > 0) return `${valueText(seconds)} s`;
  const whole = Math.round(seconds);
  const two = (number) => String(number).padStart(2, "0");
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60;
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

/** Frame numbers, counted from 0 as on the command line: [3, 4, 5, 10] is "3-5, 10". */
export function frameList(frames) {
  const sorted = [...frames].sort((a, b) => a - b);
  const runs = [];
  for (const frame of sorted) {
    const last = runs.at(-1);
    if (last && last[1] === frame - 1) last[1] = frame;
    else runs.push([frame, frame]);
  }
  return runs.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(", ");
}

/**
 * The reverse of `frameList`.
 * @param {string} text
 * @param {number} count frames of the clip
 * @returns {number[]|null} null where it is no list of frames from 0 to `count - 1`
 */
export function parseFrames(text, count) {
  const frames = new Set();
  for (const piece of text.split(/[\s,;]+/).filter(Boolean)) {
    const match = /^(\d+)(?:[-–](\d+))?$/.exec(piece);
    if (!match) return null;
    const from = Number(match[1]);
    const to = Number(match[2] ?? match[1]);
    if (to >= count || from > to) return null;
    for (let frame = from; frame <= to; frame++) frames.add(frame);
  }
  return [...frames].sort((a, b) => a - b);
}

/** 812345 is "0.8 M". */
export function countText(number) {
  if (number >= 1e6 || number >= 1e5) return `${(number / 1e6).toFixed(1)} M`;
  return number >= 1e4 ? `${Math.round(number / 1e3)} k` : String(number);
}

/** Bytes as people write them. */
export function bytesText(bytes) {
  const units = ["bytes", "kB", "MB", "GB"];
  const power = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
  return `${Number((bytes / 1000 ** power).toPrecision(3))} ${units[power]}`;
}

/** Frames a second; of slow series, the time between frames. */
function rateText(rate) {
  if (rate >= 0.5) return `${valueText(rate)} frames a second`;
  const seconds = 1 / rate;
  return `a frame every ${seconds < 90 ? `${valueText(seconds)} s` : `${valueText(seconds / 60)} minutes`}`;
}

/** One line that says what a clip is. */
export function clipText(clip) {
  const colour = clip.channels === 1 ? "" : clip.channels === 3 ? ", colour" : `, ${clip.channels} channels`;
  const rate = clip.rate ? `, ${rateText(clip.rate)}` : "";
  return `${clip.frames} frames of ${clip.width} × ${clip.height}${colour}, ${clip.dtype}, ` +
    `${valueText(clip.low)} to ${quantity(clip.high, clip.units)}${rate}`;
}

/** PSNR of each frame, one curve a model, under the frames they belong to. */

import { element } from "./dom.js";

const SPACE = "http://www.w3.org/2000/svg";
const HEIGHT = 64;
export const CAP = 100; // dB: PSNR of equal frames, which would flatten the rest

const shape = (tag, given) => {
  const made = document.createElementNS(SPACE, tag);
  for (const [name, value] of Object.entries(given)) made.setAttribute(name, value);
  return made;
};

export class Chart {
  /** @param {HTMLElement} root */
  constructor(root) {
    this.picture = shape("svg", { role: "img", preserveAspectRatio: "none", "data-testid": "psnr-chart" });
    this.text = element("figcaption", { "data-testid": "psnr" });
    this.root = element("figure", { class: "chart", hidden: true }, this.text, this.picture);
    this.head = shape("line", { class: "now", y1: 0, y2: HEIGHT });
    root.append(this.root);
    this.curves = [];
  }

  /**
   * @param {number} frames on the timeline
   * @param {{title: string, byFrame: {frame: number, psnr: number}[]}[]} curves
   */
  show(frames, curves) {
    this.curves = curves.map(({ title, byFrame }) => ({ title, points: byFrame.filter(({ psnr }) => psnr < CAP) }));
    const values = this.curves.flatMap(({ points }) => points.map(({ psnr }) => psnr));
    this.root.hidden = values.length === 0;
    if (this.root.hidden) return;
    const low = Math.floor(Math.min(...values) - 1);
    const high = Math.ceil(Math.max(...values) + 1);
    const y = (psnr) => HEIGHT - ((psnr - low) / (high - low)) * HEIGHT;
    this.picture.setAttribute("viewBox", `0 0 ${frames} ${HEIGHT}`);
    this.picture.setAttribute("aria-label", `Line chart: PSNR of each frame, ${this.curves.map(({ title, points }) =>
      `${title} from ${points[0]?.psnr.toFixed(1)} to ${points.at(-1)?.psnr.toFixed(1)} dB`).join("; ")}`);
    this.picture.replaceChildren(this.head, ...this.curves.flatMap(({ points }, number) => [
      shape("path", { class: `curve curve-${number}`, d: path(points, y) }),
      ...points.map(({ frame, psnr }) =>
        shape("path", { class: `point point-${number}`, d: `M${frame + 0.5} ${y(psnr)}h0` })),
    ]));
    this.picture.dataset.range = `${low} to ${high} dB`;
  }

  /** @param {number} frame */
  moveTo(frame) {
    if (this.root.hidden) return;
    this.head.setAttribute("x1", frame + 0.5);
    this.head.setAttribute("x2", frame + 0.5);
    const now = this.curves.map(({ title, points }) => {
      const psnr = points.find((point) => point.frame === frame)?.psnr;
      return `${this.curves.length > 1 ? `${title[0]} ` : ""}${psnr === undefined ? "–" : `${psnr.toFixed(1)} dB`}`;
    });
    this.text.textContent = `PSNR by frame (${this.picture.dataset.range}): ${now.join(" · ")}`;
  }
}

/** A line through frames that follow each other; a gap breaks it. */
const path = (points, y) =>
  points.map(({ frame, psnr }, i) => {
    const goesOn = i > 0 && points[i - 1].frame === frame - 1;
    return `${goesOn ? "L" : "M"}${frame + 0.5} ${y(psnr)}`;
  }).join("");

/** What the colours mean: a bar of values and a bar of errors, with units. */

import { drawGradient } from "./colours.js";
import { element } from "./dom.js";
import { quantity } from "./words.js";

export class Legend {
  /** @param {HTMLElement} root */
  constructor(root) {
    this.bars = ["values", "errors"].map((name) => {
      const bar = {
        title: element("span", { class: "legend-title" }),
        canvas: element("canvas", { role: "img" }),
        ticks: [element("span"), element("span"), element("span")],
      };
      bar.root = element("div", { class: "legend-bar", "data-testid": `legend-${name}` },
        bar.title, bar.canvas, element("span", { class: "ticks" }, ...bar.ticks));
      return bar;
    });
    root.append(element("div", { class: "legend", "data-testid": "legend" }, ...this.bars.map((bar) => bar.root)));
  }

  /**
   * @param {import("./painter.js").Settings} settings
   * @param {string} units
   * @param {boolean} withError whether an error is on show
   */
  show({ low, high, span, channel, map, signed }, units, withError) {
    const [values, errors] = this.bars;
    values.root.hidden = channel === null; // colours are as they are
    errors.root.hidden = !withError;
    const unit = units ? `, ${units}` : "";
    this.#fill(values, `Value${unit}`, map, [low, (low + high) / 2, high].map((value) => quantity(value, "")));
    this.#fill(errors, `Error${unit}`, signed, [-span, 0, span].map((value) => quantity(value, "", true)));
  }

  #fill(bar, title, map, texts) {
    drawGradient(bar.canvas, map);
    bar.title.textContent = title;
    bar.canvas.setAttribute("aria-label", `${title}: colours from ${texts[0]} to ${texts[2]}`);
    bar.ticks.forEach((tick, i) => (tick.textContent = texts[i]));
  }
}

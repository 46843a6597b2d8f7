/** Below a result: how good it is, files of it, another model beside it. */

import { fileUrl } from "./api.js";
import { CAP } from "./chart.js";
import { control, element, part } from "./dom.js";
import { fillModels, lettered, titleOf } from "./models.js";

export class ResultCard extends EventTarget {
  /**
   * Events: "beside" (name of a model in `detail`), "alone".
   * @param {HTMLElement} root
   * @param {Object} about of the API
   */
  constructor(root, about) {
    super();
    this.root = root;
    this.models = about.models;
    this.suffixes = about.suffixes.write;
    part(root, "beside").addEventListener("submit", (event) => {
      event.preventDefault();
      this.dispatchEvent(new CustomEvent("beside", { detail: control(root, "beside-model").value }));
    });
    control(root, "beside-remove").addEventListener("click", () => this.dispatchEvent(new Event("alone")));
  }

  /**
   * @param {{title: string, result: Object, job: Object}[]} made one result, or two to compare
   * @param {Object[]} others models that may stand beside the first
   */
  show(made, others) {
    this.root.hidden = made.length === 0;
    if (this.root.hidden) return;
    const titles = lettered(made.map(({ title }) => title));
    part(this.root, "scores").replaceChildren(...made.map(({ result, job }, i) => element("span", { class: "score" },
      element("strong", { text: titles[i] }), ` ${scoreText(result, job)}`)));
    part(this.root, "downloads").replaceChildren(element("span", { class: "quiet", text: "Download" }),
      ...made.flatMap(({ title, result }, i) => [
        ...(made.length > 1 ? [element("strong", { text: "AB"[i] })] : []),
        ...this.suffixes.map((suffix) => element("a", {
          class: "button", href: fileUrl(result.clip.id, suffix), download: true,
          "data-testid": `download-${suffix.slice(1)}`,
          text: suffix.slice(1).toUpperCase(), "aria-label": `Download the result of ${title} as ${suffix.slice(1)}`,
        })),
      ]));
    fillModels(control(this.root, "beside-model"), others);
    part(this.root, "beside").hidden = others.length === 0;
    control(this.root, "beside-remove").hidden = made.length < 2;
    this.#table(made[0].result.table);
  }

  /** What `auto` found: each method on frames that it hid itself. */
  #table(rows) {
    const box = part(this.root, "table");
    box.hidden = !rows;
    if (!rows) return;
    box.tabIndex = 0;
    box.setAttribute("role", "region");
    box.setAttribute("aria-label", "Methods tried on this clip");
    box.replaceChildren(element("table", {},
      element("caption", { text: "Methods tried on hidden frames of this clip" }),
      element("thead", {}, element("tr", {},
        element("th", { scope: "col", text: "method" }), element("th", { scope: "col", text: "PSNR (dB)" }))),
      element("tbody", {}, ...rows.map(({ model, psnr }) => element("tr", {},
        element("th", { scope: "row", text: titleOf(this.models, model) }),
        element("td", { text: psnr?.toFixed(2) ?? "–" }))))));
  }
}

const WHERE = { forecast: "after the given frames", recreate: "on what was hidden", reconstruct: "over all frames" };

function scoreText({ scores, seconds }, { task }) {
  const time = `${seconds < 10 ? seconds.toFixed(2) : Math.round(seconds)} s`;
  if (!scores) return `took ${time}; there is no truth to compare with`;
  const { psnr, mse, mae, by_frame: frames } = scores;
  const exact = frames.filter((one) => one.psnr >= CAP).length;
  // They lift the mean far above what the other frames have.
  const lifted = exact ? ` (${exact} of ${frames.length} frames exact, counted as ${CAP} dB)` : "";
  return `PSNR ${psnr.toFixed(2)} dB${lifted}, MSE ${mse.toPrecision(3)}, MAE ${mae.toPrecision(3)} ` +
    `${WHERE[task]}, ${time}`;
}

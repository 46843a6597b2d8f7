/** Scores: tables and curves of the runs and evaluations that were opened; those of a run that trains move. */

import * as api from "./api.js";
import { control, element, fillSelect, part } from "./dom.js";
import { showError } from "./notices.js";

const EVERY = 3000; // milliseconds between looks at a run that trains

export class Scores {
  /** @param {HTMLElement} root */
  constructor(root) {
    this.root = root;
    this.body = part(root, "body");
    this.choice = control(root, "scores-run");
    this.shown = null; // the run on show, as the API gave it
    this.timer = 0;
    this.choice.addEventListener("change", () => this.#open());
    document.addEventListener("theme", () => this.shown && this.#show(this.shown));
  }

  async start() {
    try {
      const runs = await api.runs();
      this.choice.closest("label").hidden = runs.length === 0;
      fillSelect(this.choice, runs.map(({ id, title }) => [id, title]));
      if (runs.length) return await this.#open();
      this.body.replaceChildren(element("div", { class: "card empty" },
        element("p", { text: "No run and no evaluation is open." }),
        element("p", {}, "Open one with ", element("code", { text: "frame-forecast view runs/my-run" }), " or a ",
          element("code", { text: "results.json" }), ".")));
    } catch (error) {
      showError(error);
    }
    return undefined;
  }

  async #open() {
    clearTimeout(this.timer);
    const id = this.choice.value;
    try {
      const run = await api.run(id);
      if (id !== this.choice.value) return;
      if (["id", "changed", "training"].some((key) => this.shown?.[key] !== run[key])) this.#show(run);
      if (run.training) this.timer = setTimeout(() => this.#again(), EVERY);
    } catch (error) {
      showError(error); // and no more looks: the user reloads when the server is back
    }
  }

  /** A page that nobody sees asks for nothing. */
  #again() {
    if (this.root.hidden || document.hidden) this.timer = setTimeout(() => this.#again(), EVERY);
    else this.#open();
  }

  #show(run) {
    const kept = this.shown?.id === run.id ? [...this.body.querySelectorAll(".plot")] : [];
    const plots = new Map(kept.map((plot) => [plot.dataset.name, plot]));
    this.shown = run;
    control(this.root, "training").hidden = !run.training;
    this.body.replaceChildren(
      ...run.summary.map((text) => element("p", { text })),
      element("div", { class: "plots" }, ...run.plots.map((plot) => this.#plot(run, plot, plots.get(plot.name)))),
      ...run.tables.map(table),
    );
  }

  /** A plot; one that is there keeps its picture until the new one has come. */
  #plot(run, { name, title, alt }, old) {
    const theme = document.documentElement.dataset.theme;
    const address = api.plotUrl(run.id, name, theme, run.changed);
    const figure = old ?? element("figure", { class: "card plot", "data-name": name, "data-testid": `plot-${name}` },
      element("img", { src: address, alt }), element("figcaption"));
    figure.querySelector("figcaption").textContent = title;
    const picture = figure.querySelector("img");
    picture.alt = alt;
    if (picture.getAttribute("src") !== address) {
      const next = new Image();
      next.src = address;
      next.decode().then(() => (picture.src = address), () => {}); // a failed look leaves the last curve
    }
    return figure;
  }
}

/** @param {{title: string, columns: string[], rows: {text: string, best: boolean}[][]}} given a row's name is first */
function table({ title, columns, rows }) {
  return element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": title },
    element("table", {}, element("caption", {}, element("span", { text: title })),
      element("thead", {}, element("tr", {}, ...columns.map((name) =>
        element("th", { scope: "col" }, ...breakable(name))))),
      element("tbody", {}, ...rows.map(([first, ...rest]) => element("tr", {},
        element("th", { scope: "row" }, ...breakable(first.text)), ...rest.map(cell))))));
}

/** The name of a model or a metric, which may be broken after a point or an underscore. */
const breakable = (name) => name.split(/(?<=[._])/).flatMap((piece) => [piece, element("wbr")]);

/** The best of a column is bold and has a mark, which is read aloud, too. */
const cell = ({ text, best }) => (best
  ? element("td", { class: "best" }, element("span", { role: "img", "aria-label": "best", text: "★ " }), text)
  : element("td", { text }));

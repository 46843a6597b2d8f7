/** The controls of how values are shown: mode, colours, range, channel, mask. */

import { colourMap, signedMap } from "./colours.js";
import { comparable } from "./contents.js";
import { control, fillSelect, lessMotion, part } from "./dom.js";

const FLICKER = 500; // milliseconds a picture: far below three flashes a second

export class Display extends EventTarget {
  /** Events: "change". @param {HTMLElement} root of the player */
  constructor(root) {
    super();
    this.root = root;
    this.mode = "side";
    this.swapped = false; // flicker: the second picture is shown
    this.pairChosen = false; // by the user: then it stays
    this.timer = 0; // of flicker
    this.part = (name) => part(root, name);
    this.control = (id) => control(root, id);
    const name = `mode-${crypto.getRandomValues(new Uint32Array(1))[0]}`; // radio buttons of two players are two groups
    for (const input of this.control("mode").querySelectorAll("input")) {
      input.name = name;
      input.addEventListener("change", () => this.setMode(input.value));
    }
    for (const id of ["pair-first", "pair-second"]) {
      this.control(id).addEventListener("change", () => (this.pairChosen = true));
    }
    for (const id of ["colour-map", "channel", "pair-first", "pair-second", "mask-overlay"]) {
      this.control(id).addEventListener("change", () => this.#changed());
    }
    for (const id of ["range-low", "range-high", "error-span"]) {
      this.control(id).addEventListener("input", () => this.#changed());
    }
    this.control("range-reset").addEventListener("click", () => {
      this.#trueRange();
      this.#changed();
    });
    this.control("flicker-auto").checked = !lessMotion();
    this.control("flicker-swap").addEventListener("click", () => this.swap());
    const wide = matchMedia("(min-width: 701px)");
    wide.addEventListener("change", () => (this.control("display").open = wide.matches));
    this.control("display").open = wide.matches;
  }

  /** Takes over a scene; a clip of another kind sets range, colours and channel anew. */
  setScene(scene) {
    const { clip } = scene;
    const kind = [clip.channels, clip.units, clip.dtype, clip.low, clip.high].join();
    const wasOther = this.kind !== kind;
    this.kind = kind;
    this.clip = clip;
    const pictures = comparable(scene);
    const few = pictures.length < 2;
    for (const id of ["mode-difference", "mode-flicker"]) this.control(id).disabled = few;
    if (few && this.mode !== "side") this.setMode("side");
    fillSelect(this.control("pair-first"), pictures);
    fillSelect(this.control("pair-second"), pictures);
    if (!this.pairChosen && !few) {
      this.control("pair-first").value = "prediction";
      this.control("pair-second").value = (pictures.find(([key]) => key === "target") ?? pictures[0])[0];
    }
    if (!wasOther) return;
    const channels = Array.from({ length: clip.channels }, (_, i) => [String(i), String(i)]);
    fillSelect(this.control("channel"), clip.channels === 3 ? [["colours", "colours"], ...channels] : channels);
    this.control("channel").value = clip.channels === 3 ? "colours" : "0";
    this.part("channel").hidden = clip.channels === 1;
    if (this.mapOf !== clip.units) this.control("colour-map").value = clip.units ? "viridis" : "grey";
    this.mapOf = clip.units;
    this.#trueRange();
  }

  /** @returns {import("./painter.js").Settings} */
  get settings() {
    const number = (id, otherwise) => {
      const { valueAsNumber } = this.control(id);
      return Number.isFinite(valueAsNumber) ? valueAsNumber : otherwise;
    };
    const [low, high] = this.#range();
    const from = number("range-low", low);
    const to = number("range-high", high);
    const channel = this.control("channel").value;
    return {
      low: from, high: to > from ? to : from + 1e-9, span: number("error-span", high - low) || 1e-9,
      channel: channel === "colours" ? null : Number(channel),
      map: colourMap(this.control("colour-map").value),
      signed: signedMap(document.documentElement.dataset.theme),
    };
  }

  get overlay() {
    return this.control("mask-overlay").checked;
  }

  get pair() {
    return [this.control("pair-first").value, this.control("pair-second").value];
  }

  setMode(mode) {
    this.mode = mode;
    this.swapped = false;
    this.control(`mode-${mode}`).checked = true;
    clearInterval(this.timer);
    const swap = () => this.control("flicker-auto").checked && this.swap();
    if (mode === "flicker") this.timer = setInterval(swap, FLICKER);
    this.part("pair").hidden = mode === "side";
    this.part("auto").hidden = mode !== "flicker";
    this.control("flicker-swap").hidden = mode !== "flicker";
    this.#changed();
  }

  swap() {
    this.swapped = !this.swapped;
    this.#changed();
  }

  toggleOverlay() {
    this.control("mask-overlay").click();
  }

  /** Shows values from one to another. */
  setRange(low, high) {
    this.control("range-low").value = String(low);
    this.control("range-high").value = String(high > low ? high : low + 1);
    this.#changed();
  }

  /** The range of the data; of colours, that of the type, which leaves them as they are. */
  #range() {
    const { clip } = this;
    if (clip.channels === 3 && clip.dtype === "uint8") return [0, 255];
    return clip.high > clip.low ? [clip.low, clip.high] : [clip.low, clip.low + 1];
  }

  #trueRange() {
    const [low, high] = this.#range();
    const step = 10 ** (Math.floor(Math.log10(high - low)) - 4); // as fine as anyone sees
    const shown = (value) => String(Number((Math.round(value / step) * step).toPrecision(8)));
    this.control("range-low").value = shown(low);
    this.control("range-high").value = shown(high);
    this.control("error-span").value = shown(high - low);
    this.control("colour-map").disabled = this.control("channel").value === "colours";
  }

  #changed() {
    this.control("colour-map").disabled = this.control("channel").value === "colours";
    this.dispatchEvent(new Event("change"));
  }
}

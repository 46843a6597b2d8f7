/** The task: what the model does, which model, how far ahead. */

import { checkedValue, control, part } from "./dom.js";
import { bestModel, fillModels, modelText, modelsFor } from "./models.js";

const EXPLAIN = {
  forecast: "What comes after the given frames. Where the clip goes on, its own frames are the target.",
  recreate: "Fills what is missing in the clip, and what is hidden below. Every observed pixel stays as it is.",
  reconstruct: "Each frame as the model understands it: the difference shows noise and what is unusual.",
};

/** True for a clip that lacks whole frames. Pixels may be missing for good, as where no radar looks. */
export const lacksFrames = (clip) => clip.missing.length > 0;

export class Task extends EventTarget {
  /** Events: "change". @param {HTMLFormElement} form @param {Object[]} models of the API */
  constructor(form, models) {
    super();
    this.form = form;
    this.models = models;
    this.start = control(form, "start");
    this.horizon = control(form, "horizon");
    this.model = control(form, "model");
    for (const input of form.querySelectorAll('input[name="task"]')) {
      input.addEventListener("change", () => this.#taskChanged());
    }
    this.model.addEventListener("change", () => this.#modelChanged());
    for (const field of [this.start, this.horizon]) field.addEventListener("change", () => this.#changed());
    this.#showTask();
  }

  /**
   * @param {Object} clip
   * @param {string|null} sample its name, where it is one
   * @param {string|null} first the task to begin with, unless the clip lacks something; null: as it was
   */
  setClip(clip, sample, first) {
    this.sample = sample;
    this.start.max = String(clip.frames);
    // A clip of one's own is forecast after its end; a sample is cut in two, so that the truth is there.
    this.start.value = String(sample && clip.frames > 1 ? Math.ceil(clip.frames / 2) : clip.frames);
    const task = lacksFrames(clip) ? "recreate" : this.clip && lacksFrames(this.clip) ? "forecast" : first;
    if (task) control(this.form, `task-${task}`).checked = true;
    this.clip = clip;
    this.#showTask();
    fillModels(this.model, this.able, bestModel(this.able, sample)?.name);
    this.#showModel();
    this.horizon.value = String((sample && clip.frames - Number(this.start.value)) || this.chosen.horizon);
  }

  get task() {
    return checkedValue(this.form, "task");
  }

  /** Models that can do the task. */
  get able() {
    return modelsFor(this.models, this.task);
  }

  get chosen() {
    return this.models.find(({ name }) => name === this.model.value);
  }

  /** Frames given to a forecast; null: all, or no forecast. */
  get given() {
    if (this.task !== "forecast") return null;
    const { valueAsNumber } = this.start;
    return valueAsNumber >= 1 && valueAsNumber < this.clip.frames ? Math.floor(valueAsNumber) : null;
  }

  /**
   * The job as the API takes it.
   * @param {import("./hidden.js").Hidden} hidden
   */
  job(hidden) {
    const { task } = this;
    const hides = task !== "reconstruct";
    const given = this.given ?? this.clip.frames;
    return {
      clip: this.clip.id, task, model: this.model.value, start: this.given,
      horizon: task === "forecast" ? this.horizon.valueAsNumber : null,
      missing: hides ? [...hidden.frames].filter((t) => task !== "forecast" || t < given).sort((a, b) => a - b) : [],
      holes: hides ? hidden.holes : [],
    };
  }

  #taskChanged() {
    this.#showTask();
    fillModels(this.model, this.able, bestModel(this.able, this.sample)?.name);
    this.#modelChanged();
  }

  #modelChanged() {
    this.#showModel();
    this.#changed();
  }

  #showTask() {
    const { task } = this;
    part(this.form, "explain").textContent = EXPLAIN[task];
    for (const field of this.form.querySelectorAll("[data-for]")) {
      field.hidden = !field.dataset.for.split(" ").includes(task);
    }
    // What is hidden is not validated.
    for (const field of [this.start, this.horizon]) field.disabled = task !== "forecast";
  }

  #showModel() {
    const model = this.chosen;
    part(this.form, "model-about").textContent = model ? modelText(model) : "";
  }

  #changed() {
    if (this.clip) this.dispatchEvent(new Event("change"));
  }
}

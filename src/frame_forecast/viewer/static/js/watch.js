/** Watch: opened clips and samples, each with what a model makes of it, moving. */

import * as api from "./api.js";
import { ClipFrames } from "./clip-frames.js";
import { control, fillSelect, lessMotion, part, say } from "./dom.js";
import { Progress, runJob } from "./jobs.js";
import { bestModel, fillModels, modelsFor } from "./models.js";
import { showError } from "./notices.js";
import { Player } from "./player.js";
import { Scene } from "./scene.js";
import { lacksFrames } from "./task.js";
import { clipText } from "./words.js";

export class Watch {
  /**
   * Its root dispatches "try" (`{clip, sample}` in `detail`) where the user wants the clip there.
   * @param {HTMLElement} root
   * @param {Object} about of the API
   */
  constructor(root, about) {
    this.root = root;
    this.about = about;
    this.player = new Player(part(root, "player"));
    this.progress = new Progress(part(root, "progress"));
    this.choice = control(root, "watch-clip");
    this.model = control(root, "watch-model");
    this.number = 0; // of the sample
    this.stop = new AbortController();
    this.lent = null; // id of the clip that Try shows, too: it is not taken away here
    this.choice.addEventListener("change", () => this.open());
    this.model.addEventListener("change", () => this.#predict());
    control(root, "watch-next").addEventListener("click", () => {
      this.number++;
      this.open();
    });
    control(root, "watch-cancel").addEventListener("click", () => {
      this.#restart();
      this.player.show(new Scene(this.target));
      say("Cancelled.");
    });
    control(root, "watch-try").addEventListener("click", () => this.#toTry());
  }

  async start() {
    const { opened, samples } = this.about;
    let clips;
    try {
      clips = await Promise.all(opened.map(api.clip));
    } catch (error) {
      return showError(error);
    }
    fillSelect(this.choice, [
      ...clips.map(({ id, title }) => [`clip ${id}`, title]),
      ...samples.map(({ name, title }) => [`sample ${name}`, title]),
    ]);
    return this.open();
  }

  /** Shows the chosen clip, then what a model makes of it. */
  async open() {
    const stop = this.#restart();
    const [kind, name] = this.choice.value.split(" ");
    control(this.root, "watch-next").hidden = kind !== "sample";
    try {
      const clip = await (kind === "sample" ? api.sample(name, this.number) : api.clip(name));
      if (stop.aborted) return;
      if (this.sample) this.#forget(this.clip);
      this.#forget(this.result);
      this.result = null;
      this.clip = clip;
      this.sample = kind === "sample" ? name : null;
      this.target?.close();
      this.target = new ClipFrames(clip);
      control(this.root, "watch-about").textContent = [`${clip.title}: ${clipText(clip)}.`, ...clip.notes].join(" ");
      this.task = lacksFrames(clip) ? "recreate" : "forecast";
      const models = modelsFor(this.about.models, this.task);
      fillModels(this.model, models, this.#firstModel(models).name);
      this.player.show(new Scene(this.target));
      if (!lessMotion()) this.player.playback.play();
      await this.#predict();
    } catch (error) {
      showError(error);
    }
  }

  /** The weights of an opened run, on what they were trained on; or else the best there are without a search. */
  #firstModel(models) {
    const { title } = this.about.samples.find(({ name }) => name === this.sample) ?? {};
    const ofRun = ({ kind, best_for_samples: samples, trained_on: data }) =>
      kind === "weights" && !samples.length && data === title;
    return models.find(ofRun) ?? bestModel(models, this.sample ?? "moving_scenes");
  }

  /** Runs the chosen model: a forecast of the clip's last frames, or of those it lacksFrames. */
  async #predict() {
    const stop = this.#restart();
    const { clip, task } = this;
    const model = this.about.models.find(({ name }) => name === this.model.value);
    if (!clip || !model) return;
    let [start, horizon] = [null, null];
    if (task === "forecast") {
      // Its end is hidden: the truth stands beside the forecast.
      horizon = Math.max(1, Math.min(model.horizon, Math.floor(clip.frames / 2)));
      start = clip.frames - horizon;
    }
    const prediction = { title: model.title, frames: null, scores: null };
    this.player.show(new Scene(this.target, { task, start, predictions: [prediction] }));
    this.progress.begin("starting");
    try {
      const job = { clip: clip.id, task, model: model.name, start, horizon, missing: [], holes: [] };
      const result = await runJob(job, { onState: (state) => this.progress.show(state), signal: stop });
      const frames = new ClipFrames(result.clip);
      await frames.ready(Math.min(this.player.frame, result.clip.frames - 1));
      if (stop.aborted) return void api.forget(result.clip.id);
      this.#forget(this.result);
      this.result = result.clip;
      Object.assign(prediction, { frames, scores: result.scores });
      this.player.show(new Scene(this.target, { task, start, predictions: [prediction] }));
      this.progress.end("The prediction is shown.");
    } catch (error) {
      showError(error);
      if (stop.aborted) return;
      this.progress.end("");
      this.player.show(new Scene(this.target));
    }
  }

  #restart() {
    this.stop.abort();
    this.progress.end("");
    this.stop = new AbortController();
    return this.stop.signal;
  }

  #forget(clip) {
    if (clip && clip.id !== this.lent) api.forget(clip.id);
  }

  #toTry() {
    if (!this.clip) return;
    this.lent = this.clip.id;
    this.root.dispatchEvent(new CustomEvent("try", { detail: { clip: this.clip, sample: this.sample } }));
  }
}

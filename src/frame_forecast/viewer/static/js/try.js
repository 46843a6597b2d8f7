/** Try: a clip of one's own, what is hidden of it, a task, and the result in the player. */

import * as api from "./api.js";
import { ClipFrames } from "./clip-frames.js";
import { control, debounce, lessMotion, part } from "./dom.js";
import { Hidden } from "./hidden.js";
import { HidingTools } from "./hiding.js";
import { Progress, runJob } from "./jobs.js";
import { lettered, modelsFor, titleOf } from "./models.js";
import { clearErrors, showError } from "./notices.js";
import { Player } from "./player.js";
import { ResultCard } from "./result.js";
import { Scene } from "./scene.js";
import { Source, onDrop } from "./source.js";
import { Task, lacksFrames } from "./task.js";

/**
 * @typedef {Object} Made what one model made
 * @property {Object} job as it was sent
 * @property {string} title of the model
 * @property {Object|null} result of the API; null while it is computed
 * @property {ClipFrames|null} frames
 */

export class Try {
  /** @param {HTMLElement} root @param {Object} about of the API */
  constructor(root, about) {
    this.root = root;
    this.about = about;
    this.made = []; // of the clip: none, one, or two to compare
    this.stale = false; // the settings are others than those of `made`
    this.awaiting = false; // that will be mended by itself
    this.own = false; // the clip is shown here alone and goes with its successor
    this.stop = null; // aborts what runs
    const form = part(root, "task");
    this.form = form;
    this.player = new Player(root.querySelector('.result [data-part="player"]'));
    this.progress = new Progress(part(form, "progress"));
    this.task = new Task(form, about.models);
    this.hiding = new HidingTools(form, this.player);
    this.result = new ResultCard(part(root, "after"), about);
    part(this.player.root, "below").append(this.result.root);
    this.source = new Source(part(root, "source"), about);
    this.live = control(form, "live");

    this.runSoon = debounce(() => this.run(), 100);
    this.source.addEventListener("clip", ({ detail }) => this.setClip(detail));
    this.task.addEventListener("change", () => this.#changed());
    this.hiding.addEventListener("change", () => this.#changed());
    this.result.addEventListener("beside", ({ detail }) => this.runBeside(detail));
    this.result.addEventListener("alone", () => this.#alone());
    this.live.addEventListener("change", () => this.live.checked && this.run());
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.run();
    });
    control(form, "cancel").addEventListener("click", () => this.#halt("Cancelled."));
    onDrop((file) => {
      location.hash = "#try";
      this.source.file(file);
    });
  }

  /** Begins with a sample, unless there is a clip already or one comes. */
  start() {
    if (!this.clip && !this.source.busy) this.source.sample(this.about.samples[0].name);
  }

  /** @param {Object} given as the event "clip" of Source has it */
  setClip({ clip, kind, sample, frames }) {
    this.#halt("");
    if (kind === "draw" || this.kind === "draw") this.live.checked = kind === "draw";
    const kept = kind === "draw" && this.kind === "draw"; // the drawing moved otherwise: what is hidden stays hidden
    if (this.own) api.forget(this.clip.id);
    this.clip = clip;
    this.kind = kind;
    this.own = kind !== "lent";
    this.target?.close();
    this.target = new ClipFrames(clip, frames);
    if (!kept) {
      this.hidden = new Hidden(clip.width * clip.height);
      this.#drop(this.made);
      this.made = [];
      this.task.setClip(clip, sample, kind === "draw" ? "forecast" : null);
      this.hiding.rest();
    } else {
      this.task.clip = clip;
    }
    this.hiding.setClip(clip, this.hidden);
    this.#changed();
    if (!kept && !lessMotion()) this.player.playback.play();
  }

  /** Runs the job as the form has it. */
  async run() {
    this.runSoon.cancel();
    if (!this.clip || !this.form.reportValidity()) return;
    const job = this.task.job(this.hidden);
    const [, second] = this.made;
    if (!this.live.checked) this.#lookAt();
    const done = await this.#run(job, (made) => (second ? [made, second] : [made]));
    if (!done || !second) return;
    const both = second.job.model !== job.model && (await this.runBeside(second.job.model));
    if (!both && !this.awaiting && !this.stop) this.#alone(); // unless another run has taken over
  }

  /** Runs the first job by another model, too. */
  runBeside(model) {
    const [first] = this.made;
    return this.#run({ ...first.job, model }, (made) => [first, made]);
  }

  /**
   * @param {Object} job as the API takes it
   * @param {(made: Made) => Made[]} placed what is shown with the new one among it
   * @returns {Promise<boolean>} whether it came to a result
   */
  async #run(job, placed) {
    this.#halt("");
    const stop = new AbortController();
    this.stop = stop;
    clearErrors();
    control(this.form, "cancel").hidden = false;
    this.#show();
    this.progress.begin("starting");
    let words = "";
    try {
      const onState = (state) => this.progress.show(state);
      const result = await runJob(job, { signal: stop.signal, onState });
      const frames = new ClipFrames(result.clip);
      await frames.ready(Math.min(this.player.frame, result.clip.frames - 1));
      if (stop.signal.aborted) return void api.forget(result.clip.id);
      const made = placed({ job, title: titleOf(this.about.models, job.model, result.model), result, frames });
      this.#drop(this.made.filter((one) => !made.includes(one)));
      this.made = made;
      this.stale = JSON.stringify(this.task.job(this.hidden)) !== JSON.stringify(made[0].job);
      this.#show();
      this.#play(job);
      words = "The result is shown.";
      return true;
    } catch (error) {
      showError(error);
      return false;
    } finally {
      if (this.stop === stop) this.#end(words);
    }
  }

  /** Stops what runs, if anything does. @param {string} words said of it */
  #halt(words) {
    if (!this.stop) return;
    this.stop.abort();
    this.#end(words);
  }

  #end(words) {
    this.stop = null;
    this.awaiting = false;
    control(this.form, "cancel").hidden = true;
    this.progress.end(words);
    if (this.made.length === 0 || this.stale) this.#show();
  }

  /** Where the page is narrow, the pictures are above the button. */
  #lookAt() {
    const { top } = this.player.root.getBoundingClientRect();
    if (top < 0) this.player.root.scrollIntoView({ behavior: lessMotion() ? "auto" : "smooth", block: "start" });
  }

  /** A new result moves, unless the user looks at one frame while things change. */
  #play({ task }) {
    if (this.live.checked || this.player.playback.playing) return;
    const [first] = this.made[0].result.clip.made;
    if (lessMotion()) this.player.seek(first ?? 0);
    else {
      this.player.seek(task === "forecast" ? 0 : Math.max(0, (first ?? 0) - 2));
      this.player.playback.play();
    }
  }

  #alone() {
    this.#drop(this.made.slice(1));
    this.made = this.made.slice(0, 1);
    this.#show();
  }

  /** Other settings: what was made is of the past. */
  #changed() {
    if (this.task.task === "reconstruct") this.hiding.rest();
    this.stale = true;
    const again = this.live.checked && !this.idle;
    if (again) this.#halt("");
    this.awaiting = again;
    this.#show();
    if (again) this.runSoon();
  }

  /** True where there is nothing to recreate. */
  get idle() {
    return this.task.task === "recreate" && this.hidden.empty && !lacksFrames(this.clip) && !this.clip.holes;
  }

  #show() {
    const { task, made } = this;
    const stale = this.stale && !this.awaiting;
    const hides = task.task !== "reconstruct";
    const titles = lettered(made.map(({ title }) => title));
    const scene = new Scene(this.target, {
      task: task.task, start: task.given, hidden: hides ? this.hidden : null, stale,
      predictions: made.length
        ? made.map(({ frames, result }, i) => ({ title: titles[i], frames, scores: stale ? null : result.scores }))
        : [{ title: task.chosen.title, frames: null, scores: null, note: this.#note }],
    });
    this.player.show(scene, hides ? this.hiding.editing(scene.given) : null);
    const used = made.map(({ job }) => job.model);
    const able = made.length ? modelsFor(this.about.models, made[0].job.task) : [];
    this.result.show(stale ? [] : made, able.filter(({ name }) => !used.includes(name)));
  }

  /** Why there is no prediction yet. */
  get #note() {
    if (this.stop) return undefined; // it is being computed
    return this.idle ? "nothing is hidden" : "not run yet";
  }

  #drop(made) {
    for (const { frames, result } of made) {
      frames.close();
      api.forget(result.clip.id);
    }
  }
}

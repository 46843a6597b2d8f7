/** Where a clip of Try comes from: a sample, a file, or the sandbox. */

import * as api from "./api.js";
import { pack, parse } from "./binary.js";
import { control, element, part } from "./dom.js";
import { Progress } from "./jobs.js";
import { showError, clearErrors } from "./notices.js";
import { Sandbox } from "./sandbox.js";
import { bytesText, clipText } from "./words.js";

export class Source extends EventTarget {
  /**
   * Events: "clip" (`{clip, kind, sample, frames}` in `detail`; kind is "sample", "file", "draw", or "lent" by Watch;
   * frames are those that were drawn here).
   * @param {HTMLElement} root
   * @param {Object} about of the API
   */
  constructor(root, about) {
    super();
    this.root = root;
    this.about = about;
    this.progress = new Progress(part(root, "sending"), "sending");
    control(root, "sending-cancel").addEventListener("click", () => {
      this.#restart();
      this.progress.end("Cancelled.");
    });
    this.number = Math.floor(Math.random() * 1000); // of the next sample
    this.stop = new AbortController();
    this.busy = false; // a clip is on its way
    root.addEventListener("submit", (event) => event.preventDefault());
    for (const input of root.querySelectorAll('input[name="source"]')) {
      input.addEventListener("change", () => this.#showKind(input.value));
    }
    part(root, "samples").append(...about.samples.map(({ name, title }) => element("button", {
      type: "button", text: title, "data-testid": `sample-${name}`, on: { click: () => this.sample(name) },
    })));
    this.#files();
    this.sandbox = new Sandbox(part(root, "sandbox"));
    this.sandbox.addEventListener("change", ({ detail }) => this.#drawn(detail));
  }

  /** Takes the next sample of a name. */
  sample(name) {
    return this.#take("sample", (signal) => api.sample(name, this.number++, signal), name);
  }

  /** Takes a clip that is on the server. */
  give(clip, sample) {
    this.#choose(sample ? "sample" : "file");
    this.#restart();
    this.#got(clip, "lent", sample);
  }

  /** Sends a file. @param {File} file */
  file(file) {
    this.#choose("file");
    const limit = this.about.limits.upload_bytes;
    return this.#take("file", async (signal) => {
      this.progress.begin(`sending ${file.name}, ${bytesText(file.size)} of ${bytesText(limit)} at most`);
      try {
        return await api.upload(file, {
          signal,
          onProgress: (share) => this.progress.showShare(share, `${share < 1 ? "sending" : "reading"} ${file.name}`),
        });
      } finally {
        if (!signal.aborted) this.progress.end("");
      }
    }, null);
  }

  #restart() {
    this.stop.abort();
    this.busy = false;
    this.stop = new AbortController();
    return this.stop.signal;
  }

  async #take(kind, get, sample, frames) {
    const signal = this.#restart();
    clearErrors();
    this.busy = true;
    try {
      const clip = await get(signal);
      if (signal.aborted) return void api.forget(clip.id);
      this.#got(clip, kind, sample, frames);
    } catch (error) {
      showError(error);
    } finally {
      if (!signal.aborted) this.busy = false;
    }
  }

  #got(clip, kind, sample, frames) {
    const title = kind === "draw" ? "Your drawing" : clip.title;
    control(this.root, "clip-about").textContent = `${title}: ${clipText(clip)}.`;
    const notes = control(this.root, "clip-notes");
    notes.replaceChildren(...clip.notes.map((text) => element("li", { text })));
    notes.hidden = clip.notes.length === 0;
    this.dispatchEvent(new CustomEvent("clip", { detail: { clip, kind, sample, frames } }));
  }

  #drawn({ values, shape }) {
    const buffer = pack(values, shape);
    return this.#take("draw", (signal) => api.postFrames(buffer, signal), "moving_mnist", parse(buffer).frames);
  }

  #choose(kind) {
    this.root.querySelector(`input[name="source"][value="${kind}"]`).checked = true;
    this.#showKind(kind);
  }

  #showKind(kind) {
    for (const pane of this.root.querySelectorAll("[data-source]")) pane.hidden = pane.dataset.source !== kind;
  }

  #files() {
    const input = control(this.root, "file-input");
    const { suffixes, limits } = this.about;
    input.accept = suffixes.read.join(",");
    const most = `${bytesText(limits.upload_bytes)} and ${limits.frames} frames`;
    part(this.root, "formats").textContent = `${suffixes.read.join(" ")}, up to ${most}`;
    input.addEventListener("change", () => {
      if (input.files.length) this.file(input.files[0]);
      input.value = ""; // the same file may be chosen again
    });
  }
}

/**
 * Takes files dropped anywhere on the page.
 * @param {(file: File) => void} take
 */
export function onDrop(take) {
  let depth = 0; // a drag enters and leaves every element under it
  const within = (step) => {
    depth = Math.max(0, depth + step);
    document.body.classList.toggle("dropping", depth > 0);
  };
  const files = (event) => event.dataTransfer?.types.includes("Files");
  addEventListener("dragenter", (event) => files(event) && within(1));
  addEventListener("dragleave", (event) => files(event) && within(-1));
  addEventListener("dragover", (event) => files(event) && event.preventDefault());
  addEventListener("drop", (event) => {
    if (!files(event)) return;
    event.preventDefault();
    depth = 0;
    within(0);
    if (event.dataTransfer.files.length) take(event.dataTransfer.files[0]);
  });
}

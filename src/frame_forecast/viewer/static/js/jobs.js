/** A job from its start to its result, and how far it is. */

import * as api from "./api.js";
import { element, say } from "./dom.js";
import { showError } from "./notices.js";

/**
 * Runs a job of the API.
 * @param {Object} job as POST /api/jobs takes it
 * @param {{onState: (state: Object) => void, signal: AbortSignal}} options
 * @returns {Promise<Object>} its result
 * @throws {DOMException} AbortError, at once, where `signal` says so; the server is told
 */
export async function runJob(job, { onState, signal }) {
  // Not with `signal`: an answer that nobody waits for would leave a job behind that nobody can name.
  const started = await api.startJob(job);
  const cancelled = new DOMException("Cancelled", "AbortError");
  const cancel = () => api.cancelJob(started.id).catch(showError);
  const stopped = new Promise((_, reject) => {
    const stop = () => {
      reject(cancelled);
      cancel();
    };
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
  });
  window.addEventListener("pagehide", cancel); // a page that is closed wants no answer
  try {
    const tell = (state) => signal.aborted || onState(state);
    tell(started);
    const last = await Promise.race([api.follow(started, tell), stopped]);
    if (last.state === "failed") throw api.jobError(last);
    if (last.state === "cancelled") throw cancelled;
    return last.result;
  } finally {
    window.removeEventListener("pagehide", cancel);
  }
}

/** A bar with words; what it says is read aloud at its start, its end and each quarter. */
export class Progress {
  /** @param {HTMLElement} root hidden while nothing runs @param {string} name of its test id */
  constructor(root, name = "progress") {
    this.root = root;
    this.bar = element("progress", { max: "1", "aria-label": "Progress", "data-testid": name });
    this.text = element("span", { class: "quiet", "data-testid": `${name}-text` });
    root.prepend(this.bar, this.text);
    this.said = -1;
  }

  /** @param {string} text */
  begin(text) {
    this.root.hidden = false;
    this.bar.removeAttribute("value");
    this.text.textContent = text;
    this.said = -1;
  }

  /** @param {Object} state of a job */
  show({ state, done, total, message }) {
    if (total > 0) this.bar.value = done / total;
    else this.bar.removeAttribute("value");
    this.text.textContent = message || (state === "queued" ? "waiting for its turn" : "running");
    const quarter = total > 0 ? Math.floor((4 * done) / total) : 0;
    if (state !== "running" || quarter <= this.said) return;
    this.said = quarter;
    say(`${this.text.textContent}, ${quarter * 25} per cent`);
  }

  /** @param {number} share of 1 */
  showShare(share, text) {
    this.bar.value = share;
    this.text.textContent = text;
  }

  /** @param {string} text said, not shown */
  end(text) {
    this.root.hidden = true;
    if (text) say(text);
  }
}

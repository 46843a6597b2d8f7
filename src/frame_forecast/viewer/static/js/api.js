/** The API under /api (docs/api.md), and nothing of it elsewhere. Every function throws ApiError in plain words. */

import { parse } from "./binary.js";
import { ApiError, isAbort } from "./notices.js";

const PATIENCE = 30_000; // milliseconds without an answer until the server counts as gone
const WARMING = 120_000; // the same while the server may still be loading models
const OVER = new Set(["done", "failed", "cancelled"]);

const gone = () => new ApiError("The server does not answer", "frame-forecast view running on this address",
  "start it again and load the page anew");

/** Sends a request; its answer if that says it went well. */
async function ask(path, { signal, patience = PATIENCE, ...options } = {}) {
  const limit = AbortSignal.timeout(patience);
  let answer;
  try {
    answer = await fetch(path, { ...options, signal: signal ? AbortSignal.any([signal, limit]) : limit });
  } catch (error) {
    if (isAbort(error) && signal?.aborted) throw error;
    throw gone();
  }
  if (!answer.ok) throw errorOf(answer.status, await answer.text());
  return answer;
}

/** The error of an answer: its three fields, or its status where something else than the API answered. */
function errorOf(status, text) {
  try {
    const { given, expected, next_step: nextStep } = JSON.parse(text);
    if (given !== undefined) return new ApiError(given, expected, nextStep, status);
  } catch {
    // Not JSON: the line below says what there is to say.
  }
  const given = `The server answered with status ${status}`;
  return new ApiError(given, "an answer of the API", "load the page again", status);
}

async function json(path, options) {
  const answer = await ask(path, options);
  try {
    return await answer.json();
  } catch {
    throw gone(); // it broke off within the answer
  }
}

const posted = (value, signal) =>
  ({ method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(value), signal });

const clipPath = (id) => `/api/clips/${encodeURIComponent(id)}`;
const jobPath = (id) => `/api/jobs/${encodeURIComponent(id)}`;

export const about = () => json("/api/about", { patience: WARMING });
export const sample = (name, number, signal) => json("/api/samples", posted({ name, number }, signal));
export const clip = (id) => json(clipPath(id));
export const startJob = (job) => json("/api/jobs", posted(job));
export const jobState = (id) => json(jobPath(id));
/** Sent even by a page that is being closed. */
export const cancelJob = (id) => json(jobPath(id), { method: "DELETE", keepalive: true });
export const runs = () => json("/api/runs");
export const run = (id) => json(`/api/runs/${encodeURIComponent(id)}`);

/** Where a clip downloads as a file. */
export const fileUrl = (id, suffix) => `${clipPath(id)}/file?suffix=${encodeURIComponent(suffix)}`;

/** Where a plot is; `changed` makes the address new when the plot is. */
export const plotUrl = (id, name, theme, changed) =>
  `/api/runs/${encodeURIComponent(id)}/plots/${encodeURIComponent(name)}.svg?theme=${theme}&changed=${changed}`;

/** Takes a clip away that nobody looks at any more. It may be gone already. */
export async function forget(id) {
  try {
    await ask(clipPath(id), { method: "DELETE" });
  } catch {
    // It expires by itself.
  }
}

/** Frames [start, stop) of a clip. */
export async function frames(id, start, stop, signal) {
  const answer = await ask(`${clipPath(id)}/frames?start=${start}&stop=${stop}`, { signal });
  let buffer;
  try {
    buffer = await answer.arrayBuffer();
  } catch (error) {
    if (isAbort(error) && signal?.aborted) throw error;
    throw gone();
  }
  return parse(buffer).frames;
}

/** Frames drawn here, from `binary.pack`. */
export const postFrames = (buffer, signal) =>
  json("/api/clips", { method: "POST", headers: { "Content-Type": "application/x-frames" }, body: buffer, signal });

/**
 * Sends a file. XMLHttpRequest, because fetch does not tell how much has been sent.
 * @param {File} file
 * @param {{onProgress: (share: number) => void, signal: AbortSignal}} options
 * @returns {Promise<Object>} its Clip
 */
export function upload(file, { onProgress, signal }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", `/api/clips?name=${encodeURIComponent(file.name)}`);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.upload.onprogress = (event) => event.lengthComputable && onProgress(event.loaded / event.total);
    request.onload = () => {
      if (request.status >= 300) return reject(errorOf(request.status, request.responseText));
      try {
        resolve(JSON.parse(request.responseText));
      } catch {
        reject(gone());
      }
    };
    request.onerror = () => reject(new ApiError(`Sending ${file.name} broke off`, "a file that the server takes whole",
      "see whether frame-forecast view still runs and whether the file is within the limits, then try again"));
    request.onabort = () => reject(new DOMException("Cancelled", "AbortError"));
    signal.addEventListener("abort", () => request.abort());
    request.send(file);
  });
}

/**
 * Follows a job until it is over, by server-sent events; where those break off, it asks once a second.
 * @param {Object} job as POST /api/jobs answered
 * @param {(state: Object) => void} onState called with each state but the last
 * @returns {Promise<Object>} its last state
 */
export async function follow(job, onState) {
  if (OVER.has(job.state)) return job;
  const last = await new Promise((resolve) => {
    const events = new EventSource(`${jobPath(job.id)}/events`);
    events.onmessage = (event) => {
      const state = JSON.parse(event.data);
      if (!OVER.has(state.state)) return onState(state);
      events.close();
      resolve(state);
    };
    events.onerror = () => {
      events.close();
      resolve(null);
    };
  });
  if (last) return last;
  for (;;) {
    const state = await jobState(job.id);
    if (OVER.has(state.state)) return state;
    onState(state);
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

/** The error of a job that failed. */
export const jobError = (state) =>
  new ApiError(state.error.given, state.error.expected, state.error.next_step);

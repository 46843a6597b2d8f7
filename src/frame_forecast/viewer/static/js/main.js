/**
 * The page: three places, opened by the address's hash.
 *
 * Hooks for tests, all `data-testid`; a player's are within `#watch` or `#try`.
 * - Places: `place-watch`, `place-try`, `place-scores`; `theme`; `loading` until there is something to show;
 *   messages `notice` in `notices`; `<html data-theme>`.
 * - Player: `player` (has `data-frame`; event "drawn" with `{frame, milliseconds}`), `play`, `first`, `previous`,
 *   `next`, `last`, `speed`, `frame-number`, `timeline` (slider; frame t is at (t + 0.5) / frames of its width),
 *   `drop-lane` (the same, to hide frames), `marks`, `stage`, `panel-input`, `panel-prediction`, `panel-target`,
 *   `panel-error`, `panel-prediction2`, `panel-error2`, `panel-single` (each: `.tag`, `.value`, `canvas`),
 *   `readout`, `psnr`, `psnr-chart`, `legend`, `legend-values`, `legend-errors`, `display`, `mode-side`,
 *   `mode-difference`, `mode-flicker`, `pair-first`, `pair-second`, `flicker-auto`, `flicker-swap`, `colour-map`,
 *   `channel`, `range-low`, `range-high`, `error-span`, `range-reset`, `range-frame`, `mask-overlay`, `zoom-in`,
 *   `zoom-out`, `zoom-fit`, `zoom`.
 * - Watch: `watch-clip`, `watch-model`, `watch-next`, `watch-cancel`, `watch-try`, `watch-about`.
 * - Try, clip: `sending`, `sending-text`, `sending-cancel` of a file; `source-sample`, `source-file`,
 *   `source-draw`, `sample-NAME`, `drop-zone`, `file-input`, `clip-about`, `clip-notes`; sandbox `pad`, `pad-add`,
 *   `pad-undo`, `pad-clear`, `typed-digit`, `typed-add`, `movers`, `speed-of`, `direction-of`, `remove-digit`.
 * - Try, task: `task-forecast`, `task-recreate`, `task-reconstruct`, `model`, `start`, `horizon`, `dropped`,
 *   `drop-frame`, `drop-half`, `drop-clear`, `brush-off`, `brush-paint`, `brush-erase`, `brush-size`,
 *   `brush-scope`, `brush-frames`, `holes-clear`, `run`, `cancel`, `live`, `progress`, `progress-text`.
 * - Try, result: `result` (shown when it is there), `result-scores`, `download-gif` and the other suffixes,
 *   `beside-model`, `beside-run`, `beside-remove`.
 * - Scores: `scores-run`, `training`, `scores-body`, `plot-NAME`.
 */

import * as api from "./api.js";
import { showError } from "./notices.js";
import { Scores } from "./scores.js";
import { startTheme } from "./theme.js";
import { Try } from "./try.js";
import { Watch } from "./watch.js";

const TITLES = { watch: "Watch", try: "Try", scores: "Scores" };
const byId = (id) => document.getElementById(id);

startTheme();
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // the address says which place is shown
  byId("main").focus();
});

/**
 * Shows the place of the address and rests the others.
 * @param {Object<string, {start: () => void, player: Object|undefined}>} places
 * @param {Set<string>} started places that were begun with
 */
function showPlace(places, started) {
  const asked = location.hash.slice(1);
  const here = asked in TITLES ? asked : "watch";
  document.title = `${TITLES[here]} · frame-forecast`;
  for (const [name, place] of Object.entries(places)) {
    byId(name).hidden = name !== here;
    const link = document.querySelector(`[data-place="${name}"]`);
    if (name === here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
    if (name !== here) place.player?.playback.pause();
  }
  if (started.has(here)) return;
  started.add(here);
  places[here].start();
}

async function start() {
  let about;
  try {
    about = await api.about();
  } catch (error) {
    showError(error);
    return;
  } finally {
    byId("loading").remove();
  }
  const places = {
    watch: new Watch(byId("watch"), about),
    try: new Try(byId("try"), about),
    scores: new Scores(byId("scores")),
  };
  byId("watch").addEventListener("try", ({ detail: { clip, sample } }) => {
    places.try.source.give(clip, sample);
    location.hash = "#try";
  });
  const started = new Set();
  addEventListener("hashchange", () => showPlace(places, started));
  showPlace(places, started);
}

start();

/** Which models there are for a task and a clip. */

import { fillSelect } from "./dom.js";
import { countText } from "./words.js";

/** Models that can do a task. */
export const modelsFor = (models, task) => models.filter(({ tasks }) => tasks.includes(task));

/** The one to begin with: that which is best for the sample, or is found on the clip itself. */
export function bestModel(models, sampleName) {
  const best = models.find(({ best_for_samples: samples }) => samples.includes(sampleName));
  return best ?? models.find(({ name }) => name === "auto") ?? models[0];
}

/** Fills a select with models; `chosen` is chosen where it is among them. */
export function fillModels(select, models, chosen) {
  fillSelect(select, models.map(({ name, title }) => [name, title]));
  if (chosen && models.some(({ name }) => name === chosen)) select.value = chosen;
}

/** A model's title; where it chose another model itself, that one's, too. */
export function titleOf(models, name, chosen) {
  const title = (one) => models.find((model) => model.name === one)?.title ?? one;
  return chosen === name || !chosen ? title(name) : `${title(name)}: ${title(chosen)}`;
}

/** Titles of models that stand side by side: a letter first, which is seen where there is no room for more. */
export const lettered = (titles) => (titles.length > 1 ? titles.map((title, i) => `${"AB"[i]} · ${title}`) : titles);

/** One line about a model. */
export function modelText({ kind, name, parameters, trained_on: trainedOn, longest }) {
  if (name === "auto") return "Tries every method on frames of this clip that it hides itself, and takes the best.";
  if (kind !== "weights") return "A method without training, to compare with.";
  const limit = longest ? `, up to ${longest} frames at once` : "";
  return `${countText(parameters)} parameters, trained on ${trainedOn}${limit}.`;
}

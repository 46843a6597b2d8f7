/** What went wrong, in plain words, where everybody sees or hears it. */

import { element } from "./dom.js";

/** An error of the API: what was given, what was expected, the next step. */
export class ApiError extends Error {
  constructor(given, expected, nextStep, status = 0) {
    super(`given: ${given}; expected: ${expected}; next step: ${nextStep}`);
    this.given = given;
    this.expected = expected;
    this.nextStep = nextStep;
    this.status = status;
  }
}

/** True for what `AbortController.abort` throws: the user wanted it, nobody needs to be told. */
export const isAbort = (error) => error.name === "AbortError";

/**
 * Shows an error until it is closed; the same one is shown once.
 * @param {Error} error
 */
export function showError(error) {
  if (isAbort(error)) return;
  const known = error instanceof ApiError;
  const { given, expected, nextStep } = known ? error : {
    given: error.message, expected: "a page without faults",
    nextStep: "load the page again, and report it if it comes back",
  };
  if (!known) console.error(error);
  const board = document.getElementById("notices");
  const key = `${given}|${expected}`;
  for (const shown of board.children) if (shown.dataset.key === key) return;
  const notice = element("div", { class: "notice", "data-key": key, "data-testid": "notice" },
    element("p", {}, element("strong", { text: given })),
    element("p", { text: `Expected: ${expected}.` }),
    element("p", { text: `Next step: ${nextStep}.` }),
    element("button", {
      type: "button", "aria-label": "Close this message", text: "Close", on: { click: () => notice.remove() },
    }));
  board.append(notice);
  while (board.children.length > 3) board.firstElementChild.remove();
}

/** Takes all messages away: the user began something new. */
export function clearErrors() {
  document.getElementById("notices").replaceChildren();
}

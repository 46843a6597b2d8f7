/** Small helpers on the document; nothing here knows of frames. */

/**
 * A new element.
 * @param {string} tag
 * @param {Object<string, *>} [given] attributes; `text` is its text, `on` maps event names to listeners, and
 *   true, false or null sets or leaves out an attribute
 * @param {...(Node|string|null)} children
 * @returns {HTMLElement}
 */
export function element(tag, given = {}, ...children) {
  const made = document.createElement(tag);
  const { text, on = {}, ...attributes } = given;
  if (text !== undefined) made.textContent = text;
  for (const [event, listener] of Object.entries(on)) made.addEventListener(event, listener);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** The element of a test id within `root`. */
export const control = (root, id) => root.querySelector(`[data-testid="${id}"]`);

/** The element of a `data-part` within `root`. */
export const part = (root, name) => root.querySelector(`[data-part="${name}"]`);

/** Fills a select with `[value, text]` pairs; keeps the choice where it is still there. */
export function fillSelect(select, options) {
  const chosen = select.value;
  select.replaceChildren(...options.map(([value, text]) => element("option", { value, text })));
  if (options.some(([value]) => value === chosen)) select.value = chosen;
}

/** The value of the checked one among radio buttons of a name within `root`. */
export const checkedValue = (root, name) => root.querySelector(`input[name="${name}"]:checked`)?.value;

/** A colour of the style sheets, as text. */
export const styleOf = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** True where the user asked the system for less motion. */
export const lessMotion = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/**
 * Keeps strokes of a finger on an element from being taken for swipes: the browser would scroll after one, and the next
 * tap would only end that.
 * @param {Element} target
 * @param {(event: TouchEvent) => boolean} [draws] whether this finger draws
 */
export function keepStrokes(target, draws = () => true) {
  target.addEventListener("touchstart", (event) => draws(event) && event.preventDefault(), { passive: false });
}

/** Calls `work` once, `milliseconds` after the last call; `cancel()` drops a call that waits. */
export function debounce(work, milliseconds) {
  let timer = 0;
  const later = (...values) => {
    clearTimeout(timer);
    timer = setTimeout(work, milliseconds, ...values);
  };
  later.cancel = () => clearTimeout(timer);
  return later;
}

/** Says something to those who listen rather than look. */
export function say(text) {
  document.getElementById("spoken").textContent = text;
}

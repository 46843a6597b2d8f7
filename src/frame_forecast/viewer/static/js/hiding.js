/** The tools that hide things from the model: frames by list, lane and button, and holes by brush. */

import { checkedValue, control, part, say } from "./dom.js";
import { frameList, parseFrames } from "./words.js";

export class HidingTools extends EventTarget {
  /**
   * Events: "change" when more or less is hidden.
   * @param {HTMLFormElement} form
   * @param {import("./player.js").Player} player whose lane and input panel they work on
   */
  constructor(form, player) {
    super();
    this.form = form;
    this.player = player;
    this.hidden = null; // a Hidden, once there is a clip
    this.clip = null;
    const find = (id) => control(form, id);
    player.addEventListener("hide", ({ detail: { frames, hide } }) => this.#hide(frames, hide));
    player.addEventListener("frame", () => this.#showFrame());
    find("drop-frame").addEventListener("click", () =>
      this.#hide([player.frame], !this.hidden?.frames.has(player.frame)));
    find("drop-clear").addEventListener("click", () => this.#change(() => this.hidden.clearFrames()));
    find("drop-half").addEventListener("click", () => this.#half());
    find("holes-clear").addEventListener("click", () => this.#change(() => this.hidden.clearHoles()));
    find("dropped").addEventListener("change", () => this.#listed());
    for (const name of ["brush", "scope", "size"]) {
      for (const input of form.querySelectorAll(`[name="${name}"]`)) {
        input.addEventListener("input", () => this.#setBrush());
      }
    }
  }

  /** @param {Object} clip @param {import("./hidden.js").Hidden} hidden */
  setClip(clip, hidden) {
    const sizeChanged = this.clip?.width !== clip.width;
    this.clip = clip;
    this.hidden = hidden;
    if (sizeChanged) {
      const size = control(this.form, "brush-size");
      size.max = String(Math.max(8, Math.round(Math.min(clip.width, clip.height) / 2)));
      size.value = String(Math.max(1, Math.round(Math.min(clip.width, clip.height) / 8)));
    }
    this.#setBrush();
    this.#showList();
  }

  /** What the timeline asks while frames can be hidden. `given`: frames before a forecast. */
  editing(given) {
    const lacking = new Set(this.clip.missing);
    return {
      canHide: (t) => t < Math.min(given, this.clip.frames) && !lacking.has(t),
      isHidden: (t) => this.hidden.frames.has(t),
    };
  }

  /** Lays the brush down, as where the task hides nothing. */
  rest() {
    control(this.form, "brush-off").checked = true;
    this.#setBrush();
  }

  #change(change) {
    if (!this.hidden) return;
    change();
    this.#showList();
    this.dispatchEvent(new Event("change"));
  }

  #hide(frames, hide) {
    say(`${frames.length > 1 ? "frames" : "frame"} ${frameList(frames)} ${hide ? "hidden" : "shown"}`);
    this.#change(() => {
      for (const t of frames) this.hidden.setFrame(t, hide);
    });
  }

  #half() {
    this.#change(() => {
      const { canHide } = this.player.editing ?? { canHide: () => false };
      const frames = Array.from({ length: this.clip.frames }, (_, t) => t).filter(canHide);
      this.hidden.clearFrames();
      for (let left = Math.floor(frames.length / 2); left > 0; left--) {
        this.hidden.setFrame(frames.splice(Math.floor(Math.random() * frames.length), 1)[0], true);
      }
    });
  }

  #listed() {
    const field = control(this.form, "dropped");
    const frames = this.clip ? parseFrames(field.value, this.clip.frames) : [];
    this.#validity(field, frames);
    if (!frames) return;
    const { canHide } = this.player.editing ?? { canHide: () => true };
    this.#change(() => {
      this.hidden.clearFrames();
      for (const t of frames.filter(canHide)) this.hidden.setFrame(t, true);
    });
  }

  #validity(field, frames) {
    field.setCustomValidity(frames ? "" : `Frames from 0 to ${this.clip.frames - 1}, such as 3-5, 10.`);
    field.reportValidity();
  }

  #showList() {
    const field = control(this.form, "dropped");
    field.value = frameList(this.hidden.frames);
    field.setCustomValidity("");
    this.#showFrame();
  }

  #showFrame() {
    if (!this.hidden) return;
    const is = this.hidden.frames.has(this.player.frame);
    const button = control(this.form, "drop-frame");
    button.setAttribute("aria-pressed", String(is));
    button.disabled = !(this.player.editing?.canHide(this.player.frame) ?? false);
  }

  /** Frames that the brush paints in; null: all. */
  #scope() {
    const scope = control(this.form, "brush-scope").value;
    if (scope === "all") return null;
    if (scope === "one") return [this.player.frame];
    const field = control(this.form, "brush-frames");
    const frames = parseFrames(field.value, this.clip.frames);
    this.#validity(field, frames);
    return frames ?? [];
  }

  #setBrush() {
    const size = Number(control(this.form, "brush-size").value);
    part(this.form, "size").textContent = `${size} px`;
    part(this.form, "scope-frames").hidden = control(this.form, "brush-scope").value !== "some";
    const use = checkedValue(this.form, "brush");
    const { stage } = this.player;
    stage.root.classList.toggle("painting", use !== "off");
    stage.brush = use === "off" || !this.clip ? null : {
      stroke: (to, from) => this.#stroke(from, to, size, use === "paint" ? 1 : 0),
      end: () => {
        say(use === "paint" ? "painted" : "erased");
        this.dispatchEvent(new Event("change"));
      },
    };
  }

  /** A stroke with a round brush from a point to another; pixels whose middle is in it are set. */
  #stroke(from, to, size, value) {
    const { width, height } = this.clip;
    const radius = Math.max(size / 2, 0.71); // even the finest meets a pixel
    this.player.seek(this.player.frame);
    this.hidden.paint(this.#scope(), (mask) => {
      const [left, right] = [Math.min(from.x, to.x) - radius, Math.max(from.x, to.x) + radius];
      const [top, bottom] = [Math.min(from.y, to.y) - radius, Math.max(from.y, to.y) + radius];
      for (let y = Math.max(0, Math.floor(top)); y < Math.min(height, bottom); y++) {
        for (let x = Math.max(0, Math.floor(left)); x < Math.min(width, right); x++) {
          if (distance(x + 0.5, y + 0.5, from, to) <= radius) mask[y * width + x] = value;
        }
      }
    });
    this.player.draw();
  }
}

/** From a point to the stretch between two others. */
function distance(x, y, from, to) {
  const dx = to.x - from.x;
  const dy = to.y - from.y;
  const length = dx * dx + dy * dy;
  const along = length ? Math.min(1, Math.max(0, ((x - from.x) * dx + (y - from.y) * dy) / length)) : 0;
  return Math.hypot(x - from.x - along * dx, y - from.y - along * dy);
}

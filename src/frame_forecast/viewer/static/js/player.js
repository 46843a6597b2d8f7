/** The player: panels in step, time, display. Shows a Scene; knows nothing of where it comes from. */

import { Chart } from "./chart.js";
import { contentOf, differenceAt, differenceOf, panelsOf, valueOf } from "./contents.js";
import { Display } from "./display.js";
import { control, debounce, part, say } from "./dom.js";
import { onKeys } from "./keys.js";
import { Legend } from "./legend.js";
import { Painter, isKnown } from "./painter.js";
import { Playback } from "./playback.js";
import { Stage } from "./stage.js";
import { Timeline } from "./timeline.js";
import { clock } from "./words.js";

export class Player extends EventTarget {
  #request = 0; // of an animation frame; 0: none

  /**
   * Events: "frame" when another frame is shown; "hide" (`{frames, hide}` in `detail`) where editing is on. Its root
   * dispatches "drawn" (`{frame, milliseconds}` in `detail`) after each drawing, and has the frame in `data-frame`.
   * @param {HTMLElement} root what it is put into
   */
  constructor(root) {
    super();
    root.append(document.getElementById("player-template").content.cloneNode(true));
    this.root = root.querySelector(".player");
    const find = (id) => control(this.root, id);
    this.playback = new Playback();
    this.stage = new Stage(find("stage"));
    this.display = new Display(this.root);
    this.timeline = new Timeline(part(this.root, "time"));
    this.chart = new Chart(part(this.root, "time"));
    this.legend = new Legend(part(this.root, "time"));
    this.scene = null;
    this.editing = null;
    this.heard = false; // the pixel cursor was moved by keys: its values are read aloud
    this.#wire();
  }

  #wire() {
    const find = (id) => control(this.root, id);
    this.playback.addEventListener("frame", () => {
      this.#tell();
      this.dispatchEvent(new Event("frame"));
      this.draw();
    });
    this.playback.addEventListener("state", () => this.#showState());
    this.playback.isReady = (t) => this.scene === null || this.scene.has(t);
    this.stage.addEventListener("change", () => this.draw());
    this.display.addEventListener("change", () => this.#restage());
    this.timeline.addEventListener("seek", ({ detail }) => this.seek(detail));
    this.timeline.addEventListener("hide", ({ detail }) => this.dispatchEvent(new CustomEvent("hide", { detail })));
    document.addEventListener("theme", () => {
      this.timeline.redraw();
      this.#restage();
    });

    const { playback, stage } = this;
    const clicks = {
      play: () => playback.toggle(), first: () => this.seek(0), last: () => this.seek(Infinity),
      previous: () => this.seek(playback.frame - 1), next: () => this.seek(playback.frame + 1),
      "zoom-in": () => stage.view.zoomIn(), "zoom-out": () => stage.view.zoomOut(), "zoom-fit": () => stage.view.fit(),
    };
    for (const [id, click] of Object.entries(clicks)) find(id).addEventListener("click", click);
    find("range-frame").addEventListener("click", () => this.#fitRange());
    find("speed").addEventListener("change", (event) => (playback.speed = Number(event.target.value)));
    onKeys(this);
  }

  /**
   * @param {import("./scene.js").Scene} scene
   * @param {{canHide: (t: number) => boolean, isHidden: (t: number) => boolean}|null} [editing]
   */
  show(scene, editing = null) {
    const shown = new Set(scene.sources);
    for (const source of this.scene?.sources ?? []) if (!shown.has(source)) source.listeners.delete(this.#arrived);
    for (const source of shown) source.listeners.add(this.#arrived);
    const { clip } = scene;
    this.painter = new Painter(clip.width * clip.height);
    this.scene = scene;
    this.editing = editing;
    this.display.setScene(scene);
    this.playback.setClip(scene.frames, clip.rate);
    const scored = scene.predictions.filter(({ scores }) => scores);
    this.chart.show(scene.frames, scored.map(({ title, scores }) => ({ title, byFrame: scores.by_frame })));
    this.#restage();
    this.refresh();
  }

  /** What is hidden has changed: timeline and pictures follow. */
  refresh() {
    this.timeline.show(Array.from({ length: this.scene.frames }, (_, t) => this.scene.kind(t)), this.editing);
    this.#tell();
    this.draw();
  }

  /** Stops and shows a frame. */
  seek(frame) {
    this.playback.pause();
    this.playback.seek(frame);
  }

  get frame() {
    return this.playback.frame;
  }

  /** Draws before the screen is next refreshed, once however often it is called. */
  draw() {
    this.#request ||= requestAnimationFrame(() => {
      this.#request = 0;
      this.#draw();
    });
  }

  #arrived = () => this.draw();

  /** Panels of the mode, and all that depends on the display's settings. */
  #restage() {
    const { scene, display } = this;
    if (!scene) return;
    const settings = display.settings;
    this.painter.set(settings);
    const all = panelsOf(scene);
    const titles = new Map(all);
    const [first, second] = display.pair;
    const single = {
      difference: () => [["single", `${titles.get(first)} minus ${titles.get(second)}`]],
      flicker: () => [["single", titles.get(display.swapped ? second : first)]],
    }[display.mode];
    const { width, height, units } = scene.clip;
    this.stage.show(width, height, single ? single() : all);
    for (const { key, root } of this.stage.panels) {
      root.classList.toggle("stale", scene.stale && key !== "input" && key !== "target");
    }
    this.legend.show(settings, units, display.mode === "difference" || (!single && titles.has("error")));
    this.draw();
  }

  /** The picture that a panel shows: flicker has one panel for two. */
  #key(key) {
    return key === "single" ? this.display.pair[this.display.swapped ? 1 : 0] : key;
  }

  #content(key, t) {
    const { scene, painter, display } = this;
    if (key === "single" && display.mode === "difference") return differenceOf(scene, painter, display.pair, t);
    return contentOf(scene, painter, this.#key(key), t);
  }

  #draw() {
    const { scene, stage, display } = this;
    if (!scene) return;
    const began = performance.now();
    const t = this.frame;
    for (const panel of stage.panels) {
      panel.draw(this.#content(panel.key, t), display.overlay);
      panel.point(stage.pixel);
    }
    this.#read(t);
    control(this.root, "zoom").textContent = stage.view.zoom > 1 ? `${stage.view.zoom.toFixed(1)}×` : "";
    this.root.dataset.frame = String(t);
    const milliseconds = performance.now() - began;
    this.root.dispatchEvent(new CustomEvent("drawn", { detail: { frame: t, milliseconds } }));
  }

  /** Says which frame it is, at once: the pictures follow. */
  #tell() {
    const { scene, frame: t } = this;
    if (!scene) return;
    const kind = scene.kindText(t);
    this.timeline.moveTo(t, `frame ${t} of 0 to ${scene.frames - 1}, ${kind}`);
    this.chart.moveTo(t);
    const { times } = scene.clip;
    const time = times && t < times.length ? ` · ${clock(times[t] - times[0])}` : "";
    control(this.root, "frame-number").textContent = `${t} / ${scene.frames - 1}${time} · ${kind}`;
  }

  /** The range of the frame on show, as it is known. */
  #fitRange() {
    const { scene, display } = this;
    const { channel } = display.settings;
    const frame = scene?.sources.map((source) => source.at(this.frame)).find((one) => one && one.observed !== false);
    if (!frame) return;
    const pixels = scene.clip.width * scene.clip.height;
    const values = channel === null ? frame.values : frame.values.subarray(channel * pixels, (channel + 1) * pixels);
    let [low, high] = [Infinity, -Infinity];
    values.forEach((value, i) => {
      if (!isKnown(frame, false, i % pixels)) return;
      low = Math.min(low, value);
      high = Math.max(high, value);
    });
    display.setRange(low, high);
  }

  /** The values under the pixel cursor, in every panel. */
  #read(t) {
    const { scene, stage, display } = this;
    const { pixel } = stage;
    const { channel } = display.settings;
    const at = pixel ? pixel.y * scene.clip.width + pixel.x : 0;
    const values = [];
    for (const { key, value, title } of stage.panels) {
      value.textContent = !pixel ? "" : key === "single" && display.mode === "difference"
        ? differenceAt(scene, display.pair, t, at, channel) : valueOf(scene, this.#key(key), t, at, channel);
      values.push(`${title.textContent} ${value.textContent}`);
    }
    control(this.root, "readout").textContent = pixel ? `x ${pixel.x}, y ${pixel.y}` : "";
    if (pixel && this.heard) this.#sayValues(`x ${pixel.x}, y ${pixel.y}: ${values.join("; ")}`);
  }

  #sayValues = debounce(say, 300);

  #showState() {
    const { playing } = this.playback;
    const button = control(this.root, "play");
    button.setAttribute("aria-label", playing ? "Pause" : "Play");
    button.querySelector("use").setAttribute("href", playing ? "#i-pause" : "#i-play");
  }
}

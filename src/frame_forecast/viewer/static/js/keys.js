/** What keys do in a player. */

/** Fields that use arrow keys, letters and the space bar themselves. */
const typing = (target) => target.matches("select, textarea, summary, input:not([type=checkbox]):not([type=radio])");
const pressable = (target) => target.matches("button, a, input, summary");

/** @param {import("./player.js").Player} player */
export function onKeys(player) {
  const { stage, playback, display, timeline } = player;
  const tenth = () => Math.max(1, Math.round(playback.frames / 10));
  const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

  const plain = {
    ArrowLeft: () => player.seek(player.frame - 1),
    ArrowRight: () => player.seek(player.frame + 1),
    Home: () => player.seek(0),
    End: () => player.seek(Infinity),
    PageUp: () => player.seek(player.frame - tenth()),
    PageDown: () => player.seek(player.frame + tenth()),
    k: () => playback.toggle(),
    m: () => display.toggleOverlay(),
    f: () => display.mode === "flicker" && display.swap(),
    d: () => timeline.hideBetween(player.frame, player.frame, !player.editing?.isHidden(player.frame)),
    "+": () => stage.view.zoomIn(),
    "=": () => stage.view.zoomIn(),
    "-": () => stage.view.zoomOut(),
    0: () => stage.view.fit(),
  };

  /** On the timeline, Shift takes along whether the frame left behind is hidden. */
  function drag(step) {
    const to = player.frame + step;
    if (player.editing) timeline.hideBetween(to, to, player.editing.isHidden(player.frame));
    player.seek(to);
  }

  player.root.addEventListener("keydown", (event) => {
    const { key, target, shiftKey } = event;
    if (event.ctrlKey || event.metaKey || event.altKey || typing(target)) return;
    const onPictures = target === stage.root;
    let action = plain[key.length === 1 ? key.toLowerCase() : key];
    if (shiftKey && arrows[key]) {
      action = onPictures ? () => {
        player.heard = true;
        stage.moveCursor(...arrows[key]);
        player.draw();
      } : arrows[key][0] ? () => drag(arrows[key][0]) : undefined;
    } else if (key === " " && !pressable(target)) action = () => playback.toggle();
    else if (key === "Enter" && onPictures) action = () => stage.dab();
    else if (target === timeline.slider && key === "ArrowUp") action = plain.ArrowRight;
    else if (target === timeline.slider && key === "ArrowDown") action = plain.ArrowLeft;
    // Radio buttons keep their arrow keys.
    if (!action || (target.matches("input[type=radio]") && arrows[key])) return;
    event.preventDefault();
    action();
  });
  stage.root.addEventListener("pointermove", () => (player.heard = false));
}

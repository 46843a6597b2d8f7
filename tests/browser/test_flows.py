"""What people do with the page, from the first look to a file on their disk."""

import base64
import re
from pathlib import Path

import numpy as np
import pytest
from pages import decoded, drag, frame_of, go, pictures, ready, run, shows
from playwright.sync_api import Locator, Page, expect

from frame_forecast.clip import Clip
from frame_forecast.io.clips import write

SMALL = "masked_lstm_small.moving_mnist"


def moving_square(dtype: str = "u1", frames: int = 12) -> np.ndarray:
    """A bright square that moves over noise: ``(T, 1, 48, 64)``, not square and not of the weights' size."""
    values = np.random.default_rng(0).integers(0, 40, (frames, 1, 48, 64)).astype(dtype)
    for t, frame in enumerate(values):
        frame[0, 10:26, 4 + 3 * t : 20 + 3 * t] = 220
    return values


def test_it_opens_with_something_moving(page: Page) -> None:
    watch = ready(page, "watch")
    expect(watch.get_by_test_id("panel-prediction")).to_contain_text("Prediction")
    expect(watch.get_by_test_id("play")).to_have_attribute("aria-label", "Pause")
    before = frame_of(watch)
    expect(watch.get_by_test_id("frame-number")).not_to_have_text(re.compile(rf"^{before} /"))


def test_play_pause_step_and_scrub(page: Page) -> None:
    watch = ready(page, "watch")
    watch.get_by_test_id("play").click()
    still = frame_of(watch)
    page.wait_for_timeout(400)
    assert frame_of(watch) == still
    timeline = watch.get_by_test_id("timeline")
    drag(timeline, (14.5 / 20, 0.5))
    shows(watch, 14)
    forecast = pictures(watch)
    drag(timeline, (14.5 / 20, 0.5), (3.5 / 20, 0.5))
    shows(watch, 3)
    given = pictures(watch)
    assert all(not np.array_equal(forecast[name], given[name]) for name in ("panel-prediction", "panel-target"))
    for key, frame in (("ArrowRight", 4), ("ArrowLeft", 3), ("End", 19), ("Home", 0)):
        timeline.press(key)
        shows(watch, frame)
    watch.get_by_test_id("next").click()
    shows(watch, 1)
    watch.get_by_test_id("speed").select_option("4")
    watch.get_by_test_id("play").click()
    shows(watch, 19)


def test_recreate_a_dropped_file_and_download_it(page: Page, tmp_path: Path) -> None:
    values = moving_square("u2") * 100
    np.save(tmp_path / "square.npy", values)
    place = go(page, "try")
    drop(place, tmp_path / "square.npy")
    expect(place.get_by_test_id("clip-about")).to_contain_text("12 frames")
    expect(place.get_by_test_id("clip-about")).to_contain_text("64")
    place.get_by_test_id("task-recreate").check(force=True)
    place.get_by_test_id("model").select_option("linear")
    lane = place.get_by_test_id("drop-lane")
    drag(lane, (2.5 / 12, 0.5))
    drag(lane, (5.5 / 12, 0.5), (7.5 / 12, 0.5))
    expect(place.get_by_test_id("dropped")).to_have_value("2, 5-7")
    run(place)
    expect(place.get_by_test_id("result-scores")).to_contain_text("dB")
    clip = decoded(place, ".npy", tmp_path)
    hidden = [2, 5, 6, 7]
    kept = [t for t in range(12) if t not in hidden]
    assert clip.values.dtype == np.uint16
    assert clip.values.shape == values.shape
    assert np.array_equal(clip.values[kept], values[kept])
    middle = (values[1].astype(float) + values[3]) / 2  # what linear interpolation is, by hand
    assert np.abs(clip.values[2] - middle).max() <= 1


@pytest.mark.parametrize("suffix", [".gif", ".mp4"])
def test_a_painted_hole_is_filled(page: Page, tmp_path: Path, suffix: str) -> None:
    values = moving_square()
    write(Clip.from_array(values), tmp_path / "square.gif")
    place = go(page, "try")
    place.get_by_test_id("source-file").check(force=True)
    place.get_by_test_id("file-input").set_input_files(tmp_path / "square.gif")
    expect(place.get_by_test_id("clip-about")).to_contain_text("12 frames")
    place.get_by_test_id("task-recreate").check(force=True)
    place.get_by_test_id("model").select_option("mean_frame")
    place.get_by_test_id("brush-paint").check(force=True)
    drag(place.get_by_test_id("panel-input").locator("canvas"), (0.4, 0.5), (0.6, 0.5))
    run(place)
    clip = decoded(place, suffix, tmp_path)
    assert clip.values.shape[0] == 12
    assert clip.values.shape[2:] == (48, 64)
    if suffix == ".gif":
        changed = (clip.values[:, :1] != values).any(axis=(0, 1))
        assert changed[24, 32]  # the middle of the stroke
        assert not changed[:8].any()
        assert not changed[:, :12].any()


def test_exact_frames_are_told_from_the_mean(page: Page, tmp_path: Path) -> None:
    values = np.zeros((12, 1, 48, 64), np.uint8)
    values[5] = 100
    np.save(tmp_path / "flash.npy", values)
    place = go(page, "try")
    place.get_by_test_id("source-file").check(force=True)
    place.get_by_test_id("file-input").set_input_files(tmp_path / "flash.npy")
    expect(place.get_by_test_id("clip-about")).to_contain_text("12 frames")
    place.get_by_test_id("task-recreate").check(force=True)
    place.get_by_test_id("model").select_option("black")
    place.get_by_test_id("dropped").fill("4-5")
    run(place)
    expect(place.get_by_test_id("result-scores")).to_contain_text("54.07 dB (1 of 2 frames exact, counted as 100 dB)")


def test_draw_a_digit_and_forecast_it(page: Page, tmp_path: Path) -> None:
    place = go(page, "try")
    place.get_by_test_id("source-draw").check(force=True)
    drag(place.get_by_test_id("pad"), (0.5, 0.15), (0.5, 0.85))  # a one
    place.get_by_test_id("pad-add").click()
    expect(place.get_by_test_id("clip-about")).to_contain_text("64")
    place.get_by_test_id("model").select_option(SMALL)
    run(place)
    clip = decoded(place, ".npy", tmp_path)
    assert clip.values.shape[1:] == (1, 64, 64)
    start, horizon = (int(place.get_by_test_id(name).input_value()) for name in ("start", "horizon"))
    ink = clip.values.astype(float).sum(axis=(1, 2, 3))
    assert len(ink) >= start + horizon
    assert ink[0] > 10 * 255  # a stroke, not a dot
    assert 0.5 < ink[start : start + horizon].mean() / ink[:start].mean() < 2  # the digit goes on
    moves = [np.abs(b - a).sum() for a, b in zip(clip.values[:-1].astype(float), clip.values[1:], strict=True)]
    assert min(moves) > 0


def test_a_reconstruction_is_no_given_frame(page: Page) -> None:
    place = go(page, "try")
    place.get_by_test_id("task-reconstruct").check(force=True)
    place.get_by_test_id("model").select_option(SMALL)
    run(place)
    expect(place.get_by_test_id("panel-input").locator(".tag")).to_have_text("given")
    expect(place.get_by_test_id("panel-prediction").locator(".tag")).to_have_text("reconstructed")


def test_two_models_on_the_same_clip(page: Page) -> None:
    place = go(page, "try")
    place.get_by_test_id("model").select_option(SMALL)
    run(place)
    place.get_by_test_id("timeline").press("End")
    before = pictures(place)["panel-prediction"]
    place.get_by_test_id("beside-model").select_option("copy_last")
    place.get_by_test_id("beside-run").click()
    expect(place.get_by_test_id("panel-prediction2")).to_be_visible()
    expect(place.locator(".panel-note.waiting:visible")).to_have_count(0)
    scores = place.get_by_test_id("result-scores").inner_text()
    assert scores.count("dB") >= 2
    place.get_by_test_id("timeline").press("End")  # a new result begins to play, and given frames are alike
    expect(place.locator(".panel-note.waiting:visible")).to_have_count(0)
    found = pictures(place)
    assert {"panel-input", "panel-target", "panel-prediction", "panel-error", "panel-error2"} < set(found)
    assert not np.array_equal(found["panel-prediction"], found["panel-prediction2"])
    place.get_by_test_id("beside-remove").click()
    expect(place.get_by_test_id("panel-prediction2")).to_have_count(0)
    assert pictures(place)["panel-prediction"].shape[-1] == before.shape[-1]


def test_a_job_can_be_cancelled(page: Page, tmp_path: Path) -> None:
    np.save(tmp_path / "long.npy", np.random.default_rng(0).integers(0, 255, (200, 1, 128, 128)).astype(np.uint8))
    place = go(page, "try")
    drop(place, tmp_path / "long.npy")
    expect(place.get_by_test_id("clip-about")).to_contain_text("200 frames")
    place.get_by_test_id("task-recreate").check(force=True)
    place.get_by_test_id("model").select_option(SMALL)
    place.get_by_test_id("dropped").fill("3-9")
    place.get_by_test_id("run").click()
    expect(place.get_by_role("progressbar")).to_be_visible()
    place.get_by_test_id("cancel").click()
    expect(place.get_by_test_id("cancel")).to_be_hidden()
    expect(place.get_by_test_id("run")).to_be_enabled()
    expect(place.get_by_test_id("result")).to_be_hidden()
    place.get_by_test_id("model").select_option("copy_last")
    run(place)


def test_what_cannot_be_read_is_said(page: Page, faults: list[str], tmp_path: Path) -> None:
    (tmp_path / "words.npy").write_bytes(b"no frames at all")
    place = go(page, "try")
    drop(place, tmp_path / "words.npy")
    expect(page.get_by_test_id("notices")).to_contain_text("words.npy")
    assert len(faults) == 2  # the answer, and the browser's own line about it
    assert all("400" in fault for fault in faults)
    faults.clear()


def drop(place: Locator, path: Path) -> None:
    """Drops a file on the page, as the mouse does."""
    place.get_by_test_id("source-file").check(force=True)
    content = base64.b64encode(path.read_bytes()).decode()
    place.get_by_test_id("drop-zone").evaluate(_DROP, [path.name, content])


_DROP = """(zone, [name, content]) => {
  const bytes = Uint8Array.from(atob(content), (one) => one.charCodeAt(0));
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([bytes], name));
  for (const type of ["dragenter", "dragover", "drop"]) {
    zone.dispatchEvent(new DragEvent(type, { dataTransfer, bubbles: true, cancelable: true }));
  }
}"""

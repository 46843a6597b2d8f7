"""What was named on the command line, and whether what the page shows is what is in the files."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from pages import PHONE, drag, go, pictures, ready, shows
from playwright.sync_api import Locator, Page, Position, expect

from frame_forecast.clip import Clip
from frame_forecast.io.clips import write
from frame_forecast.scale import ValueScale
from frame_forecast.training.config import Budget
from frame_forecast.training.settings import RunSettings
from served import Served, serve


def train_on(run: Path, steps: int) -> None:
    """What a run has on disk after so many steps."""
    RunSettings("lstm_autoencoder", Budget(steps=100)).save(run)
    log = run / "logs" / "version_0" / "metrics.csv"
    log.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"{step},{0.5 / (step + 1)},{step}.5" for step in range(steps)]
    log.write_text("\n".join(["step,train/loss,train/seconds", *lines]) + "\n")


def rain() -> Clip:
    """Counts with a hole and a missing frame; the pixel in row y and column x of frame t is 1000 t + 100 y + x."""
    t, y, x = np.meshgrid(np.arange(8), np.arange(20), np.arange(30), indexing="ij")
    values = (1000 * t + 100 * y + x)[:, None].astype(np.uint16)
    observed = np.ones((8, 1, 20, 30), bool)
    observed[3] = False
    observed[5, 0, :4, :4] = False
    return Clip(values, observed, ValueScale(0, 10_000))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shown")
    write(rain(), folder / "rain.npz")
    train_on(folder / "run", 3)
    return folder


@pytest.fixture(scope="module")
def served(folder: Path) -> Iterator[Served]:
    with serve(folder / "served", str(folder / "rain.npz"), str(folder / "run")) as served:
        yield served


def test_values_holes_and_missing_frames(page: Page) -> None:
    watch = ready(page, "watch")
    expect(watch.get_by_test_id("watch-about")).to_contain_text("8 frames of 30")
    expect(watch.get_by_test_id("marks")).to_contain_text("filled")
    timeline = watch.get_by_test_id("timeline")
    drag(timeline, (2.5 / 8, 0.5))
    shows(watch, 2)
    panel = watch.get_by_test_id("panel-input")
    panel.locator("canvas").hover(position=at(panel, 7, 11))
    expect(panel.locator(".value")).to_have_text(re.compile(r"^3[\u202f\u2009, ]?107"))
    drag(timeline, (3.5 / 8, 0.5))
    shows(watch, 3)
    expect(panel).to_contain_text("missing")
    drag(timeline, (5.5 / 8, 0.5))
    shows(watch, 5)
    panel.locator("canvas").hover(position=at(panel, 1, 1))
    expect(panel.locator(".value")).to_have_text("\N{EN DASH}")
    prediction = watch.get_by_test_id("panel-prediction")
    expect(prediction.locator(".value")).to_have_text(re.compile(r"^\d"))
    before = pictures(watch)["panel-prediction"]
    page.keyboard.press("m")
    expect(watch.get_by_test_id("mask-overlay")).to_be_checked()
    after = pictures(watch)["panel-prediction"]
    changed = (before != after).any(axis=2)
    height, width = changed.shape
    assert changed[: height // 5, : width * 4 // 30].any()  # the hole
    assert not changed[height // 4 :].any()


def at(panel: Locator, x: int, y: int) -> Position:
    """Where on a panel's canvas a pixel of the picture is."""
    box = panel.locator("canvas").bounding_box()
    assert box is not None
    return Position(x=(x + 0.5) / 30 * box["width"], y=(y + 0.5) / 20 * box["height"])


def test_modes_and_colours(page: Page) -> None:
    watch = ready(page, "watch")
    drag(watch.get_by_test_id("timeline"), (2.5 / 8, 0.5))
    shows(watch, 2)
    grey = pictures(watch)["panel-input"][..., :3].astype(int)
    assert (grey.max(axis=2) == grey.min(axis=2)).all()
    watch.get_by_test_id("display").evaluate("(node) => (node.open = true)")
    watch.get_by_test_id("colour-map").select_option("viridis")
    expect(watch.get_by_test_id("legend-values")).to_be_visible()
    assert not np.array_equal(pictures(watch)["panel-input"][..., :3], grey)
    watch.get_by_test_id("mode-difference").check(force=True)
    expect(watch.get_by_test_id("panel-single")).to_contain_text("minus")
    watch.get_by_test_id("mode-flicker").check(force=True)
    watch.get_by_test_id("flicker-auto").uncheck()
    title = watch.get_by_test_id("panel-single").locator(".title")
    first = title.inner_text()
    watch.get_by_test_id("flicker-swap").click()
    expect(title).not_to_have_text(first)


def test_curves_move_while_a_run_trains(page: Page, folder: Path) -> None:
    train_on(folder / "run", 3)
    scores = go(page, "scores")
    plot = scores.get_by_test_id("plot-training_loss").locator("img")
    expect(plot).to_be_visible()
    expect(scores.get_by_test_id("training")).to_be_visible()
    expect(scores).to_contain_text("3 steps so far")
    before = plot.get_attribute("src")
    assert before
    train_on(folder / "run", 30)
    expect(plot).not_to_have_attribute("src", before)
    expect(scores).to_contain_text("30 steps so far")
    assert plot.evaluate("(image) => image.decode().then(() => image.naturalWidth)") > 100
    assert [one for one in Axe().run(page).response["violations"] if one["impact"] in ("serious", "critical")] == []


@pytest.mark.parametrize("page", [PHONE], indirect=True, ids=["phone"])
def test_a_finger_draws_hides_and_scrubs(page: Page) -> None:
    place = go(page, "try")
    place.get_by_test_id("source-draw").check(force=True)
    touch(page, place.get_by_test_id("pad"), (0.5, 0.2), (0.5, 0.8))
    place.get_by_test_id("pad-add").tap()
    expect(place.get_by_test_id("result")).to_be_visible()  # it runs at every change
    place.get_by_test_id("task-recreate").check(force=True)
    touch(page, place.get_by_test_id("drop-lane"), (2.5 / 20, 0.5), (4.5 / 20, 0.5))
    expect(place.get_by_test_id("dropped")).to_have_value("2-4")
    touch(page, place.get_by_test_id("timeline"), (1.5 / 20, 0.5), (3.5 / 20, 0.5))
    shows(place, 3)


def touch(page: Page, target: Locator, *points: tuple[float, float]) -> None:
    """Draws with a finger; points are shares of the target's size."""
    target.scroll_into_view_if_needed()
    box = target.bounding_box()
    assert box is not None
    fingers = page.context.new_cdp_session(page)
    places = [{"x": box["x"] + x * box["width"], "y": box["y"] + y * box["height"]} for x, y in points]
    fingers.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": places[:1]})
    begin, end = places[0], places[-1]
    for share in (0.25, 0.5, 0.75, 1):
        place = {axis: begin[axis] + share * (end[axis] - begin[axis]) for axis in "xy"}
        fingers.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [place]})
    fingers.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    fingers.detach()

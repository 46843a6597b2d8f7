"""`--model auto`: the best method is taken where it is known, and foretells its error; nothing hidden is looked at."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from torch import Tensor

from frame_forecast import choose, predict, streaming, weights
from frame_forecast.choose import Candidates, Choice
from frame_forecast.errors import ConfigError, FrameForecastError, ShapeError, WeightsError
from frame_forecast.header import Header
from frame_forecast.io.base import Frame
from frame_forecast.io.sidecar import read_sidecar, sidecar_of
from frame_forecast.models.registry import entry_of
from frame_forecast.own_files import process_all
from frame_forecast.own_frames import process
from frame_forecast.own_request import Request
from frame_forecast.predict import Forecaster
from frame_forecast.scale import ValueScale
from stand_in import StandIn

T, SIDE = 30, 40
GAP = [8, 9, 20, 21]
METHODS = ["optical_flow", "linear", "nearest", "copy_last", "mean_frame"]


def texture() -> np.ndarray:
    grains = np.random.default_rng(0).integers(0, 256, (6, 6), dtype=np.uint8)
    return np.asarray(Image.fromarray(grains).resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def noise() -> np.ndarray:
    """A scene that stands still, and noise: the mean of many frames is best."""
    scene = texture() + np.random.default_rng(1).normal(0, 20, (T, SIDE, SIDE))
    return np.clip(scene, 0, 255).astype(np.uint8)[:, None]


def fade() -> np.ndarray:
    """A still texture that grows brighter: a straight line is best."""
    return (texture() * np.linspace(0.1, 1, T)[:, None, None]).astype(np.uint8)[:, None]


def motion() -> np.ndarray:
    """A texture that moves: so are its frames moved by optical flow."""
    return np.stack([np.roll(texture(), (t, 2 * t), (0, 1)) for t in range(T)])[:, None]


BEST = [(noise, "mean_frame"), (fade, "linear"), (motion, "optical_flow")]


def lost(*missing: int) -> np.ndarray:
    observed = np.ones((T, 1, SIDE, SIDE), dtype=bool)
    observed[list(missing)] = False
    return observed


def candidates(*names: str, **others: Forecaster) -> Candidates:
    return Candidates({name: predict.load(name, "cpu") for name in names} | others)


def auto(
    values: np.ndarray, observed: np.ndarray, among: Candidates, task: str = "recreate", horizon: int = 0, **how: Any
) -> Choice:
    count, C, H, W = values.shape
    header = Header("array", count, C, H, W, values.dtype, ValueScale(0, 255))

    def frames() -> Iterator[Frame]:
        return (Frame(*pair) for pair in zip(values, observed, strict=True))

    found = streaming.survey(zip(map(Frame.whole, values), frames(), strict=True), header, among.longest)
    return choose.choose(frames, header, found, task, horizon, among, **how)


@pytest.mark.parametrize(("make", "best"), BEST)
@pytest.mark.parametrize("missing", ["gaps", "pixels"])
def test_the_method_is_taken_that_is_known_to_be_best(make: Any, best: str, missing: str) -> None:
    observed = lost(*GAP) if missing == "gaps" else np.random.default_rng(2).random((T, 1, SIDE, SIDE)) > 0.1
    choice = auto(make(), observed, candidates(*METHODS))
    assert choice.name == choice.best.name == choice.table[0].model == best
    assert [one.psnr for one in choice.table] == sorted((one.psnr for one in choice.table), reverse=True)
    assert {one.model for one in choice.table} == set(METHODS)
    assert choice.notes == []


@pytest.mark.parametrize(("make", "best"), [(noise, "mean_frame"), (motion, "optical_flow")])
@pytest.mark.parametrize("task", ["forecast", "reconstruct"])
def test_so_it_is_for_the_other_tasks(make: Any, best: str, task: str) -> None:
    choice = auto(make(), lost(), candidates(*METHODS), task, 3 if task == "forecast" else 0)
    assert choice.name == best
    assert {one.distance for one in choice.expected} == ({1, 2, 3} if task == "forecast" else {1})


@pytest.mark.parametrize("make", [noise, fade])
def test_what_is_expected_is_what_is_found_in_the_end(make: Any) -> None:
    values, observed = make(), lost(5, 14, 15, 16, 23)
    choice = auto(values, observed, candidates("linear", "nearest"))
    filled = choice.best.recreate(values, observed)
    error = filled[~observed[:, 0, 0, 0]].astype(float) - values[~observed[:, 0, 0, 0]]
    assert choice.rmse == pytest.approx(np.sqrt(np.square(error).mean()), rel=0.2)
    by_distance = {one.distance: one.rmse for one in choice.expected}
    assert by_distance[1] == pytest.approx(np.sqrt(np.square(error[[0, 1, 3, 4]]).mean()), rel=0.2)
    assert by_distance[2] == pytest.approx(np.sqrt(np.square(error[2]).mean()), rel=0.2)
    psnr = -10 * np.log10(np.square(error / 255).mean(axis=(1, 2, 3)))
    assert choice.facts()["expected_psnr"] == pytest.approx(psnr.mean(), abs=1.0)


def test_the_score_is_that_of_hidden_frames_by_hand() -> None:
    values = np.random.default_rng(0).integers(0, 256, (5, 1, 4, 4), dtype=np.uint8)
    choice = auto(values, np.ones((5, 1, 4, 4), dtype=bool), candidates("nearest"), "reconstruct")
    # Of five frames, pass 0 hides 0 and 4, and so on: the nearest before is taken, after the first the next.
    errors = np.square((values[[1, 0, 1, 2, 3]].astype(float) - values) / 255).mean(axis=(1, 2, 3))
    assert choice.table[0].psnr == pytest.approx(float(np.mean(-10 * np.log10(errors))))
    assert choice.rmse == pytest.approx(255 * np.sqrt(errors.mean()))
    assert (choice.probes, choice.frames, choice.expected[0].values) == (4, 5, 5 * 16)


def test_nothing_that_is_missing_is_looked_at_and_the_same_is_chosen_again() -> None:
    values, observed = motion(), lost(*GAP)
    observed[15, :, :10] = False
    among = candidates("linear", "nearest")
    first = auto(values, observed, among)
    other = np.where(observed, values, np.uint8(77))
    assert (first.table, first.expected) == (auto(other, observed, among).table, auto(values, observed, among).expected)
    shown = values.copy()
    shown[10] = 0  # which is observed
    assert auto(shown, observed, among).table != first.table


class Fixed(StandIn):
    """Takes frames of one size alone."""

    frame_size = (100, 100)

    def _predict(self, frames: Tensor, observed: Tensor, valid: Tensor) -> Tensor:
        raise ShapeError("frames that it does not take", "others", "take another")


def test_a_candidate_that_cannot_is_left_out_with_a_line() -> None:
    forecasts = StandIn()
    forecasts.tasks = frozenset({"forecast"})
    others = {"other": Forecaster(Fixed(), "other", None, "cpu"), "ahead": Forecaster(forecasts, "ahead", None, "cpu")}
    choice = auto(fade(), lost(*GAP), candidates("linear", **others))
    assert [one.model for one in choice.table] == ["linear"]
    assert len(choice.notes) == 2
    assert "ahead is left out: it does not recreate" in choice.notes
    assert any(note.startswith("other is left out: frames") for note in choice.notes)


def test_where_there_is_no_time_one_method_is_tried_once() -> None:
    choice = auto(fade(), lost(*GAP), candidates("linear", "nearest", "mean_frame"), seconds=0)
    assert (len(choice.table), choice.probes) == (1, 1)
    assert len(choice.notes) == 2
    assert all("is left out: " in note for note in choice.notes)


def test_where_nothing_can_be_hidden_the_first_method_is_taken() -> None:
    choice = auto(fade()[:2], lost(1)[:2], candidates(*METHODS))
    assert (choice.name, choice.table, choice.expected, choice.rmse) == ("optical_flow", [], [], None)
    assert str(choice) == "optical_flow, for nothing could be hidden to compare methods on"
    assert choice.facts()["expected_psnr"] is None


def test_probes_of_large_frames_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose, "_MOST_BYTES", 4 * 20 * 3 * SIDE**2)
    assert auto(fade(), lost(*GAP), candidates("linear")).probes == 4


def tiny(folder: Path) -> Path:
    torch.manual_seed(0)
    entry = entry_of("masked_lstm")
    sizes = {"context": 5, "horizon": 3, "channels": 1, "height": 16, "width": 16}
    weights.save(folder, entry.build(entry.tiny), "masked_lstm", **sizes)
    return folder


def test_released_weights_of_motion_and_own_ones_are_among_the_candidates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = str(tiny(tmp_path / "own"))
    found = choose.load("auto", [own], "cpu")
    assert isinstance(found, Candidates)
    motion_tags = [tag for tag in weights.tags() if tag.endswith(".motion")]
    assert list(found.forecasters) == [own, *motion_tags, *METHODS]
    assert found.identity()[own] == found.forecasters[own].weights_sha256
    assert found.identity()["linear"] is None
    load = predict.load

    def without_opencv(name: str, *args: Any) -> Forecaster:
        if name == "optical_flow":
            raise ConfigError("no package cv2", "it to be installed", "install it")
        return load(name, *args)

    monkeypatch.setattr(predict, "load", without_opencv)
    found = choose.load("auto", device="cpu")
    assert isinstance(found, Candidates)
    assert "optical_flow" not in found.forecasters
    assert found.left_out == ["optical_flow is left out: no package cv2: expected it to be installed; install it"]
    assert auto(fade(), lost(*GAP), found).notes == found.left_out


@pytest.mark.parametrize(
    ("name", "own", "device", "error"),
    [
        ("linear", ["weights"], "cpu", ConfigError),
        ("auto", ["linear", "linear"], "cpu", ConfigError),
        ("auto", ["nowhere"], "cpu", WeightsError),
        ("auto", [], "none", ConfigError),
    ],
)
def test_what_cannot_be_is_an_error(name: str, own: list[str], device: str, error: type[FrameForecastError]) -> None:
    with pytest.raises(error) as raised:
        choose.load(name, own, device)
    assert raised.value.next_step


def test_a_method_that_only_frames_can_tell_is_not_loaded() -> None:
    with pytest.raises(ConfigError, match="only known on frames"):
        predict.load("auto")


def test_the_sidecar_says_what_was_chosen_and_what_to_expect(tmp_path: Path) -> None:
    source, target = tmp_path / "in.npy", tmp_path / "out.npy"
    np.save(source, fade()[:, 0])
    among = candidates("nearest", "linear")
    said = process(str(source), target, Request("recreate", missing="8-9"), among, console=Console(quiet=True))
    sidecar = read_sidecar(sidecar_of(target))
    assert (sidecar["model"], sidecar["weights_sha256"]) == ("auto", None)
    assert sidecar["candidates"] == {"nearest": None, "linear": None}
    choice = sidecar["choice"]
    assert (choice["model"], choice["weights_sha256"]) == ("linear", None)
    assert [row["model"] for row in choice["table"]] == ["linear", "nearest"]
    assert choice["expected_psnr"] == choice["table"][0]["psnr"] > choice["table"][1]["psnr"]
    assert [row["distance"] for row in choice["expected_error"]] == [1]
    assert choice["expected_rmse"] == pytest.approx(choice["expected_error"][0]["rmse"])
    scores = ", ".join(f"{row['model']} {row['psnr']:.1f} dB" for row in choice["table"])
    assert said == f"2 of 30 frames made by linear; on your data: {scores} ({choice['frames_hidden']} frames hidden)"
    np.testing.assert_array_equal(np.load(target)[:, None], predict.load("linear", "cpu").recreate(fade(), lost(8, 9)))


def test_what_auto_did_before_is_skipped_unless_there_is_more_to_choose_from(tmp_path: Path) -> None:
    for name in "ab":
        np.save(tmp_path / f"{name}.npy", fade()[:, 0])
    request = Request("recreate", missing="8-9")

    def run(among: Candidates | Forecaster) -> list[str]:
        outcomes = process_all([str(tmp_path / "*.npy")], tmp_path / "out", request, among, console=Console(quiet=True))
        return [one.status for one in outcomes]

    assert run(candidates("nearest", "linear")) == ["done", "done"]
    assert run(candidates("nearest", "linear")) == ["skipped", "skipped"]
    assert run(candidates("nearest", "linear", "mean_frame")) == ["failed", "failed"]
    assert run(predict.load("linear", "cpu")) == ["failed", "failed"]


def test_what_is_expected_is_json_that_any_reader_takes() -> None:
    observed = lost()
    observed[:, :, :5, :5] = False
    choice = auto(fade(), observed, candidates("linear"))
    assert choice.expected[-1].distance is None
    facts = json.loads(json.dumps(choice.facts(), allow_nan=False))
    assert facts["expected_error"][-1]["distance"] is None

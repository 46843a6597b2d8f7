"""Weights adapted to a clip of one's own: never worse than they were, nothing half-written, clear refusals."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from frame_forecast import fit as module
from frame_forecast import predict, weights
from frame_forecast.errors import ConfigError, DataError, FrameForecastError, OutputError
from frame_forecast.fit import Fitted, fit
from frame_forecast.models import entry_of
from frame_forecast.predict import Forecaster

SECOND = 1 / 60  # of a minute


@pytest.fixture(autouse=True)
def few_patches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PIXELS", 48 * 32**2)
    monkeypatch.setattr(module, "_VALIDATED_PIXELS", 8 * 32**2)
    monkeypatch.setattr(module, "_BATCH_PIXELS", 8 * 32**2)


@pytest.fixture
def base(tmp_path: Path) -> Forecaster:
    """An untrained network that starts from optical flow."""
    torch.manual_seed(0)
    entry = entry_of("masked_lstm")
    model = entry.build(replace(entry.tiny, flow=True))
    weights.save(tmp_path / "base", model, "masked_lstm", context=4, horizon=4, channels=1, height=32, width=32)
    return predict.load(tmp_path / "base", device="cpu", precision="float32")


def fading(frames: int = 32, size: int = 32) -> np.ndarray:
    """Stripes that move and breathe, uint8 ``(T, H, W)``: flow sees the motion alone."""
    place, t = np.arange(size)[None, :, None] + np.arange(size) / 2, np.arange(frames)[:, None, None]
    return (128 + 60 * np.sin((place - 1.5 * t) / 3) * np.cos(t / 2)).astype(np.uint8)


def run(base: Forecaster, folder: Path, array: np.ndarray, seconds: float = 3, **more: bool) -> Fitted:
    source = folder / "clip.npy"
    np.save(source, array)
    return fit(str(source), folder / "mine", base, seconds * SECOND, device="cpu", console=Console(quiet=True), **more)


def test_what_is_written_is_at_least_as_good_and_can_be_used(base: Forecaster, tmp_path: Path) -> None:
    before = {key: value.clone() for key, value in base.model.state_dict().items()}
    array = fading()
    found = run(base, tmp_path, array, seconds=6)
    assert found.steps > 0
    assert found.gained  # the fading is easily learnt
    mine = predict.load(tmp_path / "mine", device="cpu", precision="float32")
    assert mine.weights_sha256 != base.weights_sha256
    assert mine.contract.training["from"] == base.weights_sha256
    assert mine.contract.training["validation_psnr"] >= mine.contract.training["validation_psnr_before"]
    observed = np.arange(32) % 4 != 3
    made, was = (one.recreate(array, observed[:, None, None]) for one in (mine, base))
    wrong, had = (np.abs(one.astype(float) - array)[24:][~observed[24:]].mean() for one in (made, was))
    assert wrong < had
    assert all(torch.equal(value, before[key]) for key, value in base.model.state_dict().items())


def test_without_a_gain_the_weights_are_those_it_began_with(
    base: Forecaster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = module._recipe(base, batch_size=8)
    ruin = replace(recipe, learning_rate=100.0, muon_learning_rate=100.0, warmup=0.0, ema_decay=0.0)
    monkeypatch.setattr(module, "_recipe", lambda base, batch_size: ruin)
    found = run(base, tmp_path, fading())
    assert not found.gained
    assert found.after == found.before
    mine = predict.load(tmp_path / "mine", device="cpu")
    assert all(torch.equal(value, mine.model.state_dict()[key]) for key, value in base.model.state_dict().items())


def test_a_network_that_broke_is_not_taken(base: Forecaster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter([20.0, math.nan, math.nan])
    monkeypatch.setattr(module, "_score", lambda *arguments: next(scores))
    found = run(base, tmp_path, fading(), seconds=1)
    assert (found.after, found.gained) == (20.0, False)
    mine = predict.load(tmp_path / "mine", device="cpu").model.state_dict()
    assert all(torch.equal(value, mine[key]) for key, value in base.model.state_dict().items())


def test_what_is_missing_teaches_nothing(base: Forecaster, tmp_path: Path) -> None:
    """Values that are not observed may be anything, NaN too."""
    array = fading().astype(np.float32) / 255
    array[5], array[:, :4] = np.nan, np.nan
    found = run(base, tmp_path, array)
    assert np.isfinite(found.after)
    assert all(tensor.isfinite().all() for tensor in predict.load(tmp_path / "mine").model.state_dict().values())


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (fading(frames=15), "15 frames, to adapt to: expected 16 at least"),
        (fading(size=15), "15x15 pixels, to adapt to: expected 16x16 at least"),
        (np.where(np.arange(32) < 20, np.nan, fading() / 255).astype(np.float32), "too little is observed"),
    ],
    ids=["too short", "too small", "hardly seen"],
)
def test_clips_that_cannot_be_learnt_from(array: np.ndarray, message: str, base: Forecaster, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        run(base, tmp_path, array)
    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf")])
def test_no_time_is_refused(seconds: float, base: Forecaster, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="minutes"):
        run(base, tmp_path, fading(), seconds=seconds)


def test_a_method_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="linear, to adapt"):
        run(predict.load("linear", device="cpu"), tmp_path, fading())


def test_what_is_there_is_replaced_by_force_alone_and_only_if_it_is_weights(base: Forecaster, tmp_path: Path) -> None:
    there = tmp_path / "mine"
    there.mkdir()
    (there / "thesis.txt").write_text("mine")
    for force in (False, True):
        with pytest.raises(OutputError):
            run(base, tmp_path, fading(), force=force)
    assert (there / "thesis.txt").read_text() == "mine"
    (there / "thesis.txt").unlink()
    there.rmdir()
    run(base, tmp_path, fading(), seconds=1)
    with pytest.raises(FrameForecastError, match="--force"):
        run(base, tmp_path, fading())
    run(base, tmp_path, fading(), seconds=1, force=True)

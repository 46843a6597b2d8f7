"""Backtests of made frames, against what is computed here from the same frames and models."""

import math
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from frame_forecast import backtest as module
from frame_forecast import predict, weights
from frame_forecast.backtest import BESIDE, backtest, motion_weights
from frame_forecast.errors import ConfigError, DataError, FrameForecastError, FrameForecastWarning, TaskError
from frame_forecast.header import Header
from frame_forecast.io.base import Frame, Source
from frame_forecast.models.registry import entry_of
from frame_forecast.scale import ValueScale
from frame_forecast.skill import Backtest

CONTEXT = 17  # of methods without weights for a horizon of 3
QUIET = Console(quiet=True)


@pytest.fixture(autouse=True)
def no_released_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """What there is to compare does not change with the package."""
    monkeypatch.setattr(module, "motion_weights", list)


def blob(frames: int, size: int = 48, step: float = 1.5) -> np.ndarray:
    """A soft blob that drifts to the right and down over a faint texture that drifts with it: uint8 ``(T, H, W)``."""
    y, x = np.mgrid[:size, :size]
    values = np.empty((frames, size, size))
    for t in range(frames):
        u, v = x - 6 - step * t, y - 10 - 0.5 * step * t
        values[t] = 30 + 20 * np.sin(u / 3) * np.cos(v / 4) + 180 * np.exp(-(u**2 + v**2) / 60)
    return np.clip(values, 0, 255).astype(np.uint8)


def noise(frames: int, size: int = 12) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (frames, size, size + 1), dtype=np.uint8)


def run(path: Path, horizon: int = 3, **options: object) -> Backtest:
    return backtest(str(path), horizon, console=QUIET, **options)  # pyright: ignore[reportArgumentType]


def rain_file(path: Path, rate: np.ndarray, units: str = "mm", **more: np.ndarray) -> Path:
    """An archive of what rain of so many mm/h, ``(T, H, W)``, leaves in 5 minutes."""
    scale = {"scale": np.array([0.1, 200]) / 12, "scale_kind": np.array("log1p")}
    times = np.datetime64("2015-05-15T18:00", "s") + 300 * np.arange(len(rate))
    values = (rate[:, None] / 12).astype(np.float32)
    np.savez(path, frames=values, layout="TCHW", units=units, times=times, **(scale | more))
    return path


def test_flow_beats_copying_where_a_blob_moves(tmp_path: Path) -> None:
    np.save(tmp_path / "in.npy", blob(30))
    found = run(tmp_path / "in.npy", windows=4, thresholds=["128"])
    flow = next(one for one in found.methods if one.name == "optical_flow")
    for score, threshold in found.scores:
        if score in ("psnr", "ssim", "mae", "rmse", "csi", "fss_5"):
            assert found.wins(flow, score, threshold) == [1, 2, 3], score
    assert found.verdicts() == [
        f"optical_flow beats the best of copy_last, mean_frame up to lead time 3 of 3 by {by}"
        for by in ("PSNR", "CSI at 128")
    ]


def test_every_number_of_a_window_by_hand(tmp_path: Path) -> None:
    values = noise(24)
    np.save(tmp_path / "in.npy", values)
    found = run(tmp_path / "in.npy", windows=2, thresholds=["200"])
    assert found.origins == [CONTEXT, 21]
    assert {one.name: one.context for one in found.methods} == dict.fromkeys(BESIDE, CONTEXT)
    truth = np.stack([values[origin : origin + 3] for origin in found.origins]).astype(float)
    for name in BESIDE:
        model = predict.load(name, "cpu")
        past = [values[origin - CONTEXT : origin] for origin in found.origins]
        made = np.stack([model.forecast(clip, 3) for clip in past]).astype(float)
        error = made - truth
        rows = {row.score: row for row in found.rows if row.method == name}
        assert rows["mae"].per_lead_time == pytest.approx(np.abs(error).mean(axis=(0, 2, 3)))
        assert rows["rmse"].per_lead_time == pytest.approx(np.sqrt((error**2).mean(axis=(0, 2, 3))))
        assert rows["rmse"].overall == pytest.approx(np.sqrt((error**2).mean()))
        decibels = 10 * np.log10(255**2 / (error**2).mean(axis=(2, 3)))
        assert rows["psnr"].per_lead_time == pytest.approx(decibels.mean(axis=0), rel=1e-5)
        hits, either = (made >= 200) & (truth >= 200), (made >= 200) | (truth >= 200)
        assert rows["csi"].per_lead_time == pytest.approx(hits.sum(axis=(0, 2, 3)) / either.sum(axis=(0, 2, 3)))


def test_a_model_sees_its_own_context_and_nothing_later(tmp_path: Path) -> None:
    torch.manual_seed(0)
    entry = entry_of("lstm_autoencoder")
    sizes = {"context": 5, "horizon": 3, "channels": 1, "height": 16, "width": 16}
    weights.save(tmp_path / "lstm", entry.build(entry.tiny), "lstm_autoencoder", **sizes)
    values = np.random.default_rng(1).integers(0, 256, (20, 16, 16), dtype=np.uint8)
    np.save(tmp_path / "in.npy", values)
    name = str(tmp_path / "lstm")
    found = run(tmp_path / "in.npy", windows=1, models=[name])
    assert [(one.name, one.context) for one in found.methods[:2]] == [(name, 5), ("copy_last", CONTEXT)]
    assert found.methods[0].weights_sha256
    assert found.origins == [17]
    made = predict.load(name, "cpu").forecast(values[12:17], 3).astype(float)
    expected = np.abs(made - values[17:]).mean(axis=(1, 2))
    assert found.row(name, "mae").per_lead_time == pytest.approx(expected)
    assert len(found.verdicts()) == 2  # of the model, and of optical flow


def test_the_truth_counts_where_it_is_known_alone(tmp_path: Path) -> None:
    values = noise(20).astype(np.float32)
    values[18, :6] = np.nan  # of lead time 2
    values[19] = np.nan
    np.save(tmp_path / "in.npy", values)
    found = run(tmp_path / "in.npy", windows=1, thresholds=["100"])
    mae = found.row("copy_last", "mae").per_lead_time
    assert mae[0] == pytest.approx(np.abs(values[17] - values[16]).mean())
    assert mae[1] == pytest.approx(np.abs(values[18, 6:] - values[16, 6:]).mean())
    assert math.isnan(mae[2])
    for row in found.rows:
        assert math.isnan(row.per_lead_time[2]), row
        assert not math.isnan(row.overall), row


def test_frames_that_are_missing_from_a_series_are_no_truth(tmp_path: Path) -> None:
    rate = np.random.default_rng(2).gamma(0.3, 5, (22, 12, 12))
    observed = np.ones((22, 1, 12, 12), bool)
    observed[20] = False
    found = run(rain_file(tmp_path / "in.npz", rate, observed=observed), windows=1)
    assert math.isnan(found.row("copy_last", "mae").per_lead_time[1])


def test_rain_has_thresholds_and_times(tmp_path: Path) -> None:
    rate = np.random.default_rng(2).gamma(0.3, 5, (22, 12, 12))
    found = run(rain_file(tmp_path / "in.npz", rate), windows=1)
    limits = [threshold for score, threshold in found.scores if score == "csi"]
    assert [one.mm_per_hour for one in limits if one] == [0.1, 1, 5]
    assert [one.value for one in limits if one] == pytest.approx([0.1 / 12, 1 / 12, 5 / 12])
    assert (found.units, found.span(3)) == ("mm", "15 min")
    for one in limits:
        share = (rate[19:] >= one.mm_per_hour).mean()
        assert found.row("copy_last", "base_rate", one).overall == pytest.approx(share)


def test_thresholds_of_ones_own(tmp_path: Path) -> None:
    rain = rain_file(tmp_path / "rain.npz", np.random.default_rng(2).gamma(0.3, 5, (22, 12, 12)))
    found = run(rain, windows=1, thresholds=["0.5", "6mm/h", " 6 mm/h"])
    limits = [threshold for score, threshold in found.scores if score == "csi"]
    assert [(one.value, one.mm_per_hour) for one in limits if one] == [(0.5, None), (pytest.approx(0.5), 6)]
    np.save(tmp_path / "in.npy", noise(20))
    assert {threshold for _, threshold in run(tmp_path / "in.npy", windows=1).scores} == {None}


@pytest.mark.parametrize("text", ["much", "nan", "inf", "", "mm/h", "0mm/h", "-1mm/h"])
def test_thresholds_that_are_none(text: str, tmp_path: Path) -> None:
    rain = rain_file(tmp_path / "rain.npz", np.ones((22, 12, 12)))
    with pytest.raises(ConfigError, match="threshold"):
        run(rain, windows=1, thresholds=[text])


def test_a_rate_of_what_is_no_rain(tmp_path: Path) -> None:
    np.save(tmp_path / "in.npy", noise(20))
    with pytest.raises(ConfigError, match="unknown units"):
        run(tmp_path / "in.npy", windows=1, thresholds=["1mm/h"])


@pytest.mark.parametrize(
    ("frames", "windows", "origins"),
    [(20, 1, [17]), (21, 2, [17, 18]), (24, 3, [17, 19, 21]), (40, 8, [17, 19, 22, 25, 28, 31, 34, 37])],
)
def test_origins_are_spread_from_the_first_to_the_last_that_can_be(
    frames: int, windows: int, origins: list[int], tmp_path: Path
) -> None:
    np.save(tmp_path / "in.npy", noise(frames))
    assert run(tmp_path / "in.npy", windows=windows).origins == origins


@pytest.mark.parametrize(
    ("frames", "horizon", "windows", "said"),
    [
        (19, 3, 1, "of 19 frames: expected 20 at least: 17 of context, 3 of horizon.*give more frames$"),
        (20, 3, 2, "of 20 frames: expected 21 at least.*or lower --horizon or --windows"),
        (24, 15, 1, "of 24 frames: expected 25 at least: 10 of context, 15 of horizon.*or lower --horizon"),
    ],
)
def test_too_few_frames(frames: int, horizon: int, windows: int, said: str, tmp_path: Path) -> None:
    np.save(tmp_path / "in.npy", noise(frames))
    with pytest.raises(DataError, match=said):
        run(tmp_path / "in.npy", horizon, windows=windows)


@pytest.mark.parametrize("option", ["horizon", "windows"])
@pytest.mark.parametrize("value", [0, -1])
def test_numbers_that_cannot_be(option: str, value: int, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"{option}={value}"):
        run(tmp_path / "none.npy", **{"horizon": 3, "windows": 1} | {option: value})


def test_more_memory_than_there_is(tmp_path: Path) -> None:
    np.save(tmp_path / "in.npy", noise(20))
    with pytest.raises(ConfigError, match="a horizon of 1000000000"):
        run(tmp_path / "in.npy", 10**9)


def test_a_model_that_does_not_forecast(tmp_path: Path) -> None:
    entry = entry_of("lstm_autoencoder")
    model = entry.build(entry.config(**vars(entry.tiny) | {"form": "reconstruction"}))
    sizes = {"context": 5, "horizon": 0, "channels": 1, "height": 16, "width": 16}
    weights.save(tmp_path / "lstm", model, "lstm_autoencoder", **sizes)
    np.save(tmp_path / "in.npy", noise(20))
    with pytest.raises(TaskError, match="forecast"):
        run(tmp_path / "in.npy", models=[str(tmp_path / "lstm")])


def test_motion_weights_are_the_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tags = ["masked_lstm.motion", "masked_lstm.moving_mnist", "masked_lstm_small.motion"]
    monkeypatch.setattr(weights, "tags", lambda: tags)
    assert motion_weights() == [tags[0], tags[2]]
    monkeypatch.setattr(module, "motion_weights", lambda: ["nearest"])
    np.save(tmp_path / "in.npy", noise(20))
    assert [one.name for one in run(tmp_path / "in.npy", windows=1).methods] == ["nearest", *BESIDE]
    found = run(tmp_path / "in.npy", windows=1, models=["linear", "copy_last"])
    assert [one.name for one in found.methods] == ["linear", "copy_last", "mean_frame", "optical_flow"]


class Tracked(Source):
    """A stream of noise that knows how many of its frames are held at a time."""

    name = "tracked"

    def __init__(self, frames: int) -> None:
        self.header = Header("made", frames, 1, 12, 13, np.dtype("u1"), ValueScale(0.0, 255.0))
        self._alive: list[weakref.ref[Frame]] = []
        self.most = 0

    def __iter__(self) -> Iterator[Frame]:
        for values in noise(self.header.frames or 0)[:, None]:
            frame = Frame.whole(values)
            self._alive = [one for one in self._alive if one() is not None] + [weakref.ref(frame)]
            self.most = max(self.most, len(self._alive))
            yield frame
            del frame


@pytest.mark.parametrize("windows", [2, 30])
def test_no_more_frames_than_a_window_holds_are_in_memory(windows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Tracked(90)
    monkeypatch.setattr(module, "open_reader", lambda *_: stream)
    run(Path("tracked"), windows=windows)
    assert stream.most <= CONTEXT + 3 + 1


def test_a_warning_is_of_this_package_and_a_bad_file_an_error(tmp_path: Path) -> None:
    np.save(tmp_path / "in.npy", np.full((20, 12, 12), 7, np.uint8))
    with pytest.warns(FrameForecastWarning, match="one value alone"):
        run(tmp_path / "in.npy", windows=1)
    (tmp_path / "bad.npy").write_bytes(b"\x93NUMPY\x01")
    with pytest.raises(FrameForecastError, match=r"bad\.npy"):
        run(tmp_path / "bad.npy")

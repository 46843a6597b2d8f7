"""One's own file or series through a model: what is written, what its sidecar says, and nothing after an error."""

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from rich.console import Console
from torch import Tensor

from frame_forecast import devices, predict, weights
from frame_forecast.clip import Clip
from frame_forecast.errors import (
    ConfigError,
    DataError,
    FrameForecastError,
    FrameForecastWarning,
    OutputError,
    ShapeError,
    TaskError,
)
from frame_forecast.header import Header
from frame_forecast.io.base import Writer
from frame_forecast.io.clips import read, write
from frame_forecast.io.sidecar import made_masks, read_sidecar, sidecar_of
from frame_forecast.models.registry import entry_of
from frame_forecast.own_frames import process
from frame_forecast.own_request import Request, Task
from frame_forecast.predict import Forecaster
from frame_forecast.scale import ValueScale
from stand_in import StandIn, forecaster

T, SIZE = 12, 16
KINDS = ["npy", "pngs", "gif", "tif", "mkv"]
QUIET = Console(quiet=True)
LINEAR = predict.load("linear", "cpu")


def noise(count: int = T, channels: int = 1, size: int = SIZE) -> np.ndarray:
    return np.random.default_rng(0).integers(1, 250, (count, channels, size, size), dtype=np.uint8)


def make(path: Path, values: np.ndarray) -> Path:
    """A file, or without a suffix a folder of PNG, of frames ``(T, 1, H, W)``, by the formats' own libraries."""
    pictures = [Image.fromarray(frame[0]) for frame in values]
    if path.suffix == ".npy":
        np.save(path, values[:, 0])
    elif path.suffix == ".tif":
        tifffile.imwrite(path, values[:, 0], photometric="minisblack")
    elif path.suffix == ".gif":
        pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=100)
    elif path.suffix == ".mkv":
        header = Header("array", *values.shape, values.dtype)
        write(Clip(values, np.ones((len(values), 1, *values.shape[2:]), bool), ValueScale(0, 255), header=header), path)
    else:
        path.mkdir()
        for number, picture in enumerate(pictures):
            picture.save(path / f"f{number + 7:02d}.png")
    return path


def named(folder: Path, name: str, kind: str) -> Path:
    return folder / (name if kind == "pngs" else f"{name}.{kind}")


def run(
    source: Path | str, target: Path, task: Task, model: Forecaster = LINEAR, *, force: bool = False, **how: Any
) -> str:
    """`process` without a word."""
    return process(str(source), target, Request(task, **how), model, force=force, console=QUIET)


def made_of(target: Path) -> np.ndarray:
    return np.stack(list(made_masks(read_sidecar(sidecar_of(target)))))


def listing(folder: Path) -> dict[str, bytes | None]:
    """Every path below a folder with its content, None for a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def middle(values: np.ndarray, *missing: int) -> np.ndarray:
    """Missing frames on straight lines between their neighbours."""
    filled, seen = values.astype(np.float64), np.delete(np.arange(len(values)), missing)
    for t in missing:
        before, after = seen[seen < t].max(), seen[seen > t].min()
        filled[t] = values[before] + (t - before) / (after - before) * (values[after] - values[before].astype(float))
    return filled


@pytest.mark.parametrize("kind", KINDS)
def test_recreate_fills_what_is_said_to_be_missing_and_leaves_the_rest(kind: str, tmp_path: Path) -> None:
    values = noise()
    source, target = make(named(tmp_path, "in", kind), values), named(tmp_path, "out", kind)
    said = run(source, target, "recreate", missing="3,6-7")
    assert said == "3 of 12 frames made by linear"
    got = read(target).values
    kept = np.delete(np.arange(T), [3, 6, 7])
    np.testing.assert_array_equal(got[kept], values[kept])
    np.testing.assert_allclose(got[[3, 6, 7]], middle(values, 3, 6, 7)[[3, 6, 7]], atol=0.51)
    assert made_of(target).all(axis=(1, 2, 3)).nonzero()[0].tolist() == [3, 6, 7]
    assert not made_of(target)[kept].any()


@pytest.mark.parametrize("kind", KINDS)
def test_forecast_writes_the_frames_that_come_after(kind: str, tmp_path: Path) -> None:
    values = noise()
    source, target = make(named(tmp_path, "in", kind), values), named(tmp_path, "out", kind)
    assert run(source, target, "forecast", horizon=5) == "5 of 5 frames made by linear"
    np.testing.assert_array_equal(read(target).values, np.repeat(values[-1:], 5, axis=0))
    assert made_of(target).shape == (5, 1, SIZE, SIZE)
    assert made_of(target).all()


@pytest.mark.parametrize("kind", KINDS)
def test_reconstruct_predicts_each_frame_from_the_others(kind: str, tmp_path: Path) -> None:
    values = noise()
    source, target = make(named(tmp_path, "in", kind), values), named(tmp_path, "out", kind)
    assert run(source, target, "reconstruct") == "12 of 12 frames made by linear"
    got = read(target).values
    for t in range(1, T - 1):
        np.testing.assert_allclose(got[t], middle(values, t)[t], atol=0.51)
    assert made_of(target).all()


@pytest.mark.parametrize("suffix", ["npy", "npz", "tif", "mkv", ""])
@pytest.mark.parametrize("model", ["linear", "optical_flow"])
def test_colour_frames(suffix: str, model: str, tmp_path: Path) -> None:
    values = noise(channels=3)
    np.save(tmp_path / "in.npy", values.transpose(0, 2, 3, 1))
    target = tmp_path / f"out.{suffix}".removesuffix(".")
    run(tmp_path / "in.npy", target, "recreate", predict.load(model, "cpu"), missing="5", layout="THWC")
    got = read(target, layout="THWC" if suffix == "npy" else None).values
    np.testing.assert_array_equal(np.delete(got, 5, axis=0), np.delete(values, 5, axis=0))
    if model == "linear":
        np.testing.assert_allclose(got[5], middle(values, 5)[5], atol=0.51)


@pytest.mark.parametrize(("suffix", "kind"), [("npz", "npy"), ("mkv", "gif"), ("tif", "pngs"), ("npy", "mkv")])
def test_the_output_is_of_the_kind_that_its_suffix_says(suffix: str, kind: str, tmp_path: Path) -> None:
    values = noise()
    source, target = make(named(tmp_path, "in", kind), values), tmp_path / f"out.{suffix}"
    run(source, target, "recreate", missing="4")
    got = read(target)
    assert got.header is not None
    assert got.header.kind == {"mkv": "video"}.get(suffix, suffix)
    np.testing.assert_array_equal(np.delete(got.values, 4, axis=0), np.delete(values, 4, axis=0))


def test_what_the_sidecar_says(tmp_path: Path) -> None:
    source = make(tmp_path / "in.npy", noise(size=8))
    model = forecaster()
    model.title = "runs/mine"
    line = run(source, tmp_path / "out.npy", "recreate", model, missing="1", layout="THW")
    assert line == "1 of 12 frames made by runs/mine"
    said = json.loads((tmp_path / "out.npy.made.json").read_text())
    assert said["source"] == str(source)
    assert {key: said[key] for key in ("target", "title", "task", "model", "weights_sha256")} == {
        "target": "out.npy",
        "title": "runs/mine",
        "task": "recreate",
        "model": "stand_in",
        "weights_sha256": "",
    }
    assert said["request"] == {"missing": "1", "layout": "THW"}
    assert said["scale"] == {"low": 0, "high": 255, "kind": "linear"}
    assert (said["height"], said["width"], said["frames_written"]) == (8, 8, T)
    assert said["frames"] == [{"frame": 1, "pixels": 64}]


@pytest.fixture
def holed(tmp_path: Path) -> Path:
    """Moving noise of which a frame is black and another like the one before."""
    values = noise()
    values[5] = 0
    values[9] = values[8]
    return make(tmp_path / "in.npy", values)


@pytest.fixture
def mask(tmp_path: Path) -> tuple[str, np.ndarray]:
    """A file in which a block of each frame is missing, and what it says."""
    observed = np.ones((T, 1, SIZE, SIZE), bool)
    for t in range(T):
        observed[t, :, t : t + 3, 2:6] = False
    np.save(tmp_path / "mask.npy", observed)
    return str(tmp_path / "mask.npy"), observed


@pytest.mark.parametrize("use_missing", [True, False])
@pytest.mark.parametrize("use_mask", [True, False])
@pytest.mark.parametrize("use_detect", [True, False])
def test_missing_mask_and_detect_alone_and_together(
    use_missing: bool, use_mask: bool, use_detect: bool, holed: Path, mask: tuple[str, np.ndarray], tmp_path: Path
) -> None:
    how: dict[str, Any] = {}
    hidden = np.zeros((T, 1, SIZE, SIZE), bool)
    if use_missing:
        how["missing"] = "2-3"
        hidden[2:4] = True
    if use_mask:
        how["mask"] = mask[0]
        hidden |= ~mask[1]
    if use_detect:
        how["detect"] = True
        hidden[[5, 9]] = True
    target = tmp_path / "out.npy"
    if not how:
        with pytest.raises(DataError, match="nothing is missing"):
            run(holed, target, "recreate")
        return
    run(holed, target, "recreate", **how)
    source, got = np.load(holed)[:, None], np.load(target)[:, None]
    np.testing.assert_array_equal(made_of(target), hidden)
    np.testing.assert_array_equal(got[~hidden], source[~hidden])
    expected = LINEAR.recreate(source, ~hidden)
    np.testing.assert_allclose(got.astype(int), expected.astype(int), atol=1)
    said = read_sidecar(sidecar_of(target))
    assert said["request"] == how
    assert said.get("detected") == ({"blank": "5", "frozen": "9"} if use_detect else None)


def test_the_sidecar_of_an_output_is_a_mask_for_the_next_model(tmp_path: Path) -> None:
    source, target = make(tmp_path / "in.npy", noise()), tmp_path / "a.npy"
    run(source, target, "recreate", missing="4,6")
    again = tmp_path / "b.npy"
    run(target, again, "recreate", predict.load("nearest", "cpu"), mask=str(sidecar_of(target)))
    np.testing.assert_array_equal(np.load(again)[4], np.load(source)[3])
    np.testing.assert_array_equal(made_of(again), made_of(target))


@pytest.mark.parametrize(("count", "word"), [(T - 1, "mask.npy of 11 frames"), (T + 1, "mask.npy of more frames")])
@pytest.mark.parametrize("task", ["forecast", "recreate", "reconstruct"])
def test_a_mask_of_another_length_is_refused(task: Task, count: int, word: str, tmp_path: Path) -> None:
    source = make(tmp_path / "in.npy", noise())
    np.save(tmp_path / "mask.npy", np.random.default_rng(0).random((count, SIZE, SIZE)) > 0.5)
    before = listing(tmp_path)
    with pytest.raises(DataError, match=word):
        run(source, tmp_path / "out.npy", task, mask=str(tmp_path / "mask.npy"), horizon=2)
    assert listing(tmp_path) == before


def test_a_mask_that_hides_all_is_refused(tmp_path: Path) -> None:
    source = make(tmp_path / "in.npy", noise())
    np.save(tmp_path / "mask.npy", np.zeros((SIZE, SIZE)))
    with pytest.raises(DataError, match=r"in\.npy, of which nothing is left to see"):
        run(source, tmp_path / "out.npy", "recreate", mask=str(tmp_path / "mask.npy"))


def test_nan_is_filled_but_where_there_never_is_a_value(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(300.0, 20.0, (T, SIZE, SIZE)).astype(np.float32)
    values[:, :2] = np.nan  # out of reach
    values[4, 5:9] = np.nan
    values[8] = np.nan
    np.save(tmp_path / "in.npy", values)
    said = run(tmp_path / "in.npy", tmp_path / "out.npy", "recreate")
    got = np.load(tmp_path / "out.npy")
    there = np.isfinite(values)
    np.testing.assert_array_equal(got[there], values[there])
    np.testing.assert_array_equal(np.isfinite(got[:, 2:]), True)
    assert np.isnan(got[:, :2]).all()
    np.testing.assert_allclose(got[8, 2:], (values[7, 2:] + values[9, 2:]) / 2, rtol=1e-5)
    assert said == f"1 of 12 frames made, {4 * SIZE} pixels made in 1 of 12 frames by linear"
    for task in ("forecast", "reconstruct"):
        run(tmp_path / "in.npy", tmp_path / f"{task}.npy", task, horizon=2)
        got = np.load(tmp_path / f"{task}.npy")
        assert np.isnan(got[:, :2]).all()
        assert np.isfinite(got[:, 2:]).all()


def test_a_frame_that_a_series_lacks_is_made_with_its_name_and_its_time(tmp_path: Path) -> None:
    folder = tmp_path / "scans"
    folder.mkdir()
    values = noise()
    for t in [t for t in range(T) if t not in (4, 5)]:
        hour, minute = divmod(5 * t, 60)
        Image.fromarray(values[t, 0]).save(folder / f"scan_20150515_{23 + hour:02d}{minute:02d}.png")
    run(folder, tmp_path / "out", "recreate")
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == [f"scan_20150515_23{5 * t:02d}.png" for t in range(T)]
    np.testing.assert_allclose(read(tmp_path / "out").values[4], middle(values, 4, 5)[4], atol=0.51)
    run(folder, tmp_path / "later", "forecast", horizon=3)
    names = sorted(path.name for path in (tmp_path / "later").iterdir())
    assert names == [f"scan_20150516_00{minute}.png" for minute in ("00", "05", "10")]
    later = read(tmp_path / "later")
    assert later.times is not None
    assert later.times.astype("datetime64[m]").tolist() == [datetime(2015, 5, 16, 0, minute) for minute in (0, 5, 10)]


def test_a_picture_that_cannot_be_read_is_made(tmp_path: Path) -> None:
    values = noise()
    folder = make(tmp_path / "in", values)
    truncated(folder / "f13.png")
    for detect in (False, True):
        target = tmp_path / f"out{detect}"
        with pytest.warns(FrameForecastWarning, match=r"f13\.png") as caught:
            assert run(folder, target, "recreate", detect=detect) == "1 of 12 frames made by linear"
        assert len(caught) == 1
        got = read(target).values
        np.testing.assert_array_equal(np.delete(got, 6, axis=0), np.delete(values, 6, axis=0))
        np.testing.assert_allclose(got[6], middle(values, 6)[6], atol=0.51)
        assert made_of(target)[6].all()


STEPS = [0.1, 0.1, 0.1, 0.14, 0.1, 0.2, 0.1, 0.1, 0.3, 0.1, 0.1]
"""Seconds between the frames of a recording: 1 is lost before frame 6, and 2 before frame 9."""


@pytest.fixture
def uneven(tmp_path: Path) -> tuple[Path, np.ndarray]:
    """A recording at uneven times that has lost frames, and these times."""
    times = np.concatenate([[0], np.cumsum(STEPS)])
    values = noise()
    observed = np.ones((T, 1, SIZE, SIZE), bool)
    write(Clip(values, observed, ValueScale(0, 255), times), tmp_path / "in.mkv")
    return tmp_path / "in.mkv", times


@pytest.mark.filterwarnings("ignore:no regular series")
@pytest.mark.parametrize("suffix", ["mkv", "npz", "mp4"])
def test_what_time_gaps_lost_is_inserted_where_it_should_have_been(
    suffix: str, uneven: tuple[Path, np.ndarray], tmp_path: Path
) -> None:
    source, times = uneven
    target = tmp_path / f"out.{suffix}"
    assert run(source, target, "recreate", detect=True) == "3 of 15 frames made by linear"
    got = read(target)
    kept = np.delete(np.arange(15), [6, 10, 11])
    assert got.times is not None
    np.testing.assert_allclose(got.times[kept], times, atol=2e-3)
    between = [times[5] + 0.1, times[8] + 0.1, times[8] + 0.2]
    np.testing.assert_allclose(got.times[[6, 10, 11]], between, atol=2e-3)
    if suffix != "mp4":
        whole = np.zeros((15, 1, SIZE, SIZE))
        whole[kept] = noise()
        np.testing.assert_array_equal(got.values[kept], noise())
        np.testing.assert_allclose(got.values, middle(whole, 6, 10, 11), atol=0.51)
    assert made_of(target).all(axis=(1, 2, 3)).nonzero()[0].tolist() == [6, 10, 11]
    assert read_sidecar(sidecar_of(target))["detected"] == {"time gap": "6,10-11"}


@pytest.mark.filterwarnings("ignore:no regular series")
def test_nothing_is_inserted_without_being_asked_for(uneven: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    assert run(uneven[0], tmp_path / "out.mkv", "recreate", missing="2") == "1 of 12 frames made by linear"


@pytest.mark.filterwarnings("ignore:no regular series")
def test_frames_and_masks_are_counted_without_what_is_inserted(uneven: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    observed = np.ones((T, SIZE, SIZE), bool)
    observed[7, 2:5] = False  # frame 8 of the output
    np.save(tmp_path / "mask.npy", observed)
    target = tmp_path / "out.npz"
    run(uneven[0], target, "recreate", detect=True, missing="1,10", mask=str(tmp_path / "mask.npy"))
    made = made_of(target)
    assert made.all(axis=(1, 2, 3)).nonzero()[0].tolist() == [1, 6, 10, 11, 13]
    np.testing.assert_array_equal(made[8, 0], ~observed[7])
    assert made.any(axis=(1, 2, 3)).sum() == 6
    np.save(tmp_path / "mask.npy", observed[:-1])
    with pytest.raises(DataError, match=r"mask\.npy of 11 frames"):
        run(uneven[0], tmp_path / "other.npz", "recreate", detect=True, mask=str(tmp_path / "mask.npy"))


@pytest.mark.filterwarnings("ignore:no regular series")
def test_a_forecast_after_time_gaps(uneven: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    run(uneven[0], tmp_path / "out.npz", "forecast", detect=True, horizon=2)
    times = read(tmp_path / "out.npz").times
    assert times is not None
    np.testing.assert_allclose(times, uneven[1][-1] + np.array([0.1, 0.2]), atol=2e-3)


def test_a_numbered_series_goes_on_with_its_numbers(tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for t, frame in enumerate(noise()):
        if t != 3:
            Image.fromarray(frame[0]).save(folder / f"f{10 * t + 90:03d}_x.png")
    run(folder, tmp_path / "out", "forecast", horizon=2)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["f210_x.png", "f220_x.png"]


def test_the_times_of_a_video_go_on(tmp_path: Path) -> None:
    source = make(tmp_path / "in.mkv", noise())
    run(source, tmp_path / "out.npz", "forecast", horizon=3)
    times = read(tmp_path / "out.npz").times
    assert times is not None
    np.testing.assert_allclose(times, [1.2, 1.3, 1.4], atol=1e-3)


def save_autoencoder(folder: Path) -> Forecaster:
    """One that is fixed to 16x16 frames of one channel, through its file."""
    torch.manual_seed(0)
    entry = entry_of("lstm_autoencoder")
    sizes = {"context": 5, "horizon": 3, "channels": 1, "height": SIZE, "width": SIZE}
    weights.save(folder, entry.build(entry.tiny), "lstm_autoencoder", **sizes)
    return predict.load(folder, "cpu", "float32")


def test_a_model_is_called_what_it_was_loaded_as(tmp_path: Path) -> None:
    model = save_autoencoder(tmp_path / "weights")
    assert (model.name, model.title) == ("lstm_autoencoder", str(tmp_path / "weights"))
    assert (LINEAR.name, LINEAR.title) == ("linear", "linear")


@pytest.mark.parametrize("task", ["forecast", "reconstruct"])
def test_larger_colour_frames_through_a_model_of_one_size_and_channel(task: Task, tmp_path: Path) -> None:
    model = save_autoencoder(tmp_path / "weights")
    values = np.random.default_rng(0).integers(0, 255, (5, 3, 40, 24), dtype=np.uint8)
    np.save(tmp_path / "in.npy", values)
    run(tmp_path / "in.npy", tmp_path / "out.npy", task, model, horizon=3, layout="TCHW")
    got = np.load(tmp_path / "out.npy")
    expected = model.forecast(values, 3) if task == "forecast" else model.reconstruct(values)
    np.testing.assert_allclose(got.astype(int), expected.astype(int), atol=1)
    assert read_sidecar(sidecar_of(tmp_path / "out.npy"))["weights_sha256"] == model.weights_sha256


def test_what_a_model_cannot_do_is_said_and_nothing_is_written(tmp_path: Path) -> None:
    model = save_autoencoder(tmp_path / "weights")
    source = make(tmp_path / "in.npy", noise())
    small = make(tmp_path / "small.npy", noise(size=8))
    before = listing(tmp_path)
    with pytest.raises(TaskError, match="'recreate' with lstm_autoencoder"):
        run(source, tmp_path / "out.npy", "recreate", model, missing="2")
    with pytest.raises(TaskError, match=r"in\.npy with missing pixels"):
        run(source, tmp_path / "out.npy", "reconstruct", model, missing="2")
    with pytest.raises(ShapeError, match="8x8"):
        run(small, tmp_path / "out.npy", "forecast", model, horizon=2)
    assert listing(tmp_path) == before


@pytest.mark.parametrize("horizon", [0, -3])
def test_a_forecast_of_no_frames_is_refused(horizon: int) -> None:
    with pytest.raises(ConfigError, match=f"a horizon of {horizon} frames"):
        Request("forecast", horizon)


def test_a_horizon_that_memory_cannot_hold_is_refused(tmp_path: Path) -> None:
    source = make(tmp_path / "in.npy", noise())
    with pytest.raises(ConfigError, match="a horizon of 1000000000"):
        run(source, tmp_path / "out.npy", "forecast", horizon=10**9)


def test_a_gap_that_memory_cannot_hold_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = make(tmp_path / "in.npy", noise(40))
    room = devices.BYTES_A_PIXEL * SIZE**2 * 27
    monkeypatch.setattr(devices, "free_memory", lambda device: room)
    run(source, tmp_path / "short.npy", "recreate", missing="10-24")  # with three tenths of a window on each side
    with pytest.raises(ConfigError, match="takes 28 frames at once"):
        run(source, tmp_path / "long.npy", "recreate", missing="10-25")


@pytest.mark.parametrize("missing", ["", "12", "3-1", "x", "0-11"])
def test_frames_that_are_not_there_are_refused(missing: str, tmp_path: Path) -> None:
    source = make(tmp_path / "in.npy", noise())
    with pytest.raises(FrameForecastError):
        run(source, tmp_path / "out.npy", "recreate", missing=missing)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.npy"]


@pytest.mark.parametrize("there", ["out.npy", "out.npy.made.json"])
def test_what_is_there_is_replaced_by_force_alone(there: str, tmp_path: Path) -> None:
    source, target = make(tmp_path / "in.npy", noise()), tmp_path / "out.npy"
    (tmp_path / there).write_text("mine")
    with pytest.raises(OutputError, match=f"{there}, which is there already"):
        run(source, target, "recreate", missing="2")
    assert (tmp_path / there).read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 2
    run(source, target, "recreate", missing="2", force=True)
    with pytest.raises(OutputError, match=r"out\.npy, which is there already"):  # not its sidecar, which is there too
        run(source, target, "recreate", missing="2")
    assert np.load(target).shape == (T, SIZE, SIZE)
    assert made_of(target)[2].all()
    assert len(list(tmp_path.iterdir())) == 3


def test_a_folder_where_the_sidecar_should_be_is_in_the_way(tmp_path: Path) -> None:
    source = make(tmp_path / "in.npy", noise())
    (tmp_path / "out.npy.made.json").mkdir()
    with pytest.raises(OutputError, match="a folder"):
        run(source, tmp_path / "out.npy", "recreate", missing="2", force=True)
    assert not (tmp_path / "out.npy").exists()


@pytest.mark.parametrize("target", [".", "..", "/"])
def test_an_output_without_a_name_is_refused(target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutputError, match="with a name"):
        run(make(Path("in.npy"), noise()), Path(target), "recreate", missing="2", force=True)


@pytest.mark.parametrize(
    ("dtype", "name", "word"),
    [
        ("uint16", "out.gif", "1 channels of uint16"),
        ("float32", "out.mp4", "1 channels of float32"),
        ("float32", "out", "1 channels of float32"),
        ("uint8", "out.png", "this format has one frame a file"),
        ("uint8", "in.npy/out.npy", "Not a directory"),
        ("uint8", "in.npy/new/out.npy", "Not a directory"),
        ("uint8", "out.xyz", "'.xyz'"),
    ],
)
def test_what_cannot_be_written_is_said_before_the_frames_are_read(
    dtype: str, name: str, word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save(tmp_path / "in.npy", noise()[:, 0].astype(dtype))

    def fail(*_: object) -> None:
        raise AssertionError("read")

    monkeypatch.setattr("frame_forecast.streaming.survey", fail)
    monkeypatch.setattr("frame_forecast.own_frames.examine", fail)
    before = listing(tmp_path)
    with pytest.raises(OutputError, match=word):
        run(tmp_path / "in.npy", tmp_path / name, "recreate", missing="2", detect=True)
    assert listing(tmp_path) == before


def test_a_forecast_of_one_frame_fits_into_a_picture(tmp_path: Path) -> None:
    source = make(tmp_path / "in.npy", noise())
    run(source, tmp_path / "next.png", "forecast", horizon=1)
    assert np.asarray(Image.open(tmp_path / "next.png")).shape == (SIZE, SIZE)
    with pytest.raises(OutputError, match="one frame a file"):
        run(source, tmp_path / "later.png", "forecast", horizon=2)


def test_an_output_among_the_files_that_are_read_is_refused(tmp_path: Path) -> None:
    folder = make(tmp_path / "in", noise())
    before = listing(tmp_path)
    for name in ("whole.npy", "x.png"):
        with pytest.raises(OutputError, match=f"another place, such as {tmp_path / name}"):
            run(folder, folder / name, "recreate", missing="2", force=True)
    assert listing(tmp_path) == before
    run(folder, folder / "out", "recreate", missing="2")  # a folder in it is not read
    assert len(read(folder).values) == T


def test_the_input_is_never_the_output(tmp_path: Path) -> None:
    source, folder = make(tmp_path / "in.npy", noise()), make(tmp_path / "frames", noise())
    before = listing(tmp_path)
    other = tmp_path / "frames" / ".." / "in.npy"
    for given, target in ((source, source), (source, other), (folder, folder), (f"{folder}/*.png", folder)):
        with pytest.raises(OutputError, match="the input or holds it"):
            run(given, target, "recreate", missing="2", force=True)
    (tmp_path / "link.npy").symlink_to(source)
    with pytest.raises(OutputError, match="the input or holds it"):
        run(source, tmp_path / "link.npy", "recreate", missing="2", force=True)
    (tmp_path / "link.npy").unlink()
    assert listing(tmp_path) == before


class Failing(StandIn):
    """Fails in its third window."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error, self.runs = error, 0

    def _predict(self, frames: Tensor, observed: Tensor, valid: Tensor) -> Tensor:
        self.runs += 1
        if self.runs == 3:
            raise self.error
        return super()._predict(frames, observed, valid)


def failing(error: BaseException) -> Forecaster:
    contract = weights.Contract("", 5, 3, 1, 8, 8)
    return Forecaster(Failing(error), "failing", contract, "cpu", "float32")


@pytest.mark.filterwarnings("ignore:a horizon of 9 frames")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("task", ["forecast", "recreate", "reconstruct"])
@pytest.mark.parametrize("error", [RuntimeError("no"), KeyboardInterrupt()])
@pytest.mark.parametrize("there", [True, False])
def test_a_model_that_fails_leaves_nothing_behind(
    kind: str, task: Task, error: BaseException, there: bool, tmp_path: Path
) -> None:
    source = make(named(tmp_path, "in", kind), noise(40))
    target = named(tmp_path / "new" / "folder", "out", kind)
    if there:
        target.parent.mkdir(parents=True)
        make(target, noise(3))
        sidecar_of(target).write_text("mine")
    before = listing(tmp_path)
    with pytest.raises(type(error)):
        run(source, target, task, failing(error), force=True, missing="3,15,30", horizon=9)
    assert listing(tmp_path) == before


@pytest.mark.parametrize("error", [OutputError("no", "yes", "try"), OSError(28, "No space left"), KeyboardInterrupt()])
def test_an_output_that_cannot_be_finished_has_no_sidecar(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make(tmp_path / "in.npy", noise())
    before = listing(tmp_path)

    def fail(writer: Writer) -> None:
        raise error

    monkeypatch.setattr("frame_forecast.io.formats.npy.NpyWriter.finish", fail)
    with pytest.raises(KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else OutputError):
        run(source, tmp_path / "new" / "out.npy", "recreate", missing="2")
    assert listing(tmp_path) == before


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


Damage = Callable[[Path], Path]


def _damaged(kind: str) -> Damage:
    def make_damaged(folder: Path) -> Path:
        path = make(folder / f"in.{kind}", noise())
        truncated(path)
        return path

    return make_damaged


def _written(name: str, content: bytes) -> Damage:
    def make_file(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return make_file


def _array(array: np.ndarray) -> Damage:
    def make_file(folder: Path) -> Path:
        np.save(folder / "in.npy", array)
        return folder / "in.npy"

    return make_file


def _renamed(folder: Path) -> Path:
    """A text that calls itself a picture."""
    (folder / "in.png").write_text("no picture\n" * 50)
    return folder / "in.png"


def _cut_after_pixels(folder: Path) -> Path:
    """A stack of one run of pixels, of which only the list of its pages is cut."""
    path = make(folder / "in.tif", noise())
    path.write_bytes(path.read_bytes()[:-200])
    return path


def _mixed_sizes(folder: Path) -> Path:
    make(folder / "in", noise())
    Image.fromarray(noise(size=9)[0, 0]).save(folder / "in" / "f10.png")
    return folder / "in"


def _mixed_formats(folder: Path) -> Path:
    make(folder / "in", noise())
    Image.fromarray(noise()[0, 0]).save(folder / "in" / "x.gif")
    return folder / "in"


def _bad_pictures(folder: Path) -> Path:
    for path in make(folder / "in", noise()).iterdir():
        truncated(path)
    return folder / "in"


def _empty_folder(folder: Path) -> Path:
    (folder / "in").mkdir()
    return folder / "in"


def _huge(folder: Path) -> Path:
    np.save(folder / "in.npy", np.zeros((3, 4, 4)))
    content = (folder / "in.npy").read_bytes()
    (folder / "in.npy").write_bytes(content.replace(b"(3, 4, 4), }        ", b"(3, 99999999, 4), } "))
    return folder / "in.npy"


BAD: dict[str, Damage] = {
    **{f"a truncated {kind}": _damaged(kind) for kind in KINDS if kind != "pngs"},
    **{f"an empty {kind}": _written(f"in.{kind}", b"") for kind in ("npy", "gif", "tif", "mkv", "png", "mp4", "npz")},
    "a tif cut after its pixels": _cut_after_pixels,
    "text with a picture's name": _renamed,
    "no format": _written("in.xyz", b"what is this"),
    "nothing but NaN": _array(np.full((T, 9, 9), np.nan)),
    "no frame": _array(np.zeros((0, 4, 4))),
    "a single frame": _array(np.zeros((1, 4, 4))),
    "a single picture": lambda folder: next(make(folder / "in", noise(1)).iterdir()),
    "no numbers": _array(np.full((3, 4, 4), "x")),
    "objects": _array(np.full((3, 4, 4), None)),
    "a huge size declared": _huge,
    "pictures of several sizes": _mixed_sizes,
    "pictures of several formats": _mixed_formats,
    "pictures that are all truncated": _bad_pictures,
    "a folder with nothing in it": _empty_folder,
    "nothing": lambda folder: folder / "none.npy",
    "a glob that matches nothing": lambda folder: folder / "*.npy",
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("task", ["forecast", "recreate", "reconstruct"])
def test_bad_input_is_one_clear_error_and_nothing_is_written(kind: str, task: Task, tmp_path: Path) -> None:
    source = BAD[kind](tmp_path)
    before = listing(tmp_path)
    with pytest.raises(DataError) as error:
        run(source, tmp_path / "new" / "out.npz", task, missing="1", horizon=2)
    assert "\n" not in str(error.value)
    assert str(tmp_path) in str(error.value)
    assert listing(tmp_path) == before


def test_a_warning_is_given_once_though_frames_are_read_thrice(tmp_path: Path) -> None:
    np.save(tmp_path / "in.npy", np.random.default_rng(0).random((24, 24, 8), np.float32))  # two equal axes: a guess
    with pytest.warns() as caught:
        run(tmp_path / "in.npy", tmp_path / "out.npy", "recreate", forecaster(), missing="2-9,14-21")
    texts = [str(one.message) for one in caught]
    assert len(texts) == len(set(texts))
    assert any("first two axes are equal" in text for text in texts)
    assert any("a gap that takes a canvas" in text for text in texts)
    with pytest.warns() as again:  # not once and for all
        run(tmp_path / "in.npy", tmp_path / "out2.npy", "recreate", forecaster(), missing="2-9,14-21")
    assert sorted(str(one.message) for one in again) == sorted(texts)


def test_a_mask_of_another_format_than_the_frames(tmp_path: Path) -> None:
    source = make(tmp_path / "in.npy", noise())
    make(tmp_path / "mask.tif", np.where(noise() > 100, np.uint8(255), np.uint8(0)))
    run(source, tmp_path / "out.npy", "recreate", mask=str(tmp_path / "mask.tif"))
    np.testing.assert_array_equal(made_of(tmp_path / "out.npy"), noise() <= 100)


def test_a_method_without_weights_warns_of_pixels_that_no_frame_shows(tmp_path: Path) -> None:
    source = make(tmp_path / "in.npy", noise())
    observed = np.ones((SIZE, SIZE), bool)
    observed[2:4, 3] = False
    np.save(tmp_path / "mask.npy", observed)
    with pytest.warns(FrameForecastWarning, match="2 pixels that no frame shows: linear looks in other frames alone"):
        run(source, tmp_path / "out.npy", "recreate", mask=str(tmp_path / "mask.npy"))
    assert made_of(tmp_path / "out.npy").sum() == 2 * T

"""npz files: a clip with all it has, and archives from elsewhere."""

import warnings
import zipfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from frame_forecast.clip import Clip
from frame_forecast.errors import DataError
from frame_forecast.header import Header
from frame_forecast.io.clips import read, write
from frame_forecast.scale import ScaleKind, ValueScale

FRAMES = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)


@pytest.mark.parametrize("kind", ["linear", "logarithmic", "log1p"])
@pytest.mark.parametrize("dated", [False, True])
def test_a_clip_keeps_all_it_has(dated: bool, kind: ScaleKind, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    times = np.array([0.0, 0.1, 0.7, 2.0])
    if dated:
        times = np.datetime64("2020-02-29T23:55", "s") + np.arange(4) * np.timedelta64(300, "s")
    header = Header("array", 4, 7, 5, 6, np.dtype(np.float32), rate=Fraction(1, 300), units="mm")
    scale = ValueScale(0.1, 12.5, kind)
    values, observed = rng.random((4, 7, 5, 6), np.float32), rng.random((4, 1, 5, 6)) > 0.5
    clip = Clip(values, observed, scale, times, header=header)
    write(clip, tmp_path / "out.npz")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # what was written here says its own layout
        again = read(tmp_path / "out.npz")
    assert again.values.tobytes() == values.tobytes()
    assert np.array_equal(again.observed, observed)
    assert again.scale == scale
    assert again.times is not None
    assert again.times.dtype == times.dtype
    assert np.array_equal(again.times, times)
    assert again.header is not None
    assert again.header.rate == Fraction(1, 300)
    assert again.header.units == "mm"


def test_equal_clips_make_equal_files(tmp_path: Path) -> None:
    clip = Clip.from_array(np.arange(75, dtype=np.uint8).reshape(3, 5, 5))
    write(clip, tmp_path / "a.npz")
    write(clip, tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("layout", ["THW", "HWT"])
def test_archives_of_numpy_are_read(save: object, layout: str, tmp_path: Path) -> None:
    array = np.ascontiguousarray(np.einsum(f"THW->{layout}", FRAMES))
    save(tmp_path / "in.npz", array)  # pyright: ignore[reportCallIssue]
    assert np.array_equal(read(tmp_path / "in.npz", layout).values[:, 0], FRAMES)
    save(tmp_path / "in.npz", labels=np.arange(9), video=np.asfortranarray(array))  # pyright: ignore[reportCallIssue]
    assert np.array_equal(read(tmp_path / "in.npz", layout).values[:, 0], FRAMES)


def test_several_arrays_are_not_chosen_from(tmp_path: Path) -> None:
    np.savez(tmp_path / "in.npz", a=FRAMES, b=FRAMES)
    with pytest.raises(DataError, match="frames"):
        read(tmp_path / "in.npz")


@pytest.mark.parametrize(
    "extra",
    [
        {"observed": np.ones((4, 5, 6), bool)},
        {"observed": np.ones((4, 1, 5, 6), np.uint8)},
        {"times": np.arange(3)},
        {"scale": np.array([1.0, 0.0])},
        {"scale": np.arange(3)},
        {"rate": np.array([1, 0])},
        {"times": np.array([None] * 4)},
    ],
    ids=lambda extra: f"{next(iter(extra))}",
)
def test_parts_that_do_not_fit_are_refused(extra: dict[str, np.ndarray], tmp_path: Path) -> None:
    np.savez(tmp_path / "in.npz", frames=FRAMES, **extra)
    with pytest.raises(DataError):
        read(tmp_path / "in.npz")


def test_a_dated_series_with_a_hole_is_filled(tmp_path: Path) -> None:
    times = np.datetime64("2020-01-01T00:00", "s") + np.array([0, 10, 30, 40]) * np.timedelta64(60, "s")
    np.savez(tmp_path / "in.npz", frames=FRAMES, times=times)
    clip = read(tmp_path / "in.npz")
    assert clip.observed.all(axis=(1, 2, 3)).tolist() == [True, True, False, True, True]
    assert clip.times is not None
    assert clip.times[2] == np.datetime64("2020-01-01T00:20")


def test_a_member_that_ends_early_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "frames.npy", FRAMES)
    data = (tmp_path / "frames.npy").read_bytes()
    for layout in ("THW", "HWT"):
        with zipfile.ZipFile(tmp_path / "in.npz", "w") as archive:
            archive.writestr("frames.npy", data[:-3])
        with pytest.raises(DataError, match="end"):
            read(tmp_path / "in.npz", layout)

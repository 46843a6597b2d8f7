"""What `read` and `write` take, and what they say to anything else."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from frame_forecast.clip import Clip
from frame_forecast.errors import DataError, FrameForecastError, OutputError, ShapeError
from frame_forecast.io.clips import read, write
from frame_forecast.scale import ValueScale

FRAMES = np.random.default_rng(0).integers(0, 256, (4, 3, 6, 7), dtype=np.uint8)


@pytest.mark.parametrize(
    "given",
    [FRAMES, FRAMES[:, 0], FRAMES[None], torch.from_numpy(FRAMES), torch.from_numpy(FRAMES[:, 0]), FRAMES[:1]],
    ids=lambda given: f"{type(given).__name__}-{tuple(given.shape)}",
)
def test_arrays_and_tensors_are_written_as_their_clip_is(given: Any, tmp_path: Path) -> None:
    array = np.asarray(given)
    clip = Clip.from_array(array[0] if array.ndim == 5 else array)
    write(clip, tmp_path / "a.npz")
    write(given, tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_what_an_array_lacks_is_missing(tmp_path: Path) -> None:
    rain = FRAMES[:, 0] * np.float32(2)
    rain[1, 2, 3] = np.nan
    with pytest.raises(DataError, match="pass scale="):
        write(rain, tmp_path / "out.npz")
    write(rain, tmp_path / "out.npz", scale=ValueScale(0, 600))
    again = read(tmp_path / "out.npz")
    assert again.scale == ValueScale(0, 600)
    assert np.array_equal(again.values[:, 0], rain, equal_nan=True)
    assert np.array_equal(again.observed[:, 0], np.isfinite(rain))


@pytest.mark.parametrize("given", [None, 3, [[1, 2], [3, 4]], "frames.npy", {}])
def test_what_is_no_clip_is_not_written(given: Any, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"frames that are a {type(given).__name__}"):
        write(given, tmp_path / "out.npy")
    assert list(tmp_path.iterdir()) == []


def test_several_clips_are_not_written_to_one_file(tmp_path: Path) -> None:
    with pytest.raises(ShapeError, match=r"a batch of 2 clips for .*out\.npy: expected a single one"):
        write(np.stack([FRAMES, FRAMES]), tmp_path / "out.npy")


@pytest.mark.parametrize("given", [None, 3, b"in.npy", iter(["a.npy"]), ["a.npy", 3], {"a.npy"}])
def test_what_is_no_path_is_not_read(given: Any) -> None:
    with pytest.raises(DataError, match=f"files to read that are a {type(given).__name__}: expected a path"):
        read(given)


@pytest.mark.parametrize("given", [None, 3, b"out.npy", ["out.npy"]])
def test_what_is_no_path_is_not_written_to(given: Any) -> None:
    with pytest.raises(OutputError, match=f"a file to write that is a {type(given).__name__}: expected a path"):
        write(FRAMES, given)


def test_a_scale_that_is_none_is_refused(tmp_path: Path) -> None:
    write(FRAMES, tmp_path / "in.npy")
    not_one: Any = (0, 255)
    with pytest.raises(DataError, match="a ValueScale"):
        read(tmp_path / "in.npy", scale=not_one)
    with pytest.raises(DataError, match="a ValueScale"):
        write(FRAMES, tmp_path / "out.npy", scale=not_one)
    with pytest.raises(DataError, match="the clip's own scale"):
        write(read(tmp_path / "in.npy"), tmp_path / "out.npy", scale=ValueScale(0, 255))


@pytest.mark.parametrize("suffix", [".npy", ".zarr", ""])
def test_a_name_may_be_as_long_as_the_system_allows_and_no_longer(suffix: str, tmp_path: Path) -> None:
    write(FRAMES, tmp_path / f"{'n' * (255 - len(suffix))}{suffix}")
    for call in (read, lambda path: write(FRAMES, path)):
        with pytest.raises(FrameForecastError, match=r"[Nn]ame too long"):
            call(tmp_path / f"{'n' * (256 - len(suffix))}{suffix}")
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("name", ["out.npy", "out.zarr", "out"])
def test_what_is_there_stays_without_force_whose_option_is_named(name: str, tmp_path: Path) -> None:
    write(FRAMES, tmp_path / name)
    with pytest.raises(OutputError, match=r"which is there already: .* use force \(--force\)"):
        write(255 - FRAMES, tmp_path / name)
    assert np.array_equal(read(tmp_path / name).values, FRAMES)
    write(255 - FRAMES, tmp_path / name, force=True)
    assert np.array_equal(read(tmp_path / name).values, 255 - FRAMES)

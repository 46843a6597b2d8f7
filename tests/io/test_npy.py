"""npy files: every layout, streamed, and what is wrong with them."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib import format as npy

from frame_forecast.errors import ConfigError, DataError, FrameForecastWarning, OutputError
from frame_forecast.io.clips import read, write
from frame_forecast.io.streams import open_reader

LAYOUTS = ["THW", "HWT", "TCHW", "THWC", "CTHW", "HWCT", "WHT"]


def frames_by_hand(array: np.ndarray, layout: str) -> np.ndarray:
    """``(T, C, H, W)`` with einsum, another way than the reader's."""
    return np.einsum(f"{layout}->{''.join(letter for letter in 'TCHW' if letter in layout)}", array).reshape(
        *(array.shape[layout.index(letter)] if letter in layout else 1 for letter in "TCHW")
    )


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_layout_is_read_and_written_back_to_the_same_bytes(layout: str, order: str, tmp_path: Path) -> None:
    sizes = {"T": 5, "C": 3, "H": 4, "W": 6}
    shape = [sizes[letter] for letter in layout]
    array = np.arange(np.prod(shape), dtype=">u2").reshape(shape).copy(order)  # pyright: ignore[reportCallIssue]
    np.save(tmp_path / "in.npy", array)
    clip = read(tmp_path / "in.npy", layout=layout)
    assert clip.values.dtype == ">u2"
    assert np.array_equal(clip.values, frames_by_hand(array, layout))
    write(clip, tmp_path / "out.npy")
    assert (tmp_path / "out.npy").read_bytes() == (tmp_path / "in.npy").read_bytes()


@settings(max_examples=40)
@given(
    shape=st.tuples(*[st.integers(1, 5)] * 4),
    dtype=st.sampled_from(["u1", "<u2", ">i4", "i8", "<f2", ">f4", "f8"]),
    holes=st.floats(0, 0.9),
    seed=st.integers(0, 2**16),
)
def test_values_and_holes_survive(
    shape: tuple[int, ...], dtype: str, holes: float, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("npy")
    rng = np.random.default_rng(seed)
    array = rng.integers(0, 100, (shape[0] + 1, *shape[1:])).astype(dtype)
    if array.dtype.kind == "f":
        array[rng.random(array.shape) < holes] = np.nan
        array.flat[0], array[0, :, 0, 0] = 1.0, 1.0
    np.save(folder / "in.npy", array)
    clip = read(folder / "in.npy", "TCHW")
    assert clip.values.dtype == array.dtype
    assert clip.values.tobytes() == array.tobytes()
    assert np.array_equal(clip.observed, np.isfinite(array).all(axis=1, keepdims=True))
    write(clip, folder / "out.npy")
    assert (folder / "out.npy").read_bytes() == (folder / "in.npy").read_bytes()


@pytest.mark.parametrize(
    ("shape", "layout", "guessed"),
    [
        ((8, 16, 20), "THW", False),
        ((8, 3, 16, 20), "TCHW", False),
        ((8, 16, 20, 3), "THWC", True),
        ((8, 10, 16, 20), "TCHW", True),
        ((16, 16, 20), "THW", True),
        ((8, 3, 16, 4), "TCHW", True),
    ],
)
def test_a_guess_is_never_silent(shape: tuple[int, ...], layout: str, guessed: bool, tmp_path: Path) -> None:
    array = np.arange(np.prod(shape), dtype=np.int32).reshape(shape)
    np.save(tmp_path / "in.npy", array)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        clip = read(tmp_path / "in.npy")
    assert np.array_equal(clip.values, frames_by_hand(array, layout))
    texts = [str(one.message) for one in caught if one.category is FrameForecastWarning]
    assert len(texts) == guessed
    assert all(layout in text and "layout" in text for text in texts)


@pytest.mark.parametrize("layout", ["THW", "TCH", "THHW", "TXHW", "T", ""])
def test_a_layout_that_does_not_fit_is_refused(layout: str, tmp_path: Path) -> None:
    np.save(tmp_path / "in.npy", np.zeros((4, 3, 8, 8), np.uint8))
    with pytest.raises(ConfigError, match="layout"):
        read(tmp_path / "in.npy", layout)


def declare(path: Path, shape: tuple[int, ...], dtype: str = "|u1") -> Path:
    with path.open("wb") as file:
        npy.write_array_header_1_0(file, {"descr": dtype, "fortran_order": False, "shape": shape})
        file.write(b"\x01" * 100)
    return path


@pytest.mark.parametrize(
    "shape",
    [(10**6, 1000, 1000), (10**9, 10**9, 10**9), (10, 10**6, 10**6), (4, 5, 4), (4, 5, 6), (-4, -5, 5), (0, 4, 4)],
)
def test_headers_that_lie_are_refused_before_memory_is_asked_for(shape: tuple[int, ...], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"in\.npy"):
        read(declare(tmp_path / "in.npy", shape))


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4, 4), bool),
        np.zeros((4, 4, 4), complex),
        np.array([[[None]]]),
        np.zeros(9),
        np.zeros((1, 2, 3, 4, 5)),
        np.zeros((0, 4, 4)),
        np.full((4, 4, 4), np.nan),
        np.zeros((1, 4, 4)),
        np.zeros((4, 4)),
    ],
    ids=["bool", "complex", "object", "one axis", "five axes", "no frames", "nan", "single", "picture"],
)
def test_arrays_that_are_no_frames_are_refused(array: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "in.npy", array)
    with pytest.raises(DataError, match=r"in\.npy"):
        read(tmp_path / "in.npy")


@pytest.mark.parametrize("keep", [0, 1, 6, 20, 128, 200])
def test_a_truncated_file_is_refused(keep: int, tmp_path: Path) -> None:
    np.save(tmp_path / "whole.npy", np.zeros((4, 8, 8), np.uint8))
    (tmp_path / "cut.npy").write_bytes((tmp_path / "whole.npy").read_bytes()[:keep])
    with pytest.raises(DataError, match=r"cut\.npy"):
        read(tmp_path / "cut.npy")


def test_integers_with_holes_are_not_written(tmp_path: Path) -> None:
    np.save(tmp_path / "in.npy", np.zeros((4, 8, 8), np.uint8))
    clip = read(tmp_path / "in.npy")
    clip.observed[1, 0, 2, 3] = False
    with pytest.raises(OutputError, match="missing"):
        write(clip, tmp_path / "out.npy")
    assert [path.name for path in tmp_path.iterdir()] == ["in.npy"]


def test_floats_mark_their_holes(tmp_path: Path) -> None:
    np.save(tmp_path / "in.npy", np.full((4, 8, 8), 0.5, np.float32))
    clip = read(tmp_path / "in.npy")
    clip.observed[1, 0, 2, 3] = False
    write(clip, tmp_path / "out.npy")
    assert np.argwhere(np.isnan(np.load(tmp_path / "out.npy"))).tolist() == [[1, 2, 3]]


def test_a_stream_can_be_read_again(tmp_path: Path) -> None:
    array = np.arange(5 * 4 * 6, dtype=np.uint8).reshape(5, 4, 6)
    np.save(tmp_path / "in.npy", array)
    with open_reader(tmp_path / "in.npy") as stream:
        first = next(iter(stream))
        again = np.stack([frame.values[0] for frame in stream])
    assert np.array_equal(first.values[0], array[0])
    assert np.array_equal(again, array)

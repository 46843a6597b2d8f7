"""Arrays whose axes may be in any order: which is which, and frame after frame of them."""

import math
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from frame_forecast.errors import ConfigError, DataError, FrameForecastWarning
from frame_forecast.io.base import check_frame_size, unreadable
from frame_forecast.scale import ValueScale

_FEW = 4
"""No more channels than that look like channels: grey, two, colour, colour with alpha."""


def resolve_layout(path: Path, shape: tuple[int, ...], layout: str | None) -> str:
    """The axes of an array, checked if given and guessed if not.

    ``(H, W)`` is one frame, ``(T, H, W)`` and ``(T, C, H, W)`` are the layouts of this package and need no
    guess, unless the sizes speak against them.

    Args:
        path: for messages.
        shape: of the array.
        layout: letters of ``TCHW`` in the array's order, such as ``THWC``; None = guess.

    Raises:
        ConfigError: a layout that is none, or has another number of axes.
        DataError: an array of less than 2 or more than 4 axes.
    """
    if not 2 <= len(shape) <= 4:
        raise DataError(f"{path}: an array of shape {shape}", "2 to 4 axes, of T, C, H, W", "cut or reshape it")
    if layout is not None:
        letters = layout.upper()
        if len(set(letters)) != len(letters) or not {"H", "W"} <= set(letters) <= set("TCHW"):
            raise ConfigError(f"layout {layout!r}", "letters of TCHW, each once, H and W among them", "write THWC")
        if len(letters) != len(shape):
            raise ConfigError(
                f"layout {layout!r} for {path}, an array of shape {shape}", "one letter an axis", "give them all"
            )
        return letters
    guess, doubt = _guess(shape)
    if doubt:
        warnings.warn(
            FrameForecastWarning(
                f"{path}: an array of shape {shape}, {doubt}", f"its axes are taken for {guess}", "say so with layout"
            ),
            stacklevel=2,
        )
    return guess


def _guess(shape: tuple[int, ...]) -> tuple[str, str]:
    """The likeliest layout, and what speaks against the usual one."""
    if len(shape) == 2:
        return "HW", ""
    first, middle, last = shape[-3:]
    if last <= _FEW < first:
        return ("HWC" if len(shape) == 3 else "THWC"), "whose last axis is short"
    if len(shape) == 3:
        return "THW", "whose first two axes are equal" if first == middle != last else ""
    return "TCHW", "" if first <= _FEW < last else "which could be TCHW or THWC"


def split_shape(path: Path, shape: tuple[int, ...], axes: str, dtype: np.dtype) -> tuple[int, tuple[int, int, int]]:
    """``T`` and ``(C, H, W)`` of an array, each 1 where it lacks the axis.

    Raises:
        DataError: an empty axis, values that are neither real numbers nor, as in masks, bool, or frames of an
            absurd size.
    """
    T, C, H, W = (shape[axes.index(letter)] if letter in axes else 1 for letter in "TCHW")
    if dtype.kind not in "buif":
        raise DataError(f"{path}: an array of {dtype}", "integers or floats", "convert it, for example to uint8")
    if 0 in shape:
        raise unreadable(path, f"an empty array of shape {shape}")
    check_frame_size(path, C, H, W, dtype)
    return T, (C, H, W)


def default_scale(dtype: np.dtype) -> ValueScale | None:
    """Bytes run from 0 to 255; what uses the range of any other type is to be seen."""
    return ValueScale.of_dtype(dtype) if dtype == np.uint8 else None


def to_frame(array: np.ndarray, axes: str) -> np.ndarray:
    """An array with the axes of one frame, such as ``HWC``, as contiguous ``(C, H, W)``."""
    if "C" not in axes:
        array, axes = array[None], "C" + axes
    return np.ascontiguousarray(array.transpose([axes.index(letter) for letter in "CHW"]))


def from_frame(values: np.ndarray, axes: str) -> np.ndarray:
    """``(C, H, W)`` with the axes of one frame, such as ``HWC``; C is 1 where they lack it."""
    array = values if "C" in axes else values[0]
    own = "CHW" if "C" in axes else "HW"
    return np.ascontiguousarray(array.transpose([own.index(letter) for letter in axes]))


def frames_of(file: IO[bytes], path: Path, shape: tuple[int, ...], axes: str, dtype: np.dtype) -> Iterator[np.ndarray]:
    """The frames ``(C, H, W)`` of an array in C order that begins where ``file`` stands.

    Args:
        file: need not be seekable if time is the first axis.
        path: for messages.
        shape, axes, dtype: of the array.
    """
    within = axes.replace("T", "")
    if axes.startswith("T") or "T" not in axes:
        # Read, not mapped: pages of a mapping stay in memory, which would grow with the length.
        for _ in range(shape[0] if "T" in axes else 1):
            yield to_frame(_read_array(file, path, shape[-len(within) :], dtype), within)
        return
    offset, axis = file.tell(), axes.index("T")
    for t in range(shape[axis]):
        # Mapped anew for each frame, whose values lie all over the file, to let go of the pages.
        mapped = np.memmap(file, dtype, "r", offset, shape)  # pyright: ignore[reportCallIssue, reportArgumentType]
        yield to_frame(np.asarray(mapped.take(t, axis)), within)
        del mapped


def _read_array(file: IO[bytes], path: Path, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    array = np.empty(shape, dtype)
    wanted = array.reshape(-1).view(np.uint8)
    done = 0
    while done < len(wanted):
        chunk = file.read(min(len(wanted) - done, 2**20))
        if not chunk:
            raise unreadable(path, f"ends {len(wanted) - done} bytes before the end of a frame")
        wanted[done : done + len(chunk)] = np.frombuffer(chunk, np.uint8)
        done += len(chunk)
    return array


def array_bytes(shape: tuple[int, ...], dtype: np.dtype) -> int:
    """What an array takes, in Python's integers: a damaged header may declare more than 64 bits hold."""
    return math.prod(shape) * dtype.itemsize

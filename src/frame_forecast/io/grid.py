"""Regular series: which frames are missing from them, and when those would have been."""

import warnings
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from frame_forecast.errors import FrameForecastWarning

_JITTER = 0.25
"""Of a step: how far the time between two frames may be from a whole number of steps."""


@dataclass(frozen=True)
class Grid:
    """The places of a stream's frames in a series with none missing.

    Args:
        positions: int64 ``(frames,)``, increasing from 0.
        rate: frames a second; None where the frames are numbered, not timed, or their times are uneven.
    """

    positions: np.ndarray
    rate: Fraction | None

    @property
    def frames(self) -> int:
        """How many there are with the missing ones."""
        return int(self.positions[-1]) + 1

    def fill(self, times: np.ndarray) -> np.ndarray:
        """Times ``(frames,)`` with those of the missing frames, evenly between their neighbours."""
        start = times[0]
        distances = times - start
        if times.dtype.kind == "M":
            distances = distances / np.timedelta64(1, "us")
        filled = np.interp(np.arange(self.frames), self.positions, distances)
        if times.dtype.kind == "M":
            filled = np.rint(filled).astype("timedelta64[us]")
        filled = (start + filled).astype(times.dtype)
        filled[self.positions] = times  # not what arithmetic made of them
        return filled


def find_grid(marks: np.ndarray, timed: bool = True) -> Grid | None:
    """The series that these times or numbers are a part of.

    The step is the usual one between neighbours that are close; every other distance must be a whole number
    of steps. More missing than present frames are not filled in: that is another recording, not a gap.

    Args:
        marks: ``(frames,)``, seconds, datetime64 or numbers.
        timed: they are times.

    Returns:
        None, after a FrameForecastWarning, where there is no such series; without one for a single frame.
    """
    if len(marks) < 2:
        return None
    if marks.dtype.kind == "M":
        marks = (marks - marks[0]) / np.timedelta64(1, "s")
    distances = np.diff(marks.astype(np.float64))
    shortest = distances.min()
    if not shortest > 0:
        return _irregular(f"frame {int(distances.argmin()) + 1} is not after the one before", timed)
    step = float(np.median(distances[distances < 1.5 * shortest]))
    steps = np.rint(distances / step)
    off = np.abs(distances / step - steps)
    if off.max() > _JITTER:
        late = int(off.argmax())
        return _irregular(f"frame {late + 1} is {distances[late] / step:.2f} steps after the last", timed)
    positions = np.concatenate([[0], np.cumsum(steps)]).astype(np.int64)
    missing = int(positions[-1]) + 1 - len(marks)
    if missing > len(marks):
        return _irregular(f"{missing} frames would be missing among {len(marks)}", timed)
    return Grid(positions, 1 / Fraction(step).limit_denominator(10**6) if timed else None)


def _irregular(found: str, timed: bool) -> None:
    warnings.warn(
        FrameForecastWarning(
            f"no regular series: {found}",
            "the frames are taken as they come, and none is inserted where one may be missing",
            "check the times, or have --detect insert those that are clear" if timed else "check the numbers",
        ),
        stacklevel=2,
    )

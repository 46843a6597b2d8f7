"""When frames are, and when the ones after them will be."""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

Time = float | np.datetime64
"""Seconds from the first frame, or a date in UTC."""

_LAST_TIMES = 20  # tell the usual step


def step_seconds(times: np.ndarray | Sequence[Time], rate: Fraction | None) -> float | None:
    """Seconds from a frame to the next, as `next_times` goes on; None where they cannot be known."""
    if rate is not None:
        return float(1 / rate)
    (later,) = next_times(times, rate, 1)
    if later is None:
        return None
    ahead = np.diff(np.array([times[-1], later]))
    return float(ahead[0] / np.timedelta64(1, "s") if ahead.dtype.kind == "m" else ahead[0])


def next_times(times: np.ndarray | Sequence[Time], rate: Fraction | None, horizon: int) -> list[Time] | list[None]:
    """The times of ``horizon`` frames after frames at these times; None where they cannot be known.

    Args:
        times: of the frames so far; none if they are unknown.
        rate: frames a second, where it is known; otherwise the usual step between the last times goes on.
        horizon: how many.
    """
    last = np.array(times[-_LAST_TIMES:])
    if len(last) == 0 or (rate is None and len(last) == 1):
        return [None] * horizon
    ahead = range(1, horizon + 1)
    if last.dtype.kind == "M":
        last = last.astype("datetime64[us]")
        step = 1e6 / rate if rate else np.median(np.diff(last).astype(np.int64))
        return [last[-1] + np.timedelta64(round(i * step), "us") for i in ahead]
    step = 1 / rate if rate else np.median(np.diff(last))
    return [float(last[-1]) + float(i * step) for i in ahead]

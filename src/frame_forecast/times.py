"""When frames are, and when the ones after them will be."""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

Time = float | np.datetime64
"""Seconds from the first frame, or a date in UTC."""


def next_times(times: Sequence[Time | None], rate: Fraction | None, horizon: int) -> list[Time | None]:
    """The times of ``horizon`` frames after frames at these times.

    Args:
        times: of the last frames.
        rate: frames a second, where it is known; otherwise the usual step between the times goes on.
        horizon: how many.
    """
    known = [time for time in times if time is not None]
    if len(known) < len(times) or not known or (rate is None and len(known) < 2):
        return [None] * horizon
    if isinstance(known[-1], np.datetime64):
        steps = np.diff(np.array(known)).astype("timedelta64[us]").astype(np.int64)
        micro = round(1e6 / rate) if rate else int(np.median(steps))
        return [known[-1] + np.timedelta64((i + 1) * micro, "us") for i in range(horizon)]
    step = float(1 / rate) if rate else float(np.median(np.diff(np.array(known, dtype=np.float64))))
    return [float(known[-1]) + (i + 1) * step for i in range(horizon)]

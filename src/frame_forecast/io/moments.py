"""Numbers that are times by the CF conventions, such as ``minutes since 2020-01-01``."""

import re
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from frame_forecast.errors import FrameForecastWarning
from frame_forecast.io.base import require

_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "second": 1.0, "seconds": 1.0}
_SINCE = re.compile(r"^\s*[A-Za-z]+\s+since\s", re.IGNORECASE)
_DATES = np.dtype("datetime64[us]")


def is_dated(attributes: Mapping[str, Any]) -> bool:
    """Whether numbers with these attributes are dates."""
    return _SINCE.match(str(attributes.get("units", ""))) is not None


def decode(name: str, numbers: np.ndarray, attributes: Mapping[str, Any]) -> np.ndarray | None:
    """Times of numbers, of the same shape: datetime64[us], or seconds from the first one.

    Args:
        name: for messages.
        numbers: as the file has them.
        attributes: their ``units`` and ``calendar``.

    Returns:
        None, after a FrameForecastWarning, for what is no time: a calendar that is not ours, gaps, no units.
    """
    if is_dated(attributes):
        times = _decoded(numbers, attributes)
        if times is not None and not np.isnat(times).any():
            return times
    elif numbers.dtype.kind in "uif" and np.isfinite(numbers).all() and attributes.get("units") in _SECONDS:
        seconds = numbers.astype(np.float64) * _SECONDS[attributes["units"]]
        return seconds - seconds.reshape(-1)[:1].sum()
    warnings.warn(
        FrameForecastWarning(
            f"{name}: no times in units {attributes.get('units')!r}, calendar {attributes.get('calendar', 'standard')}",
            "the frames are taken as they come, and none is inserted where one may be missing",
            "check them",
        ),
        stacklevel=2,
    )
    return None


def encode(times: np.ndarray, attributes: Mapping[str, Any], dtype: np.dtype) -> np.ndarray:
    """The opposite of `decode`, in ``dtype`` if that can hold them, else in float64.

    Args:
        times: datetime64, or seconds.
        attributes: as for `decode`, by which numbers are of the same kind as ``times``.
        dtype: of the numbers.
    """
    if times.dtype.kind == "M":
        ends = _decoded(np.array([0, 1]), attributes)
        if ends is None:
            raise ValueError(f"no times in units {attributes.get('units')!r}")
        distances = (times.astype(_DATES) - ends[0]).astype(np.int64)
        unit = int((ends[1] - ends[0]).astype(np.int64))
        if dtype.kind in "ui" and not (distances % unit).any():
            return (distances // unit).astype(dtype)
        numbers = distances / unit
    else:
        numbers = times / _SECONDS[attributes["units"]]
        if dtype.kind in "ui" and np.array_equal(np.rint(numbers), numbers):
            return numbers.astype(dtype)
    return numbers.astype(dtype if dtype.kind == "f" else np.float64)


def _decoded(numbers: np.ndarray, attributes: Mapping[str, Any]) -> np.ndarray | None:
    """datetime64[us]; None where xarray finds no dates of the usual calendar."""
    xarray = require("xarray", "frame-forecast[science]")
    own = {key: str(attributes[key]) for key in ("units", "calendar") if key in attributes}
    variable = xarray.Variable([f"axis{i}" for i in range(numbers.ndim)], numbers, own)
    try:
        decoded = xarray.decode_cf(xarray.Dataset({"time": variable}))["time"].values
    except (ValueError, ImportError, OverflowError):  # ImportError: other calendars need one more package
        return None
    return decoded.astype(_DATES) if decoded.dtype.kind == "M" else None

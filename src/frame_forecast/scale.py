"""Units to [0, 1] and back: `ValueScale`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from frame_forecast.errors import DataError

ScaleKind = Literal["linear", "logarithmic", "log1p"]


@dataclass(frozen=True)
class ValueScale:
    """Takes values in the source's units to [0, 1] and back.

    Args:
        low: the value that becomes 0, in the source's units.
        high: the value that becomes 1.
        kind: ``linear``; ``logarithmic`` for positive values of many magnitudes; ``log1p`` for such values
            that are mostly 0 (rain): 0 becomes 0 and comes back as 0, and ``low`` is the amount from which on
            they are more logarithmic than linear.

    Raises:
        DataError: limits that are no finite numbers, in the wrong order or, unless linear, not
            positive; or another kind.
    """

    low: float
    high: float
    kind: ScaleKind = "linear"

    def __post_init__(self) -> None:
        if self.kind not in get_args(ScaleKind):
            raise DataError(f"a scale of kind {self.kind!r}", " or ".join(get_args(ScaleKind)), "choose one of these")
        try:
            # The difference too: between the largest floats it is infinite.
            usable = self.low < self.high and math.isfinite(self.high - self.low)
        except TypeError:
            usable = False
        if not usable or (self.kind != "linear" and self.low <= 0):
            raise DataError(
                f"a {self.kind} scale from {self.low!r} to {self.high!r}",
                "finite numbers, low below high, and both positive unless linear",
                "give other limits",
            )

    @classmethod
    def fit(cls, values: np.ndarray, observed: np.ndarray, kind: ScaleKind = "linear") -> ValueScale:
        """The range of the observed values.

        Args:
            values: ``(T, C, H, W)`` in the source's units.
            observed: bool ``(T, 1, H, W)`` or broadcastable; the rest is never looked at.
            kind: as for the class.

        Raises:
            DataError: nothing is observed, or no observed value is positive and the kind not ``linear``.
        """
        known = values[np.broadcast_to(observed, values.shape)].astype(np.float64)
        if kind != "linear":
            known = known[known > 0]
        if known.size == 0:
            raise DataError("no observed value to fit a scale to", "one at least", "check the mask")
        low, high = float(known.min()), float(known.max())
        if low == high:  # a constant clip: any range that holds the value will do
            high = low + 1.0 if kind == "linear" else low * 2.0
        return cls(low, high, kind)

    @classmethod
    def of_dtype(cls, dtype: np.dtype) -> ValueScale:
        """The scale of arrays without units: integers by their dtype's maximum, floats as they are."""
        return cls(0.0, float(np.iinfo(dtype).max) if np.issubdtype(dtype, np.integer) else 1.0)

    def to_unit(self, values: np.ndarray) -> np.ndarray:
        """Units ``(T, ...)`` to float32 in [0, 1]; values outside the scale's limits are clipped, NaN stays."""
        unit = np.empty(values.shape, np.float32)
        for t, frame in enumerate(values):  # float64 of a whole clip at once would be most of a run's memory
            unit[t] = self._unit_of(frame.astype(np.float64))
        return unit

    def from_unit(self, unit: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """[0, 1], ``(T, ...)``, back to units, in ``dtype``: rounded where that is an integer type, and clipped to
        what it can hold."""
        whole = np.issubdtype(dtype, np.integer)
        limits = np.iinfo(dtype) if whole else np.finfo(dtype)
        most = limits.max
        if whole and float(most) > most:  # that of a 64-bit type is 1 more than it can hold, and would wrap
            most = np.nextafter(float(most), 0)
        values = np.empty(unit.shape, dtype)
        for t, frame in enumerate(unit):
            made = self._value_of(np.clip(frame.astype(np.float64), 0.0, 1.0))
            values[t] = np.clip(np.rint(made) if whole else made, limits.min, most)
        return values

    def _unit_of(self, values: np.ndarray) -> np.ndarray:
        if self.kind == "logarithmic":
            unit = np.log(np.maximum(values, self.low) / self.low) / np.log(self.high / self.low)
        elif self.kind == "log1p":
            unit = np.log1p(np.maximum(values, 0.0) / self.low) / np.log1p(self.high / self.low)
        else:
            unit = (values - self.low) / (self.high - self.low)
        return np.clip(unit, 0.0, 1.0)

    def _value_of(self, unit: np.ndarray) -> np.ndarray:
        if self.kind == "logarithmic":
            return self.low * np.exp(unit * np.log(self.high / self.low))
        if self.kind == "log1p":
            return self.low * np.expm1(unit * np.log1p(self.high / self.low))
        return self.low + unit * (self.high - self.low)

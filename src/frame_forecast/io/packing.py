"""Codes in a file and the values that they stand for: scale, offset, and codes for what is missing."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from frame_forecast.io.base import unreadable


@dataclass(frozen=True)
class Packing:
    """``value = factor * code + offset``, but for codes that say that there is no value.

    Args:
        dtype: of the codes.
        factor, offset: 1 and 0 = codes are values, which then keep their dtype.
        missing: codes without a value; the first is written for what is missing.
        low, high: the first and last code that is valid; None = any.
        stored_signed: the file has unsigned codes as signed integers of the same bits.
    """

    dtype: np.dtype
    factor: float = 1.0
    offset: float = 0.0
    missing: tuple[Any, ...] = ()
    low: Any = None
    high: Any = None
    stored_signed: bool = False

    @classmethod
    def of_attributes(cls, path: Path, dtype: np.dtype, attributes: Mapping[str, Any]) -> "Packing":
        """As the CF conventions have it: ``scale_factor``, ``add_offset``, ``_FillValue``, ``missing_value``,
        ``valid_min``, ``valid_max``, ``valid_range``; and ``_Unsigned``, of NetCDF-3.

        Raises:
            DataError: attributes that are no such numbers, or a factor of 0.
        """
        numbers: dict[str, np.ndarray] = {}
        names = ("scale_factor", "add_offset", "_FillValue", "missing_value", "valid_min", "valid_max", "valid_range")
        for name in names:
            if name in attributes:
                numbers[name] = np.atleast_1d(np.asarray(attributes[name]))
                if numbers[name].dtype.kind not in "uif":
                    raise unreadable(path, f"{name} is {attributes[name]!r}, which is no number")
        signed = dtype
        if dtype.kind == "i" and str(attributes.get("_Unsigned", "")).lower() == "true":
            dtype = np.dtype(f"{dtype.byteorder}u{dtype.itemsize}")
        factor = float(numbers.get("scale_factor", np.ones(1))[0])
        offset = float(numbers.get("add_offset", np.zeros(1))[0])
        if not (np.isfinite([factor, offset]).all() and factor):
            raise unreadable(path, f"values packed with scale_factor {factor} and add_offset {offset}")
        missing = [value for name in ("_FillValue", "missing_value") for value in numbers.get(name, ())]
        limits = numbers.get("valid_range", [None, None])
        low, high = (
            numbers.get(name, [limit])[0] for name, limit in zip(("valid_min", "valid_max"), limits, strict=True)
        )

        def code(value: Any) -> Any:
            """In the dtype of the codes; None if it is none of them."""
            if value is None:
                return None
            given = np.asarray(value)
            if signed != dtype and given.dtype == signed:
                given = given.view(dtype)
            with np.errstate(invalid="ignore", over="ignore"):
                cast = given.astype(dtype)
            return cast[()] if dtype.kind == "f" or cast == given else None

        codes = dict.fromkeys(one for one in map(code, missing) if one is not None)
        return cls(dtype, factor, offset, tuple(codes), code(low), code(high), signed != dtype)

    @property
    def stored_dtype(self) -> np.dtype:
        """What the file has."""
        return np.dtype(f"{self.dtype.byteorder}i{self.dtype.itemsize}") if self.stored_signed else self.dtype

    @property
    def is_plain(self) -> bool:
        """Codes are values."""
        return (self.factor, self.offset) == (1.0, 0.0)

    @cached_property
    def values_dtype(self) -> np.dtype:
        """Of the values: float32 where that is enough to tell all codes apart, else float64."""
        if self.is_plain:
            return self.dtype.newbyteorder("=")
        if self.dtype.kind != "f" and self.dtype.itemsize <= 2:
            limits = np.iinfo(self.dtype)
            codes = np.arange(limits.min, limits.max + 1)
            again = np.rint((self._values(codes, np.dtype(np.float32)).astype(np.float64) - self.offset) / self.factor)
            if np.array_equal(again, codes):
                return np.dtype(np.float32)
        return np.dtype(np.float64)

    def unpack(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Values, and which of them there are; both of the shape of ``codes``."""
        codes = codes.astype(self.stored_dtype, copy=False).view(self.dtype)
        known = ~np.isin(codes, np.array(self.missing, self.dtype))
        if self.low is not None:
            known &= codes >= self.low
        if self.high is not None:
            known &= codes <= self.high
        values = codes if self.is_plain else self._values(codes, self.values_dtype)
        return values.astype(self.values_dtype, copy=False), known

    def _values(self, codes: np.ndarray, dtype: np.dtype) -> np.ndarray:
        return (codes.astype(np.float64) * self.factor + self.offset).astype(dtype)

    def pack(self, values: np.ndarray, known: np.ndarray) -> np.ndarray:
        """The codes nearest to values; what came from `unpack` is packed as it was.

        Args:
            values: of any dtype.
            known: bool, of the same shape; where it is False, the code for what is missing is written, NaN
                if there is none.
        """
        if self.is_plain and values.dtype.newbyteorder("=") == self.values_dtype:
            codes = values.astype(self.dtype)
        else:
            # As float64: what is not known may be NaN, which no integer is.
            numbers = (np.where(known, values, 0).astype(np.float64) - self.offset) / self.factor
            if self.dtype.kind == "f":
                codes = numbers.astype(self.dtype)
            else:
                limits = np.iinfo(self.dtype)
                low = limits.min if self.low is None else self.low
                high = limits.max if self.high is None else self.high
                codes = np.clip(np.rint(numbers), low, high).astype(self.dtype)
        if self.dtype.kind != "f":
            codes = self._without_missing(codes, known)
        if not known.all():
            codes = np.where(known, codes, self.missing[0] if self.missing else self.dtype.type(np.nan))
        return codes.astype(self.dtype, copy=False).view(self.stored_dtype)

    def _without_missing(self, codes: np.ndarray, known: np.ndarray) -> np.ndarray:
        """A value that was made may fall on a code for what is missing: it takes the next one that has a value."""
        limits = np.iinfo(self.dtype)
        middle = (limits.min + limits.max) // 2
        for _ in self.missing:
            hit = known & np.isin(codes, np.array(self.missing, self.dtype))
            codes = np.where(hit, np.where(codes > middle, codes - 1, codes + 1), codes).astype(self.dtype)
        return codes

"""What a file says of its frames before the first of them is read: `Header`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from fractions import Fraction
from types import MappingProxyType
from typing import Any

import numpy as np

from frame_forecast.errors import ShapeError
from frame_forecast.scale import ValueScale


@dataclass(frozen=True)
class Header:
    """Layout, units and times of a stream of frames.

    Args:
        kind: the name of the format, as it is registered.
        frames: how many there are; None where only reading them all would tell.
        channels, height, width: of every frame.
        dtype: of the values as the file has them, byte order included.
        scale: takes the values to [0, 1]; None = it must be fitted to what is observed.
        rate: frames a second; None where they come irregularly or nobody knows.
        times: ``(frames,)``, seconds or datetime64, increasing; None where they are unknown.
        meta: what a writer of the same kind needs beside this (palette, layout, codec); read-only,
            and nothing to anyone else.
        units: of the values, such as ``mm``; empty where the file does not say.

    Raises:
        ShapeError: no frames or empty ones.
    """

    kind: str
    frames: int | None
    channels: int
    height: int
    width: int
    dtype: np.dtype
    scale: ValueScale | None = None
    rate: Fraction | None = None
    times: np.ndarray | None = field(default=None, compare=False)
    meta: Mapping[str, Any] = field(default_factory=dict)
    units: str = ""

    def __post_init__(self) -> None:
        if 0 in (self.frames, *self.shape):
            raise ShapeError(
                f"{self.frames} frames of {self.channels}x{self.height}x{self.width} (C, H, W)",
                "at least one frame and one pixel",
                "choose another file",
            )
        object.__setattr__(self, "meta", MappingProxyType(dict(self.meta)))

    def __reduce__(self) -> tuple[type[Header], tuple[Any, ...]]:
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return Header, tuple((values | {"meta": dict(self.meta)}).values())  # a read-only mapping cannot be pickled

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(C, H, W)`` of a frame."""
        return self.channels, self.height, self.width

    @property
    def frame_bytes(self) -> int:
        """What a frame takes in memory."""
        return self.channels * self.height * self.width * self.dtype.itemsize

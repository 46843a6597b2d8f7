"""How far each frame of a stream is from what the frames beside it show, and these from one another: `Misfit`.

No weights and little time: frames are averaged over areas down to 128 pixels a side, in grey, and each is compared
with its neighbours and with both of them moved halfway to one another along the flow between them. What counts is
how far a pixel is *outside* of all the values that these have there or a pixel beside: noise and small errors of the
flow stay inside, and so does the first frame after a cut, which is like the one behind it.

At 256 pixels a side, the hairs of a bird that moves fast were outside in three good frames of 280, and it took four
times as long; at 128 there was none, and of the faults put into video, radar and microscopy hardly fewer were found.
"""

from __future__ import annotations

import math
from array import array
from typing import Any

import numpy as np

from frame_forecast.packages import require
from frame_forecast.scale import ValueScale

_SIDE = 128  # pixels of the longer side at most
_SHORTEST_FLOW = 64  # a side's pixels at least, for flow to have levels to search on: smaller frames are enlarged
_GRID = 8  # areas a side, over which what is outside is averaged
_WORST = 6  # of the 64 areas: damage to a tenth of a frame counts as much as damage to all of it
_COVERED = 0.5  # share of an area that must be observed
_BOUND = 1e30  # of values: what is beyond has no squares in float32
_DIRECT = ("uint8", "uint16", "int16", "float32")  # dtypes that OpenCV averages as they are


class Misfit:
    """Takes a stream frame by frame, and keeps three small frames and three numbers of each.

    Args:
        scale: of the values, which takes rain to logarithms; None = they are compared as they are.

    Raises:
        ConfigError: OpenCV is not installed.
    """

    def __init__(self, scale: ValueScale | None) -> None:
        self._cv2 = require("cv2", "opencv-python-headless")
        self._dis = self._cv2.DISOpticalFlow_create(self._cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._scale = scale
        self._last: list[tuple[int, np.ndarray]] = []  # numbers and small frames of two at most
        self._error, self._apart, self._contrast = array("d"), array("d"), array("d")

    def skip(self) -> None:
        """The next frame shows nothing: those on either side of it are neighbours."""
        for numbers in (self._error, self._apart, self._contrast):
            numbers.append(math.nan)

    def add(self, values: np.ndarray, observed: np.ndarray) -> None:
        """The next frame.

        Args:
            values: ``(C, H, W)``, in units; finite where observed.
            observed: bool ``(1, H, W)``, True somewhere.
        """
        number = len(self._error)
        self.skip()
        small = self._reduced(values, observed[0])
        with np.errstate(over="ignore"):
            self._contrast[number] = float(small.std())
        if len(self._last) == 2:
            (_, before), (middle, frame) = self._last
            self._error[middle], self._apart[middle] = self._compared(before, frame, small)
        self._last = [*self._last[-1:], (number, small)]

    def numbers(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """``(frames,)`` each: how far a frame is outside of what its neighbours show; how far these are outside of one
        another; and the standard deviation within it. In the scale's [0, 1], or units; NaN where there is none."""
        return np.array(self._error), np.array(self._apart), np.array(self._contrast)

    def _reduced(self, values: np.ndarray, known: np.ndarray) -> np.ndarray:
        """Float32 ``(h, w)``, the mean of channels and areas; a hole shows what was seen there last."""
        H, W = known.shape
        shrink = min(1.0, _SIDE / max(H, W))
        size = max(1, round(shrink * W)), max(1, round(shrink * H))
        whole = bool(known.all())
        total = np.zeros(size[::-1], np.float32)
        for plane in values:
            if plane.dtype.name not in _DIRECT or not plane.dtype.isnative:
                plane = plane.astype(np.float64)
            if not whole:
                plane = np.where(known, plane, np.zeros((), plane.dtype))
            if plane.dtype.kind == "f":
                plane = np.clip(plane, -_BOUND, _BOUND).astype(np.float32)
            total += self._averaged(plane, size)
        small = total / len(values)
        if not whole:
            share = self._averaged(known.astype(np.float32), size)
            seen = share >= min(_COVERED, float(share.max()))
            small = self._in_unit(small / np.where(seen, share, 1))
            return np.where(seen, small, self._last[-1][1] if self._last else small[seen].mean())
        return self._in_unit(small)

    def _averaged(self, plane: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Float32 of another size, x first; never longer."""
        return self._cv2.resize(plane, size, interpolation=self._cv2.INTER_AREA).astype(np.float32)

    def _in_unit(self, small: np.ndarray) -> np.ndarray:
        return small if self._scale is None else self._scale.to_unit(small)

    def _compared(self, before: np.ndarray, frame: np.ndarray, after: np.ndarray) -> tuple[float, float]:
        """How far a frame is outside of its neighbours, and these of one another."""
        forth, back = self._flow(before, after), self._flow(after, before)
        # Both flows are known where their pixels set out, not halfway; in this mean, the errors of that cancel.
        half = (forth - back) / 4
        halfway = [self._moved(before, -half), self._moved(after, half)]
        error = self._outside(frame, [before, after, *halfway])
        apart = max(
            self._outside(after, [before, self._moved(before, back)]),
            self._outside(before, [after, self._moved(after, forth)]),
        )
        return error, apart

    def _outside(self, frame: np.ndarray, others: list[np.ndarray]) -> float:
        """The mean over the worst areas of how far a frame is outside of the others' values nearby."""
        kernel = np.ones((3, 3), np.uint8)
        low = np.minimum.reduce([self._cv2.erode(other, kernel) for other in others])
        high = np.maximum.reduce([self._cv2.dilate(other, kernel) for other in others])
        beyond = np.maximum(np.maximum(low - frame, frame - high), 0)
        h, w = frame.shape
        areas = self._averaged(beyond, (min(_GRID, w), min(_GRID, h)))
        return float(np.sort(areas, axis=None)[-_WORST:].mean(dtype=np.float64))

    def _flow(self, start: np.ndarray, end: np.ndarray) -> np.ndarray:
        """Where the pixels of one frame are in another: float32 ``(h, w, 2)``, in pixels, x first."""
        h, w = start.shape
        low, high = min(float(start.min()), float(end.min())), max(float(start.max()), float(end.max()))
        gain = 255 / (high - low) if high > low else 0.0
        x, y = -(-_SHORTEST_FLOW // w), -(-_SHORTEST_FLOW // h)
        levels: list[Any] = [((frame - np.float32(low)) * np.float32(gain)).astype(np.uint8) for frame in (start, end)]
        if max(x, y) > 1:
            levels = [self._cv2.resize(one, (x * w, y * h), interpolation=self._cv2.INTER_LINEAR) for one in levels]
        flow = self._dis.calc(*levels, None)
        return self._cv2.resize(flow, (w, h), interpolation=self._cv2.INTER_AREA) / np.array([x, y], np.float32)

    def _moved(self, frame: np.ndarray, flow: np.ndarray) -> np.ndarray:
        """A frame read at places beside, ``(h, w)``; outside of it, its border is repeated."""
        h, w = frame.shape
        x, y = flow[..., 0] + np.arange(w, dtype=np.float32), flow[..., 1] + np.arange(h, dtype=np.float32)[:, None]
        return self._cv2.remap(frame, x, y, self._cv2.INTER_LINEAR, borderMode=self._cv2.BORDER_REPLICATE)

"""A small canvas for frames: exact pixels, one palette of 256 colours, fit for PNG and GIF."""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL import Image, ImageFont

# The palette, by position: greys for frames, then the diverging colours of errors, then from
# background to text. Dark, because frames often are: then an error of 0 is black like the frame.
_GREYS, _ERRORS, _INKS = 128, 111, 16  # an odd number of error colours, so that one is exactly 0
_BACKGROUND, _INK = "#161b22", "#e6edf3"
# Blue below and orange above can be told apart with any kind of colour vision.
_ERROR_STOPS = ["#b5e3ff", "#2f8fd8", "#000000", "#e0791c", "#ffe3b0"]

_HATCH = 8  # from one line to the next
GIVEN = _GREYS + _ERRORS + _INKS // 3
PREDICTED = _GREYS + _ERRORS + _INKS


class Canvas:
    """Colours by palette position, ``(height, width)``; everything is placed by its top left corner.

    Args:
        height, width: in pixels.
    """

    def __init__(self, height: int, width: int) -> None:
        self._index = np.full((height, width), _GREYS + _ERRORS, dtype=np.uint8)

    def frame(self, frame: np.ndarray, top: int, left: int, scale: int) -> None:
        """Draws a frame ``(1, H, W)``, black to white for 0 to 1, ``scale`` times as large."""
        self._blocks(np.rint(np.clip(frame[0], 0, 1) * (_GREYS - 1)), top, left, scale)

    def hide(self, missing: np.ndarray, top: int, left: int, scale: int) -> None:
        """Hatches the missing pixels, bool ``(1, H, W)``, of a frame that was drawn there."""
        large = missing[0].repeat(scale, axis=0).repeat(scale, axis=1)
        y, x = np.nonzero(large)
        self._index[top + y, left + x] = np.where((y + x) % _HATCH < _HATCH // 4, PREDICTED, _GREYS + _ERRORS)

    def error(self, error: np.ndarray, limit: float, top: int, left: int, scale: int) -> None:
        """Draws errors ``(1, H, W)`` from ``-limit`` to ``limit``, ``scale`` times as large."""
        half = _ERRORS // 2
        self._blocks(_GREYS + half + np.rint(error[0] / limit * half), top, left, scale)

    def border(self, colour: int, top: int, left: int, height: int, width: int, thickness: int) -> None:
        """Draws a frame of `GIVEN` or `PREDICTED` around the rectangle, outside it."""
        t = thickness
        inside = self._index[top : top + height, left : left + width].copy()
        self._index[top - t : top + height + t, left - t : left + width + t] = colour
        self._index[top : top + height, left : left + width] = inside

    def text(self, text: str, top: int, left: int, size: int = 14, centred: bool = False) -> None:
        """Writes one line, ``left`` being its middle where it is ``centred``."""
        from PIL import Image, ImageDraw

        font = _font(size)
        width, height = (math.ceil(end) for end in font.getbbox(text)[2:])
        coverage = Image.new("L", (width, height))
        ImageDraw.Draw(coverage).text((0, 0), text, fill=255, font=font)
        ink = np.asarray(coverage)
        left = max(0, left - width // 2) if centred else left
        room = self._index[top : top + ink.shape[0], left : left + width]
        room[:] = _GREYS + _ERRORS + ink[: room.shape[0], : room.shape[1]].astype(np.int64) * (_INKS - 1) // 255

    def image(self) -> Image.Image:
        """The canvas as a palette image."""
        from PIL import Image

        image = Image.fromarray(self._index)
        image.putpalette(_palette())
        return image

    def _blocks(self, index: np.ndarray, top: int, left: int, scale: int) -> None:
        large = index.astype(np.uint8).repeat(scale, axis=0).repeat(scale, axis=1)
        self._index[top : top + large.shape[0], left : left + large.shape[1]] = large


@cache
def _palette() -> bytes:
    from matplotlib.colors import LinearSegmentedColormap, to_rgb

    def ramp(stops: list[str], count: int) -> np.ndarray:
        return LinearSegmentedColormap.from_list("", stops, N=count)(np.arange(count))[:, :3]

    colours = [
        ramp(["black", "white"], _GREYS),
        ramp(_ERROR_STOPS, _ERRORS),
        ramp([_BACKGROUND, _INK], _INKS),
        np.array([to_rgb("#ffd33d")]),  # PREDICTED
    ]
    return np.rint(np.concatenate(colours) * 255).astype(np.uint8).tobytes()


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    from PIL import ImageFont

    return ImageFont.load_default(size)

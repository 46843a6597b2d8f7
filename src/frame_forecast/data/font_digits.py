"""Digits in the manner of MNIST, drawn from the fonts that matplotlib ships.

Digit ``i`` of a split is a pure function of ``(split, i)``. As in MNIST it is white on black,
28x28, scaled to a box of 20x20 with its aspect ratio kept, and its centre of mass is in the
middle; font, thickness, slant, width, rotation and size vary.
"""

import functools
import io
import math
from pathlib import Path

import matplotlib
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn.functional import affine_grid, avg_pool2d, grid_sample

from frame_forecast.errors import DataError
from frame_forecast.philox import stream_key, uniform

# Chosen by eye: the other fonts there hold no digits, or old-style ones (cmmi10) whose 0 and 1
# pass for letters. The oblique faces are left out because every digit is slanted anyway.
FONTS = (
    "DejaVuSans",
    "DejaVuSans-Bold",
    "DejaVuSansMono",
    "DejaVuSansMono-Bold",
    "DejaVuSerif",
    "DejaVuSerif-Bold",
    "DejaVuSerif-Italic",
    "DejaVuSerif-BoldItalic",
    "STIXGeneral",
    "STIXGeneralBol",
    "STIXGeneralItalic",
    "STIXGeneralBolIta",
    "cmb10",
    "cmr10",
    "cmss10",
    "cmti10",
    "cmtt10",
)
COUNTS = {"train": 10_000, "validation": 1_000, "test": 2_000}

_SIDE = 28  # height and width of a digit
_BOX = 20  # of which it fills
_FINE = 3  # samples a pixel and axis, averaged: antialiasing
_CANVAS = 96  # height and width of a glyph before it is bent and scaled
_FONT_SIZE = 84  # makes digits about 60 high, the box's 20 pixels of 3 samples
_STROKES = (0, 1, 2)  # added around the outline, in canvas pixels
_DRAWS = 7  # glyph, slant, width, rotation, size, shift to the right and down
_AT_ONCE = 250  # digits drawn together: bounds the memory to some 50 MB


@functools.cache
def font_digits(split: str) -> np.ndarray:
    """All digits of a split.

    Args:
        split: one of `COUNTS`.

    Returns:
        uint8 ``(N, 28, 28)``, read-only, because every caller gets the same array.

    Raises:
        DataError: matplotlib's fonts are not there.
    """
    images = draw_digits(split, np.arange(COUNTS[split]))
    images.flags.writeable = False
    return images


def draw_digits(split: str, index: np.ndarray) -> np.ndarray:
    """Digits by number.

    Args:
        split: names the stream of random numbers.
        index: numbers of the digits ``(N,)``.

    Returns:
        uint8 ``(N, 28, 28)``.

    Raises:
        DataError: matplotlib's fonts are not there.
    """
    draws = uniform(index, _DRAWS, stream_key("font_digits", split))
    parts = [_draw(draws[start : start + _AT_ONCE]) for start in range(0, len(draws), _AT_ONCE)]
    return np.concatenate(parts)


def _draw(draws: np.ndarray) -> np.ndarray:
    """Uniform numbers ``(N, _DRAWS)`` to digits, uint8 ``(N, 28, 28)``."""
    canvases, centres, extents = _glyphs()
    glyph = (draws[:, 0] * len(canvases)).astype(np.int64)
    slant = -0.15 + 0.5 * draws[:, 1]  # people write leaning to the right
    width = 0.8 + 0.5 * draws[:, 2]
    angle = math.radians(10) * (2 * draws[:, 3] - 1)
    size = _BOX * (0.9 + 0.1 * draws[:, 4])
    shift = draws[:, 5:7] - 0.5  # pixels: MNIST centres to whole pixels only

    # From a point of the glyph to one of the digit: slant and width, then rotation, then scale.
    # Vertical axes point down, so leaning to the right is negative.
    cos, sin, zero, one = np.cos(angle), np.sin(angle), np.zeros_like(angle), np.ones_like(angle)
    bend = np.stack([width, -slant, zero, one], axis=-1).reshape(-1, 2, 2)
    turn = np.stack([cos, -sin, sin, cos], axis=-1).reshape(-1, 2, 2)
    forward = turn @ bend
    box = (np.abs(forward) @ extents[glyph][:, :, None]).max(axis=(1, 2))
    forward *= (size / box)[:, None, None]

    # grid_sample asks the other way round, in units of half the image.
    backward = np.linalg.inv(forward) * (_SIDE / _CANVAS)
    offset = centres[glyph] - (backward @ (shift / (_SIDE / 2))[:, :, None])[:, :, 0]
    theta = torch.from_numpy(np.concatenate([backward, offset[:, :, None]], axis=2)).float()  # (N, 2, 3)
    fine = _SIDE * _FINE
    grid = affine_grid(theta, [len(draws), 1, fine, fine], align_corners=False)
    ink = grid_sample(canvases[torch.from_numpy(glyph), None].float(), grid, align_corners=False)
    return avg_pool2d(ink, _FINE)[:, 0].round().byte().numpy()


@functools.cache
def _glyphs() -> tuple[Tensor, np.ndarray, np.ndarray]:
    """Every digit of every font with every stroke.

    Returns:
        Canvases uint8 ``(G, S, S)``; centres of mass ``(G, 2)``, x before y, in units of half a
        canvas from its middle; extents of the ink ``(G, 2)`` in pixels.
    """
    folder = Path(matplotlib.get_data_path(), "fonts", "ttf")
    canvases = [
        _glyph(font, str(digit), stroke)
        for font in (_font(folder / f"{name}.ttf") for name in FONTS)
        for digit in range(10)
        for stroke in _STROKES
    ]
    middles = (2 * np.arange(_CANVAS) + 1) / _CANVAS - 1
    centres, extents = [], []
    for canvas in canvases:
        columns, rows = canvas.sum(axis=0), canvas.sum(axis=1)
        centres.append((np.average(middles, weights=columns), np.average(middles, weights=rows)))
        extents.append((np.ptp(columns.nonzero()[0]) + 1, np.ptp(rows.nonzero()[0]) + 1))
    return torch.from_numpy(np.stack(canvases)), np.array(centres), np.array(extents)


def _font(path: Path) -> ImageFont.FreeTypeFont:
    try:  # given the path, Pillow would also look for a file of that name elsewhere
        return ImageFont.truetype(io.BytesIO(path.read_bytes()), _FONT_SIZE, layout_engine=ImageFont.Layout.BASIC)
    except OSError as error:
        raise DataError(
            f"no font {path}: {error}", "the fonts that matplotlib ships", "install matplotlib again with pip"
        ) from None


def _glyph(font: ImageFont.FreeTypeFont, digit: str, stroke: int) -> np.ndarray:
    canvas = Image.new("L", (_CANVAS, _CANVAS))
    middle = (_CANVAS / 2, _CANVAS / 2)
    ImageDraw.Draw(canvas).text(middle, digit, fill=255, font=font, anchor="mm", stroke_width=stroke)
    return np.asarray(canvas)

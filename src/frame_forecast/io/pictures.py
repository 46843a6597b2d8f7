"""Pictures through Pillow, to arrays and back: what the formats of one frame a file share."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from frame_forecast.errors import DataError
from frame_forecast.header import Header
from frame_forecast.io.base import check_frame_size
from frame_forecast.scale import ValueScale

_CHANNELS = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4, "I;16": 1}


@contextmanager
def open_picture(file: BinaryIO) -> Iterator[Image.Image]:
    """A picture that is read when its pixels are asked for."""
    with warnings.catch_warnings():
        # Pillow warns at half the size that it refuses; what is too large for a frame is said by check_frame_size.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with file, Image.open(file) as picture:
            yield picture


def plain_mode(picture: Image.Image, path: Path) -> str:
    """The mode in which a picture's values are taken: a palette's colours, not its numbers.

    Raises:
        DataError: values of a kind that pictures of frames do not have.
    """
    if picture.mode in _CHANNELS:
        return picture.mode
    if picture.mode in ("P", "PA"):
        return "RGBA" if picture.has_transparency_data else "RGB"
    if picture.mode in ("CMYK", "YCbCr", "1"):
        return "L" if picture.mode == "1" else "RGB"
    if picture.mode.startswith("I"):  # 16 bits: other byte orders, or what older versions of Pillow make of them
        return "I;16"
    raise DataError(f"{path}: a picture of mode {picture.mode}", "grey or colour", "convert it, for example to TIFF")


def picture_header(kind: str, path: Path, mode: str, width: int, height: int) -> Header:
    """The header of one picture in a plain mode."""
    dtype = np.dtype(np.uint16 if mode == "I;16" else np.uint8)
    check_frame_size(path, _CHANNELS[mode], height, width, dtype)
    scale = ValueScale.of_dtype(dtype) if dtype == np.uint8 else None
    return Header(kind, 1, _CHANNELS[mode], height, width, dtype, scale)


def picture_values(picture: Image.Image, mode: str) -> np.ndarray:
    """``(C, H, W)``, uint8 or uint16."""
    if mode == "I;16":
        return np.asarray(picture).astype(np.uint16)[None]
    array = np.asarray(picture if picture.mode == mode else picture.convert(mode))
    return np.ascontiguousarray(array[None] if array.ndim == 2 else array.transpose(2, 0, 1))


def to_picture(values: np.ndarray) -> Image.Image:
    """A picture of ``(C, H, W)``: uint8 of 1 to 4 channels, or uint16 of one."""
    array = values[0] if len(values) == 1 else np.ascontiguousarray(values.transpose(1, 2, 0))
    return Image.fromarray(array.astype(array.dtype.newbyteorder("="), copy=False))

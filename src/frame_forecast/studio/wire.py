"""How frames travel between the page and the server, and how they lie in a clip's folder.

What travels is ``FFR1``, the length of a header (uint32), the header in JSON, the values and what is known of them;
all little endian. docs/api.md says it in full.
"""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass
from typing import Any, BinaryIO

from frame_forecast.errors import DataError

CONTENT_TYPE = "application/x-frames"
VALUES, MASKS = "values", "observed"
"""The two files of a clip's folder that are sent as they are."""

_MAGIC = b"FFR1"
_ALIGN = 8  # bytes, so that a page can look at the values where they are
_MOST_HEAD = 2**16
_ITEM_BYTES = {"uint8": 1, "uint16": 2, "float32": 4}
OBSERVED = ("all", "frames", "pixels")


@dataclass(frozen=True)
class Wire:
    """The layout of a clip's frames.

    Args:
        dtype: ``uint8``, ``uint16`` or ``float32``.
        shape: ``(T, C, H, W)``.
        observed: ``all`` pixels, or a byte for each of ``frames``, or a bit for each of ``pixels``, the most
            significant first, each frame from a byte of its own.
    """

    dtype: str
    shape: tuple[int, int, int, int]
    observed: str

    @property
    def frame_bytes(self) -> int:
        """Bytes of a frame's values."""
        return math.prod(self.shape[1:]) * _ITEM_BYTES[self.dtype]

    @property
    def mask_bytes(self) -> int:
        """Bytes that say what is known of a frame."""
        _, _, H, W = self.shape
        return {"all": 0, "frames": 1, "pixels": -(-H * W // 8)}[self.observed]

    def head(self, start: int, stop: int) -> bytes:
        """What goes before the frames from ``start`` up to ``stop``."""
        facts = {
            "dtype": self.dtype,
            "shape": [stop - start, *self.shape[1:]],
            "start": start,
            "observed": self.observed,
        }
        text = json.dumps(facts).encode()
        before = len(_MAGIC) + 4
        text += b" " * (-(before + len(text)) % _ALIGN)
        return _MAGIC + struct.pack("<I", len(text)) + text


def read_head(file: BinaryIO, name: str) -> Wire:
    """The layout of frames that were sent, and ``file`` moved to their values.

    Args:
        file: at its beginning.
        name: for messages.

    Raises:
        DataError: it does not begin so, or says what cannot be.
    """
    magic, size = file.read(len(_MAGIC)), file.read(4)
    if magic != _MAGIC or len(size) < 4:
        raise DataError(f"{name}, which begins with {magic!r}", "FFR1 and the length of a header", "see docs/api.md")
    (length,) = struct.unpack("<I", size)
    if length > _MOST_HEAD:
        raise DataError(f"{name}, with a header of {length} bytes", f"{_MOST_HEAD} at most", "see docs/api.md")
    try:
        facts: Any = json.loads(file.read(length))
        shape = tuple(facts["shape"])
        wire = Wire(facts["dtype"], shape, facts["observed"])
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise DataError(
            f"{name}, whose header is no JSON of dtype, shape and observed ({type(error).__name__})",
            'such as {"dtype": "uint8", "shape": [20, 1, 64, 64], "start": 0, "observed": "all"}',
            "see docs/api.md",
        ) from error
    whole = len(shape) == 4 and all(type(size) is int and size > 0 for size in shape)
    if not whole or wire.dtype not in list(_ITEM_BYTES) or wire.observed not in OBSERVED:
        raise DataError(
            f"{name}, of dtype {wire.dtype!r}, shape {list(shape)!r} and observed {wire.observed!r}"[:300],
            f"{' or '.join(_ITEM_BYTES)}, (T, C, H, W) without an empty axis, and {' or '.join(OBSERVED)}",
            "see docs/api.md",
        )
    return wire

"""The JSON beside a file that a model made or filled: which pixels are the source's, and which were made by what.

Its ``frames`` has an entry for each frame with anything made: ``frame``, its number from 0; ``pixels``, how
many; and, unless all are, ``made``: base64 of zlib of one bit for each pixel, row by row, 1 where it was made
(``numpy.packbits``). An entry that is like the one before says ``"like": its number``.
"""

import base64
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from frame_forecast.errors import DataError
from frame_forecast.io.base import check_frame_size
from frame_forecast.records import read_json

SCHEMA = 1
SUFFIX = ".made.json"


def sidecar_of(path: Path) -> Path:
    """Where the sidecar of a file or folder lies: beside it."""
    return path.with_name(path.name + SUFFIX)


class SidecarWriter:
    """Writes a sidecar frame by frame.

    Args:
        file: open for text.
        facts: what else it says; JSON, without ``schema``, ``height``, ``width`` and ``frames``.
        height, width: of the frames.
    """

    def __init__(self, file: TextIO, facts: dict[str, Any], height: int, width: int) -> None:
        self._file = file
        self._written = 0
        self._entries = 0
        self._before: np.ndarray | None = None
        self._before_number = 0
        head = {"schema": SCHEMA, **facts, "height": height, "width": width}
        file.write(json.dumps(head, indent=2)[:-2] + ',\n  "frames": [')

    def add(self, made: np.ndarray) -> None:
        """The next frame's made pixels, bool ``(1, H, W)``."""
        number, pixels = self._written, int(np.count_nonzero(made))
        self._written += 1
        if not pixels:
            return
        entry: dict[str, Any] = {"frame": number, "pixels": pixels}
        if pixels < made.size:
            if self._before is not None and np.array_equal(self._before, made):
                entry["like"] = self._before_number
            else:
                entry["made"] = base64.b64encode(zlib.compress(np.packbits(made).tobytes())).decode()
                self._before, self._before_number = made.copy(), number
        self._file.write((",\n    " if self._entries else "\n    ") + json.dumps(entry))
        self._entries += 1

    def finish(self) -> None:
        """Ends the file."""
        self._file.write(f'\n  ],\n  "frames_written": {self._written}\n}}\n')


def read_sidecar(path: Path) -> dict[str, Any]:
    """What a sidecar says.

    Raises:
        DataError: it is none, of another version, or damaged.
    """
    try:
        facts = read_json(path)
        if facts["schema"] == SCHEMA:
            _check_numbers(facts)
            check_frame_size(path, 1, facts["height"], facts["width"], np.dtype(bool))
            return facts
        found = f"schema {facts['schema']!r}"
    except (OSError, ValueError, KeyError, TypeError) as error:
        found = f"{type(error).__name__}: {error}"
    raise DataError(f"{path}: {found}", f"a sidecar of schema {SCHEMA}", "give one that this version wrote")


def _check_numbers(facts: dict[str, Any]) -> None:
    """Raises ValueError, KeyError or TypeError for sizes or numbers of frames that cannot be."""
    for key in ("height", "width", "frames_written"):
        if type(facts[key]) is not int or facts[key] < 1:
            raise ValueError(f"{key} {facts[key]!r}")
    before = -1
    for entry in facts["frames"]:
        number = entry["frame"]
        if type(number) is not int or not before < number < facts["frames_written"]:
            raise ValueError(f"frame {number!r} after {before} of {facts['frames_written']}")
        before = number


def made_masks(facts: dict[str, Any]) -> Iterator[np.ndarray]:
    """The made pixels of each frame, bool ``(1, H, W)``.

    Args:
        facts: from `read_sidecar`.

    Raises:
        DataError: entries that are damaged.
    """
    H, W = facts["height"], facts["width"]
    entries = {entry["frame"]: entry for entry in facts["frames"]}
    last, last_number = np.zeros((1, H, W), dtype=bool), -1
    for number in range(facts["frames_written"]):
        entry = entries.get(number)
        if entry is None:
            yield np.zeros((1, H, W), dtype=bool)
            continue
        try:
            if "made" in entry:
                last, last_number = _unpack(entry["made"], H, W), number
                made = last
            elif "like" in entry:
                if entry["like"] != last_number:
                    raise ValueError(f"like frame {entry['like']!r}, which is not the last one with its own")
                made = last
            else:
                made = np.ones((1, H, W), dtype=bool)
            if np.count_nonzero(made) != entry["pixels"]:
                raise ValueError(f"{entry['pixels']!r} pixels said and {np.count_nonzero(made)} given")
        except (KeyError, TypeError, ValueError, zlib.error) as error:
            reason = f"{type(error).__name__}: {error}"
            raise DataError(
                f"a sidecar whose frame {number} is damaged: {reason}",
                "a whole one",
                "give one that this version wrote",
            ) from error
        yield made


def _unpack(text: str, height: int, width: int) -> np.ndarray:
    """bool ``(1, H, W)`` of an entry's ``made``.

    Raises:
        TypeError, ValueError, zlib.error: it is damaged.
    """
    size = (height * width + 7) // 8
    unpacking = zlib.decompressobj()
    # Bounded by one byte more than a frame needs, so that a damaged or hostile entry fills no memory.
    packed = unpacking.decompress(base64.b64decode(text, validate=True), size + 1)
    if len(packed) != size or not unpacking.eof:
        raise ValueError(f"other than the {size} bytes of {height}x{width} pixels")
    bits = np.unpackbits(np.frombuffer(packed, dtype=np.uint8), count=height * width)
    return bits.astype(bool).reshape(1, height, width)

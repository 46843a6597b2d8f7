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
        DataError: it is none, or of another version.
    """
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        if facts["schema"] == SCHEMA and isinstance(facts["frames"], list) and facts["frames_written"] >= 1:
            return facts
        found = f"schema {facts['schema']!r}"
    except (OSError, ValueError, KeyError, TypeError) as error:
        found = f"{type(error).__name__}: {error}"
    raise DataError(f"{path}: {found}", f"a sidecar of schema {SCHEMA}", "give one that this version wrote")


def made_masks(facts: dict[str, Any]) -> Iterator[np.ndarray]:
    """The made pixels of each frame, bool ``(1, H, W)``.

    Args:
        facts: from `read_sidecar`.

    Raises:
        DataError: entries that are damaged.
    """
    try:
        H, W = int(facts["height"]), int(facts["width"])
        entries = {int(entry["frame"]): entry for entry in facts["frames"]}
        last, last_number = np.zeros((1, H, W), dtype=bool), -1
        for number in range(int(facts["frames_written"])):
            entry = entries.get(number)
            if entry is None:
                yield np.zeros((1, H, W), dtype=bool)
            elif "made" in entry:
                # Bounded by what a frame needs, so that a damaged or hostile entry fills no memory.
                packed = zlib.decompressobj().decompress(base64.b64decode(entry["made"]), (H * W + 7) // 8)
                bits = np.unpackbits(np.frombuffer(packed, dtype=np.uint8), count=H * W)
                last, last_number = bits.astype(bool).reshape(1, H, W), number
                yield last
            elif "like" in entry:
                if int(entry["like"]) != last_number:
                    raise ValueError(f"frame {number} is like {entry['like']}, which is not the last one")
                yield last
            else:
                yield np.ones((1, H, W), dtype=bool)
    except (KeyError, TypeError, ValueError, zlib.error) as error:
        raise DataError(f"a sidecar with {error}", "whole entries", "give one that this version wrote") from error

"""WebP: a picture or an animation, without loss as it is written here."""

import struct
from collections.abc import Iterator
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import numpy as np

from frame_forecast.errors import OutputError
from frame_forecast.header import Header
from frame_forecast.io.animation import shown_for
from frame_forecast.io.base import Frame, Reader, Writer, check_frame_size, unreadable
from frame_forecast.io.pictures import open_picture, to_picture
from frame_forecast.io.registry import register_reader, register_writer
from frame_forecast.scale import ValueScale

_PER_SECOND = 1000  # units of delays
_MOST_SIDE = 16383
_MOST_DELAY = 2**24 - 1
_MOST_BYTES = 2**32 - 2  # of a file, after its first 8
_ANIMATED, _TRANSPARENT = 2, 16
_CHANNELS = {1: [0], 2: [0, 3], 3: [0, 1, 2], 4: [0, 1, 2, 3]}
"""Which channels of RGBA a frame has."""


@register_reader("webp", (".webp",))
class WebpReader(Reader):
    """Whole frames; grey if all of them are, else RGB, and a channel more where some are transparent.

    A frame that is shown for longer is one frame: its time says so, and none is missing. The packed file is held in
    memory while it is read, as Pillow does it.
    """

    @classmethod
    def sniff(cls, path: Path, head: bytes) -> bool:
        return head[:4] == b"RIFF" and head[8:12] == b"WEBP"

    def __init__(self, path: Path, layout: str | None = None) -> None:
        super().__init__(path, layout)
        with path.open("rb") as file:
            declared = 8 + int.from_bytes(file.read(8)[4:], "little")
            size = file.seek(0, 2)
        if size < declared:
            raise unreadable(path, f"cut off: {size} bytes where {declared} are declared")
        with open_picture(self.open()) as picture:
            W, H = picture.size
            check_frame_size(path, 4, H, W, np.dtype(np.uint8))
            loop = picture.info.get("loop", 0)
        # The file does not say how its frames are coloured: they do.
        delays, grey, opaque = [], True, True
        for array, shown in self._frames():
            delays.append(shown)
            grey = grey and bool((array[..., :3] == array[..., :1]).all())
            opaque = opaque and bool((array[..., 3] == 255).all())
        known = len(delays) > 1 and 0 not in delays
        self.header = Header(
            "webp",
            len(delays),
            (1 if grey else 3) + (0 if opaque else 1),
            H,
            W,
            np.dtype(np.uint8),
            ValueScale.of_dtype(np.dtype(np.uint8)),
            Fraction(1000, delays[0]) if known and len(set(delays)) == 1 else None,
            np.cumsum([0, *delays[:-1]]) / 1000 if known else None,
            {"loop": loop, "last": delays[-1]},
        )

    def _frames(self) -> Iterator[tuple[np.ndarray, int]]:
        """Each frame ``(H, W, 4)`` and for how many milliseconds it is shown."""
        with open_picture(self.open()) as picture:
            for number in range(getattr(picture, "n_frames", 1)):
                picture.seek(number)
                array = np.asarray(picture.convert("RGBA"))
                yield array, int(picture.info.get("duration", 0))

    def __iter__(self) -> Iterator[Frame]:
        times = self.header.times
        for number, (array, _) in enumerate(self._frames()):
            values = np.ascontiguousarray(array.transpose(2, 0, 1)[_CHANNELS[self.header.channels]])
            yield Frame.whole(values, None if times is None else times[number])


@register_writer("webp", (".webp",))
class WebpWriter(Writer):
    """An animation without loss. It plays at the rate of the frames; at 10 a second where none is known, or where
    they are dated."""

    holds = "uint8", (1, 2, 3, 4)

    def __init__(self, path: Path, header: Header, target: Path) -> None:
        super().__init__(path, header, target)
        C, H, W = header.shape
        if max(H, W) > _MOST_SIDE:
            raise OutputError(f"{target} of {H}x{W} pixels", f"{_MOST_SIDE} at most", "choose another format")
        flags = _ANIMATED | (0 if C % 2 else _TRANSPARENT)
        self._file = path.open("wb")
        self._file.write(b"RIFF\0\0\0\0WEBP")
        self._file.write(_chunk(b"VP8X", bytes([flags, 0, 0, 0]) + _three(W - 1) + _three(H - 1)))
        self._file.write(_chunk(b"ANIM", struct.pack("<IH", 0, header.meta.get("loop", 0))))

    def _write(self, frame: Frame) -> None:
        # Pillow's own animations keep all frames in memory until the last.
        still = BytesIO()
        to_picture(self.without_holes(frame)).save(still, "WEBP", lossless=True, exact=True)
        _, H, W = self.header.shape
        shown = min(shown_for(self.header, self.written, _PER_SECOND), _MOST_DELAY)
        place = _three(0) + _three(0) + _three(W - 1) + _three(H - 1) + _three(shown)
        over = b"\2"  # instead of what is there, not blended with it
        self._file.write(_chunk(b"ANMF", place + over + _pixels(still.getvalue())))
        if self._file.tell() > _MOST_BYTES:
            raise OutputError(f"{self.target} of more than 4 GiB", "less: the format has no more", "write .mkv")

    def finish(self) -> None:
        size = self._file.tell()
        self._file.seek(4)
        self._file.write(struct.pack("<I", size - 8))

    def close(self) -> None:
        self._file.close()


def _three(number: int) -> bytes:
    return number.to_bytes(3, "little")


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def _pixels(webp: bytes) -> bytes:
    """The chunk with the pixels of a picture without loss."""
    at = 12
    while webp[at : at + 4] != b"VP8L":
        length = int.from_bytes(webp[at + 4 : at + 8], "little")
        at += 8 + length + length % 2
    length = int.from_bytes(webp[at + 4 : at + 8], "little")
    return webp[at : at + 8 + length + length % 2]

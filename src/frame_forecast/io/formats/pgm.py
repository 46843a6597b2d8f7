"""Portable grey and colour maps, the binary ones: PGM (P5) and PPM (P6).

Not through Pillow, which stretches values whose maximum is neither 255 nor 65535 and drops the comments,
where radar products say what their values mean.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from frame_forecast.errors import DataError
from frame_forecast.header import Header
from frame_forecast.io.base import Frame, Reader, Writer, check_frame_size, unreadable
from frame_forecast.io.registry import register_reader, register_writer
from frame_forecast.scale import ValueScale

_CHANNELS = {b"P5": 1, b"P6": 3}
_SPACE = rb"(?:\s|#[^\n\r]*[\n\r])+"
_HEAD = re.compile(rb"(P[56])" + _SPACE + rb"(\d{1,9})" + _SPACE + rb"(\d{1,9})" + _SPACE + rb"(\d{1,5})\s")
_MOST_HEAD = 2**16


@dataclass(frozen=True)
class PgmHead:
    """What stands before the pixels.

    Args:
        channels, height, width: of the picture.
        maximum: of the values; above 255 they have 16 bits.
        comments: line by line, without ``#`` and the space after it.
        size: in bytes.
    """

    channels: int
    height: int
    width: int
    maximum: int
    comments: tuple[str, ...]
    size: int

    @property
    def dtype(self) -> np.dtype:
        """Of the pixels."""
        return np.dtype(">u2" if self.maximum > 255 else np.uint8)


def parse_head(path: Path, head: bytes) -> PgmHead:
    """The head of a file.

    Args:
        path: for messages.
        head: the file's first bytes, the whole head among them.

    Raises:
        DataError: damaged, or a picture of absurd size.
    """
    match = _HEAD.match(head)
    if match is None or not 0 < int(match[4]) < 65536:
        raise unreadable(path, "no width, height and maximum from 1 to 65535 at the beginning")
    comments = tuple(line.decode("latin-1").removeprefix(" ") for line in re.findall(rb"#([^\n\r]*)", match[0]))
    width, height, maximum = int(match[2]), int(match[3]), int(match[4])
    found = PgmHead(_CHANNELS[match[1]], height, width, maximum, comments, match.end())
    check_frame_size(path, found.channels, found.height, found.width, found.dtype)
    return found


@register_reader("pgm", (".pgm", ".ppm", ".pnm"))
class PgmReader(Reader):
    """One picture in the values it has. ``meta`` has its ``maximum`` and its ``comments``."""

    gzipped = True

    @classmethod
    def sniff(cls, path: Path, head: bytes) -> bool:
        return re.match(rb"P[1-6][\s#]", head) is not None

    def __init__(self, path: Path, layout: str | None = None) -> None:
        super().__init__(path, layout)
        with self.open() as file:
            head = file.read(_MOST_HEAD)
        if head[:2] not in _CHANNELS:
            raise DataError(f"{path}: {head[:2].decode()}", "P5 or P6, binary grey or colour", "convert it")
        self.head = parse_head(path, head)
        maximum = self.head.maximum
        self.header = Header(
            "pgm",
            1,
            self.head.channels,
            self.head.height,
            self.head.width,
            self.head.dtype,
            None if maximum == 65535 else ValueScale(0, maximum),  # 65535 says no more than that there are 16 bits
            meta={"maximum": maximum, "comments": self.head.comments},
        )

    def __iter__(self) -> Iterator[Frame]:
        C, H, W = self.header.shape
        with self.open() as file:
            file.seek(self.head.size)
            data = file.read(self.header.frame_bytes + 1)
        if len(data) != self.header.frame_bytes:
            found = f"{len(data)} bytes of pixels" if len(data) < self.header.frame_bytes else "bytes after the picture"
            raise unreadable(self.path, f"{found} where {self.header.frame_bytes} are declared")
        pixels = np.frombuffer(data, self.header.dtype).reshape(H, W, C)
        yield Frame.whole(np.ascontiguousarray(pixels.transpose(2, 0, 1)))


@register_writer("pgm", (".pgm", ".ppm", ".pnm"))
class PgmWriter(Writer):
    """One picture. Comments are not written: they may speak of another frame."""

    most_frames = 1
    gzipped = True
    holds = "uint8 uint16", (1, 3)

    def _write(self, frame: Frame) -> None:
        C, H, W = self.header.shape
        maximum = self.header.meta.get("maximum", int(np.iinfo(self.header.dtype).max))
        pixels = self.without_holes(frame).transpose(1, 2, 0)
        data = pixels.astype(pixels.dtype.newbyteorder(">")).tobytes()
        self.path.write_bytes(f"P{5 if C == 1 else 6}\n{W} {H}\n{maximum}\n".encode() + data)

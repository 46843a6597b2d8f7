"""GIF: a picture or an animation, 256 colours a frame."""

import struct
from collections.abc import Iterator
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from frame_forecast.errors import OutputError
from frame_forecast.header import Header
from frame_forecast.io.animation import shown_for
from frame_forecast.io.base import Frame, Reader, Writer, check_frame_size, unreadable
from frame_forecast.io.pictures import open_picture
from frame_forecast.io.registry import register_reader, register_writer
from frame_forecast.scale import ValueScale

_PER_SECOND = 100  # units of delays
_MOST_SIDE = _MOST_DELAY = 65535
_COLOURS = 256
_TRAILER = b";"


@register_reader("gif", (".gif",))
class GifReader(Reader):
    """Whole frames, each laid over those before it; grey if all of them are, else RGB.

    A frame that is shown for longer is one frame: its time says so, and none is missing.
    """

    gzipped = True

    @classmethod
    def sniff(cls, path: Path, head: bytes) -> bool:
        return head.startswith((b"GIF87a", b"GIF89a"))

    def __init__(self, path: Path, layout: str | None = None) -> None:
        super().__init__(path, layout)
        with open_picture(self.open()) as picture:
            W, H = picture.size
            loop = picture.info.get("loop")
        check_frame_size(path, 3, H, W, np.dtype(np.uint8))
        self._check_end()
        # The file says neither how many frames there are nor how long or how coloured they are: they say it.
        delays, grey = [], True
        for array, delay in self._frames():
            delays.append(delay)
            grey = grey and bool((array == array[..., :1]).all())
        known = len(delays) > 1 and 0 not in delays
        self.header = Header(
            "gif",
            len(delays),
            1 if grey else 3,
            H,
            W,
            np.dtype(np.uint8),
            ValueScale.of_dtype(np.dtype(np.uint8)),
            Fraction(1000, delays[0]) if known and len(set(delays)) == 1 else None,
            np.cumsum([0, *delays[:-1]]) / 1000 if known else None,
            {"loop": loop, "last": delays[-1]},
        )

    def _check_end(self) -> None:
        """Raises DataError for a file that was cut between two frames, which Pillow takes for whole."""
        with self.open() as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - 4096))
            end = file.read().rstrip(b"\0\r\n ")  # some hosts pad files
        if not end.endswith(_TRAILER):
            raise unreadable(self.path, "ends without a GIF's end mark")

    def _frames(self) -> Iterator[tuple[np.ndarray, int]]:
        """Each frame ``(H, W, 3)`` and for how many milliseconds it is shown."""
        with open_picture(self.open()) as picture:
            for number in range(2**31):
                try:
                    picture.seek(number)
                except EOFError:  # how Pillow says that there are no more
                    return
                W, H = picture.size  # which a frame past its edge makes larger
                check_frame_size(self.path, 3, H, W, np.dtype(np.uint8))
                yield np.asarray(picture.convert("RGB")), int(picture.info.get("duration", 0))

    def __iter__(self) -> Iterator[Frame]:
        times = self.header.times
        for number, (array, _) in enumerate(self._frames()):
            values = np.ascontiguousarray(array.transpose(2, 0, 1)[: self.header.channels])
            yield Frame.whole(values, None if times is None else times[number])


@register_writer("gif", (".gif",))
class GifWriter(Writer):
    """An animation, without loss unless a frame has more than 256 colours.

    It plays at the rate of the frames; at 10 a second where none is known, or where they are dated: scans every
    five minutes are not watched as they came.
    """

    gzipped = True
    holds = "uint8", (1, 3)

    def __init__(self, path: Path, header: Header, target: Path) -> None:
        super().__init__(path, header, target)
        _, H, W = header.shape
        if max(H, W) > _MOST_SIDE:
            raise OutputError(f"{target} of {H}x{W} pixels", f"{_MOST_SIDE} at most", "choose another format")
        self._file = path.open("wb")
        self._file.write(b"GIF89a" + struct.pack("<HHBBB", W, H, 0x70, 0, 0))
        if (loop := header.meta.get("loop", 0)) is not None:
            self._file.write(b"\x21\xff\x0bNETSCAPE2.0\x03\x01" + struct.pack("<HB", loop, 0))

    def _write(self, frame: Frame) -> None:
        picture = BytesIO()
        _with_palette(self.without_holes(frame)).save(picture, "GIF")
        shown = min(shown_for(self.header, self.written, _PER_SECOND), _MOST_DELAY)
        self._file.write(_as_frame_of_many(picture.getvalue(), shown))

    def finish(self) -> None:
        self._file.write(_TRAILER)

    def close(self) -> None:
        self._file.close()


def _with_palette(values: np.ndarray) -> Image.Image:
    """A picture of ``(C, H, W)`` in no more than 256 colours: its own, if it has no more."""
    if len(values) == 1:
        return Image.fromarray(values[0])
    R, G, B = values.astype(np.uint32)
    colours, index = np.unique(R << 16 | G << 8 | B, return_inverse=True)
    if len(colours) > _COLOURS:
        return Image.fromarray(np.ascontiguousarray(values.transpose(1, 2, 0))).quantize(
            _COLOURS, dither=Image.Dither.NONE
        )
    picture = Image.fromarray(index.reshape(R.shape).astype(np.uint8)).convert("P")
    picture.putpalette(np.stack([colours >> 16, colours >> 8 & 255, colours & 255], axis=1).astype(np.uint8).tobytes())
    return picture


def _as_frame_of_many(gif: bytes, delay: int) -> bytes:
    """A GIF of one frame without what only a whole file has, its palette now the frame's own.

    Pillow's own animations keep all frames in memory until the last.
    """
    flags = gif[10]
    palette = gif[13 : 13 + 3 * 2 ** ((flags & 7) + 1)]
    at = 13 + len(palette)
    while gif[at] == 0x21:  # extensions: their blocks end with an empty one
        at += 2
        while gif[at]:
            at += 1 + gif[at]
        at += 1
    control = b"\x21\xf9\x04" + struct.pack("<BHBB", 1 << 2, delay, 0, 0)  # the frame stays under the next
    descriptor = gif[at : at + 9] + bytes([gif[at + 9] & 0x40 | 0x80 | flags & 7])
    return control + descriptor + palette + gif[at + 10 : -1]

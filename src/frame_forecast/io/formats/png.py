"""PNG pictures: 8 bits of grey or colour, with alpha or without, or 16 bits of grey."""

from collections.abc import Iterator
from pathlib import Path

from frame_forecast.errors import DataError, OutputError
from frame_forecast.header import Header
from frame_forecast.io.base import Frame, Reader, Writer
from frame_forecast.io.pictures import open_picture, picture_header, picture_values, plain_mode, to_picture
from frame_forecast.io.registry import register_reader, register_writer

_MAGIC = b"\x89PNG\r\n\x1a\n"
_GREY = (0, 3)  # colour types that Pillow reads in all their bits; palettes have 8 at most


@register_reader("png", (".png",))
class PngReader(Reader):
    """One picture; palettes are read as the colours they stand for."""

    gzipped = True

    @classmethod
    def sniff(cls, path: Path, head: bytes) -> bool:
        return head.startswith(_MAGIC)

    def __init__(self, path: Path, layout: str | None = None) -> None:
        super().__init__(path, layout)
        with self.open() as file:
            depth, colour = file.read(26)[24:26]
        if depth == 16 and colour not in _GREY:
            raise DataError(
                f"{path}: 16 bits of colour, of which 8 would be lost", "16 bits of grey or 8 of colour", "use TIFF"
            )
        with open_picture(self.open()) as picture:
            if getattr(picture, "n_frames", 1) > 1:
                raise DataError(f"{path}: an animated PNG", "a picture", "convert it to GIF or video")
            self._mode = plain_mode(picture, path)
            self.header = picture_header("png", path, self._mode, *picture.size)

    def __iter__(self) -> Iterator[Frame]:
        with open_picture(self.open()) as picture:
            yield Frame.whole(picture_values(picture, self._mode))


@register_writer("png", (".png",))
class PngWriter(Writer):
    """One picture, without loss."""

    most_frames = 1
    gzipped = True
    holds = "uint8 uint16", (1, 2, 3, 4)

    def __init__(self, path: Path, header: Header, target: Path) -> None:
        super().__init__(path, header, target)
        if header.dtype.itemsize == 2 and header.channels > 1:
            raise OutputError(f"{target} for 16 bits of colour", "16 bits of grey or 8 of colour", "choose .tif")

    def _write(self, frame: Frame) -> None:
        to_picture(self.without_holes(frame)).save(self.path, "PNG")

"""JPEG pictures. They lose a little each time they are written."""

from collections.abc import Iterator
from pathlib import Path

from PIL import ExifTags, Image, ImageOps

from frame_forecast.io.base import Frame, Reader, Writer
from frame_forecast.io.pictures import open_picture, picture_header, picture_values, plain_mode, to_picture
from frame_forecast.io.registry import register_reader, register_writer

_QUALITY = 95  # beyond it, files grow and errors hardly shrink (Pillow's own advice)


@register_reader("jpg", (".jpg", ".jpeg"))
class JpgReader(Reader):
    """One picture, turned as its camera said it should be."""

    gzipped = True

    @classmethod
    def sniff(cls, path: Path, head: bytes) -> bool:
        return head.startswith(b"\xff\xd8\xff")

    def __init__(self, path: Path, layout: str | None = None) -> None:
        super().__init__(path, layout)
        with open_picture(self.open()) as picture:
            self._mode = plain_mode(picture, path)
            lying = picture.getexif().get(ExifTags.Base.Orientation, 1) >= Image.Transpose.TRANSPOSE
            width, height = picture.size[::-1] if lying else picture.size
            self.header = picture_header("jpg", path, self._mode, width, height)

    def __iter__(self) -> Iterator[Frame]:
        with open_picture(self.open()) as picture:
            yield Frame.whole(picture_values(ImageOps.exif_transpose(picture), self._mode))


@register_writer("jpg", (".jpg", ".jpeg"))
class JpgWriter(Writer):
    """One picture, near to what it should be."""

    most_frames = 1
    gzipped = True
    holds = "uint8", (1, 3)

    def _write(self, frame: Frame) -> None:
        to_picture(self.without_holes(frame)).save(self.path, "JPEG", quality=_QUALITY, subsampling=0)

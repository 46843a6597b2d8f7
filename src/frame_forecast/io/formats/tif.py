"""TIFF: a picture or a stack of them, in any number of bits and channels; ImageJ's and OME's too."""

import logging
import lzma
import math
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tifffile

from frame_forecast.errors import DataError
from frame_forecast.header import Header
from frame_forecast.io import base
from frame_forecast.io.base import Frame, Reader, Writer, require, unreadable
from frame_forecast.io.layout import default_scale, frames_of, split_shape, to_frame
from frame_forecast.io.registry import register_reader, register_writer

_MAGICS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
logging.getLogger("tifffile").addHandler(logging.NullHandler())  # what matters of damage is said in an error
_SPATIAL = {"Y": "H", "X": "W", "S": "C", "C": "C"}
_LARGE = 2**32 - 2**25  # where offsets of 32 bits end, less what stands beside the pixels
_UNPACKERS = {8: (zlib.decompressobj, 1032), 32946: (zlib.decompressobj, 1032), 34925: (lzma.LZMADecompressor, 10**4)}
"""What unpacks a page of this compression in parts, and to how many times as much at the most."""
_KEPT = (8, 32946, 34925)  # Deflate by its two numbers, and LZMA: the rest is lossy or not in the standard library


@register_reader("tif", (".tif", ".tiff"))
class TifReader(Reader):
    """Pages, or whatever axis runs over them (time, depth), as frames; channels may be pages of their own."""

    gzipped = True

    @classmethod
    def sniff(cls, path: Path, head: bytes) -> bool:
        return head.startswith(_MAGICS)

    def __init__(self, path: Path, layout: str | None = None) -> None:
        super().__init__(path, layout)
        with self.open() as file, tifffile.TiffFile(file, name=path.name) as tif:
            _check_chain(path, tif)
            if len(tif.series) != 1:
                found = ", ".join(f"{one.axes} {one.shape}" for one in tif.series) or "none"
                raise DataError(f"{path}, with pictures that differ: {found}", "one stack", "save it by itself")
            series = tif.series[0]
            page = series.keyframe
            self._axes, self._shape = _name_axes(path, series.axes, series.shape)
            dtype = (series.dtype or np.dtype(object)).newbyteorder("=")
            T, (C, H, W) = split_shape(path, self._shape, self._axes, dtype)
            _check_codec(page)
            self._offset = series.dataoffset  # of pixels that lie as in an array; None = page by page
            _check_extent(path, series, file.seek(0, 2))
            compression = int(page.compression) if page.compression in _KEPT else None
            meta = {"compression": compression, "byteorder": tif.byteorder}
        self.header = Header("tif", T, C, H, W, dtype, default_scale(dtype), meta=meta)

    def __iter__(self) -> Iterator[Frame]:
        with self.open() as file, tifffile.TiffFile(file, name=self.path.name) as tif:
            own = self.header.dtype.newbyteorder(tif.byteorder)
            if self._offset is not None:
                file.seek(self._offset)
                frames = frames_of(file, self.path, self._shape, self._axes, own)
            else:
                frames = self._by_page(tif.series[0])
            for values in frames:
                yield Frame.whole(values.astype(self.header.dtype, copy=False))

    def _by_page(self, series: tifffile.TiffPageSeries) -> Iterator[np.ndarray]:
        """Frames ``(C, H, W)``, each of one page or of one a channel."""
        within = self._axes[len(self._axes) - len(series.keyframe.shape) :]  # axes of a page
        over = self._axes.removesuffix(within)
        sizes = dict(zip(self._axes, self._shape, strict=True))
        numbers = np.arange(math.prod(sizes[letter] for letter in over)).reshape([sizes[letter] for letter in over])
        order = numbers if "T" in over else numbers[None]
        for t in range(sizes.get("T", 1)):
            chosen = order.take(t, over.index("T") if "T" in over else 0)
            pages = [series.pages[int(number)] for number in chosen.reshape(-1)]
            arrays = []
            for page in pages:
                if page is not None:
                    _check_unpacked(self.path, page)
                    arrays.append(to_frame(page.asarray(), within))
            yield np.concatenate(arrays)


def _name_axes(path: Path, axes: str, shape: tuple[int, ...]) -> tuple[str, tuple[int, ...]]:
    """A series' axes in letters of ``TCHW``, without those of length 1 that these do not have."""
    names, sizes = [], []
    for letter, size in zip(axes, shape, strict=True):
        if letter in "YX" or size > 1:
            names.append(_SPATIAL.get(letter, "T"))
            sizes.append(size)
    if len(set(names)) < len(names) or not {"H", "W"} <= set(names):
        raise DataError(f"{path}, with axes {axes} of {shape}", "Y, X, one of time or depth, and channels", "split it")
    return "".join(names), tuple(sizes)


def _check_codec(page: tifffile.TiffPage) -> None:
    """Raises ConfigError where only another package can unpack the pixels."""
    try:
        tifffile.TIFF.DECOMPRESSORS[page.compression]
        tifffile.TIFF.UNPREDICTORS[page.predictor]
    except KeyError:
        require("imagecodecs", "imagecodecs")


def _check_chain(path: Path, tif: tifffile.TiffFile) -> None:
    """Raises DataError where the last page names another, or is cut off before it says that there is none:
    tifffile then leaves pages out without an error, or goes round and round where it looks for `series` first."""
    pages = len(tif.pages)  # goes through them all
    place = tif.pages.next_page_offset  # where the last page would name the next
    if place is None:
        raise unreadable(path, f"pages after the {pages}th that cannot be found")
    tif.filehandle.seek(place)
    named = tif.filehandle.read(tif.tiff.offsetsize)
    if any(named) or len(named) < tif.tiff.offsetsize:
        raise unreadable(path, f"{pages} pages, the last of which names another that is not there")


def _check_extent(path: Path, series: tifffile.TiffPageSeries, size: int) -> None:
    """Raises DataError where pixels lie past the end of the file, which would come as zeros."""
    if series.dataoffset is not None:
        end = series.dataoffset + series.nbytes
    else:
        if any(page is None for page in series.pages):
            raise unreadable(path, "pages of the stack are not there")
        segments = [
            (offset, count)
            for page in series.pages
            if page is not None
            for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True)
        ]
        end = max((offset + count for offset, count in segments), default=0)
    if end > size:
        raise unreadable(path, f"{size} bytes where pixels up to byte {end} are declared")


def _check_unpacked(path: Path, page: tifffile.TiffPage | tifffile.TiffFrame) -> None:
    """Raises DataError where a part of a page unpacks to more than its pixels, which tifffile would do in memory."""
    own = page.keyframe
    if own is None or own.dtype is None or own.compression not in _UNPACKERS:
        return
    make, ratio = _UNPACKERS[own.compression]
    most = math.prod(own.chunks) * own.dtype.itemsize
    file = page.parent.filehandle
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
        if count * ratio > base.MOST_FRAME_BYTES:  # what is shorter cannot fill more memory than a frame may
            file.seek(offset)
            if len(make().decompress(file.read(count), most + 1)) > most:
                raise unreadable(path, f"{count} bytes that unpack to more than the {most} of their pixels")


@register_writer("tif", (".tif", ".tiff"))
class TifWriter(Writer):
    """A page a frame, without loss, in the byte order and compression it was read in. Missing floats are NaN."""

    gzipped = True

    def __init__(self, path: Path, header: Header, target: Path) -> None:
        super().__init__(path, header, target)
        large = header.frames is None or header.frames * header.frame_bytes > _LARGE
        self._tif = tifffile.TiffWriter(path, bigtiff=large, byteorder=header.meta.get("byteorder"))

    def _write(self, frame: Frame) -> None:
        values = self.without_holes(frame)
        colour = len(values) == 3 and values.dtype.kind == "u"
        if len(values) == 1:
            array, planes = values[0], None
        elif colour:
            array, planes = np.ascontiguousarray(values.transpose(1, 2, 0)), "contig"
        else:
            array, planes = values, "separate"
        self._tif.write(
            array,
            photometric="rgb" if colour else "minisblack",
            planarconfig=planes,
            compression=self.header.meta.get("compression"),
            contiguous=False,
            metadata=None,
        )

    def close(self) -> None:
        self._tif.close()

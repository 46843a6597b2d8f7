"""Images in idx files, the format of MNIST: big-endian header, then the pixels.

======  =====================================================
bytes
======  =====================================================
0..3    00 00, 08 = unsigned bytes, 03 = three axes
4..15   number of images, height, width, 32 bits each
16..    pixels, row by row
======  =====================================================
"""

import gzip
import hashlib
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np

from frame_forecast.errors import DataError

_HEADER = struct.Struct(">4I")
_MAGIC = 0x00000803
_GZIP_MAGIC = b"\x1f\x8b"
_MOST_BYTES = 2**30  # EMNIST, the largest well-known set in this format, has 0.64e9
_CHUNK = 2**20


def read_idx_images(path: Path) -> np.ndarray:
    """The images of an idx file, plain or packed with gzip whatever its name.

    Args:
        path: the file.

    Returns:
        uint8 ``(N, H, W)``.

    Raises:
        DataError: the file cannot be read, is not an idx file of byte images, or holds fewer or
            more bytes than its header says.
    """
    try:
        with path.open("rb") as file:
            packed = file.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
            file.seek(0)
            if not packed:
                return _read(file, path)
            with gzip.GzipFile(fileobj=file) as unpacked:
                return _read(unpacked, path)
    except (OSError, EOFError, zlib.error) as error:  # a bad gzip header or checksum is an OSError
        raise _error(path, str(error), "a whole idx file") from None


def idx_md5(images: np.ndarray) -> str:
    """MD5 of the unpacked idx file that holds these images, uint8 ``(N, H, W)``."""
    digest = hashlib.md5(_HEADER.pack(_MAGIC, *images.shape), usedforsecurity=False)
    digest.update(images.tobytes())
    return digest.hexdigest()


def _read(file: BinaryIO | gzip.GzipFile, path: Path) -> np.ndarray:
    header = file.read(_HEADER.size)
    if len(header) < _HEADER.size:
        raise _error(path, f"{len(header)} bytes", f"a header of {_HEADER.size} bytes")
    magic, *shape = _HEADER.unpack(header)
    if magic != _MAGIC:
        raise _error(path, f"first bytes {header[:4].hex(' ')}", "00 00 08 03, byte images in three axes")
    count, height, width = shape
    declared = count * height * width
    if not 0 < declared <= _MOST_BYTES:
        raise _error(path, f"{count} images of {height}x{width} declared", f"1 to {_MOST_BYTES} pixels in all")
    # Memory grows with what is there, not with what is declared. Asking for one byte more than
    # declared finds trailing bytes and makes gzip compare its checksum.
    pixels = bytearray()
    while chunk := file.read(min(_CHUNK, declared + 1 - len(pixels))):
        pixels += chunk
    if len(pixels) != declared:
        found = f"{len(pixels)} bytes of pixels" if len(pixels) < declared else "bytes after the last image"
        raise _error(path, found, f"{count} images of {height}x{width}, {declared} bytes")
    return np.frombuffer(pixels, dtype=np.uint8).reshape(shape)


def _error(path: Path, found: str, expected: str) -> DataError:
    return DataError(f"{path}: {found}", expected, "remove the file or fetch it again")

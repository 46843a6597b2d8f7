"""idx files written byte by byte here, whole and damaged, against what is read."""

import gzip
import hashlib
import os
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from frame_forecast.data.idx import idx_md5, read_idx_images
from frame_forecast.errors import DataError

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 3, 4), dtype=np.uint8)
HEADER = bytes([0, 0, 8, 3, 0, 0, 0, 5, 0, 0, 0, 3, 0, 0, 0, 4])
WHOLE = HEADER + IMAGES.tobytes()


@pytest.mark.parametrize("content", [WHOLE, gzip.compress(WHOLE)], ids=["plain", "gzip"])
@pytest.mark.parametrize("name", ["images", "images.gz"])
def test_reads_plain_and_gzip_whatever_the_name(tmp_path: Path, content: bytes, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    images = read_idx_images(path)
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images, IMAGES)


def test_idx_md5_is_that_of_the_unpacked_file() -> None:
    assert idx_md5(IMAGES) == hashlib.md5(WHOLE).hexdigest()


PACKED = gzip.compress(WHOLE)
DAMAGED = {
    "empty": b"",
    "half a header": WHOLE[:10],
    "labels instead of images": bytes([0, 0, 8, 1]) + WHOLE[4:],
    "floats": bytes([0, 0, 0x0D, 3]) + WHOLE[4:],
    "no images": struct.pack(">4I", 0x803, 0, 28, 28),
    "no pixels": struct.pack(">4I", 0x803, 5, 0, 28),
    "a byte short": WHOLE[:-1],
    "a byte long": WHOLE + b"\0",
    "gzip, a byte short": gzip.compress(WHOLE[:-1]),
    "gzip, a byte long": gzip.compress(WHOLE + b"\0"),
    "gzip without its end": PACKED[:-9],
    "gzip without its checksum": PACKED[:-8],
    "gzip with a wrong checksum": PACKED[:-8] + bytes(8),
    "gzip with a broken stream": PACKED[:30] + b"\xff\xff\xff\xff" + PACKED[34:],
    "gzip's first bytes alone": PACKED[:2],
    "gzip, then garbage": PACKED + b"garbage",
    "a web page": b"<!doctype html><title>Not found</title>",
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED.keys())
def test_damaged_files_are_data_errors_that_name_the_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "images"
    path.write_bytes(content)
    with pytest.raises(DataError, match=str(path)):
        read_idx_images(path)


@pytest.mark.parametrize("at", range(10, len(PACKED), 7))
def test_any_cut_of_a_gzip_file_is_a_data_error(tmp_path: Path, at: int) -> None:
    path = tmp_path / "images"
    path.write_bytes(PACKED[:at])
    with pytest.raises(DataError):
        read_idx_images(path)


def test_missing_file_and_folder_are_data_errors(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        read_idx_images(tmp_path / "nothing")
    with pytest.raises(DataError, match="directory"):
        read_idx_images(tmp_path)


@pytest.mark.parametrize("shape", [(2**32 - 1, 2**32 - 1, 2**32 - 1), (2**20, 32, 32)])
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_memory_does_not_follow_a_declared_size(tmp_path: Path, shape: tuple[int, ...], pack) -> None:
    path = tmp_path / "images"
    path.write_bytes(pack(struct.pack(">4I", 0x803, *shape) + bytes(1000)))
    tracemalloc.start()
    try:
        with pytest.raises(DataError):
            read_idx_images(path)
        assert tracemalloc.get_traced_memory()[1] < 16 * 2**20
    finally:
        tracemalloc.stop()


def test_a_gzip_bomb_is_read_to_one_byte_past_what_it_declares(tmp_path: Path) -> None:
    path = tmp_path / "images"
    path.write_bytes(gzip.compress(HEADER + bytes(200 * 2**20), compresslevel=1))
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="after the last image"):
            read_idx_images(path)
        assert tracemalloc.get_traced_memory()[1] < 16 * 2**20
    finally:
        tracemalloc.stop()


def test_mnist_itself() -> None:
    path = Path(os.environ.get("FRAME_FORECAST_DATA", ""), "mnist", "t10k-images-idx3-ubyte.gz")
    if not path.is_file():
        pytest.skip("MNIST is not in FRAME_FORECAST_DATA")
    images = read_idx_images(path)
    assert images.shape == (10_000, 28, 28)
    assert idx_md5(images) == "2646ac647ad5339dbf082846283269ea"

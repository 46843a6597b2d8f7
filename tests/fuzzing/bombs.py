"""Small files that declare, or unpack to, far more than they hold: what reading each takes, as JSON.

python tests/fuzzing/bombs.py
"""

import dataclasses
import gzip
import io
import json
import lzma
import struct
import sys
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # what all tests share

import av
import h5netcdf
import h5py
import numpy as np
import seeds
import tifffile
import torch
import zarr
from judge import Judge
from mutate import with_png_checksums, zip_members, zipped
from PIL import Image
from targets import TARGETS, with_digest

from frame_forecast import weights

_SIDE = 2**15  # of a frame of a gigabyte, which takes four times that as RGBA
_ZEROS = 2**27  # that a few hundred kilobytes unpack to: more than a judge lets a case have


def _npy_head(shape: tuple[int, ...], descr: str = "|u1") -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"shape": shape, "fortran_order": False, "descr": descr})
    return file.getvalue()


def _npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def _npz(**members: bytes) -> bytes:
    return zipped({f"{name}.npy": content for name, content in members.items()})


_FRAMES, _LAYOUT = _npy(np.zeros((2, 1, 4, 4), np.uint8)), _npy(np.array("THW"))


def _png(width: int, height: int, *chunks: bytes) -> bytes:
    head = struct.pack(">I4sIIBBBBB", 13, b"IHDR", width, height, 8, 0, 0, 0, 0) + bytes(4)
    rows = zlib.compress(bytes((min(width, 4) + 1) * min(height, 4)))
    parts = [*chunks, struct.pack(">I", len(rows)) + b"IDAT" + rows + bytes(4), bytes(4) + b"IEND" + bytes(4)]
    return with_png_checksums(b"\x89PNG\r\n\x1a\n" + head + b"".join(parts))


def _png_text() -> bytes:
    body = b"zTXt" + b"note\0\0" + zlib.compress(bytes(_ZEROS))
    return _png(4, 4, struct.pack(">I", len(body) - 4) + body + bytes(4))


def _jpeg() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "JPEG")
    data = file.getvalue()
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", 65500, 65500) + data[at + 4 :]


def _tiff(compression: str, pack: Callable[[bytes], bytes]) -> bytes:
    """Two pages, of which each unpacks to far more than its pixels."""
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as tif:
        pages = iter([pack(bytes(_ZEROS))] * 2)
        tif.write(pages, shape=(2, 8, 8), dtype="u1", photometric="minisblack", compression=compression)
    return file.getvalue()


def _huge_tiff(compression: str) -> bytes:
    file = io.BytesIO()
    with tifffile.TiffWriter(file, bigtiff=True) as tif:
        segments = iter([zlib.compress(bytes(64))])
        tif.write(
            segments,
            shape=(_SIDE, _SIDE),
            dtype="u1",
            photometric="minisblack",
            compression=compression,
            rowsperstrip=_SIDE,
        )
    return file.getvalue()


def _hdf5(path: Path, side: int, **options: Any) -> None:
    with h5py.File(path, "w") as file:
        shape, chunks = (4, 8, 8), (1, side, side)
        limits = (None, None, None) if side > 8 else None
        data = file.create_dataset("frames", shape, "u1", chunks=chunks, maxshape=limits, **options)
        data[0] = 1


def _packed_hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        data = file.create_dataset("frames", (4, 8, 8), "u1", chunks=(1, 8, 8), compression="gzip")
        for number in range(4):
            data.id.write_direct_chunk((number, 0, 0), zlib.compress(bytes(_ZEROS)))


def _packed_netcdf(path: Path) -> None:
    with h5netcdf.File(path, "w") as file:
        file.dimensions = {"time": 4, "y": 8, "x": 8}
        data = file.create_variable("frames", ("time", "y", "x"), "u1", chunks=(1, 8, 8), compression="gzip")
        for number in range(4):
            data._h5ds.id.write_direct_chunk((number, 0, 0), zlib.compress(bytes(_ZEROS)))


def _huge_hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("frames", (2**20, _SIDE, _SIDE), "u1", chunks=(1, 64, 64), compression="gzip")


def _zarr(path: Path, shape: tuple[int, ...], chunks: tuple[int, ...], **options: Any) -> None:
    group = zarr.open_group(path, mode="w", zarr_format=2)
    array = group.create_array("frames", shape=shape, chunks=chunks, dtype="u1", **options)
    array[0, :2, :2] = 1


def _avi(path: Path, side: int) -> None:
    """Two frames, then the sizes in the header made large."""
    with av.open(path, "w") as container:
        stream = container.add_stream("rawvideo", rate=10)
        stream.width, stream.height, stream.pix_fmt = 322, 290, "bgr24"
        for _ in range(2):
            frame = av.VideoFrame.from_ndarray(np.zeros((290, 322, 3), np.uint8), "bgr24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    data = path.read_bytes()
    at = data.index(b"strf") + 12  # the width, then the height, which is negative as rows run down
    path.write_bytes(data[:at] + struct.pack("<2i", side, -side) + data[at + 8 :])


def _safetensors(folder: Path) -> None:
    seeds.weights_folder(folder)
    path = folder / "in" / weights.files.TENSORS
    path.write_bytes(struct.pack("<Q", 2**40) + path.read_bytes()[8:])
    seeds.put(with_digest(seeds.taken(folder)), folder)


def _large_network(folder: Path) -> None:
    seeds.weights_folder(folder)
    path = folder / "in" / weights.files.CONFIG
    fields = json.loads(path.read_text())
    fields["config"]["patch"] = 1024
    path.write_text(json.dumps(fields))


def _golden(folder: Path) -> None:
    seeds.golden(folder)
    path = folder / "in" / weights.GOLDEN
    frames = _npy_head((1, 1, 1, _ZEROS // 1024, 1024)) + bytes(_ZEROS)
    path.write_bytes(zipped(zip_members(path.read_bytes()) | {"frames.npy": frames}))


def _checkpoint(folder: Path) -> None:
    seeds.checkpoint(folder)
    path = folder / "in" / "checkpoints" / "last.ckpt"
    torch.save({"state_dict": {"a": torch.zeros(_ZEROS, dtype=torch.uint8)}}, path)
    path.write_bytes(zipped(zip_members(path.read_bytes())))


def _as(name: str, content: bytes) -> seeds.Maker:
    return lambda folder: (folder / name).write_bytes(content)


def _in(name: str, content: bytes) -> seeds.Maker:
    """Twice, in a folder."""

    def make(folder: Path) -> None:
        (folder / "in").mkdir()
        for number in range(2):
            (folder / "in" / f"{number}{name}").write_bytes(content)

    return make


def bombs() -> dict[str, tuple[str, seeds.Maker]]:
    """The target that reads each, and what makes it."""
    zeros, times = bytes(_ZEROS), _ZEROS // 8
    few, many = _npy_head((times, 1, 1)), _npy_head((times,), "<f8")
    head = bytes([0, 0, 8, 3]) + struct.pack(">3I", 2, 4, 4)
    sidecar = b'{"schema": 1, "height": 1000000, "width": 1000000, "frames_written": 1, "frames": []}'
    return {
        "npy": ("npy", _as("in.npy", _npy_head((2**40, 1, 64, 64)) + bytes(64))),
        "npy, one frame": ("npy", _as("in.npy", _npy_head((2, _SIDE, _SIDE)) + bytes(64))),
        "mask": ("mask", _as("mask.npy", _npy_head((2**40, 1, 64, 64)) + bytes(64))),
        "published test set": ("published", _as("mnist_test_seq.npy", _npy_head((20, 2**40, 64, 64)))),
        "npz": ("npz", _as("in.npz", _npz(frames=_npy_head((2, 1, _SIDE, _SIDE)) + zeros))),
        "npz, text": ("npz", _as("in.npz", _npz(frames=_FRAMES, layout=_npy_head((), f"<U{_ZEROS // 4}") + zeros))),
        "npz, times": ("npz", _as("in.npz", _npz(frames=few + zeros[:times], layout=_LAYOUT, times=many + zeros))),
        "npz, on the page": ("upload-npz", _as("in.npz", _npz(frames=_npy_head((512, 1, 512, 512)) + zeros))),
        "png": ("png", _in(".png", _png(_SIDE, _SIDE))),
        "png, text": ("png", _in(".png", _png_text())),
        "jpg": ("jpg", _in(".jpg", _jpeg())),
        "gif": ("gif", _as("in.gif", b"GIF89a\xff\xff\xff\xff\xf0\0\0" + bytes(40))),
        "webp": ("webp", _as("in.webp", b"RIFF\x24\0\0\0WEBPVP8X\x0a\0\0\0\2\0\0\0" + b"\xff" * 6 + bytes(14))),
        "pgm": ("pgm", _in(".pgm", b"P5 999999999 999999999 255\n" + bytes(40))),
        "tif": ("tif", _as("in.tif", _huge_tiff("zlib"))),
        "tif, Deflate": ("tif", _as("in.tif", _tiff("zlib", zlib.compress))),
        "tif, LZMA": ("tif", _as("in.tif", _tiff("lzma", lzma.compress))),
        "tif.gz": ("tif.gz", _as("in.tif.gz", gzip.compress(b"II*\0" + zeros))),
        "idx.gz": ("idx.gz", _as("in-idx3-ubyte.gz", gzip.compress(head + zeros))),
        "idx": ("idx", _as("in-idx3-ubyte", bytes([0, 0, 8, 3]) + struct.pack(">3I", 2**31, 2**31, 4))),
        "hdf5": ("hdf5", lambda folder: _huge_hdf5(folder / "in.h5")),
        "hdf5, a chunk": ("hdf5", lambda folder: _hdf5(folder / "in.h5", _SIDE, compression="gzip")),
        "hdf5, Deflate": ("hdf5", lambda folder: _packed_hdf5(folder / "in.h5")),
        "netcdf, Deflate": ("netcdf", lambda folder: _packed_netcdf(folder / "in.nc")),
        "zarr": ("zarr", lambda folder: _zarr(folder / "in.zarr", (4, 2**20, 2**20), (1, 8, 8))),
        "zarr, a chunk": ("zarr", lambda folder: _zarr(folder / "in.zarr", (4, 8, 8), (1, 2**14, 2**14))),
        "avi": ("avi", lambda folder: _avi(folder / "in.avi", 16000)),
        "sidecar": ("sidecar", _as("out.npy.made.json", sidecar)),
        "safetensors": ("weights", _safetensors),
        "a network in JSON": ("weights", _large_network),
        "golden output": ("golden", _golden),
        "checkpoint": ("checkpoint", _checkpoint),
        "JSON in JSON": ("run", lambda folder: seeds.put({"in/run.json": b"[" * 10**6}, folder)),
        "TOML in TOML": ("recipe", _as("in.toml", b"a = " + b"[" * 10**6)),
    }  # fmt: skip


def main() -> None:
    """Prints what each came to."""
    made = {name: (TARGETS[target], seeds.tree_of(make)) for name, (target, make) in bombs().items()}
    stdout = sys.stdout
    with tempfile.TemporaryDirectory() as place:
        judge = Judge(Path(place))
        found = {name: dataclasses.asdict(judge.run(target, tree)) for name, (target, tree) in made.items()}
        json.dump(found, stdout, indent=1)


if __name__ == "__main__":
    main()

"""Files that no clip can be made of: damaged, of no known kind, too small, too large, or meant to do harm."""

import gzip
import io
import pickle
import tempfile
import zipfile
from pathlib import Path
from struct import pack
from zlib import crc32

import numpy as np

from frame_forecast.clip import Clip
from frame_forecast.io.clips import write

SUFFIXES = ("npy", "npz", "tif", "gif", "webp", "mp4", "webm", "mkv", "avi", "nc", "h5")


class _Harm:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('a pickle was run')",)


def bad_uploads() -> list[tuple[str, bytes]]:
    """The name and content of each."""
    frames = np.random.default_rng(0).integers(0, 250, (4, 1, 32, 32)).astype(np.uint8)
    found = [("wrong." + suffix, b"plain text, no frames\n" * 9) for suffix in SUFFIXES]
    with tempfile.TemporaryDirectory() as folder:
        for suffix in ("npy", "npz", "tif", "gif", "webp", "mp4", "webm", "mkv", "avi"):
            path = Path(folder) / f"cut.{suffix}"
            write(Clip.from_array(frames), path)
            whole = path.read_bytes()
            found += [(f"cut{share}.{suffix}", whole[: len(whole) * share // 100]) for share in (0, 2, 60)]
        write(Clip.from_array(frames[:1]), Path(folder) / "one.npy")
        found.append(("one.npy", (Path(folder) / "one.npy").read_bytes()))
    body = b"IHDR" + pack(">IIBBBBB", 2**20, 2**20, 8, 0, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + pack(">I", 13) + body + pack(">I", crc32(body)) + b"\0" * 40
    return [
        *found,
        ("empty", b""),
        ("packed.tif", b"\x1f\x8b"),
        ("packed.gif.gz", gzip.compress(b"")),
        ("noise.xyz", bytes(range(256)) * 9),
        ("huge.png", png),
        ("huge.pgm", b"P5 999999999 999999999 255\n" + b"\0" * 40),
        ("huge.gif", b"GIF89a\xff\xff\xff\xff\xf0\0\0" + b"\0" * 40),
        ("huge.npy", _npy_header((2**40, 1, 64, 64), "|u1")),
        ("many.npy", _npy_header((2**20, 1, 1, 1), "|u1") + bytes(2**20)),
        ("bomb.npz", _zipped(_npy_header((300, 1, 512, 512), "|u1") + bytes(300 * 2**18))),
        ("bomb.tif.gz", gzip.compress(b"II*\0" + bytes(2**24), 1) + gzip.compress(bytes(2**24), 1) * 63),
        ("pickle.npy", _npy_header((2,), "|O") + pickle.dumps([_Harm(), _Harm()])),
        ("pickle.npz", _zipped(_npy_header((2,), "|O") + pickle.dumps([_Harm(), _Harm()]))),
        ("nothing.npy", _npy_header((3, 1, 8, 8), "<f4") + np.full((3, 1, 8, 8), np.nan, "<f4").tobytes()),
        ("words.npy", _npy_header((3, 8, 8), "<U4") + bytes(3 * 64 * 16)),
        ("complex.npy", _npy_header((3, 8, 8), "<c8") + bytes(3 * 64 * 8)),
        ("list.m3u8", b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"),
        ("list.mp4", b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"),
        ("list.txt", b"ffconcat version 1.0\nfile /etc/passwd\n"),
        ("page.svg", b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>'),
    ]


def _npy_header(shape: tuple[int, ...], descr: str) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"shape": shape, "fortran_order": False, "descr": descr})
    return file.getvalue()


def _zipped(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("frames.npy", content)
    return file.getvalue()

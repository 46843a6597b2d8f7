"""Every format: what goes in comes out, and files that are damaged are refused."""

import gzip
import io
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from struct import pack
from zlib import crc32

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from frame_forecast.clip import Clip
from frame_forecast.errors import ConfigError, DataError, FrameForecastError, FrameForecastWarning, OutputError
from frame_forecast.io import registry
from frame_forecast.io.base import Frame, suffix_of
from frame_forecast.io.clips import read, write
from frame_forecast.io.formats.gif import GifReader
from frame_forecast.io.streams import open_reader, open_writer
from frame_forecast.scale import ValueScale
from frame_forecast.studio.strangers import check_alone

HOLDS = {  # what a path can hold without loss: dtypes, channels, whether missing pixels
    "out.npy": ("u1 u2 >u2 i2 >f4 f8", (1, 2, 3, 7), False),
    "out.npz": ("u1 >u2 i2 >f4 f8", (1, 2, 3, 7), True),
    "out.tif": ("u1 u2 i2 f4", (1, 2, 3, 4), False),
    "out.tif.gz": ("u1 u2", (1, 3), False),
    "out.gif": ("u1", (1, 3), False),
    "out.gif.gz": ("u1", (1,), False),
    "out.webp": ("u1", (1, 2, 3, 4), False),
    "out.mkv": ("u1 u2", (1, 3), False),
    "out.avi": ("u1 u2", (1, 3), False),
    "pngs": ("u1", (1, 2, 3, 4), False),
    "grey": ("u2", (1,), False),
}


@st.composite
def clips(draw: st.DrawFn) -> tuple[str, Clip]:
    name = draw(st.sampled_from(sorted(HOLDS)))
    dtypes, channels, holes = HOLDS[name]
    dtype = np.dtype(draw(st.sampled_from(dtypes.split())))
    C = draw(st.sampled_from(channels))
    T, H, W = draw(st.tuples(st.integers(2, 5), st.integers(5, 9), st.integers(5, 9)))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    values = rng.integers(0, 200, (T, C, H, W)).astype(dtype) if dtype.kind != "f" else rng.random((T, C, H, W))
    observed = rng.random((T, 1, H, W)) > (0.3 if holes else -1)
    observed[0, 0, 0, 0] = True
    return name, Clip(values.astype(dtype), observed, ValueScale(0, 255))


@settings(max_examples=60)
@given(clips())
def test_what_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, case: tuple[str, Clip]) -> None:
    name, clip = case
    path = tmp_path_factory.mktemp("io") / name
    write(clip, path)
    again = read(path, "TCHW" if name == "out.npy" and clip.values.shape[1] > 1 else None)
    assert again.values.dtype.newbyteorder("=") == clip.values.dtype.newbyteorder("=")
    assert np.array_equal(again.values, clip.values)
    assert np.array_equal(again.observed, clip.observed)
    first = path.read_bytes() if path.is_file() else b"".join(file.read_bytes() for file in sorted(path.iterdir()))
    write(again, path, force=True)  # and from what its own reader gives
    second = path.read_bytes() if path.is_file() else b"".join(file.read_bytes() for file in sorted(path.iterdir()))
    assert first == second


def test_floats_in_tiff_mark_their_holes(tmp_path: Path) -> None:
    values = np.random.default_rng(0).random((3, 1, 8, 8), np.float32)
    observed = np.ones((3, 1, 8, 8), bool)
    observed[2, 0, 1, 1] = False
    write(Clip(values, observed, ValueScale(0, 1)), tmp_path / "out.tif")
    assert np.array_equal(read(tmp_path / "out.tif").observed, observed)
    assert np.array_equal(np.isnan(tifffile.imread(tmp_path / "out.tif")), ~observed[:, 0])


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_pictures_are_what_pillow_shows(mode: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    suffix = ".jpg" if mode == "CMYK" else ".png"
    shown = {"1": "L", "P": "RGB", "CMYK": "RGB"}.get(mode, mode)
    expected = []
    for i in range(3):
        if mode == "I;16":
            picture = Image.fromarray(rng.integers(0, 65536, (9, 12)).astype(np.uint16))
        else:
            picture = Image.fromarray(rng.integers(0, 256, (9, 12, 3)).astype(np.uint8))
            picture = picture.convert("L").convert("LA") if mode == "LA" else picture.convert(mode)
        picture.save(tmp_path / f"{i}{suffix}")
        with Image.open(tmp_path / f"{i}{suffix}") as saved:
            array = np.asarray(saved if mode == "I;16" else saved.convert(shown))
        expected.append(array[None] if array.ndim == 2 else array.transpose(2, 0, 1))
    assert np.array_equal(read(tmp_path).values, np.stack(expected))


def test_a_jpeg_is_turned_as_its_camera_said(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by a quarter, clockwise
    picture = Image.fromarray(np.repeat(np.arange(0, 240, 10, dtype=np.uint8)[:, None], 16, axis=1))
    for i in range(2):
        picture.save(tmp_path / f"{i}.jpg", exif=exif, quality=100)
    values = read(tmp_path).values
    assert values.shape == (2, 1, 16, 24)
    assert values[0, 0, 8, 0] > 200 > 50 > values[0, 0, 8, -1]


def test_written_jpegs_are_near(tmp_path: Path) -> None:
    ramp = np.broadcast_to(np.arange(64, dtype=np.uint8) * 4, (2, 3, 64, 64)).copy()
    for i in range(2):
        Image.fromarray(ramp[i].transpose(1, 2, 0)).save(tmp_path / f"{i}.jpeg")
    clip = read(tmp_path)
    write(clip, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0.jpeg", "1.jpeg"]
    assert np.abs(read(tmp_path / "out").values.astype(int) - ramp).max() <= 6


@pytest.mark.parametrize("gzipped", [False, True])
@pytest.mark.parametrize("maximum", [1, 100, 255, 256, 4095, 65535])
@pytest.mark.parametrize("channels", [1, 3])
def test_pgm_values_are_as_they_stand(channels: int, maximum: int, gzipped: bool, tmp_path: Path) -> None:
    values = np.random.default_rng(2).integers(0, maximum + 1, (2, 5, 7, channels))
    for i, frame in enumerate(values):
        data = f"P{5 if channels == 1 else 6} # made\n# by hand\n7\t5 #\n{maximum}\n".encode()
        data += frame.astype(">u2" if maximum > 255 else "u1").tobytes()
        name = f"scan{i}.pgm" + ".gz" * gzipped
        (tmp_path / name).write_bytes(gzip.compress(data) if gzipped else data)
    clip = read(tmp_path)
    assert np.array_equal(clip.values, values.transpose(0, 3, 1, 2))
    if maximum < 65535:
        assert clip.scale == ValueScale(0, maximum)
    assert clip.header is not None
    assert clip.header.meta["comments"] == ("made", "by hand", "")
    write(clip, tmp_path / "out")
    assert np.array_equal(read(tmp_path / "out").values, clip.values)
    assert read(tmp_path / "out").scale == clip.scale
    assert {path.name for path in (tmp_path / "out").iterdir()} == {f"scan{i}.pgm" + ".gz" * gzipped for i in (0, 1)}


@pytest.mark.parametrize(
    ("axes", "shape", "options"),
    [
        ("TYX", (4, 6, 8), {}),
        ("TYX", (4, 6, 8), {"compression": "zlib", "predictor": True}),
        ("TYX", (4, 6, 8), {"imagej": True}),
        ("ZYX", (4, 6, 8), {"imagej": True}),
        ("TCYX", (4, 2, 6, 8), {"imagej": True}),
        ("TYXS", (4, 6, 8, 3), {"photometric": "rgb"}),
        ("TYXS", (4, 6, 8, 3), {"photometric": "rgb", "compression": "zlib", "byteorder": ">"}),
        ("CTYX", (2, 4, 6, 8), {"ome": True}),
        ("TCYX", (4, 2, 6, 8), {"ome": True, "compression": "zlib"}),
        ("CTYX", (2, 4, 6, 8), {"ome": True, "compression": "zlib", "bigtiff": True}),
    ],
)
def test_tiff_stacks_are_what_tifffile_reads(
    axes: str, shape: tuple[int, ...], options: dict[str, object], tmp_path: Path
) -> None:
    array = np.random.default_rng(5).integers(0, 60000, shape).astype(np.uint16)
    name = "in.ome.tif" if options.get("ome") else "in.tif"
    keys = {key: value for key, value in options.items() if key in ("imagej", "ome", "bigtiff", "byteorder")}
    with tifffile.TiffWriter(tmp_path / name, **keys) as file:  # pyright: ignore[reportArgumentType]
        rest = {key: value for key, value in options.items() if key not in keys}
        file.write(array, metadata={"axes": axes}, **({"photometric": "minisblack"} | rest))  # pyright: ignore
    letters = axes.replace("Z", "T").replace("S", "C")
    order = [letters.index(letter) for letter in "TCYX" if letter in letters]
    expected = array.transpose(order).reshape(4, -1, 6, 8)
    clip = read(tmp_path / name)
    assert clip.values.dtype == np.uint16
    assert np.array_equal(clip.values, expected)
    write(clip, tmp_path / "out.tif")
    assert np.array_equal(read(tmp_path / "out.tif").values, expected)


def test_tiff_that_needs_another_package_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = [Image.fromarray(np.full((8, 8), i, np.uint8)) for i in range(3)]
    frames[0].save(tmp_path / "in.tif", save_all=True, append_images=frames[1:], compression="tiff_lzw")
    monkeypatch.setitem(__import__("sys").modules, "imagecodecs", None)
    with pytest.raises(ConfigError, match="pip install"):
        read(tmp_path / "in.tif")


def damaged(kind: str, tmp_path: Path) -> Path:
    """A whole file of three frames, to be damaged; of a picture's kind, one of two files."""
    rng = np.random.default_rng(6)
    values = rng.integers(0, 250, (3, 1, 40, 40)).astype(np.uint8)
    clip = Clip(values, rng.random((3, 1, 40, 40)) > 0.1 if kind == "npz" else values < 255, ValueScale(0, 255))
    if kind in ("npy", "npz", "tif", "gif", "webp"):
        write(clip, tmp_path / f"file.{kind}")
        return tmp_path / f"file.{kind}"
    (tmp_path / "series").mkdir()
    for i, frame in enumerate(values):
        data = io.BytesIO()
        picture = Image.fromarray(frame[0])
        picture.save(data, {"png": "PNG", "jpg": "JPEG", "pgm": "PPM"}[kind])
        (tmp_path / "series" / f"{i}.{kind}").write_bytes(data.getvalue())
    return tmp_path / "series" / f"1.{kind}"


def outcome(path: Path) -> str:
    """Reads the file or the folder that it is in and writes it again, as a command would."""
    target = path.parent.parent / "out.npz"
    try:
        stream = open_reader(path.parent if path.parent.name == "series" else path)
        with stream, open_writer(target, stream.header) as writer:
            for frame in stream:
                writer.write(frame)
    except FrameForecastError as error:
        assert not target.exists()
        return str(error)
    target.unlink()
    return ""


PICTURES = ["png", "jpg", "pgm"]
KINDS = ["npy", "npz", "tif", "gif", "webp", *PICTURES]


@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.6, 0.97])
@pytest.mark.parametrize("kind", PICTURES)
def test_truncated_pictures_of_a_series_are_missing(kind: str, share: float, tmp_path: Path) -> None:
    path = damaged(kind, tmp_path)
    before = read(path.parent)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.warns(FrameForecastWarning) as caught:
        clip = read(path.parent)
    assert str(path) in str(caught[0].message)
    assert "\n" not in str(caught[0].message)
    assert clip.observed.all(axis=(1, 2, 3)).tolist() == [True, False, True]
    assert not clip.observed[1].any()
    assert np.array_equal(clip.values[[0, 2]], before.values[[0, 2]])


@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.6, 0.97])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in PICTURES])
def test_truncated_files_are_refused_and_nothing_is_written(kind: str, share: float, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    path = damaged(kind, tmp_path / "own")
    assert outcome(path) == ""
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    message = outcome(path)
    assert str(path) in message
    assert "\n" not in message


@pytest.mark.parametrize("kind", ["tif", "gif", "webp", "npz", "npy"])
def test_no_cut_loses_frames_in_silence(kind: str, tmp_path: Path) -> None:
    clip = Clip.from_array(np.random.default_rng(8).integers(0, 99, (4, 5, 5)).astype(np.uint8))
    write(clip, tmp_path / f"whole.{kind}")
    whole = (tmp_path / f"whole.{kind}").read_bytes()
    path = tmp_path / f"cut.{kind}"
    for length in range(len(whole) - 1):
        path.write_bytes(whole[:length])
        try:
            read_frames = read(path).values
        except DataError:
            continue
        assert np.array_equal(read_frames, clip.values), f"cut at {length} of {len(whole)}"


@pytest.mark.filterwarnings("ignore::frame_forecast.errors.FrameForecastWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_damage_never_gives_anything_but_our_errors(kind: str, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    path = damaged(kind, tmp_path / "own")
    whole = path.read_bytes()
    rng = np.random.default_rng(7)
    for _ in range(60):
        data = bytearray(whole)
        for place in rng.integers(0, min(len(data), 400), 3):
            data[place] = rng.integers(256)
        path.write_bytes(data)
        outcome(path)


@pytest.mark.parametrize("content", [b"", b"\0", b"plain text, no picture\n", b"\x1f\x8b", gzip.compress(b"")])
@pytest.mark.parametrize("name", [f"file.{kind}" for kind in KINDS] + ["file", "file.xyz"])
def test_files_of_no_format_are_refused(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as error:
        read(tmp_path / name)
    assert str(tmp_path / name) in str(error.value)


@pytest.mark.parametrize("kind", ["tif", "gif", "webp"])
def test_content_goes_before_the_name(kind: str, tmp_path: Path) -> None:
    path = damaged(kind, tmp_path)
    path.rename(tmp_path / "file.png")
    assert read(tmp_path / "file.png").header.kind == kind  # pyright: ignore[reportOptionalMemberAccess]


def huge_png() -> bytes:
    body = b"IHDR" + pack(">IIBBBBB", 2**20, 2**20, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + pack(">I", 13) + body + pack(">I", crc32(body)) + b"\0" * 40


def huge_tiff() -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, np.zeros((8, 8), np.uint8), photometric="minisblack", byteorder="<")
    data = file.getvalue()
    for tag in (256, 257, 278):  # width, height, rows of a strip
        at = next(i for i in range(8, 400) if data[i : i + 4] in (pack("<HH", tag, 3), pack("<HH", tag, 4)))
        data = data[:at] + pack("<HHII", tag, 4, 1, 2**20) + data[at + 12 :]
    return data


def circular_tiff() -> bytes:
    """Two pages, each of which names the other as the next."""
    file = io.BytesIO()
    with tifffile.TiffWriter(file, byteorder="<") as tif:
        for _ in range(2):
            tif.write(np.zeros((8, 8), np.uint8), photometric="minisblack", contiguous=False, metadata=None)
    data = file.getvalue()
    first = int.from_bytes(data[4:8], "little")
    with tifffile.TiffFile(io.BytesIO(data)) as tif:
        assert len(tif.pages) == 2
        end = tif.pages.next_page_offset
    assert end is not None
    return data[:end] + pack("<I", first) + data[end + 4 :]


@pytest.mark.parametrize("use", [read, lambda path: check_alone(path, "in.tif")], ids=["commands", "page"])
def test_tiff_pages_in_a_circle_come_to_an_end(use: Callable[[Path], object], tmp_path: Path) -> None:
    (tmp_path / "in.tif").write_bytes(circular_tiff())
    with suppress(DataError):  # the page only looks whether it is one file
        use(tmp_path / "in.tif")
    with pytest.raises(DataError, match="names another"):
        read(tmp_path / "in.tif")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("in.png", huge_png()),
        ("in.pgm", b"P5 999999999 999999999 255\n" + b"\0" * 40),
        ("in.gif", b"GIF89a\xff\xff\xff\xff\xf0\0\0" + b"\0" * 40),
        ("in.tif", huge_tiff()),
        ("in.webp", b"RIFF\x24\0\0\0WEBPVP8X\x0a\0\0\0\2\0\0\0" + b"\xff" * 6 + b"\0" * 14),
    ],
)
def test_huge_declared_sizes_are_refused(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=r"in\."):
        read(tmp_path / name)


def test_a_file_that_unpacks_to_far_more_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("frame_forecast.io.base.MOST_UNPACKED_BYTES", 10**6)
    (tmp_path / "in.tif.gz").write_bytes(gzip.compress(b"II*\0" + bytes(10**7)))
    with pytest.raises(DataError, match="unpacked"):
        read(tmp_path / "in.tif.gz")


def test_gzip_where_it_has_no_place_says_so(tmp_path: Path) -> None:
    np.save(tmp_path / "in.npy", np.zeros((3, 8, 8), np.uint8))
    (tmp_path / "in.npy.gz").write_bytes(gzip.compress((tmp_path / "in.npy").read_bytes()))
    with pytest.raises(DataError, match="gunzip"):
        read(tmp_path / "in.npy.gz")
    with pytest.raises(OutputError, match="gz"):
        write(read(tmp_path / "in.npy"), tmp_path / "out.npy.gz")


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("out.png", np.zeros((2, 1, 4, 4), np.uint8)),
        ("out.gif", np.zeros((2, 1, 4, 4), np.uint16)),
        ("out.gif", np.zeros((2, 4, 4, 4), np.uint8)),
        ("out.webp", np.zeros((2, 1, 4, 4), np.uint16)),
        ("out", np.zeros((2, 1, 4, 4), np.float32)),
        ("out", np.zeros((2, 3, 4, 4), np.uint16)),
        ("out.xyz", np.zeros((2, 1, 4, 4), np.uint8)),
    ],
)
def test_what_a_format_cannot_hold_is_refused(name: str, values: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="out"):
        write(Clip(values, np.ones((2, 1, 4, 4), bool), ValueScale(0, 255)), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("entry", registry.readers(), ids=lambda entry: entry.kind)
def test_a_reader_takes_no_noise_for_its_own(entry: registry.Entry, tmp_path: Path) -> None:
    (tmp_path / "noise").write_bytes(b"neither one thing nor another" * 200)
    assert not entry.format.sniff(tmp_path / "noise", (tmp_path / "noise").read_bytes()[:4096])


@pytest.mark.parametrize("entry", registry.readers() + registry.writers(), ids=lambda entry: entry.kind)
def test_suffixes_are_such_as_are_looked_for(entry: registry.Entry) -> None:
    assert entry.suffixes
    for suffix in entry.suffixes:
        assert suffix_of(Path(f"file{suffix}")) == (suffix, False)


def test_gif_frames_come_again_and_again(tmp_path: Path) -> None:
    reader = GifReader(damaged("gif", tmp_path))
    first: list[Frame] = list(reader)
    assert all(np.array_equal(a.values, b.values) for a, b in zip(first, reader, strict=True))

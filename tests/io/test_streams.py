"""What every format gets from the streams: checks, all or nothing, flat memory."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from peaks import STATUS, peak_of_copying

from frame_forecast.clip import Clip
from frame_forecast.errors import ConfigError, DataError, FrameForecastWarning, OutputError
from frame_forecast.header import Header
from frame_forecast.io import registry
from frame_forecast.io.base import Frame, Reader, require
from frame_forecast.io.clips import read, write
from frame_forecast.io.grid import Grid, find_grid
from frame_forecast.io.streams import check_output, open_reader, open_writer
from frame_forecast.scale import ValueScale

DATA = Path(os.environ.get("FRAME_FORECAST_DATA", "nowhere"))
HEADER = Header("array", 3, 1, 4, 5, np.dtype(np.uint8))
FRAME = Frame.whole(np.ones((1, 4, 5), np.uint8))


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


FULL = """
import resource, signal, sys
import numpy as np
import frame_forecast as ff
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
frames = np.random.default_rng(0).integers(0, 256, (20, 3, 64, 64)).astype(np.uint8)
for size in (500, 5_000, 50_000):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    try:
        ff.write(ff.Clip.from_array(frames), sys.argv[1])
    except ff.FrameForecastError as error:
        print(type(error).__name__)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits of file sizes")
@pytest.mark.parametrize("name", ["out.mkv", "out.mp4", "out.nc", "out.h5"])
def test_a_full_disk_leaves_nothing_and_no_library_complains(name: str, tmp_path: Path) -> None:
    arguments = [sys.executable, "-c", FULL, tmp_path / name]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == (3 * "OutputError\n", "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name",
    [
        "out.npy",
        "out.npz",
        "out.tif",
        "out.gif",
        "out.gif.gz",
        "out.webp",
        "out.mkv",
        "out.mp4",
        "out.nc",
        "out.h5",
        "out.zarr",
        "out",
    ],
)
def test_a_file_appears_whole_or_not_at_all(name: str, tmp_path: Path) -> None:
    def fail(count: int, error: BaseException | None = None) -> None:
        with open_writer(tmp_path / name, HEADER) as writer:
            for _ in range(count):
                writer.write(FRAME)
            assert not (tmp_path / name).exists()
            if error is not None:
                raise error

    for error in (ValueError("mine"), KeyboardInterrupt()):
        with pytest.raises(type(error)):
            fail(2, error)
    for count in (0, 2, 4):
        with pytest.raises(OutputError, match=name):
            fail(count)
    assert files_in(tmp_path) == []
    fail(3)
    assert name in files_in(tmp_path)
    assert len(read(tmp_path / name).values) == 3


@pytest.mark.parametrize(
    "name", ["out.npy", "out.npz", "out.tif", "out.gif", "out.webp", "out.mkv", "out.nc", "out.h5", "out.zarr", "out"]
)
def test_the_number_of_frames_need_not_be_known(name: str, tmp_path: Path) -> None:
    with open_writer(tmp_path / name, replace(HEADER, frames=None)) as writer:
        for _ in range(5):
            writer.write(FRAME)
    assert read(tmp_path / name).values.shape == (5, 1, 4, 5)


def test_nothing_is_overwritten_unless_told(tmp_path: Path) -> None:
    (tmp_path / "out.npy").write_text("precious")
    clip = Clip.from_array(np.zeros((3, 4, 5), np.uint8))
    with pytest.raises(OutputError, match="force"):
        write(clip, tmp_path / "out.npy")
    assert (tmp_path / "out.npy").read_text() == "precious"
    write(clip, tmp_path / "out.npy", force=True)
    assert len(read(tmp_path / "out.npy").values) == 3


def test_a_folder_is_replaced_only_if_nothing_else_is_in_it(tmp_path: Path) -> None:
    clip = Clip.from_array(np.zeros((3, 4, 5), np.uint8))
    write(clip, tmp_path / "out")
    with pytest.raises(OutputError, match="force"):
        write(clip, tmp_path / "out")
    write(clip.part(0, 2), tmp_path / "out", force=True)
    assert files_in(tmp_path / "out") == ["00000.png", "00001.png"]
    (tmp_path / "out" / "thesis.doc").write_text("precious")
    with pytest.raises(OutputError, match="other things"):
        write(clip, tmp_path / "out", force=True)
    assert (tmp_path / "out" / "thesis.doc").read_text() == "precious"
    (tmp_path / "file").write_text("precious")
    with pytest.raises(OutputError, match="file"):
        write(clip, tmp_path / "file", force=True)


@pytest.mark.parametrize(
    "frame",
    [
        Frame.whole(np.ones((1, 4, 6), np.uint8)),
        Frame.whole(np.ones((2, 4, 5), np.uint8)),
        Frame.whole(np.ones((1, 4, 5), np.uint16)),
        Frame(np.ones((1, 4, 5), np.uint8), np.ones((4, 5), bool)),
    ],
)
def test_frames_that_differ_from_the_header_are_not_written(frame: Frame, tmp_path: Path) -> None:
    def copy() -> None:
        with open_writer(tmp_path / "out.npy", HEADER) as writer:
            writer.write(FRAME)
            writer.write(frame)

    with pytest.raises(OutputError, match="frame 1"):
        copy()
    assert files_in(tmp_path) == []


def fake(frames: list[Frame], header: Header, gaps: bool = False) -> type[Reader]:
    """A reader that gives these frames whatever the file."""

    class Fake(Reader):
        @classmethod
        def sniff(cls, path: Path, head: bytes) -> bool:
            return head == b"fake"

        def __init__(self, path: Path, layout: str | None = None) -> None:
            super().__init__(path, layout)
            self.header = header

        def __iter__(self) -> Iterator[Frame]:
            yield from frames
            if header.kind == "broken":
                raise IndexError("deep in a library\nat line 7")

    Fake.gaps = gaps
    return Fake


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    registry.readers()
    monkeypatch.setattr(registry, "_READERS", list(registry._READERS))
    (tmp_path / "in.fake").write_bytes(b"fake")
    return tmp_path / "in.fake"


def test_a_format_is_added_by_one_decorator_and_asked_by_rank(source: Path) -> None:
    registry.register_reader("general", (".fake",))(fake([FRAME] * 3, replace(HEADER, kind="general")))
    assert open_reader(source).header.kind == "general"
    registry.register_reader("special", (".fake",), rank=1)(fake([FRAME] * 3, replace(HEADER, kind="special")))
    assert open_reader(source).header.kind == "special"


@pytest.mark.parametrize(
    ("frames", "header", "what"),
    [
        ([FRAME] * 2, HEADER, "2 frames where 3"),
        ([FRAME] * 4, HEADER, "more than the 3 frames"),
        ([FRAME], replace(HEADER, frames=None), "single"),
        ([FRAME, Frame.whole(np.ones((1, 4, 6), np.uint8))], replace(HEADER, frames=None), "frame 1"),
        ([FRAME] * 3, replace(HEADER, kind="broken"), "deep in a library at line 7"),
        ([Frame(FRAME.values, np.zeros((1, 4, 5), bool))] * 3, HEADER, "no pixel"),
    ],
)
def test_streams_that_are_not_what_they_said(frames: list[Frame], header: Header, what: str, source: Path) -> None:
    registry.register_reader("fake", (".fake",))(fake(frames, header))
    with pytest.raises(DataError, match=what) as error:
        read(source)
    assert str(source) in str(error.value)


def test_missing_frames_are_made_where_the_format_asks_for_it(source: Path) -> None:
    header = replace(HEADER, times=np.array([0.0, 0.5, 2.0]))
    registry.register_reader("fake", (".fake",))(fake([FRAME] * 3, header))
    assert len(read(source).values) == 3
    registry.register_reader("fake", (".fake",), rank=1)(fake([FRAME] * 3, header, gaps=True))
    with open_reader(source) as stream:
        assert stream.header.frames == 5
        assert stream.header.rate == Fraction(2)
        assert [frame.time for frame in stream] == [0, 0.5, 1, 1.5, 2]
        assert [bool(frame.observed.any()) for frame in stream] == [True, True, False, False, True]


def test_a_package_that_is_missing_is_named_with_the_command(source: Path) -> None:
    class Needy(Reader):
        @classmethod
        def sniff(cls, path: Path, head: bytes) -> bool:
            return head == b"fake"

        def __init__(self, path: Path, layout: str | None = None) -> None:
            require("no_such_package", "frame-forecast[science]")

        def __iter__(self) -> Iterator[Frame]:
            return iter(())

    registry.register_reader("needy", (".fake",))(Needy)
    with pytest.raises(ConfigError, match=r'pip install "frame-forecast\[science\]"'):
        read(source)


def test_what_may_not_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "in.npy", np.zeros((3, 4, 5), np.uint8))

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)  # for root, who runs some tests, no file is closed
    with pytest.raises(DataError, match="Permission denied"):
        read(tmp_path / "in.npy")


@pytest.mark.parametrize(
    ("array", "scale"),
    [
        (np.array([3, 9], np.uint8), (0, 255)),
        (np.array([300, 900], np.uint16), (300, 900)),
        (np.array([-5, 5], np.int8), (-5, 5)),
        (np.array([0.2, 0.4], np.float32), (0, 1)),
        (np.array([0.2, 4.0, np.nan]), (0.2, 4)),
        (np.array([7, 7], np.int32), (7, 8)),
    ],
)
def test_scales_are_fitted_to_what_is_there(array: np.ndarray, scale: tuple[float, float], tmp_path: Path) -> None:
    np.save(tmp_path / "in.npy", np.broadcast_to(array[:, None, None], (len(array), 8, 8)))
    clip = read(tmp_path / "in.npy")
    assert (clip.scale.low, clip.scale.high) == pytest.approx(scale)
    assert read(tmp_path / "in.npy", scale=ValueScale(-9, 9)).scale == ValueScale(-9, 9)


def test_grids_of_seconds_and_their_rate() -> None:
    grid = find_grid(np.array([1001, 2002, 4004]) / 30000)
    assert grid is not None
    assert grid.positions.tolist() == [0, 1, 3]
    assert grid.rate == Fraction(30000, 1001)


@pytest.mark.skipif(not STATUS.exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize(
    "name", ["clip.npy", "clip.npz", "clip.tif", "clip.gif", "clip.nc", "clip.h5", "clip.zarr", "folder"]
)
def test_memory_is_flat_in_the_length(name: str, tmp_path: Path) -> None:
    peaks = []
    frame = np.random.default_rng(0).integers(0, 256, (1, 400, 400)).astype(np.uint8)
    for length in (10, 100):  # 2 and 16 MB, beside the 50 MB or so of the process
        (tmp_path / str(length)).mkdir()
        source = tmp_path / str(length) / name
        with open_writer(source, Header("array", length, *frame.shape, frame.dtype)) as writer:
            for number in range(length):
                writer.write(Frame.whole(np.roll(frame, number, axis=2)))
        peaks.append(peak_of_copying(source, source.with_stem("copy")))
    assert peaks[1] < 1.1 * peaks[0]


@pytest.mark.skipif(not (DATA / "video").is_dir(), reason="needs real files: set FRAME_FORECAST_DATA")
@pytest.mark.parametrize(
    ("name", "shape", "target"),
    [
        ("video/calcium_imaging.tif", (1000, 1, 30, 40), "out.tif"),
        ("video/newtonscradle.gif", (36, 3, 150, 200), "out.gif"),
        ("radar/mch/20150515", (40, 1, 640, 710), "out"),
        ("radar/fmi/pgm/20160928", (40, 1, 1226, 760), "out"),
    ],
)
def test_real_files_come_back(name: str, shape: tuple[int, ...], target: str, tmp_path: Path) -> None:
    with open_reader(DATA / name) as stream, open_writer(tmp_path / target, stream.header) as writer:
        for frame in stream:
            writer.write(frame)
    assert (stream.header.frames, *stream.header.shape) == shape
    with open_reader(tmp_path / target) as again:
        for old, new in zip(stream, again, strict=True):
            assert np.array_equal(old.values, new.values, equal_nan=True)
            assert old.time == new.time
            assert np.array_equal(old.observed, new.observed)
    if target == "out":
        assert files_in(tmp_path / target) == files_in(DATA / name)


@pytest.mark.parametrize(
    "name",
    ["a.npy", "a.npz", "a.mkv", "a.mp4", "a.webp", "a.gif", "a.gif.gz", "a.tif", "a.nc", "a.h5", "a.zarr", "folder"],
)
def test_an_output_is_tried_without_a_trace(name: str, tmp_path: Path) -> None:
    header = Header("array", 3, 1, 16, 16, np.dtype(np.uint8))
    check_output(tmp_path / "new" / name, header, force=False)
    assert files_in(tmp_path) == []


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.webp", "a.gif", "a.gif.gz", "folder", "a.npy/new/b.npy"])
def test_an_output_that_cannot_be_is_told_without_a_trace(name: str, tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_text("mine")
    with pytest.raises(OutputError, match=name):
        check_output(tmp_path / name, replace(HEADER, channels=7, dtype=np.dtype("f4")), force=False)
    assert files_in(tmp_path) == ["a.npy"]


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.pgm.gz"])
def test_a_series_does_not_fit_into_a_picture(name: str, tmp_path: Path) -> None:
    header = Header("array", 3, 1, 16, 16, np.dtype(np.uint8))
    with pytest.raises(OutputError, match="one frame a file"):
        check_output(tmp_path / name, header, force=False)
    check_output(tmp_path / name, replace(header, frames=1), force=False)
    assert files_in(tmp_path) == []


def test_frames_at_other_places(tmp_path: Path) -> None:
    times = np.array([0.0, 0.1, 0.23, 0.53])
    values = np.arange(1, 5, dtype=np.uint8).repeat(20).reshape(4, 1, 4, 5)
    write(Clip(values, np.ones((4, 1, 4, 5), bool), ValueScale(0, 255), times), tmp_path / "a.mkv")
    with pytest.warns(FrameForecastWarning, match="no regular series"):
        stream = open_reader(tmp_path / "a.mkv")
    with stream:
        spread = stream.with_gaps(Grid(np.array([0, 1, 2, 5]), None))
        assert spread.header.frames == 6
        frames = list(spread)
        assert [int(frame.values.max()) for frame in frames] == [1, 2, 3, 0, 0, 4]
        assert [bool(frame.observed.all()) for frame in frames] == [True] * 3 + [False] * 2 + [True]
        np.testing.assert_allclose([frame.time for frame in frames], [0, 0.1, 0.23, 0.33, 0.43, 0.53], atol=1e-3)
        assert len(list(stream)) == 4

"""Clips kept in folders: what comes back, what is sent, what is refused, what can be taken home."""

import io
import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from frame_forecast.clip import Clip
from frame_forecast.errors import DataError, FrameForecastError, OutputError
from frame_forecast.header import Header
from frame_forecast.io.clips import read as read_whole
from frame_forecast.io.clips import write as write_whole
from frame_forecast.scale import ValueScale
from frame_forecast.studio import clips
from frame_forecast.studio.limits import Limits
from frame_forecast.studio.wire import MASKS, VALUES, Wire, read_head

RNG = np.random.default_rng(0)


def clip_of(dtype: str, observed: str = "all", shape: tuple[int, ...] = (5, 2, 3, 7)) -> Clip:
    values = (RNG.random(shape) * 200).astype(dtype)
    known = np.ones((shape[0], 1, *shape[2:]), bool)
    if observed != "all":
        known[1] = False
    if observed == "pixels":
        known[2, 0, 1, 3:6] = False
    header = Header("array", *shape, np.dtype(dtype), None, Fraction(25), units="mm")
    return Clip(values, known, ValueScale(0.0, 200.0), np.arange(5) / 25, "a clip", header)


@pytest.mark.parametrize("observed", ["all", "frames", "pixels"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "float64", "int32", ">u2", ">f4", "float16"])
def test_what_is_kept_comes_back(tmp_path: Path, dtype: str, observed: str) -> None:
    clip = clip_of(dtype, observed)
    clips.keep(tmp_path / "kept", clip)
    again = clips.load(tmp_path / "kept")
    np.testing.assert_array_equal(again.values, clip.values)
    np.testing.assert_array_equal(again.observed, clip.observed)
    np.testing.assert_array_equal(again.times, clip.times)
    assert again.values.dtype.newbyteorder("=") == clip.values.dtype.newbyteorder("=")
    assert (again.scale, again.source, again.header) == (clip.scale, clip.source, clip.header)


def test_what_is_kept_holds_no_code(tmp_path: Path) -> None:
    """Dates and a scale of the format's own come back too, from files that can do nothing when they are read."""
    clip = clip_of("float64", "pixels")
    dates = np.datetime64("2020-01-01T00:05") + 300 * np.arange(5).astype("timedelta64[s]")
    scale = ValueScale(0.1, 200.0 / 3, "log1p")
    assert clip.header is not None
    clip = replace(clip, times=dates, scale=scale, header=replace(clip.header, scale=scale, rate=Fraction(1001, 3)))
    clips.keep(tmp_path, clip)
    again = clips.load(tmp_path)
    np.testing.assert_array_equal(again.times, dates)
    assert (again.scale, again.header) == (scale, clip.header)
    assert {file.suffix for file in tmp_path.iterdir()} == {"", ".npy", ".json"}


@pytest.mark.parametrize("observed", ["all", "frames", "pixels"])
@pytest.mark.parametrize(("dtype", "sent"), [("uint8", "<u1"), ("uint16", "<u2"), (">f4", "<f4"), ("float64", "<f4")])
def test_what_is_sent_can_be_read_by_its_description(tmp_path: Path, dtype: str, sent: str, observed: str) -> None:
    clip = clip_of(dtype, observed)
    told = clips.keep(tmp_path, clip)["wire"]
    wire = Wire(told["dtype"], tuple(told["shape"]), told["observed"])
    start, stop = 1, 4
    head = wire.head(start, stop)
    assert head[:4] == b"FFR1"
    assert len(head) % 8 == 0
    facts = json.loads(head[8:])
    assert len(head) == 8 + int.from_bytes(head[4:8], "little")
    assert facts == {"dtype": wire.dtype, "shape": [3, 2, 3, 7], "start": 1, "observed": observed}
    values = (tmp_path / VALUES).read_bytes()[start * wire.frame_bytes : stop * wire.frame_bytes]
    np.testing.assert_array_equal(np.frombuffer(values, sent).reshape(3, 2, 3, 7), clip.values[1:4].astype(sent))
    masks = (tmp_path / MASKS).read_bytes()[start * wire.mask_bytes : stop * wire.mask_bytes]
    if observed == "frames":
        assert masks == bytes([0, 1, 1])
    elif observed == "pixels":  # 21 bits take 3 bytes
        bits = "".join(f"{byte:08b}" for byte in masks)
        assert [bits[24 * k : 24 * k + 21] for k in range(3)] == ["0" * 21, "1" * 10 + "000" + "1" * 8, "1" * 21]
    else:
        assert masks == b""


def test_what_the_page_is_told(tmp_path: Path) -> None:
    told = clips.keep(tmp_path, clip_of("float32", "pixels"), title="a title")
    del told["wire"]
    assert told == {
        "frames": 5,
        "channels": 2,
        "height": 3,
        "width": 7,
        "dtype": "float32",
        "low": 0.0,
        "high": 200.0,
        "units": "mm",
        "rate": 25.0,
        "times": [0.0, 0.04, 0.08, 0.12, 0.16],
        "missing": [1],
        "holes": True,
        "title": "a title",
    }


def test_times_are_seconds_from_the_first_frame(tmp_path: Path) -> None:
    clip = clip_of("uint8")
    dates = np.datetime64("2020-01-01T00:05") + 300 * np.arange(5).astype("timedelta64[s]")
    for times in (dates, 7.0 + 300 * np.arange(5)):
        told = clips.keep(tmp_path, Clip(clip.values, clip.observed, clip.scale, times))
        assert told["times"] == [0.0, 300.0, 600.0, 900.0, 1200.0]


def test_range_of_a_logarithmic_scale_is_that_of_the_data(tmp_path: Path) -> None:
    clip = clip_of("float32", "frames")
    clip.values[1] = 1000  # not observed
    told = clips.keep(tmp_path, Clip(clip.values, clip.observed, ValueScale(0.5, 200.0, "log1p")))
    known = clip.values[[0, 2, 3, 4]]
    assert (told["low"], told["high"]) == (known.min(), known.max())


def sent(values: np.ndarray, observed: str = "all", masks: bytes = b"", **wrong: object) -> bytes:
    wire = Wire("uint8", values.shape, observed)
    facts = {"dtype": "uint8", "shape": list(values.shape), "start": 0, "observed": observed} | wrong
    text = json.dumps(facts).encode()
    text += b" " * (-len(text) % 8)
    assert wire.frame_bytes == values[0].size
    return b"FFR1" + len(text).to_bytes(4, "little") + text + values.tobytes() + masks


def test_frames_that_a_page_sends(tmp_path: Path) -> None:
    values = RNG.integers(0, 255, (3, 1, 4, 5)).astype(np.uint8)
    path = tmp_path / "sent"
    path.write_bytes(sent(values, "frames", bytes([1, 0, 1])))
    clip = clips.unpack(path, "drawn", Limits())
    np.testing.assert_array_equal(clip.values, values)
    assert clip.observed[:, 0, 0, 0].tolist() == [True, False, True]
    assert clip.scale == ValueScale(0.0, 255.0)


FRAMES = np.zeros((3, 1, 4, 5), np.uint8)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "begins with b''"),
        (b"FFR2" + bytes(100), "FFR2"),
        (b"FFR1\xff\xff\xff\xff", "header of 4294967295 bytes"),
        (b"FFR1\x08\0\0\0notjson!", "no JSON"),
        (b"FFR1\x08\0\0\0[1,2,3] ", "no JSON"),
        (b"FFR1\x10\0\0\0" + b"[" * 16, "no JSON"),
        (sent(FRAMES, dtype="float32"), "float32"),
        (sent(FRAMES, dtype="object"), "object"),
        (sent(FRAMES, dtype=["uint8"]), "uint8"),
        (sent(FRAMES, shape=[3, 4, 5]), "[3, 4, 5]"),
        (sent(FRAMES, shape=[3, 1, 4, 5.0]), "5.0"),
        (sent(FRAMES, shape=[3, True, 4, 5]), "True"),
        (sent(FRAMES, shape=[3, 1, -4, -5]), "-4"),
        (sent(FRAMES, shape=[3, 1, 0, 5]), "0, 5"),
        (sent(FRAMES, shape=[2**40, 1, 4, 5]), "frames at most"),
        (sent(FRAMES, shape=[3, 1, 2**20, 2**20]), "values at most"),
        (sent(FRAMES, shape=None), "no JSON"),
        (sent(FRAMES, observed="some"), "some"),
        (sent(FRAMES)[:-1], "fewer"),
        (sent(FRAMES) + b"x", "more"),
        (sent(FRAMES, "frames", bytes(3)), "nothing is observed"),
        (sent(FRAMES[:1]), "single frame"),
    ],
)
def test_frames_that_a_page_cannot_send(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "sent"
    path.write_bytes(content)
    with pytest.raises(DataError) as raised:
        clips.unpack(path, "drawn", Limits())
    assert words in str(raised.value)
    assert "drawn" in str(raised.value)


def test_a_head_is_read_as_it_was_written() -> None:
    wire = Wire("uint16", (7, 3, 50, 41), "pixels")
    file = io.BytesIO(wire.head(0, 7) + b"rest")
    assert read_head(file, "frames") == wire
    assert file.read() == b"rest"


@pytest.mark.parametrize("suffix", [".npy", ".gif", ".mp4", ".tif"])
def test_a_file_is_read_as_the_commands_read_it(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"clip{suffix}"
    write_whole(RNG.integers(0, 255, (4, 1, 32, 32)).astype(np.uint8), path)
    ours, theirs = clips.read(path, "clip", Limits()), read_whole(path)
    np.testing.assert_array_equal(ours.values, theirs.values)
    np.testing.assert_array_equal(ours.observed, theirs.observed)
    assert (ours.scale, ours.header) == (theirs.scale, theirs.header)


@pytest.mark.parametrize("limits", [Limits(frames=3), Limits(pixels=4 * 32 * 32 - 1)], ids=["frames", "pixels"])
@pytest.mark.parametrize("suffix", [".npy", ".gif", ".avi"])
def test_too_large_a_file_is_refused(tmp_path: Path, suffix: str, limits: Limits) -> None:
    path = tmp_path / f"clip{suffix}"
    write_whole(RNG.integers(0, 255, (4, 1, 32, 32)).astype(np.uint8), path)
    with pytest.raises(DataError, match="at most on this page"):
        clips.read(path, "clip", limits)


def test_a_header_that_says_too_much_is_refused_before_a_frame_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "clip.npy"
    np.save(path, np.zeros((4, 1, 8, 8), np.uint8))
    monkeypatch.setattr("frame_forecast.io.streams.Stream.__iter__", lambda _: pytest.fail("a frame was read"))
    with pytest.raises(DataError, match="at most"):
        clips.read(path, "clip", Limits(frames=3))


def test_frames_that_no_header_counts_are_refused_as_they_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As of a GIF whose frames are known when all are read."""
    path = tmp_path / "clip.npy"
    np.save(path, np.zeros((9, 1, 8, 8), np.uint8))
    from frame_forecast.io import streams

    whole = streams.Stream.__init__

    def uncounted(self: streams.Stream, *given: object, **more: object) -> None:
        whole(self, *given, **more)  # pyright: ignore[reportArgumentType]
        object.__setattr__(self.header, "frames", None)

    monkeypatch.setattr(streams.Stream, "__init__", uncounted)
    with pytest.raises(DataError, match="of 4 frames or more"):
        clips.read(path, "clip", Limits(frames=3))


def test_downloads_to_look_at_show_the_whole_range(tmp_path: Path) -> None:
    values = np.linspace(-3.0, 7.0, 4 * 32 * 32).reshape(4, 1, 32, 32)
    observed = np.ones((4, 1, 32, 32), bool)
    observed[2] = False
    clips.keep(tmp_path, Clip(values, observed, ValueScale(-3.0, 7.0)))
    size = clips.write(tmp_path, "file", ".gif")
    assert size == (tmp_path / "file.gif").stat().st_size
    shown = read_whole(tmp_path / "file.gif").values
    np.testing.assert_allclose(shown[0, 0], (values[0, 0] + 3) / 10 * 255, atol=1.5)
    assert not shown[2].any()


def test_downloads_to_work_with_hold_the_values(tmp_path: Path) -> None:
    clip = clip_of("float64", "pixels")
    clips.keep(tmp_path, clip)
    clips.write(tmp_path, "file", ".npz")
    again = read_whole(tmp_path / "file.npz")
    np.testing.assert_array_equal(again.observed, clip.observed)
    known = np.broadcast_to(clip.observed, clip.values.shape)
    np.testing.assert_array_equal(again.values[known], clip.values[known])


@pytest.mark.parametrize("suffix", ["", ".exe", ".zarr", "/../../x.npy", ".npy/"])
def test_downloads_of_other_kinds_are_refused(tmp_path: Path, suffix: str) -> None:
    clips.keep(tmp_path, clip_of("uint8"))
    before = sorted(tmp_path.iterdir())
    with pytest.raises(OutputError, match="download"):
        clips.write(tmp_path, "file", suffix)
    assert sorted(tmp_path.iterdir()) == before


def test_every_suffix_to_write_is_written(tmp_path: Path) -> None:
    clips.keep(tmp_path, clip_of("uint8", shape=(5, 1, 16, 16)))
    for suffix in clips.suffixes()["write"]:
        assert clips.write(tmp_path, "file", suffix) > 0
    assert {".npy", ".gif", ".mp4", ".h5"} <= set(clips.suffixes()["read"])
    assert ".zarr" not in clips.suffixes()["read"]  # a folder cannot be sent


def test_formats_that_cannot_hold_a_clip_say_so(tmp_path: Path) -> None:
    clips.keep(tmp_path, clip_of("uint8", shape=(5, 2, 16, 16)))
    with pytest.raises(FrameForecastError, match="channels"):
        clips.write(tmp_path, "file", ".gif")

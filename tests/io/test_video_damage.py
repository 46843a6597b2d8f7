"""Videos that are cut, damaged, none at all, or that cannot be written."""

import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from video_files import SUFFIXES, clip_of, damage, noise, psnr, record, smooth

from frame_forecast.errors import ConfigError, DataError, FrameForecastError, FrameForecastWarning, OutputError
from frame_forecast.io.clips import read, write
from frame_forecast.io.formats import video
from frame_forecast.io.streams import open_reader, open_writer


@pytest.mark.parametrize(("dtype", "channels"), [("u1", 1), ("u1", 3), ("u2", 3)])
@pytest.mark.parametrize("suffix", ["mkv", "avi"])
def test_any_damage_to_a_lossless_frame_shows(suffix: str, dtype: str, channels: int, tmp_path: Path) -> None:
    clip = clip_of(noise(5, channels, dtype))
    for share in (0.3, 0.6, 0.95):
        write(clip, tmp_path / f"a.{suffix}", force=True)
        damage(tmp_path / f"a.{suffix}", 2, share, 1)
        with pytest.warns(FrameForecastWarning, match=r"damaged: 2 \(1\): unobserved;"):
            again = read(tmp_path / f"a.{suffix}")
        assert again.observed.all(axis=(1, 2, 3)).tolist() == [True, True, False, True, True]
        assert not again.values[2].any()
        assert np.array_equal(again.values[again.observed[:, 0, 0, 0]], clip.values[[0, 1, 3, 4]])


def test_files_without_checksums_are_read_all_the_same(tmp_path: Path) -> None:
    record(tmp_path / "in.mkv", noise(3), "ffv1", "bgr0", level="3", slicecrc="0")
    clip = read(tmp_path / "in.mkv")
    assert np.array_equal(clip.values, noise(3))
    assert clip.observed.all()


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov"])
def test_a_damaged_packet_loses_its_frame_and_those_after_are_counted(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"in.{suffix}"
    record(path, smooth(20), bf="0", g="8")
    damage(path, 10, 0, 60)
    with pytest.warns(FrameForecastWarning, match=r"damaged: 10 \(1\): unobserved, and 5 others are decoded from"):
        clip = read(path)
    assert np.flatnonzero(~clip.observed.any(axis=(1, 2, 3))).tolist() == [10]
    assert np.flatnonzero(clip.observed.all(axis=(1, 2, 3))).tolist() == [*range(10), *range(11, 20)]
    good = [*range(10), *range(16, 20)]
    assert min(psnr(clip.values[i], smooth(20)[i]) for i in good) > 25
    with pytest.warns(FrameForecastWarning, match="damaged"):  # however early one stops
        next(frame for frame in open_reader(path) if not frame.observed.any())


def outcome(path: Path, target: Path) -> str | np.ndarray:
    """What reading and writing a file ends with: the error, or the frames that are in the new file."""
    try:
        with open_reader(path) as stream, open_writer(target, stream.header) as writer:
            for frame in stream:
                writer.write(frame)
    except FrameForecastError as error:
        return str(error) + " and a file" * target.exists()
    values = read(target).values
    target.unlink()
    return values


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_truncated_files_are_refused(suffix: str, tmp_path: Path) -> None:
    record(tmp_path / f"whole.{suffix}", smooth(8))
    whole = (tmp_path / f"whole.{suffix}").read_bytes()
    path = tmp_path / f"cut.{suffix}"
    for length in [*range(0, len(whole) - 1, len(whole) // 60), len(whole) - 1]:
        path.write_bytes(whole[:length])
        message = outcome(path, tmp_path / "out.npz")
        assert isinstance(message, str), f"cut at {length} of {len(whole)}"
        assert str(path) in message
        assert not message.endswith("and a file")


def test_a_truncated_file_with_its_index_in_front_is_refused(tmp_path: Path) -> None:
    write(clip_of(smooth(30)), tmp_path / "whole.mp4")
    whole = (tmp_path / "whole.mp4").read_bytes()
    assert whole.find(b"moov") < whole.find(b"mdat")
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) * 3 // 4])
    with pytest.raises(DataError, match=f"cut off: {len(whole) * 3 // 4} bytes where {len(whole)} are declared"):
        read(tmp_path / "cut.mp4")


@pytest.mark.filterwarnings("ignore:.*frames that are damaged")
def test_a_tail_that_damage_hides_is_warned_of(tmp_path: Path) -> None:
    write(clip_of(noise(40)), tmp_path / "in.mkv")
    data = bytearray((tmp_path / "in.mkv").read_bytes())
    half = len(data) // 2
    data[half : half + len(data) // 2 - 100] = bytes(len(data) // 2 - 100)
    (tmp_path / "in.mkv").write_bytes(data)
    with pytest.warns(FrameForecastWarning, match="s of the 4.0 that it should have"):
        clip = read(tmp_path / "in.mkv")
    assert 10 < len(clip.values) < 30


@pytest.mark.filterwarnings("ignore::frame_forecast.errors.FrameForecastWarning")
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_damage_never_gives_anything_but_our_errors(suffix: str, tmp_path: Path) -> None:
    write(clip_of(smooth(6, 32, 32)), tmp_path / f"whole.{suffix}")
    whole = (tmp_path / f"whole.{suffix}").read_bytes()
    rng = np.random.default_rng(7)
    path = tmp_path / f"in.{suffix}"
    for number in range(80):
        data = bytearray(whole)
        for place in rng.integers(0, len(data) if number % 2 else min(len(data), 600), 4):
            data[place] = rng.integers(256)
        path.write_bytes(data)
        outcome(path, tmp_path / "out.npz")


@pytest.mark.parametrize("content", [b"", b"\0", b"plain text, no video\n", b"RIFF\0\0\0\0AVI ", b"\x1aE\xdf\xa3"])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_files_that_are_no_videos_are_refused(suffix: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"in.{suffix}"
    path.write_bytes(content)
    with pytest.raises(DataError) as error:
        read(path)
    assert str(path) in str(error.value)


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    with av.open(tmp_path / "in.mp4", "w") as container:
        stream = container.add_stream("aac", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((2, 4800), np.float32), "fltp", "stereo")
        frame.sample_rate = 48000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(DataError, match="no video"):
        read(tmp_path / "in.mp4")


def test_a_single_frame_and_frames_of_several_sizes_are_refused(tmp_path: Path) -> None:
    write(clip_of(noise(1)), tmp_path / "one.mkv")
    with pytest.raises(DataError, match="single frame"):
        read(tmp_path / "one.mkv")
    parts = []
    for side in (32, 48):
        with av.open(tmp_path / f"{side}.mkv", "w") as container:
            stream = container.add_stream("mjpeg", rate=10)
            stream.height = stream.width = side
            stream.pix_fmt = "yuvj420p"
            picture = av.VideoFrame.from_ndarray(np.zeros((side, side, 3), np.uint8), "rgb24")
            packets = stream.encode(picture.reformat(format="yuvj420p")) + stream.encode(None)
            parts += [bytes(packet) for packet in packets]
    with av.open(tmp_path / "both.mkv", "w") as container:
        stream = container.add_stream("mjpeg", rate=10)
        stream.height = stream.width = 32
        stream.pix_fmt = "yuvj420p"
        for number, part in enumerate(parts):
            packet = av.Packet(part)
            packet.stream, packet.time_base = stream, Fraction(1, 10)
            packet.pts = packet.dts = number
            container.mux(packet)
    with pytest.raises(DataError, match="frame 1"):
        read(tmp_path / "both.mkv")


@pytest.mark.parametrize(
    ("name", "values", "what"),
    [
        ("out.webm", noise(2, 3, "u2"), "uint8"),
        ("out.mkv", noise(2).astype(np.float32) / 255, "uint8 or uint16"),
        ("out.mp4", noise(2, 2), "1 or 3 channels"),
        ("out.mp4.gz", noise(2), "without .gz"),
    ],
)
def test_what_a_video_cannot_hold_is_refused(name: str, values: np.ndarray, what: str, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=what):
        write(clip_of(values), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_what_the_codec_refuses_is_said(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="libx264"):
        write(clip_of(np.zeros((2, 1, 2, 17000), np.uint8)), tmp_path / "out.mp4")
    assert list(tmp_path.iterdir()) == []


def test_without_pyav_the_command_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(clip_of(noise(2)), tmp_path / "in.mkv")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ConfigError, match='pip install "av"'):
        read(tmp_path / "in.mkv")
    with pytest.raises(ConfigError, match='pip install "av"'):
        write(clip_of(noise(2)), tmp_path / "out.mkv")
    write(clip_of(noise(2)), tmp_path / "out.webp")  # the others do without


def test_damage_is_refused_where_nobody_can_tell_which_frames_follow(tmp_path: Path) -> None:
    record(tmp_path / "in.avi", smooth(15), "libx264", bf="3")  # stored in another order, and AVI has no times
    damage(tmp_path / "in.avi", 4, 0, 60)
    with pytest.raises(DataError, match=r"in\.avi"):
        read(tmp_path / "in.avi")


def test_a_codec_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(video._ENCODINGS, ".mp4", replace(video._ENCODINGS[".mp4"], codec="nothing"))
    with pytest.raises(OutputError, match="nothing"):
        write(clip_of(noise(2)), tmp_path / "out.mp4")
    assert list(tmp_path.iterdir()) == []

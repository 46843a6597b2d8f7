"""Videos: frames, times and sound as they were recorded, whatever the container."""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from frame_forecast.clip import Clip
from frame_forecast.errors import ConfigError, DataError, FrameForecastError, FrameForecastWarning, OutputError
from frame_forecast.header import Header
from frame_forecast.io.base import Frame
from frame_forecast.io.clips import read, write
from frame_forecast.io.streams import open_reader, open_writer
from frame_forecast.scale import ValueScale

DATA = Path(os.environ.get("FRAME_FORECAST_DATA", "nowhere"))
SUFFIXES = ["mp4", "mov", "webm", "mkv", "avi"]
FORMATS = {"mp4": "mp4", "mov": "mov", "webm": "webm", "mkv": "matroska", "avi": "avi"}
CODECS = {"mp4": "libx264", "mov": "libx264", "webm": "libvpx-vp9", "mkv": "libx264", "avi": "mpeg4"}


def smooth(count: int, height: int = 48, width: int = 64, channels: int = 3) -> np.ndarray:
    """Frames ``(T, C, H, W)`` that codecs keep well and that are all different."""
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / 9 + t / 3 + c) + np.cos(y / 11 - t / 4 + 2 * c) for t in range(count) for c in range(channels)]
    return (128 + 60 * np.stack(waves)).astype(np.uint8).reshape(count, channels, height, width)


def noise(count: int, channels: int = 3, dtype: str = "u1", height: int = 34, width: int = 46) -> np.ndarray:
    high = np.iinfo(dtype).max
    return np.random.default_rng(0).integers(0, high, (count, channels, height, width), dtype, endpoint=True)


def clip_of(values: np.ndarray, rate: Fraction | None = None) -> Clip:
    T, C, H, W = values.shape
    header = Header("array", T, C, H, W, values.dtype, rate=rate)
    return Clip(values, np.ones((T, 1, H, W), bool), ValueScale.of_dtype(values.dtype), header=header)


def write_and_read(clip: Clip, path: Path) -> Clip:
    write(clip, path)
    return read(path)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / max(np.square(a.astype(float) - b).mean(), 1e-9)))


def record(
    path: Path,
    values: np.ndarray,
    codec: str = "",
    pixels: str = "yuv420p",
    marks: Sequence[int] = (),
    unit: Fraction = Fraction(1, 20),
    tags: tuple[int, int] = (0, 0),
    sound: str = "",
    late: float = 0.0,
    **options: str,
) -> None:
    """A video made with PyAV alone; frames are given in ``pixels`` where that is no YUV.

    Args:
        marks: when frames are shown, in ``unit``.
        tags: number of the matrix and of the range.
        sound: a codec; the sound begins ``late`` seconds and lasts as long as the frames.
        options: of the codec; ``turn`` and ``mirror`` are those of the display matrix.
    """
    turn, mirror = options.pop("turn", ""), options.pop("mirror", "")
    marks = marks or range(len(values))
    with av.open(path, "w", format=FORMATS[path.suffix[1:]]) as container:
        stream = container.add_stream(codec or CODECS[path.suffix[1:]], rate=1 / unit, options=options)
        stream.height, stream.width, stream.pix_fmt = *values.shape[2:], pixels
        stream.time_base = stream.codec_context.time_base = unit
        if tags != (0, 0):
            stream.codec_context.colorspace, stream.codec_context.color_range = tags
        if turn or mirror:
            stream.set_display_rotation(float(turn or 0), hflip=bool(mirror))
        audio = container.add_stream(sound, rate=48000, layout="mono") if sound else None
        for mark, frame in zip(marks, values, strict=True):
            array = frame[0] if len(frame) == 1 else np.ascontiguousarray(frame.transpose(1, 2, 0))
            given = {(1, 1): "gray", (1, 2): "gray16le", (3, 1): "rgb24", (3, 2): "rgb48le"}
            picture = av.VideoFrame.from_ndarray(array, given[len(frame), frame.itemsize])
            colours = {"dst_colorspace": tags[0], "dst_color_range": tags[1]} if tags[0] else {}
            picture = picture.reformat(format=pixels, **colours)
            picture.pts, picture.time_base = mark, unit
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
        if audio is not None:
            total = int(48000 * float((marks[-1] + 1) * unit))
            wave = (9000 * np.sin(np.arange(total) / 17)).astype(np.int16)
            resampler = av.AudioResampler(audio.codec_context.format or "s16", "mono", 48000)
            for start in range(0, total, 960):
                piece = av.AudioFrame.from_ndarray(np.ascontiguousarray(wave[None, start : start + 960]), "s16", "mono")
                piece.sample_rate, piece.pts = 48000, start + int(48000 * late)
                piece.time_base = Fraction(1, 48000)
                for one in resampler.resample(piece):
                    container.mux(audio.encode(one))
            container.mux(audio.encode(None))


def sound_of(path: Path) -> list[tuple[float, bytes]]:
    """When each packet of sound begins, from the first frame, and what is in it."""
    with av.open(path) as container:  # once it is closed, what belongs to it is gone
        packets = [
            (one.stream.type, float(one.pts * one.time_base), bytes(one)) for one in container.demux() if one.size
        ]
    start = min(begin for kind, begin, _ in packets if kind == "video")
    return [(begin - start, data) for kind, begin, data in packets if kind == "audio"]


def damage(path: Path, number: int, start: float, count: int) -> None:
    """Changes bytes inside the packet of a frame, from a share of its length on."""
    with av.open(path) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    place = data.find(packets[number]) + int(start * len(packets[number]))
    assert place > 0
    for at in range(place, place + count):
        data[at] ^= 0x5A
    path.write_bytes(data)


@pytest.mark.parametrize("suffix", ["mkv", "avi"])
@pytest.mark.parametrize(("dtype", "channels"), [("u1", 1), ("u1", 3), ("u2", 1), ("u2", 3)])
@pytest.mark.parametrize("size", [(34, 46), (33, 47)])
def test_lossless_files_are_bit_identical(
    suffix: str, dtype: str, channels: int, size: tuple[int, int], tmp_path: Path
) -> None:
    clip = clip_of(noise(4, channels, dtype, *size))
    write(clip, tmp_path / f"a.{suffix}")
    again = read(tmp_path / f"a.{suffix}")
    assert again.values.dtype == clip.values.dtype
    assert np.array_equal(again.values, clip.values)
    assert again.observed.all()
    assert again.scale == clip.scale
    write(again, tmp_path / f"b.{suffix}")
    assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()


@pytest.mark.parametrize("suffix", ["mp4", "mov", "webm"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(48, 64), (47, 63)])
def test_lossy_files_are_near(suffix: str, channels: int, size: tuple[int, int], tmp_path: Path) -> None:
    values = smooth(5, *size, channels)
    write(clip_of(values), tmp_path / f"out.{suffix}")
    again = read(tmp_path / f"out.{suffix}").values
    assert again.shape == (5, 3, *size)
    assert min(psnr(a, np.broadcast_to(b, a.shape)) for a, b in zip(again, values, strict=True)) > 33


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("rate", [Fraction(30000, 1001), Fraction(25), Fraction(10), Fraction(1, 2)])
def test_rate_and_length_are_kept(suffix: str, rate: Fraction, tmp_path: Path) -> None:
    record(tmp_path / f"in.{suffix}", smooth(12), unit=1 / rate)
    clip = read(tmp_path / f"in.{suffix}")
    write(clip, tmp_path / f"out.{suffix}")
    again = read(tmp_path / f"out.{suffix}")
    for one in (clip, again):
        assert one.header is not None
        assert one.header.rate == rate
        assert one.times == pytest.approx(np.arange(12) / float(rate), abs=1e-3)
    with av.open(tmp_path / f"in.{suffix}") as old, av.open(tmp_path / f"out.{suffix}") as new:
        assert new.duration == pytest.approx(old.duration, abs=2000)  # microseconds


def test_frames_of_a_known_rate_play_at_it_and_dated_ones_at_ten_a_second(tmp_path: Path) -> None:
    clip = clip_of(noise(3), Fraction(50))
    write(clip, tmp_path / "a.mkv")
    dates = np.datetime64("2015-05-15T12:00") + np.arange(3) * np.timedelta64(5, "m")
    write(replace(clip, times=dates.astype("datetime64[s]")), tmp_path / "b.mkv")
    write(clip_of(noise(3)), tmp_path / "c.mkv")
    for name, rate in (("a", 50), ("b", 10), ("c", 10)):
        with open_reader(tmp_path / f"{name}.mkv") as stream:
            assert stream.header.rate == rate


@pytest.mark.parametrize("suffix", ["mp4", "mov", "webm", "mkv"])
def test_variable_rates_keep_their_times(suffix: str, tmp_path: Path) -> None:
    marks = [0, 100, 3300, 5000, 5600, 8000, 8100, 13370]  # of 90000 a second
    record(tmp_path / f"in.{suffix}", smooth(8), marks=marks, unit=Fraction(1, 90000))
    with pytest.warns(FrameForecastWarning, match="no regular series"):
        clip = read(tmp_path / f"in.{suffix}")
    exact = 1e-9 if suffix in ("mp4", "mov") else 6e-4
    assert clip.times == pytest.approx(np.array(marks) / 90000, abs=exact)
    assert clip.header is not None
    assert clip.header.rate is None
    with pytest.warns(FrameForecastWarning, match="no regular series"):
        again = write_and_read(clip, tmp_path / f"out.{suffix}")
    assert again.times == pytest.approx(clip.times, abs=1e-9)
    with pytest.raises(OutputError, match=r"irregular.*\.mkv"):
        write(clip, tmp_path / "out.avi")
    assert not (tmp_path / "out.avi").exists()


def test_times_that_do_not_increase_are_refused(tmp_path: Path) -> None:
    clip = replace(clip_of(noise(3)), times=np.array([0.0, 1.0, 1.0]))
    with pytest.raises(OutputError, match=r"frame 2 .* not after"):
        write(clip, tmp_path / "out.mkv")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_dropped_frame_is_unobserved_and_written_as_a_gap(suffix: str, tmp_path: Path) -> None:
    marks = [0, 1, 2, 4, 5, 8, 9, 10]
    record(tmp_path / f"in.{suffix}", smooth(11)[marks], marks=marks)
    clip = read(tmp_path / f"in.{suffix}")
    assert np.flatnonzero(~clip.observed.any(axis=(1, 2, 3))).tolist() == [3, 6, 7]
    assert np.flatnonzero(clip.observed.all(axis=(1, 2, 3))).tolist() == marks
    assert clip.times == pytest.approx(np.arange(11) / 20)
    assert min(psnr(clip.values[mark], smooth(11)[mark]) for mark in marks) > 25
    write(clip, tmp_path / f"out.{suffix}")
    assert np.array_equal(read(tmp_path / f"out.{suffix}").observed, clip.observed)


@pytest.mark.parametrize(("lost", "what"), [(0, "frame 0"), (4, "last frame")])
def test_a_gap_needs_two_ends(lost: int, what: str, tmp_path: Path) -> None:
    clip = clip_of(noise(5))
    clip.observed[lost] = False
    with pytest.raises(OutputError, match=what):
        write(clip, tmp_path / "out.mkv")
    clip.observed[:] = True
    clip.observed[2, 0, 0, 0] = False
    with pytest.raises(OutputError, match="missing pixels in frame 2"):
        write(clip, tmp_path / "out.mkv")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mirror", ["", "yes"])
@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_turned_videos_come_upright_and_stay_so(turn: int, mirror: str, tmp_path: Path) -> None:
    values = noise(3)
    record(tmp_path / "in.mkv", values, "ffv1", "bgr0", turn=str(turn), mirror=mirror)
    expected = np.rot90(values, turn // 90, axes=(2, 3))  # counter-clockwise, as the angle is given
    expected = expected[..., ::-1] if mirror else expected
    clip = read(tmp_path / "in.mkv")
    assert np.array_equal(clip.values, expected)
    write(clip, tmp_path / "out.mkv")
    assert np.array_equal(read(tmp_path / "out.mkv").values, expected)


def test_other_angles_are_left_with_a_warning(tmp_path: Path) -> None:
    record(tmp_path / "in.mkv", noise(3), "ffv1", "bgr0", turn="45")
    with pytest.warns(FrameForecastWarning, match="45 degrees"):
        clip = read(tmp_path / "in.mkv")
    assert np.array_equal(clip.values, noise(3))


def test_transparency_is_left_out_with_a_warning(tmp_path: Path) -> None:
    record(tmp_path / "in.mkv", noise(3), "ffv1", "bgra")
    with pytest.warns(FrameForecastWarning, match="transparency"):
        clip = read(tmp_path / "in.mkv")
    assert np.array_equal(clip.values, noise(3))


def test_pixels_that_are_no_squares_keep_their_shape(tmp_path: Path) -> None:
    write(clip_of(noise(3)), tmp_path / "plain.mkv")
    clip = read(tmp_path / "plain.mkv")
    assert clip.header is not None
    wide = replace(clip, header=replace(clip.header, meta={**clip.header.meta, "aspect": Fraction(4, 3)}))
    write(wide, tmp_path / "wide.mp4")
    write(read(tmp_path / "wide.mp4"), tmp_path / "again.mp4")
    with av.open(tmp_path / "again.mp4") as container:
        assert container.streams.video[0].sample_aspect_ratio == Fraction(4, 3)


WEIGHTS = {1: (0.2126, 0.0722), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}  # of red and blue: BT.709, BT.601, BT.2020


@pytest.mark.parametrize("full", [1, 2])
@pytest.mark.parametrize("matrix", [1, 6, 9])
def test_colours_are_what_the_standards_say(matrix: int, full: int, tmp_path: Path) -> None:
    y, u, v = planes = 120, 90, 160
    picture = av.VideoFrame.from_ndarray(
        np.concatenate([np.full(count, plane, np.uint8) for count, plane in zip((64, 64, 64), planes, strict=True)])
        .reshape(24, 8)
        .reshape(3, 8, 8),
        "yuv444p",
    )
    with av.open(tmp_path / "in.mp4", "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"qp": "0"})
        stream.height = stream.width = 8
        stream.pix_fmt = "yuv444p"
        stream.codec_context.colorspace, stream.codec_context.color_range = matrix, full
        for number in range(2):
            picture.pts, picture.time_base = number, Fraction(1, 10)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    red, blue = WEIGHTS[matrix]
    luma, chroma = ((y - 16) / 219, 224) if full == 1 else (y / 255, 255)
    R = luma + 2 * (1 - red) * (v - 128) / chroma
    B = luma + 2 * (1 - blue) * (u - 128) / chroma
    G = (luma - red * R - blue * B) / (1 - red - blue)
    clip = read(tmp_path / "in.mp4")
    assert clip.values[0, :, 4, 4] == pytest.approx(255 * np.array([R, G, B]), abs=1.5)
    write(clip, tmp_path / "out.mp4")
    assert np.abs(read(tmp_path / "out.mp4").values.astype(int) - clip.values).max() <= 4
    with av.open(tmp_path / "out.mp4") as container:
        context = container.streams.video[0].codec_context
        assert (context.colorspace, context.color_range) == (matrix, full)
        assert context.pix_fmt == ("yuv444p" if full == 1 else "yuvj444p")  # the same pixels: j for the whole range


def test_more_than_8_bits_are_16(tmp_path: Path) -> None:
    values = smooth(4).astype(np.uint16) * 257
    record(tmp_path / "in.mp4", values, pixels="yuv422p10le", crf="4")
    clip = read(tmp_path / "in.mp4")
    assert clip.values.dtype == np.uint16
    assert clip.scale == ValueScale(0, 65535)
    assert psnr(clip.values / 257, values / 257) > 33
    assert len(np.unique(clip.values)) > 256
    write(clip, tmp_path / "out.mp4")
    again = read(tmp_path / "out.mp4")
    assert again.header is not None
    assert again.header.meta["pixels"] == "yuv422p10le"
    assert psnr(again.values / 257, clip.values / 257) > 36


@pytest.mark.parametrize("bits", [10, 12])
def test_grey_of_more_than_8_bits_is_16(bits: int, tmp_path: Path) -> None:
    values = noise(4, 1, "u2") >> (16 - bits) << (16 - bits)
    record(tmp_path / "in.mkv", values, "ffv1", f"gray{bits}le")
    clip = read(tmp_path / "in.mkv")
    assert (clip.values.dtype, clip.values.shape) == (np.dtype(np.uint16), values.shape)
    assert np.abs(clip.values.astype(int) - values).max() < 2 ** (16 - bits)


def test_frames_stored_in_another_order_come_in_theirs(tmp_path: Path) -> None:
    for suffix in SUFFIXES:
        options = {"bf": "2"} if suffix == "avi" else {}
        record(tmp_path / f"in.{suffix}", smooth(15), **options)
        values = read(tmp_path / f"in.{suffix}").values
        assert min(psnr(a, b) for a, b in zip(values, smooth(15), strict=True)) > 25
    record(tmp_path / "h264.avi", smooth(15), "libx264", bf="3")  # whose times are none
    values = read(tmp_path / "h264.avi").values
    assert min(psnr(a, b) for a, b in zip(values, smooth(15), strict=True)) > 25


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


def test_the_name_does_not_matter_when_reading(tmp_path: Path) -> None:
    write(clip_of(noise(3)), tmp_path / "in.mkv")
    for name in ("in.mp4", "in.png", "a:b.avi", "%03d.mov"):
        (tmp_path / name).write_bytes((tmp_path / "in.mkv").read_bytes())
        assert np.array_equal(read(tmp_path / name).values, noise(3))


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


def test_pyav_is_loaded_for_videos_alone(tmp_path: Path) -> None:
    np.save(tmp_path / "in.npy", noise(2)[:, 0])
    code = f"import sys, frame_forecast as ff; ff.read({str(tmp_path / 'in.npy')!r}); assert 'av' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("codec", "suffix"),
    [("aac", "mp4"), ("aac", "mov"), ("aac", "mkv"), ("aac", "avi"), ("libopus", "webm"), ("pcm_s16le", "avi")],
)
def test_sound_is_copied(codec: str, suffix: str, tmp_path: Path) -> None:
    source = tmp_path / "in.mkv"
    record(source, smooth(40), sound=codec)
    write(read(source), tmp_path / f"out.{suffix}")
    old, new = sound_of(source), sound_of(tmp_path / f"out.{suffix}")
    if suffix == "avi":  # which has no time before the first frame
        old = [(begin, data) for begin, data in old if begin >= 0]
    assert len(old) > 20
    assert [data for _, data in new] == [data for _, data in old]
    drift = [a - b for (a, _), (b, _) in zip(new, old, strict=True)]
    assert max(map(abs, drift)) < 0.03
    write(read(tmp_path / f"out.{suffix}"), tmp_path / "again.mkv")
    assert [data for _, data in sound_of(tmp_path / "again.mkv")] == [data for _, data in new]


def test_a_part_has_its_part_of_the_sound(tmp_path: Path) -> None:
    record(tmp_path / "in.mkv", smooth(40), sound="pcm_s16le", late=0.2)
    write(read(tmp_path / "in.mkv").part(10, 20), tmp_path / "out.mkv")
    old, new = sound_of(tmp_path / "in.mkv"), sound_of(tmp_path / "out.mkv")
    expected = [(begin, data) for begin, data in old if 0.5 <= begin <= 1.0]
    assert 20 <= len(expected) < len(old) / 2
    assert [data for _, data in new] == [data for _, data in expected]
    assert new[0][0] == pytest.approx(expected[0][0] - 0.5, abs=2e-3)


@pytest.mark.parametrize(("case", "what"), [("webm", "in aac"), ("times", "no times"), ("gone", "cannot be read")])
def test_sound_that_is_not_copied_is_said(case: str, what: str, tmp_path: Path) -> None:
    record(tmp_path / "in.mp4", smooth(10), sound="aac")
    clip = read(tmp_path / "in.mp4")
    if case == "gone":
        (tmp_path / "in.mp4").unlink()
    if case == "times":
        clip = replace(clip, times=None)
    name = "out.webm" if case == "webm" else "out.mkv"
    with pytest.warns(FrameForecastWarning, match=rf"the sound of .*in\.mp4.*{what}"):
        write(clip, tmp_path / name)
    assert sound_of(tmp_path / name) == []
    assert len(read(tmp_path / name).values) == 10


def test_a_video_may_replace_the_one_it_is_made_from(tmp_path: Path) -> None:
    record(tmp_path / "in.mkv", noise(10), "ffv1", "bgr0", sound="pcm_s16le")
    sound = sound_of(tmp_path / "in.mkv")
    with open_reader(tmp_path / "in.mkv") as stream, open_writer(tmp_path / "in.mkv", stream.header, True) as writer:
        for frame in stream:
            writer.write(Frame.whole(255 - frame.values))
    assert np.array_equal(read(tmp_path / "in.mkv").values, 255 - noise(10))
    assert [data for _, data in sound_of(tmp_path / "in.mkv")] == [data for _, data in sound]


COPY = """
import re, sys
from pathlib import Path
from frame_forecast.io.streams import open_reader, open_writer
source, target = sys.argv[1:]
with open_reader(source) as stream, open_writer(target, stream.header) as writer:
    for frame in stream:
        writer.write(frame)
assert "torch" not in sys.modules
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("suffix", ["mkv", "avi", "mp4", "webm"])
def test_memory_is_flat_in_the_length(suffix: str, tmp_path: Path) -> None:
    peaks = []
    frame = smooth(1, 120, 160)[0]
    for length in (80, 800):  # 5 and 46 MB; the first is longer than what encoders look ahead
        source = tmp_path / f"{length}.{suffix}"
        sound = {"avi": "pcm_s16le", "webm": "libopus"}.get(suffix, "aac")
        record(source, np.stack([np.roll(frame, t, axis=2) for t in range(length)]), sound=sound, g="20")
        arguments = [sys.executable, "-c", COPY, source, tmp_path / f"{length}-copy.{suffix}"]
        done = subprocess.run(arguments, capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout))
    print(f"{suffix}: peaks of {peaks[0]} and {peaks[1]} kB, {peaks[1] / peaks[0]:.3f}")
    assert peaks[1] < 1.1 * peaks[0]


@pytest.mark.skipif(not (DATA / "video").is_dir(), reason="needs real files: set FRAME_FORECAST_DATA")
def test_a_real_video_comes_back(tmp_path: Path) -> None:
    source = DATA / "video" / "cockatoo.mp4"
    with open_reader(source) as stream:
        header = stream.header
    assert (header.frames, *header.shape, header.rate) == (280, 3, 720, 1280, 20)
    assert header.times is not None
    short = replace(header, frames=24, times=header.times[:24])
    with open_writer(tmp_path / "out.mkv", short) as writer:
        for _, frame in zip(range(24), stream, strict=False):
            writer.write(frame)
    for old, new in zip(stream, open_reader(tmp_path / "out.mkv"), strict=False):
        assert np.array_equal(old.values, new.values)
        assert old.time == new.time
        assert new.observed.all()
    with av.open(source) as container:  # to an independent reading, by the times of frames
        for frame in container.decode(video=0):
            if frame.time == 1.0:
                expected = frame.to_ndarray(format="rgb24", interpolation="BICUBIC").transpose(2, 0, 1)
    assert np.array_equal(read(tmp_path / "out.mkv").values[20], expected)  # pyright: ignore[reportPossiblyUnbound]
    old = [data for begin, data in sound_of(source) if begin <= 1.2]
    assert [data for _, data in sound_of(tmp_path / "out.mkv")] == old

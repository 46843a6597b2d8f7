"""Videos: frames and times as they were recorded, whatever the container."""

import os
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from peaks import STATUS, peak_of_copying
from video_files import SUFFIXES, clip_of, noise, psnr, record, smooth, sound_of, write_and_read

from frame_forecast.errors import FrameForecastWarning, OutputError
from frame_forecast.io.clips import read, write
from frame_forecast.io.streams import open_reader, open_writer
from frame_forecast.scale import ValueScale

DATA = Path(os.environ.get("FRAME_FORECAST_DATA", "nowhere"))


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
    for bf in "03":  # in AVI, which has no times
        record(tmp_path / "h264.avi", smooth(15), "libx264", bf=bf)
        clip = read(tmp_path / "h264.avi")
        assert clip.observed.all()
        assert min(psnr(a, b) for a, b in zip(clip.values, smooth(15), strict=True)) > 25


def test_the_name_does_not_matter_when_reading(tmp_path: Path) -> None:
    write(clip_of(noise(3)), tmp_path / "in.mkv")
    for name in ("in.mp4", "in.png", "a:b.avi", "%03d.mov"):
        (tmp_path / name).write_bytes((tmp_path / "in.mkv").read_bytes())
        assert np.array_equal(read(tmp_path / name).values, noise(3))


def test_pyav_is_loaded_for_videos_alone(tmp_path: Path) -> None:
    np.save(tmp_path / "in.npy", noise(2)[:, 0])
    code = f"import sys, frame_forecast as ff; ff.read({str(tmp_path / 'in.npy')!r}); assert 'av' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.skipif(not STATUS.exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("suffix", ["mkv", "avi", "mp4", "webm"])
def test_memory_is_flat_in_the_length(suffix: str, tmp_path: Path) -> None:
    peaks = []
    frame = smooth(1, 120, 160)[0]
    for length in (80, 800):  # 5 and 46 MB; the first is longer than what encoders look ahead
        source = tmp_path / f"{length}.{suffix}"
        sound = {"avi": "pcm_s16le", "webm": "libopus"}.get(suffix, "aac")
        record(source, np.stack([np.roll(frame, t, axis=2) for t in range(length)]), sound=sound, g="20")
        peaks.append(peak_of_copying(source, tmp_path / f"{length}-copy.{suffix}"))
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

"""Videos for tests, made with PyAV alone."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from frame_forecast.clip import Clip
from frame_forecast.header import Header
from frame_forecast.io.clips import read, write
from frame_forecast.scale import ValueScale

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

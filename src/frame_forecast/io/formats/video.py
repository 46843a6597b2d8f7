"""Videos: MP4, MOV, Matroska, WebM and AVI, through PyAV.

Frames are RGB, or grey where the codec has no colours: uint8, or uint16 over its whole range where the codec has
more than 8 bits. ``.mkv`` and ``.avi`` are written without loss (FFV1: what is read is what was written, bit for
bit); ``.mp4``, ``.mov`` (H.264) and ``.webm`` (VP9) lose a little, in observed pixels too, as their viewers expect.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from frame_forecast.errors import FrameForecastWarning, OutputError
from frame_forecast.header import Header
from frame_forecast.io.animation import USUAL_RATE, is_dated
from frame_forecast.io.base import Frame, Reader, Writer, check_frame_size, require, suffix_of, unreadable
from frame_forecast.io.grid import Grid, find_grid
from frame_forecast.io.registry import register_reader, register_writer
from frame_forecast.io.sound import Sound
from frame_forecast.io.video import EBML_MAGIC, decoded, open_video, orientation, scan, upright
from frame_forecast.scale import ValueScale

if TYPE_CHECKING:
    import av.video.codeccontext
    import av.video.frame

_SUFFIXES = (".mp4", ".mkv", ".avi", ".mov", ".webm")
_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"pnot")
_ARRAYS = {(1, 1): "gray", (1, 2): "gray16le", (3, 1): "rgb24", (3, 2): "rgb48le"}
"""How PyAV calls arrays of so many channels and bytes a value."""
_FINE = Fraction(1, 90_000)  # of a second: the usual unit where frames come irregularly
_MATRICES = {1: 1, 5: 5, 6: 5, 7: 7, 9: 9}
"""YUV matrices as files number them, to the numbers that the conversion has for them."""
_UNSAID = (0, 2)


@register_reader("video", _SUFFIXES)
class VideoReader(Reader):
    """The best video stream of a file, upright, with the times at which its frames are shown.

    A frame that a constant rate lacks is missing. One that is damaged is unobserved, with a warning that counts
    the frames which are decoded from it: what those show is their decoder's guess, but they stay observed.
    Truncated files are refused. Transparency is not read, which a warning says.
    """

    gaps = True

    @classmethod
    def sniff(cls, path: Path, head: bytes) -> bool:
        is_avi = head[:4] == b"RIFF" and head[8:12] == b"AVI "
        return is_avi or head.startswith(EBML_MAGIC) or head[4:8] in _BOXES

    def __init__(self, path: Path, layout: str | None = None) -> None:
        super().__init__(path, layout)
        self._index = scan(path)
        times = self._index.times
        self._grid = find_grid(times)
        with open_video(path) as (container, stream):
            context = stream.codec_context
            check_frame_size(path, 3, context.height, context.width, np.dtype(np.uint8))
            frame = next(decoded(container, stream, self._index), None)
            if frame is None:
                raise unreadable(path, f"no frame can be decoded ({context.codec.canonical_name})")
            rates = [stream.base_rate, stream.average_rate, stream.guessed_rate]
            aspect = stream.sample_aspect_ratio or Fraction(1)
            sounds = len(container.streams.audio)
        components = frame.format.components
        if any(component.is_alpha for component in components):
            self._warn("with transparency", "it is not read, only the colours are", "lay it over a background first")
        laid = orientation(frame)
        if laid is None:
            self._warn(f"to be turned by {frame.rotation} degrees", "it is read as it lies", "turn it first")
        self._laid = laid or (False, False, False)
        size = (frame.width, frame.height) if self._laid[0] else (frame.height, frame.width)
        channels = 1 if frame.format.name.startswith(("gray", "mono", "ya")) else 3
        dtype = np.dtype(np.uint16 if max(component.bits for component in components) > 8 else np.uint8)
        check_frame_size(path, channels, *size, dtype)
        self._array = _ARRAYS[channels, dtype.itemsize]
        meta = {
            "source": str(path.absolute()),
            "sounds": sounds,
            "start": float(self._index.marks[0] * self._index.time_base),
            "last": float(times[-1]),
            "time_base": self._index.time_base,
            "pixels": frame.format.name,
            "colours": (frame.colorspace, frame.color_range, frame.color_primaries, frame.color_trc),
            "aspect": 1 / aspect if self._laid[0] else aspect,
        }
        rate = self._index.rate(self._grid, rates)
        scale = ValueScale.of_dtype(dtype)
        self.header = Header("video", len(times), channels, *size, dtype, scale, rate, times, meta)

    def grid(self) -> Grid | None:
        return self._grid

    def __iter__(self) -> Iterator[Frame]:
        times = self._index.times
        bicubic = require("av.video.reformatter", "av").Interpolation.BICUBIC
        lost = []
        try:
            for position, frame in self._placed():
                if frame is None:
                    lost.append(position)
                    yield Frame.missing(self.header, times[position], damaged=True)
                    continue
                array = frame.to_ndarray(format=self._array, interpolation=bicubic)
                array = array[None] if array.ndim == 2 else array.transpose(2, 0, 1)
                yield Frame.whole(upright(array, self._laid), times[position])
        finally:
            if lost:
                first = ", ".join(map(str, lost[:5])) + ", ..." * (len(lost) > 5)
                smeared = self._index.smeared(lost)
                meaning = "unobserved" + f", and {smeared} others are decoded from these" * (smeared > 0)
                self._warn(
                    f"frames that are damaged: {first} ({len(lost)})", meaning, "recreate them, or fetch it again"
                )

    def _placed(self) -> Iterator[tuple[int, av.video.frame.VideoFrame | None]]:
        """Every frame's number, and the frame unless it is damaged."""
        made = 0
        with open_video(self.path) as (container, stream):
            for frame in decoded(container, stream, self._index):
                position = self._index.position(frame, made)
                if position is None or position < made:
                    continue
                for missing in range(made, position):
                    yield missing, None
                yield position, None if frame.is_corrupt or self._index.damaged[position] else frame
                made = position + 1
        for missing in range(made, len(self._index.marks)):
            yield missing, None

    def _warn(self, found: str, meaning: str, next_step: str) -> None:
        warnings.warn(FrameForecastWarning(f"{self.path}, {found}", meaning, next_step), stacklevel=3)


@dataclass(frozen=True)
class _Encoding:
    """How files of one suffix are written.

    Args:
        container, codec, options: as FFmpeg calls them.
        pixels: their format by channels and bytes a value.
        halved: which of those formats halve the colours' size, and so need even ones; and what does not.
    """

    container: str
    codec: str
    options: dict[str, str]
    pixels: dict[tuple[int, int], str]
    halved: dict[str, str]

    @property
    def lossless(self) -> bool:
        return self.codec == "ffv1"


# A checksum a slice, so that damage shows; every frame by itself, so that it does not spread.
_FFV1 = ("ffv1", {"level": "3", "slicecrc": "1", "g": "1"})
_FFV1_PIXELS = {(1, 1): "gray", (1, 2): "gray16le", (3, 1): "bgr0", (3, 2): "gbrp16le"}
_H264 = ("libx264", {"crf": "16", "preset": "fast"})
_H264_PIXELS = {(1, 1): "yuv420p", (3, 1): "yuv420p", (1, 2): "yuv420p10le", (3, 2): "yuv420p10le"}
_VP9 = ("libvpx-vp9", {"crf": "16", "b": "0", "row-mt": "1", "cpu-used": "4"})
_WHOLE = {"yuv420p": "yuv444p", "yuv420p10le": "yuv444p10le"}
_ENCODINGS = {
    ".mkv": _Encoding("matroska", *_FFV1, _FFV1_PIXELS, {}),
    ".avi": _Encoding("avi", *_FFV1, _FFV1_PIXELS, {}),
    ".mp4": _Encoding("mp4", *_H264, _H264_PIXELS, _WHOLE),
    ".mov": _Encoding("mov", *_H264, _H264_PIXELS, _WHOLE),
    ".webm": _Encoding("webm", *_VP9, {(1, 1): "yuv420p", (3, 1): "yuv420p"}, {}),
}


@register_writer("video", _SUFFIXES)
class VideoWriter(Writer):
    """A video of the frames' rate, or of their times where those are irregular.

    It plays at 10 frames a second where neither is known, or where frames are dated. A frame of which nothing is
    observed is left out, which readers see as a gap. The sound of the video that the frames are from is copied,
    as far as the frames' times say which part of it they cover. Lossy files keep the source's kind of pixels
    where the codec has it, else halve the colours' size, as viewers expect; grey frames are then read as colour.
    """

    def __init__(self, path: Path, header: Header, target: Path) -> None:
        super().__init__(path, header, target)
        av = require("av", "av")
        self._encoding = _ENCODINGS[suffix_of(target)[0]]
        self.require_values("uint8 uint16" if (3, 2) in self._encoding.pixels else "uint8", (1, 3))
        C, H, W = header.shape
        self._array = _ARRAYS[C, header.dtype.itemsize]
        self._marks, self._time_base = self._clock()
        self._missing = False
        self._sound: Sound | None = None
        options = {"movflags": "+faststart"} if self._encoding.container in ("mp4", "mov") else {}
        with self._encode():
            self._container = av.open(f"file:{path}", "w", format=self._encoding.container, container_options=options)
            self._container.flags |= av.container.Flags.bitexact.value  # no random numbers, no dates
            self._stream = self._container.add_stream(
                self._encoding.codec, rate=self._rate(), options=self._encoding.options
            )
        context = self._stream.codec_context
        context.width, context.height, context.pix_fmt = W, H, self._pixels()
        self._is_yuv = context.pix_fmt.startswith("yuv")
        context.time_base = self._stream.time_base = self._time_base
        context.sample_aspect_ratio = header.meta.get("aspect", Fraction(1))
        context.flags |= av.codec.context.Flags.bitexact.value
        self._tag(context)
        with self._encode():
            self._sound = self._find_sound()

    def _clock(self) -> tuple[np.ndarray | None, Fraction]:
        """When frames are shown, in which unit; None = one a unit."""
        header = self.header
        if header.times is None or is_dated(header):
            return None, 1 / (USUAL_RATE if is_dated(header) else header.rate or USUAL_RATE)
        times = header.times.astype(np.float64) - float(header.times[0])
        unit = header.meta.get("time_base", Fraction(0))
        if header.rate is not None:
            even = np.arange(len(times)) / float(header.rate)
            if np.abs(times - even).max() <= 1.01 * float(unit) + 1e-6:
                return None, 1 / header.rate
        if self._encoding.container == "avi":
            raise OutputError(
                f"frames at irregular times for {self.target}", "a constant rate", "write .mkv, which has times"
            )
        unit = unit or _FINE
        marks = np.rint(times / float(unit)).astype(np.int64)
        if (np.diff(marks) <= 0).any():
            raise OutputError(
                f"frame {int(np.diff(marks).argmin()) + 1} for {self.target}, not after the one before",
                "times that increase",
                "check the times",
            )
        return marks, unit

    def _rate(self) -> Fraction:
        """What the file says its rate is."""
        if self._marks is None or len(self._marks) < 2:
            return 1 / self._time_base
        return ((len(self._marks) - 1) / (int(self._marks[-1]) * self._time_base)).limit_denominator(1001)

    def _pixels(self) -> str:
        """The pixel format: the source's where the codec has it, else the usual one."""
        C, H, W = self.header.shape
        usual = self._encoding.pixels[C, self.header.dtype.itemsize]
        if self._encoding.lossless:
            return usual
        own = self.header.meta.get("pixels", "").replace("yuvj", "yuv")  # j: of the whole range, said elsewhere
        known = {one.name for one in self._stream.codec_context.codec.video_formats or ()}
        fits = own in known and own.endswith("10le") is (self.header.dtype.itemsize == 2)
        if fits and C == 3 and own.startswith("yuv4"):  # not with transparency, yuva
            usual = own
        return self._encoding.halved.get(usual, usual) if H % 2 or W % 2 else usual

    def _tag(self, context: av.video.codeccontext.VideoCodecContext) -> None:
        """Says what the colours are."""
        matrix, full, primaries, curve = self.header.meta.get("colours", (2, 0, 2, 2))
        self._matrix = _MATRICES.get(matrix, 1)
        self._range = 2 if full == 2 else 1
        if primaries not in _UNSAID:
            context.color_primaries = primaries
        if curve not in _UNSAID:
            context.color_trc = curve
        if self._is_yuv:
            context.colorspace = 6 if self._matrix == 5 else self._matrix
            context.color_range = self._range

    def _find_sound(self) -> Sound | None:
        """What is to be copied beside the frames."""
        meta, times = self.header.meta, self.header.times
        if not meta.get("sounds"):
            return None
        if times is None or is_dated(self.header):
            found, meaning = f"the sound of {meta['source']}", f"is not in {self.target}: its frames have no times"
            warnings.warn(FrameForecastWarning(found, meaning, "add it with another program"), stacklevel=5)
            return None
        begin, last = (meta["start"] + float(time) for time in (times[0], times[-1]))
        step = 1 / float(self.header.rate) if self.header.rate else 0.0
        end = math.inf if times[-1] >= meta["last"] else last + step
        before = times[0] <= 0 and self._encoding.container != "avi"  # which has no time before 0
        return Sound(Path(meta["source"]), self._container, begin, bool(before), end, self.target)

    def _write(self, frame: Frame) -> None:
        if not frame.observed.any() and self._marks is None and self.written > 0:
            self._missing = True
            return
        self._missing = False
        values = self.without_holes(frame)
        array = values[0] if len(values) == 1 else np.ascontiguousarray(values.transpose(1, 2, 0))
        av = require("av", "av")
        reformatter = require("av.video.reformatter", "av")
        with self._encode():
            picture = av.VideoFrame.from_ndarray(array.astype(array.dtype.newbyteorder("="), copy=False), self._array)
            colours = {"dst_colorspace": self._matrix, "dst_color_range": self._range} if self._is_yuv else {}
            pixels = self._stream.codec_context.pix_fmt
            picture = picture.reformat(format=pixels, interpolation=reformatter.Interpolation.BICUBIC, **colours)
            mark = self.written if self._marks is None else int(self._marks[self.written])
            picture.pts, picture.time_base = mark, self._time_base
            self._container.mux(self._stream.encode(picture))
            if self._sound is not None:
                self._sound.copy(mark * float(self._time_base))

    def finish(self) -> None:
        if self._missing:
            raise OutputError(
                f"a last frame of which nothing is observed for {self.target}",
                "an observed one: a gap has two ends",
                "fill it first, or write .npz",
            )
        with self._encode():
            self._container.mux(self._stream.encode(None))
            if self._sound is not None:
                self._sound.copy()
            self._container.close()

    def close(self) -> None:
        with self._encode():
            self._container.close()
        if self._sound is not None:
            self._sound.close()

    @contextmanager
    def _encode(self) -> Iterator[None]:
        """Turns what FFmpeg raises into an OutputError, but for the system's errors."""
        av = require("av", "av")
        try:
            yield
        except (av.FFmpegError, av.codec.codec.UnknownCodecError) as error:
            if isinstance(error, OSError):
                raise
            raise OutputError(
                f"{self.target}: {getattr(error, 'strerror', 'no such codec here')} ({self._encoding.codec})",
                "frames that the codec takes",
                "choose another suffix, such as .mkv",
            ) from error

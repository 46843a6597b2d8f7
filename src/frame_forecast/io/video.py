"""Videos as PyAV gives them: which frames a file holds and when, whether it is whole, how it lies."""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

import numpy as np

from frame_forecast.errors import DataError, FrameForecastWarning
from frame_forecast.io.base import require, unreadable
from frame_forecast.io.grid import Grid

if TYPE_CHECKING:
    import av.container
    import av.video.frame
    import av.video.stream

EBML_MAGIC = b"\x1aE\xdf\xa3"
_SEGMENT = b"\x18S\x80g"
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_FOOTER = 8  # of a slice of FFV1 with checksums: its size in 3 bytes, a status, the checksum in 4


@dataclass(frozen=True)
class Index:
    """The frames of a video in the order in which they are shown, from its packets: nothing is decoded for it.

    Args:
        marks: int64 ``(frames,)``, increasing: when each is shown, in units of ``time_base``.
        time_base: in seconds.
        keys: bool ``(frames,)``; True = decoded without any other frame.
        damaged: bool ``(frames,)``; True = its checksum is wrong.
        clock: by which of its times a decoded frame is found among the marks. AVI has ``decoding`` times alone,
            and ``none`` that helps for frames that are stored in another order than they are shown in: those
            are counted as they come.
    """

    marks: np.ndarray
    time_base: Fraction
    keys: np.ndarray
    damaged: np.ndarray
    clock: Literal["presentation", "decoding", "none"]

    @property
    def times(self) -> np.ndarray:
        """Seconds from the first frame, float64 ``(frames,)``."""
        unit = self.time_base
        return (self.marks - self.marks[0]) * unit.numerator / unit.denominator

    def position(self, frame: av.video.frame.VideoFrame, least: int) -> int | None:
        """Which frame a decoded one is; ``least`` if it does not say, None if it is none of these."""
        mark = frame.pts if self.clock == "presentation" else frame.dts
        if self.clock == "none" or mark is None:
            return least
        position = int(np.searchsorted(self.marks, mark))
        return position if position < len(self.marks) and self.marks[position] == mark else None

    def rate(self, grid: Grid | None, known: list[Fraction | None]) -> Fraction | None:
        """Frames a second, where every frame comes as that rate says to a unit of ``time_base``.

        Args:
            grid: the places of the frames with the missing ones among them; None = irregular.
            known: rates that the file declares.
        """
        if grid is None:
            return None
        span = (int(self.marks[-1]) - int(self.marks[0])) * self.time_base
        measured = (grid.positions[-1].item() / span).limit_denominator(1001)
        for rate in (*known, measured):
            if rate and np.abs(grid.positions / float(rate) - self.times).max() <= 1.01 * float(self.time_base):
                return rate
        return None

    def smeared(self, lost: list[int]) -> int:
        """How many frames are decoded from lost ones: those up to the next key frame."""
        keys = np.append(np.flatnonzero(self.keys), len(self.keys))
        touched = np.zeros(len(self.keys), bool)
        for position in lost:
            touched[position : keys[np.searchsorted(keys, position, side="right")]] = True
        touched[lost] = False
        return int(touched.sum())


@contextmanager
def open_video(path: Path) -> Iterator[tuple[av.container.InputContainer, av.video.stream.VideoStream]]:
    """A video's container and its best stream of frames.

    Raises:
        ConfigError: PyAV is not installed.
        DataError: no video, none that can be decoded, or damaged.
    """
    av = require("av", "av")
    try:
        # The prefix keeps a name such as a:b.mp4 from being taken for an address.
        container = av.open(f"file:{path}", "r")
    except av.FFmpegError as error:
        raise unreadable(path, error.strerror or "no video") from error
    with container:
        stream = container.streams.best("video")
        if stream is None:
            raise DataError(f"{path}, in which there is no video", "frames", "check the file")
        if stream.codec_context is None:
            raise DataError(f"{path}, with frames in a codec that is not known", "a usual codec", "convert it")
        yield container, stream


def scan(path: Path) -> Index:
    """Goes through a video's packets.

    A FrameForecastWarning says where two packets share their time (one frame is read of them), and where
    the file ends long before it should.

    Raises:
        DataError: no video, truncated, no frames, or frames without times.
    """
    _check_whole(path)
    found: dict[int, tuple[bool, bool | None]] = {}
    packets = 0
    end = 0.0
    with open_video(path) as (container, stream):
        is_avi = container.format.name == "avi"
        checked = stream.codec_context.name == "ffv1"
        for packet in container.demux():
            mark = packet.dts if packet.pts is None or is_avi else packet.pts
            if mark is None and packet.size == 0:
                continue  # the empty packet with which PyAV ends a stream
            if mark is not None:
                end = max(end, float((mark + (packet.duration or 0)) * packet.time_base))
            if packet.stream_index != stream.index or packet.is_discard:
                continue
            if mark is None:
                raise unreadable(path, "frames without a time")
            packets += 1
            found[mark] = packet.is_keyframe, _has_checksums(bytes(packet)) if checked else None
        if not found:
            raise unreadable(path, "a video without frames")
        _warn_of_loss(path, container, packets - len(found), end)
        order = sorted(found)
        whole = [found[mark][1] for mark in order]
        return Index(
            np.array(order, np.int64),
            stream.time_base or Fraction(1),
            np.array([found[mark][0] for mark in order]),
            # Where no packet's checksums are right, there are none.
            np.array([one is False and True in whole for one in whole]),
            "presentation" if not is_avi else "none" if stream.codec_context.reorder_depth else "decoding",
        )


def decoded(
    container: av.container.InputContainer, stream: av.video.stream.VideoStream, index: Index
) -> Iterator[av.video.frame.VideoFrame]:
    """The frames that can be decoded.

    Raises:
        FFmpegError: one cannot, and which those after it are is not known either.
    """
    av = require("av", "av")
    for packet in container.demux(stream):
        try:
            yield from packet.decode()
        except av.FFmpegError:
            if index.clock == "none":
                raise


def orientation(frame: av.video.frame.VideoFrame) -> tuple[bool, bool, bool] | None:
    """How a frame's pixels are to be laid: rows as columns, then upside down, then mirrored.

    Returns:
        None where they are to be turned by another angle than quarters.
    """
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return False, False, False
    # A pixel at (x, y) is shown at (a x + c y, b x + d y).
    a, b, _, c, d = np.frombuffer(bytes(matrix), np.int32)[:5].tolist()
    if b == c == 0:
        return False, d < 0, a < 0
    return (True, b < 0, c < 0) if a == d == 0 else None


def upright(array: np.ndarray, laid: tuple[bool, bool, bool]) -> np.ndarray:
    """Frames ``(C, H, W)`` as `orientation` says; contiguous."""
    turned, upside_down, mirrored = laid
    array = array.swapaxes(1, 2) if turned else array
    return np.ascontiguousarray(array[:, :: -1 if upside_down else 1, :: -1 if mirrored else 1])


def _warn_of_loss(path: Path, container: av.container.InputContainer, shared: int, end: float) -> None:
    if shared:
        warnings.warn(
            FrameForecastWarning(
                f"{path}: {shared} frames at the time of another", "one of them is read", "check how it was made"
            ),
            stacklevel=3,
        )
    declared = (container.duration or 0) / 1e6
    length = end - (container.start_time or 0) / 1e6
    if length < 0.98 * declared - 0.2:  # what headers say is rounded
        warnings.warn(
            FrameForecastWarning(
                f"{path}: {length:.1f} s of the {declared:.1f} that it should have",
                "frames after that are not known of",
                "fetch the file again",
            ),
            stacklevel=3,
        )


def _has_checksums(packet: bytes) -> bool:
    """Whether every slice of an FFV1 packet ends with its checksum.

    The decoder fills a slice that is damaged from the frame before and does not say so.
    """
    end = len(packet)
    while end > 0:
        size = int.from_bytes(packet[max(0, end - _FOOTER) : end - _FOOTER + 3], "big") + _FOOTER
        if end < _FOOTER or size > end:
            return False
        # Bits run from the high one, and from 0: in zlib's words, reversed and inverted.
        if zlib.crc32(packet[end - size : end].translate(_REVERSED), 0xFFFFFFFF) != 0xFFFFFFFF:
            return False
        end -= size
    return True


def _check_whole(path: Path) -> None:
    """Raises DataError where a file is shorter than its parts say."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(4)
        if head == EBML_MAGIC:
            end = _end_of_ebml(file)
        elif head == b"RIFF":
            end = _end_of_riff(file, size)
        else:
            end = _end_of_boxes(file, size)
    if end > size:
        raise unreadable(path, f"cut off: {size} bytes where {end} are declared")


def _end_of_ebml(file: BinaryIO) -> int:
    """Where a Matroska file's segment ends; 0 where that was not known when it was recorded."""
    file.seek(len(EBML_MAGIC))
    start, length = _read_length(file)
    file.seek(start + (length or 0))
    if (name := file.read(len(_SEGMENT))) != _SEGMENT:
        return file.tell() + (1 if len(name) < len(_SEGMENT) else 0)
    start, length = _read_length(file)
    return 0 if length is None else start + length


def _read_length(file: BinaryIO) -> tuple[int, int | None]:
    """Where an element's content starts and how long it is; None = unknown. Its leading zeros say its own length."""
    first = file.read(1) or b"\1"
    count = 9 - first[0].bit_length()
    value = int.from_bytes(first + file.read(count - 1), "big") & ((1 << 7 * count) - 1)
    return file.tell(), None if value == (1 << 7 * count) - 1 else value


def _end_of_riff(file: BinaryIO, size: int) -> int:
    """Where an AVI's last part of a gigabyte ends; a length of 0 is of a recording that was not closed."""
    end = 0
    while end < size:
        file.seek(end)
        head = file.read(8)
        length = int.from_bytes(head[4:8], "little")
        if head[:4] != b"RIFF" or length == 0:
            break
        end += 8 + length
    return end


def _end_of_boxes(file: BinaryIO, size: int) -> int:
    """Where the last of the boxes of an MP4 or MOV ends."""
    end = 0
    while end < size:
        file.seek(end)
        head = file.read(16)
        length, name = int.from_bytes(head[:4], "big"), head[4:8]
        if len(head) < 8:
            return end + 8
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if length < 8 or not name.isascii():  # up to the end of the file, or no box
            break
        end += length
    return end

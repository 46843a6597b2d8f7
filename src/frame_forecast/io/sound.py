"""The sound of a video, copied beside its new frames without decoding it."""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from frame_forecast.errors import FrameForecastWarning
from frame_forecast.io.base import require

if TYPE_CHECKING:
    import av.container
    import av.packet


class Sound:
    """The audio streams of a file; those that the output's container cannot hold are left out with a warning.

    Args:
        source: the file with the sound.
        output: the container that is written, its stream of frames added; nothing muxed yet.
        begin: where the new frames begin, in seconds on the source's clock.
        before: copy what comes before that too: a little that decoders start with, which players do not sound.
        end: where they end; packets that begin later are left out.
        target: for messages.
    """

    def __init__(
        self, source: Path, output: av.container.OutputContainer, begin: float, before: bool, end: float, target: Path
    ) -> None:
        av = require("av", "av")
        self._begin, self._end = begin, end
        self._output = output
        self._open = contextlib.ExitStack()
        self._waiting: Iterator[av.packet.Packet] = iter(())
        self._next: av.packet.Packet | None = None
        try:
            container = self._open.enter_context(av.open(f"file:{source}", "r"))
        except av.FFmpegError as error:
            _warn(f"the sound of {source}", f"is not in {target}, for that file cannot be read: {error.strerror}")
            return
        self._copies = {}
        for stream in container.streams.audio:
            try:
                self._copies[stream.index] = output.add_stream_from_template(stream)
            except (ValueError, AttributeError):  # AttributeError: of a codec that FFmpeg itself does not know
                codec = stream.codec_context.codec.canonical_name if stream.codec_context else "an unknown codec"
                _warn(f"the sound of {source}, in {codec}", f"is not in {target}: such files cannot hold it")
        if self._copies:
            streams = [container.streams[index] for index in self._copies]
            self._waiting = iter(container.demux(streams))
            self._next = self._following(-math.inf if before else begin)

    def copy(self, until: float = math.inf) -> None:
        """Copies what begins by then, in seconds from the first of the new frames."""
        while self._next is not None and _begin(self._next) <= min(until + self._begin, self._end):
            packet = self._next
            shift = round(self._begin / packet.time_base)
            packet.pts = None if packet.pts is None else packet.pts - shift
            packet.dts = None if packet.dts is None else packet.dts - shift
            packet.stream = self._copies[packet.stream_index]
            self._output.mux(packet)
            self._next = self._following()

    def close(self) -> None:
        """Lets go of the source."""
        self._open.close()

    def _following(self, start: float = -math.inf) -> av.packet.Packet | None:
        """The next packet of sound that does not begin before ``start``."""
        for packet in self._waiting:
            if packet.size and not (packet.pts is None and packet.dts is None) and _begin(packet) >= start:
                return packet
        return None


def _begin(packet: av.packet.Packet) -> float:
    mark = packet.dts if packet.dts is not None else packet.pts
    return float((mark or 0) * packet.time_base)


def _warn(found: str, meaning: str) -> None:
    warnings.warn(FrameForecastWarning(found, meaning, "write .mkv, or add it with another program"), stacklevel=4)

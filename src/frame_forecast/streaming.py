"""Models on streams of frames of any length, in memory that does not grow with it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from frame_forecast.call import Cancel, Progress
from frame_forecast.clip import Clip
from frame_forecast.errors import DataError
from frame_forecast.header import Header
from frame_forecast.io.base import Frame
from frame_forecast.io.streams import scale_of_range
from frame_forecast.predict import Forecaster
from frame_forecast.scale import ValueScale
from frame_forecast.times import next_times
from frame_forecast.windows import Missing, Window, around, cut, interleave


@dataclass(frozen=True)
class Made:
    """A frame of the answer.

    Args:
        frame: in the source's units and dtype.
        made: bool ``(1, H, W)``, the pixels that a model made; the others are the source's, bit for bit, or
            still missing.
    """

    frame: Frame
    made: np.ndarray


@dataclass(frozen=True)
class Survey:
    """What a first look at a stream tells.

    Args:
        frames: how many there are.
        scale: takes their values to [0, 1].
        never: bool ``(1, H, W)``, pixels of which the source has no value in any frame, such as those out of
            a radar's reach: they stay missing.
        unseen: how many other pixels nothing shows of in any frame: methods that look in other frames find nothing.
        windows: around what is missing.
        seen: int64 ``(frames,)``, how many pixels of each frame are observed.
        source: where the frames came from, for messages.
    """

    frames: int
    scale: ValueScale
    never: np.ndarray
    unseen: int
    windows: list[Window]
    seen: np.ndarray
    source: str

    @property
    def incomplete(self) -> int:
        """How many frames lack something that can be made."""
        return sum(len(window.kept) for window in self.windows)


def survey(frames: Iterable[tuple[Frame, Frame]], header: Header, longest: int, source: str = "frames") -> Survey:
    """Goes through a stream once.

    Args:
        frames: each as the source has it, and less what is to be treated as missing.
        header: of the stream.
        longest: frames of a window.
        source: where the frames came from, for messages.

    Raises:
        DataError: nothing is left to see, or whatever reading the frames raises.
    """
    missing = Missing(longest)
    never = np.ones((1, header.height, header.width), dtype=bool)
    unseen = never.copy()
    low, high = np.inf, -np.inf
    seen: list[int] = []
    for whole, frame in frames:
        seen.append(int(np.count_nonzero(frame.observed)))
        missing.add(frame.observed)
        never &= ~whole.observed
        unseen &= ~frame.observed
        if header.scale is None and seen[-1]:
            known = frame.values[:, frame.observed[0]]
            low, high = min(low, float(known.min())), max(high, float(known.max()))
    first, last = missing.spans(never)
    windows = around(first, last, longest)
    if missing.nothing_seen:
        raise DataError(f"{source}, of which nothing is left to see", "observed pixels", "hide less of it")
    return Survey(
        len(seen),
        header.scale or scale_of_range(low, high, header.dtype),
        never,
        int((unseen & ~never).sum()),
        windows,
        np.array(seen),
        source,
    )


def recreate(frames: Iterable[Frame], found: Survey, forecaster: Forecaster) -> Iterator[Made]:
    """The stream with what is missing filled in; the model runs where something is, and nowhere else.

    Args:
        frames: the stream, less what is to be treated as missing.
        found: by `survey` in these very frames.
        forecaster: of a model that recreates.

    Yields:
        Each frame, in order.

    Raises:
        ShapeError, TaskError: the model does not take such frames, or does not recreate.
    """

    def fill(canvas: Clip, window: Window) -> list[Made]:
        made = forecaster.canvas("recreate", canvas)
        kept = [t - window.frames.start for t in window.kept]
        filled = canvas.scale.from_unit(made[kept], canvas.values.dtype)
        answers = []
        for values, k in zip(filled, kept, strict=True):
            new = ~canvas.observed[k] & ~found.never
            np.copyto(values, canvas.values[k], where=~new)
            answers.append(Made(Frame(values, canvas.observed[k] | new), new))
        return answers

    return _in_windows(frames, found.windows, found, fill)


def reconstruct(frames: Iterable[Frame], found: Survey, forecaster: Forecaster) -> Iterator[Made]:
    """Each frame as the model understands it (see `Forecaster.reconstruct`).

    Arguments, what is yielded and errors are those of `recreate`; everything is made but what the source never has.
    A model that does not recreate gets as many frames at once as it was trained to be given, not the whole stream.
    """
    recreates = "recreate" in forecaster.model.tasks
    length = forecaster.longest if recreates else forecaster.contract.context
    windows = [one for window in cut(found.frames, length) for one in interleave(window, forecaster.model.passes)]

    def predict(canvas: Clip, window: Window) -> list[Made]:
        hidden = [t - window.frames.start for t in window.hidden]
        observed = canvas.observed.copy()
        observed[hidden] = False
        made = forecaster.canvas("reconstruct", replace(canvas, observed=observed))
        kept = [t - window.frames.start for t in window.kept]
        answers = []
        for values, k in zip(canvas.scale.from_unit(made[kept], canvas.values.dtype), kept, strict=True):
            np.copyto(values, canvas.values[k], where=found.never)
            answers.append(Made(Frame(values, ~found.never), ~found.never))
        return answers

    return _in_windows(frames, windows, found, predict)


def context_of(forecaster: Forecaster, horizon: int) -> int:
    """How many of the last frames `forecast` gives a model."""
    return forecaster.context(horizon) or forecaster.contract.context


def forecast(
    frames: Iterable[Frame],
    header: Header,
    found: Survey,
    forecaster: Forecaster,
    horizon: int,
    *,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Iterator[Made]:
    """The frames after the stream.

    Args:
        frames: the stream, less what is to be treated as missing; its last frames are held in memory, as many as
            the model looks at.
        header: of the stream, for the times.
        found: by `survey` in these very frames.
        forecaster: of a model that forecasts.
        horizon: frames to forecast.
        progress, cancel: as for `Forecaster.forecast`.

    Yields:
        ``horizon`` frames, in order, with times if the stream has any; made but for what the source never has.

    Raises:
        Cancelled: ``cancel`` said so.
        ShapeError, TaskError: the model does not take such frames, or does not forecast.
    """
    last: deque[Frame] = deque(frames, maxlen=context_of(forecaster, horizon))
    made = forecaster.forecast(_clip(list(last), found), horizon, progress=progress, cancel=cancel)
    times = next_times([] if header.times is None else header.times, header.rate, horizon)
    for values, time in zip(made.values, times, strict=True):
        np.copyto(values, last[-1].values, where=found.never)
        yield Made(Frame(values, ~found.never, time), ~found.never)


def _in_windows(
    frames: Iterable[Frame],
    windows: list[Window],
    found: Survey,
    predict: Callable[[Clip, Window], list[Made]],
) -> Iterator[Made]:
    """Each frame of a stream: from the window that keeps it, or as it is.

    Args:
        frames: the stream.
        windows: that keep a frame once at most.
        found: in the stream.
        predict: the kept frames of a window, given its canvas.
    """
    waiting = deque(sorted(windows, key=lambda window: window.frames.stop))
    kept = {t for window in windows for t in window.kept}
    # Frames from there on are needed by the windows that wait.
    starts = deque(np.minimum.accumulate([w.frames.start for w in reversed(waiting)])[::-1].tolist() if waiting else [])
    buffer: deque[Frame] = deque()
    answers: dict[int, Made] = {}
    first = 0  # number of the buffer's first frame
    for t, frame in enumerate(frames):
        buffer.append(frame)
        while waiting and waiting[0].frames.stop == t + 1:
            window = waiting.popleft()
            starts.popleft()
            canvas = _clip([buffer[s - first] for s in window.frames], found)
            for s, answer in zip(window.kept, predict(canvas, window), strict=True):
                time = buffer[s - first].time
                answers[s] = replace(answer, frame=replace(answer.frame, time=time))
        while buffer and first < (starts[0] if starts else t + 1) and (first not in kept or first in answers):
            old = buffer.popleft()
            yield answers.pop(first) if first in kept else Made(old, np.zeros_like(old.observed))
            first += 1


def _clip(frames: list[Frame], found: Survey) -> Clip:
    values = np.stack([frame.values for frame in frames]).astype(frames[0].values.dtype, copy=False)
    return Clip(values, np.stack([frame.observed for frame in frames]), found.scale, source=found.source)

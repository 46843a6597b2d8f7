"""People's own files through a model: `process`."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from frame_forecast import streaming
from frame_forecast.anomalies import Scores
from frame_forecast.choose import Candidates, Choice, choose
from frame_forecast.devices import BYTES_A_PIXEL, check_memory
from frame_forecast.errors import DataError, FrameForecastWarning, same_warning_once
from frame_forecast.files import replacing
from frame_forecast.findings import examine
from frame_forecast.header import Header
from frame_forecast.io.base import Frame
from frame_forecast.io.grid import Grid
from frame_forecast.io.masks import Mask
from frame_forecast.io.series import renumbered
from frame_forecast.io.sidecar import SidecarWriter, sidecar_of
from frame_forecast.io.streams import Stream, check_output, open_reader, open_writer
from frame_forecast.own_request import Request, check_places, recipe, state_of
from frame_forecast.predict import Forecaster
from frame_forecast.progress import bar
from frame_forecast.ranges import format_ranges, frame_ranges
from frame_forecast.times import next_times

_Pairs = Callable[[], Iterator[tuple[Frame, Frame]]]
"""Each frame, and the same less what is to be treated as missing, from the start."""


def process(
    source: str | Sequence[str],
    target: Path | None,
    request: Request,
    forecaster: Forecaster | Candidates,
    *,
    force: bool = False,
    console: Console,
) -> str:
    """Reads frames, forecasts, recreates or reconstructs, and writes a file of the kind that the target's suffix says.

    The target, its sidecar and the scores appear when they are complete, or not at all.

    Args:
        source: a file, folder, glob or list of files.
        target: the file, or the folder, to write; None = the request's scores alone.
        request: what to do.
        forecaster: what does it, or what to choose from.
        force: replace what is there.
        console: for the progress bar.

    Returns:
        A line on what was made.

    Raises:
        FrameForecastError: whatever reading, the model or writing raises; nothing missing to recreate; or a mask
            that does not fit.
    """
    forecaster.check_task(request.task)
    check_places(source, target, request, force)
    with same_warning_once(), open_reader(source, request.layout, request.variable) as stream:
        _check_horizon(stream.header, request)
        if target is not None:
            check_output(target, _header_made(stream.header, request), force)
        work = _prepare(stream, request, forecaster.longest, console)
        method = _settle(forecaster, work, request, console)
        if method.forecaster.longest != forecaster.longest:
            work = replace(work, found=_look(work.stream, work.hidden, method.forecaster.longest, console))
        if request.task == "recreate":
            _warn_of_unseen(work.found, method.forecaster)
        facts = {
            "source": stream.name,
            "target": target and target.name,
            "title": method.title,
            **recipe(request, forecaster),
            "inputs": state_of(source, request),
            **work.notes,
            **({} if method.choice is None else {"choice": method.choice.facts()}),
            "scale": asdict(work.found.scale),
            "units": stream.header.units,
        }
        count, flagged = _write(work, method, request, target, facts, force, console)
    return "; ".join(
        [
            f"{count} by {method.title}",
            *([] if method.choice is None else [str(method.choice)]),
            *([] if request.score is None else [f"{flagged} flagged in {request.score}"]),
        ]
    )


@dataclass(frozen=True)
class _Work:
    """A stream, read through.

    Args:
        stream: with what time gaps have lost inserted.
        hidden: its frames, whole and less what is to be treated as missing.
        found: what is missing of them.
        notes: what a sidecar says of what is to be treated as missing.
    """

    stream: Stream
    hidden: _Pairs
    found: streaming.Survey
    notes: dict[str, Any]


@dataclass(frozen=True)
class _Method:
    """What makes the frames.

    Args:
        forecaster, title: it, and what it is called.
        choice: how it was chosen; None = by the user.
    """

    forecaster: Forecaster
    title: str
    choice: Choice | None = None


def _prepare(stream: Stream, request: Request, longest: int, console: Console) -> _Work:
    """What there is to do, for a method that takes ``longest`` frames at once.

    Raises:
        NothingMissing: nothing to recreate.
        FrameForecastError: whatever reading or the mask raises, or a gap that memory cannot hold.
    """
    stream, hidden, notes = _hidden(stream, request, console)
    found = _look(stream, hidden, longest, console)
    if request.task == "recreate":
        if not found.incomplete:
            raise NothingMissing(
                f"{stream.name}, of which nothing is missing",
                "frames or pixels to fill",
                "say which with --missing, --mask or --detect",
            )
        _check_gaps(stream.header, found)
    return _Work(stream, hidden, found, notes)


def _settle(forecaster: Forecaster | Candidates, work: _Work, request: Request, console: Console) -> _Method:
    """The method that was named, or the best of several."""
    if not isinstance(forecaster, Candidates):
        return _Method(forecaster, forecaster.title)
    with bar(console, "choosing") as progress:
        choice = choose(
            lambda: (frame for _, frame in work.hidden()),
            work.stream.header,
            work.found,
            request.task,
            request.horizon,
            forecaster,
            progress=progress,
        )
    for note in choice.notes:
        console.print(note, markup=False)
    return _Method(choice.best, choice.name, choice)


def _warn_of_unseen(found: streaming.Survey, forecaster: Forecaster) -> None:
    if found.unseen and forecaster.weights_sha256 is None:
        warnings.warn(
            FrameForecastWarning(
                f"{found.unseen} pixels that no frame shows",
                f"{forecaster.name} looks in other frames alone, so they become the lowest value",
                "use trained weights with --model, which look around them, too",
            ),
            stacklevel=3,
        )


def _write(
    work: _Work,
    method: _Method,
    request: Request,
    target: Path | None,
    facts: dict[str, Any],
    force: bool,
    console: Console,
) -> tuple[_Count, int]:
    """Makes the frames, and writes the target, its sidecar and the scores.

    Returns:
        How much was made, and how many frames the scores flag.
    """
    found, forecaster = work.found, method.forecaster
    header = replace(work.stream.header, frames=found.frames, scale=found.scale)
    shown = (frame for _, frame in work.hidden())
    scores = None if request.score is None else Scores(found.scale)
    if scores is not None:
        shown = scores.watch(shown)
    if request.task == "forecast":
        answers = streaming.forecast(shown, header, found, forecaster, request.horizon)
    else:
        run = streaming.recreate if request.task == "recreate" else streaming.reconstruct
        answers = run(shown, found, forecaster)
    header = _header_made(header, request)
    count = _Count(int(np.count_nonzero(~found.never)))
    with ExitStack() as stack:
        # Left in the opposite order: the scores and the sidecar appear after the target, which may fail until its end.
        if scores is not None and request.score is not None:
            stack.enter_context(scores.into(Path(request.score)))
        output = None if target is None else stack.enter_context(_output(target, header, facts, force))
        progress = stack.enter_context(bar(console, f"{request.task} with {method.title}"))
        for answer in _watched(answers, progress, header.frames):
            if output is not None:
                output(answer)
            if scores is not None:
                scores.add(answer.frame.values, answer.made)
            count.add(answer.made)
    return count, 0 if scores is None else scores.flagged


@contextmanager
def _output(
    target: Path, header: Header, facts: dict[str, Any], force: bool
) -> Iterator[Callable[[streaming.Made], None]]:
    """What takes the frames of a target and its sidecar, which appears after the target."""
    with (
        replacing(sidecar_of(target)) as temporary,
        open_writer(target, header, force) as writer,
        temporary.open("w", encoding="utf-8") as file,
    ):
        beside = SidecarWriter(file, facts, header.height, header.width)

        def take(answer: streaming.Made) -> None:
            writer.write(answer.frame)
            beside.add(answer.made)

        yield take
        beside.finish()


class NothingMissing(DataError):
    """Nothing to recreate: an error for one input, nothing to do for one of many."""


def _check_horizon(header: Header, request: Request) -> None:
    """Raises ConfigError for a forecast of more frames than memory can hold."""
    if request.task == "forecast":
        pixels = header.channels * header.height * header.width
        check_memory(BYTES_A_PIXEL * request.horizon * pixels, f"a horizon of {request.horizon}", "lower it")


def _check_gaps(header: Header, found: streaming.Survey) -> None:
    """Raises ConfigError for a gap that takes more frames at once than memory can hold."""
    frames = max(len(window.frames) for window in found.windows)
    what = f"a gap of {header.height}x{header.width} pixels that takes {frames} frames at once"
    pixels = header.channels * header.height * header.width
    check_memory(BYTES_A_PIXEL * frames * pixels, what, "cut the input there")


class _Count:
    """How much was made.

    Args:
        most: pixels of a frame that can be made: all but those of which the source never has a value.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._frames = self._whole = self._some = self._pixels = 0

    def add(self, made: np.ndarray) -> None:
        pixels = int(np.count_nonzero(made))
        self._frames += 1
        self._whole += pixels == self._most
        self._some += 0 < pixels < self._most
        self._pixels += pixels if pixels < self._most else 0

    def __str__(self) -> str:
        parts = [f"{self._whole} of {self._frames} frames made"] if self._whole or not self._some else []
        if self._some:
            parts.append(f"{self._pixels} pixels made in {self._some} of {self._frames} frames")
        return ", ".join(parts)


def _hidden(stream: Stream, request: Request, console: Console) -> tuple[Stream, _Pairs, dict[str, Any]]:
    """The stream with what time gaps have lost inserted; its frames; and what a sidecar says of what is to be treated
    as missing."""
    frames = stream.header.frames
    notes: dict[str, Any] = {}
    numbers: set[int] = set()  # as the stream has them; the sidecar counts those that are inserted, too
    grid: Grid | None = None
    if request.detect:
        with bar(console, "detecting") as progress:
            findings = examine(stream, progress)
        frames, grid = findings.frames, findings.grid
        broken = np.flatnonzero(findings.broken()).tolist()
        numbers |= set(broken)
        notes["detected"] = {
            one.kind: format_ranges(_placed(one.frames, grid)) for one in findings.findings if one.broken
        }
        console.print(f"detected: {format_ranges(broken) or 'no broken frame'}", markup=False)
    if request.missing is not None:
        if frames is None:
            frames = sum(1 for _ in stream)
        numbers |= set(frame_ranges(request.missing, frames))
    inserted: set[int] = set()
    if grid is not None:
        stream = stream.with_gaps(grid)
        numbers, inserted = set(_placed(numbers, grid)), set(range(grid.frames)) - set(grid.positions.tolist())
        notes["detected"]["time gap"] = format_ranges(inserted)
        console.print(f"inserted: {len(inserted)} frames", markup=False)
    mask = None if request.mask is None else Mask(request.mask, stream.header.height, stream.header.width)

    def pairs() -> Iterator[tuple[Frame, Frame]]:
        masks = None if mask is None else iter(mask)
        for number, frame in enumerate(stream):
            observed = frame.observed
            if number in numbers:
                observed = np.zeros_like(observed)
            if masks is not None and number not in inserted:
                seen = next(masks, None)
                if seen is None:
                    given = number - sum(one < number for one in inserted)
                    raise DataError(f"{request.mask} of {given} frames", f"one for each of {stream.name}", "add them")
                observed = observed & seen
            yield frame, replace(frame, observed=observed)
        if masks is not None and mask is not None and not mask.repeats and next(masks, None) is not None:
            raise DataError(f"{request.mask} of more frames", f"one for each of {stream.name}", "cut it")

    return stream, pairs, notes


def _placed(numbers: Iterable[int], grid: Grid | None) -> list[int]:
    """Frames' numbers among all those of a grid."""
    return list(numbers) if grid is None else grid.positions[list(numbers)].tolist()


def _look(stream: Stream, hidden: _Pairs, longest: int, console: Console) -> streaming.Survey:
    with bar(console, "looking") as progress:
        return streaming.survey(_watched(hidden(), progress, stream.header.frames), stream.header, longest, stream.name)


def _header_made(header: Header, request: Request) -> Header:
    """The header of what is made of frames: theirs, or of a forecast that of those after them."""
    if request.task != "forecast":
        return header
    times = None
    if header.times is not None:
        later = next_times(header.times, header.rate, request.horizon)
        times = None if later[0] is None else np.array(later)
    after = replace(header, frames=request.horizon, times=times)
    return after if header.frames is None else renumbered(after, header.frames)  # files are always counted


def _watched(items: Iterable[Any], progress: Callable[[int, int | None], None], total: int | None) -> Iterator[Any]:
    for done, item in enumerate(items, start=1):
        yield item
        progress(done, total)

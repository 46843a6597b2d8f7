"""People's own files through a model: `process`."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from rich.console import Console

from frame_forecast import streaming
from frame_forecast.anomalies import Scores
from frame_forecast.choose import Candidates, Choice, choose
from frame_forecast.devices import BYTES_A_PIXEL, check_memory
from frame_forecast.errors import ConfigError, DataError, FrameForecastWarning, OutputError, same_warning_once
from frame_forecast.files import check_writable, replacing
from frame_forecast.findings import examine
from frame_forecast.header import Header
from frame_forecast.io.base import Frame
from frame_forecast.io.grid import Grid
from frame_forecast.io.masks import Mask
from frame_forecast.io.series import find_files, is_folder, renumbered
from frame_forecast.io.sidecar import SidecarWriter, sidecar_of
from frame_forecast.io.streams import Stream, check_output, open_reader, open_writer
from frame_forecast.predict import Forecaster
from frame_forecast.progress import bar
from frame_forecast.ranges import check_ranges, format_ranges, frame_ranges
from frame_forecast.times import next_times

Task = Literal["forecast", "recreate", "reconstruct"]
_Pairs = Callable[[], Iterator[tuple[Frame, Frame]]]
"""Each frame, and the same less what is to be treated as missing, from the start."""


@dataclass(frozen=True)
class Request:
    """What to do with each input.

    Args:
        task: one of the three.
        horizon: frames to forecast.
        missing: frames to treat as missing, such as ``101-102,200-204``; counted from 0.
        mask: a file that says which pixels are missing: an array, picture or series in which 0 is missing, for
            each frame or one for all; or a sidecar, whose made pixels are missing.
        detect: treat frames as missing that look broken, and insert those that time gaps have lost
            (`findings.examine`).
        layout: axes of arrays.
        variable: name of the frames in files with several arrays.
        score: a CSV file to write, of how far each frame is from what a model reconstructs (`anomalies.Scores`).

    Raises:
        ConfigError: a forecast of no frames, a list of frames that is none, or a score of another task.
    """

    task: Task
    horizon: int = 0
    missing: str | None = None
    mask: str | None = None
    detect: bool = False
    layout: str | None = None
    variable: str | None = None
    score: str | None = None

    def __post_init__(self) -> None:
        if self.task == "forecast" and self.horizon < 1:
            raise ConfigError(f"a horizon of {self.horizon} frames", "1 at least", "say how many frames to forecast")
        if self.missing is not None:
            check_ranges(self.missing)
        if self.score is not None and self.task != "reconstruct":
            raise ConfigError(f"a score of frames to {self.task}", "frames to reconstruct", "leave it out")


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
    if target is not None:
        _check_place(source, target, force)
    if request.score is not None:
        _check_score(source, target, Path(request.score), force)
    elif target is None:
        raise ConfigError("no output", "a file or folder to write", "name one with -o")
    with same_warning_once(), open_reader(source, request.layout, request.variable) as stream:
        _check_horizon(stream.header, request)
        is_forecast = request.task == "forecast"
        if target is not None:
            check_output(target, _continued(stream.header, request.horizon) if is_forecast else stream.header, force)
        stream, hidden, notes = _hidden(stream, request, console)
        found = _look(stream, hidden, forecaster.longest, console)
        if request.task == "recreate" and not found.incomplete:
            raise NothingMissing(
                f"{stream.name}, of which nothing is missing",
                "frames or pixels to fill",
                "say which with --missing, --mask or --detect",
            )
        header = replace(stream.header, frames=found.frames, scale=found.scale)
        if request.task == "recreate":
            _check_gaps(header, found)
        made_by, name, choice = recipe(request, forecaster), forecaster.title, ""
        if isinstance(forecaster, Candidates):
            chosen = _choose(forecaster, stream, hidden, found, request, console)
            notes["choice"] = chosen.facts()
            if chosen.best.longest != forecaster.longest:
                found = _look(stream, hidden, chosen.best.longest, console)
            forecaster, name, choice = chosen.best, chosen.name, f"; {chosen}"
        shown = (frame for _, frame in hidden())
        if request.task == "recreate" and found.unseen and forecaster.weights_sha256 is None:
            warnings.warn(
                FrameForecastWarning(
                    f"{found.unseen} pixels that no frame shows",
                    f"{forecaster.name} looks in other frames alone, so they become the lowest value",
                    "use trained weights with --model, which look around them, too",
                ),
                stacklevel=2,
            )
        scores = None if request.score is None else Scores(found.scale)
        if scores is not None:
            shown = scores.watch(shown)
        if is_forecast:
            answers = streaming.forecast(shown, header, found, forecaster, request.horizon)
            header, total = _continued(header, request.horizon), request.horizon
        else:
            run = streaming.recreate if request.task == "recreate" else streaming.reconstruct
            answers, total = run(shown, found, forecaster), found.frames
        count = _Count(int(np.count_nonzero(~found.never)))
        with ExitStack() as stack:
            # Left in the opposite order: the scores and the sidecar appear after the target, which may fail until its
            # end.
            if scores is not None and request.score is not None:
                stack.enter_context(scores.into(Path(request.score)))
            output = None
            if target is not None:
                facts = {
                    "source": stream.name,
                    "target": target.name,
                    "title": name,
                    **made_by,
                    "inputs": state_of(source, request),
                    **notes,
                    "scale": asdict(found.scale),
                    "units": header.units,
                }
                output = stack.enter_context(_output(target, header, facts, force))
            progress = stack.enter_context(bar(console, f"{request.task} with {name}"))
            for answer in _watched(answers, progress, total):
                if output is not None:
                    output(answer)
                if scores is not None:
                    scores.add(answer.frame.values, answer.made)
                count.add(answer.made)
    flagged = "" if scores is None else f"; {scores.flagged} flagged in {request.score}"
    return f"{count} by {name}{choice}{flagged}"


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


def recipe(request: Request, forecaster: Forecaster | Candidates) -> dict[str, Any]:
    """What an output is made by: what a sidecar says of that. It is known before one of several is chosen."""
    return {
        "task": request.task,
        "model": forecaster.name,
        "weights_sha256": forecaster.weights_sha256,
        **({"candidates": forecaster.identity()} if isinstance(forecaster, Candidates) else {}),
        "request": {key: value for key, value in asdict(request).items() if value and key != "task"},
    }


def state_of(source: str | Sequence[str], request: Request) -> str:
    """SHA-256 of the names, sizes and times of change of the files that an output depends on: it differs after any
    of them was changed."""
    files = [*find_files(source), *(find_files(request.mask) if request.mask is not None else ())]
    known = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return hashlib.sha256(repr(known).encode()).hexdigest()


def _check_place(source: str | Sequence[str], target: Path, force: bool) -> None:
    """Raises OutputError where a target or its sidecar cannot be, whatever its format."""
    if target.name in ("", ".."):
        raise OutputError(f"output {str(target)!r}", "a file or folder with a name", "give it one")
    place = target.resolve()
    if isinstance(source, str) and is_folder(Path(source)) and target.suffix and place.parent == Path(source).resolve():
        raise OutputError(
            f"{target}, in the folder that is read",
            f"another place, such as {place.parent.with_name(target.name)}",
            "choose one: it would be read as a frame the next time",
        )
    if any(place == one or place in one.parents for one in (file.resolve() for file in find_files(source))):
        raise OutputError(f"{target}, which is the input or holds it", "another place", "choose another name")
    sidecar = sidecar_of(target)
    if sidecar.is_dir():
        raise OutputError(f"{sidecar}, a folder", "nothing of that name", "choose another name")
    there = next((one for one in (target, sidecar) if one.exists()), None)
    if there is not None and not force:
        raise OutputError(f"{there}, which is there already", "a new name", "choose another, or use --force")


def _check_score(source: str | Sequence[str], target: Path | None, score: Path, force: bool) -> None:
    """Raises OutputError where a table of scores cannot be."""
    check_writable(score)
    place = score.resolve()
    taken = [*find_files(source), *([Path(source)] if isinstance(source, str) else [])]
    if target is not None:
        taken += [target, sidecar_of(target)]
    if any(one == place or one in place.parents for one in (file.resolve() for file in taken)):
        raise OutputError(f"{score}, in the input or the output", "another place", "choose another name")
    if score.exists() and not force:
        raise OutputError(f"{score}, which is there already", "a new name", "choose another, or use --force")


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


def _choose(
    candidates: Candidates, stream: Stream, hidden: _Pairs, found: streaming.Survey, request: Request, console: Console
) -> Choice:
    with bar(console, "choosing") as progress:
        choice = choose(
            lambda: (frame for _, frame in hidden()),
            stream.header,
            found,
            request.task,
            request.horizon,
            candidates,
            progress=progress,
        )
    for note in choice.notes:
        console.print(note, markup=False)
    return choice


def _continued(header: Header, horizon: int) -> Header:
    """The header of the frames after those of another."""
    times = None
    if header.times is not None:
        later = next_times(header.times, header.rate, horizon)
        times = None if later[0] is None else np.array(later)
    after = replace(header, frames=horizon, times=times)
    return after if header.frames is None else renumbered(after, header.frames)  # files are always counted


def _watched(items: Iterable[Any], progress: Callable[[int, int | None], None], total: int | None) -> Iterator[Any]:
    for done, item in enumerate(items, start=1):
        yield item
        progress(done, total)

"""People's own files through a model: `process`, one file or series, and `process_all`, many."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from rich.console import Console

from frame_forecast import streaming
from frame_forecast.errors import ConfigError, DataError, FrameForecastError, FrameForecastWarning, OutputError
from frame_forecast.files import replacing
from frame_forecast.findings import examine
from frame_forecast.header import Header
from frame_forecast.io.base import Frame
from frame_forecast.io.masks import Mask
from frame_forecast.io.series import find_files, open_file, renumbered
from frame_forecast.io.sidecar import SidecarWriter, sidecar_of
from frame_forecast.io.streams import Stream, check_target, open_reader, open_writer
from frame_forecast.predict import Forecaster
from frame_forecast.progress import bar
from frame_forecast.ranges import format_ranges, frame_ranges
from frame_forecast.times import next_times

Task = Literal["forecast", "recreate", "reconstruct"]


@dataclass(frozen=True)
class Request:
    """What to do with each input.

    Args:
        task: one of the three.
        horizon: frames to forecast.
        missing: frames to treat as missing, such as ``101-102,200-204``; counted from 0.
        mask: a file that says which pixels are missing: an array, picture or series in which 0 is missing, for
            each frame or one for all; or a sidecar, whose made pixels are missing.
        detect: treat frames as missing that look broken (`findings.examine`).
        layout: axes of arrays.
        variable: name of the frames in files with several arrays.
    """

    task: Task
    horizon: int = 0
    missing: str | None = None
    mask: str | None = None
    detect: bool = False
    layout: str | None = None
    variable: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of one input.

    Args:
        source, target: where from and where to.
        status: ``done``, ``skipped`` because it was done before, or ``failed``.
        detail: frames made, or the error.
    """

    source: str
    target: Path
    status: Literal["done", "skipped", "failed"]
    detail: str


def process(
    source: str | Sequence[str],
    target: Path,
    request: Request,
    forecaster: Forecaster,
    *,
    force: bool = False,
    console: Console,
) -> str:
    """Reads frames, forecasts, recreates or reconstructs, and writes a file of the kind that the target's suffix says.

    The target and its sidecar appear when they are complete, or not at all.

    Args:
        source: a file, folder, glob or list of files.
        target: the file, or the folder, to write.
        request: what to do.
        forecaster: what does it.
        force: replace what is there.
        console: for the progress bar.

    Returns:
        A line on what was made.

    Raises:
        FrameForecastError: whatever reading, the model or writing raises; nothing missing to recreate; or a mask
            that does not fit.
    """
    sidecar = sidecar_of(target)
    if sidecar.exists() and not force:
        raise OutputError(f"{sidecar}, which is there already", "a new name", "choose another, or use --force")
    with open_reader(source, request.layout, request.variable) as stream:
        check_target(target, stream.header, force)
        hidden, notes = _hidden(stream, request, console)
        with bar(console, "looking") as progress:
            pairs = _watched(hidden(), progress, stream.header.frames)
            found = streaming.survey(pairs, stream.header, forecaster.longest)
        shown = (frame for _, frame in hidden())
        if request.task == "recreate" and not found.incomplete:
            raise DataError(
                f"{stream.name}, of which nothing is missing",
                "frames or pixels to fill",
                "say which with --missing, --mask or --detect",
            )
        header = replace(stream.header, frames=found.frames, scale=found.scale)
        if request.task == "forecast":
            answers = streaming.forecast(shown, header, found.scale, forecaster, request.horizon)
            header, total = _continued(header, request.horizon), request.horizon
        else:
            run = streaming.recreate if request.task == "recreate" else streaming.reconstruct
            answers, total = run(shown, found, forecaster), found.frames
        facts = {
            "source": stream.name,
            "target": target.name,
            "task": request.task,
            "model": forecaster.name,
            "weights_sha256": forecaster.weights_sha256,
            "request": {key: value for key, value in asdict(request).items() if value} | notes,
            "scale": asdict(found.scale),
            "units": header.units,
        }
        with ExitStack() as stack:
            stack.enter_context(_same_warning_once())
            writer = stack.enter_context(open_writer(target, header, force))
            temporary = stack.enter_context(replacing(sidecar))
            file = stack.enter_context(temporary.open("w", encoding="utf-8"))
            progress = stack.enter_context(bar(console, f"{request.task} with {forecaster.name}"))
            beside = SidecarWriter(file, facts, header.height, header.width)
            count = _Count()
            for answer in _watched(answers, progress, total):
                writer.write(answer.frame)
                beside.add(answer.made)
                count.add(answer.made)
            beside.finish()
    return f"{count} by {forecaster.name}"


def process_all(
    sources: Sequence[str],
    target: Path,
    request: Request,
    forecaster: Forecaster,
    *,
    suffix: str | None = None,
    shard: str | None = None,
    force: bool = False,
    console: Console,
) -> list[Outcome]:
    """`process` of each input; one series or file to ``target``, many into the folder ``target``.

    A glob or list of files with a frame each is one series, of files with several frames many inputs. Those whose
    output and sidecar are there are skipped, unless forced; a bad one does not keep the others from being done.

    Args:
        sources: files, folders or globs.
        target: a file for one input, a folder for many or for a series of pictures.
        request, forecaster, force, console: as for `process`.
        suffix: of the files in the folder; None = the input's.
        shard: ``2/8`` does the second of eight equal shares of the inputs.

    Returns:
        What became of each. A single input that fails raises its error instead.

    Raises:
        FrameForecastError: as `process` for a single input; a shard or list of inputs that cannot be.
    """
    inputs = _inputs(sources)
    if inputs is None:
        if shard is not None or suffix is not None:
            option = "--shard" if shard is not None else "--suffix"
            raise ConfigError(f"{option} with one input", "many", f"leave {option} out")
        source = sources[0] if len(sources) == 1 else list(sources)
        detail = process(source, target, request, forecaster, force=force, console=console)
        return [Outcome(str(source), target, "done", detail)]
    if target.is_file() or (target.suffix and not target.is_dir()):
        raise OutputError(f"{target} for {len(inputs)} inputs", "a folder", "give a name without a suffix")
    outcomes = []
    for path, name in _share(_named(inputs, suffix), shard):
        own = target / name
        if not force and own.exists() and sidecar_of(own).exists():
            outcomes.append(Outcome(str(path), own, "skipped", "done before"))
            continue
        try:
            detail = process(str(path), own, request, forecaster, force=force, console=console)
            outcomes.append(Outcome(str(path), own, "done", detail))
        except FrameForecastError as error:
            outcomes.append(Outcome(str(path), own, "failed", str(error)))
    return outcomes


class _Count:
    """How much was made."""

    def __init__(self) -> None:
        self._frames = self._whole = self._some = self._pixels = 0

    def add(self, made: np.ndarray) -> None:
        pixels = int(np.count_nonzero(made))
        self._frames += 1
        self._whole += pixels == made.size
        self._some += 0 < pixels < made.size
        self._pixels += pixels if pixels < made.size else 0

    def __str__(self) -> str:
        parts = [f"{self._whole} of {self._frames} frames made"] if self._whole or not self._some else []
        if self._some:
            parts.append(f"{self._pixels} pixels made in {self._some} of {self._frames} frames")
        return ", ".join(parts)


def _hidden(
    stream: Stream, request: Request, console: Console
) -> tuple[Callable[[], Iterator[tuple[Frame, Frame]]], dict[str, Any]]:
    """Each frame, and the same less what is to be treated as missing, as often as it is called; and what a sidecar
    says of that."""
    frames = stream.header.frames
    notes: dict[str, Any] = {}
    numbers: set[int] = set()
    if request.detect:
        with bar(console, "detecting") as progress:
            findings = examine(stream, progress)
        frames = findings.frames
        broken = np.flatnonzero(findings.broken()).tolist()
        numbers |= set(broken)
        notes["detected"] = {one.kind: format_ranges(one.frames) for one in findings.findings if one.broken}
        console.print(f"detected: {format_ranges(broken) or 'no broken frame'}", markup=False)
    if request.missing is not None:
        if frames is None:
            frames = sum(1 for _ in stream)
        numbers |= set(frame_ranges(request.missing, frames))
    mask = None if request.mask is None else Mask(request.mask, stream.header.height, stream.header.width)

    def pairs() -> Iterator[tuple[Frame, Frame]]:
        masks = None if mask is None else iter(mask)
        for number, frame in enumerate(stream):
            observed = frame.observed
            if number in numbers:
                observed = np.zeros_like(observed)
            if masks is not None:
                seen = next(masks, None)
                if seen is None:
                    raise DataError(f"{request.mask} of {number} frames", f"one for each of {stream.name}", "add them")
                observed = observed & seen
            yield frame, replace(frame, observed=observed)
        if masks is not None and mask is not None and not mask.repeats and next(masks, None) is not None:
            raise DataError(f"{request.mask} of more frames", f"one for each of {stream.name}", "cut it")

    return pairs, notes


def _continued(header: Header, horizon: int) -> Header:
    """The header of the frames after those of another."""
    frames = header.frames
    assert frames is not None
    times = None
    if header.times is not None:
        later = next_times(list(header.times[-20:]), header.rate, horizon)
        times = None if later[0] is None else np.array(later)
    return renumbered(replace(header, frames=horizon, times=times), frames)


def _inputs(sources: Sequence[str]) -> list[Path] | None:
    """The files, if they are many inputs; None if they are one file or series."""
    files = [file for source in sources for file in find_files(source)]
    if len(files) < 2:
        return None
    for file in files:  # the first that can be read tells
        with contextlib.suppress(FrameForecastError), open_file(file, None) as reader:
            return None if reader.header.frames == 1 else files
    return files


def _named(inputs: list[Path], suffix: str | None) -> list[tuple[Path, str]]:
    """Inputs and the names of their outputs.

    Raises:
        OutputError: two would have the same.
    """
    names = [path.name if suffix is None else f"{path.stem}.{suffix.removeprefix('.')}" for path in inputs]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise OutputError(f"two inputs whose output would be {twice}", "names of their own", "do them one by one")
    return list(zip(inputs, names, strict=True))


def _share(inputs: list[tuple[Path, str]], shard: str | None) -> list[tuple[Path, str]]:
    if shard is None:
        return inputs
    number, _, count = shard.partition("/")
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise ConfigError(f"shard {shard!r}", "one of several, such as 2/8", "write it so")
    return inputs[int(number) - 1 :: int(count)]


def _watched(items: Iterable[Any], progress: Callable[[int, int | None], None], total: int | None) -> Iterator[Any]:
    for done, item in enumerate(items, start=1):
        yield item
        progress(done, total)


@contextlib.contextmanager
def _same_warning_once() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("once", FrameForecastWarning)
        yield

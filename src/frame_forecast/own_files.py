"""Many of people's own files through a model: `process_all`."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console

from frame_forecast.choose import Candidates
from frame_forecast.errors import ConfigError, DataError, FrameForecastError, OutputError
from frame_forecast.files import check_writable
from frame_forecast.io.masks import Mask
from frame_forecast.io.registry import find_writer
from frame_forecast.io.series import find_files, find_places, is_folder, none_readable, open_file
from frame_forecast.io.sidecar import SUFFIX, read_sidecar, sidecar_of
from frame_forecast.own_frames import NothingMissing, process
from frame_forecast.own_request import Request, recipe, state_of
from frame_forecast.predict import Forecaster


@dataclass(frozen=True)
class Outcome:
    """What became of one input.

    Args:
        source, target: where from and where to.
        status: ``done``; ``skipped``, because it was done before or there is nothing to do; or ``failed``.
        detail: frames made, why it was skipped, or the error.
    """

    source: str
    target: Path
    status: Literal["done", "skipped", "failed"]
    detail: str


def process_all(
    sources: Sequence[str],
    target: Path | None,
    request: Request,
    forecaster: Forecaster | Candidates,
    *,
    suffix: str | None = None,
    shard: str | None = None,
    force: bool = False,
    console: Console,
    tell: Callable[[Outcome], None] = lambda _: None,
) -> list[Outcome]:
    """`process` of each input; one series or file to ``target``, many into the folder ``target``.

    A folder, glob or list of files with a frame each is one series, of files with several frames many inputs; so is
    a single one that a glob matches, or that is given with ``suffix`` or ``shard``, unless ``target`` is a file's
    name. Of several folders, or folders among files, each is a series, or many inputs, by itself. One file goes into
    a folder that is there under its own name, unless that folder is an output itself. Those that were done before, by
    the same model in the same way, are skipped, unless forced, as are those of which nothing is missing; a bad one
    does not keep the others from being done.

    Args:
        sources: files, folders or globs.
        target: a file for one input, a folder for many or for a series of pictures; None = the request's scores
            alone.
        request, forecaster, force, console: as for `process`.
        suffix: of the files in the folder; None = the input's.
        shard: ``2/8`` does the second of eight equal shares of the inputs.
        tell: called with each outcome as soon as it is there.

    Returns:
        What became of each. A single input that fails raises its error instead.

    Raises:
        FrameForecastError: as `process` for a single input; what is wrong for all: a task that the model does not
            have, a mask that cannot be read, a folder that cannot be written; or a shard or list of inputs that
            cannot be.
    """
    forecaster.check_task(request.task)
    if request.mask is not None:
        Mask(request.mask)
    places = [place for source in sources for place in find_places(source)]
    if len(places) > 1 and any(map(is_folder, places)):
        inputs = _inputs_among_folders(places, request)
        is_one = False
    else:
        inputs = [file for source in sources for file in find_files(source)]
        # A glob that matches one file is not known to do so by who wrote it.
        found = inputs != [Path(source) for source in sources]
        is_one = target is None or bool(target.suffix) or not (found or suffix is not None or shard is not None)
        if len(inputs) > 1:
            is_one = _is_series(inputs, request)
    if is_one:
        if shard is not None or suffix is not None:
            option = "--shard" if shard is not None else "--suffix"
            raise ConfigError(f"{option} with one input", "many, and a folder for them", f"leave {option} out")
        source, name = (sources[0],) * 2 if len(sources) == 1 else ([*map(str, inputs)], f"{inputs[0]} and others")
        if target is not None and len(inputs) == 1 and is_folder(target) and not _is_output(target.resolve()):
            target = target / inputs[0].name
        detail = process(source, target, request, forecaster, force=force, console=console)
        tell(outcome := Outcome(name, target or Path(request.score or ""), "done", detail))
        return [outcome]
    if target is None or request.score is not None:
        raise ConfigError(f"scores of {len(inputs)} inputs", "one input", "score them one by one")
    if target.is_file() or (target.suffix and not target.is_dir()):
        raise OutputError(f"{target} for {len(inputs)} inputs", "a folder", "give a name without a suffix")
    if any(is_folder(place) and place.resolve() == target.resolve() for place in places):
        raise OutputError(f"{target}, the folder that is read", "another folder", "choose another name")
    if suffix is not None:
        find_writer(target / f"all.{suffix.removeprefix('.')}", "")  # one that no format has is said once
    named = _share(_named(inputs, suffix), shard)
    check_writable(target / SUFFIX)  # none of the names: one may be too long
    outcomes = []
    for path, name in named:
        tell(outcome := _process_one_of_many(path, target / name, request, forecaster, force, console))
        outcomes.append(outcome)
    return outcomes


def _process_one_of_many(
    path: Path, target: Path, request: Request, forecaster: Forecaster | Candidates, force: bool, console: Console
) -> Outcome:
    source = str(path)
    try:
        if not force and _was_done(path, target, request, forecaster):
            return Outcome(source, target, "skipped", "done before")
        detail = process(source, target, request, forecaster, force=force, console=console)
        return Outcome(source, target, "done", detail)
    except NothingMissing:
        return Outcome(source, target, "skipped", "nothing is missing")
    except FrameForecastError as error:
        return Outcome(source, target, "failed", str(error))
    except OSError as error:  # such as a name that is too long
        return Outcome(source, target, "failed", f"{error.filename or path}: {error.strerror or error}")


def _was_done(path: Path, target: Path, request: Request, forecaster: Forecaster | Candidates) -> bool:
    """Whether the target is there and was made of this file, as it is now, in this way; False too if there is no
    target or no sidecar.

    Raises:
        OutputError: it was made of or by another.
        DataError: its sidecar is damaged.
    """
    sidecar = sidecar_of(target)
    if not (target.exists() and sidecar.exists()):
        return False
    said = read_sidecar(sidecar)
    expected = {**recipe(request, forecaster), "inputs": state_of(str(path), request)}
    other = [key for key, value in expected.items() if said.get(key) != value]
    if Path(str(said.get("source"))).resolve() != path.resolve():  # of the same name, in another folder
        other.insert(0, "source")
    if other:
        raise OutputError(
            f"{target}, which is there already, made with other {' and '.join(other)}",
            "a new name",
            "choose another folder, or use --force",
        )
    return True


def _is_output(folder: Path) -> bool:
    return folder.name != "" and sidecar_of(folder).exists()


def _inputs_among_folders(places: list[Path], request: Request) -> list[Path]:
    """Each of several files and folders, but of a folder without a series in it the files.

    Raises:
        DataError: files beside the folders that are a series: what would it be called?
    """
    beside = [place for place in places if not is_folder(place)]
    if _may_be_series(beside, request):
        raise DataError(
            f"folders, and {beside[0]} and others with a frame each beside them",
            "one or the other",
            f"choose the files with a glob, such as '{beside[0].with_name(f'*{beside[0].suffix}')}', or the folders",
        )
    inputs: list[Path] = []
    for place in places:
        files = [place]
        with suppress(DataError):  # said when its turn comes
            files = find_files(place)
        inputs += files if _may_be_series(files, request) is False else [place]
    return inputs


def _may_be_series(files: list[Path], request: Request) -> bool | None:
    """`_is_series` of any number; None where none of several can be read."""
    try:
        return len(files) > 1 and _is_series(files, request)
    except FrameForecastError:
        return None


def _is_series(files: list[Path], request: Request) -> bool:
    """Whether several files have a frame each and so are one input: the first that can be read tells.

    Raises:
        DataError: none can be.
        ConfigError: nor can any for the request's layout or variable or for want of a package.
    """
    refusal: ConfigError | None = None
    damage: list[FrameForecastError] = []
    for file in files:
        try:
            with warnings.catch_warnings(action="ignore"), open_file(file, request.layout, request.variable) as reader:
                return reader.header.frames == 1
        except ConfigError as error:
            refusal = refusal or error
        except FrameForecastError as error:  # said when its turn comes
            damage.append(error)
    raise refusal or none_readable(files, damage[0])


def _named(inputs: list[Path], suffix: str | None) -> list[tuple[Path, str]]:
    """Inputs and the names of their outputs.

    Raises:
        OutputError: two would have the same.
    """
    names = [_output_name(path, suffix) for path in inputs]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise OutputError(f"two inputs whose output would be {twice}", "names of their own", "do them one by one")
    return list(zip(inputs, names, strict=True))


def _output_name(path: Path, suffix: str | None) -> str:
    if is_folder(path):
        name = stem = path.resolve().name  # "." has none, and dots in a folder's name begin no suffix
    else:
        name, stem = path.name, path.stem
    return name if suffix is None else f"{stem}.{suffix.removeprefix('.')}"


def _share(inputs: list[tuple[Path, str]], shard: str | None) -> list[tuple[Path, str]]:
    if shard is None:
        return inputs
    number, _, count = shard.partition("/")
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise ConfigError(f"shard {shard!r}", "one of several, such as 2/8", "write it so")
    return inputs[int(number) - 1 :: int(count)]

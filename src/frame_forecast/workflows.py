"""What strings the parts together: a demo, a run with its rehearsal, a download."""

import dataclasses
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from frame_forecast import predict, reporting, weights
from frame_forecast.data import digits, download, published
from frame_forecast.data.scenes import radar
from frame_forecast.data.sources import usual_config
from frame_forecast.errors import ConfigError, OutputError
from frame_forecast.files import check_writable
from frame_forecast.models import find
from frame_forecast.models.registry import parse_settings
from frame_forecast.models.summary import summarise
from frame_forecast.progress import bar
from frame_forecast.training import recipe, run
from frame_forecast.training.checkpoints import nothing_kept
from frame_forecast.training.config import Budget, TrainConfig
from frame_forecast.training.processes import ONE, Processes, alone, is_first_here, is_main
from frame_forecast.training.settings import RunSettings

_DEMO_CLIPS = 300
# Released weights get fewer clips the larger the model is, so that the demo ends in minutes.
_RELEASED_GMAC = 200
_LEAST_CLIPS, _MOST_CLIPS = 20, 200


def demo(folder: Path | None, *, minutes: float, preset: str, seed: int, device: str, console: Console) -> Path:
    """Trains on Moving MNIST, evaluates every task of the model, writes a report.

    The best released weights for these data stand beside the trained model in the report.

    Args:
        folder: of the run; None = a new one under ``runs/``.
        minutes: of training.
        preset: the model to train.
        seed: of weights and clips.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        console: where progress is shown.

    Returns:
        The report's HTML page.
    """
    started = time.monotonic()
    settings = RunSettings(preset, Budget(seconds=60 * minutes), train=TrainConfig(seed=seed))
    beside = weights.aliases().get(settings.data)
    if beside is None:
        console.print(f"no released weights of {settings.data} in this package: the report has the trained model alone")
    folder = train(settings, folder, device=device, console=console, beside=beside)
    page = reporting.report_run(
        folder,
        clips=_DEMO_CLIPS,
        device=device,
        console=console,
        beside=beside,
        beside_clips=0 if beside is None else _affordable(beside),
    )
    console.print(f"done in {(time.monotonic() - started) / 60:.1f} minutes: {page}")
    return page


def train(
    settings: RunSettings,
    folder: Path | None,
    *,
    device: str,
    console: Console,
    beside: str | None = None,
    processes: Processes = ONE,
) -> Path:
    """Rehearses, then trains; returns the run's folder.

    Args:
        settings: of the run.
        folder: of the run; None = a new one under ``runs/``.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        console: where progress is shown.
        beside: weights that the report will show, too.
        processes: how many train together, this one among them; the first of each machine rehearses.

    Raises:
        OutputError: ``folder`` already holds a run, or cannot be written.
    """
    folder = folder or reporting.new_folder(settings.preset)
    _check_new(folder)
    processes.share(settings.train.batch_size)
    if settings.data == "moving_mnist":
        console.print(f"digits: {_describe(digits.load_digits('train'))}")
    if is_first_here():
        rehearse(settings, device=device, beside=beside)
    console.print(f"rehearsed; training {settings.preset} into {folder}")
    with _how_to_resume(folder, console):
        run.train(settings, folder, device=device, console=console, processes=processes)
    console.print(f"weights: {folder / 'weights'}")
    return folder


def train_recipe(
    path: Path,
    settings: RunSettings,
    folder: Path | None,
    *,
    device: str,
    console: Console,
    processes: Processes = ONE,
) -> Path:
    """`train` with a recipe's settings, after the recipe whose weights it starts from, if it has one.

    Args:
        path: of the recipe.
        settings: what `run_settings` makes of it; the recipe before it is followed as it is.
        folder: of the run; the run before it gets the same name with ``-before`` at the end.
        device, console, processes: as for `train`.
    """
    folder = folder or reporting.new_folder(settings.preset)
    _check_new(folder)
    processes.share(settings.train.batch_size)  # found now, not after the recipe before it
    before = recipe.predecessor(path) if settings.start is None else None
    if before is not None:
        first = folder.with_name(f"{folder.name}-before")
        train_recipe(before, recipe.read_recipe(before), first, device=device, console=console, processes=processes)
        settings = dataclasses.replace(settings, start=str(predict.weights.find_folder(first)))
    return train(settings, folder, device=device, console=console, processes=processes)


def _check_new(folder: Path) -> None:
    """Raises OutputError if a run's folder cannot be written, or holds a run."""
    if not is_main():  # which writes for all, and may have begun
        return
    check_writable(folder / "run.json")
    if (folder / "run.json").exists():
        raise OutputError(
            f"{folder}, which holds a run",
            "a new folder",
            f"choose another, or go on with `train --resume {folder}`",
        )


def resume(folder: Path, *, device: str, console: Console, processes: Processes = ONE) -> None:
    """Goes on with an interrupted run, on any number of processes; one that ended before its first checkpoint starts
    again.

    Raises:
        ConfigError: the folder holds no run.
        DataError: the data are not those that the run was begun on.
        WeightsError: a checkpoint that is damaged, or deleted after the run had ended.
    """
    settings = RunSettings.read(folder)
    restart = nothing_kept(folder)
    if restart:
        console.print(f"{folder} was stopped before its first checkpoint: it starts from the beginning")
    with _how_to_resume(folder, console):
        run.train(settings, folder, resume=not restart, device=device, console=console, processes=processes)
    console.print(f"weights: {folder / 'weights'}")


def rehearse(settings: RunSettings, *, device: str, beside: str | None = None) -> None:
    """Trains, validates, saves, loads, evaluates and reports on one tiny batch.

    Whatever would fail at the end of the run fails here, in its first minute.
    """
    small = dataclasses.replace(settings.train, batch_size=1, validation_clips=1, validations=1, grow_until=0.0)
    with tempfile.TemporaryDirectory() as temporary, alone():
        folder = Path(temporary)
        run.train(dataclasses.replace(settings, budget=Budget(steps=2), train=small), folder, device=device)
        quiet = Console(quiet=True)
        reporting.report_run(folder, clips=1, device=device, console=quiet, beside=beside, beside_clips=1)


def is_recipe(what: str) -> bool:
    """Whether a text names a recipe rather than a preset."""
    return what.endswith(recipe.SUFFIX)


def run_settings(
    what: str,
    assignments: Sequence[str],
    *,
    steps: int | None,
    max_time: str | None,
    data: str | None,
    seed: int | None,
    start: str | None,
) -> RunSettings:
    """The settings of a run.

    Args:
        what: a preset, or the path of a recipe, whose settings the other arguments change.
        assignments: ``KEY=VALUE`` texts, each key of the model, training or clips.
        steps, max_time: the budget, one of the two; a recipe has one.
        data, seed: as for `RunSettings` and `TrainConfig`; None = the recipe's, or the default.
        start: weights to start from, as for `find_folder`.

    Raises:
        ConfigError: an unknown preset or key, or a value of another type.
    """
    if any(assignment.startswith("frames=") for assignment in assignments):
        raise ConfigError("setting 'frames'", "context and horizon, whose sum it is", "set those")
    base = recipe.read_recipe(Path(what)) if is_recipe(what) else None
    if base is None or steps is not None or max_time is not None:
        budget = Budget(steps, None if max_time is None else recipe.seconds(max_time))
        base = RunSettings(what, budget) if base is None else dataclasses.replace(base, budget=budget)
    if data is not None and data != base.data:
        base = dataclasses.replace(base, data=data, frames=usual_config(data))
    model, train, frames = parse_settings(assignments, find(base.preset)[1], base.train, base.frames)
    if seed is not None:
        train["seed"] = seed
    return dataclasses.replace(
        base,
        model=base.model | model,
        train=dataclasses.replace(base.train, **train),
        frames=dataclasses.replace(base.frames, **frames),
        start=None if start is None else str(weights.find_folder(start)),
    )


def describe_data() -> list[str]:
    """What data are found on this machine, a line each."""
    path = published.find_published()
    return [
        f"digits: {_describe(digits.load_digits('train', download=False))}",
        f"radar, for moving_scenes: {radar.find_folder() or f'not found (set {digits.ROOT_VARIABLE})'}",
        f"published test set: {path or 'not found (`frame-forecast data fetch mnist_test_seq`)'}",
        "looked in: " + ", ".join(str(folder) for folder in digits.search_folders()),
    ]


def fetch_data(what: str, folder: Path, *, console: Console) -> list[Path]:
    """Downloads MNIST, the published test set, or both; returns the files."""
    names = ("mnist", "mnist_test_seq") if what == "all" else (what,)
    fetchers: dict[str, Callable[..., list[Path]]] = {
        "mnist": download.fetch_mnist,
        "mnist_test_seq": lambda *a, **k: [download.fetch_published(*a, **k)],
    }
    paths: list[Path] = []
    for name in names:
        if name not in fetchers:
            raise ConfigError(f"{name!r}", "mnist, mnist_test_seq or all", "choose one of these")
        with bar(console, name) as progress:
            paths += fetchers[name](folder, progress=progress)
    return paths


def _describe(found: digits.Digits) -> str:
    """What the digits are, and why they are not MNIST if they are not."""
    return f"{found.description}: {found.note}" if found.note else found.description


def _affordable(name: str) -> int:
    """How many clips to score released weights on."""
    model, _, _ = weights.load(weights.find_folder(name))
    return min(_MOST_CLIPS, max(_LEAST_CLIPS, round(_RELEASED_GMAC / summarise(model).gmac)))


@contextmanager
def _how_to_resume(folder: Path, console: Console) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        if (folder / "run.json").exists():
            console.print(f"stopped; go on with `frame-forecast train --resume {folder}`")
        raise

"""From weights to a report: every task of a model scored and shown, for runs, released weights, or both."""

import dataclasses
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console

from frame_forecast import evaluation, predict, report, weights
from frame_forecast.data.loaders import to_unit
from frame_forecast.data.moving_mnist import MovingMnistConfig
from frame_forecast.data.sources import ClipConfig, ClipSource, data_set_of, open_source, usual_config
from frame_forecast.errors import OutputError
from frame_forecast.files import check_writable
from frame_forecast.masks import Gap, Pattern, RandomFrames
from frame_forecast.models import TASKS, override
from frame_forecast.progress import bar
from frame_forecast.results import Results
from frame_forecast.training.settings import RunSettings
from frame_forecast.training.trainer import log_folders

_SHOWN_CLIPS = 2
_GAP = 5  # frames, or as many as a shorter clip has besides one before and one after
_TITLES = {"moving_mnist": "Moving MNIST"}  # of data sets whose name is not written as it is
_RUNS = Path("runs")


@dataclass(frozen=True)
class _Subject:
    """Weights to report on.

    Args:
        name: in tables and titles.
        forecaster: of the weights.
        source: of the test clips.
        clips: how many of them to score.
    """

    name: str
    forecaster: predict.Forecaster
    source: ClipSource
    clips: int


@dataclass(frozen=True)
class _Case:
    """One row of headings in a report; the fields are those of `evaluation.evaluate`."""

    task: str
    context: int
    horizon: int
    pattern: Pattern | None

    def __str__(self) -> str:
        return self.task if self.pattern is None else f"{self.task} {self.pattern}"


def new_folder(name: str) -> Path:
    """Where something new of that name goes: under ``runs/``, with the time; nothing is made."""
    return _RUNS / f"{time.strftime('%Y%m%d-%H%M%S')}-{name}"


def report_on(name: str, folder: Path | None, *, clips: int, device: str, console: Console) -> Path:
    """Evaluates a run or weights on every task of their model, writes a report, returns its HTML page.

    Args:
        name: a finished run's folder, or weights as for `find_folder`.
        folder: where to write; None = a run's own folder, or a new one under ``runs/``.
        clips: of the test split, how many to score.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        console: where progress is shown.

    Raises:
        ConfigError: a damaged run; more clips than there are.
        WeightsError: there are no weights: none of that name, or the run has not ended.
        OutputError: the folder cannot be written or holds another run, which is found before
            anything is scored.
    """
    if (Path(name) / "run.json").exists():
        return report_run(Path(name), folder, clips=clips, device=device, console=console)
    return report_weights(name, folder, clips=clips, device=device, console=console)


def report_run(
    folder: Path,
    out: Path | None = None,
    *,
    clips: int,
    device: str,
    console: Console,
    beside: str | None = None,
    beside_clips: int = 0,
) -> Path:
    """Reports on a finished run, and on released weights beside it if there are to be any.

    Args:
        folder: of the run.
        out: where to write; None = the run's folder.
        beside: weights as for `find_folder`; None = the run alone.
        beside_clips: how many clips to score them on.
        clips, device, console: as for `report_on`, and so are result and errors.
    """
    settings = RunSettings.read(folder)
    out = out or folder
    _check_free(out, folder)
    config = settings.train
    forecaster = predict.load(folder, device)
    source = _test_clips(settings.data, settings.frames, config.context + config.horizon, config.seed, forecaster)
    subjects = [_Subject(settings.preset, forecaster, source, clips)]
    if beside is not None:
        subjects.append(_weights(beside, settings.data, config.seed, beside_clips, device))
    logs = [path for log in log_folders(folder) if (path := log / "metrics.csv").exists()]
    return _write(out, settings.data, subjects, config.seed, report.TrainingCurves.read(*logs), console)


def report_weights(name: str, folder: Path | None, *, clips: int, device: str, console: Console) -> Path:
    """Reports on weights, without the course of their training; `report_on` says more.

    The clips are those of ``frame-forecast evaluate NAME``.
    """
    subject = _weights(name, None, seed=0, clips=clips, device=device)
    folder = folder or new_folder(subject.name)
    _check_free(folder)
    return _write(folder, data_set_of(subject.source.name), [subject], 0, None, console)


def trained_on(contract: weights.Contract) -> str:
    """The data set that weights were trained on."""
    return data_set_of(contract.data.get("name", ""))


def generator(contract: weights.Contract, data: str) -> ClipConfig:
    """Clips of a data set like those that weights were trained on: made the same way, or of the same size.

    Earlier weights tell no more than the size.
    """
    usual = usual_config(data)
    alike = dataclasses.asdict(usual) if trained_on(contract) == data else {}
    known = {key: contract.data[key] for key in alike if key in contract.data}
    return override(usual, {"size": contract.height} | known)


def _check_free(folder: Path, run_folder: Path | None = None) -> None:
    """Raises OutputError if the folder cannot be written or holds another run than ``run_folder``."""
    check_writable(folder / "report.html")
    if folder != run_folder and (folder / "run.json").exists():
        raise OutputError(f"{folder}, which holds a run with a report of its own", "another folder", "choose another")


def _weights(name: str, data: str | None, seed: int, clips: int, device: str) -> _Subject:
    """Released weights on test clips of a data set; None = of the one that they were trained on."""
    folder = weights.find_folder(name)
    forecaster = predict.load(folder, device)
    contract = forecaster.contract
    data = data or trained_on(contract)
    source = _test_clips(data, generator(contract, data), contract.context + contract.horizon, seed, forecaster)
    return _Subject(weights.tag_of(folder) or forecaster.name, forecaster, source, clips)


def _test_clips(data: str, config: ClipConfig, frames: int, seed: int, forecaster: predict.Forecaster) -> ClipSource:
    """Test clips like those that weights were trained on; the published ones where those are like them."""
    return open_source(
        data,
        "test",
        frames=frames,
        seed=seed,
        device=forecaster.device,
        published=config == MovingMnistConfig(),
        config=config,
    )


def _write(
    folder: Path,
    data: str,
    subjects: list[_Subject],
    seed: int,
    curves: report.TrainingCurves | None,
    console: Console,
) -> Path:
    """Scores, shows and writes; returns the HTML page."""
    results: list[Results] = []
    samples: list[report.Sample] = []
    for subject in subjects:
        for case in _cases(subject.forecaster):
            results.append(_score(subject, case, seed, console))
            samples += _samples(subject, case, results[-1].pattern, seed)
    return report.write_report(
        folder,
        title=f"{' and '.join(subject.name for subject in subjects)} on {_TITLES.get(data, data)}",
        summary=[sentence for subject in subjects for sentence in _summary(subject)],
        results=results,
        samples=samples,
        curves=curves,
    )


def _cases(forecaster: predict.Forecaster) -> Iterator[_Case]:
    """Every task of the model at the lengths it was trained on; holes are made in the whole clip."""
    context, horizon = forecaster.contract.context, forecaster.contract.horizon
    for task in TASKS:
        if task not in forecaster.model.tasks:
            continue
        if task == "recreate":
            length = context + horizon
            yield _Case(task, length, 0, RandomFrames(0.5))
            if length > 2:
                gap = min(_GAP, length - 2)
                yield _Case(task, length, 0, Gap(gap, gap))
        else:
            yield _Case(task, context, horizon if task == "forecast" else 0, None)


def _score(subject: _Subject, case: _Case, seed: int, console: Console) -> Results:
    forecaster = subject.forecaster
    with bar(console, f"evaluating {subject.name}: {case}") as progress:
        return evaluation.evaluate(
            evaluation.with_baselines(subject.name, forecaster.model, case.task),
            subject.source,
            **vars(case),
            clips=subject.clips,
            seed=seed,
            device=forecaster.device,
            weights_sha256=forecaster.contract.weights_sha256,
            progress=progress,
        )


def _samples(subject: _Subject, case: _Case, pattern: str | None, seed: int) -> list[report.Sample]:
    """The first of the clips that were scored, with the same holes, and what the model makes of them."""
    index = np.arange(min(subject.clips, _SHOWN_CLIPS))
    clips = to_unit(subject.source.clips(index)[:, : case.context + case.horizon]).cpu()
    given = clips[:, : case.context]
    observed = None
    if case.task == "forecast":
        made = subject.forecaster.forecast(given, case.horizon)
    elif case.pattern is None:
        made = subject.forecaster.reconstruct(given)
    else:
        B, T, _, H, W = given.shape
        observed = evaluation.holes(case.pattern, index, T, H, W, seed).expand(B, T, 1, H, W)
        made = subject.forecaster.recreate(given, observed)
    return [
        report.Sample(
            task=case.task,
            model=subject.name,
            clip=i,
            context=case.context,
            frames=clips[i].numpy(),
            prediction=made[i].numpy(),
            observed=None if observed is None else observed[i].numpy(),
            pattern=pattern,
        )
        for i in range(len(index))
    ]


def _summary(subject: _Subject) -> list[str]:
    contract = subject.forecaster.contract
    data, training = contract.data.get("name", "data without a name"), contract.training
    effort = "on"
    if {"seconds", "steps", "clips"} <= training.keys():
        effort = f"for {training['seconds']} seconds ({training['steps']} steps) on {training['clips']} clips of"
    return [
        f"{subject.name} was trained {effort} {data}: {contract.context} frames given, {contract.horizon} to forecast.",
        f"It was then tried on {subject.clips} test clips it had never seen ({subject.source.name}), beside simple "
        "baselines.",
    ]

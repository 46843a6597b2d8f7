"""Weights, or a baseline, scored by name on a data set, by one process or several."""

import json
from functools import partial
from pathlib import Path

from rich.console import Console

from frame_forecast import evaluation, reporting, weights
from frame_forecast.data.moving_mnist import MovingMnistConfig
from frame_forecast.data.sources import open_source, usual_config
from frame_forecast.devices import BYTES_A_PIXEL, check_memory, choose_device
from frame_forecast.errors import ConfigError
from frame_forecast.files import check_writable, replacing
from frame_forecast.masks import parse_pattern
from frame_forecast.models import create, presets
from frame_forecast.processes import Processes, launch
from frame_forecast.progress import bar
from frame_forecast.results import Results


def evaluate(
    model: str,
    *,
    task: str,
    clips: int,
    context: int | None,
    horizon: int | None,
    pattern: str | None,
    data: str | None,
    split: str,
    published: bool,
    openstl: bool,
    seed: int,
    device: str,
    devices: int = 1,
    json_file: Path | None,
    console: Console,
) -> Results:
    """Scores weights, or a baseline by its name, beside every baseline.

    Args:
        model: weights as for `find_folder`, a run's folder among them, or a baseline's name.
        task, clips, openstl: as for `evaluation.evaluate`.
        context: frames given; None = 10, or 20 to recreate.
        horizon: frames forecast; None = 10, or 0 for the other tasks, which take none.
        pattern: what is missing, for `parse_pattern`; None but to recreate.
        data: a data set; None = the one that the weights were trained on, or for a baseline ``moving_mnist``.
        split, published, seed: as for `open_source`. Clips are generated with the settings of
            those that the weights were trained on; the published ones count only where they are alike.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        devices: how many of them take turns with the clips, in a process each; the scores do not depend on it.
        json_file: where to write the results; None = nowhere.
        console: whether progress is shown, on stdout.

    Raises:
        OutputError: ``json_file`` cannot be written, which is found before anything is scored.
        ProcessError: one of several processes was killed, or stopped answering.
    """
    if json_file is not None:
        check_writable(json_file)
    work = partial(
        _share,
        model=model,
        task=task,
        clips=clips,
        context=context,
        horizon=horizon,
        pattern=pattern,
        data=data,
        split=split,
        published=published,
        openstl=openstl,
        seed=seed,
        quiet=console.quiet,
    )
    results = launch(work, choose_device(device), devices)
    if json_file is not None:
        with replacing(json_file) as temporary:
            temporary.write_text(json.dumps(results.to_json_dict(), indent=2) + "\n")
    return results


def _share(
    processes: Processes,
    device: str,
    *,
    model: str,
    task: str,
    clips: int,
    context: int | None,
    horizon: int | None,
    pattern: str | None,
    data: str | None,
    split: str,
    published: bool,
    openstl: bool,
    seed: int,
    quiet: bool,
) -> Results:
    """What each process does of `evaluate`."""
    with processes.in_step():
        holes = None if pattern is None else parse_pattern(pattern)
        if context is None:
            context = 20 if task == "recreate" else 10
        if horizon is None:
            horizon = 10 if task == "forecast" else 0
        if model in presets():
            data = data or "moving_mnist"
            network, name, digest, frames = create(model), model, None, usual_config(data)
            if any(True for _ in network.parameters()):
                raise ConfigError(
                    f"{model!r}, which is untrained",
                    "a run or a folder of weights",
                    f"`frame-forecast train {model}` makes one",
                )
        else:
            folder = weights.find_folder(model)
            network, kind, contract = weights.load(folder)
            name = weights.tag_of(folder) or kind
            data = data or reporting.trained_on(contract)
            digest, frames = contract.weights_sha256, reporting.generator(contract, data)
        at_once = min(clips, evaluation.CLIPS_AT_ONCE) * (processes.count if device == "cpu" else 1)
        check_memory(
            BYTES_A_PIXEL * at_once * (context + horizon) * frames.size**2,
            f"clips of {context} + {horizon} frames of {frames.size}x{frames.size}",
            "lower context or horizon",
            device,
        )
        source = open_source(
            data,
            split,
            frames=max(context + horizon, 1),
            seed=seed,
            device=device,
            published=published and frames == MovingMnistConfig(),
            config=frames,
        )
    with bar(Console(quiet=quiet or processes.rank > 0), f"evaluating {task}") as progress:
        return evaluation.evaluate(
            evaluation.with_baselines(name, network, task),
            source,
            task=task,
            context=context,
            horizon=horizon,
            clips=clips,
            pattern=holes,
            seed=seed,
            device=device,
            weights_sha256=digest,
            progress=progress,
            openstl=openstl,
            processes=processes,
        )

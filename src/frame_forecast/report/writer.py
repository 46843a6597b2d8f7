"""Writes a run's report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from frame_forecast.errors import ConfigError
from frame_forecast.files import replacing
from frame_forecast.report.content import Content, Scene, file_stem, title_of
from frame_forecast.report.inputs import Sample, TrainingCurves
from frame_forecast.report.page import page
from frame_forecast.report.pictures import animation, stem, strip
from frame_forecast.report.plots import lead_time_plots, training_plot
from frame_forecast.report.tables import markdown

if TYPE_CHECKING:
    from frame_forecast.results import Results


def write_report(
    folder: Path,
    *,
    title: str,
    summary: list[str],
    results: list[Results],
    samples: list[Sample],
    curves: TrainingCurves | None,
) -> Path:
    """Writes scores, pictures and a page that holds them all.

    ``results.json`` (a list of `Results`), ``report.md``, ``report.html``,
    ``plots/*.svg``, ``strips/*.png`` and ``gifs/*.gif``. A file appears whole or not at all; one
    that is there stays as it was until its successor is complete.

    Args:
        folder: of the run; made if it is not there.
        title: of the page.
        summary: sentences on what was done.
        results: one a model, task and pattern.
        samples: predicted clips, in the order of their pictures.
        curves: the course of training; None for a model that was not trained here.

    Returns:
        The path of ``report.html``.

    Raises:
        ConfigError: two results for one model, task and pattern, or two samples that are the same clip.
        OutputError: the disk is full, read-only or not there.
    """
    _check_distinct("results", [file_stem(result) for result in results])
    _check_distinct("samples", [stem(sample) for sample in samples])
    # Scores first: they took the longest to make.
    records = [result.to_json_dict() for result in results]
    scores = json.dumps(records, indent=2, ensure_ascii=False, allow_nan=False)
    _write(folder / "results.json", f"{scores}\n".encode())
    content = Content(
        title=title,
        summary=summary,
        scenes=_scenes(samples),
        results=results,
        curves=([] if curves is None else [training_plot(curves)])
        + [plot for result in results for plot in lead_time_plots(result)],
    )
    for picture in content.pictures:
        _write(folder / picture.path, picture.data)
    _write(folder / "report.md", markdown(content).encode())
    path = folder / "report.html"
    _write(path, page(content).encode())
    return path


def _scenes(samples: list[Sample]) -> list[Scene]:
    """The samples drawn, those with one title together."""
    scenes: dict[str, Scene] = {}
    for sample in samples:
        heading = title_of(sample)
        scene = scenes.setdefault(heading, Scene(heading, [], []))
        scene.animations.append(animation(sample))
        scene.strips.append(strip(sample))
    return list(scenes.values())


def _check_distinct(kind: str, names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"{kind} with {name} twice", "each once", "write a report for each")


def _write(path: Path, data: bytes) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes(data)

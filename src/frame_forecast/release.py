"""From a run's weights to a folder that can be shipped: half precision, golden output, model card."""

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path

from frame_forecast import weights
from frame_forecast.errors import ConfigError, DataError, OutputError
from frame_forecast.files import replacing
from frame_forecast.models import Model
from frame_forecast.records import read_json
from frame_forecast.report.content import Content
from frame_forecast.report.tables import markdown
from frame_forecast.results import Results


def release(run: str | Path, folder: Path, scores: Sequence[Path] = ()) -> Path:
    """Writes released weights; the folder appears whole and verified, or not at all.

    Args:
        run: a run's folder, or another that `find_folder` finds.
        folder: to write; its name is the tag. Released weights that are there are replaced.
        scores: files of ``evaluate --json`` or ``results.json`` of reports, for the model card; of
            the run's weights, or of the released ones, to which the same run is always rounded.

    Returns:
        ``folder``.

    Raises:
        WeightsError: no weights, damaged ones, or numbers that half precision cannot hold.
        DataError: scores that cannot be read.
        ConfigError: scores of other weights.
        OutputError: something else is at ``folder``, or the disk is full or read-only.
    """
    source = weights.find_folder(run)
    model, name, contract = weights.load(source)
    results = [result for path in scores for result in _read(path)]
    _check_target(folder, source)
    terms = {field.name: getattr(contract, field.name) for field in dataclasses.fields(contract)}
    del terms["weights_sha256"]
    with replacing(folder) as temporary:
        made = weights.save(temporary, model, name, half=True, **terms)
        _check_scores(results, contract.weights_sha256, made.weights_sha256)
        rounded, _, _ = weights.load(temporary)
        weights.write_golden(temporary, rounded)
        card = model_card(folder.name, rounded, name, made, results)
        (temporary / weights.CARD).write_text(card, encoding="utf-8")
        weights.verify(temporary)
    return folder


def model_card(tag: str, model: Model, name: str, contract: weights.Contract, results: list[Results]) -> str:
    """The card of released weights, as Markdown.

    Args:
        tag: under which they are found.
        model: with these weights.
        name: under which it is registered.
        contract: of the weights.
        results: its scores, one for each task or pattern.
    """
    parameters = sum(parameter.numel() for parameter in model.parameters())
    data = contract.data.get("name", "data without a name")
    frames = f"{contract.channels}x{contract.height}x{contract.width}"
    content = Content(
        title=tag,
        summary=[
            f"{name} with {parameters:,} parameters, trained on {data}: {contract.context} frames given and "
            f"{contract.horizon} to forecast, of {frames} (channels, height, width).",
            f"It can {' and '.join(sorted(model.tasks))}.",
            "How good it is on frames of another kind, size or speed is not said here: --model auto and "
            "frame-forecast backtest measure it on them.",
        ],
        scenes=[],
        results=results,
        curves=[],
    )
    facts = {
        "SHA-256 of the tensors": f"{contract.weights_sha256} (half precision)",
        "values": "from {:g} to {:g}, in and out".format(*contract.value_range),
        "model": _settings(dataclasses.asdict(model.config)),
        "data": _settings(contract.data),
        "training": _settings(contract.training),
    } | {f"SHA-256 of the images of the {split} split": digest for split, digest in contract.splits.items()}
    rounding = (
        "Scores under another SHA-256 than this one were measured before rounding to half precision.\n\n"
        if any(result.weights_sha256 != contract.weights_sha256 for result in results)
        else ""
    )
    return (
        f"{markdown(content)}\n## Use\n\n```python\nimport frame_forecast as ff\n\n"
        f'forecaster = ff.load("{tag}")\n```\n\n## Weights\n\n{rounding}'
        + "".join(f"- {key}: {text}\n" for key, text in facts.items() if text)
    )


def _settings(settings: dict[str, object]) -> str:
    return ", ".join(f"{key} = {value}" for key, value in settings.items())


def _read(path: Path) -> list[Results]:
    """The results of one task, or of a report's several."""
    try:
        found = read_json(path)
        records = found if isinstance(found, list) else [found]
        if not all(isinstance(record, dict) for record in records):
            raise ValueError("no results")
        return [Results.from_json_dict(record) for record in records]
    except DataError as error:
        raise DataError(f"{path}: {error.given}", error.expected, error.next_step) from error
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path}: {error}", "what `evaluate --json` or a report writes", "evaluate the weights again"
        ) from error


def _check_target(folder: Path, source: Path) -> None:
    """Refuses to put a release in the place of anything but another release."""
    if folder.resolve() == source.resolve():
        raise OutputError(f"{folder}, which holds the weights to release", "another folder", "choose another")
    if folder.exists() and not (folder / weights.GOLDEN).is_file():
        raise OutputError(f"{folder}, which is there and no release", "a new folder", "choose another")


def _check_scores(results: Iterable[Results], *digests: str) -> None:
    for result in results:
        if result.weights_sha256 not in digests:
            raise ConfigError(
                f"scores of {result.task} of weights with SHA-256 {result.weights_sha256!s:.12}...",
                " or ".join(f"{digest:.12}..." for digest in digests),
                "evaluate the run, or what it is released as",
            )

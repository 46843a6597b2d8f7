"""How well each method fills real files of which a part was taken away, through the command line, as a user would.

A video with a tenth of its frames lost, a folder of radar scans with a fifth of them missing, and a microscopy stack
with a tenth of its pixels lost; what comes back is scored against what was taken away. The files are looked for in
``FRAME_FORECAST_DATA``, in ``video/`` and ``radar/``::

    python benchmarks/real_files.py --out benchmarks/results/real_files.csv
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from common import record, run_command
from frame_forecast.io.base import Frame
from frame_forecast.io.clips import read
from frame_forecast.io.streams import open_reader
from frame_forecast.metrics import FrameScores
from frame_forecast.ranges import format_ranges
from frame_forecast.scale import ValueScale

MODELS = [
    *("black", "mean_frame", "copy_last", "nearest", "linear", "optical_flow"),
    *("masked_lstm_small.moving_mnist", "masked_lstm_small.motion"),
]
CASES = ["calcium_imaging.tif", "mch/20150515", "cockatoo.mp4"]  # those that take minutes last


@dataclass(frozen=True)
class Case:
    """A file, and what is taken away of it.

    Args:
        truth: the whole file or folder.
        source: what the command is given.
        options: of the command, that say what is missing.
        missing: the same for people.
        target: name of what is written: of a kind without loss.
        hidden: bool ``(T, 1, H, W)`` or ``(T, 1, 1, 1)``, what is scored.
    """

    truth: Path
    source: Path
    options: list[str]
    missing: str
    target: str
    hidden: np.ndarray


def make_case(name: str, data: Path, folder: Path) -> Case:
    """One of ``CASES``, with files of its own in ``folder``."""
    rng = np.random.default_rng(0)
    if name == "calcium_imaging.tif":
        path = data / "video" / name
        mask = rng.random((1000, 1, 30, 40)) >= 0.1
        np.save(folder / "mask.npy", mask)
        return Case(path, path, ["--mask", str(folder / "mask.npy")], "10 % of pixels", "whole.tif", ~mask)
    if name == "mch/20150515":
        path = data / "radar" / name
        files = sorted(path.iterdir())
        lost = np.sort(rng.choice(np.arange(1, len(files) - 1), 8, replace=False))  # a series ends with what is there
        scans = folder / "scans"
        scans.mkdir()
        for number, file in enumerate(files):
            if number not in lost:
                shutil.copy(file, scans)
        return Case(path, scans, [], f"scans {format_ranges(lost)}", "whole", _frames(lost, len(files)))
    if name == "cockatoo.mp4":
        path = data / "video" / name
        lost = np.sort(rng.choice(280, 28, replace=False))
        options = ["--missing", format_ranges(lost)]
        return Case(path, path, options, f"frames {format_ranges(lost)}", "whole.mkv", _frames(lost, 280))
    raise typer.BadParameter(f"{name}: expected one of {', '.join(CASES)}")


def _frames(lost: np.ndarray, count: int) -> np.ndarray:
    """bool ``(T, 1, 1, 1)``; True = lost."""
    return np.isin(np.arange(count), lost).reshape(count, 1, 1, 1)


def compare(case: Case, written: Path) -> dict[str, object]:
    """Columns that say how near what was made is to the truth, and whether the rest is still what it was."""
    scores = FrameScores()
    same, left, values = True, 0, 0
    with open_reader(case.truth) as truth, open_reader(written) as answer:
        scale = truth.header.scale or read(case.truth).scale  # of the whole file, not of what the model saw
        for true, made, hidden in zip(truth, answer, case.hidden, strict=True):
            hidden = np.broadcast_to(hidden, true.observed.shape)
            kept, scored = (true.observed & ~hidden)[0], true.observed & hidden
            # Bytes, not values: 0.0 == -0.0, which the Swiss files tell apart.
            same &= true.values[:, kept].tobytes() == made.values[:, kept].tobytes()
            left += int(np.count_nonzero(true.observed & ~made.observed))
            values += int(np.count_nonzero(scored)) * len(true.values)
            if scored.any():
                scores.update(_unit(made, scale), _unit(true, scale), torch.from_numpy(scored)[None, None])
    found = scores.compute()
    return {
        "values_scored": values,
        "psnr": round(found["psnr"].overall, 2),
        "ssim": round(found["ssim"].overall, 4),
        "observed_bit_identical": same,
        "pixels_still_missing": left,
    }


def _unit(frame: Frame, scale: ValueScale) -> torch.Tensor:
    """``(1, 1, C, H, W)`` in [0, 1]."""
    return torch.from_numpy(scale.to_unit(frame.values))[None, None]


def measurements(names: list[str], models: list[str], data: Path) -> Iterator[dict[str, object]]:
    """A row for each file and model."""
    for name in names:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            case = make_case(name, data, folder)
            for model in models:
                written = folder / model / case.target
                cost = run_command(
                    *("recreate", str(case.source), *case.options, "--model", model, "-o", str(written)),
                    *("--device", "cpu"),
                )
                yield {
                    "file": name,
                    "missing": case.missing,
                    "model": model,
                    **compare(case, written),
                    **cost,
                }


def main(
    out: Annotated[Path, typer.Option(help="CSV file to write.")] = Path("benchmarks/results/real_files.csv"),
    file: Annotated[list[str], typer.Option(help="May be given several times.")] = CASES,
    model: Annotated[
        list[str], typer.Option(help="As for `frame-forecast recreate`; may be given several times.")
    ] = MODELS,
) -> None:
    """Measures, prints and writes."""
    data = os.environ.get("FRAME_FORECAST_DATA")
    if data is None:
        raise typer.BadParameter("set FRAME_FORECAST_DATA to the folder that has video/ and radar/")
    record(out, measurements(file, model, Path(data)))


if __name__ == "__main__":
    typer.run(main)

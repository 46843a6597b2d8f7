"""How well each method fills and forecasts real footage that no weights were trained on.

The last quarter of each radar event, which training leaves out, and three recordings that it never sees. Half of the
frames are hidden at random, or gaps of 3 or 5 frames, or the last 12. What comes back is scored against what was
hidden. Frames before the last quarter may be seen, as they would be, but are not scored. The files are looked for in
``FRAME_FORECAST_DATA``, in ``video/`` and ``radar/``::

    python benchmarks/motion.py --out benchmarks/results/motion.csv

With ``--fit 5`` weights are first adapted for five minutes to what comes before the scored frames, and scored beside::

    python benchmarks/motion.py --fit 5 --case fmi --out benchmarks/results/motion_fit.csv
"""

import os
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from rich.console import Console

from common import record
from frame_forecast import predict
from frame_forecast.clip import Clip
from frame_forecast.fit import fit
from frame_forecast.io.clips import read, write
from frame_forecast.metrics import FrameScores

MODELS = ["copy_last", "nearest", "linear", "mean_frame", "optical_flow", "masked_lstm_small.motion"]
RADAR = {
    "mch/20150515": "radar/mch/20150515",
    "mch/20160711": "radar/mch/20160711",
    "fmi": "radar/fmi/pgm/20160928",
    "bom": "radar/bom/prcp-c10/66/2020/10/31",
    "KNMI": "radar/KNMI/2010/08",
}
FOOTAGE = {  # what is used of it: all of it would take hours
    "cockatoo.mp4": range(100, 136),
    "newtonscradle.gif": range(36),
    "calcium_imaging.tif": range(750, 850),
}
CASES = [*RADAR, *FOOTAGE]
TASKS = ["random:0.5", "gap:3", "gap:5", "forecast:12"]
HORIZON, CONTEXT = 12, 12
_LEAST_BETWEEN = 4  # frames between two gaps


@dataclass(frozen=True)
class Question:
    """What is hidden of a clip.

    Args:
        clip: all of it.
        frames: the part that a method gets.
        hidden: frames of the clip, by number; for a forecast those at the part's end.
        scored: those of them whose truth no training has seen.
    """

    clip: Clip
    frames: range
    hidden: list[int]
    scored: list[int]


def questions(task: str, clip: Clip, first: int) -> list[Question]:
    """What is asked of a clip, whose frames from ``first`` on are scored."""
    T = len(clip.values)
    kind, _, amount = task.partition(":")
    if kind == "forecast":
        ends = range(T, first + min(HORIZON, T - first) - 1, -HORIZON)
        return [
            Question(
                clip,
                range(max(0, end - HORIZON - CONTEXT), end),
                [*range(end - HORIZON, end)],
                [*range(max(first, end - HORIZON), end)],
            )
            for end in ends
        ]
    part = range(max(0, first - CONTEXT), T)
    inside = np.arange(max(first, 1), T - 1)  # something is seen after all that is hidden
    if kind == "random":
        hidden = np.random.default_rng(0).permutation(inside)[: round(float(amount) * len(inside))]
        hidden = sorted(hidden.tolist())
    else:
        length = int(amount)
        count = max(1, len(inside) // (length + _LEAST_BETWEEN))
        starts = (inside[0] + (np.arange(count) + 0.5) * len(inside) / count - length / 2).round().astype(int)
        hidden = [int(start) + t for start in starts for t in range(length)]
    return [Question(clip, part, hidden, hidden)]


def answer(question: Question, forecaster: predict.Forecaster, task: str) -> dict[int, np.ndarray]:
    """The scored frames as a method makes them, ``(C, H, W)`` in the clip's units."""
    part = question.clip.part(question.frames.start, question.frames.stop)
    if task.startswith("forecast"):
        given = part.part(0, len(question.frames) - HORIZON)
        made = forecaster.forecast(given, HORIZON).values
        numbers: list[int] = question.hidden
    else:
        observed = part.observed.copy()
        observed[[t - question.frames.start for t in question.hidden]] = False
        made = forecaster.recreate(part, observed).values
        numbers = [*question.frames]
    return {t: values for t, values in zip(numbers, made, strict=True) if t in question.scored}


def psnr(asked: list[Question], forecaster: predict.Forecaster, task: str) -> tuple[float, int]:
    """Mean over the scored frames, in dB of the clip's scale, and how many there are."""
    scores = FrameScores()
    count = 0
    for question in asked:
        clip = question.clip
        for t, values in answer(question, forecaster, task).items():
            made, true = (clip.scale.to_unit(np.nan_to_num(x))[None, None] for x in (values, clip.values[t]))
            scores.update(
                torch.from_numpy(made), torch.from_numpy(true), torch.from_numpy(clip.observed[t].copy())[None, None]
            )
            count += 1
    return scores.compute()["psnr"].overall, count


def cut(name: str, data: Path) -> tuple[Clip, int, Clip]:
    """A clip, its first frame that is scored, and frames of the same recording that are not in what is scored."""
    if name in RADAR:
        clip = read(str(data / RADAR[name]))
        first = len(clip.values) * 3 // 4
        return clip, first, clip.part(0, first)
    used, clip = FOOTAGE[name], read(str(data / "video" / name))
    return clip.part(used.start, used.stop), CONTEXT, clip.part(0, used.start + CONTEXT)


def fitted(before: Clip, base: predict.Forecaster, minutes: float) -> predict.Forecaster:
    """Weights adapted to some frames."""
    with tempfile.TemporaryDirectory() as temporary:
        source, folder = Path(temporary, "before.npz"), Path(temporary, "weights")
        write(before, source)
        fit(str(source), folder, base, minutes, device="cpu", console=Console())
        return predict.load(folder, device="cpu")


def measurements(
    cases: list[str], tasks: list[str], models: list[str], minutes: float | None, data: Path
) -> Iterator[dict[str, object]]:
    """A row for each case, task and model."""
    loaded = {model: predict.load(model, device="cpu") for model in models}
    for name in cases:
        clip, first, before = cut(name, data)
        forecasters = dict(loaded)
        if minutes is not None:
            base = models[-1]
            forecasters[f"{base}, {minutes:g} minutes of fit"] = fitted(before, loaded[base], minutes)
        for task in tasks:
            asked = questions(task, clip, first)
            for model, forecaster in forecasters.items():
                with warnings.catch_warnings(action="ignore"):  # of lengths that were never trained
                    value, frames = psnr(asked, forecaster, task)
                yield {"case": name, "task": task, "frames_scored": frames, "model": model, "psnr": round(value, 2)}


def main(
    out: Annotated[Path, typer.Option(help="CSV file to write.")] = Path("benchmarks/results/motion.csv"),
    case: Annotated[list[str], typer.Option(help="May be given several times.")] = CASES,
    task: Annotated[list[str], typer.Option(help="May be given several times.")] = TASKS,
    model: Annotated[list[str], typer.Option(help="As for `ff.load`; may be given several times.")] = MODELS,
    fit_minutes: Annotated[
        float | None, typer.Option("--fit", help="Minutes for which the last model is fitted, too.")
    ] = None,
) -> None:
    """Measures, prints and writes."""
    data = os.environ.get("FRAME_FORECAST_DATA")
    if data is None:
        raise typer.BadParameter("set FRAME_FORECAST_DATA to the folder that has video/ and radar/")
    record(out, measurements(case, task, model, fit_minutes, Path(data)))


if __name__ == "__main__":
    typer.run(main)

"""Whether ``--model auto`` finds the best method, and how well it foretells the error, in twice 50 cases.

Something is taken away of real and made frames, ``auto`` chooses among the methods without seeing it, and then every
method is scored on what was really taken away. The files are looked for in ``FRAME_FORECAST_DATA``, in ``video/``,
``radar/`` and ``mnist/``::

    python benchmarks/auto.py --out benchmarks/results/auto.csv
    python benchmarks/auto.py --others --out benchmarks/results/auto_others.csv

The second 50 are of other frames of the same files, or of the same ones backwards.
"""

import os
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from common import record
from frame_forecast import choose, streaming
from frame_forecast.clip import Clip
from frame_forecast.data.digits import load_digits
from frame_forecast.data.moving_mnist import MovingMnist, MovingMnistConfig
from frame_forecast.errors import FrameForecastWarning
from frame_forecast.header import Header
from frame_forecast.io.base import Frame
from frame_forecast.io.streams import open_reader
from frame_forecast.metrics import FrameScores
from frame_forecast.predict import Forecaster
from frame_forecast.probes import distances
from frame_forecast.scale import ValueScale

SIDE = 128  # pixels of the part of a frame that is used, at the most
HORIZONS = 6, 12
DIGITS = "masked_lstm_small.moving_mnist"


@dataclass(frozen=True)
class Source:
    """Frames, all of them known.

    Args:
        name: for the table.
        path: below the data folder; None = Moving MNIST.
        first, frames: which of it.
        step: every so many pixels, to make large frames small.
        backwards: the last frame first.
    """

    name: str
    path: str | None
    first: int
    frames: int
    step: int = 1
    backwards: bool = False


SOURCES = [
    Source("cockatoo 0", "video/cockatoo.mp4", 0, 60, 4),
    Source("cockatoo 110", "video/cockatoo.mp4", 110, 50, 2),
    Source("newtonscradle", "video/newtonscradle.gif", 0, 36),
    Source("calcium", "video/calcium_imaging.tif", 300, 120),
    Source("mch 2015", "radar/mch/20150515", 0, 40, 2),
    Source("mch 2016", "radar/mch/20160711", 0, 40, 2),
    Source("fmi", "radar/fmi/pgm/20160928", 0, 40, 3),
    Source("knmi", "radar/KNMI/2010/08", 20, 50, 2),
    Source("bom", "radar/bom/prcp-c10/66/2020/10/31", 0, 60, 2),
    Source("moving mnist", None, 0, 40),
]
OTHERS = [
    Source("cockatoo 180", "video/cockatoo.mp4", 180, 60, 4),
    Source("cockatoo 60", "video/cockatoo.mp4", 60, 50, 2),
    Source("newtonscradle backwards", "video/newtonscradle.gif", 0, 36, backwards=True),
    Source("calcium 600", "video/calcium_imaging.tif", 600, 120),
    Source("mch 2015 backwards", "radar/mch/20150515", 0, 40, 2, backwards=True),
    Source("mch 2016 backwards", "radar/mch/20160711", 0, 40, 2, backwards=True),
    Source("fmi backwards", "radar/fmi/pgm/20160928", 0, 40, 3, backwards=True),
    Source("knmi backwards", "radar/KNMI/2010/08", 20, 50, 2, backwards=True),
    Source("bom 80", "radar/bom/prcp-c10/66/2020/10/31", 80, 60, 2),
    Source("moving mnist 7", None, 7, 40),
]


@cache
def truth(source: Source, data: Path) -> Clip:
    """The middle of the frames."""
    if source.path is None:
        clips = MovingMnist(load_digits("test").images, "test", config=MovingMnistConfig(frames=source.frames))
        return Clip.from_array(clips.clips(np.array([source.first]))[0].numpy(), source=source.name)
    with open_reader(data / source.path) as stream:
        frames = list(islice(stream, source.first, source.first + source.frames))[:: -1 if source.backwards else 1]
    values, observed = (np.stack([getattr(frame, what) for frame in frames]) for what in ("values", "observed"))
    values, observed = (_middle(x[..., :: source.step, :: source.step]) for x in (values, observed))
    scale = stream.header.scale or ValueScale.fit(values, observed)
    return Clip(np.ascontiguousarray(values), np.ascontiguousarray(observed), scale, source=source.name)


def _middle(x: np.ndarray) -> np.ndarray:
    top, left = (max(0, (side - SIDE) // 2) for side in x.shape[-2:])
    return x[..., top : top + SIDE, left : left + SIDE]


@dataclass(frozen=True)
class Case:
    """A clip, and what is taken away of it.

    Args:
        clip: all of it.
        missing: what is taken away, for people.
        hidden: bool ``(T, 1, H, W)`` or ``(T, 1, 1, 1)``.
        horizon: frames to forecast, the hidden ones; 0 = they are to be recreated.
    """

    clip: Clip
    missing: str
    hidden: np.ndarray
    horizon: int = 0


def cases(sources: list[Source], data: Path, seed: int) -> Iterator[Case]:
    """Five of each source: scattered frames, gaps, holes, and two horizons."""
    for number, source in enumerate(sources):
        clip = truth(source, data)
        T, _, H, W = clip.values.shape
        rng = np.random.default_rng(seed + number)
        lost = np.zeros(T, dtype=bool)
        share = (0.1, 0.3, 0.5)[number % 3]
        lost[rng.choice(np.arange(1, T - 1), round(share * T), replace=False)] = True
        yield Case(clip, f"{share:.0%} of frames", lost.reshape(-1, 1, 1, 1))
        length = (3, 5, 8)[number % 3]
        gaps = np.zeros(T, dtype=bool)
        for half in (0, T // 2 - 1):
            start = half + int(rng.integers(1, T // 2 - length))
            gaps[start : start + length] = True
        yield Case(clip, f"two gaps of {length}", gaps.reshape(-1, 1, 1, 1))
        if number % 2:
            share = (0.1, 0.5)[number % 4 // 2]
            yield Case(clip, f"{share:.0%} of pixels", rng.random((T, 1, H, W)) < share)
        else:
            blocks = np.zeros((T, 1, H, W), dtype=bool)
            for start in range(int(rng.integers(2, 6)), T - 6, 8):
                top, left = rng.integers(H - H // 3), rng.integers(W - W // 3)
                blocks[start : start + 4, :, top : top + H // 3, left : left + W // 3] = True
            yield Case(clip, "blocks for 4 frames", blocks)
        for horizon in HORIZONS:
            yield Case(clip, f"the last {horizon}", (np.arange(T) >= T - horizon).reshape(-1, 1, 1, 1), horizon)


def measure(case: Case, candidates: choose.Candidates, seconds: float) -> dict[str, object]:
    """What was chosen and what would have been best."""
    clip = case.clip
    stop = len(clip.values) - case.horizon
    known = clip.observed & ~case.hidden
    header = Header("array", stop, *clip.values.shape[1:], clip.values.dtype, clip.scale)

    def frames(observed: np.ndarray) -> Iterator[Frame]:
        return (Frame(*pair) for pair in zip(clip.values[:stop], observed[:stop], strict=True))

    pairs = zip(frames(clip.observed), frames(known), strict=True)
    found = streaming.survey(pairs, header, candidates.longest)
    task = "forecast" if case.horizon else "recreate"
    began = time.perf_counter()
    choice = choose.choose(lambda: frames(known), header, found, task, case.horizon, candidates, seconds=seconds)
    took = time.perf_counter() - began

    def run(forecaster: Forecaster) -> np.ndarray:
        if case.horizon:
            made = streaming.forecast(frames(known), header, found, forecaster, case.horizon)
            return np.concatenate([clip.values[:stop], [one.frame.values for one in made]])
        return np.stack([one.frame.values for one in streaming.recreate(frames(known), found, forecaster)])

    scored = clip.observed & case.hidden
    made = {one.model: run(candidates.forecasters[one.model]) for one in choice.table}
    true = {name: _psnr(values, clip, scored) for name, values in made.items()}
    best = max(true, key=lambda name: true[name])
    error = np.square(made[choice.name].astype(np.float64) - clip.values).mean(axis=1, keepdims=True)
    rmse = float(np.sqrt(error[scored].mean()))
    away = distances(known)
    off, counts = [], []
    for one in choice.expected:
        those = scored & (away == (one.distance or 0))
        if those.any() and error[those].any():
            off.append(abs(one.rmse / np.sqrt(error[those].mean()) - 1))
            counts.append(np.count_nonzero(those))
    return {
        "source": clip.source,
        "frames": len(clip.values),
        "height": clip.values.shape[2],
        "width": clip.values.shape[3],
        "task": task,
        "missing": case.missing,
        "chosen": choice.name,
        "best": best,
        "lost_db": round(true[best] - true[choice.name], 3),
        "expected_psnr": round(choice.table[0].psnr, 2),
        "true_psnr": round(true[choice.name], 2),
        "expected_rmse": float(f"{choice.rmse:.4g}"),
        "true_rmse": float(f"{rmse:.4g}"),
        "rmse_off": round(abs(choice.rmse / rmse - 1), 3),
        "rmse_off_by_distance": round(float(np.average(off, weights=counts)), 3),
        "probes": choice.probes,
        "frames_hidden": choice.frames,
        "seconds": round(took, 1),
        "hidden_table": "; ".join(f"{one.model} {one.psnr:.2f}" for one in choice.table),
        "true_table": "; ".join(f"{name} {true[name]:.2f}" for name in sorted(true, key=lambda name: -true[name])),
    }


def _psnr(made: np.ndarray, clip: Clip, scored: np.ndarray) -> float:
    """Mean over frames, as `real_files.py` has it."""
    scores = FrameScores()
    for k in np.flatnonzero(scored.any(axis=(1, 2, 3))):
        unit = (torch.from_numpy(clip.scale.to_unit(values[k]))[None, None] for values in (made, clip.values))
        scores.update(*unit, torch.from_numpy(scored[k])[None, None])
    return scores.compute()["psnr"].overall


def summary(rows: list[dict[str, object]]) -> str:
    """The shares of cases in which the best was found, and how far what was expected is off."""
    lost, off, distance_off = (
        np.array([float(str(row[name])) for row in rows]) for name in ("lost_db", "rmse_off", "rmse_off_by_distance")
    )
    found = ", ".join(f"{np.mean(lost <= limit):.0%} within {limit} dB" for limit in (0.0, 0.05, 0.1, 0.3))
    return (
        f"{len(rows)} cases: the best in {found}; {lost.mean():.3f} dB lost on average; expected error off by "
        f"{off.mean():.1%} (median {np.median(off):.1%}), by distance {distance_off.mean():.1%}"
    )


def main(
    out: Annotated[Path, typer.Option(help="CSV file to write.")] = Path("benchmarks/results/auto.csv"),
    seconds: Annotated[float, typer.Option(help="For each choice.")] = choose.SECONDS,
    only: Annotated[str, typer.Option(help="Sources whose name has this.")] = "",
    others: Annotated[bool, typer.Option("--others", help="The second 50 cases.")] = False,
) -> None:
    """Measures, prints and writes."""
    data = os.environ.get("FRAME_FORECAST_DATA")
    if data is None:
        raise typer.BadParameter("set FRAME_FORECAST_DATA to the folder that has video/, radar/ and mnist/")
    warnings.simplefilter("ignore", FrameForecastWarning)
    general = choose.load("auto", device="cpu")
    with_digits = choose.load("auto", [DIGITS], "cpu")
    assert isinstance(general, choose.Candidates)
    assert isinstance(with_digits, choose.Candidates)
    rows = []

    def measured() -> Iterator[dict[str, object]]:
        for case in cases(OTHERS if others else SOURCES, Path(data), 100 if others else 0):
            if only in case.clip.source:
                # Elsewhere these weights are 15 dB behind, and slow.
                candidates = with_digits if case.clip.source.startswith("moving mnist") else general
                rows.append(measure(case, candidates, seconds))
                yield rows[-1]

    record(out, measured())
    typer.echo(summary(rows))


if __name__ == "__main__":
    typer.run(main)

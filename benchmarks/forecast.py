"""How long a forecast takes: one clip of Moving MNIST, 10 frames of 64x64 uint8 given, 10 forecast.

Through `Forecaster`, arrays in and arrays out. The networks are untrained, which is as fast::

    python benchmarks/forecast.py --out benchmarks/results/forecast.csv
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from common import BASELINE, PRESETS, THREADS, places, precisions, record, spread, take_turns
from frame_forecast.data.digits import load_digits
from frame_forecast.data.moving_mnist import MovingMnist
from frame_forecast.models import find
from frame_forecast.predict import Forecaster
from frame_forecast.weights import Contract

CONTEXT, HORIZON, SIZE = 10, 10, 64


def forecaster(preset: str, device: str, precision: str) -> Forecaster:
    """One of untrained weights."""
    entry, config = find(preset)
    contract = Contract("", CONTEXT, HORIZON, channels=1, height=SIZE, width=SIZE)
    return Forecaster(entry.model(config), entry.name, contract, device, precision)


def measurements(threads: list[int], seconds: float) -> Iterator[dict[str, object]]:
    """A row for each device, number of threads, precision and model."""
    clip = MovingMnist(load_digits("test").images, "test").clips(np.arange(1)).numpy()[0, :CONTEXT]
    for device, place in places(threads):
        for precision in precisions(device):
            jobs = {
                preset: partial(forecaster(preset, device, precision).forecast, clip, HORIZON) for preset in PRESETS
            }
            taken = take_turns(jobs, device, seconds)
            for preset, samples in taken.items():
                yield place | {
                    "precision": precision,
                    "model": preset,
                    **spread("milliseconds", 1000 * samples, digits=1),
                    f"ratio_to_{BASELINE}": round(float(np.median(samples) / np.median(taken[BASELINE])), 2),
                    "repeats": len(samples),
                }


def main(
    out: Annotated[Path, typer.Option(help="CSV file to write.")] = Path("benchmarks/results/forecast.csv"),
    threads: Annotated[list[int], typer.Option(min=1, help="CPU threads; may be given several times.")] = THREADS,
    seconds: Annotated[float, typer.Option(min=0, help="For each number of threads and precision.")] = 24,
) -> None:
    """Measures, prints and writes."""
    record(out, measurements(threads, seconds))


if __name__ == "__main__":
    typer.run(main)

"""How long a forecast of one clip takes: 10 frames given, 10 forecast, uint8 64x64 in and out.

::

    python benchmarks/forecast.py --out benchmarks/results/forecast.csv

Weights are random: they do not change the time.
"""

import os
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from common import record
from frame_forecast.models import create
from frame_forecast.predict import Forecaster
from frame_forecast.weights import Contract

MODELS = ("conv_lstm_autoencoder", "lstm_autoencoder", "masked_lstm_small", "masked_lstm")
THREADS = (1, 2)


def milliseconds(forecaster: Forecaster, repeats: int) -> list[float]:
    """The time of each repeat, after three that do not count."""
    clip = np.random.default_rng(0).integers(0, 256, (10, 64, 64), dtype=np.uint8)
    times = []
    for _ in range(repeats + 3):
        began = time.perf_counter()
        forecaster.forecast(clip, horizon=10)  # comes back to the CPU, so a GPU has finished too
        times.append(1000 * (time.perf_counter() - began))
    return times[3:]


def measurements(repeats: int) -> Iterator[dict[str, object]]:
    """A row for each device, number of threads and model; ratios to the first model of the same."""
    contract = Contract(weights_sha256="", context=10, horizon=10, channels=1, height=64, width=64)
    places = [("cpu", threads) for threads in THREADS] + [("cuda", 1)] * torch.cuda.is_available()
    for device, threads in places:
        torch.set_num_threads(threads)
        first = None
        for name in MODELS:
            torch.manual_seed(0)
            load = os.getloadavg()[0]
            times = milliseconds(Forecaster(create(name), name, contract, device), repeats)
            median = statistics.median(times)
            first = first or median
            tenths = statistics.quantiles(times, n=10)
            yield {
                "device": device if device == "cpu" else torch.cuda.get_device_name(),
                "threads": threads,
                "model": name,
                "milliseconds_median": round(median, 1),
                "milliseconds_10th_percentile": round(tenths[0], 1),
                "milliseconds_90th_percentile": round(tenths[-1], 1),
                f"ratio_to_{MODELS[0]}": round(median / first, 2),
                "repeats": repeats,
                "load_average_before": round(load, 1),
            }


def main(
    out: Annotated[Path, typer.Option(help="CSV file to write.")] = Path("benchmarks/results/forecast.csv"),
    repeats: Annotated[int, typer.Option(min=3, help="Repeats of each measurement.")] = 30,
) -> None:
    """Measures, prints and writes."""
    record(measurements(repeats), out)


if __name__ == "__main__":
    typer.run(main)

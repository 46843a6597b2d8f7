"""How fast Moving MNIST is made: clips of 20x64x64 uint8 a second.

::

    python benchmarks/moving_mnist.py --out benchmarks/results/moving_mnist.csv
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
from frame_forecast.data.digits import load_digits
from frame_forecast.data.moving_mnist import MovingMnist

BATCH_SIZES = (8, 64, 256)
THREADS = (1, 2)
CLIPS = 512  # a repeat: long enough for the clock, and the same for every batch size


def clips_per_second(source: MovingMnist, batch_size: int, repeats: int) -> list[float]:
    """The speed of each repeat, after one that does not count."""
    speeds: list[float] = []
    for repeat in range(repeats + 1):
        first = repeat * CLIPS
        began = time.perf_counter()
        for start in range(first, first + CLIPS, batch_size):
            source.clips(np.arange(start, start + batch_size))
        if source.images.is_cuda:
            torch.cuda.synchronize()
        speeds.append(CLIPS / (time.perf_counter() - began))
    return speeds[1:]


def measurements(repeats: int) -> Iterator[dict[str, object]]:
    """A row for each device, number of threads and batch size."""
    digits = load_digits("train")
    places = [("cpu", threads) for threads in THREADS]
    if torch.cuda.is_available():
        places.append(("cuda", 1))
    for device, threads in places:
        torch.set_num_threads(threads)
        source = MovingMnist(digits.images, "train", device=device)
        for batch_size in BATCH_SIZES:
            load = os.getloadavg()[0]
            speeds = clips_per_second(source, batch_size, repeats)
            yield {
                "device": device if device == "cpu" else torch.cuda.get_device_name(),
                "threads": threads,
                "batch_size": batch_size,
                "clips_per_second_median": round(statistics.median(speeds)),
                "clips_per_second_min": round(min(speeds)),
                "clips_per_second_max": round(max(speeds)),
                "repeats": repeats,
                "load_average_before": round(load, 1),
                "digits": digits.description,
            }


def main(
    out: Annotated[Path, typer.Option(help="CSV file to write.")] = Path("benchmarks/results/moving_mnist.csv"),
    repeats: Annotated[int, typer.Option(min=1, help="Repeats of each measurement.")] = 9,
) -> None:
    """Measures, prints and writes."""
    record(measurements(repeats), out)


if __name__ == "__main__":
    typer.run(main)

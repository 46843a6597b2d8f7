"""How fast Moving MNIST is made: clips of 20x64x64 uint8 a second.

::

    python benchmarks/moving_mnist.py --out benchmarks/results/moving_mnist.csv
"""

import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from common import THREADS, places, record
from frame_forecast.data.digits import load_digits
from frame_forecast.data.moving_mnist import MovingMnist

BATCH_SIZES = (8, 64, 256)
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


def measurements(threads: list[int], repeats: int) -> Iterator[dict[str, object]]:
    """A row for each device, number of threads and batch size."""
    digits = load_digits("train")
    for device, place in places(threads):
        source = MovingMnist(digits.images, "train", device=device)
        for batch_size in BATCH_SIZES:
            speeds = clips_per_second(source, batch_size, repeats)
            yield place | {
                "batch_size": batch_size,
                "clips_per_second_median": round(statistics.median(speeds)),
                "clips_per_second_min": round(min(speeds)),
                "clips_per_second_max": round(max(speeds)),
                "repeats": repeats,
                "digits": digits.description,
            }


def main(
    out: Annotated[Path, typer.Option(help="CSV file to write.")] = Path("benchmarks/results/moving_mnist.csv"),
    threads: Annotated[list[int], typer.Option(min=1, help="CPU threads; may be given several times.")] = THREADS,
    repeats: Annotated[int, typer.Option(min=1, help="Repeats of each measurement.")] = 9,
) -> None:
    """Measures, prints and writes."""
    record(out, measurements(threads, repeats))


if __name__ == "__main__":
    typer.run(main)

"""How much faster a run is on several processes of one machine, each with a thread and a core of its own.

A run of `frame-forecast train` on Moving MNIST, 10 frames of 64x64 given and 10 forecast (`masked_lstm_small`: any
task), with the same batch in all, whoever shares it. Runs on one process and on several take turns, so that
their ratios hold on a machine that others use, too; clips a second are those that the run logs after each
step, without the first few. Efficiency is the speed on n processes over n times that on one::

    python benchmarks/scaling.py --out benchmarks/results/scaling.csv

What it starts is this file again, with the words of `frame-forecast`, to give each process its core.
"""

import csv
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from common import record, spread
from frame_forecast.__main__ import main as frame_forecast
from frame_forecast.models import create
from frame_forecast.training.config import Budget, TrainConfig
from frame_forecast.training.settings import RunSettings

PRESETS = ("masked_lstm_small", "conv_lstm_autoencoder")
PROCESSES = [1, 2]
BATCH = 16
WARM_UP = 5  # steps that do not count
_CORES = "SCALING_CORES"
TRAIN = TrainConfig(batch_size=BATCH, grow_until=0.0, validation_clips=1, validations=1)


def speeds(preset: str, processes: int, steps: int) -> list[float]:
    """Clips a second, after each step of a run."""
    with tempfile.TemporaryDirectory() as folder:
        RunSettings(preset, Budget(steps=steps), train=TRAIN).save(Path(folder))
        # To go on with a run that was stopped at once takes no rehearsal.
        words = ["train", "--resume", folder, "--device", "cpu", "--devices", str(processes)]
        command = [sys.executable, str(Path(__file__).absolute()), *words]
        environment = os.environ | {"OMP_NUM_THREADS": "1", _CORES: " ".join(map(str, os.sched_getaffinity(0)))}
        subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
        rows = csv.DictReader((Path(folder) / "logs" / "version_0" / "metrics.csv").read_text().splitlines())
        return [float(row["train/clips_per_second"]) for row in rows if row["train/clips_per_second"]][WARM_UP:]


def measurements(processes: list[int], steps: int, turns: int) -> Iterator[dict[str, object]]:
    """A row for each model and number of processes."""
    load = round(os.getloadavg()[0], 1)
    for preset in PRESETS:
        samples: dict[int, list[float]] = {count: [] for count in processes}
        for _ in range(turns):
            for count in processes:
                samples[count] += speeds(preset, count, steps)
        alone = np.median(samples[processes[0]]) / processes[0]
        for count, found in samples.items():
            yield {
                "device": "cpu",
                "load_average_before": load,
                "model": preset,
                "processes": count,
                "batch": BATCH,
                **spread("clips_per_second", np.array(found), digits=2),
                "efficiency": round(float(np.median(found) / (count * alone)), 3),
                "gradient_megabytes": round(sum(p.nbytes for p in create(preset).parameters()) / 1e6, 2),
                "turns": turns,
                "steps": len(found),
            }


def main(
    out: Annotated[Path, typer.Option(help="CSV file to write.")] = Path("benchmarks/results/scaling.csv"),
    processes: Annotated[
        list[int], typer.Option(min=1, help="May be given several times, the fewest first.")
    ] = PROCESSES,
    steps: Annotated[int, typer.Option(min=WARM_UP + 1, help="Of each run.")] = 30,
    turns: Annotated[int, typer.Option(min=1, help="Runs on each number of processes.")] = 3,
) -> None:
    """Measures, prints and writes."""
    cores = len(os.sched_getaffinity(0))
    if max(processes) > cores:
        raise typer.BadParameter(f"there are {cores} cores here")
    record(out, measurements(processes, steps, turns))


if __name__ == "__main__":
    if sys.argv[1:2] == ["train"]:
        cores = os.environ[_CORES].split()  # not those that it may use now: the others inherit what the first has
        os.sched_setaffinity(0, {int(cores[int(os.environ.get("LOCAL_RANK", 0))])})
        frame_forecast()
    else:
        typer.run(main)

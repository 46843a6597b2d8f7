"""What the benchmarks share: where they run, how they take time, and the file they write."""

import csv
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
import typer

from frame_forecast.devices import fast_bfloat16

PRESETS = ("masked_lstm_small", "masked_lstm", "conv_lstm_autoencoder", "lstm_autoencoder")
BASELINE = "conv_lstm_autoencoder"
THREADS = [1, 2]
_COMMAND = """
import re
import time
from pathlib import Path
from frame_forecast.__main__ import main
try:
    main()
finally:
    print(time.process_time(), re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""
"""The command line, then the seconds of its threads and the most memory it ever held, in KiB. Linux is asked from
inside: what ``wait4`` says of a child's memory is at least what its parent held when it began."""
_TURN = 0.2  # seconds; long enough for the caches to fill, short enough for many turns


def places(threads: list[int]) -> Iterator[tuple[str, dict[str, object]]]:
    """Each device, and its columns; the CPU with each number of threads, set as it is reached."""
    for device, count in [("cpu", count) for count in threads] + [("cuda", 1)] * torch.cuda.is_available():
        torch.set_num_threads(count)
        yield (
            device,
            {
                "device": device if device == "cpu" else torch.cuda.get_device_name(),
                "threads": count,
                "load_average_before": round(os.getloadavg()[0], 1),
            },
        )


def precisions(device: str) -> list[str]:
    """float32, and bfloat16 where it is fast."""
    return ["float32", "bf16"] if fast_bfloat16(device) else ["float32"]


def take_turns(jobs: Mapping[str, Callable[[], object]], device: str, seconds: float) -> dict[str, np.ndarray]:
    """How long each job takes.

    Jobs take turns, so that a machine that slows down slows all of them and their ratios hold.

    Args:
        jobs: by name; the first call of each does not count.
        device: whose work a call must have done before it ends.
        seconds: for all together; each job runs twice at least.

    Returns:
        Seconds of every call, by name.
    """

    def timed(job: Callable[[], object]) -> float:
        began = time.perf_counter()
        job()
        if device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - began

    for job in jobs.values():
        timed(job)
    taken: dict[str, list[float]] = {name: [] for name in jobs}
    until = time.perf_counter() + seconds
    while time.perf_counter() < until or min(map(len, taken.values())) < 2:
        for name, job in jobs.items():
            turn = time.perf_counter() + _TURN
            while True:
                taken[name].append(timed(job))
                if time.perf_counter() >= turn:
                    break
    return {name: np.array(samples) for name, samples in taken.items()}


def spread(name: str, samples: np.ndarray, digits: int) -> dict[str, float]:
    """Columns for the median, the 10th and the 90th percentile."""
    quantiles = {"median": 0.5, "p10": 0.1, "p90": 0.9}
    return {f"{name}_{key}": round(float(np.quantile(samples, q)), digits) for key, q in quantiles.items()}


def run_command(*arguments: str) -> dict[str, float]:
    """Runs the command line in a process of its own.

    Returns:
        Columns: how long it took, imports and all; how much of the cores' time, which depends less on what else they
        do; the most memory it held (resident); how many cores it had, and how busy they were before it.

    Raises:
        RuntimeError: it failed, with what it said.
    """
    load = os.getloadavg()[0]
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", _COMMAND, *arguments], capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - began
    if done.returncode:
        raise RuntimeError(f"frame-forecast {' '.join(arguments)}: {done.stderr or done.stdout}")
    cpu_seconds, peak = done.stdout.split()[-2:]
    return {
        "seconds": round(seconds, 1),
        "cpu_seconds": round(float(cpu_seconds), 1),
        "peak_mib": round(int(peak) / 1024, 1),
        "cores_used": len(os.sched_getaffinity(0)),
        "load_average_before": round(load, 1),
    }


def record(out: Path, measured: Iterable[dict[str, object]]) -> None:
    """Prints each row as it is measured and writes all to ``out``, the machine beside each."""
    rows = []
    for row in measured:
        typer.echo(", ".join(f"{key} {value}" for key, value in row.items()))
        rows.append(row | machine())
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def machine() -> dict[str, object]:
    """What was measured, and on what."""
    here = Path(__file__).parent
    git = ["git", "-C", str(here), "describe", "--always", "--dirty", "--exclude=*"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    info = Path("/proc/cpuinfo")  # on Linux platform.processor() is mostly empty
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "commit": commit or "unknown",
    }

"""What every benchmark writes beside its numbers, and how."""

import csv
import os
import platform
import subprocess
from collections.abc import Iterable
from pathlib import Path

import torch
import typer


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


def record(rows: Iterable[dict[str, object]], out: Path) -> None:
    """Prints each row as it comes, then writes all of them with `machine` as a CSV file."""
    written = []
    for row in rows:
        typer.echo(", ".join(f"{key} {value}" for key, value in row.items()))
        written.append(row | machine())
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(written[0]))
        writer.writeheader()
        writer.writerows(written)

"""How fast models train, as clips a second and as a share of the machine's matrix-product peak.

::

    python benchmarks/training.py --out benchmarks/results/training.csv

A step is that of training: forward, backward and optimiser on 16 clips of 20 frames of 64x64, in the
precision that training chooses here. Its work is taken as three times the forward's. The last rows
compare the scan of `frame_forecast.nn.scan`, whose gradient is written out, with a loop that autograd
follows, on one ConvLSTM layer.
"""

import os
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import torch
import typer
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from common import record
from frame_forecast.clip import Batch
from frame_forecast.devices import fast_bfloat16
from frame_forecast.models import create
from frame_forecast.nn.cells import ConvLstmCell
from frame_forecast.nn.scan import scan
from frame_forecast.training.module import clip_loss
from frame_forecast.training.optimizer import build_optimizer

MODELS = ("conv_lstm_autoencoder", "masked_lstm_small")
BATCH, CONTEXT, HORIZON, SIZE = 16, 10, 10, 64
PRODUCT = 2048  # rows and columns of the matrices whose product is the peak


def seconds(work: Callable[[], object], repeats: int, device: str) -> list[float]:
    """The time of each repeat, after two that do not count."""
    times = []
    for _ in range(repeats + 2):
        began = time.perf_counter()
        work()
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    return times[2:]


def peak(dtype: torch.dtype, device: str) -> float:
    """FLOP/s of a matrix product."""
    a, b = (torch.randn((PRODUCT, PRODUCT), device=device).to(dtype) for _ in range(2))
    return 2 * PRODUCT**3 / min(seconds(lambda: a @ b, 10, device))


def training_step(name: str, dtype: torch.dtype, device: str) -> tuple[Callable[[], None], float]:
    """A step to repeat, and its FLOPs."""
    torch.manual_seed(0)
    model = create(name).to(device)
    optimizer = build_optimizer(model, muon_learning_rate=0.02, learning_rate=0.01, weight_decay=0.0)
    batch = Batch.forecast(torch.rand((BATCH, CONTEXT + HORIZON, 1, SIZE, SIZE), device=device), CONTEXT)
    given = model.given(batch.observed, batch.valid)

    def step() -> None:
        with torch.autocast(device, dtype, enabled=dtype != torch.float32):
            prediction = model(batch.frames, batch.observed, batch.valid)
        optimizer.zero_grad()
        clip_loss(prediction, batch, given, "cross_entropy").backward()
        optimizer.step()

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(batch.frames, batch.observed, batch.valid)
    return step, 3.0 * counter.get_total_flops()


def layer_step(written_out: bool, dtype: torch.dtype, device: str) -> Callable[[], None]:
    """Forward and backward of one layer of masked_lstm_small's shape."""
    torch.manual_seed(0)
    cell = ConvLstmCell(96, 56, kernel=3, input_kernel=1).to(device)
    projected = torch.randn((CONTEXT + HORIZON, BATCH, 8, 8, 4 * 56), device=device).permute(0, 1, 4, 2, 3).to(dtype)
    projected.requires_grad_()
    zeros = torch.zeros((BATCH, 8, 8, 56), device=device).permute(0, 3, 1, 2)

    def loop() -> Tensor:
        state, outputs = (zeros, zeros), []
        for x in projected.unbind():
            output, state = cell(x, state)
            outputs.append(output)
        return torch.stack(outputs)

    def step() -> None:
        with torch.autocast(device, dtype, enabled=dtype != torch.float32):
            outputs = scan(cell, projected, (zeros, zeros), len(projected))[0] if written_out else loop()
        outputs.float().square().sum().backward()

    return step


def measurements(repeats: int) -> Iterator[dict[str, object]]:
    """A row for each device, number of threads and subject."""
    places = [("cpu", 1), ("cpu", 2)] + [("cuda", 1)] * torch.cuda.is_available()
    for device, threads in places:
        torch.set_num_threads(threads)
        dtype = torch.bfloat16 if fast_bfloat16(device) else torch.float32
        most = peak(dtype, device)
        common = {
            "device": device if device == "cpu" else torch.cuda.get_device_name(),
            "threads": threads,
            "precision": str(dtype).removeprefix("torch."),
            "peak_gflops": round(most / 1e9),
        }
        for name in MODELS:
            load = os.getloadavg()[0]
            step, flops = training_step(name, dtype, device)
            speeds = [BATCH / s for s in seconds(step, repeats, device)]
            median = statistics.median(speeds)
            yield common | {
                "subject": name,
                "clips_per_second_median": round(median, 1),
                "clips_per_second_min": round(min(speeds), 1),
                "clips_per_second_max": round(max(speeds), 1),
                "share_of_peak": round(flops * median / BATCH / most, 3),
                "ratio_to_loop": "",
                "repeats": repeats,
                "load_average_before": round(load, 1),
            }
        load = os.getloadavg()[0]
        looped, scanned = (seconds(layer_step(kind, dtype, device), repeats, device) for kind in (False, True))
        median = statistics.median(scanned)
        yield common | {
            "subject": "one ConvLSTM layer, scan",
            "clips_per_second_median": round(BATCH / median, 1),
            "clips_per_second_min": round(BATCH / max(scanned), 1),
            "clips_per_second_max": round(BATCH / min(scanned), 1),
            "share_of_peak": "",
            "ratio_to_loop": round(statistics.median(looped) / median, 2),
            "repeats": repeats,
            "load_average_before": round(load, 1),
        }


def main(
    out: Annotated[Path, typer.Option(help="CSV file to write.")] = Path("benchmarks/results/training.csv"),
    repeats: Annotated[int, typer.Option(min=3, help="Repeats of each measurement.")] = 10,
) -> None:
    """Measures, prints and writes."""
    record(measurements(repeats), out)


if __name__ == "__main__":
    typer.run(main)

"""How fast models train, and what of the machine's speed that uses.

A training step is forward, loss, backward and optimiser on a batch of Moving MNIST, 10 frames of
64x64 given and 10 forecast; bfloat16 where that is fast. Its floating-point operations are counted as
three times the forward pass's, and compared with what a product of two large matrices reaches
between the steps. Then one ConvLSTM layer, with the gradient written out (`nn.scan`) and with
autograd through a loop::

    python benchmarks/training.py --out benchmarks/results/training.csv
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from torch import Tensor

from common import BASELINE, PRESETS, THREADS, places, precisions, record, spread, take_turns
from frame_forecast.clip import Batch
from frame_forecast.data.digits import load_digits
from frame_forecast.data.loaders import to_unit
from frame_forecast.data.moving_mnist import MovingMnist
from frame_forecast.models import Model, create
from frame_forecast.models.summary import summarise
from frame_forecast.nn.cells import ConvLstmCell, LstmCell, State
from frame_forecast.nn.scan import scan
from frame_forecast.training.config import TrainConfig
from frame_forecast.training.module import clip_loss
from frame_forecast.training.optimizer import build_optimizer

BATCH, CONTEXT, HORIZON, SIZE = 16, 10, 10, 64
MATRIX = 2048
HIDDEN, MAP = 56, 8  # channels and size of the layer's state: those of masked_lstm_small
LAYER_SHARE = 0.15  # of the time


def training_step(model: Model, batch: Batch, precision: str) -> Callable[[], None]:
    """What a step of `frame-forecast train` computes."""
    config = TrainConfig()
    optimizer = build_optimizer(
        model,
        muon_learning_rate=config.muon_learning_rate,
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
    )
    given = model.given(batch.observed, batch.valid)

    def step() -> None:
        with torch.autocast(batch.frames.device.type, torch.bfloat16, enabled=precision == "bf16"):
            prediction = model(batch.frames, batch.observed, batch.valid)
        optimizer.zero_grad()
        clip_loss(prediction, batch, given, config.loss).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), config.gradient_clip)
        optimizer.step()

    return step


def products(device: str, precision: str) -> tuple[Callable[[], None], float]:
    """Products of two large matrices one after the other, and their floating-point operations."""
    count = 1 if device == "cpu" else 50  # enough that waiting for the last does not show
    matrix = torch.randn((MATRIX, MATRIX), device=device, dtype=torch.bfloat16 if precision == "bf16" else None)

    def multiply() -> None:
        for _ in range(count):
            matrix @ matrix

    return multiply, count * 2 * MATRIX**3


def loop(cell: LstmCell, projected: Tensor, state: State, steps: int) -> tuple[Tensor, State]:
    """`scan` as autograd would have it."""
    outputs = []
    for x in projected.unbind():
        output, state = cell(x, state)
        outputs.append(output)
    return torch.stack(outputs), state


def layer_step(run: Callable, device: str, precision: str) -> Callable[[], None]:
    """Forward and backward of one ConvLSTM layer, by ``scan`` or ``loop``; inputs were projected before."""
    cell = ConvLstmCell(HIDDEN, HIDDEN).to(device)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32

    def maps(*leading: int, channels: int, dtype: torch.dtype) -> Tensor:  # channels last in memory
        return torch.randn((*leading, MAP, MAP, channels), device=device, dtype=dtype).movedim(-1, -3)

    projected = maps(CONTEXT + HORIZON, BATCH, channels=4 * HIDDEN, dtype=dtype).requires_grad_()
    gradient = maps(CONTEXT + HORIZON, BATCH, channels=HIDDEN, dtype=dtype)
    zeros = torch.zeros_like(maps(BATCH, channels=HIDDEN, dtype=torch.float32))

    def step() -> None:
        with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"):
            outputs, _ = run(cell, projected, (zeros, zeros), CONTEXT + HORIZON)
        torch.autograd.grad(outputs, [projected, *cell.state.parameters()], gradient)

    return step


def measurements(threads: list[int], seconds: float) -> Iterator[dict[str, object]]:
    """A row for each device, number of threads and model; then for the layer both ways."""
    clips = to_unit(MovingMnist(load_digits("train").images, "train").clips(np.arange(BATCH)))
    for device, place in places(threads):
        precision = precisions(device)[-1]
        batch = Batch.forecast(clips, CONTEXT).to(torch.device(device))
        multiply, work = products(device, precision)
        jobs, operations = {"products": multiply}, {}
        for preset in PRESETS:
            model = create(preset)
            operations[preset] = 3 * 2e9 * summarise(model, CONTEXT, HORIZON, SIZE).gmac
            jobs[preset] = training_step(model.to(device), batch, precision)
        taken = take_turns(jobs, device, (1 - LAYER_SHARE) * seconds)
        peak = work / np.median(taken.pop("products"))
        layers = {
            "layer_loop": layer_step(loop, device, precision),
            "layer_scan": layer_step(scan, device, precision),
        }
        taken |= take_turns(layers, device, LAYER_SHARE * seconds)
        for name, samples in taken.items():
            baseline = "layer_loop" if name in layers else BASELINE
            speed = BATCH / np.median(samples)
            yield place | {
                "precision": precision,
                "model": name,
                "batch": BATCH,
                **spread("clips_per_second", BATCH / samples, digits=2),
                "baseline": baseline,
                "ratio_to_baseline": round(float(np.median(taken[baseline]) / np.median(samples)), 2),
                "gigaflop_per_clip": "" if name in layers else round(operations[name] / 1e9, 1),
                "peak_teraflops": round(peak / 1e12, 3),
                "share_of_peak": "" if name in layers else round(speed * operations[name] / peak, 3),
                "repeats": len(samples),
            }


def main(
    out: Annotated[Path, typer.Option(help="CSV file to write.")] = Path("benchmarks/results/training.csv"),
    threads: Annotated[list[int], typer.Option(min=1, help="CPU threads; may be given several times.")] = THREADS,
    seconds: Annotated[float, typer.Option(min=0, help="For each number of threads.")] = 50,
) -> None:
    """Measures, prints and writes."""
    record(out, measurements(threads, seconds))


if __name__ == "__main__":
    typer.run(main)

"""What each optimisation of the recurrent models is worth: everything, and everything but one.

Sizes as in ``models.py``. Each optimisation is left out alone; jobs take turns. A ratio above 1 says how many times as
long a job takes without it::

    python benchmarks/optimisations.py --out benchmarks/results/optimisations.csv
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import partial
from pathlib import Path
from typing import Annotated
from unittest.mock import patch

import numpy as np
import torch
import typer
from torch import Tensor

from common import THREADS, places, precisions, record, take_turns
from frame_forecast.models import Model, causal, create, mim, predrnn, predrnn_pp
from frame_forecast.nn import cells, convolution, scan, unroll
from models import CONTEXT, HORIZON, SIZE, jobs, ours

MODELS = ("conv_lstm", "predrnn")


def _patched(*names: tuple[object, str, object]) -> AbstractContextManager[object]:
    stack = ExitStack()
    for where, name, what in names:
        stack.enter_context(patch.object(where, name, what))
    return stack


def _gradient_at_once(kernels: convolution.Kernels, x: Tensor, d_outputs: Tensor) -> None:
    kernels._steps.append(kernels.weight_gradient(x, d_outputs))  # pyright: ignore[reportArgumentType]


def _sum_of_gradients(kernels: convolution.Kernels) -> Tensor:
    total = sum(kernels._steps)  # pyright: ignore[reportCallIssue, reportArgumentType]
    kernels._steps.clear()
    return total


LEFT_OUT: dict[str, Callable[[], AbstractContextManager[object]]] = {
    "nothing": nullcontext,
    "kernels prepared": convolution.plain,
    "5x5 kernels transformed": lambda: _patched((convolution.Kernels, "_filters", lambda *_: False)),
    "weight gradient of all steps": lambda: _patched(
        (convolution.Kernels, "add_step", _gradient_at_once),
        (convolution.Kernels, "gradient_of_steps", _sum_of_gradients),
    ),
    "known inputs projected at once": lambda: _patched((causal, "_whole_until", lambda observed: 0)),
    "gradient of a scan": lambda: _patched(
        (unroll, "scan", lambda cell, projected, state, steps: unroll._loop(cell, projected, state, steps, None))
    ),
    "tanh by the sigmoid": lambda: _patched(
        *((module, "tanh", torch.tanh) for module in (cells, scan, predrnn, predrnn_pp, mim))
    ),
}
"""What makes each of them not happen. Left out are those that are a matter of structure: gates of one convolution, and
channels last."""
ONLY = {
    "weight gradient of all steps": ("training",),
    "gradient of a scan": ("conv_lstm",),
}
"""The uses and models that one concerns, if not all."""


def without(names: str, job: Callable[[], object]) -> Callable[[], object]:
    """A job with one optimisation left out."""

    def run() -> None:
        with LEFT_OUT[names]():
            job()

    return run


def measure(threads: list[int], batch: int, seconds: float, models: list[str]) -> Iterator[dict[str, object]]:
    """A row for every model, use, precision and optimisation, and one each for recomputing."""
    for device, place in places(threads):
        for name in models:
            torch.manual_seed(0)
            model = create(name).to(device)
            frames = torch.rand(batch, CONTEXT + HORIZON, 1, SIZE, SIZE, device=device)
            for use, count in (("inference", 1), ("inference", batch), ("training", batch)):
                model.train(use == "training")
                for precision in precisions(device):
                    yield from _rows(model, name, use, frames[:count], precision, device, seconds, place)


def _rows(
    model: Model, name: str, use: str, frames: Tensor, precision: str, device: str, seconds: float, place: dict
) -> Iterator[dict[str, object]]:
    (job,) = jobs({"frame-forecast": ours(model)}, frames, [precision], use == "training").values()
    work = {
        what: without(what, job)
        for what in LEFT_OUT
        if all(one in (use, name) for one in ONLY.get(what, ()))
        and not (what == "5x5 kernels transformed" and precision == "bf16")
    }
    if use == "training":
        work["steps kept, not computed again"] = partial(_recomputed, job)
    taken = {what: float(np.median(samples)) for what, samples in take_turns(work, device, seconds).items()}
    for what, median in taken.items():
        yield place | {
            "model": name, "use": use, "batch": len(frames), "precision": precision, "without": what,
            "seconds_median": round(median, 4), "ratio": round(median / taken["nothing"], 2),
        }  # fmt: skip
    model.zero_grad()


def _recomputed(job: Callable[[], object]) -> None:
    with unroll.recomputing():
        job()


def main(
    out: Annotated[Path, typer.Option(help="Where to write the rows, as CSV.")],
    threads: Annotated[list[int], typer.Option(help="May be repeated.")] = THREADS[-1:],
    batch: Annotated[int, typer.Option(help="Clips of a batch.")] = 4,
    seconds: Annotated[float, typer.Option(help="For each use, precision and model; each job runs twice.")] = 30,
    model: Annotated[list[str], typer.Option(help="May be repeated.")] = list(MODELS),  # noqa: B006
) -> None:
    """Measures what each optimisation is worth."""
    record(out, measure(threads, batch, seconds, model))


if __name__ == "__main__":
    typer.run(main)

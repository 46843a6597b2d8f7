"""What the models of the literature take of memory, and how fast their exported graphs are, on one clip at a time.

Moving MNIST's sizes: 10 frames of 64x64 given, 10 forecast. Memory is the most that a process of its own holds, on
CUDA the most that torch has allocated: in one forecast, or in forward, mean squared error and backward. What it held
before that, with the model built, stands beside it. With ``--openstl`` that is measured of OpenSTL's models, too (see
``models.py``). The latency of the graph in onnxruntime stands beside that of torch, both with as many threads and
taking turns::

    python benchmarks/footprint.py --openstl ../OpenSTL --out benchmarks/results/footprint.csv
"""

import re
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import chain
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated

import onnxruntime
import torch
import typer

from common import THREADS, places, record, spread, take_turns
from frame_forecast import weights
from frame_forecast.export import export
from frame_forecast.models import create, find
from frame_forecast.models.causal import CausalModel
from models import CONTEXT, HORIZON, MODELS, SIZE, jobs, ours, theirs

BATCHES = {"inference": [1, 16], "training": [16]}


def memory(name: str, openstl: Path | None, use: str, batch: int, device: str, threads: int) -> tuple[float, float]:
    """MiB held before and, at most, while a model is used; for a process that has done nothing else.

    Args:
        name: the model.
        openstl: the repository whose model of that name is measured; None = ours.
        use: ``inference`` or ``training``.
        batch: clips.
        device, threads: to compute on and with.
    """
    torch.set_num_threads(threads)
    model = create(name)
    network, run = model, ours(model)
    if openstl is not None:
        assert isinstance(model, CausalModel)
        network, run = theirs(model, name, openstl)
    network.to(device).train(use == "training")
    frames = torch.rand(batch, CONTEXT + HORIZON, 1, SIZE, SIZE, device=device)
    (work,) = jobs({"frame-forecast": run}, frames, ["float32"], use == "training").values()
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        work()
        return before / 2**20, torch.cuda.max_memory_allocated() / 2**20
    Path("/proc/self/clear_refs").write_text("5")  # the most it held is counted anew
    before = _most_held()
    work()
    return before, _most_held()


def _most_held() -> float:
    """What Linux says of this process, in MiB."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


def memories(name: str, openstl: Path | None, device: str, threads: int) -> Iterator[dict[str, object]]:
    """A row for every use, size of batch and implementation, with how often ours goes into it."""
    for use, batches in BATCHES.items():
        for batch in batches:
            taken = {}
            for implementation, folder in (("frame-forecast", None), ("openstl", openstl)):
                if implementation == "openstl" and folder is None:
                    continue
                with ProcessPoolExecutor(1, get_context("spawn")) as alone:
                    before, peak = alone.submit(memory, name, folder, use, batch, device, threads).result()
                taken[implementation] = peak - before
                yield {
                    "use": use, "batch": batch, "runtime": implementation, "held_mib": round(before, 1),
                    "peak_mib": round(peak, 1), "times_ours": round(taken[implementation] / taken["frame-forecast"], 2),
                }  # fmt: skip


def latencies(name: str, threads: int, seconds: float) -> Iterator[dict[str, object]]:
    """A row for torch and one for onnxruntime, float32 on the CPU."""
    torch.manual_seed(0)
    model = create(name).eval()
    frames = torch.rand(1, CONTEXT + HORIZON, 1, SIZE, SIZE)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        sizes = {"context": CONTEXT, "horizon": HORIZON, "channels": 1, "height": SIZE, "width": SIZE}
        weights.save(folder / "weights", model, find(name)[0].name, **sizes)
        graph = export(folder / "weights", folder / "model.onnx")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])
    given = {"frames": frames[:, :CONTEXT].numpy()}
    (forecast,) = jobs({"frame-forecast": ours(model)}, frames, ["float32"], train=False).values()
    taken = take_turns({"torch": forecast, "onnxruntime": lambda: session.run(None, given)}, "cpu", seconds)
    times = (taken["onnxruntime"].mean() / taken["torch"].mean()).item()
    for runtime, samples in taken.items():
        yield {
            "use": "latency", "batch": 1, "runtime": runtime, **spread("milliseconds", 1000 * samples, 2),
            "calls": len(samples), "times_ours": round(times, 2) if runtime == "onnxruntime" else 1.0,
            "largest_difference": graph.difference,
        }  # fmt: skip


def measure(models: list[str], openstl: Path | None, threads: list[int], seconds: float) -> Iterator[dict[str, object]]:
    """The rows of every place and model, all with the same columns."""
    columns = ("held_mib", "peak_mib", "milliseconds_median", "milliseconds_p10", "milliseconds_p90", "calls")
    for device, place in places(threads):
        count = torch.get_num_threads()
        for name in models:
            times = latencies(name, count, seconds) if device == "cpu" else ()
            for row in chain(memories(name, openstl, device, count), times):
                yield place | {"model": name} | dict.fromkeys((*columns, "largest_difference")) | row


def main(
    out: Annotated[Path, typer.Option(help="Where to write the rows, as CSV.")],
    openstl: Annotated[Path | None, typer.Option(help="A copy of OpenSTL's repository, to be measured beside.")] = None,
    model: Annotated[list[str], typer.Option(help="May be repeated.")] = list(MODELS),  # noqa: B006
    threads: Annotated[list[int], typer.Option(help="May be repeated.")] = THREADS[-1:],
    seconds: Annotated[float, typer.Option(help="For the latencies of each model.")] = 60,
) -> None:
    """Measures memory, and the latency of exported graphs."""
    record(out, measure(model, openstl, threads, seconds))


if __name__ == "__main__":
    typer.run(main)

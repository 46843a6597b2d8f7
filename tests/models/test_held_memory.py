"""What models hold in memory while they infer."""

import dataclasses
import weakref
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from frame_forecast.masks import future
from frame_forecast.models import Model, entries

CONTEXT, SIZE, HIDDEN = 10, 64, 256
CAUSAL = [entry for entry in entries() if getattr(entry.model, "causal", False)]


class TensorBytes(TorchDispatchMode):
    """Counts the bytes of the tensors that operations return, as long as somebody holds them. Unlike a process's
    memory, which allocators round and keep, they are the same in every run."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self.held: set[int] = set()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(given):
            # Kernels in oneDNN's own order show no storage; how many there are has nothing to do with time.
            if not isinstance(tensor, Tensor) or tensor.layout != torch.strided:
                continue
            if id(storage := tensor.untyped_storage()) not in self.held:
                self.held.add(id(storage))
                self.now += storage.nbytes()
                self.peak = max(self.peak, self.now)
                weakref.finalize(storage, self.free, id(storage), storage.nbytes())
        return given

    def free(self, number: int, size: int) -> None:
        self.held.remove(number)
        self.now -= size


def peak(model: Model, horizon: int) -> int:
    frames = torch.rand(1, CONTEXT + horizon, 1, SIZE, SIZE)
    with torch.inference_mode(), TensorBytes() as counted:
        model(frames, future(CONTEXT, horizon)[None])
    return counted.peak


@pytest.mark.parametrize("entry", CAUSAL, ids=lambda entry: entry.name)
def test_a_longer_horizon_takes_memory_for_its_frames_alone(entry: Any) -> None:
    """Copies of the canvas, in and out, grow with it; what the network holds of a step does not."""
    cheap = {"kernel": 1} if hasattr(entry.tiny, "kernel") else {}
    hidden = max(64, HIDDEN * entry.tiny.patch**2 // 16)  # states of one size, about
    model = entry.model(dataclasses.replace(entry.tiny, hidden=hidden, **cheap)).eval()
    frame = 4 * SIZE**2
    growth = (peak(model, 40) - peak(model, 10)) / 30
    assert frame <= growth < 8 * frame
    state = 4 * hidden * (SIZE // model.config.patch) ** 2
    assert state > 8 * frame, "states too small for the test to notice that they are kept"


def test_bytes_are_counted_as_long_as_they_are_held() -> None:
    with TensorBytes() as counted:
        kept = [torch.zeros(1000) for _ in range(3)]
        kept.pop()
        view = kept[0].view(10, 100)
        kept.clear()
    assert (counted.peak, counted.now) == (12_000, 4_000)
    del view
    assert counted.now == 0

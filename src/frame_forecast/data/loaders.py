"""Clips by number to batches by step."""

from collections.abc import Callable, Iterator
from itertools import count

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset

from frame_forecast.clip import Batch
from frame_forecast.data.masking import Masking
from frame_forecast.data.sources import ClipSource


def to_unit(clips: Tensor) -> Tensor:
    """uint8 0..255 to float32 in [0, 1], shape and device kept."""
    return clips.float().div_(255.0)


class TrainingBatches(IterableDataset[Batch]):
    """Endless batches; which clips a batch holds follows from its number alone.

    Step ``s`` takes clips ``s * processes * batch_size`` onwards, each process its own share,
    so no clip is seen twice and none is left out, and a resumed run goes on where it was.

    Args:
        source: clips to train on.
        masking: what is hidden of them.
        batch_size: clips a batch on this process.
        window: which frames of its clips a step takes; None = all.
        first_step: the step to start with.
        process, processes: this process's rank and how many there are.
        sampling: changes which frames of a batch are observed, by its clips' numbers and its step; None = nothing.
    """

    def __init__(
        self,
        source: ClipSource,
        masking: Masking,
        batch_size: int,
        window: Callable[[int], slice] | None = None,
        first_step: int = 0,
        process: int = 0,
        processes: int = 1,
        sampling: Callable[[Batch, np.ndarray, int], Batch] | None = None,
    ) -> None:
        self.source = source
        self.masking = masking
        self.batch_size = batch_size
        self.window = window
        self.first_step = first_step
        self.process = process
        self.processes = processes
        self.sampling = sampling

    def __iter__(self) -> Iterator[Batch]:
        for step in count(self.first_step):
            first = (step * self.processes + self.process) * self.batch_size
            index = np.arange(first, first + self.batch_size)
            window = slice(None) if self.window is None else self.window(step)
            frames = to_unit(self.source.clips(index)[:, window])
            batch = self.masking.hide(frames, index, window.start or 0)
            yield batch if self.sampling is None else self.sampling(batch, index, step)


class FixedBatches(Dataset[Batch]):
    """The first clips of a source, always the same, to validate on.

    Every process takes each ``processes``-th of them. Where there are fewer clips than processes, the rest
    get one batch without clips, as Lightning expects all to have one.

    Args:
        source: the clips.
        masking: what is hidden of them.
        clips: how many in all.
        batch_size: clips a batch on this process; the last one may hold fewer.
        process, processes: this process's rank and how many there are.
    """

    def __init__(
        self, source: ClipSource, masking: Masking, clips: int, batch_size: int, process: int = 0, processes: int = 1
    ) -> None:
        self.source = source
        self.masking = masking
        numbers = np.arange(process, clips, processes)
        self.numbers = [numbers[start : start + batch_size] for start in range(0, max(len(numbers), 1), batch_size)]

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, number: int) -> Batch:
        index = self.numbers[number]
        made = index if len(index) else np.arange(1)  # sources make one clip at least
        batch = self.masking.hide(to_unit(self.source.clips(made)), made)
        parts = (batch.frames, batch.observed, batch.held_out, batch.valid)
        return Batch(*(part[: len(index)] for part in parts))

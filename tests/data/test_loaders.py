"""Batches: the same clips in any split over processes, and after any restart."""

from itertools import islice

import numpy as np
import pytest
import torch
from torch import Tensor

from frame_forecast.clip import Batch
from frame_forecast.data.loaders import FixedBatches, TrainingBatches, to_unit
from frame_forecast.data.masking import ForecastMasking


class Numbered:
    """Every pixel of clip ``i`` is ``i``."""

    name, split, images_sha256 = "numbered", "train", ""

    def __len__(self) -> int:
        return 100

    def clips(self, index: np.ndarray) -> Tensor:
        return torch.from_numpy(index.astype(np.uint8)).reshape(-1, 1, 1, 1, 1).expand(-1, 5, 1, 2, 2)


THREE = ForecastMasking(context=3)


def numbers(frames: Tensor) -> list[int]:
    return (frames[:, 0, 0, 0, 0] * 255).round().int().tolist()


def test_to_unit_is_a_255th() -> None:
    levels = torch.arange(256, dtype=torch.uint8)
    unit = to_unit(levels)
    assert unit.dtype == torch.float32
    torch.testing.assert_close(unit.double(), levels.double() / 255, rtol=0, atol=1e-7)
    assert levels.tolist() == list(range(256))  # left as they were


@pytest.mark.parametrize("processes", [1, 2, 4])
def test_processes_share_each_steps_clips(processes: int) -> None:
    steps, size = 3, 8 // processes
    shares = [
        [numbers(b.frames) for b in islice(TrainingBatches(Numbered(), THREE, size, None, 0, rank, processes), steps)]
        for rank in range(processes)
    ]
    for step in range(steps):
        together = [number for share in shares for number in share[step]]
        assert sorted(together) == list(range(8 * step, 8 * step + 8))


@pytest.mark.parametrize("process", [0, 1])
def test_a_later_first_step_goes_on_with_the_same_batches(process: int) -> None:
    whole = [numbers(b.frames) for b in islice(TrainingBatches(Numbered(), THREE, 2, None, 0, process, 2), 6)]
    rest = [numbers(b.frames) for b in islice(TrainingBatches(Numbered(), THREE, 2, None, 4, process, 2), 2)]
    assert rest == whole[4:]


def test_batches_can_be_read_again_and_hold_the_future_out() -> None:
    batches = TrainingBatches(Numbered(), THREE, 2)
    first, again = next(iter(batches)), next(iter(batches))
    assert numbers(first.frames) == numbers(again.frames) == [0, 1]
    assert first.observed[0].flatten().tolist() == [True, True, True, False, False]
    assert torch.equal(first.held_out, ~first.observed)


@pytest.mark.parametrize(("clips", "sizes"), [(1, [1]), (4, [4]), (5, [4, 1]), (8, [4, 4])])
def test_fixed_batches_are_the_first_clips(clips: int, sizes: list[int]) -> None:
    batches = FixedBatches(Numbered(), THREE, clips, batch_size=4)
    assert len(batches) == len(sizes)
    read = [numbers(batches[i].frames) for i in range(len(batches))]
    assert [len(batch) for batch in read] == sizes
    assert [number for batch in read for number in batch] == list(range(clips))
    assert batches[0].observed[0].flatten().tolist() == [True, True, True, False, False]
    with pytest.raises(IndexError):
        batches[len(sizes)]


def test_a_window_cuts_clips_and_their_context_alike() -> None:
    batches = TrainingBatches(Numbered(), THREE, 2, window=lambda step: slice(1 + step, 5))
    observed = [batch.observed[0].flatten().tolist() for batch in islice(batches, 2)]
    assert observed == [[True, True, False, False], [True, False, False]]


def test_sampling_gets_the_clips_numbers_and_the_step() -> None:
    calls = []

    def sample(batch: Batch, index: np.ndarray, step: int) -> Batch:
        calls.append((index.tolist(), step))
        return Batch(batch.frames, ~batch.observed, ~batch.held_out, batch.valid)

    batches = TrainingBatches(Numbered(), THREE, 2, first_step=3, sampling=sample)
    observed = [batch.observed[0].flatten().tolist() for batch in islice(batches, 2)]
    assert calls == [([6, 7], 3), ([8, 9], 4)]
    assert observed == [[False, False, False, True, True]] * 2

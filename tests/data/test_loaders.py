"""Batches: the same clips in any split over processes, and after any restart."""

from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
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


class Recorder(Numbered):
    """Remembers the numbers of the clips that it was asked for."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []

    def clips(self, index: np.ndarray) -> Tensor:
        self.asked.append(index.tolist())
        return super().clips(index)


@given(
    processes=st.integers(1, 9),
    share=st.integers(1, 5),
    first_step=st.sampled_from([0, 7, 2**31]),
    steps=st.integers(1, 4),
)
def test_processes_share_each_steps_clips(processes: int, share: int, first_step: int, steps: int) -> None:
    size = share * processes
    together: list[list[int]] = [[] for _ in range(steps)]
    for rank in range(processes):
        source = Recorder()
        for _ in islice(TrainingBatches(source, THREE, share, None, first_step, rank, processes), steps):
            pass
        for step in range(steps):
            together[step] += source.asked[step]
    for step, clips in enumerate(together, first_step):
        assert clips == list(range(step * size, (step + 1) * size))  # none twice, none left out


@given(processes=st.integers(1, 9), clips=st.integers(1, 40), size=st.integers(1, 7))
def test_processes_share_the_clips_to_validate_on(processes: int, clips: int, size: int) -> None:
    together = []
    for rank in range(processes):
        source = Recorder()
        batches = FixedBatches(source, THREE, clips, size, rank, processes)
        assert len(batches) >= 1
        read = [len(batches[number].frames) for number in range(len(batches))]
        assert max(read) <= size
        if any(read):
            assert read == [len(asked) for asked in source.asked]
            together += [number for asked in source.asked for number in asked]
    assert sorted(together) == list(range(clips))


def test_a_process_without_clips_to_validate_on_gets_a_batch_of_none() -> None:
    [batch] = list(FixedBatches(Numbered(), THREE, 1, 4, process=1, processes=2))
    assert batch.frames.shape == (0, 5, 1, 2, 2)
    assert batch.known.shape[:2] == (0, 5)


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

"""The mixture of tasks: what it hides, how often, and from what it follows."""

from collections import Counter

import numpy as np
import pytest
import torch

from frame_forecast.clip import Batch
from frame_forecast.data.masking import MixedMasking, Sampling
from frame_forecast.errors import ConfigError

FRAMES, SIZE = 12, 24


def hide(index: np.ndarray, seed: int = 0, split: str = "train", start: int = 0) -> Batch:
    frames = torch.zeros((len(index), FRAMES - start, 1, SIZE, SIZE))
    return MixedMasking(6, seed, split).hide(frames, index, start)


def kind(observed: torch.Tensor) -> str:
    """What a mask ``(T, 1, H, W)`` looks like."""
    share = observed.float().mean(dim=(1, 2, 3)).tolist()
    if any(0 < s < 1 for s in share):
        return "holes"
    missing = [t for t, s in enumerate(share) if s == 0]
    if missing == list(range(missing[0], len(share))):
        return f"forecast after {missing[0]}"
    steps = set(np.diff(missing).tolist())
    if len(steps) == 1 and steps <= {2, 3, 4, 5} and missing[0] < min(steps) and missing[-1] + min(steps) >= len(share):
        return "interleaved"
    return "gap" if missing == list(range(missing[0], missing[-1] + 1)) and missing[0] > 0 else "random"


def test_each_task_has_its_share() -> None:
    count = 1500
    batch = hide(np.arange(count))
    kinds = Counter(kind(observed) for observed in batch.observed)
    forecasts = sum(n for name, n in kinds.items() if name.startswith("forecast"))
    # A few random choices of frames happen to be gaps or forecasts.
    assert forecasts / count == pytest.approx(0.45, abs=0.05)
    assert kinds["forecast after 6"] / count == pytest.approx(0.45 * (0.6 + 0.4 / 11), abs=0.04)
    assert {f"forecast after {context}" for context in range(1, FRAMES)} <= kinds.keys()
    assert kinds["gap"] / count == pytest.approx(0.10, abs=0.05)
    assert kinds["interleaved"] / count == pytest.approx(0.15, abs=0.03)
    assert kinds["holes"] / count == pytest.approx(0.12, abs=0.03)


def test_every_clip_has_something_to_see_and_something_to_fill() -> None:
    batch = hide(np.arange(500))
    assert batch.observed.flatten(1).any(dim=1).all()
    assert batch.held_out.flatten(1).any(dim=1).all()
    assert torch.equal(batch.held_out, ~batch.observed)
    assert batch.valid.all()


def test_masks_follow_from_seed_split_and_number_alone() -> None:
    together = hide(np.arange(8)).observed
    assert torch.equal(together[[5, 2]], hide(np.array([5, 2])).observed)
    assert not torch.equal(together, hide(np.arange(8), seed=1).observed)
    assert not torch.equal(together, hide(np.arange(8), split="validation").observed)


def test_the_usual_context_follows_a_cut() -> None:
    kinds = Counter(kind(observed) for observed in hide(np.arange(300), start=2).observed)
    assert kinds["forecast after 4"] > 300 * 0.45 * 0.5


@pytest.mark.parametrize("shape", [(1, 3, 1, 24, 24), (1, 12, 1, 24, 15)])
def test_clips_without_room_for_every_kind_of_hole_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="tasks=forecast"):
        MixedMasking(6, 0, "train").hide(torch.zeros(shape), np.arange(1))


@pytest.mark.parametrize(
    ("share", "reverse", "observed", "held_out"),
    [
        (0.0, False, 1.0, 1.0),
        (0.25, False, 1.0, 0.75),
        (1.0, False, 1.0, 0.0),
        (7.0, False, 1.0, 0.0),
        (0.0, True, 0.5, 0.5),
        (0.5, True, 0.5, 0.5),
        (0.75, True, 0.75, 0.25),
        (1.0, True, 1.0, 0.0),
        (7.0, True, 1.0, 0.0),
    ],
)
def test_the_schedule_of_sampling(share: float, reverse: bool, observed: float, held_out: float) -> None:
    assert Sampling.at(share, reverse) == Sampling(observed, held_out)


def test_sampling_reads_as_often_as_it_says_and_always_the_first() -> None:
    index = np.arange(2000)
    frames = torch.zeros((len(index), 6, 1, 2, 2))
    batch = Batch.forecast(frames, 3)
    drawn = Sampling(0.8, 0.3).draw(batch, index, seed=0)
    share = drawn.observed.flatten(1).float().mean(dim=0).tolist()
    assert share == pytest.approx([1.0, 0.8, 0.8, 0.3, 0.3, 0.3], abs=0.05)
    assert torch.equal(drawn.held_out, ~drawn.observed)
    at_the_end = Sampling(1.0, 0.0).draw(batch, index, seed=0)
    assert torch.equal(at_the_end.observed, batch.observed)


def test_sampling_follows_from_seed_and_number_alone() -> None:
    batch = Batch.forecast(torch.zeros((8, 6, 1, 2, 2)), 3)
    part = Batch.forecast(torch.zeros((2, 6, 1, 2, 2)), 3)
    half = Sampling(0.5, 0.5)
    together = half.draw(batch, np.arange(8), seed=0).observed
    assert torch.equal(together[[5, 2]], half.draw(part, np.array([5, 2]), seed=0).observed)
    assert not torch.equal(together, half.draw(batch, np.arange(8), seed=1).observed)


def test_sampling_knows_no_more_than_the_batch() -> None:
    """A region without truth stays without, and the first frame is the first that has something observed."""
    observed = torch.zeros((1, 4, 1, 2, 2), dtype=torch.bool)
    held_out = observed.clone()
    observed[:, 1:3, :, 0], held_out[:, 3, :, 0] = True, True
    batch = Batch(torch.zeros((1, 4, 1, 2, 2)), observed, held_out, torch.ones((1, 4), dtype=torch.bool))
    drawn = Sampling(0.0, 1.0).draw(batch, np.arange(1), seed=0)
    assert drawn.observed[0, :, 0, 0, 0].tolist() == [False, True, False, True]
    assert not drawn.observed[:, :, :, 1].any()
    assert torch.equal(drawn.known, batch.known)

"""The mixture of tasks: what it hides, how often, and from what it follows."""

from collections import Counter

import numpy as np
import pytest
import torch

from frame_forecast.clip import Batch
from frame_forecast.data.masking import MixedMasking
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

"""Loss, schedule, cropping and averaging against computations by hand."""

import math
from types import SimpleNamespace
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from torch import Tensor

from frame_forecast.clip import Batch
from frame_forecast.models import create
from frame_forecast.training.callbacks import WarmedUpAverage
from frame_forecast.training.config import Budget, TrainConfig
from frame_forecast.training.module import TrainingModule, clip_loss


def module(budget: Budget | None = None, **settings: Any) -> TrainingModule:
    model = create("conv_lstm_autoencoder", hidden=4, layers=1, patch=8)
    return TrainingModule(model, TrainConfig(**settings), budget or Budget(steps=10))


def random_batch(generator: torch.Generator) -> Batch:
    """Four clips with holes, held-out pixels and padding; hidden and padded pixels are NaN."""
    B, T, C, H, W = 4, 5, 2, 3, 3
    frames = torch.rand((B, T, C, H, W), generator=generator)
    drawn = torch.rand((B, T, 1, H, W), generator=generator)
    observed, held_out = drawn < 0.4, (drawn >= 0.4) & (drawn < 0.7)
    observed[3], held_out[3] = False, False  # nothing is known of the last clip
    valid = torch.arange(T) < torch.tensor([5, 3, 1, 4])[:, None]
    known = (observed | held_out) & valid[:, :, None, None, None]
    frames = torch.where(known, frames, torch.full((), float("nan")))
    return Batch(frames, observed, held_out, valid)


def loss_by_hand(prediction: Tensor, batch: Batch, given: Tensor, kind: str) -> float:
    means = []
    for b in range(len(prediction)):
        losses = []
        for t, c, h, w in torch.cartesian_prod(*(torch.arange(n) for n in prediction.shape[1:])).tolist():
            known = batch.observed[b, t, 0, h, w] or batch.held_out[b, t, 0, h, w]
            if known and batch.valid[b, t] and given[b, t]:
                p, y = prediction[b, t, c, h, w].item(), batch.frames[b, t, c, h, w].item()
                entropy = -y * math.log(p) - (1 - y) * math.log(1 - p)
                losses.append(entropy if kind == "cross_entropy" else (p - y) ** 2)
        means.append(sum(losses) / len(losses) if losses else 0.0)
    return sum(means) / len(means)


@pytest.mark.parametrize("kind", ["cross_entropy", "mse"])
def test_loss_equals_a_loop_over_known_pixels(kind: str) -> None:
    generator = torch.Generator().manual_seed(0)
    batch = random_batch(generator)
    prediction = torch.rand(batch.frames.shape, generator=generator)
    given = torch.rand(batch.valid.shape, generator=generator) < 0.7
    loss = clip_loss(prediction, batch, given, kind)
    assert loss.item() == pytest.approx(loss_by_hand(prediction, batch, given, kind), rel=1e-5)


@pytest.mark.parametrize("kind", ["cross_entropy", "mse"])
def test_what_is_no_target_gets_no_gradient(kind: str) -> None:
    generator = torch.Generator().manual_seed(0)
    batch = random_batch(generator)
    prediction = torch.rand(batch.frames.shape, generator=generator).requires_grad_()
    given = torch.ones_like(batch.valid)
    given[:, 0] = False
    clip_loss(prediction, batch, given, kind).backward()
    target = (batch.known & given[:, :, None, None, None]).expand_as(prediction)
    assert prediction.grad is not None
    assert torch.equal(prediction.grad != 0, target)


@pytest.mark.parametrize("kind", ["cross_entropy", "mse", "log_mse"])
def test_loss_of_a_broken_prediction_is_nan_where_it_is_a_target(kind: str) -> None:
    batch = Batch.forecast(torch.rand((1, 3, 1, 4, 4)), 2)
    prediction = torch.full(batch.frames.shape, 0.3)
    prediction[0, 2, 0, 1, 1] = torch.nan
    given = torch.tensor([[True, True, False]])
    assert clip_loss(prediction, batch, given, kind).isfinite()
    assert clip_loss(prediction, batch, batch.valid, kind).isnan()


def test_loss_is_float32_under_autocast() -> None:
    batch = Batch.forecast(torch.rand((1, 2, 1, 4, 4)), 1)
    prediction = torch.full(batch.frames.shape, 0.3, dtype=torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = clip_loss(prediction, batch, batch.valid, "cross_entropy")
    assert loss.dtype == torch.float32


@pytest.mark.parametrize(("warmup", "factors"), [(0.2, [0.0, 0.45, 0.8, 0.5, 0.0]), (0.0, [1.0, 0.9, 0.8, 0.5, 0.0])])
def test_learning_rate_rises_and_ends_at_zero(warmup: float, factors: list[float]) -> None:
    trained = module(warmup=warmup)
    assert [trained.learning_rate_factor(share) for share in (0, 0.1, 0.2, 0.5, 1)] == pytest.approx(factors)


@pytest.mark.parametrize(("step", "share"), [(0, 0.0), (5, 0.5), (10, 1.0), (12, 1.0)])
def test_share_of_a_budget_of_steps(step: int, share: float) -> None:
    trained = module(Budget(steps=10))
    trained.trainer = SimpleNamespace(global_step=step)  # pyright: ignore[reportAttributeAccessIssue]
    assert trained.budget_share() == share


@pytest.mark.parametrize(
    ("step", "first", "last"),
    [(0, 7, 12), (8, 7, 12), (10, 6, 13), (35, 3, 16), (69, 0, 19), (70, 0, 19), (100, 0, 19)],
)
def test_window_is_the_middle_until_clips_are_whole(step: int, first: int, last: int) -> None:
    window = module(Budget(steps=100), context=10, horizon=10, grow_until=0.7).window(step)
    assert window == slice(first, last + 1)


@pytest.mark.parametrize(("context", "horizon"), [(10, 0), (1, 10), (2, 2), (3, 5)])
def test_window_never_asks_for_more_than_there_is(context: int, horizon: int) -> None:
    trained = module(Budget(steps=100), context=context, horizon=horizon, grow_until=0.5)
    windows = [trained.window(step) for step in (0, 25, 49)]
    lengths = [context - window.start for window in windows]
    assert lengths[0] == min(3, context)
    assert lengths == sorted(lengths)
    assert windows[-1] == slice(0, context + horizon)


def test_every_length_is_trained_equally_long() -> None:
    trained = module(Budget(steps=2000), context=10, horizon=4, grow_until=0.8)
    lengths = [10 - trained.window(step).start for step in range(1, 1600, 2)]  # odd: never on a border
    assert [lengths.count(n) for n in range(3, 11)] == [100] * 8


def test_window_follows_the_clock_of_a_budget_of_time() -> None:
    trained = module(Budget(seconds=60), context=10, horizon=10, grow_until=0.5)
    trained.budget_share = lambda: 0.25
    assert trained.window(step=10**6) == slice(3, 17)


class OneWeight(pl.LightningModule):
    """A single number."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))


def test_average_follows_its_formula() -> None:
    assert 2 / 11 < 0.25 < 4 / 13  # both branches of the decay are taken
    network = OneWeight()
    network.register_buffer("count", torch.tensor(0))
    average = WarmedUpAverage(decay=0.25)
    average.setup(pl.Trainer(logger=False, barebones=True, accelerator="cpu"), network, "fit")
    assert average._average_model is not None
    expected = 0.0
    for n, value in enumerate([1.0, 3.0, -2.0, 8.0, 5.0]):
        network.weight.data.fill_(value)
        network.count.fill_(n)
        average._average_model.update_parameters(network)
        decay = min(0.25, (1 + n) / (10 + n)) if n else 0.0  # the first update is a copy
        expected = decay * expected + (1 - decay) * value
        (averaged,) = average._average_model.module.parameters()
        assert averaged.item() == pytest.approx(expected, rel=1e-6)
        assert average._average_model.module.count == n

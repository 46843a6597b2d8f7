"""What registration buys: every registered model, tiny, keeps the contract of `Model`."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from frame_forecast import weights
from frame_forecast.clip import Batch
from frame_forecast.data.masking import MixedMasking
from frame_forecast.errors import ShapeError
from frame_forecast.masks import future
from frame_forecast.models import TASKS, Model, entries
from frame_forecast.training.module import clip_loss

ENTRIES = {entry.name: entry for entry in entries()}
FORMS = ("reconstruction", "prediction", "composite")


def variants() -> list[tuple[str, dict]]:
    """Every model in every form, conditional or not, where it has those; with a start from flow; with its penalty."""
    chosen: list[tuple[str, dict]] = []
    for name, entry in ENTRIES.items():
        if hasattr(entry.tiny, "form"):
            chosen += [(name, {"form": form, "conditional": c}) for form in FORMS for c in (False, True)]
        else:
            chosen.append((name, {}))
        if hasattr(entry.tiny, "flow"):
            chosen.append((name, {"flow": True}))
        if hasattr(entry.tiny, "decoupling"):
            chosen.append((name, {"decoupling": 0.1}))
    return chosen


def build(name: str, settings: dict) -> Model:
    torch.manual_seed(0)
    entry = ENTRIES[name]
    model = entry.model(dataclasses.replace(entry.tiny, **settings))
    for parameter in model.parameters():  # biases at 0 would hide what a bias can do
        torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


def clips(batch: int = 2, frames: int = 7, size: tuple[int, int] = (16, 16)) -> torch.Tensor:
    return torch.rand((batch, frames, 1, *size), generator=torch.Generator().manual_seed(1))


@pytest.fixture(params=variants(), ids=lambda v: "-".join([v[0], *map(str, v[1].values())]))
def model(request: pytest.FixtureRequest) -> Model:
    return build(*request.param)


def test_gives_every_frame_it_says_it_gives_and_zeros_elsewhere(model: Model) -> None:
    frames = clips()
    observed = future(4, 3).expand(2, -1, 1, 1, 1)
    valid = torch.ones(2, 7, dtype=torch.bool)
    prediction = model(frames, observed, valid)
    given = model.given(observed, valid)
    assert prediction.shape == frames.shape
    assert prediction.isfinite().all()
    assert prediction.min() >= 0
    assert prediction.max() <= 1
    assert (prediction[~given] == 0).all()
    assert model.tasks <= set(TASKS)
    assert given[:, :4].all() == ("reconstruct" in model.tasks)
    assert given[:, 4:].all() == ("forecast" in model.tasks)


@pytest.mark.parametrize("hidden", [0.7, math.nan, math.inf])
def test_hidden_pixels_never_reach_the_model(model: Model, hidden: float) -> None:
    frames = clips()
    observed = future(4, 3).expand(2, -1, 1, 16, 16).clone()
    observed[0, 2, :, 5:9, 3:8] = False  # a hole in the context too
    before = model(frames, observed)
    changed = torch.where(observed, frames, torch.tensor(hidden))
    assert torch.equal(before, model(changed, observed))


@pytest.mark.parametrize("model", [v for v in variants() if list(build(*v).parameters())], indirect=True, ids=str)
def test_observed_pixels_do_reach_a_model_that_learns(model: Model) -> None:
    frames = clips()
    observed = future(4, 3).expand(2, -1, 1, 1, 1)
    changed = frames.clone()
    changed[:, 0] = 1 - changed[:, 0]
    assert not torch.allclose(model(frames, observed), model(changed, observed), atol=1e-7)


def test_a_clip_gives_the_same_alone_and_in_a_padded_batch(model: Model) -> None:
    lengths, contexts = (7, 4, 6), (5, 2, 6)
    frames = clips(3)
    valid = torch.arange(7) < torch.tensor(lengths)[:, None]
    observed = (torch.arange(7) < torch.tensor(contexts)[:, None])[:, :, None, None, None]
    together = model(frames, observed, valid)
    for i, length in enumerate(lengths):
        alone = model(frames[i : i + 1, :length], observed[i : i + 1, :length])
        torch.testing.assert_close(together[i : i + 1, :length], alone, atol=1e-5, rtol=1e-4)
        assert (together[i, length:] == 0).all()


@pytest.mark.parametrize(("context", "horizon"), [(1, 1), (2, 9), (9, 2), (5, 0)])
def test_any_context_and_horizon(model: Model, context: int, horizon: int) -> None:
    frames = clips(1, context + horizon)
    assert model(frames, future(context, horizon)[None]).isfinite().all()


def test_nothing_observed_has_a_defined_answer(model: Model) -> None:
    observed = torch.zeros(2, 5, 1, 1, 1, dtype=torch.bool)
    assert model(clips(2, 5), observed).isfinite().all()


def test_odd_sizes(model: Model) -> None:
    frames = clips(1, 5, (17, 13))
    observed = future(3, 2)[None]
    if model.frame_size is None:
        assert model(frames, observed).shape == frames.shape
    else:
        with pytest.raises(ShapeError, match="17x13"):
            model(frames, observed)


def test_every_parameter_learns(model: Model) -> None:
    batch = Batch.forecast(clips(), 4)
    prediction = model(batch.frames, batch.observed, batch.valid)
    given = model.given(batch.observed, batch.valid)
    if not list(model.parameters()):
        assert not prediction.requires_grad
        return
    (((prediction - batch.frames)[given] ** 2).sum() + sum(model.penalties().values())).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_weights_survive_saving_and_loading(model: Model, tmp_path) -> None:
    name = next(n for n, entry in ENTRIES.items() if type(model) is entry.model)
    weights.save(tmp_path / "weights", model, name, context=4, horizon=3, channels=1, height=16, width=16)
    loaded, found, contract = weights.load(tmp_path / "weights")
    assert (found, contract.context, contract.horizon) == (name, 4, 3)
    observed = future(4, 3).expand(2, -1, 1, 1, 1)
    assert torch.equal(loaded.eval()(clips(), observed), model(clips(), observed))


@pytest.mark.parametrize(
    ("frames", "observed", "valid"),
    [
        ((2, 5, 16, 16), (2, 5, 1, 1, 1), None),
        ((2, 0, 1, 16, 16), (2, 0, 1, 1, 1), None),
        ((2, 5, 1, 16, 16), (5, 1, 1, 1), None),
        ((2, 5, 1, 16, 16), (2, 4, 1, 1, 1), None),
        ((2, 5, 1, 16, 16), (2, 5, 1, 1, 1), (2, 4)),
    ],
)
def test_shapes_that_disagree_are_refused(model: Model, frames, observed, valid) -> None:
    flags = None if valid is None else torch.ones(valid, dtype=torch.bool)
    with pytest.raises(ShapeError, match="expected"):
        model(torch.zeros(frames), torch.ones(observed, dtype=torch.bool), flags)


def training_batches(model: Model) -> list[Batch]:
    """Shares of one clip, as processes may get them, of all that a model is trained on by default."""
    shares = [Batch.forecast(clips(1), 4 if "forecast" in model.tasks else 7)]
    if "recreate" in model.tasks:
        masking = MixedMasking(4, 0, "train")
        shares += [masking.hide(clips(1), np.array([number])) for number in range(20)]
    return shares


@pytest.mark.parametrize("model", [v for v in variants() if list(build(*v).parameters())], indirect=True, ids=str)
def test_every_step_gives_every_parameter_a_gradient(model: Model) -> None:
    """Else processes that average gradients would have to find out at each step which do not get one."""
    model.train()
    for batch in training_batches(model):
        model.zero_grad()
        prediction = model(batch.frames, batch.observed, batch.valid)
        loss = clip_loss(prediction, batch, model.given(batch.observed, batch.valid), "cross_entropy")
        (loss + sum(model.penalties().values())).backward()
        assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize(("name", "settings"), [one for one in variants() if list(build(*one).parameters())])
def test_a_batch_in_which_nothing_is_given_is_a_step_like_others(name: str, settings: dict) -> None:
    """A process's share of one clip may be such a batch: here only its last frame is seen."""
    model = build(name, settings).train()
    frames = torch.rand(1, 6, model.channels or 1, *(model.frame_size or (16, 16)))
    observed = torch.tensor([False] * 5 + [True])[None, :, None, None, None]
    model(frames, observed).sum().backward()
    if not model.given(observed, torch.ones(1, 6, dtype=torch.bool)).any():
        gradients = [parameter.grad for parameter in model.parameters()]
        assert all(gradient is not None and not gradient.any() for gradient in gradients)

"""What only masked_lstm does: it looks both ways, and at every channel alike."""

import dataclasses

import pytest
import torch

from frame_forecast.errors import ConfigError
from frame_forecast.models import create
from frame_forecast.models.masked_lstm import (
    MaskedLstm,
    MaskedLstmConfig,
    _copies,
    _reversal,
    _reverse,
    _share_forwards,
)
from frame_forecast.models.summary import summarise
from frame_forecast.nn.heads import MotionHead

TINY = MaskedLstmConfig(patch=4, width=8, hidden=8, mix=8, directions="bf")


def build(**settings: object) -> MaskedLstm:
    torch.manual_seed(0)
    model = MaskedLstm(dataclasses.replace(TINY, **settings))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


def influence(model: MaskedLstm, source: int, gap: list[int], frames: int = 7) -> list[bool]:
    """For each frame of the gap, whether its prediction depends on the source frame."""
    clip = torch.rand((1, frames, 1, 8, 8), generator=torch.Generator().manual_seed(1))
    observed = torch.ones((1, frames, 1, 1, 1), dtype=torch.bool)
    observed[0, gap] = False
    changed = clip.clone()
    changed[:, source] = 1 - changed[:, source]
    # training mode: without the second run, backwards
    before, after = model.train()(clip, observed), model(changed, observed)
    return [not torch.equal(before[0, t], after[0, t]) for t in gap]


def test_a_gap_is_filled_from_both_sides() -> None:
    assert influence(build(), source=0, gap=[2, 3, 4]) == [True] * 3
    assert influence(build(), source=6, gap=[2, 3, 4]) == [True] * 3


@pytest.mark.parametrize(("directions", "past", "future"), [("f", True, False), ("b", False, True)])
def test_one_layer_carries_one_way(directions: str, past: bool, future: bool) -> None:
    model = build(directions=directions)
    assert influence(model, source=0, gap=[3]) == [past]
    assert influence(model, source=6, gap=[3]) == [future]


def test_a_gap_is_the_same_backwards() -> None:
    """A clip whose holes lie in its middle gives, turned round, nearly the same turned round."""
    model = build(directions="bf")
    clip = torch.rand((1, 7, 1, 8, 8), generator=torch.Generator().manual_seed(1))
    observed = torch.ones((1, 7, 1, 1, 1), dtype=torch.bool)
    observed[0, 3] = False  # in the middle both runs count alike
    there, back = model(clip, observed), model(clip.flip(1), observed.flip(1)).flip(1)
    torch.testing.assert_close(there[:, 3], back[:, 3])
    assert not torch.allclose(model.train()(clip, observed), there.detach(), atol=1e-6)


def test_a_forecast_takes_one_run() -> None:
    clip = torch.rand((1, 7, 1, 8, 8), generator=torch.Generator().manual_seed(1))
    observed = (torch.arange(7) < 4).view(1, 7, 1, 1, 1)
    model = build()
    given, valid = model(clip, observed), torch.ones((1, 7), dtype=torch.bool)
    assert torch.equal(given, model._run(clip * observed, observed.expand(1, 7, 1, 8, 8), valid))


def test_what_is_wholly_observed_is_not_drawn_but_in_training() -> None:
    clip = torch.rand((2, 7, 2, 8, 8), generator=torch.Generator().manual_seed(1))
    observed = torch.ones((2, 7, 1, 8, 8), dtype=torch.bool)
    observed[0, 3], observed[1, 5, :, 2:4, 2:4] = False, False
    model = build()
    given, drawn = model(clip, observed), model.train()(clip, observed)
    whole = observed.flatten(2).all(dim=2)
    assert torch.equal(given[whole], clip[whole])
    assert (given[~whole] != clip[~whole]).any()
    assert (drawn[whole] != clip[whole]).any()


def test_frames_after_the_last_observed_trust_the_run_forwards() -> None:
    observed = torch.tensor([0, 1, 0, 1, 0, 0]).bool().view(1, 6, 1, 1, 1)
    share = _share_forwards(observed, torch.ones((1, 6), dtype=torch.bool)).flatten().tolist()
    assert share[0] == 0
    assert share[4:] == [1, 1]
    assert share[1:4] == pytest.approx([0.35, 0.45, 0.55])


def test_channels_are_treated_alike() -> None:
    model = build()
    clip = torch.rand((2, 5, 3, 9, 10), generator=torch.Generator().manual_seed(1))
    observed = torch.rand((2, 5, 1, 9, 10), generator=torch.Generator().manual_seed(2)) < 0.6
    together = model(clip, observed)
    alone = torch.cat([model(clip[:, :, c : c + 1], observed) for c in range(3)], dim=2)
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=1e-5)


def test_a_copy_is_never_of_the_frame_itself_nor_of_a_missing_pixel() -> None:
    """Frame t holds t + 1 where it is observed, and 0, as models get it, where not."""
    B, T, C, H, W = 2, 6, 2, 5, 7
    observed = torch.rand((B, T, 1, H, W), generator=torch.Generator().manual_seed(2)) < 0.6
    observed[1, 4:] = False  # as in a padded clip
    number = torch.arange(1.0, T + 1).view(1, T, 1, 1, 1).expand(B, T, C, H, W)
    copies, away = (x.view(T, B, C, 2, H, W).transpose(0, 1) for x in _copies(number * observed, observed))
    before, after = copies.unbind(dim=3)
    is_before, is_after = torch.isfinite(away).unbind(dim=3)
    assert torch.equal(away[:, :, :, 0][is_before], (number - before)[is_before])
    assert torch.equal(away[:, :, :, 1][is_after], (after - number)[is_after])
    assert ((before > 0) & (before < number))[is_before].all()
    assert (after > number)[is_after].all()
    past = observed.cumsum(dim=1) - observed.long()
    coming = observed.sum(dim=1, keepdim=True) - observed.cumsum(dim=1)
    assert torch.equal(is_before, (past > 0).expand_as(is_before))
    assert torch.equal(is_after, (coming > 0).expand_as(is_after))


def test_in_training_every_other_frame_is_made_of_copies_where_one_is_near() -> None:
    motion = MotionHead(width=5, patch=4)
    tokens, copies = torch.randn(3, 5, 2, 2), torch.rand(3, 2, 8, 8)
    away = torch.full((3, 2, 8, 8), float("inf"))
    away[0, 0], away[1, 1] = 2, 3  # near, not near, and none at all
    alone = torch.tensor([True, True, True])

    def uses_drawn(alone: torch.Tensor) -> list[bool]:
        one, other = (motion(tokens, torch.full((3, 1, 8, 8), v), copies, away, alone) for v in (0.2, 0.7))
        return [not torch.equal(a, b) for a, b in zip(one, other, strict=True)]

    with torch.no_grad():
        assert uses_drawn(alone) == [False, True, True]
        assert uses_drawn(~alone) == [True, True, True]


def test_with_flow_an_untrained_network_gives_nearly_what_optical_flow_does() -> None:
    model = MaskedLstm(dataclasses.replace(TINY, flow=True)).eval()
    wave = torch.arange(48.0)[None, :] + 1.7 * torch.arange(48.0)[:, None]
    frames = torch.stack([0.5 + 0.4 * torch.sin((wave - 1.5 * t) / 4) for t in range(7)])[None, :, None]
    observed = torch.tensor([True, True, True, False, True, False, False]).view(1, 7, 1, 1, 1)
    made, flow = model(frames, observed), create("optical_flow")(frames, observed)
    line = create("linear")(frames, observed)
    assert torch.equal(made[:, observed[0, :, 0, 0, 0]], frames[:, observed[0, :, 0, 0, 0]])
    assert (made - flow).abs().mean() < 0.25 * (line - flow).abs().mean()


def test_with_flow_what_rests_stays_as_it_is_whatever_was_learnt() -> None:
    model = MaskedLstm(dataclasses.replace(TINY, flow=True)).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    still = torch.rand((1, 1, 1, 16, 16), generator=torch.Generator().manual_seed(0)).repeat(1, 7, 1, 1, 1)
    observed = torch.tensor([True, True, False, False, True, True, False]).view(1, 7, 1, 1, 1)
    made = model(still, observed)
    torch.testing.assert_close(made, still, atol=0.02, rtol=0)


def test_with_flow_a_forecast_stays_within_what_each_pixel_showed_whatever_was_learnt() -> None:
    model = MaskedLstm(dataclasses.replace(TINY, flow=True)).eval()
    torch.nn.init.normal_(model.head.weight, std=10.0)
    frames = torch.rand(1, 8, 1, 24, 24, generator=torch.Generator().manual_seed(3))
    frames[..., :12] = frames[:, :1, :, :, :12]  # rests
    observed = (torch.arange(8) < 5).view(1, 8, 1, 1, 1)
    made = model(frames, observed)[:, 5:]
    flow = create("optical_flow")(frames, observed)[:, 5:]
    given = frames[:, :5]
    low, high = given.amin(dim=1, keepdim=True).minimum(flow), given.amax(dim=1, keepdim=True).maximum(flow)
    assert ((made >= low - 1e-6) & (made <= high + 1e-6)).all()
    assert (made - flow).abs().mean() > 0.1  # it is drawn upon
    torch.testing.assert_close(made[..., :6], flow[..., :6])


def test_with_flow_what_was_never_observed_is_drawn() -> None:
    model = MaskedLstm(dataclasses.replace(TINY, flow=True)).eval()
    torch.nn.init.normal_(model.head.weight, std=10.0)
    observed = torch.ones(1, 6, 1, 16, 16, dtype=torch.bool)
    observed[..., 4:8, 4:8] = False
    assert model(torch.zeros(1, 6, 1, 16, 16), observed)[..., 4:8, 4:8].any()


def test_with_flow_colours_move_alike() -> None:
    model = MaskedLstm(dataclasses.replace(TINY, flow=True)).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    frames = torch.rand((1, 5, 1, 16, 16), generator=torch.Generator().manual_seed(0))
    observed = torch.tensor([True, True, False, True, False]).view(1, 5, 1, 1, 1)
    grey = model(frames, observed)
    torch.testing.assert_close(model(frames.expand(1, 5, 3, 16, 16), observed), grey.expand(1, 5, 3, 16, 16))


def test_running_backwards_leaves_padding_at_the_end() -> None:
    valid = torch.arange(5) < torch.tensor([5, 2, 1])[:, None]
    tokens = torch.arange(5)[:, None].expand(5, 3)
    backwards = _reverse(tokens, _reversal(valid))
    assert backwards.T.tolist() == [[4, 3, 2, 1, 0], [1, 0, 2, 3, 4], [0, 1, 2, 3, 4]]
    assert torch.equal(_reverse(backwards, _reversal(valid)), tokens)


@pytest.mark.parametrize(
    "settings", [{"directions": ""}, {"directions": "fxb"}, {"kernel": 2}, {"patch": 0}, {"hidden": -1}]
)
def test_networks_that_cannot_be(settings: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="expected"):
        create("masked_lstm_small", **settings)


def test_the_presets_keep_their_promises() -> None:
    """At most 1 GMAC for 10 -> 10 at 64x64, and at most 16 million parameters."""
    assert summarise(create("masked_lstm_small")).gmac <= 1
    assert sum(parameter.numel() for parameter in create("masked_lstm").parameters()) <= 16e6

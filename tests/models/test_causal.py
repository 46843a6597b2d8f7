"""What the causal recurrent models share, and ConvLSTM and PredRNN themselves, against independent answers."""

import math
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from by_hand import convolve, gates, sigmoid
from frame_forecast.clip import Batch
from frame_forecast.errors import ConfigError
from frame_forecast.masks import future
from frame_forecast.models import Model, create, entry_of, find
from frame_forecast.models.conv_lstm import ConvLstm, ConvLstmConfig
from frame_forecast.models.predrnn import PredRnn, PredRnnConfig, SpatioTemporalLstmCell
from frame_forecast.nn.unroll import recomputing
from frame_forecast.training.module import clip_loss

NAMES = ("conv_lstm", "predrnn", "predrnn_pp", "mim", "mau", "phydnet", "swin_lstm")
SMALL = {
    "phydnet": {"residual": 6, "layers": 2, "kernel": 3},
    "swin_lstm": {"hidden": 6, "window": 2, "heads": 2, "blocks": 2, "middle_blocks": 1},
}


def build(name: str, **settings: object) -> Model:
    torch.manual_seed(0)
    entry = entry_of(name)
    small = SMALL.get(name, {"hidden": 6, "layers": 2, "kernel": 3})
    model = entry.model(type(entry.tiny)(**{**small, **settings}))
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model.eval()


def clips(batch: int = 2, frames: int = 8, size: int = 8) -> Tensor:
    return torch.rand((batch, frames, 1, size, size), generator=torch.Generator().manual_seed(1))


def frame_mask(text: str, batch: int = 2) -> Tensor:
    """bool ``(B, T, 1, 1, 1)`` from a letter a frame: ``x`` = observed."""
    return torch.tensor([letter == "x" for letter in text])[None, :, None, None, None].expand(batch, -1, 1, 1, 1)


@pytest.fixture(params=NAMES)
def model(request: pytest.FixtureRequest) -> Model:
    return build(request.param)


@pytest.mark.parametrize(
    ("preset", "biases", "published"),
    [
        ("conv_lstm", 4 * 4 * 128 + 16, 15.0 - 3.4),
        ("predrnn", 4 * 7 * 128 + 16, 23.8),
        ("predrnn_v2", 4 * 7 * 128 + 16, 23.9),
        ("predrnn_pp", 4 * 7 * 128 + 2 * 128 + 16, 38.6 - 3.3),
        ("mim", 7 * 128 + 3 * 12 * 128 + 16, 38.0 - 0.7),
        ("mau", 4 * 3 * 8 * 64 + 5 * 64 + 1, 4.5 - 1.0),
    ],
)
def test_presets_have_the_published_sizes(preset: str, biases: int, published: float) -> None:
    model = create(preset)
    parameters = sum(p.numel() for p in model.parameters())
    assert f"{parameters:,}" in str(type(model).__doc__)
    assert sum(p.numel() for p in model.parameters() if p.ndim == 1) == biases
    assert (parameters - biases) / 1e6 == pytest.approx(published, abs=0.1)


def test_conv_lstm_of_1x1_kernels_on_1x1_frames_is_torch_lstm() -> None:
    torch.manual_seed(0)
    model = ConvLstm(ConvLstmConfig(channels=3, patch=1, hidden=5, layers=2, kernel=1)).eval()
    lstm = nn.LSTM(3, 5, num_layers=2)
    with torch.no_grad():
        for number, cell in enumerate(model.cells):
            getattr(lstm, f"weight_ih_l{number}").copy_(cell.input.weight[:, :, 0, 0])
            getattr(lstm, f"weight_hh_l{number}").copy_(cell.state.weight[:, :, 0, 0])
            getattr(lstm, f"bias_ih_l{number}").copy_(cell.state.bias)
            getattr(lstm, f"bias_hh_l{number}").zero_()
    frames = torch.rand(2, 6, 3, 1, 1)
    found = model(frames, future(4, 2)[None].expand(2, -1, -1, -1, -1))[..., 0, 0]  # (B, T, C)

    def head(h: Tensor) -> Tensor:
        return torch.sigmoid(h @ model.head.weight[:, :, 0, 0].T + model.head.bias)

    outputs, state = lstm(frames[:, :4, :, 0, 0].transpose(0, 1))
    expected = list(head(outputs))  # frames 1 .. 4
    (output,), _ = lstm(expected[-1][None], state)
    torch.testing.assert_close(found[:, 1:], torch.stack([*expected, head(output)], dim=1))


def test_spatiotemporal_lstm_step_by_hand() -> None:
    """One step of the paper's equations in NumPy, gate by gate, each convolution a plain loop over pixels."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    cell = SpatioTemporalLstmCell(3, 2, kernel=3).double()
    nn.init.normal_(cell.input.bias)
    x, h, c, m = (rng.normal(size=(n, 3, 4)) for n in (3, 2, 2, 2))
    of_x = [convolve(kernel, x) + bias for kernel, bias in gates(cell.input, 7)]
    of_h = [convolve(kernel, h) for kernel, _ in gates(cell.state, 4)]
    of_m = [convolve(kernel, m) for kernel, _ in gates(cell.memory, 3)]
    squashes = (sigmoid, sigmoid, np.tanh)
    i, f, g = (squash(of_x[n] + of_h[n]) for n, squash in enumerate(squashes))
    new_c = f * c + i * g
    i2, f2, g2 = (squash(of_x[4 + n] + of_m[n]) for n, squash in enumerate(squashes))
    new_m = f2 * m + i2 * g2
    both = np.concatenate([new_c, new_m])
    o = sigmoid(of_x[3] + of_h[3] + convolve(cell.output.weight.detach().numpy(), both))
    new_h = o * np.tanh(convolve(cell.merge.weight.detach().numpy(), both))

    inputs = [torch.from_numpy(value)[None] for value in (x, h, c, m)]
    found = cell(cell.input(inputs[0]), *inputs[1:])
    for value, expected in zip(found, (new_h, new_c, new_m, i * g, i2 * g2), strict=True):
        np.testing.assert_allclose(value[0].detach(), expected, atol=1e-12)


def test_memory_zigzags_through_layers_and_steps() -> None:
    """PredRNN's layers and steps called one after the other."""
    model = build("predrnn", layers=3, patch=2)
    assert isinstance(model, PredRnn)
    frames, (zigzag,) = clips(size=4), model.cells
    observed = frame_mask("xxxxx...")
    h = c = [torch.zeros(2, 6, 2, 2)] * 3
    h, c, m = list(h), list(c), torch.zeros(2, 6, 2, 2)
    frame, expected = frames[:, 0], []
    for t in range(7):
        x = F.pixel_unshuffle(frame, 2)
        for number, layer in enumerate((zigzag.lowest, *zigzag.above)):
            h[number], c[number], m, _, _ = layer(layer.input(x), h[number], c[number], m)
            x = h[number]
        expected.append(F.pixel_shuffle(torch.sigmoid(model.head(x)), 2))
        frame = frames[:, t + 1] if t + 1 < 5 else expected[-1]
    torch.testing.assert_close(model(frames, observed)[:, 1:], torch.stack(expected, dim=1))


def test_a_frame_is_given_before_it_is_read(model: Model) -> None:
    frames, observed = clips(), frame_mask("xxxxxx..")
    changed = frames.clone()
    changed[:, 3] = 1 - changed[:, 3]
    before, after = model(frames, observed), model(changed, observed)
    torch.testing.assert_close(before[:, :4], after[:, :4], rtol=0, atol=1e-6)
    for t in range(4, 8):
        assert not torch.allclose(before[:, t], after[:, t], atol=1e-6)


def test_a_forecast_reads_what_it_gave(model: Model) -> None:
    """One frame at a time, each added to what is observed."""
    frames = clips()[:, :3]
    whole = model(torch.cat([frames, torch.zeros_like(frames)], dim=1), frame_mask("xxx..."))
    for t in range(3, 6):
        canvas = torch.cat([frames, torch.zeros_like(frames[:, :1])], dim=1)
        step = model(canvas, frame_mask("x" * t + "."))[:, -1:]
        torch.testing.assert_close(step, whole[:, t : t + 1])
        frames = torch.cat([frames, step], dim=1)


def test_hidden_pixels_of_a_frame_are_read_as_they_were_given(model: Model) -> None:
    frames = clips()
    holes = frame_mask("xxxxxxx.").expand(2, 8, 1, 8, 8).clone()
    holes[:, 4, :, 2:5, 3:7] = False
    model.train()  # forwards alone
    made = model(frames, holes)
    filled = torch.where(holes, frames, made)
    torch.testing.assert_close(made, model(filled, frame_mask("xxxxxxx.")))


def test_revealed_frames_change_nothing_up_to_them(model: Model) -> None:
    """Scheduled sampling: a mask alone."""
    model.train()
    frames = clips()
    hidden, revealed = model(frames, frame_mask("xxx.....")), model(frames, frame_mask("xxx..x.."))
    torch.testing.assert_close(hidden[:, :6], revealed[:, :6])
    assert not torch.allclose(hidden[:, 6:], revealed[:, 6:], atol=1e-6)


def test_a_clip_begins_with_its_first_observed_frame(model: Model) -> None:
    frames = clips()
    late, soon = model(frames, frame_mask("..xxx...")), model(frames[:, 2:], frame_mask("xxx..."))
    torch.testing.assert_close(late[:, 5:], soon[:, 3:])


def test_what_is_missing_before_is_recreated_backwards(model: Model) -> None:
    frames = clips()
    made = model(frames, frame_mask("...xxxxx"))
    ahead = model(frames.flip(1), frame_mask("xxxxx..."))
    torch.testing.assert_close(made[:, :3], ahead.flip(1)[:, :3])
    assert model.given(frame_mask("...xxxxx"), torch.ones(2, 8, dtype=torch.bool)).all()


def test_a_gap_is_filled_from_both_sides_by_nearness(model: Model) -> None:
    frames, gap = clips(), frame_mask("xxx..xxx")
    made = model(frames, gap)
    ahead = model(frames, frame_mask("xxx....."))
    back = model(frames.flip(1), frame_mask("xxx.....")).flip(1)
    torch.testing.assert_close(made[:, 3], (2 * ahead[:, 3] + back[:, 3]) / 3)
    torch.testing.assert_close(made[:, 4], (ahead[:, 4] + 2 * back[:, 4]) / 3)
    torch.testing.assert_close(model(frames.flip(1), gap), made.flip(1))


def test_other_clips_of_a_batch_do_not_matter(model: Model) -> None:
    masks = ["xxxxx...", "..xx.x..", "xx.x....", "........"]
    frames, observed = clips(len(masks)), torch.cat([frame_mask(mask, 1) for mask in masks])
    together = model(frames, observed)
    given = model.given(observed, torch.ones(len(masks), 8, dtype=torch.bool))
    for i in range(len(masks)):
        torch.testing.assert_close(together[i : i + 1], model(frames[i : i + 1], observed[i : i + 1]))
    assert (together[~given] == 0).all()
    assert (together[given] > 0).all()
    assert not given[3].any()


def test_in_training_only_what_follows_is_given(model: Model) -> None:
    model.train()
    frames, observed = clips(), frame_mask("..xx..x.")
    given = model.given(observed, torch.ones(2, 8, dtype=torch.bool))
    assert given[0].tolist() == [False] * 3 + [True] * 5
    assert (model(frames, observed)[~given] == 0).all()


def test_half_precision_keeps_memories_and_pixels_float32(model: Model) -> None:
    frames, observed = clips(), frame_mask("xxxxx...")
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        made = model(frames, observed)
    assert made.dtype == torch.float32
    torch.testing.assert_close(made, model(frames, observed), atol=0.05, rtol=0)


def test_decoupling_is_the_mean_cosine_of_what_both_memories_gained() -> None:
    model = build("predrnn", layers=1, decoupling=0.5)
    frames = clips(frames=2)
    model(frames, frame_mask("x."))
    penalty = model.penalties()["decoupling"]
    (zigzag,) = model.cells
    x = F.pixel_unshuffle(frames[:, 0], 4)
    zeros = torch.zeros(2, 6, 2, 2)
    *_, gain_c, gain_m = zigzag.lowest(zigzag.lowest.input(x), zeros, zeros, zeros)
    weight = zigzag.adapter.weight[:, :, 0, 0]
    a, b = (torch.einsum("kd,bdhw->bkhw", weight, gain).flatten(2) for gain in (gain_c, gain_m))
    cosine = (a * b).sum(dim=2) / (a.norm(dim=2) * b.norm(dim=2))
    torch.testing.assert_close(penalty, 0.5 * cosine.abs().mean())
    assert model.penalties() == {}, "given twice"
    with torch.no_grad():
        model(frames, frame_mask("x."))
    assert model.penalties() == {}


def test_decoupling_keeps_the_prediction() -> None:
    plain, decoupled = build("predrnn"), build("predrnn", decoupling=0.1)
    decoupled.load_state_dict(plain.state_dict(), strict=False)
    torch.testing.assert_close(plain(clips(), frame_mask("xxx.....")), decoupled(clips(), frame_mask("xxx.....")))


@pytest.mark.parametrize(
    ("settings", "word"),
    [({"kernel": 4}, "kernel"), ({"layers": 0}, "layers"), ({"decoupling": -1.0}, "decoupling"),
     ({"decoupling": math.nan}, "decoupling")],
)  # fmt: skip
def test_networks_that_cannot_be_are_named(settings: dict, word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        PredRnnConfig(**settings)


def moving_squares(count: int = 16, frames: int = 8, size: int = 16) -> Tensor:
    """Squares of 6x6 pixels, each on its own way, round the borders: ``(count, frames, 1, size, size)``."""
    rng = np.random.default_rng(0)
    made = torch.zeros((count, frames, 1, size, size))
    square = torch.zeros((size, size))
    square[:6, :6] = 1.0
    for clip in made:
        (y, x), (dy, dx) = rng.integers(0, size, 2).tolist(), rng.choice([-2, -1, 1, 2], 2).tolist()
        for t in range(frames):
            clip[t, 0] = square.roll((y + t * dy, x + t * dx), (0, 1))
    return made


@pytest.mark.parametrize(
    ("preset", "settings", "rate"),
    [
        ("conv_lstm", {}, 0.02),
        ("predrnn", {}, 0.02),
        ("predrnn_v2", {"decoupling": 0.1}, 0.02),
        ("predrnn_pp", {}, 0.02),
        ("mim", {}, 0.02),
        ("mau", {}, 0.02),
        ("simvp", {}, 0.02),
        ("phydnet", {}, 0.005),
        ("swin_lstm", {}, 0.003),
    ],
)
def test_learns_a_few_clips(preset: str, settings: dict, rate: float) -> None:
    torch.manual_seed(0)
    entry, _ = find(preset)
    model = entry.model(type(entry.tiny)(**{**vars(entry.tiny), **settings}))
    batch = Batch.forecast(moving_squares(), 4)
    model.start_at_mean(batch.frames.mean().item())
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    given = model.given(batch.observed, batch.valid)
    losses: list[float] = []
    while len(losses) < 200 and not (losses and losses[-1] < losses[0] / 5):
        loss = clip_loss(model(batch.frames, batch.observed, batch.valid), batch, given, "cross_entropy")
        losses.append(loss.item())
        optimizer.zero_grad()
        (loss + sum(model.penalties().values())).backward()
        optimizer.step()
    assert losses[-1] < losses[0] / 5


def kept_for_gradients(model: Model, recompute: bool) -> tuple[list[Tensor], int]:
    """The gradients of a training step, and how many bytes of tensors were kept for them at once."""
    storages: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    model.zero_grad()
    frames, observed = clips(frames=14, size=32), frame_mask("xxxxxx........")
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        with recomputing() if recompute else nullcontext():
            made = model(frames, observed)
        kept = sum(storages.values())
        loss = (made - frames).square().mean() + sum(model.penalties().values())
    loss.backward()
    return [parameter.grad for parameter in model.parameters() if parameter.grad is not None], kept


@pytest.mark.parametrize(("name", "settings"), [("conv_lstm", {}), ("predrnn", {"decoupling": 0.1})])
def test_steps_computed_again_give_the_same_gradients_and_keep_less(name: str, settings: dict) -> None:
    model = build(name, hidden=128, kernel=5, **settings).train()  # so many channels that kernels are transformed
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(0.1)  # or a last bit would grow along 13 steps
    (expected, whole), (found, less) = (kept_for_gradients(model, recompute) for recompute in (False, True))
    assert len(found) == len(expected) == len(list(model.parameters()))
    for one, other in zip(found, expected, strict=True):
        assert (one - other).norm() <= 1e-3 * other.norm()  # scan and steps add in another order
    assert less < whole / 2

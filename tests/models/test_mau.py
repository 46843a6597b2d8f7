"""MAU's unit against the equations by hand, and its encoder, layers and decoder called one after the other."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from by_hand import convolve, gates, sigmoid
from frame_forecast.errors import ConfigError
from frame_forecast.models.mau import Mau, MauCell, MauConfig


def normed(layer: nn.Sequential, maps: np.ndarray) -> list[np.ndarray]:
    """What a convolution makes of maps, normalised as a whole, then cut up into states of 2 channels."""
    convolution, norm = layer
    assert isinstance(convolution, nn.Conv2d)
    assert isinstance(norm, nn.GroupNorm)
    ((kernel, bias),) = gates(convolution, 1)
    made = convolve(kernel, maps) + bias
    made = (made - made.mean()) / np.sqrt(made.var() + norm.eps)
    scale, shift = (p.detach().numpy()[:, None, None] for p in (norm.weight, norm.bias))
    return np.split(scale * made + shift, len(made) // 2)


def test_unit_step_by_hand() -> None:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    unit = MauCell(2, kernel=3, tau=3).double()
    for parameter in unit.parameters():
        nn.init.normal_(parameter, std=0.5)
    s, *past = rng.normal(size=(7, 2, 3, 4))
    motions, appearances = past[:3], past[3:]

    (key,) = normed(unit.key, s)
    likeness = [math.exp((appearance * key).sum() / math.sqrt(2 * 3 * 4)) for appearance in appearances]
    trend = sum(a / sum(likeness) * motion for a, motion in zip(likeness, motions, strict=True))
    u = sigmoid(normed(unit.keep, motions[0])[0])
    r = u * motions[0] + (1 - u) * trend
    p, t_t, t_s = normed(unit.motion, r)
    q, s_t, s_s = normed(unit.appearance, s)
    new_t = sigmoid(p) * t_t + (1 - sigmoid(p)) * s_t
    new_s = sigmoid(q) * s_s + (1 - sigmoid(q)) * t_s

    of_s, *state = (torch.from_numpy(value)[None] for value in (s, *past))
    output, found = unit(unit.project(of_s), tuple(state))
    expected = (new_s, new_t, *motions[:2], s, *appearances[:2])
    for value, number in zip((output, *found), expected, strict=True):
        np.testing.assert_allclose(value[0].detach(), number, atol=1e-12)


def test_units_stand_between_encoder_and_decoder() -> None:
    """Layers and steps called one after the other, on frames instead of patches."""
    torch.manual_seed(0)
    model = Mau(MauConfig(patch=4, hidden=3, layers=2, kernel=3, tau=2)).eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    frames = torch.rand(2, 6, 1, 8, 8)
    observed = torch.tensor([True] * 4 + [False] * 2)[None, :, None, None, None].expand(2, -1, -1, -1, -1)
    lowest, highest = model.cells
    first, second, third = (layer for layer in lowest.encoder if isinstance(layer, nn.Conv2d))
    up, further = (layer for layer in model.head if isinstance(layer, nn.ConvTranspose2d))
    (pixels,) = model.output_layers()
    states = [(torch.zeros(2, 3, 2, 2),) * 4] * 2
    frame, expected = frames[:, 0], []
    for t in range(5):
        s = frame
        for layer in (first, second, third):
            s = F.leaky_relu(layer(s), 0.2)
        lowest.encoder, encoder = None, lowest.encoder
        for number, unit in enumerate((lowest, highest)):
            s, states[number] = unit(unit.project(s), states[number])
        lowest.encoder = encoder
        expected.append(torch.sigmoid(pixels(further(F.leaky_relu(up(s), 0.2)))))
        frame = frames[:, t + 1] if t + 1 < 4 else expected[-1]
    torch.testing.assert_close(model(frames, observed)[:, 1:], torch.stack(expected, dim=1))


@pytest.mark.parametrize(("settings", "word"), [({"patch": 3}, "power of 2"), ({"tau": 0}, "tau")])
def test_networks_that_cannot_be_are_named(settings: dict, word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        MauConfig(**settings)

"""PhyDNet against its equations."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from frame_forecast.errors import ConfigError
from frame_forecast.masks import future
from frame_forecast.models import create
from frame_forecast.models.phydnet import PhyCell, PhyDNet, PhyDNetConfig, moment_distance

STENCILS = torch.tensor([[0.0, 1.0, 0.0], [-0.5, 0.0, 0.5], [1.0, -2.0, 1.0]])
"""Central differences of order 0, 1 and 2."""


def build(**settings: object) -> PhyDNet:
    torch.manual_seed(0)
    model = PhyDNet(PhyDNetConfig(**{"layers": 2, "kernel": 3, "residual": 6, **settings}))  # pyright: ignore[reportArgumentType]
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model.eval()


def derivatives(inputs: int) -> Tensor:
    """Filters of 3x3 that are partial derivatives, ``(9, inputs, 3, 3)``."""
    return torch.einsum("iu,jv->ijuv", STENCILS, STENCILS).reshape(9, 1, 3, 3).repeat(1, inputs, 1, 1)


def test_the_preset_has_the_published_size() -> None:
    model = create("phydnet")
    parameters = sum(p.numel() for p in model.parameters())
    assert f"{parameters:,}" in str(PhyDNet.__doc__)
    assert parameters / 1e6 == pytest.approx(3.1, abs=0.05)


def test_phycell_by_hand() -> None:
    """Prediction and correction in NumPy, each convolution a plain loop over pixels."""
    torch.manual_seed(0)
    hidden, H, W = 2, 3, 4
    cell = PhyCell(hidden, kernel=3).double()
    for parameter in cell.parameters():
        nn.init.normal_(parameter, std=0.5)
    kernels = {name: value.numpy() for name, value in cell.state_dict().items()}
    rng = np.random.default_rng(0)
    x, h = rng.normal(size=(2, hidden, H, W))

    def convolve(name: str, maps: np.ndarray) -> np.ndarray:
        kernel = kernels[f"{name}.weight"]
        size = kernel.shape[-1]
        padded = np.pad(maps, ((0, 0), (size // 2, size // 2), (size // 2, size // 2)))
        out = np.zeros((len(kernel), H, W))
        for k, row, column in np.ndindex(*out.shape):
            out[k, row, column] = (kernel[k] * padded[:, row : row + size, column : column + size]).sum()
        return out + kernels.get(f"{name}.bias", np.zeros(len(kernel)))[:, None, None]

    orders = convolve("derivatives", h).reshape(3, -1)  # three orders across for each order down
    orders = (orders - orders.mean(axis=1, keepdims=True)) / np.sqrt(orders.var(axis=1, keepdims=True) + 1e-5)
    weight, bias = (kernels[f"norm.{name}"][:, None, None] for name in ("weight", "bias"))
    predicted = h + convolve("coefficients", orders.reshape(9, H, W) * weight + bias)
    gain = 1 / (1 + np.exp(-(convolve("input", x) + convolve("state", h))))
    expected = predicted + gain * (x - predicted)

    seen, state = torch.from_numpy(x)[None], torch.from_numpy(h)[None]
    found = cell(seen, cell.input(seen), state)[0].detach()
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_finite_differences_have_the_moments_of_derivatives() -> None:
    assert moment_distance(derivatives(4)).item() == pytest.approx(0, abs=1e-12)


def test_moment_distance_by_hand() -> None:
    filters = torch.randn((9, 2, 3, 3), generator=torch.Generator().manual_seed(0))
    total = 0.0
    for order, kernel in enumerate(filters):
        for weights in kernel.tolist():
            for i, j in np.ndindex(3, 3):
                moment = sum(
                    (row - 1) ** i * (column - 1) ** j * weights[row][column] for row, column in np.ndindex(3, 3)
                ) / (math.factorial(i) * math.factorial(j))
                total += (moment - (order == 3 * i + j)) ** 2
    assert moment_distance(filters).item() == pytest.approx(total / (9 * 2), rel=1e-5)


def test_two_dynamics_meet_in_the_decoder() -> None:
    """The network's parts called one after the other, one step at a time."""
    model = build()
    frames = torch.rand((1, 2, 1, 8, 8), generator=torch.Generator().manual_seed(1))
    dynamics, decoder = model.cells
    physical, states = torch.zeros(1, 64, 2, 2), [(torch.zeros(1, n, 2, 2),) * 2 for n in (6, 64)]
    frame, expected = frames[:, 0], []
    for t in range(4):
        features = dynamics.encoder(frame)
        seen, x = dynamics.to_physics(features), dynamics.to_residual(features)
        physical = dynamics.physics(seen, dynamics.physics.input(seen), physical)
        for number, layer in enumerate((dynamics.lowest, *dynamics.above)):
            x, states[number] = layer(layer.project(x), states[number])
        drawn = model.head(decoder.shared(decoder.of_physics(physical) + decoder.of_residual(x)))
        expected.append(torch.sigmoid(drawn))
        frame = frames[:, 1] if t == 0 else expected[-1]
    canvas = torch.cat([frames, torch.zeros(1, 3, 1, 8, 8)], dim=1)
    torch.testing.assert_close(model(canvas, future(2, 3)[None])[:, 1:], torch.stack(expected, dim=1))


def test_the_penalty_is_the_distance_of_its_filters_to_derivatives() -> None:
    model = build(moments=0.5)
    filters = model.cells[0].physics.derivatives.weight
    frames, observed = torch.rand(1, 3, 1, 8, 8), future(2, 1)[None]
    with torch.autocast("cpu", torch.bfloat16):
        model(frames, observed)
        penalty = model.penalties()["moments"]
    torch.testing.assert_close(penalty, 0.5 * moment_distance(filters))
    assert model.penalties() == {}, "given twice"
    filters.data.copy_(derivatives(64))
    model(frames, observed)
    assert model.penalties()["moments"].item() == pytest.approx(0, abs=1e-9)
    with torch.no_grad():
        model(frames, observed)
    assert model.penalties() == {}
    unpenalised = build(moments=0.0)
    unpenalised(frames, observed)
    assert unpenalised.penalties() == {}


@pytest.mark.parametrize(
    ("settings", "word"),
    [({"hidden": 32}, "hidden"), ({"hidden": 72}, "hidden"), ({"residual": 0}, "residual"), ({"kernel": 6}, "kernel"),
     ({"moments": -1.0}, "moments"), ({"moments": math.nan}, "moments")],
)  # fmt: skip
def test_networks_that_cannot_be_are_named(settings: dict, word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        PhyDNetConfig(**settings)

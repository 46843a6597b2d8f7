"""PhyDNet: what follows an equation beside what does not."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from frame_forecast.errors import ConfigError
from frame_forecast.models.causal import CausalConfig, CausalModel
from frame_forecast.models.registry import register
from frame_forecast.nn.cells import Cell, ConvLstmCell, Feedforward, State

_GROUPS = 16  # of channels that are normalised together
_SHRINK = 4  # how many times smaller the encoder makes height and width


@dataclass(frozen=True)
class PhyDNetConfig(CausalConfig):
    """The network; the rest see `CausalConfig`.

    Args:
        patch: 1, unless the encoder is to begin with patches.
        hidden: channels of the encoder's features and of both cells that are drawn; a multiple of 32, 64 or more.
        layers: of ConvLSTM.
        kernel: odd size of the filters that stand for partial derivatives, which are ``kernel**2``.
        residual: channels of the ConvLSTM's layers below the highest.
        moments: weight of the penalty on filters that are no partial derivatives; 0 = there is none.
    """

    patch: int = 1
    hidden: int = 64
    layers: int = 3
    kernel: int = 7
    residual: int = 128
    moments: float = 0.07

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.hidden % (2 * _GROUPS) or self.hidden < 4 * _GROUPS:
            raise ConfigError(f"hidden={self.hidden}", "a multiple of 32, 64 or more", "set another hidden")
        if not 1 <= self.residual <= 10**6:
            raise ConfigError(f"residual={self.residual}", "1 to 1000000", "set another residual")
        if not 0 <= self.moments < math.inf:
            raise ConfigError(f"moments={self.moments}", "0 or more, and finite", "set another moments")

    @property
    def multiple(self) -> int:
        return _SHRINK * self.patch


class PhyCell(nn.Module):
    """One step of a partial differential equation, corrected by what was seen; ``*`` is a convolution::

        h~ = h + W_c * N(D * h)
        K = sigmoid(W_x * x + W_h * h + b)
        h' = h~ + K (x - h~)

    ``D`` has a filter for each partial derivative of order up to ``kernel - 1`` in either direction, which its
    penalty (`moment_distance`) makes it; the 1x1 ``W_c`` has the equation's coefficients. ``N`` normalises groups
    of channels. ``h`` stays float32 under autocast, being a sum over time.

    Args:
        hidden: channels of ``x`` and ``h``.
        kernel: odd size of the filters.
    """

    def __init__(self, hidden: int, kernel: int) -> None:
        super().__init__()
        self.derivatives = nn.Conv2d(hidden, kernel**2, kernel, padding=kernel // 2)
        self.norm = nn.GroupNorm(kernel, kernel**2)
        self.coefficients = nn.Conv2d(kernel**2, hidden, 1)
        self.input = nn.Conv2d(hidden, hidden, 3, padding=1, bias=False)
        self.state = nn.Conv2d(hidden, hidden, 3, padding=1)

    def forward(self, x: Tensor, projected: Tensor, h: Tensor) -> Tensor:
        """One step.

        Args:
            x: ``(B, hidden, H, W)``.
            projected: ``input(x)``.
            h: of the step before, as ``x``.

        Returns:
            The new ``h``.
        """
        predicted = h + self.coefficients(self.norm(self.derivatives(h)))
        gain = torch.sigmoid(projected + self.state(h))
        return torch.lerp(predicted, x.to(h.dtype), gain.to(h.dtype))


def moment_distance(filters: Tensor) -> Tensor:
    """How far filters are from partial derivatives: the squared distance between the moments of both, a scalar, the
    mean over filters.

    Moment ``(i, j)`` of a filter ``w`` is the sum of ``u**i v**j w(u, v) / (i! j!)``, with ``u`` and ``v`` counted
    from its centre. The derivative of order ``i`` down and ``j`` across has this one 1 and the others 0.

    Args:
        filters: ``(k * k, inputs, k, k)``, that of order ``(i, j)`` at ``k * i + j``.
    """
    k = filters.shape[-1]
    order = torch.arange(k, device=filters.device)[:, None]
    place = torch.arange(k, device=filters.device) - k // 2
    powers = place.to(filters.dtype) ** order / torch.lgamma(order + 1.0).exp()  # (orders, k)
    moments = powers @ filters @ powers.T  # (k * k, inputs, k, k)
    wanted = torch.eye(k * k, device=filters.device).view(k * k, 1, k, k)
    return (moments - wanted).square().sum(dim=(2, 3)).mean()


def _block(convolution: nn.Conv2d | nn.ConvTranspose2d) -> nn.Sequential:
    """A convolution, normalised, with a leaky ReLU."""
    return nn.Sequential(convolution, nn.GroupNorm(_GROUPS, convolution.out_channels), nn.LeakyReLU(0.2))


def _branch(hidden: int) -> nn.Sequential:
    """What one of the two kinds of dynamics has of encoder or decoder to itself."""
    return nn.Sequential(*(_block(nn.Conv2d(hidden, hidden, 3, padding=1)) for _ in range(2)))


def _doubled(inputs: int, outputs: int) -> nn.ConvTranspose2d:
    """A convolution that doubles height and width."""
    return nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1)


class _Dynamics(Cell):
    """Encoder, `PhyCell` and the ConvLSTM beside it, as one cell whose output is that of both, one after the other.

    The state is that of the `PhyCell`, and every layer's ``h`` and ``c``.
    """

    def __init__(self, config: PhyDNetConfig) -> None:
        super().__init__()
        hidden = config.hidden
        self.encoder = nn.Sequential(
            _block(nn.Conv2d(config.pixels, hidden // 2, 3, stride=2, padding=1)),
            _block(nn.Conv2d(hidden // 2, hidden // 2, 3, padding=1)),
            _block(nn.Conv2d(hidden // 2, hidden, 3, stride=2, padding=1)),
        )
        self.to_physics, self.to_residual = _branch(hidden), _branch(hidden)
        self.physics = PhyCell(hidden, config.kernel)
        sizes = [hidden, *[config.residual] * (config.layers - 1), hidden]
        self.lowest, *above = [ConvLstmCell(n, m) for n, m in pairwise(sizes)]
        self.above = nn.ModuleList(above)

    def layers(self) -> Sequence[ConvLstmCell]:
        """Of the ConvLSTM, the lowest first."""
        return [self.lowest, *(layer for layer in self.above if isinstance(layer, ConvLstmCell))]

    def project(self, x: Tensor) -> Tensor:
        features = self.encoder(x)
        seen = self.to_physics(features)
        return torch.cat([seen, self.physics.input(seen), self.lowest.project(self.to_residual(features))], dim=1)

    def forward(self, projected: Tensor | None, state: State) -> tuple[Tensor, State]:
        assert projected is not None, "this cell has an input"
        physical, *before = state
        hidden = physical.shape[1]
        seen, gain, x = projected.split([hidden, hidden, projected.shape[1] - 2 * hidden], dim=1)
        physical, after = self.physics(seen, gain, physical), []
        for layer, h, c in zip(self.layers(), before[::2], before[1::2], strict=True):
            x, (h, c) = layer(x if layer is self.lowest else layer.project(x), (h, c))
            after += [h, c]
        return torch.cat([physical, x.to(physical.dtype)], dim=1), (physical, *after)


class _Decoder(Feedforward):
    """All of the decoder but its last layer."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.of_physics, self.of_residual = _branch(hidden), _branch(hidden)
        self.shared = nn.Sequential(
            _block(_doubled(hidden, hidden // 2)), _block(nn.Conv2d(hidden // 2, hidden // 2, 3, padding=1))
        )

    def project(self, x: Tensor) -> Tensor:
        physical, residual = x.chunk(2, dim=1)
        return self.shared(self.of_physics(physical) + self.of_residual(residual))


@register(
    "phydnet",
    PhyDNetConfig,
    presets={"phydnet": PhyDNetConfig()},
    tiny=PhyDNetConfig(layers=2, kernel=3, residual=8),
)
class PhyDNet(CausalModel):
    """Two kinds of dynamics, one next to the other between a shared encoder and decoder (Le Guen & Thome,
    "Disentangling physical dynamics from unknown factors for unsupervised video prediction", CVPR 2020): `PhyCell`,
    a partial differential equation that is learnt and corrected by what was seen (the paper's prediction, correction
    and Kalman gain), and a ConvLSTM for the rest. What the two give is added before a frame is drawn. Sizes are those
    of benchmarks.

    The paper's moment loss is a penalty on training (`moment_distance`). There, and in benchmarks, it has the weight
    1 beside an error that is summed over 19 frames, and is a sum over input channels; both are means here, which
    ``moments`` makes up for: 0.07 is 64 / (19 * 49).

    Departures from the paper, which benchmarks share: the gain is a sigmoid of the state before the prediction, not of
    the prediction; derivatives are normalised. Layers that keep height and width are convolutions, not transposed
    ones, which is the same with kernels turned round. As everywhere here, pixels that are missing are read as they
    were given, also by `PhyCell`, whose gain can be 0.

    The preset has 3,091,732 parameters; 3.1 million are published.
    """

    def __init__(self, config: PhyDNetConfig) -> None:
        cells = [_Dynamics(config), _Decoder(config.hidden)]
        super().__init__(config, cells, _doubled(config.hidden // 2, config.pixels))
        self._penalty: Tensor | None = None

    def penalties(self) -> dict[str, Tensor]:
        penalty, self._penalty = self._penalty, None
        return {} if penalty is None else {"moments": penalty}

    def _start(self, x: Tensor) -> list[State]:
        config, small = self.config, x[..., ::_SHRINK, ::_SHRINK]
        widths = [*[config.residual] * (config.layers - 1), config.hidden]
        states = [self._zeros(small, width) for width in widths for _ in "hc"]
        return [(self._zeros(small, config.hidden), *states), ()]

    def _finish(self, states: list[State], steps: int) -> None:
        if self.config.moments and torch.is_grad_enabled():
            dynamics = self.cells[0]
            assert isinstance(dynamics, _Dynamics)
            filters = dynamics.physics.derivatives.weight
            with torch.autocast(filters.device.type, enabled=False):
                self._penalty = self.config.moments * moment_distance(filters)

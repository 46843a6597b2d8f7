"""MAU: units that look back at how like the present each past was, and take motion from there."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from frame_forecast.errors import ConfigError
from frame_forecast.models.base import check_counts
from frame_forecast.models.causal import CausalConfig, CausalModel
from frame_forecast.models.registry import register
from frame_forecast.nn.cells import Cell, State
from frame_forecast.nn.convolution import Conv2d

_SLOPE = 0.2  # of the activations below 0


@dataclass(frozen=True)
class MauConfig(CausalConfig):
    """The network; the rest see `CausalConfig`.

    Args:
        patch: pixels a side of each position of the states; a power of 2.
        hidden: channels of the states, of encoder and decoder.
        tau: past steps that a unit looks back at.
    """

    hidden: int = 64
    tau: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        check_counts(tau=self.tau)
        if self.patch & (self.patch - 1):
            raise ConfigError(f"patch={self.patch}", "a power of 2: each convolution halves", "set another patch")

    @property
    def halvings(self) -> int:
        """Convolutions that make frames smaller."""
        return self.patch.bit_length() - 1


class _Normed(nn.Sequential):
    """A convolution, then each clip's mean and variance over channels and positions made 0 and 1."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__(Conv2d(inputs, outputs, kernel), nn.GroupNorm(1, outputs))


class MauCell(Cell):
    """One step of one layer, the motion-aware unit (see `Mau`). ``t`` is its motion, ``s`` the appearance that it gets
    from below; ``*`` is a convolution, followed by a normalisation; D is the numbers in a state::

        a_j = softmax over j of sum(s_j (W_k * s)) / sqrt(D),  j = 1 .. tau steps ago
        u = sigmoid(W_u * t_1);  r = u t_1 + (1 - u) sum over j of a_j t_j
        p = sigmoid(W_tp * r);   t' = p (W_tt * r) + (1 - p) (W_st * s)
        q = sigmoid(W_sq * s);   s' = q (W_ss * s) + (1 - q) (W_ts * r)

    ``s'`` is what the layer above gets. Before a clip's first step all is 0.

    Args:
        hidden: channels of ``t`` and ``s``.
        kernel: odd size of the convolutions.
        tau: steps to look back.
        encoder: makes ``s`` of the input; None = it is the input.
    """

    def __init__(self, hidden: int, kernel: int, tau: int, encoder: nn.Module | None = None) -> None:
        super().__init__()
        self.hidden, self.tau = hidden, tau
        self.encoder = encoder
        self.key = _Normed(hidden, hidden, kernel)
        self.appearance = _Normed(hidden, 3 * hidden, kernel)  # q, W_st, W_ss
        self.keep = _Normed(hidden, hidden, kernel)
        self.motion = _Normed(hidden, 3 * hidden, kernel)  # p, W_tt, W_ts

    def project(self, x: Tensor) -> Tensor:
        """``s`` and all that is made of it alone, ``(N, 5 * hidden, h, w)``."""
        s = x if self.encoder is None else self.encoder(x)
        return torch.cat([s, self.key(s), self.appearance(s)], dim=1).to(x.dtype)

    def forward(self, projected: Tensor | None, state: State) -> tuple[Tensor, State]:
        """One step.

        Args:
            projected: ``project(x)`` of this step's input.
            state: ``t_1 .. t_tau``, then ``s_1 .. s_tau``, each ``(B, hidden, h, w)``.

        Returns:
            ``s'`` and the new state.
        """
        assert projected is not None, "this cell has an input"
        s, key, of_s = projected.split([self.hidden, self.hidden, 3 * self.hidden], dim=1)
        motions, appearances = state[: self.tau], state[self.tau :]
        trend = _look_back(key, appearances, motions)
        r = torch.lerp(trend, motions[0], torch.sigmoid(self.keep(motions[0])).to(trend.dtype))
        p, t_t, t_s = self.motion(r).to(trend.dtype).chunk(3, dim=1)
        q, s_t, s_s = of_s.chunk(3, dim=1)
        t = torch.lerp(s_t, t_t, torch.sigmoid(p))
        return torch.lerp(t_s, s_s, torch.sigmoid(q)), (t, *motions[:-1], s, *appearances[:-1])


def _look_back(key: Tensor, appearances: State, motions: State) -> Tensor:
    """The mean of the motions ``(B, hidden, h, w)``, each weighted by how like its appearance is to the key."""
    scale = key[0].numel() ** -0.5
    likeness = torch.stack([(key * past).sum(dim=(1, 2, 3)) for past in appearances]) * scale  # (tau, B)
    shares = likeness.softmax(dim=0)[..., None, None, None].unbind()
    return sum((share * past for share, past in zip(shares, motions, strict=True)), torch.zeros_like(key))


def _encoder(config: MauConfig) -> nn.Sequential:
    """Patches ``(N, C * p * p, h, w)`` to appearances ``(N, hidden, h, w)``, by way of the frames they are of."""
    layers: list[nn.Module] = [nn.PixelShuffle(config.patch), nn.Conv2d(config.channels, config.hidden, 1)]
    for _ in range(config.halvings):
        layers += [nn.LeakyReLU(_SLOPE, inplace=True), nn.Conv2d(config.hidden, config.hidden, 3, stride=2, padding=1)]
    return nn.Sequential(*layers, nn.LeakyReLU(_SLOPE, inplace=True))


def _decoder(config: MauConfig) -> nn.Sequential:
    """Back again, to pixels before their sigmoid."""
    layers: list[nn.Module] = []
    for number in range(config.halvings):
        if number:
            layers.append(nn.LeakyReLU(_SLOPE, inplace=True))
        layers.append(nn.ConvTranspose2d(config.hidden, config.hidden, 3, stride=2, padding=1, output_padding=1))
    return nn.Sequential(*layers, nn.Conv2d(config.hidden, config.channels, 1), nn.PixelUnshuffle(config.patch))


@register("mau", MauConfig, presets={"mau": MauConfig()}, tiny=MauConfig(hidden=8, layers=2, kernel=3, tau=3))
class Mau(CausalModel):
    """A stack of motion-aware units between an encoder and a decoder (Chang et al., "MAU: a motion-aware unit for
    video prediction and beyond", NeurIPS 2021; the equations of its attention and fusion modules are those of
    `MauCell`), with the sizes and the normalisations that benchmarks have; a sigmoid gives pixels, as in `ConvLstm`.

    No layer waits for another one's last step, so that each runs through all known frames at once.

    Departures from the paper, as benchmarks on Moving MNIST have them: the decoder does not recall the encoder's
    features, and a unit does not add ``s`` to ``s'``. Unlike benchmarks, normalisations have a scale and a shift for
    each channel instead of each channel and position, which would tie a network to one frame size.

    The preset has 3,430,849 parameters. Benchmarks publish 4.5 million, of which 1.0 million are the scales and
    shifts of positions, and 8,259 belong to convolutions that are never called.
    """

    def __init__(self, config: MauConfig) -> None:
        cells = [
            MauCell(config.hidden, config.kernel, config.tau, None if number else _encoder(config))
            for number in range(config.layers)
        ]
        super().__init__(config, cells, _decoder(config))

    def _start(self, x: Tensor) -> list[State]:
        zeros = self._zeros(x, self.config.hidden)
        return [(zeros,) * (2 * self.config.tau) for _ in self.cells]

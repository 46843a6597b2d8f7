"""PredRNN: a memory of its own in every layer, and one that passes through all of them."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from frame_forecast.errors import ConfigError
from frame_forecast.models.causal import CausalConfig, CausalModel
from frame_forecast.models.registry import register
from frame_forecast.nn.cells import Cell, State
from frame_forecast.nn.gates import gate_map, tanh


@dataclass(frozen=True)
class PredRnnConfig(CausalConfig):
    """The network; the rest see `CausalConfig`.

    Args:
        decoupling: weight of the penalty on memories that learn the same; 0 = the model has none.
    """

    decoupling: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.decoupling < math.inf:
            raise ConfigError(f"decoupling={self.decoupling}", "0 or more, and finite", "set another decoupling")


class SpatioTemporalLstmCell(nn.Module):
    """One step of one layer, the equations of ST-LSTM in both papers (see `PredRnn`); ``*`` is a convolution::

        i, f, o = sigmoid(W_x * x + W_h * h + b);  g = tanh(W_x * x + W_h * h + b)
        i', f' = sigmoid(W'_x * x + W_m * m + b'); g' = tanh(W'_x * x + W_m * m + b')
        c' = f c + i g;  m' = f' m + i' g'
        o has W_cm * [c', m'] in its sum, too
        h' = o tanh(W_1x1 * [c', m'])

    ``c`` is the layer's memory, from its own last step; ``m`` that of the layer below in this step.
    Both stay float32 under autocast, as in `LstmCell`.

    Args:
        inputs: channels of ``x``.
        hidden: channels of ``h``, ``c`` and ``m``.
        kernel: odd size of all convolutions but ``W_1x1``.
    """

    def __init__(self, inputs: int, hidden: int, kernel: int) -> None:
        super().__init__()
        # Gates in the order i, f, g, o, i', f', g'.
        self.input = gate_map(inputs, 7 * hidden, kernel, bias=True)
        self.state = gate_map(hidden, 4 * hidden, kernel)
        self.memory = gate_map(hidden, 3 * hidden, kernel)
        self.output = gate_map(2 * hidden, hidden, kernel)
        self.merge = gate_map(2 * hidden, hidden, 1)
        with torch.no_grad():
            assert self.input.bias is not None
            self.input.bias.view(7, hidden)[[1, 5]] = 1.0  # remember at first

    def forward(self, projected: Tensor, h: Tensor, c: Tensor, m: Tensor) -> tuple[Tensor, ...]:
        """One step.

        Args:
            projected: ``input(x)``, ``(B, 7 * hidden, H, W)``.
            h, c, m: ``(B, hidden, H, W)``.

        Returns:
            The new ``h``, ``c`` and ``m``, and what ``c`` and ``m`` gained: ``i g`` and ``i' g'``.
        """
        hidden = self.state.in_channels
        of_state, of_memory = projected.split([4 * hidden, 3 * hidden], dim=1)
        a_i, a_f, a_g, a_o = (of_state + self.state(h)).to(c.dtype).chunk(4, dim=1)
        b_i, b_f, b_g = (of_memory + self.memory(m)).to(c.dtype).chunk(3, dim=1)
        gain_c = torch.sigmoid(a_i) * tanh(a_g)
        gain_m = torch.sigmoid(b_i) * tanh(b_g)
        c = torch.sigmoid(a_f) * c + gain_c
        m = torch.sigmoid(b_f) * m + gain_m
        both = torch.cat([c, m], dim=1)
        o = torch.sigmoid(a_o + self.output(both))
        h = (o * tanh(self.merge(both))).to(projected.dtype)
        return h, c, m, gain_c, gain_m


class _Zigzag(Cell):
    """All layers as one cell: the lowest one's ``m`` is that of the highest in the step before, so that no layer
    can run ahead of the others.

    The state is the penalty so far ``(B,)``, ``m``, and every layer's ``h`` and ``c``.
    """

    def __init__(self, config: PredRnnConfig) -> None:
        super().__init__()
        inputs = [config.pixels] + [config.hidden] * (config.layers - 1)
        self.lowest, *above = [SpatioTemporalLstmCell(n, config.hidden, config.kernel) for n in inputs]
        self.above = nn.ModuleList(above)
        self.adapter = nn.Conv2d(config.hidden, config.hidden, 1, bias=False) if config.decoupling else None

    def project(self, x: Tensor) -> Tensor:
        return self.lowest.input(x)

    def forward(self, projected: Tensor | None, state: State) -> tuple[Tensor, State]:
        assert projected is not None, "this cell has an input"
        penalty, m, *before = state
        x, after = projected, []
        layers = [self.lowest, *(layer for layer in self.above if isinstance(layer, SpatioTemporalLstmCell))]
        for layer, h, c in zip(layers, before[::2], before[1::2], strict=True):
            h, c, m, gain_c, gain_m = layer(x if layer is self.lowest else layer.input(x), h, c, m)
            x = h
            after += [h, c]
            if self.adapter is not None and torch.is_grad_enabled():
                penalty = penalty + _likeness(self.adapter(gain_c), self.adapter(gain_m))
        return x, (penalty, m, *after)


def _likeness(a: Tensor, b: Tensor) -> Tensor:
    """How alike ``(B, D, H, W)`` are, ``(B,)``, 0 to 1: the mean over channels of the cosine's magnitude."""
    return F.cosine_similarity(a.float().flatten(2), b.float().flatten(2), dim=2).abs().mean(dim=1)


@register(
    "predrnn",
    PredRnnConfig,
    presets={"predrnn": PredRnnConfig(), "predrnn_v2": PredRnnConfig(decoupling=0.1)},
    tiny=PredRnnConfig(hidden=8, layers=2, kernel=3),
)
class PredRnn(CausalModel):
    """A stack of spatiotemporal LSTM cells (Wang et al., "PredRNN: recurrent neural networks for predictive
    learning using spatiotemporal LSTMs", NeurIPS 2017: the memory flow of section 3.1 with the ST-LSTM of
    section 3.2, whose equations `SpatioTemporalLstmCell` has), with patches, sizes and head as benchmarks use
    them; a sigmoid gives pixels, as in `ConvLstm`.

    ``predrnn_v2`` (Wang et al., "PredRNN: a recurrent neural network for spatiotemporal predictive learning",
    TPAMI 2022) is the same network, whose two memories are kept from learning the same (its memory decoupling
    loss): what each gains in a step passes through one 1x1 convolution, and the magnitude of the cosine between
    both, averaged over channels, layers and steps, is a penalty on training. It goes with reverse scheduled
    sampling, a setting of training (``sampling=reverse``).

    The presets have 23,842,320 and 23,858,704 parameters. 23.8 and 23.9 million are published; the 3,600 biases,
    which the paper has, are not in those.
    """

    def __init__(self, config: PredRnnConfig) -> None:
        super().__init__(config, [_Zigzag(config)])
        self._penalty: Tensor | None = None

    def penalties(self) -> dict[str, Tensor]:
        penalty, self._penalty = self._penalty, None
        return {} if penalty is None else {"decoupling": penalty}

    def _start(self, x: Tensor) -> list[State]:
        zeros = self._zeros(x, self.config.hidden)
        return [(x.new_zeros(len(x)), zeros, *[zeros] * (2 * self.config.layers))]

    def _finish(self, states: list[State], steps: int) -> None:
        if self.config.decoupling and torch.is_grad_enabled():
            ((total, *_),) = states
            self._penalty = self.config.decoupling * total.mean() / (steps * self.config.layers)

"""PredRNN++: two memories in a cascade, and a highway that gradients take through time."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from frame_forecast.errors import ConfigError
from frame_forecast.models.causal import CausalConfig, CausalModel
from frame_forecast.models.registry import register
from frame_forecast.nn.cells import Cell, State
from frame_forecast.nn.gates import gate_map, tanh


@dataclass(frozen=True)
class PredRnnPpConfig(CausalConfig):
    """The network; see `CausalConfig`. It has two layers at least."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.layers == 1:
            raise ConfigError("layers=1", "2 or more: the highway lies between the lowest two", "set more layers")


class CausalLstmCell(nn.Module):
    """One step of one layer, the causal LSTM (see `PredRnnPp`): its second memory reads what the first has just
    become. ``*`` is a convolution::

        i, f = sigmoid(W_x * x + W_h * h + W_c * c + b);  g = tanh(W_x * x + W_h * h + W_c * c + b)
        c' = f c + i g
        i', f' = sigmoid(W'_x * x + W'_c * c' + W_m * m + b'); g' = tanh(W'_x * x + W'_c * c' + b')
        m' = f' tanh(W_mm * m) + i' g'
        o = tanh(W_xo * x + W_ho * h + W_co * c' + W_mo * m' + b_o)
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
        third = 1 / 3  # most gates are sums of three
        self.hidden = hidden
        self.input = gate_map(inputs, 7 * hidden, kernel, share=third, bias=True)  # i, f, g, o, i', f', g'
        self.state = gate_map(hidden, 4 * hidden, kernel, share=third)  # i, f, g, o
        self.own = gate_map(hidden, 3 * hidden, kernel, share=third)  # of c: i, f, g
        self.cascade = gate_map(hidden, 4 * hidden, kernel, share=third)  # of c': o, i', f', g'
        self.memory = gate_map(hidden, 3 * hidden, kernel, share=third)  # of m: i', f', and what tanh is taken of
        self.output = gate_map(hidden, hidden, kernel, share=third)  # of m': o
        self.merge = gate_map(2 * hidden, hidden, 1)
        with torch.no_grad():
            assert self.input.bias is not None
            self.input.bias.view(7, hidden)[[1, 5]] = 1.0  # remember at first

    def forward(self, projected: Tensor, h: Tensor, c: Tensor, m: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One step.

        Args:
            projected: ``input(x)``, ``(B, 7 * hidden, H, W)``.
            h, c, m: ``(B, hidden, H, W)``.

        Returns:
            The new ``h``, ``c`` and ``m``.
        """
        n = self.hidden
        of_first, x_o, of_second = projected.split([3 * n, n, 3 * n], dim=1)
        h_first, h_o = self.state(h).split([3 * n, n], dim=1)
        a_i, a_f, a_g = (of_first + h_first + self.own(c)).to(c.dtype).chunk(3, dim=1)
        c = torch.sigmoid(a_f) * c + torch.sigmoid(a_i) * tanh(a_g)
        c_o, c_second = self.cascade(c).split([n, 3 * n], dim=1)
        m_gates, kept = self.memory(m).to(m.dtype).split([2 * n, n], dim=1)
        a_gates, a_g = (of_second + c_second).to(m.dtype).split([2 * n, n], dim=1)
        i, f = torch.sigmoid(a_gates + m_gates).chunk(2, dim=1)
        m = f * tanh(kept) + i * tanh(a_g)
        o = tanh((x_o + h_o + c_o + self.output(m)).to(m.dtype))
        h = (o * tanh(self.merge(torch.cat([c, m], dim=1)))).to(projected.dtype)
        return h, c, m


class GradientHighway(nn.Module):
    """One step of the gradient highway unit: a state ``z`` that takes in as much of ``x`` as a switch lets in, and
    otherwise stays, so that gradients reach distant steps; ``*`` is a convolution::

        p = tanh(W_x * x + W_z * z + b);  s = sigmoid(W_x * x + W_z * z + b)
        z' = s p + (1 - s) z

    ``z`` stays float32 under autocast.

    Args:
        hidden: channels of ``x`` and ``z``.
        kernel: odd size of the convolutions.
    """

    def __init__(self, hidden: int, kernel: int) -> None:
        super().__init__()
        self.input = gate_map(hidden, 2 * hidden, kernel, bias=True)  # p, s
        self.state = gate_map(hidden, 2 * hidden, kernel)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        """The new ``z``, for ``x`` and ``z`` ``(B, hidden, H, W)``."""
        a_p, a_s = (self.input(x) + self.state(z)).to(z.dtype).chunk(2, dim=1)
        return torch.lerp(z, tanh(a_p), torch.sigmoid(a_s))


class _Cascade(Cell):
    """All layers as one cell: ``m`` passes through them and on to the lowest one's next step, so that no layer can
    run ahead of the others.

    The state is ``m``, ``z``, and every layer's ``h`` and ``c``.
    """

    def __init__(self, config: PredRnnPpConfig) -> None:
        super().__init__()
        hidden, kernel = config.hidden, config.kernel
        self.lowest = CausalLstmCell(config.pixels, hidden, kernel)
        self.highway = GradientHighway(hidden, kernel)
        self.above = nn.ModuleList(CausalLstmCell(hidden, hidden, kernel) for _ in range(config.layers - 1))

    def project(self, x: Tensor) -> Tensor:
        return self.lowest.input(x)

    def forward(self, projected: Tensor | None, state: State) -> tuple[Tensor, State]:
        assert projected is not None, "this cell has an input"
        m, z, h, c, *before = state
        h, c, m = self.lowest(projected, h, c, m)
        x = z = self.highway(h, z)
        after = [h, c]
        layers = [layer for layer in self.above if isinstance(layer, CausalLstmCell)]
        for layer, h, c in zip(layers, before[::2], before[1::2], strict=True):
            x, c, m = layer(layer.input(x), h, c, m)
            after += [x, c]
        return x, (m, z, *after)


@register(
    "predrnn_pp",
    PredRnnPpConfig,
    presets={"predrnn_pp": PredRnnPpConfig()},
    tiny=PredRnnPpConfig(hidden=8, layers=2, kernel=3),
)
class PredRnnPp(CausalModel):
    """A stack of causal LSTM cells with a gradient highway unit between the lowest two (Wang et al., "PredRNN++:
    towards a resolution of the deep-in-time dilemma in spatiotemporal predictive learning", ICML 2018; the
    equations of both are those of `CausalLstmCell` and `GradientHighway`), with patches, sizes and head as
    benchmarks use them; a sigmoid gives pixels, as in `ConvLstm`.

    Departures from the paper's causal LSTM, as benchmarks have them: the output gate reads ``h``, too; ``g'`` does
    not read ``m``; and ``W_mm`` is as large as the other kernels instead of 1x1.

    The preset has 35,311,376 parameters. Benchmarks publish 38.6 million, of which 3.3 million belong to
    convolutions that are never called; what is left, 35,307,520, lacks the 3,856 biases.
    """

    def __init__(self, config: PredRnnPpConfig) -> None:
        super().__init__(config, [_Cascade(config)])

    def _start(self, x: Tensor) -> list[State]:
        zeros = self._zeros(x, self.config.hidden)
        return [(zeros, zeros, *[zeros] * (2 * self.config.layers))]

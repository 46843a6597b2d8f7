"""Memory in Memory: what changes from step to step, and what stays, each with a memory in place of a forget gate."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from frame_forecast.errors import ConfigError
from frame_forecast.models.causal import CausalConfig, CausalModel
from frame_forecast.models.predrnn import SpatioTemporalLstmCell
from frame_forecast.models.registry import register
from frame_forecast.nn.cells import Cell, ConvLstmCell, State
from frame_forecast.nn.gates import gate_map, tanh


@dataclass(frozen=True)
class MimConfig(CausalConfig):
    """The network; see `CausalConfig`. It has two layers at least."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.layers == 1:
            raise ConfigError("layers=1", "2 or more: blocks lie above the lowest one", "set more layers")


class MimBlock(nn.Module):
    """One step of one layer (see `Mim`): an ST-LSTM whose forget gate is two cells in a cascade. MIM-N reads how the
    input changes, MIM-S what of it to keep of ``c``; ``*`` is a convolution::

        d', n' = MIM-N(change; d, n)
        k, s'  = MIM-S(d'; c, s)
        i = sigmoid(W_x * x + W_h * h + b);  g = tanh(W_x * x + W_h * h + b);  c' = k + i g
        i', f' = sigmoid(W_x * x + W_m * m + b);  g' = tanh(W_x * x + W_m * m + b);  m' = f' m + i' g'
        o = sigmoid(W_x * x + W_h * h + W_m * m + b)
        h' = o tanh(W_1x1 * [c', m'])

    MIM-N and MIM-S are `ConvLstmCell`; the memories ``n``, ``s``, ``c`` and ``m`` stay float32 under autocast.

    Args:
        hidden: channels of all there is.
        kernel: odd size of all convolutions but ``W_1x1``.
    """

    def __init__(self, hidden: int, kernel: int) -> None:
        super().__init__()
        self.changes = ConvLstmCell(hidden, hidden, kernel)  # MIM-N
        self.stays = ConvLstmCell(hidden, hidden, kernel)  # MIM-S
        self.input = gate_map(hidden, 4 * hidden, kernel, bias=True)  # i and i', g and g', o, f'
        self.state = gate_map(hidden, 3 * hidden, kernel)  # i, g, o
        self.memory = gate_map(hidden, 4 * hidden, kernel)  # i', g', o, f'
        self.merge = gate_map(2 * hidden, hidden, 1)
        with torch.no_grad():
            assert self.input.bias is not None
            self.input.bias[3 * hidden :] = 1.0  # remember at first

    def forward(self, x: Tensor, change: Tensor, m: Tensor, state: State) -> tuple[Tensor, Tensor, State]:
        """One step.

        Args:
            x, change, m: ``(B, hidden, H, W)``.
            state: the layer's ``(h, c, d, n, s)``, each ``(B, hidden, H, W)``.

        Returns:
            The new ``m``, the ``d'`` that the next block's MIM-N reads, and the new state.
        """
        h, c, d, n, s = state
        _, (d, n) = self.changes(self.changes.project(change), (d, n))
        kept, (_, s) = self.stays(self.stays.project(d), (c, s))
        x_i, x_g, x_o, x_f = self.input(x).to(m.dtype).chunk(4, dim=1)
        h_i, h_g, h_o = self.state(h).to(m.dtype).chunk(3, dim=1)
        m_i, m_g, m_o, m_f = self.memory(m).to(m.dtype).chunk(4, dim=1)
        c = kept + torch.sigmoid(x_i + h_i) * tanh(x_g + h_g)
        m = torch.sigmoid(x_f + m_f) * m + torch.sigmoid(x_i + m_i) * tanh(x_g + m_g)
        h = (torch.sigmoid(x_o + h_o + m_o) * tanh(self.merge(torch.cat([c, m], dim=1)))).to(kept.dtype)
        return m, d, (h, c, d, n, s)


class _Stack(Cell):
    """All layers as one cell: ``m`` passes through them and on to the lowest one's next step, so that no layer can
    run ahead of the others.

    The state is whether there was a step before ``(B, 1, 1, 1)``, ``m``, the lowest layer's ``h`` and ``c``, and each
    block's state.
    """

    _OF_BLOCK = 5  # tensors

    def __init__(self, config: MimConfig) -> None:
        super().__init__()
        self.lowest = SpatioTemporalLstmCell(config.pixels, config.hidden, config.kernel)
        self.blocks = nn.ModuleList(MimBlock(config.hidden, config.kernel) for _ in range(config.layers - 1))

    def project(self, x: Tensor) -> Tensor:
        return self.lowest.input(x)

    def forward(self, projected: Tensor | None, state: State) -> tuple[Tensor, State]:
        assert projected is not None, "this cell has an input"
        started, m, before, c, *others = state
        h, c, m, _, _ = self.lowest(projected, before, c, m)
        # The first step has nothing to differ from.
        x, change = h, started * (h - before)
        after = [h, c]
        for number, block in enumerate(self.blocks):
            own = tuple(others[number * self._OF_BLOCK : (number + 1) * self._OF_BLOCK])
            m, change, own = block(x, change, m, own)
            x = own[0]
            after += own
        return x, (torch.ones_like(started), m, *after)


@register("mim", MimConfig, presets={"mim": MimConfig()}, tiny=MimConfig(hidden=8, layers=2, kernel=3))
class Mim(CausalModel):
    """An ST-LSTM layer under MIM blocks (Wang et al., "Memory in Memory: a predictive neural network for learning
    higher-order non-stationarity from spatiotemporal dynamics", CVPR 2019; the equations of a block are those of
    `MimBlock`), with patches, sizes and head as benchmarks use them; a sigmoid gives pixels, as in `ConvLstm`.

    Departures from the paper, as benchmarks have them: both memories of a block share what the input gives their
    gates ``i`` and ``g``; the output gate reads ``m`` before this step instead of ``c'`` and ``m'``; MIM-N's gates
    read its last output instead of its memory; and above the lowest block, MIM-N reads ``d'`` of the block below,
    where the paper takes the difference of its ``h``. Besides, the output gates of MIM-N and MIM-S do not read their
    new memories: the paper has convolutions for that, benchmarks peepholes, which tie a network to one frame size.

    The preset has 37,361,040 parameters. Benchmarks publish 38.0 million, of which 0.6 million are peepholes and
    0.1 million belong to convolutions that are never called; what is left, 37,355,520, lacks the 5,520 biases.
    """

    def __init__(self, config: MimConfig) -> None:
        super().__init__(config, [_Stack(config)])

    def _start(self, x: Tensor) -> list[State]:
        zeros = self._zeros(x, self.config.hidden)
        count = 3 + _Stack._OF_BLOCK * (self.config.layers - 1)
        return [(x.new_zeros((x.shape[0], 1, 1, 1)), *[zeros] * count)]

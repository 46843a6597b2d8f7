"""SwinLSTM: attention within windows in the place of an LSTM's convolutions."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from frame_forecast.errors import ConfigError
from frame_forecast.models.base import check_counts
from frame_forecast.models.causal import CausalModel, PatchConfig
from frame_forecast.models.registry import register
from frame_forecast.nn.cells import Cell, Feedforward, State

_WIDER = 4  # times its width a block's last layer has inside


@dataclass(frozen=True)
class SwinLstmConfig(PatchConfig):
    """The network: four cells, at a half, a quarter, an eighth and again a quarter of the height and width.

    Args:
        patch: 1, unless the network is to begin with patches.
        hidden: channels of the first cell; the others have 2, 4 and 2 times as many.
        window: height and width of the squares that attention sees at once, 2 or more.
        heads: of the attention of the first and the last cell; the two between have twice as many.
        blocks: of the first and the third cell.
        middle_blocks: of the second and the last.
    """

    patch: int = 1
    window: int = 4
    heads: int = 4
    blocks: int = 2
    middle_blocks: int = 6

    def __post_init__(self) -> None:
        check_counts(**vars(self))
        if self.window < 2:
            raise ConfigError(f"window={self.window}", "2 or more", "set another window")
        if self.hidden % self.heads:
            raise ConfigError(f"hidden={self.hidden}", f"a multiple of heads={self.heads}", "set another hidden")

    @property
    def multiple(self) -> int:
        return 8 * self.window * self.patch


class WindowAttention(nn.Module):
    """Attention of each position to those in its window (Liu et al., "Swin transformer: hierarchical vision
    transformer using shifted windows", ICCV 2021, the section on self-attention in windows), with a learnt bias for
    how far two positions are apart, of each head.

    Args:
        width: channels.
        heads: of attention.
        window: height and width of a window.
    """

    pairs: Tensor

    def __init__(self, width: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        self.window = window
        self.input = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)
        reach = 2 * window - 1
        self.bias = nn.Parameter(torch.zeros(heads * reach**2))  # one axis: the optimiser takes more for a map
        place = torch.arange(window)
        apart = place[:, None] - place + window - 1
        pairs = apart[:, None, :, None] * reach + apart[None, :, None, :]  # (y, x, other y, other x)
        self.register_buffer("pairs", pairs.reshape(window**2, window**2), persistent=False)

    def forward(self, x: Tensor, strangers: Tensor) -> Tensor:
        """``(B, H, W, width)`` in and out; ``strangers`` as `strangers` gives them."""
        B, H, W, width = x.shape
        w, heads = self.window, self.heads
        split = self.input(x).view(B, H // w, w, W // w, w, 3, heads, width // heads)
        # (3, B, windows * heads, positions, width / heads)
        q, k, v = split.permute(5, 0, 1, 3, 6, 2, 4, 7).reshape(3, B, -1, w**2, width // heads)
        bias = self.bias.view(heads, -1)[:, self.pairs] + strangers[:, None]  # (windows, heads, positions, positions)
        bias = bias.flatten(0, 1)[None].to(q.dtype)  # four axes, without which there is no fused kernel
        seen = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        seen = seen.view(B, H // w, W // w, heads, w, w, width // heads).permute(0, 1, 4, 2, 5, 3, 6)
        return self.output(seen.reshape(B, H, W, width))


def strangers(height: int, width: int, window: int, shift: int, like: Tensor) -> Tensor:
    """What keeps positions apart that share a window only because a map was rolled up and left by ``shift``: 0 or
    minus infinity, to add to attention, ``(windows, positions, positions)``, on the device of ``like``."""
    down, across = (torch.arange(size, device=like.device) >= size - shift for size in (height, width))
    region = 2 * down[:, None].int() + across.int()
    region = region.view(height // window, window, width // window, window).transpose(1, 2).reshape(-1, window**2)
    apart = region[:, :, None] != region[:, None, :]
    return torch.zeros(apart.shape, device=like.device).masked_fill(apart, -math.inf)


class SwinBlock(nn.Module):
    """Attention within windows and two linear layers, each of what is normalised and added to what came in.

    Args:
        width: channels.
        heads: of attention.
        window: height and width of a window.
        shift: by which windows lie further down and right.
        merges: whether a linear layer makes one of two inputs first.
    """

    def __init__(self, width: int, heads: int, window: int, shift: int, merges: bool) -> None:
        super().__init__()
        self.shift = shift
        self.norm = nn.LayerNorm(width)
        self.merge = nn.Linear(2 * width, width) if merges else None
        self.attention = WindowAttention(width, heads, window)
        self.mix_norm = nn.LayerNorm(width)
        self.mix = nn.Sequential(nn.Linear(width, _WIDER * width), nn.GELU(), nn.Linear(_WIDER * width, width))

    def forward(self, x: Tensor, other: Tensor, strangers: Tensor) -> Tensor:
        """``(B, H, W, width)``, twice, in; one out. Without a ``merge`` it has no use for the ``other``."""
        y = self.norm(x)
        if self.merge is not None:
            y = self.merge(torch.cat([y, self.norm(other)], dim=-1))
        if self.shift:
            y = y.roll((-self.shift, -self.shift), dims=(1, 2))
        y = self.attention(y, strangers)
        if self.shift:
            y = y.roll((self.shift, self.shift), dims=(1, 2))
        x = x + y
        return x + self.mix(self.mix_norm(x))


class SwinLstmCell(Cell):
    """One step, with blocks for what ConvLSTM has convolutions for, and one gate::

        a = B_n(... B_2(B_1(x, h)))
        f = sigmoid(a)
        c' = f (c + tanh(a))
        h' = f tanh(c')

    Every other block, from the first on, has two inputs: the first one ``h``, later ones ``x`` again. The others have
    their windows shifted by half. ``c`` stays float32 under autocast, as in `LstmCell`.

    Args:
        entry: makes ``x`` of the cell's input, ``(N, width, H, W)``.
        width: channels of ``h`` and ``c``.
        heads: of attention.
        window: height and width of a window.
        blocks: how many.
    """

    def __init__(self, entry: nn.Module, width: int, heads: int, window: int, blocks: int) -> None:
        super().__init__()
        self.entry = entry
        self.window = window
        self.blocks = nn.ModuleList(
            SwinBlock(width, heads, window, shift=n % 2 * (window // 2), merges=n % 2 == 0) for n in range(blocks)
        )

    def project(self, x: Tensor) -> Tensor:
        return self.entry(x)

    def forward(self, projected: Tensor | None, state: State) -> tuple[Tensor, State]:
        assert projected is not None, "this cell has an input"
        h, c = state
        x, other = projected.permute(0, 2, 3, 1), h.permute(0, 2, 3, 1)
        _, H, W, _ = x.shape
        kept_apart = [strangers(H, W, self.window, shift, like=c) for shift in (0, self.window // 2)]
        y = x
        for number, block in enumerate(self.blocks):
            y = block(y, other if number == 0 else x, kept_apart[number % 2])
        a = y.permute(0, 3, 1, 2).to(c.dtype)
        f = torch.sigmoid(a)
        c = f * (c + torch.tanh(a))
        h = (f * torch.tanh(c)).to(projected.dtype)
        return h, (h, c)


class _ChannelNorm(nn.LayerNorm):
    """Of each position's channels, ``(N, C, H, W)``."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def _halved(width: int) -> nn.Sequential:
    """Half the height and width, twice the channels."""
    return nn.Sequential(nn.PixelUnshuffle(2), _ChannelNorm(4 * width), nn.Conv2d(4 * width, 2 * width, 1, bias=False))


def _doubled(width: int) -> nn.Sequential:
    """Twice the height and width, half the channels."""
    return nn.Sequential(nn.Conv2d(width, 2 * width, 1, bias=False), nn.PixelShuffle(2), _ChannelNorm(width // 2))


class _Last(Feedforward):
    """From the highest cell to what frames are drawn from."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = _doubled(width)

    def project(self, x: Tensor) -> Tensor:
        return self.layers(x)


@register(
    "swin_lstm",
    SwinLstmConfig,
    presets={"swin_lstm": SwinLstmConfig()},
    tiny=SwinLstmConfig(hidden=8, heads=2, middle_blocks=1),
)
class SwinLstm(CausalModel):
    """Cells that look at whole windows of their input and state instead of convolving them (Tang et al., "SwinLSTM:
    improving spatiotemporal prediction accuracy using Swin transformer and LSTM", ICCV 2023), in the form with
    several cells that the paper calls SwinLSTM-D, sizes as benchmarks have them: `SwinLstmCell`.

    2x2 pixels become one position. Between cells, height and width are halved twice, each time by a linear layer on
    four neighbours (Swin transformer's patch merging), and doubled twice, by one that makes four; a transposed
    convolution draws the frame. Frames that do not come to whole windows at every size are padded with black; in a
    map of one window, those that are shifted are its quarters.

    Departures from the paper, which benchmarks share: all merging of two inputs is by blocks, and later ones see the
    cell's input again. Benchmarks drop blocks at random in training; nothing is dropped here.

    The preset has 18,845,409 parameters. 20.2 million are published, of which 1.4 million belong to layers that are
    never called: the second embedding of frames, and merging where there is one input.
    """

    def __init__(self, config: SwinLstmConfig) -> None:
        n, window, heads = config.hidden, config.window, config.heads
        embedding = nn.Sequential(nn.Conv2d(config.pixels, n, 2, stride=2), _ChannelNorm(n))
        cells = [
            SwinLstmCell(embedding, n, heads, window, config.blocks),
            SwinLstmCell(_halved(n), 2 * n, 2 * heads, window, config.middle_blocks),
            SwinLstmCell(_halved(2 * n), 4 * n, 2 * heads, window, config.blocks),
            SwinLstmCell(_doubled(4 * n), 2 * n, heads, window, config.middle_blocks),
            _Last(2 * n),
        ]
        super().__init__(config, cells, nn.ConvTranspose2d(n, config.pixels, 3, stride=2, padding=1, output_padding=1))

    def _start(self, x: Tensor) -> list[State]:
        n = self.config.hidden
        zeros = [self._zeros(x[..., ::step, ::step], width) for step, width in ((2, n), (4, 2 * n), (8, 4 * n))]
        return [(zeros[place], zeros[place]) for place in (0, 1, 2, 1)] + [()]

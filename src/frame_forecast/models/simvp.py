"""SimVP: convolutions alone, the control that shows what recurrence is worth."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from frame_forecast.errors import ConfigError
from frame_forecast.masks import context_lengths
from frame_forecast.models.base import Model, check_counts
from frame_forecast.models.registry import register
from frame_forecast.nn.motion import both_sides

_MOST_HALVINGS = 8
_GROUPS = 2  # of the channels that are normalised together
_SCALE = 0.01  # of what a block adds, at first


@dataclass(frozen=True)
class SimVpConfig:
    """The network.

    Args:
        channels: C of the frames.
        window: how many frames it reads, and gives, at once.
        hidden: channels of each frame's features; even.
        halvings: how often the encoder halves height and width, 1 to 8.
        width: channels of the translator's blocks, which hold the features of all frames.
        layers: blocks of the translator.
        expansion: how many times the channels of a block its second half has inside.
    """

    channels: int = 1
    window: int = 10
    hidden: int = 64
    halvings: int = 2
    width: int = 512
    layers: int = 8
    expansion: int = 8

    def __post_init__(self) -> None:
        check_counts(**vars(self))
        if self.halvings > _MOST_HALVINGS:
            raise ConfigError(f"halvings={self.halvings}", f"1 to {_MOST_HALVINGS}", "set fewer halvings")
        if self.hidden % _GROUPS:
            raise ConfigError(f"hidden={self.hidden}", "an even number", "set another hidden")


class GatedBlock(nn.Module):
    """One block of the translator: gated spatiotemporal attention, then a layer that mixes channels. ``*`` is a
    convolution, ``N`` normalises over the batch, ``s`` are a learnt factor for each channel::

        y = N(x);  [f, g] = W_a * D_7 * D_5 * gelu(W_in * y)
        x' = x + s (y + W_out * (f sigmoid(g)))
        x'' = x' + s' (V_out * gelu(D_3 * V_in * N'(x')))

    ``W`` and ``V`` are 1x1. Each ``D`` sees one channel; ``D_7`` looks at every third position, so that it and
    ``D_5`` together see 23x23.

    Args:
        width: channels.
        expansion: times ``width``, the channels between ``V_in`` and ``V_out``.
    """

    def __init__(self, width: int, expansion: int) -> None:
        super().__init__()
        inside = expansion * width
        self.norm = nn.BatchNorm2d(width)
        self.input = nn.Conv2d(width, width, 1)
        self.near = nn.Conv2d(width, width, 5, padding=2, groups=width)
        self.far = nn.Conv2d(width, width, 7, padding=9, dilation=3, groups=width)
        self.attend = nn.Conv2d(width, 2 * width, 1)
        self.output = nn.Conv2d(width, width, 1)
        self.scale = nn.Parameter(torch.full((width, 1, 1), _SCALE))
        self.mix_norm = nn.BatchNorm2d(width)
        self.mix_input = nn.Conv2d(width, inside, 1)
        self.mix_near = nn.Conv2d(inside, inside, 3, padding=1, groups=inside)
        self.mix_output = nn.Conv2d(inside, width, 1)
        self.mix_scale = nn.Parameter(torch.full((width, 1, 1), _SCALE))

    def forward(self, x: Tensor) -> Tensor:
        """``(B, width, H, W)`` in and out."""
        y = self.norm(x)
        f, g = self.attend(self.far(self.near(F.gelu(self.input(y))))).chunk(2, dim=1)
        x = torch.addcmul(x, self.scale, y + self.output(f * torch.sigmoid(g)))
        mixed = self.mix_output(F.gelu(self.mix_near(self.mix_input(self.mix_norm(x)))))
        return torch.addcmul(x, self.mix_scale, mixed)


def _block(inputs: int, outputs: int, size: Literal["same", "halved", "doubled"]) -> nn.Sequential:
    """A convolution of one frame's features, normalised, with SiLU; ``size`` is what becomes of height and width."""
    double = size == "doubled"
    return nn.Sequential(
        nn.Conv2d(inputs, outputs * (4 if double else 1), 3, stride=2 if size == "halved" else 1, padding=1),
        *([nn.PixelShuffle(2)] if double else []),
        nn.GroupNorm(_GROUPS, outputs),
        nn.SiLU(),
    )


@register(
    "simvp",
    SimVpConfig,
    presets={"simvp": SimVpConfig()},
    tiny=SimVpConfig(window=4, hidden=8, halvings=1, width=16, layers=2, expansion=2),
)
class SimVp(Model):
    """All frames of the context in, as many after it out, without a state (Tan et al., "SimVP: towards simple yet
    powerful spatiotemporal predictive learning", 2022, arXiv 2211.12509; first in Gao et al., "SimVP: simpler yet
    better video prediction", CVPR 2022), with the translator that the paper calls gSTA, sizes as benchmarks have them.

    An encoder takes each frame by itself to features of a fraction of its height and width. The translator
    (`GatedBlock`) gets those of all frames as channels of one map, so that each frame has its own place among them:
    a network for ``window`` frames. A decoder draws each frame by itself; its last layer also sees what the
    encoder's first one made of the frame in the same place.

    - More than ``window`` frames observed: it reads the last ones. Fewer: the first one is repeated before them.
    - Pixels that are missing from the context keep their last value; before there is one, they have their first.
    - More frames to forecast than ``window``: it reads what it gave.
    - Height and width that the halvings do not divide are padded with black.

    Departures from the paper: a sigmoid gives pixels, as in `ConvLstm`, and nothing is dropped at random. As in
    benchmarks, the translator normalises over the batch: in training, clips are not independent of each other,
    and every process has statistics of its own, of which the first one's are kept.

    The preset has 46,769,665 parameters; 46.8 million are published.
    """

    tasks = frozenset({"forecast"})

    def __init__(self, config: SimVpConfig) -> None:
        super().__init__()
        self.config = config
        self.channels = config.channels
        hidden, more = config.hidden, config.halvings - 1
        self.first = _block(config.channels, hidden, "same")
        self.encoder = nn.Sequential(
            _block(hidden, hidden, "halved"),
            *(_block(hidden, hidden, size) for _ in range(more) for size in ("same", "halved")),
        )
        outer = config.window * hidden
        widths = [outer, *[config.width] * (config.layers - 1), outer]
        self.translator = nn.Sequential()
        for width, following in pairwise(widths):
            self.translator.append(GatedBlock(width, config.expansion))
            if width != following:
                self.translator.append(nn.Conv2d(width, following, 1))
        self.decoder = nn.Sequential(
            _block(hidden, hidden, "doubled"),
            *(_block(hidden, hidden, size) for _ in range(more) for size in ("same", "doubled")),
        )
        self.last = _block(hidden, hidden, "same")
        self.head = nn.Conv2d(hidden, config.channels, 1)

    def given(self, observed: Tensor, valid: Tensor) -> Tensor:
        t = torch.arange(valid.shape[1], device=valid.device)
        return valid & (t >= context_lengths(observed, valid)[:, None])

    def output_layers(self) -> list[nn.Linear | nn.Conv2d]:
        return [self.head]

    def _predict(self, frames: Tensor, observed: Tensor, valid: Tensor) -> Tensor:
        B, T = frames.shape[:2]
        context = context_lengths(observed, valid)  # (B,)
        horizon = int((valid.sum(dim=1) - context).max())
        if horizon < 1:
            return torch.zeros_like(frames)
        read, made = self._last_frames(frames, observed, context), []
        for start in range(0, horizon, self.config.window):
            read = self._next_frames(read, min(self.config.window, horizon - start))
            made.append(read)
        step = torch.arange(T, device=frames.device) - context[:, None]  # (B, T)
        clip = torch.arange(B, device=frames.device)[:, None]
        chosen = torch.cat(made, dim=1)[clip, step.clamp(0, horizon - 1)]
        return torch.where((step >= 0)[:, :, None, None, None], chosen, torch.zeros((), device=frames.device))

    def _last_frames(self, frames: Tensor, observed: Tensor, context: Tensor) -> Tensor:
        """What it reads of clips ``(B, T, C, H, W)``, each to its frame ``context`` ``(B,)``: ``(B, N, C, H, W)``."""
        B, _, C, H, W = frames.shape
        N = self.config.window
        clip = torch.arange(B, device=frames.device)[:, None]
        order = (context[:, None] - N + torch.arange(N, device=frames.device)).clamp(min=0)  # (B, N)
        position, _, _ = both_sides(observed)
        return frames.gather(1, position[clip, order].expand(B, N, C, H, W))

    def _next_frames(self, frames: Tensor, count: int) -> Tensor:
        """The first ``count`` frames ``(B, count, C, H, W)`` after ``(B, N, C, H, W)``."""
        B, N, _, H, W = frames.shape
        multiple = 2**self.config.halvings
        skip = self.first(F.pad(frames.flatten(0, 1), (0, -W % multiple, 0, -H % multiple)))  # (B * N, hidden, H', W')
        features = self.encoder(skip)
        features = self.translator(features.reshape(B, -1, *features.shape[2:]))  # (B, N * hidden, h, w)
        if count < N:
            features = features[:, : count * self.config.hidden]
            skip = skip.unflatten(0, (B, N))[:, :count].flatten(0, 1)
        features = features.reshape(B * count, self.config.hidden, *features.shape[2:])
        drawn = torch.sigmoid(self.head(self.last(self.decoder(features) + skip)).float())
        return drawn.unflatten(0, (B, count))[..., :H, :W]

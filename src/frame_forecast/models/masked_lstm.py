"""The masked LSTM autoencoder: one network for every mask."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from frame_forecast.errors import ConfigError
from frame_forecast.models.base import TASKS, Model
from frame_forecast.models.registry import register
from frame_forecast.nn.cells import ConvLstmCell
from frame_forecast.nn.unroll import unroll

_DIRECTIONS = "fb"


@dataclass(frozen=True)
class MaskedLstmConfig:
    """The network.

    Args:
        patch: each patch x patch square of pixels becomes one token.
        width: features of a token.
        hidden: channels of each layer's LSTM state.
        mix: hidden features of the gated layers between.
        directions: one letter a layer, the way it runs through time: ``f``orwards or ``b``ackwards.
        kernel: odd size of the state's convolution, in patches.
    """

    patch: int = 8
    width: int = 96
    hidden: int = 56
    mix: int = 128
    directions: str = "bfff"
    kernel: int = 3

    def __post_init__(self) -> None:
        for name in ("patch", "width", "hidden", "mix", "kernel"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}={getattr(self, name)}", "1 or more", f"set another {name}")
        if not self.directions or set(self.directions) - set(_DIRECTIONS):
            raise ConfigError(
                f"directions={self.directions!r}", "letters f and b, one a layer", "write for example bfbf"
            )
        if self.kernel % 2 == 0:
            raise ConfigError(f"kernel={self.kernel}", "an odd number", "set another kernel")


@register(
    "masked_lstm",
    MaskedLstmConfig,
    presets={
        "masked_lstm_small": MaskedLstmConfig(),
        "masked_lstm": MaskedLstmConfig(width=320, hidden=192, mix=768, directions="bfbfbf"),
    },
    tiny=MaskedLstmConfig(patch=4, width=8, hidden=8, mix=8, directions="bf"),
)
class MaskedLstm(Model):
    """Frames with any holes in, whole frames out, in one pass over the canvas.

    The canvas is cut into patches; each becomes a token that knows its pixels and which of them
    are missing. Then layers alternate: a ConvLSTM (Shi et al., "Convolutional LSTM network",
    NeurIPS 2015) carries tokens through time, backwards in one layer and forwards in the next,
    so that a gap is filled from both sides; and a gated layer mixes each token's features
    (SwiGLU: Shazeer, "GLU variants improve transformer", 2020). Both add to the token they read
    (pre-norm residuals). A convolution draws the patches. Nothing drawn is ever read again, so a
    long gap costs no more than the frames it has.

    Observed pixels are drawn too, as an autoencoder does: learning that helps with the rest.
    Channels are treated alike, one by one. Frames that patches do not divide are padded with
    missing pixels and cropped.

    The idea of one network over a masked canvas is that of masked autoencoders (He et al.,
    CVPR 2022); with LSTMs in the place of attention the cost is linear in the number of frames.
    """

    tasks = frozenset(TASKS)
    passes = 4

    def __init__(self, config: MaskedLstmConfig) -> None:
        super().__init__()
        self.config = config
        pixels = config.patch**2
        self.embed = nn.Linear(2 * pixels, config.width)
        self.layers = nn.ModuleList()
        for direction in config.directions:
            self.layers.append(_Time(config, backwards=direction == "b"))
            self.layers.append(_Mix(config.width, config.mix))
        self.norm = nn.LayerNorm(config.width)
        self.head = nn.Conv2d(config.width, pixels, 3, padding=1)

    def given(self, observed: Tensor, valid: Tensor) -> Tensor:
        return valid

    def output_layers(self) -> list[nn.Linear | nn.Conv2d]:
        return [self.head]

    def _predict(self, frames: Tensor, observed: Tensor, valid: Tensor) -> Tensor:
        B, T, C, H, W = frames.shape
        p = self.config.patch
        # Channels become clips: (T, B * C, 2, H, W), frames beside their masks.
        pixels = torch.stack([frames, observed.expand_as(frames).to(frames.dtype)], dim=3)
        pixels = F.pad(pixels.permute(1, 0, 2, 3, 4, 5).flatten(1, 2), (0, -W % p, 0, -H % p))
        patches = F.pixel_unshuffle(pixels, p)  # (T, B * C, 2 * p * p, H / p, W / p)
        tokens = self.embed(patches.permute(0, 1, 3, 4, 2)).float()  # (T, B * C, H / p, W / p, width)
        reversal = _reversal(valid.repeat_interleave(C, dim=0))
        for layer in self.layers:
            tokens = layer(tokens, reversal)
        drawn = self.head(self.norm(tokens).flatten(0, 1).permute(0, 3, 1, 2))
        drawn = torch.sigmoid(F.pixel_shuffle(drawn.float(), p)[..., :H, :W])  # (T * B * C, 1, H, W)
        return drawn.view(T, B, C, H, W).transpose(0, 1)


class _Time(nn.Module):
    """A ConvLSTM over time in one direction.

    Args:
        config: width, hidden and kernel.
        backwards: from each clip's last frame to its first.
    """

    def __init__(self, config: MaskedLstmConfig, backwards: bool) -> None:
        super().__init__()
        self.backwards = backwards
        self.norm = nn.LayerNorm(config.width)
        self.cell = ConvLstmCell(config.width, config.hidden, config.kernel, input_kernel=1)
        self.out = _linear(config.hidden, config.width)

    def forward(self, tokens: Tensor, reversal: Tensor) -> Tensor:
        """``(T, B, h, w, width)`` in and out; ``reversal`` from `_reversal`."""
        _, B, h, w, _ = tokens.shape
        inputs = _reverse(tokens, reversal) if self.backwards else tokens
        inputs = self.norm(inputs).permute(0, 1, 4, 2, 3)  # channels last in memory
        start = tokens.new_zeros((B, h, w, self.cell.hidden)).permute(0, 3, 1, 2)
        (outputs,), _ = unroll([self.cell], [(start, start)], inputs=inputs)
        carried = self.out(outputs.permute(0, 1, 3, 4, 2))
        return tokens + (_reverse(carried, reversal) if self.backwards else carried)


class _Mix(nn.Module):
    """SwiGLU on each token alone."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.into = _linear(width, 2 * hidden)
        self.out = _linear(hidden, width)

    def forward(self, tokens: Tensor, reversal: Tensor) -> Tensor:
        """``(T, B, h, w, width)`` in and out; time plays no part."""
        values, gates = self.into(self.norm(tokens)).chunk(2, dim=-1)
        return tokens + self.out(values * F.silu(gates))


def _linear(inputs: int, outputs: int) -> nn.Linear:
    """Without a bias: the norms have one."""
    return nn.Linear(inputs, outputs, bias=False)


def _reversal(valid: Tensor) -> Tensor:
    """Where each clip's frames stand when it runs backwards: int64 ``(T, B)``.

    Padding keeps its place at the end, so that no clip reads it before its own frames.
    Applied twice it is the identity.
    """
    T = valid.shape[1]
    t = torch.arange(T, device=valid.device)[:, None]
    length = valid.sum(dim=1)
    return torch.where(t < length, length - 1 - t, t)


def _reverse(tokens: Tensor, reversal: Tensor) -> Tensor:
    """Each clip's frames the other way round; ``tokens`` ``(T, B, ...)``."""
    return tokens[reversal, torch.arange(tokens.shape[1], device=tokens.device)]

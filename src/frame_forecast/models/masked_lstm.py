"""The masked LSTM autoencoder: one network for every mask."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from frame_forecast.errors import ConfigError
from frame_forecast.models.base import TASKS, Model
from frame_forecast.models.optical_flow import moved_copies
from frame_forecast.models.registry import register
from frame_forecast.nn.cells import ConvLstmCell
from frame_forecast.nn.heads import FlowHead, MotionHead
from frame_forecast.nn.motion import on_a_line, other_neighbours, positions, seen_frames, values_at
from frame_forecast.nn.unroll import unroll

_DIRECTIONS = "fb"
_FLOW_TILE = 1024  # pixels a side: what moves far must be seen where it comes from; 512 cost 0.4 dB on radar of 765x700


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
        motion: whether neighbouring frames are copied, moved, beside what is drawn.
        flow: whether missing frames start from what optical flow makes of them, for footage in which things move
            far and in every way; in place of ``motion``.
    """

    patch: int = 8
    width: int = 96
    hidden: int = 56
    mix: int = 128
    directions: str = "bfff"
    kernel: int = 3
    motion: bool = True
    flow: bool = False

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
        if (self.motion or self.flow) and self.patch % 2 == 1:
            raise ConfigError(f"patch={self.patch}", "an even number with motion or flow", "set another patch")


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
    (pre-norm residuals). A convolution draws the patches; beside that, the nearest observed frames
    before and after are copied, moved, and gates weigh them against it. Nothing drawn is ever read
    again, so a long gap costs no more than the frames it has.

    A clip with something observed after something missing is run in both directions, but for
    training, and the two are blended; a forecast takes one run.

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
        self.embed = nn.Linear((3 if config.flow else 2) * pixels, config.width)
        self.layers = nn.ModuleList()
        for direction in config.directions:
            self.layers.append(_Time(config, backwards=direction == "b"))
            self.layers.append(_Mix(config.width, config.mix))
        self.norm = nn.LayerNorm(config.width)
        self.head = nn.Conv2d(config.width, pixels, 3, padding=1)
        self.motion = MotionHead(config.width, config.patch) if config.motion and not config.flow else None
        self.flow = FlowHead(config.width, config.patch) if config.flow else None
        if self.flow is not None:
            self.tile = _FLOW_TILE
            self.exports = False
            # What is drawn is added to what flow makes.
            nn.init.zeros_(self.head.weight)
            nn.init.zeros_(self.head.bias)  # pyright: ignore[reportArgumentType]

    def given(self, observed: Tensor, valid: Tensor) -> Tensor:
        return valid

    def output_layers(self) -> list[nn.Linear | nn.Conv2d]:
        return [self.head, *([] if self.flow is None else self.flow.layers())]

    def start_at_mean(self, mean: float) -> None:
        if self.flow is None:  # which starts nearer by far
            super().start_at_mean(mean)

    def _predict(self, frames: Tensor, observed: Tensor, valid: Tensor) -> Tensor:
        if self.flow is not None:
            return self._refine(self.flow, frames, observed, valid)
        made = self._run(frames, observed, valid)
        rows = _seen_after_missing(observed, valid).nonzero()[:, 0]
        if self.training or len(rows) == 0:
            return made
        # A gap is as much the past's future as the future's past: run the clip backwards too.
        valid, clip = valid[rows], torch.arange(len(rows), device=rows.device)[:, None]
        order = _reversal(valid).T
        backwards = self._run(frames[rows][clip, order], observed[rows][clip, order], valid)[clip, order]
        blended = torch.lerp(backwards, made[rows], _share_forwards(observed[rows], valid))
        return made.index_copy(0, rows, blended)

    def _run(self, frames: Tensor, observed: Tensor, valid: Tensor) -> Tensor:
        """One pass over the canvas, ``(B, T, C, H, W)`` in and out."""
        B, T, C, H, W = frames.shape
        # Channels become clips: (T, B * C, 2, H, W), frames beside their masks.
        pixels = torch.stack([frames, observed.expand_as(frames).to(frames.dtype)], dim=3)
        reversal = _reversal(valid.repeat_interleave(C, dim=0))
        tokens = self._tokens(pixels.permute(1, 0, 2, 3, 4, 5).flatten(1, 2), reversal)
        missing = ~observed.flatten(2).all(dim=2).T.repeat_interleave(C, dim=1).flatten()  # (T * B * C,)
        made = frames.transpose(0, 1).reshape(-1, 1, H, W)
        # Wholly observed frames are drawn for practice alone.
        rows = torch.arange(len(missing), device=frames.device) if self.training else missing.nonzero()[:, 0]
        tokens = self._of_frames(rows, tokens, reversal)
        drawn = torch.sigmoid(self._drawn(tokens, H, W))
        made = made.index_copy(0, rows, drawn)
        if self.motion is not None:
            chosen = missing[rows]
            rows, copies = rows[chosen], [x[rows[chosen]] for x in _copies(frames, observed)]
            alone = rows % 2 == 1 if self.training else torch.zeros_like(rows, dtype=torch.bool)
            made = made.index_copy(0, rows, self.motion(tokens[chosen], drawn[chosen], *copies, alone))
        return made.view(T, B, C, H, W).transpose(0, 1)

    def _refine(self, flow: FlowHead, frames: Tensor, observed: Tensor, valid: Tensor) -> Tensor:
        """One pass over the canvas, ``(B, T, C, H, W)`` in and out, that improves on what optical flow makes."""
        B, T, _, H, W = frames.shape
        missing = ~observed.flatten(2).all(dim=2)  # (B, T)
        number = missing.flatten().cumsum(0).view(B, T) - 1
        with torch.no_grad():
            line = on_a_line(frames, observed)
            made = line.clone()
            sides = line[missing][:, None].repeat(1, 2, 1, 1, 1)  # (rows, 2, C, H, W)
            two = torch.zeros_like(sides[:, 0, :1], dtype=torch.bool)  # which pixels have both: (rows, 1, H, W)
            for copy in moved_copies(made, observed, valid):
                row = number[copy.clip, copy.frame]
                sides[row] = torch.where(copy.where, copy.sides, sides[row])
                two[row] |= copy.where & (copy.weights > 0).all(dim=0)
                made[copy.clip, copy.frame] = torch.where(copy.where, copy.blend(), made[copy.clip, copy.frame])
            # Where both sides differ, something appeared, vanished or was followed wrongly.
            doubt = torch.zeros_like(made[:, :, 0])
            doubt[missing] = (sides[:, 1] - sides[:, 0]).mean(dim=1)
            seen = observed[:, :, 0].expand_as(doubt).to(doubt.dtype)
            pixels = torch.stack([made.mean(dim=2), seen, doubt], dim=2)
        reversal = _reversal(valid)
        tokens = self._tokens(pixels.transpose(0, 1), reversal)
        rows = missing.flatten().nonzero()[:, 0]
        tokens = self._of_frames(rows % T * B + rows // T, tokens, reversal)
        refined = flow(tokens, self._drawn(tokens, H, W), sides, made[missing], line[missing])
        if not self.training:  # in frames of any kind, also such as it was not trained on
            low, high = _plausible(frames, observed, sides, two, rows // T)
            refined = refined.clamp(low, high)
        return frames.flatten(0, 1).index_copy(0, rows, refined).view_as(frames)

    def _tokens(self, pixels: Tensor, reversal: Tensor) -> Tensor:
        """What all layers but the last make of ``(T, N, k, H, W)``: ``(T, N, h, w, width)``."""
        p = self.config.patch
        H, W = pixels.shape[-2:]
        patches = F.pixel_unshuffle(F.pad(pixels.flatten(0, 1), (0, -W % p, 0, -H % p)), p)
        patches = patches.view(*pixels.shape[:2], *patches.shape[1:]).permute(0, 1, 3, 4, 2)
        # Contiguous, or without gradients the linear map would be a product for each frame.
        tokens = self.embed(patches.contiguous()).float()
        for layer in self.layers[:-1]:
            tokens = layer(tokens, reversal)
        return tokens

    def _of_frames(self, rows: Tensor, tokens: Tensor, reversal: Tensor) -> Tensor:
        """The tokens of some of the T * N frames, to draw from: ``(rows, width, h, w)``."""
        last = self.layers[-1]  # mixes each token alone
        return self.norm(last(tokens.flatten(0, 1)[rows], reversal)).permute(0, 3, 1, 2)

    def _drawn(self, tokens: Tensor, H: int, W: int) -> Tensor:
        """Pixels ``(rows, 1, H, W)``, any values."""
        return F.pixel_shuffle(self.head(tokens).float(), self.config.patch)[..., :H, :W]


def _seen_after_missing(observed: Tensor, valid: Tensor) -> Tensor:
    """Clips in which something is observed later than something that is missing: bool ``(B,)``."""
    T = observed.shape[1]
    t = torch.arange(T, device=observed.device)
    missing = valid & ~observed.flatten(2).all(dim=2)
    first_missing = torch.where(missing, t, T).amin(dim=1)
    last_seen = torch.where(seen_frames(observed), t, -1).amax(dim=1)
    return last_seen > first_missing


def _share_forwards(observed: Tensor, valid: Tensor) -> Tensor:
    """How far to trust the run forwards, ``(B, T, 1, 1, 1)``: wholly after the last observed frame,
    not at all before the first, and in between from a quarter to three quarters (chosen on
    validation clips: the better way is the one that most layers run).
    """
    T = observed.shape[1]
    t = torch.arange(T, device=observed.device)
    seen = seen_frames(observed)
    first = torch.where(seen, t, T).amin(dim=1, keepdim=True)
    last = torch.where(seen, t, -1).amax(dim=1, keepdim=True)
    between = 0.25 + 0.5 * t / (valid.sum(dim=1, keepdim=True) - 1).clamp(min=1)
    share = torch.where(t > last, 1.0, torch.where(t < first, 0.0, between))
    return share[:, :, None, None, None]


def _copies(frames: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
    """Each pixel's nearest observed values before and after, the frame itself excepted.

    Returns:
        The values ``(T * B * C, 2, H, W)``, and how many frames away they are, of that shape; infinity where
        there are none.
    """
    B, T, C, H, W = frames.shape
    before, after = other_neighbours(observed)
    values = torch.stack([values_at(before.clamp(min=0), frames), values_at(after.clamp(max=T - 1), frames)], dim=3)
    t = positions(observed)
    since, until = torch.where(before >= 0, t - before, torch.inf), torch.where(after < T, after - t, torch.inf)
    away = torch.stack([since, until], dim=3).expand(B, T, C, 2, H, W)
    return tuple(x.transpose(0, 1).flatten(0, 2) for x in (values, away))  # pyright: ignore[reportReturnType]


def _plausible(frames: Tensor, observed: Tensor, sides: Tensor, two: Tensor, clip: Tensor) -> tuple[Tensor, Tensor]:
    """Within what each pixel of some frames must stay: between both moved sides, or with one of them, within what the
    pixel ever showed in the clip and what moved there; anything where it was never observed.

    Args:
        frames: ``(B, T, C, H, W)``.
        observed: bool ``(B, T, 1, H, W)`` or ``(B, T, 1, 1, 1)``.
        sides: ``(rows, 2, C, H, W)``.
        two: bool ``(rows, 1, H, W)``, which pixels have both.
        clip: ``(rows,)``, of which clip each row is.

    Returns:
        The least and the largest values, ``(rows, C, H, W)``.
    """
    ever = observed.any(dim=1)
    lowest = frames.masked_fill(~observed, torch.inf).amin(dim=1).where(ever, 0.0)[clip]
    highest = frames.masked_fill(~observed, -torch.inf).amax(dim=1).where(ever, 1.0)[clip]
    low, high = sides.amin(dim=1), sides.amax(dim=1)
    return torch.where(two, low, low.minimum(lowest)), torch.where(two, high, high.maximum(highest))


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

"""The masked LSTM autoencoder: one network for every mask."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from frame_forecast.errors import ConfigError
from frame_forecast.models.base import TASKS, Model
from frame_forecast.models.registry import register
from frame_forecast.nn.cells import ConvLstmCell
from frame_forecast.nn.motion import other_neighbours, positions, values_at
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
        motion: whether neighbouring frames are copied, moved, beside what is drawn.
    """

    patch: int = 8
    width: int = 96
    hidden: int = 56
    mix: int = 128
    directions: str = "bfff"
    kernel: int = 3
    motion: bool = True

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
        if self.motion and self.patch % 2 == 1:
            raise ConfigError(f"patch={self.patch}", "an even number with motion", "set another patch")


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
        self.embed = nn.Linear(2 * pixels, config.width)
        self.layers = nn.ModuleList()
        for direction in config.directions:
            self.layers.append(_Time(config, backwards=direction == "b"))
            self.layers.append(_Mix(config.width, config.mix))
        self.norm = nn.LayerNorm(config.width)
        self.head = nn.Conv2d(config.width, pixels, 3, padding=1)
        self.motion = _Motion(config.width, config.patch) if config.motion else None

    def given(self, observed: Tensor, valid: Tensor) -> Tensor:
        return valid

    def output_layers(self) -> list[nn.Linear | nn.Conv2d]:
        return [self.head]

    def _predict(self, frames: Tensor, observed: Tensor, valid: Tensor) -> Tensor:
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
        p = self.config.patch
        # Channels become clips: (T, B * C, 2, H, W), frames beside their masks.
        pixels = torch.stack([frames, observed.expand_as(frames).to(frames.dtype)], dim=3)
        pixels = F.pad(pixels.permute(1, 0, 2, 3, 4, 5).flatten(1, 2), (0, -W % p, 0, -H % p))
        patches = F.pixel_unshuffle(pixels, p).permute(0, 1, 3, 4, 2)  # (T, B * C, H / p, W / p, 2 * p * p)
        # Contiguous, or without gradients the linear map would be a product for each frame.
        tokens = self.embed(patches.contiguous()).float()  # (T, B * C, H / p, W / p, width)
        reversal = _reversal(valid.repeat_interleave(C, dim=0))
        *layers, last = self.layers
        for layer in layers:
            tokens = layer(tokens, reversal)
        missing = ~observed.flatten(2).all(dim=2).T.repeat_interleave(C, dim=1).flatten()  # (T * B * C,)
        made = frames.transpose(0, 1).reshape(-1, 1, H, W)
        # Wholly observed frames are drawn for practice alone.
        rows = torch.arange(len(missing), device=frames.device) if self.training else missing.nonzero()[:, 0]
        tokens = last(tokens.flatten(0, 1)[rows], reversal)  # mixes each token alone
        tokens = self.norm(tokens).permute(0, 3, 1, 2)  # (rows, width, H / p, W / p)
        drawn = torch.sigmoid(F.pixel_shuffle(self.head(tokens).float(), p)[..., :H, :W])
        made = made.index_copy(0, rows, drawn)
        if self.motion is not None:
            chosen = missing[rows]
            rows, copies = rows[chosen], [x[rows[chosen]] for x in _copies(frames, observed)]
            alone = (rows % 2 == 1) & self.training
            made = made.index_copy(0, rows, self.motion(tokens[chosen], drawn[chosen], *copies, alone))
        return made.view(T, B, C, H, W).transpose(0, 1)


def _seen_frames(observed: Tensor) -> Tensor:
    """Frames with an observed pixel, bool ``(B, T)``."""
    return observed.flatten(2).any(dim=2)


def _seen_after_missing(observed: Tensor, valid: Tensor) -> Tensor:
    """Clips in which something is observed later than something that is missing: bool ``(B,)``."""
    T = observed.shape[1]
    t = torch.arange(T, device=observed.device)
    missing = valid & ~observed.flatten(2).all(dim=2)
    first_missing = torch.where(missing, t, T).amin(dim=1)
    last_seen = torch.where(_seen_frames(observed), t, -1).amax(dim=1)
    return last_seen > first_missing


def _share_forwards(observed: Tensor, valid: Tensor) -> Tensor:
    """How far to trust the run forwards, ``(B, T, 1, 1, 1)``: wholly after the last observed frame,
    not at all before the first, and in between from a quarter to three quarters (chosen on
    validation clips: the better way is the one that most layers run).
    """
    T = observed.shape[1]
    t = torch.arange(T, device=observed.device)
    seen = _seen_frames(observed)
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


class _Motion(nn.Module):
    """Copies of the nearest observed frames on both sides, moved, and blended with what was drawn.

    Each patch is read from the frame beside it through kernels that pick a displacement (Finn et al.,
    "Unsupervised learning for physical interaction through video prediction", NeurIPS 2016, section 3.2), here
    a column times a row: what matters is learned for all displacements at once, where a flow only ever learns
    of the pixels next to where it points. Gates for every 2x2 pixels, corrected by two convolutions that see
    what there is to choose from, weigh the copies and the drawn frame.

    In training, every other frame must do without what was drawn if an observed one is near: left to themselves
    the gates trust what is drawn, and the kernels never learn.
    """

    _KERNELS = 2  # of each side: two things may cross in a patch
    _REACH = 6  # pixels, in each direction
    _NEAR = 2  # frames over which things move no further than that
    _HIDDEN = 8
    _TRUST = 1.5  # of the drawn frame at first, on the gates' logarithmic scale
    _MARGIN = 1e-3  # copies are 0 or 1 in places, whose cross-entropy has no bound

    def __init__(self, width: int, patch: int) -> None:
        super().__init__()
        self.patch = patch
        self.choices = 2 * self._KERNELS + 1
        self.taps = 2 * self._REACH + 1
        self.kernels = nn.Linear(width, 2 * self._KERNELS * 2 * self.taps)
        self.gates = nn.Linear(width, (patch // 2) ** 2 * self.choices)
        self.look = nn.Conv2d(self.choices, self._HIDDEN, 3, padding=1)
        self.correct = nn.Conv2d(self._HIDDEN, self.choices + 1, 3, padding=1)
        for parameter in (*self.gates.parameters(), *self.correct.parameters()):
            nn.init.zeros_(parameter)
        with torch.no_grad():
            self.gates.bias[-((patch // 2) ** 2) :] = self._TRUST

    def forward(self, tokens: Tensor, drawn: Tensor, copies: Tensor, away: Tensor, alone: Tensor) -> Tensor:
        """What is given of each frame.

        Args:
            tokens: ``(N, width, h, w)``.
            drawn: ``(N, 1, H, W)`` in [0, 1]; H and W at most patch times h and w.
            copies, away: from `_copies`.
            alone: bool ``(N,)``, frames to be made of copies alone where one is near.

        Returns:
            ``(N, 1, H, W)`` in [0, 1].
        """
        H, W = drawn.shape[2:]
        tokens = tokens.permute(0, 2, 3, 1).float()
        with torch.autocast(tokens.device.type, enabled=False):  # half precision is too coarse for kernels and gates
            choices = torch.cat([self._moved(tokens, copies), drawn], dim=1)
            gates = F.pixel_shuffle(self.gates(tokens).permute(0, 3, 1, 2), self.patch // 2)
            gates = F.interpolate(gates, scale_factor=2, mode="bilinear")[..., :H, :W]
        correction = self.correct(F.silu(self.look(choices.contiguous(memory_format=torch.channels_last)))).float()
        near = (away <= self._NEAR).any(dim=1, keepdim=True) & alone[:, None, None, None]
        usable = torch.cat([torch.isfinite(away).repeat_interleave(self._KERNELS, dim=1), ~near], dim=1)
        shares = (gates + correction[:, :-1]).masked_fill(~usable, -torch.inf).softmax(dim=1)
        blend = self._MARGIN + (1 - 2 * self._MARGIN) * (shares * choices).sum(dim=1, keepdim=True)
        return torch.sigmoid(torch.logit(blend) + correction[:, -1:])

    def _moved(self, tokens: Tensor, copies: Tensor) -> Tensor:
        """Each side's copies under its kernels, ``(N, 2 * kernels, H, W)``.

        Args:
            tokens: ``(N, h, w, width)``.
            copies: ``(N, 2, H, W)``.
        """
        (N, h, w, _), (H, W) = tokens.shape, copies.shape[2:]
        p, R, K = self.patch, self._REACH, self._KERNELS
        padded = F.pad(copies, (R, R + w * p - W, R, R + h * p - H))
        around = padded.unfold(2, p + 2 * R, p).unfold(3, p + 2 * R, p)  # (N, 2, h, w, p + 2R, p + 2R)
        around = around.permute(0, 2, 3, 1, 4, 5)[:, :, :, :, None]
        kernels = self.kernels(tokens).view(N, h, w, 2, K, 2, self.taps).softmax(dim=-1)
        down, across = self._bands(kernels).unbind(dim=5)  # (N, h, w, 2, K, p, p + 2R)
        moved = down @ around @ across.transpose(-1, -2)  # (N, h, w, 2, K, p, p)
        return moved.permute(0, 3, 4, 1, 5, 2, 6).reshape(N, 2 * K, h * p, w * p)[..., :H, :W]

    def _bands(self, kernels: Tensor) -> Tensor:
        """Kernels ``(..., taps)`` as matrices ``(..., p, p + 2R)`` that slide them along an axis."""
        rows, columns = self.patch, self.patch + self.taps - 1
        # A row one longer than the matrix, repeated and cut to the matrix's width, moves on by one each time.
        row = F.pad(kernels, (0, columns + 1 - self.taps))[..., None, :].expand(*kernels.shape[:-1], rows, columns + 1)
        return row.flatten(-2)[..., : rows * columns].unflatten(-1, (rows, columns))


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

"""What the causal recurrent models share: one loop for forecasts, holes and scheduled sampling.

Such a model gives frame ``t`` before it reads it. Of what it reads next, observed pixels are the clip's
and the others its own. A forecast is thus a clip that ends in unobserved frames, and scheduled sampling
a matter of which frames are observed in training; neither is a case of its own here.
"""

import abc
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from frame_forecast.models.base import Model, check_counts
from frame_forecast.nn.cells import Cell, State
from frame_forecast.nn.motion import other_neighbours, seen_frames
from frame_forecast.nn.unroll import unroll


@dataclass(frozen=True)
class PatchConfig:
    """What every causal network is told.

    Args:
        channels: C of the frames.
        patch: each patch x patch square of pixels becomes one position with C * patch**2 channels.
        hidden: channels of what a frame is made from.
    """

    channels: int = 1
    patch: int = 4
    hidden: int = 128

    def __post_init__(self) -> None:
        check_counts(channels=self.channels, patch=self.patch, hidden=self.hidden)

    @property
    def pixels(self) -> int:
        """Channels of a position."""
        return self.channels * self.patch**2

    @property
    def multiple(self) -> int:
        """What height and width are padded to a multiple of."""
        return self.patch


@dataclass(frozen=True)
class CausalConfig(PatchConfig):
    """A stack of cells of one size; the rest see `PatchConfig`.

    Args:
        hidden: channels of each layer's state.
        layers: of cells.
        kernel: odd size of the cells' convolutions, in patches.
    """

    layers: int = 4
    kernel: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        check_counts(layers=self.layers, kernel=self.kernel)


class CausalModel(Model):
    """Cells over time, and a head on the highest one's output that gives the next frame.

    Each clip begins with its first frame that has something observed, from which nothing can be given but what
    follows; with nothing observed, nothing is given. A clip with something missing before something observed is
    run backwards too, but for training. Both ways are blended by how near the last frame is that each has seen.

    As long as whole frames are observed in every clip, inputs are known, and the lowest cell projects all of them at
    once, every cell where layers do not wait for each other. Frames that patches do not divide are padded with black.

    Args:
        config: of the network.
        cells: as `unroll` takes them, the lowest first.
        head: from outputs ``(N, hidden, h, w)`` to pixels ``(N, C * p * p, h, w)`` before their sigmoid, which its last
            convolution gives; None = a 1x1 convolution.
    """

    tasks = frozenset({"forecast", "recreate"})
    causal = True

    def __init__(self, config: PatchConfig, cells: Sequence[Cell], head: nn.Module | None = None) -> None:
        super().__init__()
        self.config = config
        self.channels = config.channels
        self.cells = nn.ModuleList(cells)
        self.head = nn.Conv2d(config.hidden, config.pixels, 1) if head is None else head
        # As states are: otherwise each step would bring every kernel into their order: a third of the time of one clip.
        self.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    @final
    def given(self, observed: Tensor, valid: Tensor) -> Tensor:
        first, last = _seen_from_to(observed)
        t = torch.arange(valid.shape[1], device=valid.device)
        given = t > first[:, None]
        if not self.training:
            given = given | (_missing_before(last, observed)[:, None] & (t < last[:, None]))
        return given & valid

    @final
    def output_layers(self) -> Sequence[nn.Conv2d | nn.ConvTranspose2d]:
        return [layer for layer in self.head.modules() if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)][-1:]

    @final
    def _predict(self, frames: Tensor, observed: Tensor, valid: Tensor) -> Tensor:
        first, last = _seen_from_to(observed)
        length = valid.sum(dim=1)
        made = self._run(frames, observed, first, length - first, backwards=False)
        rows = _missing_before(last, observed).nonzero()[:, 0]
        if self.training or len(rows) == 0:
            return made
        last = last[rows]
        reverse = self._run(frames[rows], observed[rows], last, last + 1, backwards=True)
        return made.index_copy(0, rows, torch.lerp(reverse, made[rows], _share_forwards(observed[rows])))

    def _run(self, frames: Tensor, observed: Tensor, start: Tensor, length: Tensor, backwards: bool) -> Tensor:
        """One way through time.

        Args:
            frames: ``(B, T, C, H, W)``.
            observed: bool ``(B, T, 1, H, W)`` or ``(B, T, 1, 1, 1)``.
            start: int64 ``(B,)``, the frame that each clip begins with.
            length: int64 ``(B,)``, how many frames it then has; none if not above 0.
            backwards: from there towards the first frame.

        Returns:
            ``(B, T, C, H, W)``; 0 where this way gives nothing.
        """
        T = frames.shape[1]
        steps = int(length.max()) - 1
        if steps < 1:
            return torch.zeros_like(frames)
        way = -1 if backwards else 1
        clip = torch.arange(frames.shape[0], device=frames.device)[:, None]
        step = torch.arange(steps + 1, device=frames.device)
        order = (start[:, None] + way * step).clamp(0, T - 1)
        seen = observed[clip, order] & (step < length[:, None])[:, :, None, None, None]
        next_frames = self._next_frames(frames[clip, order], seen)  # (B, steps, C, H, W)
        # Frame t is the step-th of its run, and what step - 1 gives.
        step = way * (torch.arange(T, device=frames.device) - start[:, None])  # (B, T)
        made = (step > 0) & (step < length[:, None])
        chosen = next_frames[clip, (step - 1).clamp(0, steps - 1)]
        return torch.where(made[:, :, None, None, None], chosen, torch.zeros((), device=frames.device))

    def _next_frames(self, frames: Tensor, observed: Tensor) -> Tensor:
        """What is given after each frame of ``(B, T, C, H, W)`` but the last: ``(B, T - 1, C, H, W)``."""
        B, T, _, H, W = frames.shape
        pixels = self._patches(frames)  # (T, B, pixels, h, w)
        seen = self._patches(observed.expand_as(frames), outside=True)
        known = min(_whole_until(observed), T - 1)
        cells = [cell for cell in self.cells if isinstance(cell, Cell)]
        states = self._start(pixels[0])
        x, drawn = pixels[0], []
        if known > 0:
            outputs, states = unroll(cells, states, inputs=pixels[:known])
            drawn = list(self._draw(outputs[-1].flatten(0, 1)).chunk(known))
            x = torch.where(seen[known], pixels[known], drawn[-1])

        def feed(outputs: list[Tensor]) -> Tensor:
            drawn.append(self._draw(outputs[-1]))
            return torch.where(seen[len(drawn)], pixels[len(drawn)], drawn[-1])

        _, states = unroll(cells, states, steps=T - 1 - known, first=x, feed=feed)
        self._finish(states, T - 1)
        shuffled = F.pixel_shuffle(torch.stack(drawn, dim=1).flatten(0, 1), self.config.patch)
        return shuffled.view(B, T - 1, *shuffled.shape[1:])[..., :H, :W]

    def _patches(self, frames: Tensor, outside: bool = False) -> Tensor:
        """``(B, T, C, H, W)`` to ``(T, B, C * p * p, h, w)``, channels last in memory, filled up with ``outside``."""
        multiple = self.config.multiple
        B, T, _, H, W = frames.shape
        padded = F.pad(frames.transpose(0, 1).flatten(0, 1), (0, -W % multiple, 0, -H % multiple), value=outside)
        patches = F.pixel_unshuffle(padded, self.config.patch).contiguous(memory_format=torch.channels_last)
        return patches.view(T, B, *patches.shape[1:])

    def _draw(self, outputs: Tensor) -> Tensor:
        """Pixels in [0, 1] ``(N, C * p * p, h, w)`` of the highest cell's outputs ``(N, hidden, h, w)``."""
        return torch.sigmoid(self.head(outputs).float())

    @abc.abstractmethod
    def _start(self, x: Tensor) -> list[State]:
        """The states before the first step, for inputs like ``x`` ``(B, C * p * p, h, w)``."""

    def _finish(self, states: list[State], steps: int) -> None:
        """Sees the states after the last step, and how many steps it were; here to no end."""

    @final
    def _zeros(self, x: Tensor, channels: int) -> Tensor:
        """``(B, channels, h, w)``, channels last in memory, on the device of ``x`` ``(B, ..., h, w)``."""
        B, _, h, w = x.shape
        return x.new_zeros((B, h, w, channels)).permute(0, 3, 1, 2)


def _seen_from_to(observed: Tensor) -> tuple[Tensor, Tensor]:
    """The first and the last frame with an observed pixel, int64 ``(B,)``; T and -1 where there is none."""
    T = observed.shape[1]
    t, seen = torch.arange(T, device=observed.device), seen_frames(observed)
    return torch.where(seen, t, T).amin(dim=1), torch.where(seen, t, -1).amax(dim=1)


def _whole_until(observed: Tensor) -> int:
    """The first frame that some clip has not whole; T where there is none."""
    return int(observed.flatten(2).all(dim=2).all(dim=0).cumprod(dim=0).sum())


def _missing_before(last: Tensor, observed: Tensor) -> Tensor:
    """Clips in which something is missing before frame ``last`` ``(B,)``: bool ``(B,)``."""
    t = torch.arange(observed.shape[1], device=observed.device)
    return (~observed.flatten(2).all(dim=2) & (t < last[:, None])).any(dim=1)


def _share_forwards(observed: Tensor) -> Tensor:
    """How far to trust the run forwards, ``(B, T, 1, 1, 1)``: the less, the longer it has read its own frames
    beside the run backwards; wholly or not at all where the other one gives nothing."""
    T = observed.shape[1]
    before, after = other_neighbours(seen_frames(observed)[:, :, None, None, None])
    t = torch.arange(T, device=observed.device)[:, None, None, None]
    since, until = t - before, after - t
    between = until / (since + until)
    return torch.where(before < 0, 0.0, torch.where(after == T, 1.0, between))

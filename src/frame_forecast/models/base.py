"""The contract every model keeps."""

import abc
import math
from collections.abc import Sequence
from typing import Any, final

import torch
from torch import Tensor, nn

from frame_forecast.errors import ConfigError, ShapeError
from frame_forecast.masks import future
from frame_forecast.nn.convolution import keep_kernels

TASKS = ("forecast", "recreate", "reconstruct")
_MOST_LAYERS = 1000  # they are made one by one
_MOST = 10**6


def check_counts(**counts: int) -> None:
    """Raises ConfigError unless each count of a config can be built; ``layers`` is one of layers, ``kernel`` odd."""
    for name, count in counts.items():
        most = _MOST_LAYERS if name == "layers" else _MOST
        if not 1 <= count <= most:
            raise ConfigError(f"{name}={count}", f"1 to {most}", f"set another {name}")
    if counts.get("kernel", 1) % 2 == 0:
        raise ConfigError(f"kernel={counts['kernel']}", "an odd number", "set another kernel")


class Model(nn.Module, abc.ABC):
    """Frames and what may be seen of them in, a prediction for every frame out.

    Subclasses implement `_predict` and set the attributes; `forward` is final, so that no
    model can see a hidden pixel: it is 0 before a model gets it.

    Attributes:
        tasks: what the model can do, of `TASKS`.
        passes: how it reconstructs. 1: the clip goes through the model's state, everything
            observed. n > 1: it predicts each frame from others, in n interleaved passes over the
            clip; pass p hides the frames t with ``t % n == p`` and keeps their predictions.
        causal: whether it gives each frame before it reads it, so that in training it may read any.
        exports: whether torch computes all of it, so that `export` can record a graph.
        any_context: whether such a graph reads any number of frames, as operators that loop over time do; loops of
            its own are unrolled in one.
        config: the frozen dataclass that the model was built from.
        channels: C of the frames, None = any.
        frame_size: ``(H, W)`` if the model is fixed to one size, None = any.
        tile: largest side of the tiles that larger frames are cut into (`tiles.run_in_tiles`), so that memory
            stays small; None = frames of any size at once, because tiles would cost accuracy.
    """

    tasks: frozenset[str]
    passes: int = 1
    causal: bool = False
    exports: bool = True
    any_context: bool = False
    config: Any
    channels: int | None = None
    frame_size: tuple[int, int] | None = None
    tile: int | None = 256  # a pixel takes half the time that it does in 512, on a CPU, whose caches these fit

    @final
    def forward(self, frames: Tensor, observed: Tensor, valid: Tensor | None = None) -> Tensor:
        """Predicts every frame of the canvas.

        Args:
            frames: float32 ``(B, T, C, H, W)`` in [0, 1]; hidden pixels may hold anything,
                NaN too, and never reach the model.
            observed: bool ``(B, T, 1, H, W)``, or ``(B, T, 1, 1, 1)`` for whole frames; True =
                the model may see it. To forecast, append unobserved frames.
            valid: bool ``(B, T)``, False = padding at the end of a shorter clip; None = none.

        Returns:
            ``(B, T, C, H, W)`` in [0, 1]. Frames that the model does not give (see `given`)
            and padding are 0.

        Raises:
            ShapeError: shapes disagree with each other or with the model.
        """
        if frames.ndim != 5 or 0 in frames.shape:
            raise ShapeError(
                f"frames of shape {tuple(frames.shape)}", "(B, T, C, H, W), none empty", "add the missing axes"
            )
        B, T, C, H, W = frames.shape
        if tuple(observed.shape) not in ((B, T, 1, H, W), (B, T, 1, 1, 1)):
            raise ShapeError(
                f"observed of shape {tuple(observed.shape)}",
                f"{(B, T, 1, H, W)} or {(B, T, 1, 1, 1)}",
                "give a mask for every frame of the canvas",
            )
        if valid is None:
            valid = torch.ones((B, T), dtype=torch.bool, device=frames.device)
        elif tuple(valid.shape) != (B, T):
            raise ShapeError(f"valid of shape {tuple(valid.shape)}", f"{(B, T)}", "give a flag for every frame")
        self.check_frames(C, H, W)
        in_clip = valid[:, :, None, None, None]
        # where, not a product: a hidden NaN times 0 would still be NaN.
        seen = torch.where(observed & in_clip, frames, torch.zeros((), device=frames.device))
        with keep_kernels():
            prediction = self._predict(seen, observed & in_clip, valid)
        if self.training and torch.is_grad_enabled() and not prediction.requires_grad:
            # Nothing to give in any clip: gradients of 0, for a step goes on, and other processes wait for them.
            prediction = prediction + 0 * sum(parameter.sum() for parameter in self.parameters())
        return torch.where(in_clip, prediction, torch.zeros((), device=frames.device))

    def forecast(self, frames: Tensor, horizon: int) -> Tensor:
        """The frames that follow, of a clip that is seen whole; what `export` makes a graph of.

        Args:
            frames: float32 ``(B, T, C, H, W)`` in [0, 1].
            horizon: how many to give.

        Returns:
            ``(B, horizon, C, H, W)``, as `forward` gives them on the canvas.
        """
        B, context, *size = frames.shape
        canvas = torch.cat([frames, frames.new_zeros((B, horizon, *size))], dim=1)
        observed = future(context, horizon)[None].expand(B, -1, -1, -1, -1)
        return self(canvas, observed)[:, context:]

    @final
    def check_frames(self, channels: int, height: int, width: int) -> None:
        """Raises ShapeError unless the model takes frames ``(channels, height, width)``."""
        if self.channels not in (None, channels):
            raise ShapeError(
                f"frames of {channels} channels",
                f"{self.channels}",
                "pass one channel at a time, or train a model for these",
            )
        if self.frame_size not in (None, (height, width)):
            assert self.frame_size is not None
            raise ShapeError(
                f"frames of {height}x{width}",
                "{}x{}, the size this model is fixed to".format(*self.frame_size),
                "resize the frames, or use a model of any size such as conv_lstm_autoencoder",
            )

    @abc.abstractmethod
    def given(self, observed: Tensor, valid: Tensor) -> Tensor:
        """Which frames of the canvas the model gives: what its training loss covers.

        Args:
            observed: as for `forward`.
            valid: bool ``(B, T)``.

        Returns:
            bool ``(B, T)``.
        """

    @abc.abstractmethod
    def output_layers(self) -> Sequence[nn.Linear | nn.Conv2d | nn.ConvTranspose2d]:
        """The layers that pixels, or choices between them, come from: their rows are no features of one space,
        which the optimiser should know."""

    def penalties(self) -> dict[str, Tensor]:
        """What training adds to its loss, weighted, by name: scalars of the last `forward` that gradients were kept
        of, each given once. Most models have none."""
        return {}

    def start_at_mean(self, mean: float) -> None:
        """Starts pixels at their mean, in (0, 1); here by the biases of output layers right before a sigmoid."""
        with torch.no_grad():
            for layer in self.output_layers():
                assert layer.bias is not None
                layer.bias.fill_(math.log(mean / (1 - mean)))

    @abc.abstractmethod
    def _predict(self, frames: Tensor, observed: Tensor, valid: Tensor) -> Tensor:
        """`forward` on checked input whose hidden pixels and padding are 0."""

"""Canvases through a model: together as far as memory goes, in tiles where frames are large."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

from frame_forecast.call import Call
from frame_forecast.clip import Clip
from frame_forecast.models import Model
from frame_forecast.tiles import fitted, run_in_tiles
from frame_forecast.windows import Window

_CANVASES_AT_ONCE = 16
_PIXELS_AT_ONCE = _CANVASES_AT_ONCE * 20 * 64 * 64  # larger frames go through the model in smaller groups


@dataclass(frozen=True)
class Runner:
    """A model on a device.

    Args:
        model: in evaluation mode, on the device.
        device: where it runs.
        precision: of matrix products and convolutions.
    """

    model: Model
    device: torch.device
    precision: torch.dtype

    @torch.inference_mode()
    def run(self, frames: Tensor, observed: Tensor, call: Call, *, holes_only: bool = False) -> Tensor:
        """The model's prediction for canvases.

        Args:
            frames: ``(B, T, C, H, W)`` in [0, 1]; a model of one channel gets channels as clips.
            observed: bool ``(B, T, 1, H, W)``.
            call: asked before and told after.
            holes_only: nobody uses the prediction of observed pixels.

        Returns:
            float32 ``(B, T, C, H, W)`` on the CPU.

        Raises:
            Cancelled: the call's hook said so.
        """
        call.ask()
        frames, observed = frames.to(self.device), observed.to(self.device)
        B, T, C, H, W = frames.shape
        alone = self.model.channels == 1 and C > 1
        if alone:  # channels become clips
            frames = frames.transpose(1, 2).reshape(B * C, T, 1, H, W)
            observed = observed.repeat_interleave(C, dim=0)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == torch.bfloat16):
            tile = self.tile(H, W)
            if tile is None:
                prediction = self.model(frames, observed).float()
            else:
                prediction = run_in_tiles(self.model, frames, observed, tile, holes_only=holes_only)
        if alone:
            prediction = prediction.view(B, C, T, H, W).transpose(1, 2)
        call.tell(B)
        return prediction.cpu()

    def tile(self, height: int, width: int) -> tuple[int, int] | None:
        """Height and width of the tiles that such frames go through the model in; None = as they are."""
        largest = self.model.tile
        tile = self.model.frame_size
        if tile is None and largest is not None:
            tile = fitted(height, largest), fitted(width, largest)
        return None if tile is None or (height <= tile[0] and width <= tile[1]) else tile

    def at_once(self, clip: Clip, frames: int) -> int:
        """How many canvases of so many of the clip's frames go through the model together."""
        _, C, H, W = clip.values.shape
        height, width = self.tile(H, W) or (H, W)
        return max(1, min(_CANVASES_AT_ONCE, _PIXELS_AT_ONCE // (frames * C * min(H, height) * min(W, width))))


def groups(jobs: list[tuple[int, Window]], at_once: int) -> Iterator[list[tuple[int, Window]]]:
    """Jobs in their order in groups of at most ``at_once``, the windows of a group of one length."""
    for _, same in groupby(jobs, key=lambda job: len(job[1].frames)):
        group = list(same)
        yield from (group[start : start + at_once] for start in range(0, len(group), at_once))


def stack(clips: list[Clip]) -> tuple[Tensor, Tensor]:
    """Frames ``(B, T, C, H, W)`` in [0, 1] and observed ``(B, T, 1, H, W)`` of clips of one shape."""
    batches = [clip.to_batch() for clip in clips]
    return torch.cat([batch.frames for batch in batches]), torch.cat([batch.observed for batch in batches])


def append(canvas: Tensor, frames: int, value: bool = False) -> Tensor:
    """``(B, T, ...)`` with frames of zeros, or of ones, at the end."""
    more = canvas.new_full((canvas.shape[0], frames, *canvas.shape[2:]), value)
    return torch.cat([canvas, more], dim=1)

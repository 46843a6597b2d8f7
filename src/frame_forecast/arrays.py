"""A user's arrays and tensors as clips, and clips as what the user gave."""

from dataclasses import replace
from typing import TypeVar, cast

import numpy as np
import torch
from torch import Tensor

from frame_forecast.clip import Clip, broadcast_mask
from frame_forecast.errors import DataError
from frame_forecast.scale import ValueScale

Frames = TypeVar("Frames", np.ndarray, Tensor, Clip)
AnyFrames = np.ndarray | Tensor | Clip
"""What a user may give for frames."""


def to_clips(x: AnyFrames, observed: np.ndarray | Tensor | None = None, scale: ValueScale | None = None) -> list[Clip]:
    """One clip an item of the batch, or the only one; all of one shape.

    Args:
        x: ``(T, H, W)``, ``(T, C, H, W)`` or ``(B, T, C, H, W)``, or a clip.
        observed: bool, broadcastable to ``(T, 1, H, W)`` or ``(B, T, 1, H, W)``; for arrays
            ``(T, H, W)`` also to that. What is not a number stays missing.
        scale: of floats outside [0, 1].

    Raises:
        ShapeError: another number of axes, an empty one, or a mask that does not fit.
        DataError: no array, tensor or clip; values that are no pixels; a mask not of bool; a
            ``scale`` that is no `ValueScale`, or for a clip, which has its own.
    """
    mask = None if observed is None else np.asarray(_to_numpy(observed) if isinstance(observed, Tensor) else observed)
    check_scale(scale)
    if isinstance(x, Clip):
        if scale is not None:
            raise DataError("scale= with a clip", "the clip's own scale", "leave it out, or make the clip with it")
        if mask is None:
            return [x]
        return [replace(x, observed=x.observed & broadcast_mask(mask, x.observed.shape))]
    if not isinstance(x, Tensor | np.ndarray):
        raise DataError(
            f"frames that are a {type(x).__name__}",
            "a NumPy array, a torch tensor or a Clip",
            "convert them with numpy.asarray and the dtype that says their range, for example numpy.uint8",
        )
    array = _to_numpy(x) if isinstance(x, Tensor) else x
    if array.ndim != 5 or 0 in array.shape:
        return [Clip.from_array(array, mask, scale)]
    B, T, _, H, W = array.shape
    masks = broadcast_mask(mask, (B, T, 1, H, W)) if mask is not None else [None] * B
    return [
        Clip.from_array(item, own, scale, source=f"clip {i}")
        for i, (item, own) in enumerate(zip(array, masks, strict=True))
    ]


def check_scale(scale: ValueScale | None) -> None:
    """Raises DataError for a scale of a user that is none."""
    if scale is not None and not isinstance(scale, ValueScale):
        raise DataError(f"scale={scale!r}", "a ValueScale", "pass frame_forecast.ValueScale(low, high)")


def like(x: Frames, clips: list[Clip]) -> Frames:
    """Clips as the kind of thing ``x`` is: array, masked array with nothing masked, tensor or clip."""
    if isinstance(x, Clip):
        return cast(Frames, clips[0])
    if x.ndim == 5:
        # Stacking makes the byte order that of the machine.
        values = np.stack([clip.values for clip in clips]).astype(clips[0].values.dtype, copy=False)
    else:
        values = clips[0].values[:, 0] if x.ndim == 3 else clips[0].values
    if isinstance(x, Tensor):
        return cast(Frames, torch.from_numpy(values).to(x.device, x.dtype))
    return cast(Frames, np.ma.asarray(values) if isinstance(x, np.ma.MaskedArray) else values)


def _to_numpy(tensor: Tensor) -> np.ndarray:
    """A tensor as an array; bfloat16, which NumPy lacks, as float32, which holds all its values."""
    try:
        given = tensor.detach().cpu().resolve_neg()
        return (given.float() if given.dtype == torch.bfloat16 else given).numpy()
    except (TypeError, RuntimeError) as error:
        raise DataError(
            f"a tensor of {tensor.dtype}, {tensor.layout}, on {tensor.device}",
            "a dense one of integers or floats, with data",
            "convert it, for example with .to_dense().float()",
        ) from error

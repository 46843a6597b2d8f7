"""Frames and what is known of them: `Clip` (NumPy, a user's units) and `Batch` (torch, [0, 1])."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from frame_forecast.errors import DataError, ShapeError
from frame_forecast.header import Header
from frame_forecast.masks import future
from frame_forecast.scale import ValueScale
from frame_forecast.times import next_times


@dataclass(frozen=True)
class Clip:
    """Frames as read: own dtype, own units.

    Args:
        values: ``(T, C, H, W)``.
        observed: bool ``(T, 1, H, W)``; True = known.
        scale: takes the values to [0, 1].
        times: ``(T,)``, seconds from the first frame or datetime64; None where unknown.
        source: where it came from, for messages.
        header: of the file it was read from: what a writer of that kind needs beside the frames.
    """

    values: np.ndarray
    observed: np.ndarray
    scale: ValueScale
    times: np.ndarray | None = None
    source: str = "array"
    header: Header | None = None

    def __post_init__(self) -> None:
        if self.values.ndim != 4 or 0 in self.values.shape:
            raise ShapeError(
                f"{self.source} of shape {self.values.shape}",
                "(T, C, H, W) with no empty axis",
                "add or drop axes",
            )
        T, _, H, W = self.values.shape
        if self.observed.shape != (T, 1, H, W):
            raise ShapeError(
                f"an observed mask of shape {self.observed.shape}",
                f"{(T, 1, H, W)}",
                "give one value for each pixel of each frame",
            )
        if self.observed.dtype != bool:
            raise DataError(f"an observed mask of type {self.observed.dtype}", "bool", "compare it, for example > 0")

    @classmethod
    def from_array(
        cls,
        array: np.ndarray,
        observed: np.ndarray | None = None,
        scale: ValueScale | None = None,
        source: str = "array",
    ) -> Clip:
        """A clip of a plain array.

        Args:
            array: ``(T, H, W)`` or ``(T, C, H, W)``. Integers scale by their dtype's maximum;
                floats are in [0, 1], and NaN means missing, as does the mask of a masked array.
            observed: bool, broadcastable to ``(T, 1, H, W)``, or with three axes like the array to
                ``(T, H, W)``; None = everything but NaN.
            scale: needed for floats outside [0, 1].
            source: where the array came from, for messages.

        Raises:
            ShapeError: another number of axes, no frames, or a mask that does not fit.
            DataError: no array, not numbers, floats outside [0, 1] without a scale, or a mask that
                is not bool.
        """
        if not isinstance(array, np.ndarray):
            raise DataError(
                f"{source} that is a {type(array).__name__}",
                "a NumPy array",
                "convert it with numpy.asarray and the dtype that says its range, for example numpy.uint8",
            )
        values = array[:, None] if array.ndim == 3 else array
        if values.ndim != 4 or 0 in values.shape:
            raise ShapeError(
                f"{source} of shape {array.shape}",
                "(T, H, W) or (T, C, H, W) with at least one frame",
                "reshape it, time first",
            )
        if values.dtype.kind not in "uif":
            raise DataError(
                f"{source} of type {values.dtype}", "integers or floats", "convert it, for example to uint8"
            )
        T, _, H, W = values.shape
        hidden = np.ma.getmaskarray(values).any(axis=1, keepdims=True) if np.ma.isMaskedArray(values) else False
        values = np.asarray(values)
        known = np.isfinite(values).all(axis=1, keepdims=True) & ~np.asarray(hidden)
        if observed is not None:
            observed = np.asarray(observed)
            if array.ndim == observed.ndim == 3:
                observed = observed[:, None]
            known &= broadcast_mask(observed, (T, 1, H, W))
        if scale is None:
            scale = ValueScale.of_dtype(values.dtype)
            inside = values[np.broadcast_to(known, values.shape)]
            if inside.size and (inside.min() < 0 or inside.max() > scale.high):
                raise DataError(
                    f"{source} with values from {inside.min()} to {inside.max()}",
                    f"values from 0 to {scale.high:g}",
                    "pass scale=ValueScale(low, high) in the array's units",
                )
        return cls(values, known, scale, source=source)

    def to_batch(self) -> Batch:
        """This clip alone as a batch of one: float32 in [0, 1], missing pixels 0."""
        unit = self.scale.to_unit(self.values)
        np.copyto(unit, 0, where=~self.observed)
        return Batch(
            frames=torch.from_numpy(unit)[None],
            observed=torch.from_numpy(self.observed.copy())[None],  # torch takes no negative strides
            held_out=torch.zeros((1, *self.observed.shape), dtype=torch.bool),
            valid=torch.ones((1, len(self.values)), dtype=torch.bool),
        )

    def followed_by(self, unit: np.ndarray) -> Clip:
        """The frames after this clip, ``(T', C, H, W)`` in [0, 1], in its units and dtype, all of them known and at
        the times that go on from its own."""
        times = None
        if self.times is not None:
            later = next_times(list(self.times), self.header.rate if self.header else None, len(unit))
            times = None if later[0] is None else np.array(later)
        return replace(self.with_frames(unit), times=times)

    def with_frames(self, unit: np.ndarray) -> Clip:
        """Frames of [0, 1], ``(T, C, H, W)``, at this clip's times, in its units and dtype, all of them known."""
        values = self.scale.from_unit(unit, self.values.dtype)
        known = np.ones((len(unit), 1, *unit.shape[2:]), dtype=bool)
        return replace(self, values=values, observed=known)

    def filled(self, unit: np.ndarray) -> Clip:
        """This clip with its missing pixels from ``unit``, ``(T, C, H, W)`` in [0, 1]; the observed ones are
        copied from the source, bit for bit."""
        values = self.scale.from_unit(unit, self.values.dtype)
        np.copyto(values, self.values, where=self.observed)
        return replace(self, values=values, observed=np.ones_like(self.observed))

    def part(self, start: int, stop: int) -> Clip:
        """The frames from ``start`` up to ``stop``, which is not one of them."""
        kept = slice(start, stop)
        times = None if self.times is None else self.times[kept]
        return replace(self, values=self.values[kept], observed=self.observed[kept], times=times)


@dataclass(frozen=True)
class Batch:
    """Clips for a model.

    Args:
        frames: float32 ``(B, T, C, H, W)`` in [0, 1]; the truth wherever it is known.
        observed: bool ``(B, T, 1, H, W)``, or ``(B, T, 1, 1, 1)`` for whole frames; the
            model may see it.
        held_out: bool of the same shape; known but hidden from the model: what is scored.
        valid: bool ``(B, T)``; False = padding at the end of a shorter clip.
    """

    frames: Tensor
    observed: Tensor
    held_out: Tensor
    valid: Tensor

    @property
    def known(self) -> Tensor:
        """bool ``(B, T, 1, H, W)`` or ``(B, T, 1, 1, 1)``: pixels that may be a target."""
        return (self.observed | self.held_out) & self.valid[:, :, None, None, None]

    @classmethod
    def forecast(cls, frames: Tensor, context: int) -> Batch:
        """Complete clips whose frames after ``context`` are held out.

        Args:
            frames: float32 ``(B, T, C, H, W)`` in [0, 1].
            context: observed frames; ``T`` hides nothing.
        """
        B, T = frames.shape[:2]
        observed = future(context, T - context).to(frames.device).expand(B, T, 1, 1, 1)
        valid = torch.ones((B, T), dtype=torch.bool, device=frames.device)
        return cls(frames, observed, ~observed, valid)

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""
        moved = (x.to(device) for x in (self.frames, self.observed, self.held_out, self.valid))
        return Batch(*moved)


def broadcast_mask(observed: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """An observed mask of the full shape, read-only.

    Raises:
        ShapeError: it does not broadcast, or has one axis alone.
        DataError: it is not bool: numbers would be taken for what they may not mean.
    """
    if observed.dtype != bool:
        raise DataError(f"an observed mask of type {observed.dtype}", "bool", "compare it, for example > 0")
    # NumPy would take a single axis for columns, where one value a frame is more likely meant: wrong without
    # a word for as many frames as columns.
    if observed.ndim != 1:
        with contextlib.suppress(ValueError):
            return np.broadcast_to(observed, shape)
    raise ShapeError(
        f"an observed mask of shape {observed.shape}",
        f"one of several axes that broadcasts to {shape}",
        f"give one value a frame as {(*shape[:-3], 1, 1, 1)}",
    )

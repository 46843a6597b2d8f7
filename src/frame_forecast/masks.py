"""Observed masks: which pixels of which frames a model may see.

True means observed. A frame-level mask is ``(T, 1, 1, 1)`` and broadcasts over pixels.
Patterns of missing pixels are drawn for each clip, from its number alone.
"""

import abc
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from torch import Tensor

from frame_forecast.errors import ConfigError, ShapeError
from frame_forecast.philox import uniform

PATTERNS = (
    "random:0.5 (that share of the frames), gap:5 or gap:3-8 (so many frames in a row), block:16 (a square of so many "
    "pixels a side), stripes or stripes:4 (so many pixels wide), pixels:0.5 (that share of the pixels)"
)


def future(context: int, horizon: int) -> Tensor:
    """The forecast mask: ``context`` observed frames, then ``horizon`` hidden ones.

    Returns:
        bool ``(context + horizon, 1, 1, 1)``.

    Raises:
        ShapeError: ``context`` below 1 or ``horizon`` below 0.
    """
    if context < 1:
        raise ShapeError(f"context={context}", "at least 1 observed frame", "give a larger context")
    if horizon < 0:
        raise ShapeError(f"horizon={horizon}", "0 or more frames", "give a horizon of 1 or more")
    return (torch.arange(context + horizon) < context).reshape(-1, 1, 1, 1)


def interleaved(frames: int, passes: int) -> Tensor:
    """The masks to predict every frame from others: pass ``p`` hides the frames t with ``t % passes == p``.

    Returns:
        bool ``(P, frames, 1, 1, 1)``; P is ``passes``, or ``frames`` if that is less.

    Raises:
        ShapeError: a number below 1.
    """
    for name, value in (("frames", frames), ("passes", passes)):
        if value < 1:
            raise ShapeError(f"{name}={value}", "1 or more", f"give more {name}")
    turn = torch.arange(frames) % passes
    return (turn != torch.arange(min(passes, frames))[:, None])[:, :, None, None, None]


def context_lengths(observed: Tensor, valid: Tensor) -> Tensor:
    """Frames of each clip up to and including the last one with an observed pixel.

    Args:
        observed: bool ``(B, T, 1, H, W)`` or broadcastable in the last three axes.
        valid: bool ``(B, T)``.

    Returns:
        int64 ``(B,)``; 0 where nothing is observed.
    """
    seen = observed.flatten(2).any(dim=2) & valid
    position = torch.arange(1, seen.shape[1] + 1, device=seen.device)
    return (seen * position).amax(dim=1)


class Pattern(abc.ABC):
    """Which pixels of a clip are missing, drawn for each clip; `str` gives what `parse_pattern` reads."""

    @final
    def observed(self, index: np.ndarray, frames: int, height: int, width: int, key: tuple[int, int]) -> Tensor:
        """The masks of some clips.

        Args:
            index: integers ``(B,)``, the numbers of the clips.
            frames, height, width: T, H and W of each.
            key: from `philox.stream_key`.

        Returns:
            bool ``(B, T, 1, 1, 1)`` where whole frames are missing, else ``(B, T, 1, H, W)``; row
            ``b`` depends on ``key`` and ``index[b]`` alone.

        Raises:
            ConfigError: the clips are too short or too small for the pattern.
        """
        return torch.from_numpy(~self._missing(np.asarray(index), frames, height, width, key))

    @abc.abstractmethod
    def _missing(self, index: np.ndarray, frames: int, height: int, width: int, key: tuple[int, int]) -> np.ndarray:
        """`observed`, the other way round."""


@dataclass(frozen=True)
class RandomFrames(Pattern):
    """Whole frames anywhere: ``round(share * T)`` of them, but one at least and not all.

    Args:
        share: of the frames, between 0 and 1, both excluded.
    """

    share: float

    def __post_init__(self) -> None:
        _require(self, 0 < self.share < 1)

    def __str__(self) -> str:
        return f"random:{self.share}"

    def _missing(self, index: np.ndarray, frames: int, height: int, width: int, key: tuple[int, int]) -> np.ndarray:
        _require_frames(self, frames, least=2)
        count = min(max(round(self.share * frames), 1), frames - 1)
        order = uniform(index, frames, key).argsort(axis=1, kind="stable")  # (B, T), a random permutation
        return (order < count)[:, :, None, None, None]


@dataclass(frozen=True)
class Gap(Pattern):
    """Frames in a row, with at least one frame before and one after them.

    Args:
        shortest, longest: how many, drawn for each clip, both included.
    """

    shortest: int
    longest: int

    def __post_init__(self) -> None:
        _require(self, 1 <= self.shortest <= self.longest)

    def __str__(self) -> str:
        return f"gap:{self.shortest}" if self.shortest == self.longest else f"gap:{self.shortest}-{self.longest}"

    def _missing(self, index: np.ndarray, frames: int, height: int, width: int, key: tuple[int, int]) -> np.ndarray:
        _require_frames(self, frames, least=self.longest + 2)
        for_length, for_start = uniform(index, 2, key).T
        length = self.shortest + _below(self.longest - self.shortest + 1, for_length)
        start = 1 + _below(frames - 1 - length, for_start)
        t = np.arange(frames)
        missing = (t >= start[:, None]) & (t < (start + length)[:, None])  # (B, T)
        return missing[:, :, None, None, None]


@dataclass(frozen=True)
class Block(Pattern):
    """A square at one place in every frame.

    Args:
        side: in pixels; less than the frame's height and width.
    """

    side: int

    def __post_init__(self) -> None:
        _require(self, self.side >= 1)

    def __str__(self) -> str:
        return f"block:{self.side}"

    def _missing(self, index: np.ndarray, frames: int, height: int, width: int, key: tuple[int, int]) -> np.ndarray:
        _require_pixels(self, height, width, least=self.side + 1)
        for_top, for_left = uniform(index, 2, key).T
        rows = _span(_below(height - self.side + 1, for_top), self.side, height)  # (B, H)
        columns = _span(_below(width - self.side + 1, for_left), self.side, width)  # (B, W)
        return _in_every_frame(rows[:, :, None] & columns[:, None, :], frames)


@dataclass(frozen=True)
class Stripes(Pattern):
    """Every other stripe in every frame, horizontal in some clips and vertical in the others.

    Args:
        thickness: of missing and observed stripes, in pixels; less than the frame's height and
            width, so that both kinds are there. Where they start is drawn.
    """

    thickness: int = 4

    def __post_init__(self) -> None:
        _require(self, self.thickness >= 1)

    def __str__(self) -> str:
        return f"stripes:{self.thickness}"

    def _missing(self, index: np.ndarray, frames: int, height: int, width: int, key: tuple[int, int]) -> np.ndarray:
        _require_pixels(self, height, width, least=self.thickness + 1)
        for_direction, for_phase = uniform(index, 2, key).T[:, :, None, None]  # (B, 1, 1) each
        across = np.where(for_direction < 0.5, np.arange(height)[:, None], np.arange(width))  # (B, H, W)
        stripe = (across + _below(2 * self.thickness, for_phase)) // self.thickness
        return _in_every_frame(stripe % 2 == 1, frames)


@dataclass(frozen=True)
class Pixels(Pattern):
    """Each pixel of each frame, independently.

    Args:
        share: the probability that it is missing, between 0 and 1, both excluded.
    """

    share: float

    def __post_init__(self) -> None:
        _require(self, 0 < self.share < 1)

    def __str__(self) -> str:
        return f"pixels:{self.share}"

    def _missing(self, index: np.ndarray, frames: int, height: int, width: int, key: tuple[int, int]) -> np.ndarray:
        missing = np.empty((index.size, frames, 1, height, width), dtype=bool)
        for row, number in enumerate(index):  # clip by clip: the draws are wide and stay in the cache
            draws = uniform(np.asarray([number]), missing[row].size, key)
            missing[row] = (draws < self.share).reshape(missing[row].shape)
        return missing


def parse_pattern(text: str) -> Pattern:
    """A pattern from its text, such as ``random:0.5``; `PATTERNS` says what there is.

    Raises:
        ConfigError: no such pattern, or a number that it cannot have.
    """
    name, colon, argument = text.partition(":")
    try:
        match name:
            case "random":
                return RandomFrames(float(argument))
            case "gap":
                shortest, dash, longest = argument.partition("-")
                return Gap(int(shortest), int(longest if dash else shortest))
            case "block":
                return Block(int(argument))
            case "stripes":
                return Stripes(int(argument)) if colon else Stripes()
            case "pixels":
                return Pixels(float(argument))
    except ValueError:
        pass
    raise _unknown(text)


def _unknown(text: str) -> ConfigError:
    return ConfigError(f"pattern {text!r}", PATTERNS, "write for example random:0.5")


def _require(pattern: Pattern, possible: bool) -> None:
    if not possible:
        raise _unknown(str(pattern))


def _require_frames(pattern: Pattern, frames: int, least: int) -> None:
    if frames < least:
        raise ConfigError(f"{pattern} in clips of {frames} frames", f"{least} frames or more", "take longer clips")


def _require_pixels(pattern: Pattern, height: int, width: int, least: int) -> None:
    if min(height, width) < least:
        raise ConfigError(f"{pattern} in frames of {height}x{width}", f"{least}x{least} or more", "give a smaller one")


def _below(limit: np.ndarray | int, draw: np.ndarray) -> np.ndarray:
    """Uniform integers 0 .. limit - 1 of uniform numbers of [0, 1)."""
    return (draw * limit).astype(np.int64)


def _span(start: np.ndarray, length: int, limit: int) -> np.ndarray:
    """bool ``(B, limit)``: ``length`` positions from each of ``start`` ``(B,)``."""
    position = np.arange(limit) - start[:, None]
    return (position >= 0) & (position < length)


def _in_every_frame(missing: np.ndarray, frames: int) -> np.ndarray:
    """``(B, H, W)`` -> ``(B, T, 1, H, W)``."""
    B, H, W = missing.shape
    return np.broadcast_to(missing[:, None, None], (B, frames, 1, H, W))

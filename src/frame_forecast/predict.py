"""`Forecaster`: weights and arrays in, arrays out."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, cast

import numpy as np
import torch
from torch import Tensor

from frame_forecast import weights
from frame_forecast.clip import Clip, ValueScale
from frame_forecast.devices import choose_device
from frame_forecast.errors import ShapeError, TaskError
from frame_forecast.masks import future
from frame_forecast.models import Model

Frames = TypeVar("Frames", np.ndarray, Tensor, Clip)
Progress = Callable[[int, int], None]
"""Called with clips done and clips in all."""

_CLIPS_AT_ONCE = 16


class Cancelled(Exception):
    """The ``cancel`` hook said so."""


def load(name_or_path: str | Path, device: str = "auto") -> "Forecaster":
    """A forecaster from a folder of weights.

    Args:
        name_or_path: the folder, or the run folder that holds it as ``weights``.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.

    Raises:
        WeightsError: no weights there, or damaged ones.
        ConfigError: no such device.
    """
    folder = weights.find_folder(name_or_path)
    model, name, contract = weights.load(folder)
    return Forecaster(model, name, contract, device)


class Forecaster:
    """A trained model on arrays, tensors and clips; what comes back is of the kind that went in.

    Arrays and tensors are ``(T, H, W)``, ``(T, C, H, W)`` or ``(B, T, C, H, W)``; integers scale
    by their dtype's maximum and come back as that dtype, floats must be in [0, 1] unless
    ``scale`` says otherwise, and NaN means missing.

    Args:
        model: the network.
        name: under which it is registered.
        contract: what it was trained for.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
    """

    def __init__(self, model: Model, name: str, contract: weights.Contract, device: str = "auto") -> None:
        self.device = torch.device(choose_device(device))
        self.model = model.eval().to(self.device)
        self.name = name
        self.contract = contract

    def forecast(
        self,
        x: Frames,
        horizon: int,
        *,
        scale: ValueScale | None = None,
        progress: Progress | None = None,
        cancel: Callable[[], bool] | None = None,
    ) -> Frames:
        """The ``horizon`` frames after the clip.

        Args:
            x: the frames so far, two at least.
            horizon: how many frames to forecast, 1 or more.
            scale: of floats outside [0, 1].
            progress: called as clips are done.
            cancel: asked between clips.

        Returns:
            Like ``x``, with ``horizon`` frames.

        Raises:
            TaskError: the model does not forecast, or pixels are missing and it cannot fill them.
            ShapeError: fewer than two frames, horizon below 1, or frames the model does not take.
            DataError: values that are no pixels.
            Cancelled: ``cancel`` said so.
        """
        self._check_task("forecast")
        if horizon < 1:
            raise ShapeError(f"horizon={horizon}", "at least 1 frame", "ask for 1 or more")
        return self._run(x, horizon, scale, progress, cancel)

    def reconstruct(
        self,
        x: Frames,
        *,
        scale: ValueScale | None = None,
        progress: Progress | None = None,
        cancel: Callable[[], bool] | None = None,
    ) -> Frames:
        """The clip as the model understands it: what passes through its state.

        Arguments, result and errors are those of `forecast`, with as many frames as ``x``.
        """
        self._check_task("reconstruct")
        return self._run(x, 0, scale, progress, cancel)

    def _check_task(self, task: str) -> None:
        if task not in self.model.tasks:
            raise TaskError(
                f"task {task!r} with {self.name}",
                " or ".join(sorted(self.model.tasks)),
                "train a model whose form has it",
            )

    def _run(
        self,
        x: Frames,
        horizon: int,
        scale: ValueScale | None,
        progress: Progress | None,
        cancel: Callable[[], bool] | None,
    ) -> Frames:
        clips = _clips(x, scale)
        least = 2 if horizon else 1
        for clip in clips:
            if len(clip.values) < least:
                raise ShapeError(
                    f"{clip.source} of {len(clip.values)} frame",
                    f"at least {least} frames, to see motion",
                    "give more frames",
                )
            if not clip.observed.all():
                raise TaskError(
                    f"{clip.source} with missing pixels, to {self.name}",
                    "complete frames: this model cannot fill holes",
                    "fill them first, or use a model that recreates",
                )
            self.model.check_frames(*clip.values.shape[1:])
        predicted: list[Clip] = []
        for start in range(0, len(clips), _CLIPS_AT_ONCE):
            if cancel is not None and cancel():
                raise Cancelled
            chosen = clips[start : start + _CLIPS_AT_ONCE]
            unit = self._predict(torch.cat([clip.to_batch().frames for clip in chosen]), horizon)
            predicted += [clip.with_frames(frames) for clip, frames in zip(chosen, unit, strict=True)]
            if progress is not None:
                progress(len(predicted), len(clips))
        return _like(x, predicted)

    @torch.inference_mode()
    def _predict(self, frames: Tensor, horizon: int) -> np.ndarray:
        """``(B, T, C, H, W)`` to the forecast frames, or without a horizon to the same frames."""
        B, T, C, H, W = frames.shape
        canvas = torch.cat([frames, frames.new_zeros((B, horizon, C, H, W))], dim=1).to(self.device)
        observed = future(T, horizon).to(self.device).expand(B, -1, 1, 1, 1)
        prediction = self.model(canvas, observed)
        return prediction[:, T if horizon else 0 :].float().cpu().numpy()


def _clips(x: np.ndarray | Tensor | Clip, scale: ValueScale | None) -> list[Clip]:
    """One clip an item of the batch, or the only one."""
    if isinstance(x, Clip):
        return [x]
    array = x.detach().cpu().numpy() if isinstance(x, Tensor) else np.asarray(x)
    if array.ndim == 5 and len(array):
        return [Clip.from_array(item, scale=scale, source=f"clip {i}") for i, item in enumerate(array)]
    return [Clip.from_array(array, scale=scale)]


def _like(x: Frames, clips: list[Clip]) -> Frames:
    """Clips as the kind of thing ``x`` is."""
    if isinstance(x, Clip):
        return cast(Frames, clips[0])
    if x.ndim == 5:
        values = np.stack([clip.values for clip in clips])
    else:
        values = clips[0].values[:, 0] if x.ndim == 3 else clips[0].values
    return cast(Frames, torch.from_numpy(values).to(x.device) if isinstance(x, Tensor) else values)

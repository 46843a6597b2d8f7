"""`Forecaster`: weights and arrays in, arrays out."""

import operator
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from frame_forecast import weights
from frame_forecast.arrays import Frames, like, to_clips
from frame_forecast.call import Call, Cancel, Progress
from frame_forecast.canvases import Runner, append, groups, stack
from frame_forecast.clip import Clip
from frame_forecast.devices import choose_device, choose_precision
from frame_forecast.errors import ConfigError, FrameForecastWarning, ShapeError, TaskError, WeightsError
from frame_forecast.models import UNTRAINED, Model, create
from frame_forecast.scale import ValueScale
from frame_forecast.windows import Missing, Window, around, cut, interleave

AUTO = "auto"
"""What the commands take for a model's name where they are to choose one themselves."""

_USUAL_FRAMES = 20  # of a canvas for a model that was trained on nothing


def load(name_or_path: str | Path, device: str = "auto", precision: str = "auto") -> "Forecaster":
    """A forecaster from a folder of weights, or one of the baselines.

    Args:
        name_or_path: the folder, or the run folder that holds it as ``weights``; released weights
            by their tag, or by a data set such as ``moving_mnist`` for the best of it, offline;
            ``hf://user/repo`` (see `find_folder`); or a model without weights, such as ``linear``.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        precision: ``auto``, ``bf16`` or ``float32`` (see `Forecaster`).

    Raises:
        WeightsError: no weights there, or damaged ones.
        ConfigError: no such device or precision, a package that is not installed, or ``auto``.
    """
    if name_or_path == AUTO:
        raise ConfigError(
            f"model {AUTO!r}",
            "a method's name: which is best is only known on frames",
            "use the commands forecast, recreate or reconstruct, or `choose.choose`",
        )
    if name_or_path in UNTRAINED:
        return Forecaster(create(str(name_or_path)), str(name_or_path), None, device, precision)
    folder = weights.find_folder(name_or_path)
    model, name, contract = weights.load(folder)
    forecaster = Forecaster(model, name, contract, device, precision)
    forecaster.title = str(name_or_path)
    return forecaster


class Forecaster:
    """A trained model on arrays, tensors and clips; what comes back is of the kind that went in.

    Arrays and tensors are ``(T, H, W)``, ``(T, C, H, W)`` or ``(B, T, C, H, W)``; integers scale
    by their dtype's maximum and come back as that dtype, floats must be in [0, 1] unless
    ``scale`` says otherwise, and NaN means missing, as does the mask of a masked array.

    Clips and horizons may be longer than those of the contract. A model that recreates works in
    windows of the trained length or less, a forecast rolls on from its own frames; other models take the
    whole clip at once. Frames larger than `Model.tile` go through it in tiles that overlap; channels
    one by one, if it takes one. Where the answer may suffer, for length or because too little is observed,
    there is a `FrameForecastWarning`.

    Args:
        model: the network.
        name: under which it is registered.
        contract: what it was trained for; None = nothing, as a baseline has it.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        precision: of matrix products and convolutions: ``float32``, ``bf16``, or ``auto`` for
            bfloat16 where the processor has it. That changes pixels by 0.0003 of 1 on average and
            by up to 0.020, and ``mse_frame`` in no more than its fourth digit (the released weights
            on 64 test clips); ask for float32 where two machines should give the same.

    Attributes:
        name: as given.
        title: for people: what it was loaded as, such as a tag; else the name.

    Raises:
        ConfigError: no such device or precision.
    """

    def __init__(
        self,
        model: Model,
        name: str,
        contract: weights.Contract | None,
        device: str = "auto",
        precision: str = "auto",
    ) -> None:
        self.device = torch.device(choose_device(device))
        self.precision = choose_precision(precision, self.device.type)
        self.model = model.eval().to(self.device)
        self._runner = Runner(self.model, self.device, self.precision)
        self.name = self.title = name
        self._contract = contract

    def forecast(
        self,
        x: Frames,
        horizon: int,
        *,
        scale: ValueScale | None = None,
        progress: Progress | None = None,
        cancel: Cancel | None = None,
    ) -> Frames:
        """The ``horizon`` frames after the clip.

        Args:
            x: the frames so far: two at least, or one if the model recreates. Such a model sees
                the last of them, as many as its trained length leaves beside the horizon.
            horizon: how many frames to forecast, 1 or more. Beyond the trained horizon, a model
                that recreates takes what it forecast as given and goes on from there.
            scale: of floats outside [0, 1].
            progress: called as canvases are done.
            cancel: asked between canvases.

        Returns:
            Like ``x``, with ``horizon`` frames.

        Raises:
            TaskError: the model does not forecast, or pixels are missing and it cannot fill them.
            ShapeError: too few frames, a horizon that is no whole number above 0, or frames the
                model does not take.
            DataError: no array, tensor or clip, or values that are no pixels.
            Cancelled: ``cancel`` said so.
        """
        horizon = _whole(horizon)
        clips = self._clips("forecast", x, None, scale)
        given = len(clips[0].values)
        if given < 2 and not self._recreates:
            raise ShapeError(
                f"{clips[0].source} of {given} frame", "at least 2 frames, to see motion", "give more frames"
            )
        rounds = self._rounds(horizon)
        call = Call(self.name, progress, cancel, total=len(clips) * len(rounds))
        self._check_lengths(given, horizon)
        at_once = self._runner.at_once(clips[0], min(given, self.context(rounds[0]) or given) + rounds[0])
        predicted: list[Clip] = []
        for start in range(0, len(clips), at_once):
            group = clips[start : start + at_once]
            unit = self._roll(group, rounds, call)
            predicted += [clip.followed_by(frames) for clip, frames in zip(group, unit, strict=True)]
        call.warn()
        return like(x, predicted)

    def recreate(
        self,
        x: Frames,
        observed: np.ndarray | Tensor | None = None,
        *,
        scale: ValueScale | None = None,
        progress: Progress | None = None,
        cancel: Cancel | None = None,
    ) -> Frames:
        """The clip with its missing pixels filled; every observed pixel is bit for bit what came in.

        Args:
            x: the frames, with NaN or anything else where pixels are missing.
            observed: bool, False = missing; broadcasts to ``(T, 1, H, W)`` or ``(B, T, 1, H, W)``,
                for arrays ``(T, H, W)`` also to their shape. None = everything but NaN.
            scale: of floats outside [0, 1].
            progress: called as canvases are done; not at all where nothing is missing.
            cancel: asked between canvases.

        Returns:
            Like ``x``, complete.

        Raises:
            TaskError: the model does not recreate.
            ShapeError: frames the model does not take, or a mask that does not fit.
            DataError: no array, tensor or clip, values that are no pixels, or a mask not of bool.
            Cancelled: ``cancel`` said so.
        """
        clips = self._clips("recreate", x, observed, scale)
        windows = [self._around(clip) for clip in clips]
        self._check_gaps(max((len(window.frames) for ours in windows for window in ours), default=0))
        call = Call(self.name, progress, cancel, total=sum(map(len, windows)))
        recreated = [clip.filled(unit) for clip, unit in self._predict(clips, windows, call, holes_only=True)]
        call.warn()
        return like(x, recreated)

    def reconstruct(
        self,
        x: Frames,
        *,
        scale: ValueScale | None = None,
        progress: Progress | None = None,
        cancel: Cancel | None = None,
    ) -> Frames:
        """The clip as the model understands it.

        An autoencoder gives what passes through its state; a model of several `Model.passes`
        predicts each frame from others, so that the difference to the clip shows noise and
        anomalies. A model that recreates takes clips with missing pixels too.

        Arguments, result and errors are those of `forecast`, with as many frames as ``x``; one
        frame is enough.
        """
        clips = self._clips("reconstruct", x, None, scale)
        windows = [
            [one for window in self._cut(clip) for one in interleave(window, self.model.passes)] for clip in clips
        ]
        call = Call(self.name, progress, cancel, total=sum(map(len, windows)))
        self._check_lengths(len(clips[0].values), 0)
        reconstructed = [clip.with_frames(unit) for clip, unit in self._predict(clips, windows, call)]
        call.warn()
        return like(x, reconstructed)

    @property
    def contract(self) -> weights.Contract:
        """What the weights were trained for.

        Raises:
            WeightsError: there are no weights.
        """
        if self._contract is None:
            raise WeightsError(f"{self.name}, which has no weights", "a trained model", "use it for its answers alone")
        return self._contract

    @property
    def weights_sha256(self) -> str | None:
        """Of the tensors' file; None without weights."""
        return None if self._contract is None else self._contract.weights_sha256

    @property
    def _recreates(self) -> bool:
        return "recreate" in self.model.tasks

    @property
    def longest(self) -> int:
        """Frames of the canvas the model was trained on, or of a usual one."""
        return _USUAL_FRAMES if self._contract is None else self.contract.context + self.contract.horizon

    def context(self, horizon: int) -> int | None:
        """How many of the last frames a forecast of ``horizon`` frames looks at; None = all that are given."""
        if not self._recreates:
            return None
        step = self._rounds(horizon)[0]
        return max(self.longest - step, _USUAL_FRAMES // 2 if self._contract is None else self.contract.context)

    def check_task(self, task: str) -> None:
        """Raises TaskError unless the model has a task."""
        if task not in self.model.tasks:
            raise TaskError(
                f"task {task!r} with {self.name}",
                " or ".join(sorted(self.model.tasks)),
                "use a model that has it: see `frame-forecast models`",
            )

    def _check_lengths(self, given: int, horizon: int) -> None:
        """Warns, at the line that called, of lengths that cost accuracy."""
        trained = self._contract
        if trained is None:
            return
        if self._recreates and horizon > trained.horizon:
            found = f"a horizon of {horizon} frames for {self.name}, trained on {trained.horizon}"
            meaning = "the frames beyond are forecast from forecast frames, so that errors add up"
        elif not self._recreates and (given > trained.context or horizon > trained.horizon):
            found = f"{given} frames given and {horizon} to forecast" if horizon else f"{given} frames to reconstruct"
            found += f" for {self.name}, trained on {trained.context} and {trained.horizon}"
            meaning = "how good its answer is at other lengths was never measured"
        else:
            return
        warnings.warn(FrameForecastWarning(found, meaning, "trust it less, or train at these lengths"), stacklevel=3)

    def _check_gaps(self, frames: int) -> None:
        """Warns, at the line that called, of gaps that make canvases of more frames than the model was trained on."""
        if self._contract is not None and self._recreates and frames > self.longest:
            found = f"a gap that takes a canvas of {frames} frames for {self.name}, trained on {self.longest}"
            meaning = "how good its answer is at other lengths was never measured"
            warnings.warn(FrameForecastWarning(found, meaning, "trust it less, or train at this length"), stacklevel=3)

    def _clips(
        self, task: str, x: Frames, observed: np.ndarray | Tensor | None, scale: ValueScale | None
    ) -> list[Clip]:
        """One clip an item of the batch, or the only one; all of one length, and such as the model takes."""
        self.check_task(task)
        clips = to_clips(x, observed, scale)
        for clip in clips:
            if not self._recreates and not clip.observed.all():
                raise TaskError(
                    f"{clip.source} with missing pixels, to {self.name}",
                    "complete frames: this model cannot fill holes",
                    "fill them first, or use a model that recreates",
                )
            _, C, H, W = clip.values.shape
            tile = self._runner.tile(H, W) or (H, W)
            self.model.check_frames(self.model.channels or C, min(H, tile[0]), min(W, tile[1]))
        return clips

    def _cut(self, clip: Clip) -> list[Window]:
        return cut(len(clip.values), self.longest if self._recreates else len(clip.values))

    def _around(self, clip: Clip) -> list[Window]:
        """Windows around what a clip lacks."""
        if not self._recreates:
            return self._cut(clip)
        missing = Missing(self.longest)
        for observed in clip.observed:
            missing.add(observed)
        return around(*missing.spans(), self.longest)

    def _rounds(self, horizon: int) -> list[int]:
        """Frames to forecast one after the other, each time from what is there by then."""
        step = max(1, self.contract.horizon) if self._recreates and self._contract is not None else horizon
        whole, rest = divmod(horizon, step)
        return [step] * whole + [rest] * (rest > 0)

    def _roll(self, clips: list[Clip], rounds: list[int], call: Call) -> np.ndarray:
        """The frames after the clips, ``(B, horizon, C, H, W)`` in [0, 1]."""
        given = len(clips[0].values)
        kept = min(given, self.context(rounds[0]) or given)
        frames, observed = stack([clip.part(given - kept, given) for clip in clips])
        call.look_at(frames, observed, [clip.source for clip in clips])
        for step in rounds:
            kept = min(frames.shape[1], self.context(step) or frames.shape[1])
            canvas = append(frames[:, -kept:], step), append(observed[:, -kept:], step)
            frames = torch.cat([frames, self._runner.run(*canvas, call)[:, kept:]], dim=1)
            observed = append(observed, step, True)
        return frames[:, -sum(rounds) :].numpy()

    def _predict(
        self, clips: list[Clip], windows: list[list[Window]], call: Call, *, holes_only: bool = False
    ) -> Iterator[tuple[Clip, np.ndarray]]:
        """Each clip with the predictions of its windows, ``(T, C, H, W)`` in [0, 1]; 0 where none is kept."""
        at_once = self._runner.at_once(clips[0], min(len(clips[0].values), self.longest))
        for first in range(0, len(clips), at_once):
            group = clips[first : first + at_once]
            made = [np.zeros(clip.values.shape, np.float32) for clip in group]
            jobs = [(i, window) for i in range(len(group)) for window in windows[first + i]]
            for chosen in groups(jobs, at_once):
                frames, observed = stack([group[i].part(w.frames.start, w.frames.stop) for i, w in chosen])
                for row, (_, window) in enumerate(chosen):
                    observed[row, [t - window.frames.start for t in window.hidden]] = False
                call.look_at(frames, observed, [group[i].source for i, _ in chosen])
                predicted = self._runner.run(frames, observed, call, holes_only=holes_only).numpy()
                for prediction, (i, window) in zip(predicted, chosen, strict=True):
                    made[i][window.kept] = prediction[[t - window.frames.start for t in window.kept]]
            yield from zip(group, made, strict=True)

    def canvas(self, task: str, clip: Clip) -> np.ndarray:
        """One run of the model over the frames as they are, however many: ``(T, C, H, W)`` in [0, 1].

        Warns as `recreate` does of too little that is observed, and of more frames than it was trained on.

        Args:
            task: ``recreate``, and what is observed need not be predicted well; or ``reconstruct``.
            clip: the canvas.

        Raises:
            TaskError: the model does not have the task, or pixels are missing and it cannot fill them.
            ShapeError: frames the model does not take.
        """
        frames, observed = stack(self._clips(task, clip, None, None))
        call = Call(self.name, None, None, total=1)
        call.look_at(frames, observed, [clip.source])
        self._check_gaps(len(clip.values))
        prediction = self._runner.run(frames, observed, call, holes_only=task == "recreate")[0].numpy()
        call.warn()
        return prediction


def _whole(horizon: int) -> int:
    """A horizon that was checked; NumPy's and torch's whole numbers are taken too."""
    try:
        whole = operator.index(horizon)
    except TypeError:
        whole = 0
    if whole < 1 or isinstance(horizon, bool):
        raise ShapeError(f"horizon={horizon!r}", "a whole number of frames, at least 1", "ask for 1 or more")
    return whole

"""Weights adapted to a user's own frames: `fit`."""

from __future__ import annotations

import copy
import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import torch
from rich.console import Console
from torch.utils.data import DataLoader, IterableDataset

from frame_forecast import streaming, weights
from frame_forecast.clip import Batch
from frame_forecast.data.masking import MixedMasking
from frame_forecast.devices import choose_device
from frame_forecast.errors import ConfigError, DataError, OutputError
from frame_forecast.files import check_writable
from frame_forecast.io.base import Frame
from frame_forecast.io.streams import Stream, open_reader
from frame_forecast.models import Model
from frame_forecast.philox import stream_key, uniform
from frame_forecast.predict import Forecaster
from frame_forecast.progress import bar
from frame_forecast.training.callbacks import StopWhenAsked
from frame_forecast.training.checkpoints import BEST, LAST
from frame_forecast.training.config import Budget, TrainConfig
from frame_forecast.training.module import TrainingModule, clip_loss
from frame_forecast.training.trainer import build_trainer, interruptible, quiet

_SIDE = 128  # of the patches, in pixels: in smaller ones optical flow is worse than in whole frames
_LEAST_SIDE = 16  # that holes of every kind fit into
_LEAST_FRAMES, _LEAST_VALIDATION = 12, 4
_TRAINED_ON = 0.75  # of the frames, by time
_PIXELS = 1200 * 64**2  # of a frame, all patches together
_KEPT = 0.6  # of them, those in which most happens
_VALIDATED_PIXELS = 96 * 64**2
_BATCH_PIXELS = 8 * 64**2
_KNOWN = 0.5  # share of a patch's pixels that must be observed
_TURNS = 4  # uniform numbers a clip: which patch, and whether it is mirrored and turned


@dataclass(frozen=True)
class Fitted:
    """What `fit` came to.

    Args:
        folder: of the weights.
        before, after: PSNR of hidden pixels of the last quarter of the frames, in dB, with the weights it began
            with and with those it wrote.
        steps: of the optimiser.
    """

    folder: Path
    before: float
    after: float
    steps: int

    @property
    def gained(self) -> bool:
        """Whether the weights differ from those it began with."""
        return self.after > self.before


def fit(
    source: str | Sequence[str],
    folder: Path,
    base: Forecaster,
    minutes: float,
    *,
    layout: str | None = None,
    variable: str | None = None,
    force: bool = False,
    device: str = "auto",
    console: Console,
) -> Fitted:
    """Trains on with frames of the user's own, some hidden from the network, and keeps what is best.

    Patches are cut from the first three quarters of the frames and, to validate on, from the last quarter. The
    weights that are written are never worse there than those it began with: without a gain, they are those.

    Args:
        source: as for `open_reader`; frames with missing pixels teach with the rest of theirs.
        folder: of weights, to write.
        base: trained weights to begin with; it is left as it is.
        minutes: of training, more than 0 and finite.
        layout, variable: as for `open_reader`.
        force: replace what is at ``folder``.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        console: for the bars.

    Raises:
        ConfigError: no time, a model without weights or one that does not recreate, or no such device.
        DataError: too few or too small frames, too little observed, or whatever reading them raises.
        OutputError: something is there, or the folder cannot be written.
        KeyboardInterrupt: Ctrl-C or SIGTERM; nothing is written.
    """
    if not 0 < minutes < math.inf:
        raise ConfigError(f"{minutes} minutes", "more than 0, and an end", "say how many")
    if base.weights_sha256 is None or "recreate" not in base.model.tasks or base.model.frame_size is not None:
        raise ConfigError(f"{base.name}, to adapt", "trained weights of a model that recreates", "choose another model")
    _check_place(folder, force)
    with open_reader(source, layout, variable) as stream:
        with bar(console, "looking") as progress:
            pairs = ((frame, frame) for frame in _watched(stream, progress))
            found = streaming.survey(pairs, stream.header, base.longest, stream.name)
        split = _split(found.frames, stream.name)
        cuts = [
            _Cut(stream, frames, base.longest, pixels, seed)
            for seed, (frames, pixels) in enumerate(zip(split, (_PIXELS, _VALIDATED_PIXELS), strict=True))
        ]
        for t, frame in enumerate(stream):
            for cut in cuts:
                cut.add(t, frame, found)
    train, validation = (cut.patches() for cut in cuts)
    train = train.liveliest(_KEPT)
    config = _recipe(base, max(1, _BATCH_PIXELS // train.frames[0, 0].size))
    budget = Budget(seconds=60 * minutes)
    module = TrainingModule(copy.deepcopy(base.model), config, budget)
    data = _Data(train, validation, config)
    before = _score(base.model, data, base.device)
    with tempfile.TemporaryDirectory() as temporary, quiet(), interruptible():
        run = Path(temporary)
        stop = StopWhenAsked(run / LAST)
        trainer = build_trainer(config, budget, run, choose_device(device), console, stop)
        trainer.fit(module, datamodule=data)
        if stop.stopped:
            raise KeyboardInterrupt
        candidates = [(_score(module.model, data, base.device), module.model)]
        best = run / BEST
        if best.exists():
            state = torch.load(best, weights_only=True, map_location="cpu")["state_dict"]
            other = TrainingModule(copy.deepcopy(base.model), config, budget)
            other.load_state_dict(state)
            candidates.append((_score(other.model, data, base.device), other.model))
    # What it began with comes first: neither an equal score nor one that is no number takes its place.
    after, model = max([(before, base.model), *candidates], key=lambda one: one[0])
    contract = base.contract
    weights.save(
        folder,
        model,
        base.name,
        context=contract.context,
        horizon=contract.horizon,
        channels=contract.channels,
        height=contract.height,
        width=contract.width,
        data={"name": stream.name, "frames": found.frames},
        training={
            "from": base.weights_sha256,
            "steps": trainer.global_step,
            "minutes": minutes,
            "validation_psnr_before": round(before, 3),
            "validation_psnr": round(after, 3),
        },
    )
    return Fitted(folder, before, after, trainer.global_step)


def _recipe(base: Forecaster, batch_size: int) -> TrainConfig:
    """A tenth of the rates that networks are trained with from scratch: what they know is not to be lost."""
    return TrainConfig(
        context=base.contract.context,
        horizon=base.contract.horizon,
        tasks="mixed",
        grow_until=0.0,
        batch_size=batch_size,
        learning_rate=5e-4,
        muon_learning_rate=2e-3,
        warmup=0.05,
        ema_decay=0.98,
        loss="log_mse",
        validations=5,
    )


def _check_place(folder: Path, force: bool) -> None:
    if folder.exists() and not force:
        raise OutputError(f"{folder}, which is there already", "a new name", "choose another, or use --force")
    if folder.exists() and not (folder / weights.CONFIG).is_file():
        raise OutputError(f"{folder}, which holds no weights", "weights, to replace", "choose another name")
    check_writable(folder / weights.CONFIG)


def _split(frames: int, source: str) -> tuple[range, range]:
    """The frames to train on and those to validate on, which come later."""
    first = int(_TRAINED_ON * frames)
    if first < _LEAST_FRAMES or frames - first < _LEAST_VALIDATION:
        least = max(-(-_LEAST_FRAMES * 4 // 3), 4 * _LEAST_VALIDATION)
        raise DataError(f"{source} of {frames} frames, to adapt to", f"{least} at least", "give more of them")
    return range(first), range(first, frames)


@dataclass(frozen=True)
class _Patches:
    """Parts of a stream, the mean of its channels.

    Args:
        frames: float16 ``(N, T, H, W)`` in [0, 1].
        known: bool, the same shape.
    """

    frames: np.ndarray
    known: np.ndarray

    def liveliest(self, share: float) -> _Patches:
        """That share of them, of which most differs from frame to frame."""
        change = np.abs(np.diff(self.frames, axis=1)).mean(axis=(1, 2, 3), dtype=np.float32)
        chosen = np.argsort(-change, kind="stable")[: max(1, round(share * len(change)))]
        return _Patches(self.frames[chosen], self.known[chosen])

    def batch(self, index: np.ndarray, masking: MixedMasking, draws: np.ndarray | None = None) -> Batch:
        """Clips with a task each.

        Args:
            index: clip numbers ``(B,)``.
            masking: what is hidden.
            draws: ``(B, 4)`` in [0, 1), which patch and how it is turned; None = by number, as it is.
        """
        frames, known = [], []
        for row, number in enumerate(index.tolist()):
            chosen = number if draws is None else int(draws[row, 0] * len(self.frames))
            for part, out in ((self.frames[chosen], frames), (self.known[chosen], known)):
                if draws is not None:
                    part = _turned(part, draws[row, 1:])
                out.append(torch.from_numpy(np.ascontiguousarray(part)))
        values, seen = torch.stack(frames)[:, :, None].float(), torch.stack(known)[:, :, None]
        task = masking.hide(values, index)
        return Batch(values, task.observed & seen, task.held_out & seen, task.valid)


def _turned(part: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """A patch ``(T, H, W)`` mirrored along either axis, and turned if it is a square."""
    part = part[:, ::-1] if draws[0] < 0.5 else part
    part = part[:, :, ::-1] if draws[1] < 0.5 else part
    return part.swapaxes(1, 2) if draws[2] < 0.5 and part.shape[1] == part.shape[2] else part


class _Cut:
    """Patches being cut from some of a stream's frames.

    Args:
        stream: whose frames they are.
        frames: those to cut from.
        longest: frames of a patch at most.
        pixels: of a frame, all patches together.
        seed: of where they lie.

    Raises:
        DataError: frames smaller than a patch can be.
    """

    def __init__(self, stream: Stream, frames: range, longest: int, pixels: int, seed: int) -> None:
        H, W = stream.header.height, stream.header.width
        if min(H, W) < _LEAST_SIDE:
            raise DataError(
                f"{stream.name} of {H}x{W} pixels, to adapt to", f"{_LEAST_SIDE}x{_LEAST_SIDE} at least", "enlarge them"
            )
        self._where = f"frames {frames[0]} to {frames[-1]} of {stream.name}"
        h, w, T = min(H, _SIDE), min(W, _SIDE), min(longest, len(frames))
        how_many = max(1, pixels // (h * w))
        draws = np.random.default_rng(seed).random((how_many, 3))
        self._starts = frames.start + (draws[:, 0] * (len(frames) - T + 1)).astype(int)
        self._tops, self._lefts = (draws[:, 1] * (H - h + 1)).astype(int), (draws[:, 2] * (W - w + 1)).astype(int)
        self._values = np.zeros((how_many, T, h, w), np.float16)
        self._known = np.zeros((how_many, T, h, w), bool)

    def add(self, t: int, frame: Frame, found: streaming.Survey) -> None:
        """Frame ``t`` of the stream."""
        _, T, h, w = self._values.shape
        inside = np.flatnonzero((self._starts <= t) & (t < self._starts + T))
        if len(inside) == 0:
            return
        seen = frame.observed[0]
        unit = found.scale.to_unit(np.where(frame.observed, np.nan_to_num(frame.values), 0)).mean(axis=0)
        unit = np.where(seen, unit, 0)
        for n in inside.tolist():
            place = slice(self._tops[n], self._tops[n] + h), slice(self._lefts[n], self._lefts[n] + w)
            self._values[n, t - self._starts[n]] = unit[place]
            self._known[n, t - self._starts[n]] = seen[place]

    def patches(self) -> _Patches:
        """Those of which enough is observed.

        Raises:
            DataError: there is none.
        """
        rich = self._known.mean(axis=(1, 2, 3)) >= _KNOWN
        if not rich.any():
            given = f"{self._where}, of which too little is observed"
            raise DataError(given, "half of some places", "give more of them")
        return _Patches(self._values[rich], self._known[rich])


class _Batches(IterableDataset[Batch]):
    """Endless batches of patches."""

    def __init__(self, patches: _Patches, config: TrainConfig) -> None:
        self._patches, self._size = patches, config.batch_size
        self._masking = MixedMasking(config.context, config.seed, "train")
        self._key = stream_key("fit", config.seed, "train")

    def __iter__(self) -> Iterator[Batch]:
        for step in count():
            index = np.arange(step * self._size, (step + 1) * self._size)
            yield self._patches.batch(index, self._masking, uniform(index, _TURNS, self._key))


class _Data(pl.LightningDataModule):
    def __init__(self, train: _Patches, validation: _Patches, config: TrainConfig) -> None:
        super().__init__()
        self._train, self._config = train, config
        masking = MixedMasking(config.context, config.seed, "validation")
        numbers = np.arange(len(validation.frames))
        self.validation = [
            validation.batch(numbers[first : first + config.batch_size], masking)
            for first in range(0, len(numbers), config.batch_size)
        ]

    def train_dataloader(self) -> DataLoader[Batch]:
        return DataLoader(_Batches(self._train, self._config), batch_size=None)

    def val_dataloader(self) -> DataLoader[Batch]:
        return DataLoader(self.validation, batch_size=None)  # pyright: ignore[reportArgumentType]


@torch.inference_mode()
def _score(model: Model, data: _Data, device: torch.device) -> float:
    """PSNR of what is held out of the clips to validate on, in dB; no frame counts more than 50 dB, which those
    without content would, by rounding errors."""
    model = model.eval().to(device)
    losses = []
    for batch in data.validation:
        batch = batch.to(device)
        prediction = model(batch.frames, batch.observed, batch.valid)
        hidden = replace(batch, observed=torch.zeros_like(batch.observed))
        losses.append(clip_loss(prediction, hidden, model.given(batch.observed, batch.valid), "log_mse").item())
    sizes = [len(batch.frames) for batch in data.validation]
    return -10 / math.log(10) * float(np.average(losses, weights=sizes))


def _watched(stream: Stream, progress: Callable[[int, int | None], None]) -> Iterator[Frame]:
    for done, frame in enumerate(stream, start=1):
        yield frame
        progress(done, stream.header.frames)

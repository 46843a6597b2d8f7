"""What a report is made of besides scores: predicted clips and the course of training."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from frame_forecast.errors import DataError, ShapeError


@dataclass(frozen=True)
class Sample:
    """One clip and what a model made of it.

    Args:
        task: ``forecast``, ``recreate`` or ``reconstruct``.
        model: whose prediction it is.
        clip: number of the clip in its split.
        context: frames the model was given, from the first.
        frames: float32 ``(T, 1, H, W)`` in [0, 1], the truth.
        prediction: float32 ``(K, 1, H, W)``: the frames after the context for ``forecast``,
            the context for the other tasks.
        observed: bool ``(context, 1, H, W)`` for ``recreate``: what the model saw of the context;
            None for the other tasks, where it saw everything.
        pattern: as in `Results`.

    Raises:
        ShapeError: the arrays do not belong to one clip of grey frames.
        DataError: a predicted value is not finite.
    """

    task: str
    model: str
    clip: int
    context: int
    frames: np.ndarray
    prediction: np.ndarray
    observed: np.ndarray | None = None
    pattern: str | None = None

    def __post_init__(self) -> None:
        wanted = len(self.frames) - self.context if self.task == "forecast" else self.context
        shape = (wanted, 1, *self.frames.shape[2:])
        if self.frames.ndim != 4 or not 1 <= wanted <= len(self.frames) or self.prediction.shape != shape:
            raise ShapeError(
                f"a {self.task} of shape {self.prediction.shape} for frames of shape {self.frames.shape}"
                f" with context={self.context}",
                f"(T, 1, H, W) for the frames and {shape} for the prediction",
                "give grey frames, and the predicted ones alone",
            )
        seen = None if self.observed is None else self.observed.shape
        if seen != (shape if self.task == "recreate" else None):
            raise ShapeError(
                f"a {self.task} with an observed mask of shape {seen}",
                f"{shape} for a recreation, and none for another task",
                "say what the model saw of each pixel",
            )
        if not np.isfinite(self.prediction).all():
            raise DataError(
                f"a {self.task} of clip {self.clip} by {self.model} with NaN or infinity",
                "finite values",
                "train with a lower learning rate",
            )

    @property
    def first(self) -> int:
        """Position in the clip of the first predicted frame, from 0."""
        return self.context if self.task == "forecast" else 0

    @property
    def target(self) -> np.ndarray:
        """``(K, 1, H, W)``, the truth of the predicted frames."""
        return self.frames[self.first : self.first + len(self.prediction)]

    @property
    def error(self) -> np.ndarray:
        """``(K, 1, H, W)``, prediction minus target."""
        return self.prediction - self.target


@dataclass(frozen=True)
class TrainingCurves:
    """The course of training; the first three lists belong together, and so do the last three.

    Args:
        seconds: since training began, at each logged step.
        steps: numbers of the optimiser's steps, from 0.
        train_loss: of the batch of that step.
        validation_seconds: since training began, at each validation.
        validation_steps: the step just done at each validation.
        validation_loss: mean over the validation clips.
    """

    seconds: list[float]
    steps: list[int]
    train_loss: list[float]
    validation_seconds: list[float]
    validation_steps: list[int]
    validation_loss: list[float]

    @classmethod
    def read(cls, *paths: Path) -> TrainingCurves:
        """Reads the ``metrics.csv`` of Lightning's CSVLogger.

        A row has values for what was logged at that step and blanks for the rest.

        Args:
            paths: the file of the run's beginning, then one for each time it was resumed; each
                replaces what the one before logged from its first step on.

        Raises:
            DataError: the file is not there, or has no training loss, or a value is no number.
        """
        rows: list[dict[str, str]] = []
        path: Path | None = None
        try:
            for path in paths:
                text = path.read_bytes().decode("utf-8")
                text = text[: text.rfind("\n") + 1]  # a process that was killed may have left part of a row
                new = list(csv.DictReader(text.splitlines()))
                first = min((int(row["step"]) for row in new), default=0)
                rows = [row for row in rows if int(row["step"]) < first] + new
            train, validation = (_series(rows, stage) for stage in ("train", "validation"))
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise DataError(
                f"{path} ({type(error).__name__}: {error})",
                "metrics.csv with the columns step, train/loss and train/seconds",
                "give the file that training wrote",
            ) from error
        if not train[0]:
            raise DataError(
                f"{path or 'no metrics.csv'} without a training loss",
                "one logged step at least",
                "train for longer than one step",
            )
        return cls(*train, *validation)


def _series(rows: list[dict[str, str]], stage: str) -> tuple[list[float], list[int], list[float]]:
    """Seconds, steps and loss of the rows that have a loss of this stage, but for steps that were skipped."""
    logged = [row for row in rows if (loss := row.get(f"{stage}/loss")) and math.isfinite(float(loss))]
    return (
        [float(row[f"{stage}/seconds"]) for row in logged],
        [int(row["step"]) for row in logged],
        [float(row[f"{stage}/loss"]) for row in logged],
    )

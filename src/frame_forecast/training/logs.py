"""Logs that end no training: where the disk is full, they wait for room or stop."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only

from frame_forecast.errors import warn_on_the_way


class PatientCSVLogger(CSVLogger):
    """Keeps the rows that it cannot write until it can, and leaves no part of a row in the file."""

    @rank_zero_only
    def save(self) -> None:
        writer = self.experiment
        path, columns = Path(writer.metrics_file_path), list(writer.metrics_keys)
        written = path.read_bytes() if path.exists() else None
        try:
            super().save()
        except OSError as error:
            writer.metrics_keys = columns
            with suppress(OSError):  # what it held has had its place on the disk
                path.unlink(missing_ok=True) if written is None else path.write_bytes(written)
            reason = error.strerror or error
            warn_on_the_way(f"writing {path}: {reason}", "its rows wait in memory, and training goes on", "make room")


class BriefTensorBoardLogger(TensorBoardLogger):
    """Ends with the first event that cannot be written, after which TensorBoard would read no other."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._ended = False

    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        if self._ended:
            return
        try:
            super().log_metrics(metrics, step)
        except (OSError, ValueError) as error:
            # Lightning takes whatever is raised for a value that cannot be logged.
            self._end(error if isinstance(error, OSError) else error.__cause__)

    def save(self) -> None:
        if self._ended:
            return
        try:
            super().save()
        except OSError as error:
            self._end(error)

    def finalize(self, status: str) -> None:
        try:
            super().finalize(status)
        except OSError as error:
            self._end(error)

    def _end(self, error: BaseException | None) -> None:
        if not isinstance(error, OSError):
            raise
        self._ended = True
        warn_on_the_way(
            f"writing {self.log_dir}: {os.strerror(error.errno) if error.errno else error}",
            "events for TensorBoard end here, and training goes on; metrics.csv has all",
            "make room",
        )

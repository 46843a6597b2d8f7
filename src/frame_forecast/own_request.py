"""What is asked for of people's own files, and where it goes: `Request`."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from frame_forecast.choose import Candidates
from frame_forecast.errors import ConfigError, OutputError
from frame_forecast.files import check_writable
from frame_forecast.io.series import find_files, is_folder
from frame_forecast.io.sidecar import sidecar_of
from frame_forecast.predict import Forecaster
from frame_forecast.ranges import check_ranges

Task = Literal["forecast", "recreate", "reconstruct"]


@dataclass(frozen=True)
class Request:
    """What to do with each input.

    Args:
        task: one of the three.
        horizon: frames to forecast.
        missing: frames to treat as missing, such as ``101-102,200-204``; counted from 0.
        mask: a file that says which pixels are missing: an array, picture or series in which 0 is missing, for
            each frame or one for all; or a sidecar, whose made pixels are missing.
        detect: treat frames as missing that look broken, and insert those that time gaps have lost
            (`findings.examine`).
        layout: axes of arrays.
        variable: name of the frames in files with several arrays.
        score: a CSV file to write, of how far each frame is from what a model reconstructs (`anomalies.Scores`).

    Raises:
        ConfigError: a forecast of no frames, a list of frames that is none, or a score of another task.
    """

    task: Task
    horizon: int = 0
    missing: str | None = None
    mask: str | None = None
    detect: bool = False
    layout: str | None = None
    variable: str | None = None
    score: str | None = None

    def __post_init__(self) -> None:
        if self.task == "forecast" and self.horizon < 1:
            raise ConfigError(f"a horizon of {self.horizon} frames", "1 at least", "say how many frames to forecast")
        if self.missing is not None:
            check_ranges(self.missing)
        if self.score is not None and self.task != "reconstruct":
            raise ConfigError(f"a score of frames to {self.task}", "frames to reconstruct", "leave it out")


def recipe(request: Request, forecaster: Forecaster | Candidates) -> dict[str, Any]:
    """What an output is made by: what a sidecar says of that. It is known before one of several is chosen."""
    return {
        "task": request.task,
        "model": forecaster.name,
        "weights_sha256": forecaster.weights_sha256,
        **({"candidates": forecaster.identity()} if isinstance(forecaster, Candidates) else {}),
        "request": {key: value for key, value in asdict(request).items() if value and key != "task"},
    }


def state_of(source: str | Sequence[str], request: Request) -> str:
    """SHA-256 of the names, sizes and times of change of the files that an output depends on: it differs after any
    of them was changed."""
    files = [*find_files(source), *(find_files(request.mask) if request.mask is not None else ())]
    known = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return hashlib.sha256(repr(known).encode()).hexdigest()


def check_places(source: str | Sequence[str], target: Path | None, request: Request, force: bool) -> None:
    """Raises where a target, its sidecar or the scores cannot be; ConfigError where there is none of them."""
    if target is not None:
        _check_place(source, target, force)
    if request.score is not None:
        _check_score(source, target, Path(request.score), force)
    elif target is None:
        raise ConfigError("no output", "a file or folder to write", "name one with -o")


def _check_place(source: str | Sequence[str], target: Path, force: bool) -> None:
    """Raises OutputError where a target or its sidecar cannot be, whatever its format."""
    if target.name in ("", ".."):
        raise OutputError(f"output {str(target)!r}", "a file or folder with a name", "give it one")
    place = target.resolve()
    if isinstance(source, str) and is_folder(Path(source)) and target.suffix and place.parent == Path(source).resolve():
        raise OutputError(
            f"{target}, in the folder that is read",
            f"another place, such as {place.parent.with_name(target.name)}",
            "choose one: it would be read as a frame the next time",
        )
    if any(place == one or place in one.parents for one in (file.resolve() for file in find_files(source))):
        raise OutputError(f"{target}, which is the input or holds it", "another place", "choose another name")
    sidecar = sidecar_of(target)
    if sidecar.is_dir():
        raise OutputError(f"{sidecar}, a folder", "nothing of that name", "choose another name")
    there = next((one for one in (target, sidecar) if one.exists()), None)
    if there is not None and not force:
        raise OutputError(f"{there}, which is there already", "a new name", "choose another, or use --force")


def _check_score(source: str | Sequence[str], target: Path | None, score: Path, force: bool) -> None:
    """Raises OutputError where a table of scores cannot be."""
    check_writable(score)
    place = score.resolve()
    taken = [*find_files(source), *([Path(source)] if isinstance(source, str) else [])]
    if target is not None:
        taken += [target, sidecar_of(target)]
    if any(one == place or one in place.parents for one in (file.resolve() for file in taken)):
        raise OutputError(f"{score}, in the input or the output", "another place", "choose another name")
    if score.exists() and not force:
        raise OutputError(f"{score}, which is there already", "a new name", "choose another, or use --force")

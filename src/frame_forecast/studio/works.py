"""What the page asks for, one method each: `Works`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from frame_forecast.call import Cancel, Progress
from frame_forecast.studio import clips
from frame_forecast.studio.answers import Asked, Holes, answer
from frame_forecast.studio.limits import Limits
from frame_forecast.studio.methods import Methods
from frame_forecast.studio.samples import TITLES, sample


class Works:
    """What the server's worker can do. Arguments and results are plain values, for they go from process to process;
    ``notes`` among the results are lines for people.

    Args:
        device: for the models.
        limits: of a clip.
    """

    def __init__(self, device: str, limits: Limits) -> None:
        self._methods = Methods(device)
        self._limits = limits
        self._works: dict[str, Callable[..., Any]] = {
            "about": self.about,
            "sample": self.sample,
            "read": self.read,
            "unpack": self.unpack,
            "answer": self.answer,
            "write": self.write,
        }

    def do(self, what: str, arguments: dict[str, Any], progress: Progress, cancel: Cancel) -> Any:
        """Calls a method by its name."""
        if what == "answer":
            return self.answer(**arguments, progress=progress, cancel=cancel)
        return self._works[what](**arguments)

    def about(self) -> dict[str, Any]:
        """The models, samples and suffixes. Weights are loaded, and the best run once, so that the first who asks
        waits no longer than the second."""
        found = {
            "models": self._methods.describe(),
            "samples": [{"name": name, "title": title} for name, title in TITLES.items()],
            "suffixes": clips.suffixes(),
        }
        return found

    def sample(self, folder: Path, name: str, number: int) -> dict[str, Any]:
        """Keeps a test clip in a folder."""
        clip = sample(name, number)
        return clips.keep(folder, clip, name=f"{name}-{number}", title=clip.source, notes=[], made=[])

    def read(self, folder: Path, path: Path | str, name: str) -> dict[str, Any]:
        """Keeps a file's frames in a folder."""
        clip = clips.read(path, name, self._limits)
        return clips.keep(folder, clip, name=name, title=name, notes=[], made=[])

    def unpack(self, folder: Path, path: Path, name: str) -> dict[str, Any]:
        """Keeps frames that a page sent in a folder."""
        clip = clips.unpack(path, name, self._limits)
        return clips.keep(folder, clip, name=name, title=name, notes=[], made=[])

    def answer(
        self, source: Path, folder: Path, name: str, title: str, job: dict[str, Any], progress: Progress, cancel: Cancel
    ) -> dict[str, Any]:
        """Keeps what a model makes of a kept clip in a folder."""
        clip = clips.load(source)
        job = {**job, "holes": [Holes(**holes) for holes in job["holes"]]}
        model = job.pop("model")
        asked = Asked(**job)
        made = answer(clip, asked, self._methods.get(model), self._limits, progress=progress, cancel=cancel)
        kept = clips.keep(
            folder,
            made.clip,
            name=f"{name}-{asked.task}",
            title=f"{title}, {asked.task} by {made.model}",
            notes=[],
            made=made.made,
        )
        return {
            "clip": kept,
            "model": made.model,
            "scores": made.scores,
            "table": made.table,
            "seconds": made.seconds,
            "notes": made.notes,
        }

    def write(self, folder: Path, target: Path) -> int:
        """Writes a kept clip as a file; its size in bytes."""
        return clips.write(folder, target)

"""What the page asks for, one method each: `Works`."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from frame_forecast.call import Cancel, Progress
from frame_forecast.devices import choose_device
from frame_forecast.studio import clips
from frame_forecast.studio.answers import Asked, Holes, answer
from frame_forecast.studio.limits import OWN, Limits
from frame_forecast.studio.methods import Methods
from frame_forecast.studio.runs import Shown
from frame_forecast.studio.samples import TITLES, sample
from frame_forecast.studio.strangers import check_alone
from frame_forecast.weights import find_folder, tags


class Works:
    """What the server's worker can do. Arguments and results are plain values, for they go from process to process;
    ``notes`` among the results are lines for people.

    Args:
        device: for the models.
        limits: of a stranger's clip.
        weights: folders with weights of people's own, by the names that they have on the page.
    """

    def __init__(self, device: str, limits: Limits, weights: dict[str, Path] | None = None) -> None:
        self._device = device
        self._methods = Methods(device, weights)
        self._limits = limits
        self._shown: dict[Path, Shown] = {}
        self._works: dict[str, Callable[..., Any]] = {
            "about": self.about,
            "sample": self.sample,
            "open": self.open,
            "read": self.read,
            "unpack": self.unpack,
            "answer": self.answer,
            "write": self.write,
            "check_device": self.check_device,
            "check": self.check,
            "run": self.run,
            "plot": self.plot,
        }

    def do(self, what: str, arguments: dict[str, Any], progress: Progress, cancel: Cancel) -> Any:
        """Calls a method by its name."""
        if what == "answer":
            return self.answer(**arguments, progress=progress, cancel=cancel)
        return self._works[what](**arguments)

    def warm_up(self) -> None:
        """Loads the models and runs the best once, so that the first who asks waits no longer than the second."""
        self._methods.describe()
        name = "moving_mnist"
        clip, best = sample(name, 0), self._methods.best(name)
        if best is not None:
            asked, method = Asked("forecast", horizon=10), self._methods.get(best)
            answer(clip, asked, method, self._limits, progress=lambda *_: None, cancel=lambda: False)
        import_module("matplotlib.figure")

    def about(self) -> dict[str, Any]:
        """The models, samples and suffixes, and where the released weights are."""
        return {
            "models": self._methods.describe(),
            "samples": [{"name": name, "title": title} for name, title in TITLES.items()],
            "suffixes": clips.suffixes(),
            "released": {tag: find_folder(tag) for tag in tags()},
        }

    def sample(self, folder: Path, name: str, number: int) -> dict[str, Any]:
        """Keeps a test clip in a folder."""
        clip = sample(name, number)
        return clips.keep(folder, clip, name=f"{name}-{number}", title=clip.source, notes=[], made=[])

    def open(self, folder: Path, source: str, name: str) -> dict[str, Any]:
        """Keeps frames of this machine's own in a folder, whatever `open_reader` takes."""
        clip = clips.read(source, name, OWN)
        return clips.keep(folder, clip, name=name, title=name, notes=[], made=[])

    def read(self, folder: Path, path: Path, name: str) -> dict[str, Any]:
        """Keeps the frames of a stranger's file in a folder."""
        check_alone(path, name)
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
        limits = self._limits.beside(clip.values.size)
        made = answer(clip, asked, self._methods.get(model), limits, progress=progress, cancel=cancel)
        kept = clips.keep(
            folder,
            made.clip,
            name=f"{Path(name).stem}-{asked.task}",
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

    def write(self, folder: Path, name: str, suffix: str) -> int:
        """Writes a kept clip as a file of a name and suffix in its folder; its size in bytes."""
        return clips.write(folder, name, suffix)

    def check_device(self) -> None:
        """Raises ConfigError if there is no such device here."""
        choose_device(self._device)

    def check(self, place: Path, title: str) -> None:
        """Reads a run, an evaluation or weights, but draws nothing yet.

        Raises:
            FrameForecastError: it cannot be shown.
        """
        shown = self._open(place, title)
        shown.check()
        if shown.has_weights:
            self._methods.get(title)

    def run(self, place: Path, title: str) -> dict[str, Any]:
        """What a run, an evaluation or weights say."""
        return self._open(place, title).describe()

    def plot(self, place: Path, title: str, name: str, theme: str) -> bytes | None:
        """One of its plots as SVG; None if there is none of that name."""
        return self._open(place, title).plot(name, theme)

    def _open(self, place: Path, title: str) -> Shown:
        return self._shown.setdefault(place, Shown(place, title))

"""What was named on the command line: clips, runs, evaluations, weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

_RUNS = ("run.json", "results.json", "backtest.json", "config.json")
"""Files that make a folder one of runs, evaluations and weights; a file of such a name stands for its folder."""


@dataclass(frozen=True)
class Opened:
    """What to show.

    Args:
        clips: files, folders or globs of frames.
        runs: folders of runs, evaluations or weights, and files of evaluations, by their names on the page.
    """

    clips: list[str] = field(default_factory=list)
    runs: dict[str, Path] = field(default_factory=dict)

    @classmethod
    def of(cls, places: Sequence[str]) -> Opened:
        """Which of these places is what. Nothing of a clip is read."""
        opened = cls()
        for place in places:
            path = Path(place)
            path = path.parent if path.name in _RUNS and path.is_file() else path
            if path.suffix == ".json" or any((path / name).is_file() for name in _RUNS):
                opened.runs[_free(path.resolve().name, opened.runs)] = path.resolve()
            else:
                opened.clips.append(place)
        return opened

    @property
    def weights(self) -> dict[str, Path]:
        """Folders that have weights, or may have some when training has ended, by name."""
        kinds = ("run.json", "config.json")
        return {name: path for name, path in self.runs.items() if any((path / kind).is_file() for kind in kinds)}


def _free(name: str, taken: dict[str, Path]) -> str:
    """The name, with a number if there is one of that name."""
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name} {number}"
    return free

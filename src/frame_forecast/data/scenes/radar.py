"""Real radar: events from files, and clips cut from them."""

import functools
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from frame_forecast.data.digits import ROOT_VARIABLE
from frame_forecast.data.scenes.draws import Draws
from frame_forecast.errors import ConfigError
from frame_forecast.io.clips import read

FOLDER = "radar"  # in the folder of data
SERVICES = ("mch", "fmi", "bom", "KNMI")
_TRAINED_ON = 0.75  # of each event, by time; the rest is to validate on
_MOST_CANDIDATES = 6
_LOOKED_AT = 4  # every fourth pixel shows how rainy a candidate is


@dataclass(frozen=True)
class RadarEvents:
    """The part of some events that belongs to a split.

    Args:
        services: for each weather service its events, uint8 ``(T, H, W)`` each, 0..255, 0 = no rain or
            unobserved, read-only.
    """

    services: tuple[tuple[np.ndarray, ...], ...]

    @classmethod
    def of_split(cls, split: str, frames: int, size: int) -> "RadarEvents | None":
        """Events that clips can be cut from.

        To train on: the first three quarters of each event. To validate and test on: the last quarter, which may
        be too short for a clip of that length; such an event is then left out.

        Args:
            split: ``train``, ``validation`` or ``test``.
            frames: of the clips.
            size: height and width of their frames.

        Returns:
            None where no last quarter is long enough.

        Raises:
            ConfigError: no radar is found, or no event to train on is large enough.
            DataError: files that are there but damaged.
        """
        folder = find_folder()
        if folder is None:
            raise ConfigError(
                f"{ROOT_VARIABLE}={os.environ.get(ROOT_VARIABLE, '')}, to cut clips from radar",
                f"a folder with {FOLDER}/ and in that one of {', '.join(SERVICES)}",
                f"set {ROOT_VARIABLE}, or radar=0",
            )
        parts = tuple(tuple(_part(event, split) for event in events) for events in _read_services(folder))
        fitting = tuple(
            tuple(part for part in events if len(part) >= frames and min(part.shape[1:]) >= size) for events in parts
        )
        fitting = tuple(events for events in fitting if events)
        if fitting:
            return cls(fitting)
        if split == "train":
            longest = max(len(part) for events in parts for part in events)
            raise ConfigError(
                f"clips of {frames} frames of {size}x{size}, to cut from radar",
                f"at most {longest} frames, of a size that the events have",
                "lower context, horizon or size, or set radar=0",
            )
        return None

    def update(self, digest: Any) -> None:
        """Adds the bytes of all events to a hash of `hashlib`."""
        for events in self.services:
            for event in events:
                digest.update(np.ascontiguousarray(event).data)

    def patch(self, draws: Draws, frames: int, size: int) -> np.ndarray:
        """A clip: the rainiest of some places and times, turned and mirrored, at times reversed or half the size.

        Returns:
            uint8 ``(frames, size, size)``.
        """
        events = self.services[draws.pick(len(self.services))]
        event = events[draws.pick(len(events))]
        T, H, W = event.shape
        halved = draws.chance(0.3) and min(H, W) >= 2 * size
        side = 2 * size if halved else size
        best, most = event[:frames, :side, :side], -1
        for _ in range(1 + draws.pick(_MOST_CANDIDATES)):
            start, top, left = draws.pick(T - frames + 1), draws.pick(H - side + 1), draws.pick(W - side + 1)
            candidate = event[start : start + frames, top : top + side, left : left + side]
            rain = int(candidate[:: max(1, frames - 1), ::_LOOKED_AT, ::_LOOKED_AT].sum(dtype=np.int64))
            if rain > most:
                best, most = candidate, rain
        if halved:
            blocks = best.reshape(frames, size, 2, size, 2).sum(axis=(2, 4), dtype=np.uint16)
            best = ((blocks + 2) // 4).astype(np.uint8)
        if draws.chance(0.5):
            best = best.swapaxes(1, 2)
        for axis, share in ((0, 0.25), (1, 0.5), (2, 0.5)):
            if draws.chance(share):
                best = np.flip(best, axis)
        return np.ascontiguousarray(best)


def find_folder() -> Path | None:
    """The folder that holds folders of weather services; None where there is none."""
    root = os.environ.get(ROOT_VARIABLE)
    folder = Path(root, FOLDER) if root else None
    return folder if folder is not None and any(_events_in(folder / service) for service in SERVICES) else None


def _part(event: np.ndarray, split: str) -> np.ndarray:
    end = int(_TRAINED_ON * len(event))
    return event[:end] if split == "train" else event[end:]


@functools.cache
def _read_services(folder: Path) -> tuple[tuple[np.ndarray, ...], ...]:
    """The events of each service that is there."""
    services = (tuple(_read_event(event) for event in _events_in(folder / service)) for service in SERVICES)
    return tuple(events for events in services if events)


def _events_in(folder: Path) -> list[Path]:
    """The folders that hold scans, and no more folders."""
    found = {path.parent for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")}
    return sorted(found)


def _read_event(folder: Path) -> np.ndarray:
    """uint8 ``(T, H, W)``."""
    clip = read(folder)
    scale, observed = clip.scale, np.broadcast_to(clip.observed, clip.values.shape)
    unit = np.empty(clip.values.shape, dtype=np.uint8)
    for t, (values, seen) in enumerate(zip(clip.values, observed, strict=True)):
        known = np.where(seen, values, 0)
        unit[t] = np.rint(np.where(seen, scale.to_unit(known), 0) * 255)
    unit = unit[:, 0]
    unit.flags.writeable = False
    return unit

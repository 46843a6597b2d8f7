"""What the routes share: settings, clips, jobs, runs, and the worker."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from frame_forecast.studio.limits import Limits
from frame_forecast.viewer.clips import Clips
from frame_forecast.viewer.jobs import Jobs
from frame_forecast.viewer.opened import Opened
from frame_forecast.viewer.worker import Worker

LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})


@dataclass(frozen=True)
class Settings:
    """What a server is told.

    Args:
        folder: for all that is temporary.
        device: for the models.
        limits: of a clip.
        most_clips, most_bytes: that are held, all together.
        most_jobs: that wait or run.
        hosts, token: as for `Guard`.
        opened: what was named on the command line.
    """

    folder: Path
    device: str = "auto"
    limits: Limits = field(default_factory=Limits)
    most_clips: int = 2000
    most_bytes: int = 2**31
    most_jobs: int = 200
    hosts: frozenset[str] | None = LOOPBACK
    token: str | None = None
    opened: Opened = field(default_factory=Opened)


class Studio:
    """What the routes share.

    Args:
        settings: of the server.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.worker = Worker(settings.folder, settings.device, settings.limits, settings.opened.weights)
        self.clips = Clips(settings.folder, settings.most_clips, settings.most_bytes)
        self.jobs = Jobs(self.worker, self.clips, settings.most_jobs)
        self.opened: list[str] = []
        self.runs = {secrets.token_urlsafe(16): run for run in settings.opened.runs.items()}

    async def open(self) -> None:
        """Reads the clips and runs that were named on the command line.

        Raises:
            Refusal: one cannot be read, or there is no such device.
        """
        if self.settings.device != "auto":
            await self.worker.ask("check_device")
        for title, place in self.settings.opened.runs.items():
            await self.worker.ask("check", place=place, title=title)
        for place in self.settings.opened.clips:
            with self.clips.new_folder() as folder:
                name = Path(place).name or place
                facts = await self.worker.ask("open", folder=folder, source=place, name=name)
                self.opened.append(self.clips.add(folder, facts, opened=True).id)

    async def about(self) -> dict[str, Any]:
        """What the worker has to offer; released weights are among the runs from then on."""
        offered = await self.worker.ask("about")
        known = {title for title, _ in self.runs.values()}
        for title, place in offered.pop("released").items():
            if title not in known:
                self.runs[secrets.token_urlsafe(16)] = title, place
        return offered

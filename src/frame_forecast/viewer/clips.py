"""The clips that the server holds: their folders, how much there may be of them, and when they go."""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from frame_forecast.studio.wire import Wire
from frame_forecast.viewer.refusal import Refusal, not_here
from frame_forecast.viewer.schema import Clip
from frame_forecast.viewer.worker import Worker

UNUSED_SECONDS = 3600
_SPARED_SECONDS = 20  # a clip that was used this lately never makes room for others


@dataclass
class Kept:
    """A clip that is held.

    Args:
        id: by which it is asked for.
        folder: its own.
        facts: what the worker said of it.
        opened: named on the command line: it stays.
        job: that made it.
        bytes: in its folder.
        used: when it was last asked for.
        files: downloads that were made of it, by suffix.
        users: jobs and answers that need it now.
    """

    id: str
    folder: Path
    facts: dict[str, Any]
    opened: bool
    job: str | None
    bytes: int
    used: float
    files: dict[str, Path] = field(default_factory=dict)
    users: int = 0

    @property
    def wire(self) -> Wire:
        """The layout of its frames."""
        wire = self.facts["wire"]
        return Wire(wire["dtype"], tuple(wire["shape"]), wire["observed"])

    @property
    def told(self) -> Clip:
        """What a client is told."""
        expires = None if self.opened else UNUSED_SECONDS
        return Clip(
            **{key: value for key, value in self.facts.items() if key != "wire"},
            id=self.id,
            job=self.job,
            expires=expires,
        )


class Clips:
    """All clips, by id.

    Args:
        folder: where theirs go.
        most: clips.
        most_bytes: of them together, uploads that are under way included.
    """

    def __init__(self, folder: Path, most: int, most_bytes: int) -> None:
        self._folder = folder
        self._most, self._most_bytes = most, most_bytes
        self._kept: dict[str, Kept] = {}
        self._arriving = 0

    @contextmanager
    def new_folder(self) -> Iterator[Path]:
        """A folder for a clip to come; gone after the block unless `add` was given it.

        Raises:
            Refusal: there are too many clips that are in use.
        """
        self._make_room(0)
        folder = self._folder / secrets.token_urlsafe(16)
        folder.mkdir(mode=0o700)
        try:
            yield folder
        finally:
            if folder.name not in self._kept:
                shutil.rmtree(folder, ignore_errors=True)

    def arrive(self, count: int) -> None:
        """So many bytes of an upload are on the disk, or are gone again if negative.

        Raises:
            Refusal: there is no room for them.
        """
        if count > 0:
            self._make_room(count)
        self._arriving += count

    def add(self, folder: Path, facts: dict[str, Any], *, opened: bool = False, job: str | None = None) -> Kept:
        """A clip that lies in a folder of `new_folder`."""
        size = sum(file.stat().st_size for file in folder.iterdir())
        kept = Kept(folder.name, folder, facts, opened, job, size, time.monotonic())
        self._kept[kept.id] = kept
        return kept

    def get(self, id: str) -> Kept:
        """A clip; it was used now.

        Raises:
            Refusal: it is not here, or no longer.
        """
        kept = self._kept.get(id)
        if kept is None:
            raise not_here("clip")
        kept.used = time.monotonic()
        return kept

    @contextmanager
    def using(self, id: str) -> Iterator[Kept]:
        """A clip that stays for the block.

        Raises:
            Refusal: it is not here, or no longer.
        """
        kept = self.get(id)
        kept.users += 1
        try:
            yield kept
        finally:
            kept.users -= 1
            kept.used = time.monotonic()

    async def file(self, kept: Kept, suffix: str, worker: Worker) -> Path:
        """A clip as a file of this suffix, made when it is first asked for.

        Raises:
            Refusal: it cannot be one, or there is no room for it.
        """
        if suffix not in kept.files:
            self._make_room(kept.bytes)
            name = f"{secrets.token_hex(8)}"
            path = kept.folder / name
            size = await worker.ask(
                "write", folder=kept.folder, name=name, suffix=suffix, names={str(path): kept.facts["name"]}
            )
            kept.bytes += size
            kept.files[suffix] = path.with_name(f"{name}{suffix}")
        return kept.files[suffix]

    def remove(self, id: str) -> None:
        """Lets a clip go.

        Raises:
            Refusal: it is not here, or was named on the command line.
        """
        kept = self.get(id)
        if kept.opened:
            raise Refusal(403, f"{kept.facts['name']}, which was opened with the server", "another clip", "keep it")
        self._drop(kept)

    def expire(self) -> None:
        """Lets go of what was not used for an hour."""
        for kept in self._unused(UNUSED_SECONDS):
            self._drop(kept)

    def _make_room(self, count: int) -> None:
        """Lets go of the clips longest unused until there is room for one more of so many bytes."""
        unused = self._unused(_SPARED_SECONDS)
        while len(self._kept) >= self._most or self._bytes + count > self._most_bytes:
            if not unused:
                raise Refusal(
                    507,
                    f"{len(self._kept)} clips of {self._bytes} bytes held",
                    f"{self._most} clips and {self._most_bytes} bytes at most, all together",
                    "try again in a minute, when some are no longer in use",
                )
            self._drop(unused.pop(0))

    @property
    def _bytes(self) -> int:
        return self._arriving + sum(kept.bytes for kept in self._kept.values())

    def _unused(self, seconds: float) -> list[Kept]:
        """Those that may go, the longest unused first."""
        before = time.monotonic() - seconds
        unused = [kept for kept in self._kept.values() if not kept.opened and not kept.users and kept.used < before]
        return sorted(unused, key=lambda kept: kept.used)

    def _drop(self, kept: Kept) -> None:
        del self._kept[kept.id]
        shutil.rmtree(kept.folder, ignore_errors=True)

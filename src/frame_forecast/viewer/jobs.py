"""What models do for the page: jobs, by id."""

from __future__ import annotations

import asyncio
import secrets
import time
import traceback
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from frame_forecast.viewer import schema
from frame_forecast.viewer.clips import UNUSED_SECONDS, Clips
from frame_forecast.viewer.refusal import Refusal, fault, not_here
from frame_forecast.viewer.worker import Call, Cancelled, Worker

_MOST_OVER = 200  # jobs that are remembered
_OVER = ("done", "failed", "cancelled")


@dataclass
class _Record:
    """A job.

    Args:
        state: as a client is told.
        call: of the worker; None before it was made, and when it is over.
        changed: set when ``state`` was replaced; another event takes its place.
        ended: when it was over.
    """

    state: schema.JobState
    call: Call | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    ended: float | None = None

    @property
    def over(self) -> bool:
        return self.state.state in _OVER

    def change(self, **values: Any) -> None:
        """Says something new, unless it is over."""
        if self.over:
            return
        self.state = self.state.model_copy(update=values)
        if self.over:
            self.ended, self.call = time.monotonic(), None
        before, self.changed = self.changed, asyncio.Event()
        before.set()

    async def changes(self) -> AsyncIterator[schema.JobState]:
        """The states from now on, up to that in which it is over."""
        while True:
            changed, state = self.changed, self.state
            yield state
            if state.state in _OVER:  # not ``self.over``: it may have ended while this state was sent
                return
            await changed.wait()


class Jobs:
    """All jobs.

    Args:
        worker: does them.
        clips: what they are about, and where what they make goes.
        most: that are not over.
    """

    def __init__(self, worker: Worker, clips: Clips, most: int) -> None:
        self._worker, self._clips, self._most = worker, clips, most
        self._records: dict[str, _Record] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, job: schema.Job) -> schema.JobState:
        """Begins a job.

        Raises:
            Refusal: there are too many, or its clip is not here.
        """
        if sum(not record.over for record in self._records.values()) >= self._most:
            raise Refusal(503, f"{self._most} jobs that wait", "fewer", "try again in a minute")
        self._clips.get(job.clip)
        self.expire()
        id = secrets.token_urlsafe(16)
        record = self._records[id] = _Record(
            schema.JobState(id=id, state="queued", done=0, total=0, message="waiting", error=None, result=None)
        )
        task = asyncio.create_task(self._run(record, job))
        self._tasks.add(task)  # the loop itself holds them weakly
        task.add_done_callback(self._tasks.discard)
        return record.state

    def get(self, id: str) -> schema.JobState:
        """How far a job is.

        Raises:
            Refusal: it is not here, or no longer.
        """
        return self._record(id).state

    def cancel(self, id: str) -> schema.JobState:
        """Ends a job; nothing happens to one that is over.

        Raises:
            Refusal: it is not here, or no longer.
        """
        record = self._record(id)
        if record.call is not None:
            self._worker.cancel(record.call)
        record.change(state="cancelled", message="cancelled")
        return record.state

    def changes(self, id: str) -> AsyncIterator[schema.JobState]:
        """How far a job is, now and whenever that changes, until it is over.

        Raises:
            Refusal: at once; it is not here, or no longer.
        """
        return self._record(id).changes()

    def expire(self) -> None:
        """Forgets jobs that were over an hour ago, and the first that were over where there are many."""
        before = time.monotonic() - UNUSED_SECONDS
        over = [(record.ended, id) for id, record in self._records.items() if record.ended is not None]
        over.sort()
        for place, (ended, id) in enumerate(over):
            if ended < before or place < len(over) - _MOST_OVER:
                del self._records[id]

    def _record(self, id: str) -> _Record:
        record = self._records.get(id)
        if record is None:
            raise not_here("job")
        return record

    async def _run(self, record: _Record, job: schema.Job) -> None:
        try:
            with self._clips.using(job.clip) as source, self._clips.new_folder() as folder:
                if record.over:  # it was cancelled before it began
                    return
                record.call = self._worker.call(
                    "answer",
                    running=lambda: record.change(state="running", message=f"{job.task} with {job.model}"),
                    tell=lambda done, total: record.change(done=done, total=total),
                    source=source.folder,
                    folder=folder,
                    name=source.facts["name"],
                    title=source.facts["title"],
                    job=job.model_dump(exclude={"clip"}),
                )
                made = await record.call.future
                if record.over:  # it was cancelled as it ended
                    return
                kept = self._clips.add(folder, made.pop("clip") | {"notes": made.pop("notes")}, job=record.state.id)
                result = schema.Result(clip=kept.told, target=job.clip, **made)
            record.change(state="done", message=f"{job.task} by {result.model}", result=result, done=record.state.total)
        except Refusal as refusal:
            record.change(state="failed", message="failed", error=schema.Refused(**refusal.fields))
        except Cancelled:
            record.change(state="cancelled", message="cancelled")
        except Exception as error:
            traceback.print_exception(error)  # for whoever runs the server
            record.change(state="failed", message="failed", error=schema.Refused(**fault(error).fields))

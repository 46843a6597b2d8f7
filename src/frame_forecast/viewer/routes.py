"""The routes below ``/api``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from importlib.metadata import version
from typing import Annotated

import anyio
from fastapi import APIRouter, Depends, Query, Request
from fastapi.sse import EventSourceResponse
from starlette.responses import Response, StreamingResponse

from frame_forecast.studio.wire import CONTENT_TYPE, MASKS, VALUES
from frame_forecast.viewer import schema
from frame_forecast.viewer.app import Studio
from frame_forecast.viewer.clips import Kept
from frame_forecast.viewer.refusal import Refusal

_CHUNK = 2**18

_REFUSED = {"4XX": {"model": schema.Refused}, "5XX": {"model": schema.Refused}}
api = APIRouter(prefix="/api", responses=_REFUSED)


def _studio(request: Request) -> Studio:
    return request.state.studio


Here = Annotated[Studio, Depends(_studio)]


@api.get("/about")
async def about(studio: Here) -> schema.About:
    """What this server has to offer."""
    limits = studio.settings.limits
    return schema.About(
        version=version("frame-forecast"),
        limits=schema.Limits(upload_bytes=limits.upload_bytes, frames=limits.frames, pixels=limits.pixels),
        opened=[],
        runs=[],
        **await studio.worker.ask("about"),
    )


@api.post("/samples", status_code=201)
async def make_sample(wanted: schema.SampleWanted, studio: Here) -> schema.Clip:
    """A test clip of a data set."""
    with studio.clips.new_folder() as folder:
        facts = await studio.worker.ask("sample", folder=folder, name=wanted.name, number=wanted.number)
        return studio.clips.add(folder, facts).told


@api.get("/clips/{id}")
async def get_clip(id: str, studio: Here) -> schema.Clip:
    """What is known of a clip."""
    return studio.clips.get(id).told


@api.delete("/clips/{id}", status_code=204)
async def delete_clip(id: str, studio: Here) -> None:
    """Lets a clip go."""
    studio.clips.remove(id)


@api.get("/clips/{id}/frames", response_class=Response, responses={200: {"content": {CONTENT_TYPE: {}}}})
async def get_frames(
    id: str,
    studio: Here,
    start: Annotated[int, Query(ge=0)] = 0,
    stop: Annotated[int | None, Query(description="By default the clip's end.")] = None,
) -> Response:
    """Frames of a clip from ``start`` up to ``stop``, in binary (docs/api.md)."""
    kept = studio.clips.get(id)
    wire = kept.wire
    frames = wire.shape[0]
    stop = frames if stop is None else stop
    if not start < stop <= frames:
        raise Refusal(
            400, f"frames {start} to {stop} of {frames}", "start below stop, no more than there are", "ask so"
        )
    head = wire.head(start, stop)
    length = len(head) + (stop - start) * (wire.frame_bytes + wire.mask_bytes)
    return StreamingResponse(
        _frames(studio, kept, head, start, stop), media_type=CONTENT_TYPE, headers={"Content-Length": str(length)}
    )


async def _frames(studio: Studio, kept: Kept, head: bytes, start: int, stop: int) -> AsyncIterator[bytes]:
    yield head
    with studio.clips.using(kept.id):
        for name, size in ((VALUES, kept.wire.frame_bytes), (MASKS, kept.wire.mask_bytes)):
            left = (stop - start) * size
            async with await anyio.open_file(kept.folder / name, "rb") as file:
                await file.seek(start * size)
                while left:
                    chunk = await file.read(min(left, _CHUNK))
                    left -= len(chunk)
                    yield chunk


@api.post("/jobs", status_code=202)
async def start_job(job: schema.Job, studio: Here) -> schema.JobState:
    """Forecasts, recreates or reconstructs a clip."""
    return studio.jobs.start(job)


@api.get("/jobs/{id}")
async def get_job(id: str, studio: Here) -> schema.JobState:
    """How far a job is."""
    return studio.jobs.get(id)


@api.delete("/jobs/{id}")
async def cancel_job(id: str, studio: Here) -> schema.JobState:
    """Ends a job; nothing happens to one that is over."""
    return studio.jobs.cancel(id)


@api.get("/jobs/{id}/events", response_class=EventSourceResponse)
async def watch_job(id: str, studio: Here) -> AsyncIterator[schema.JobState]:
    """How far a job is, as it changes, until it is over."""
    async for state in studio.jobs.changes(id):
        yield state

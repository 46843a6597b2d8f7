"""The routes below ``/api``."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal

import anyio
from fastapi import APIRouter, Depends, Query, Request
from fastapi.sse import EventSourceResponse
from starlette.responses import FileResponse, Response, StreamingResponse

from frame_forecast.studio.wire import CONTENT_TYPE, MASKS, VALUES
from frame_forecast.viewer import schema
from frame_forecast.viewer.clips import Kept
from frame_forecast.viewer.refusal import Refusal, not_here
from frame_forecast.viewer.state import Studio

_CHUNK = 2**18
_MOST_NAME = 100

_REFUSED: dict[int | str, dict[str, Any]] = {"4XX": {"model": schema.Refused}, "5XX": {"model": schema.Refused}}
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
        **await studio.about(),
        opened=studio.opened,
        runs=list(studio.runs),
    )


@api.post("/samples", status_code=201)
async def make_sample(wanted: schema.SampleWanted, studio: Here) -> schema.Clip:
    """A test clip of a data set."""
    with studio.clips.new_folder() as folder:
        facts = await studio.worker.ask("sample", folder=folder, name=wanted.name, number=wanted.number)
        return studio.clips.add(folder, facts).told


@api.post(
    "/clips",
    status_code=201,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                kind: {"schema": {"type": "string", "format": "binary"}}
                for kind in ("application/octet-stream", CONTENT_TYPE)
            },
        }
    },
)
async def upload(
    request: Request,
    studio: Here,
    name: Annotated[str, Query(description="Of the file; its suffix helps to tell what it is.")] = "clip",
) -> schema.Clip:
    """A clip from a file's bytes, or from frames in binary (docs/api.md)."""
    name = _plain(name)
    drawn = request.headers.get("content-type", "").partition(";")[0].strip() == CONTENT_TYPE
    with studio.clips.new_folder() as folder:
        path = folder / f"upload{_suffix(name)}"
        await _receive(request, studio, path)
        work = "unpack" if drawn else "read"
        facts = await studio.worker.ask(work, folder=folder, path=path, name=name, names={str(path): name})
        path.unlink()
        return studio.clips.add(folder, facts).told


async def _receive(request: Request, studio: Studio, path: Path) -> None:
    """Writes a body into a file."""
    size = 0
    try:
        async with await anyio.open_file(path, "wb") as file:
            async for chunk in request.stream():
                studio.clips.arrive(len(chunk))
                size += len(chunk)
                await file.write(chunk)
    except OSError as error:
        raise Refusal(507, f"a disk that takes no more ({error.strerror})", "room", "send a smaller file") from error
    finally:
        studio.clips.arrive(-size)


def _plain(name: str) -> str:
    """The last part of a path without what cannot be shown."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(letter for letter in last if letter.isprintable())[-_MOST_NAME:].strip() or "clip"


def _suffix(name: str) -> str:
    """The suffixes of a name that tell what a file is, if they are letters and digits."""
    found = re.search(r"(\.[A-Za-z0-9]{1,8})?(\.gz)?$", name)
    return found.group() if found else ""


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


@api.get("/clips/{id}/file", response_class=FileResponse)
async def get_file(
    id: str, studio: Here, suffix: Annotated[str, Query(description="One of those that /api/about has to write.")]
) -> Response:
    """A clip as a file to take home."""
    with studio.clips.using(id) as kept:
        path = await studio.clips.file(kept, suffix, studio.worker)
        name = kept.facts["name"]
        stem = re.sub(r"[^A-Za-z0-9_.-]+", "_", name.removesuffix(_suffix(name))).strip("._") or "clip"
        # Ours, not the machine's table's: a page must not take a file for a page.
        return FileResponse(path, media_type="application/octet-stream", filename=f"{stem}{suffix}")


@api.get("/runs")
async def get_runs(studio: Here) -> list[schema.Run]:
    """Runs and evaluations that were named on the command line, then the released weights."""
    return [await get_run(id, studio) for id in studio.runs]


@api.get("/runs/{id}")
async def get_run(id: str, studio: Here) -> schema.Run:
    """Scores and curves of a run, an evaluation or weights as they are now."""
    title, place = _run(studio, id)
    return schema.Run(id=id, **await studio.worker.ask("run", place=place, title=title))


@api.get("/runs/{id}/plots/{name}.svg", response_class=Response, responses={200: {"content": {"image/svg+xml": {}}}})
async def get_plot(id: str, name: str, studio: Here, theme: Literal["light", "dark"] = "light") -> Response:
    """A plot of a run as it is now, as in its report."""
    title, place = _run(studio, id)
    svg = await studio.worker.ask("plot", place=place, title=title, name=name, theme=theme)
    if svg is None:
        raise not_here("plot")
    # matplotlib writes styles into its pictures.
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return Response(svg, media_type="image/svg+xml", headers={"Content-Security-Policy": policy})


def _run(studio: Studio, id: str) -> tuple[str, Path]:
    if id not in studio.runs:
        raise not_here("run")
    return studio.runs[id]


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


def _changes(id: str, studio: Here) -> AsyncIterator[schema.JobState]:
    return studio.jobs.changes(id)  # before the answer begins, for it may be a refusal


@api.get("/jobs/{id}/events", response_class=EventSourceResponse)
async def watch_job(
    id: str, changes: Annotated[AsyncIterator[schema.JobState], Depends(_changes)]
) -> AsyncIterator[schema.JobState]:
    """How far a job is, as it changes, until it is over."""
    async for state in changes:
        yield state

"""The server's application: the page, and ``/api`` that it uses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from frame_forecast.viewer.guard import BodyRefused, Guard
from frame_forecast.viewer.refusal import Refusal, fault
from frame_forecast.viewer.routes import api
from frame_forecast.viewer.state import Studio

STATIC = Path(__file__).with_name("static")
_TIDY_SECONDS = 30.0


def create_app(studio: Studio) -> ASGIApp:
    """The application of a server."""
    settings = studio.settings

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[Mapping[str, Studio]]:
        studio.worker.start()
        tidying = asyncio.create_task(_tidy(studio))
        yield {"studio": studio}
        tidying.cancel()
        await studio.worker.close()

    app = FastAPI(
        title="frame-forecast",
        version=version("frame-forecast"),
        openapi_url="/api/openapi.json",
        docs_url=None,  # they load scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
    )
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(RequestValidationError, _not_understood)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _fault)  # it goes on to `Guard`, which prints it
    app.include_router(api)
    app.mount("/static", StaticFiles(directory=STATIC))

    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        return FileResponse(STATIC / "index.html", headers={"Cache-Control": "no-store"})

    return Guard(app, settings.hosts, settings.token, {"/api/clips": settings.limits.upload_bytes})


async def _tidy(studio: Studio) -> None:
    while True:
        await asyncio.sleep(_TIDY_SECONDS)
        studio.clips.expire()
        studio.jobs.expire()


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return error.response()


async def _not_understood(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    return Refusal(422, f"{where}: {first['msg']}"[:300], "what /api/openapi.json says", "correct it").response()


async def _fault(_: Request, error: Exception) -> Response:
    return fault(error).response()


async def _http(request: Request, error: Exception) -> Response:
    if isinstance(error, BodyRefused):
        return error.refusal.response()
    assert isinstance(error, HTTPException)
    expected = {404: "a path of /api/openapi.json", 405: "another method"}
    return JSONResponse(
        Refusal(
            error.status_code,
            f"{request.method} {request.url.path[:200]}: {error.detail}",
            expected.get(error.status_code, "another request"),
            "see docs/api.md",
        ).fields,
        error.status_code,
        error.headers,
    )

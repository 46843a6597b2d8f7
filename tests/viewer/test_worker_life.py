"""The worker's process as the server sees it, with a main function that can be made to die or to hang."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from frame_forecast.studio.limits import Limits
from frame_forecast.viewer import worker as module
from frame_forecast.viewer.refusal import Refusal
from frame_forecast.viewer.worker import Cancelled, Worker


def obedient(connection: Connection, *_: object) -> None:
    """Stands in for the worker's main function."""
    while True:
        kind, number, *rest = connection.recv()
        if kind == "stop":
            return
        if kind == "cancel":
            connection.send(("cancelled", number))
            continue
        what, arguments = rest
        connection.send(("running", number))
        if what == "die":
            os._exit(3)
        if what == "fail":
            connection.send(("failed", number, ["a", "b", "c"]))
        elif what == "echo":
            connection.send(("progress", number, 1, 2))
            connection.send(("done", number, arguments))


def stillborn(*_: object) -> None:
    """Dies before it says anything."""
    os._exit(3)


def with_worker(
    work: Callable[[Worker], Awaitable[None]],
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    main: Callable[..., None] = obedient,
) -> None:
    monkeypatch.setattr(module, "_main", main)

    async def run() -> None:
        worker = Worker(folder, "cpu", Limits(), {})
        worker.start()
        try:
            await work(worker)
        finally:
            await worker.close()
        assert worker._calls == {}

    asyncio.run(run())


def test_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(worker: Worker) -> None:
        heard: list[object] = []
        call = worker.call("echo", running=lambda: heard.append("running"), tell=lambda *far: heard.append(far), a=1)
        assert await call.future == {"a": 1}
        assert heard == ["running", (1, 2)]
        with pytest.raises(Refusal, match="a: expected b; c") as raised:
            await worker.ask("fail")
        assert raised.value.status == 400
        slow = worker.call("be silent")
        worker.cancel(slow)
        with pytest.raises(Cancelled):
            await slow.future

    with_worker(work, monkeypatch, tmp_path)


def test_a_death_fails_what_was_asked_for_and_is_followed_by_a_new_life(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(worker: Worker) -> None:
        for _ in range(2):
            waiting = worker.call("be silent")
            with pytest.raises(Refusal, match="ended in the middle") as raised:
                await worker.ask("die")
            assert raised.value.status == 503
            with pytest.raises(Refusal, match="ended in the middle"):
                await waiting.future
            while True:  # while there is none, calls fail at once
                try:
                    assert await worker.ask("echo", a=2) == {"a": 2}
                    break
                except Refusal:
                    await asyncio.sleep(0.01)

    with_worker(work, monkeypatch, tmp_path)


def test_what_takes_too_long_ends_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(worker: Worker) -> None:
        await worker.ask("echo")
        monkeypatch.setattr(module, "_LONGEST_SECONDS", 0.1)
        with pytest.raises(Refusal, match=r"more than 0 s") as raised:
            await worker.ask("be silent")
        assert raised.value.status == 503
        monkeypatch.setattr(module, "_LONGEST_SECONDS", 60)
        while True:
            try:
                await worker.ask("echo")
                break
            except Refusal:
                await asyncio.sleep(0.01)

    with_worker(work, monkeypatch, tmp_path)


def test_one_that_cannot_begin_is_not_begun_at_once_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    began: list[float] = []
    start = Worker.start
    monkeypatch.setattr(Worker, "start", lambda self: (began.append(time.monotonic()), start(self))[1])
    monkeypatch.setattr(module, "_AGAIN_SECONDS", 0.3)

    async def work(worker: Worker) -> None:
        while len(began) < 3:
            with pytest.raises(Refusal):
                await worker.ask("echo")
            await asyncio.sleep(0.01)
        assert began[2] - began[1] >= 0.3

    with_worker(work, monkeypatch, tmp_path, stillborn)

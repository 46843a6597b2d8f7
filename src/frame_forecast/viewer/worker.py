"""The worker process as the server sees it: `Worker`."""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
import queue
import tempfile
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from frame_forecast.studio.limits import Limits
from frame_forecast.viewer.refusal import Refusal

_AGAIN_SECONDS = 5.0  # before a process is begun after one that could not even begin
_END_SECONDS = 2.0
_LONGEST_SECONDS = 300.0

Tell = Callable[[int, int], None]


class Cancelled(Exception):
    """A call was cancelled."""


@dataclass
class Call:
    """Something that the worker was asked for.

    Args:
        number: by which messages name it.
        future: of its result.
        running: called when it is begun.
        tell: called with what is done and what there is to do.
    """

    number: int
    future: asyncio.Future[Any]
    running: Callable[[], None]
    tell: Tell


@dataclass
class _Running:
    """One life of the process."""

    process: SpawnProcess
    connection: Connection
    outbox: queue.SimpleQueue[Any] = field(default_factory=queue.SimpleQueue)
    answered: bool = False


class Worker:
    """A process that is begun again if it dies; its calls then fail with a message that says so.

    Args:
        folder: for what is temporary; the process removes it if this one ends without doing so.
        device: for the models.
        limits: of a clip.
        weights: folders with weights of people's own, by the names that they have on the page.
    """

    def __init__(self, folder: Path, device: str, limits: Limits, weights: Mapping[str, Path]) -> None:
        self._arguments = folder, device, limits, dict(weights)
        self._numbers = itertools.count()
        self._calls: dict[int, Call] = {}
        self._running: _Running | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Begins the process; calls can be made at once. In a running event loop."""
        self._loop = asyncio.get_running_loop()
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        # A daemon: should this process end in disorder, it is ended too, not waited for.
        process = context.Process(target=_main, args=(theirs, *self._arguments), daemon=True)
        process.start()
        theirs.close()
        running = self._running = _Running(process, ours)
        threading.Thread(target=self._listen, args=(running,), name="from worker", daemon=True).start()
        threading.Thread(target=_speak, args=(running,), name="to worker", daemon=True).start()

    def call(
        self,
        what: str,
        *,
        running: Callable[[], None] = lambda: None,
        tell: Tell = lambda done, total: None,
        **arguments: Any,
    ) -> Call:
        """Asks for something.

        Args:
            what: a method of `studio.works.Works`.
            running: called when it is begun.
            tell: called with what is done and what there is to do.
            arguments: of that method; ``names`` are those for people of paths that messages may have.

        Returns:
            The call. Awaiting its future raises `Refusal` or `Cancelled`.
        """
        assert self._loop is not None
        call = Call(next(self._numbers), self._loop.create_future(), running, tell)
        self._calls[call.number] = call
        if self._running is None:
            self._fail(call)
        else:
            self._running.outbox.put(("call", call.number, what, arguments))
        return call

    async def ask(self, what: str, **arguments: Any) -> Any:
        """`call`, and what comes of it. Nothing that is asked for so takes minutes: a process that does is ended.

        Raises:
            Refusal: it failed.
        """
        running, call = self._running, self.call(what, **arguments)
        try:
            return await asyncio.wait_for(call.future, _LONGEST_SECONDS)
        except TimeoutError:
            if running is not None:
                running.process.kill()
            raise Refusal(
                503, f"more than {_LONGEST_SECONDS:.0f} s for this", "less", "try a smaller or another file"
            ) from None

    def cancel(self, call: Call) -> None:
        """Ends a call as soon as can be."""
        if self._running is not None and call.number in self._calls:
            self._running.outbox.put(("cancel", call.number))

    async def close(self) -> None:
        """Ends the process and what it does."""
        running, self._running = self._running, None
        for call in list(self._calls.values()):
            self._fail(call)
        if running is None:
            return
        running.outbox.put(("stop", -1))
        await asyncio.to_thread(running.process.join, _END_SECONDS)
        if running.process.is_alive():
            running.process.kill()
            await asyncio.to_thread(running.process.join)

    def _listen(self, running: _Running) -> None:
        """Passes on what the process says until it is gone."""
        assert self._loop is not None
        with suppress(EOFError, OSError, RuntimeError):  # RuntimeError: the loop is closed
            while True:
                kind, number, *rest = running.connection.recv()
                self._loop.call_soon_threadsafe(self._heard, running, kind, number, *rest)
        running.process.join()
        running.outbox.put(None)
        running.connection.close()
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._died, running)

    def _heard(self, running: _Running, kind: str, number: int, *rest: Any) -> None:
        running.answered = True
        call = self._calls.get(number)
        if call is None:
            return
        if kind == "running":
            call.running()
            return
        if kind == "progress":
            call.tell(*rest)
            return
        del self._calls[number]
        if call.future.done():  # nobody waits any more
            return
        if kind == "done":
            call.future.set_result(rest[0])
        else:
            call.future.set_exception(Refusal(400, *rest[0]) if kind == "failed" else Cancelled())

    def _died(self, running: _Running) -> None:
        for call in list(self._calls.values()):
            self._fail(call)
        if self._running is not running:  # it was closed
            return
        self._running = None
        assert self._loop is not None
        self._loop.call_later(0 if running.answered else _AGAIN_SECONDS, self._start_again)

    def _start_again(self) -> None:
        assert self._loop is not None
        try:
            self.start()
        except OSError:  # such as no memory for another process
            self._loop.call_later(_AGAIN_SECONDS, self._start_again)

    def _fail(self, call: Call) -> None:
        del self._calls[call.number]
        if not call.future.done():
            call.future.set_exception(
                Refusal(
                    503,
                    "a worker that ended in the middle of this",
                    "it to go on: memory may have run out, or the file may be damaged",
                    "try again; with a smaller clip if it happens again",
                )
            )


def _speak(running: _Running) -> None:
    """Passes on to the process what there is in the outbox, up to None."""
    while (message := running.outbox.get()) is not None:
        with suppress(OSError):  # it is gone, and `_listen` knows
            running.connection.send(message)


def _main(connection: Connection, folder: Path, *arguments: Any) -> None:
    tempfile.tempdir = str(folder)  # so that what libraries leave goes with the rest
    from frame_forecast.studio.worker import serve

    serve(connection, folder, *arguments)

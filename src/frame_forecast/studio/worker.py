"""The process that does the page's work: `serve` is its main function, `Works` says what it can do.

It is sent ``("call", number, what, arguments)``, ``("cancel", number)`` and ``("stop", -1)``. It sends ``("running",
number)``, ``("progress", number, done, total)`` and one of ``("done", number, result)``, ``("failed", number, error)``
and ``("cancelled", number)``. It ends when the other side does, too.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import threading
import traceback
import warnings
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from frame_forecast.call import Cancelled
from frame_forecast.errors import FrameForecastError, FrameForecastWarning
from frame_forecast.studio.limits import Limits
from frame_forecast.studio.works import Works

_JOBS_AT_ONCE = 4  # models: a slow one leaves room for others
_QUICK_AT_ONCE = 4  # all else
_heard = threading.local()


def serve(connection: Connection, folder: Path, device: str, limits: Limits, weights: dict[str, Path]) -> None:
    """Works until the other side of the connection is gone.

    Args:
        connection: to the server.
        folder: with all that is temporary; removed here if the server ends without doing so.
        device: for the models.
        limits: of a clip.
        weights: folders with weights of people's own, by the names that they have on the page.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the server too, which ends this process in order
    if "OMP_NUM_THREADS" not in os.environ:  # jobs at once that take all cores each wait for one another
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // _JOBS_AT_ONCE))
    in_order = _Worker(connection, Works(device, limits, weights)).run()
    if not in_order:
        shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)  # not held up by jobs that still run


class _Worker:
    def __init__(self, connection: Connection, works: Works) -> None:
        self._connection, self._works = connection, works
        self._sending, self._changing = threading.Lock(), threading.Lock()
        self._jobs = ThreadPoolExecutor(_JOBS_AT_ONCE, "job")
        self._quick = ThreadPoolExecutor(_QUICK_AT_ONCE, "quick")
        self._pending: dict[int, tuple[Future[None], threading.Event]] = {}

    def run(self) -> bool:
        """Until it is to stop, or until the other side is gone: False."""
        self._quick.submit(self._works.warm_up)
        with suppress(EOFError, OSError):
            while True:
                kind, number, *rest = self._connection.recv()
                if kind == "stop":
                    return True
                if kind == "call":
                    self._begin(number, *rest)
                else:
                    self._cancel(number)
        return False

    def _begin(self, number: int, what: str, arguments: dict[str, Any]) -> None:
        cancelled = threading.Event()
        pool = self._jobs if what == "answer" else self._quick
        with self._changing:
            self._pending[number] = pool.submit(self._do, number, what, arguments, cancelled), cancelled

    def _cancel(self, number: int) -> None:
        with self._changing:
            future, cancelled = self._pending.get(number, (None, None))
        if future is not None and cancelled is not None:
            cancelled.set()
            if future.cancel():  # it had not begun
                self._end("cancelled", number)

    def _do(self, number: int, what: str, arguments: dict[str, Any], cancelled: threading.Event) -> None:
        self._send("running", number)
        names: dict[str, str] = arguments.pop("names", {})
        try:
            with listening() as notes:
                result = self._works.do(
                    what,
                    arguments,
                    lambda done, total: self._send("progress", number, done, total),
                    cancelled.is_set,
                )
        except Cancelled:
            self._end("cancelled", number)
        except Exception as error:
            self._end("failed", number, _renamed(_explained(error), names))
        else:
            if isinstance(result, dict) and "notes" in result:
                result["notes"] = _renamed([*notes, *result["notes"]], names)
            self._end("done", number, result)

    def _end(self, kind: str, number: int, *rest: Any) -> None:
        with self._changing:
            self._pending.pop(number, None)
        self._send(kind, number, *rest)

    def _send(self, *message: Any) -> None:
        with self._sending, suppress(OSError):  # the server is gone, and so is this process in a moment
            self._connection.send(message)


@contextmanager
def listening() -> Iterator[list[str]]:
    """Inside, this package's warnings in this thread become lines, each once.

    Not `warnings.catch_warnings`, which is for all threads. Others that use it may undo what is set here, so it is
    set each time.
    """
    warnings.filterwarnings("always", category=FrameForecastWarning)
    warnings.showwarning = _show
    _heard.notes = []
    try:
        yield _heard.notes
    finally:
        del _heard.notes


_show_others = warnings.showwarning  # as it is when the process begins


def _show(message: Warning | str, *where: Any, **more: Any) -> None:
    notes = getattr(_heard, "notes", None)
    if notes is None or not isinstance(message, FrameForecastWarning):
        _show_others(message, *where, **more)
    elif str(message) not in notes:
        notes.append(str(message))


def _explained(error: Exception) -> list[str]:
    """What was given, what was expected, and the next step."""
    if isinstance(error, FrameForecastError):
        return [error.given, error.expected, error.next_step]
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return ["a full disk", "room for the clip", "free some, or set TMPDIR to another folder and start again"]
    if isinstance(error, MemoryError) or "allocate memory" in str(error) or "out of memory" in str(error):
        return ["out of memory", "a clip and a model that fit", "choose fewer or smaller frames"]
    traceback.print_exception(error)  # for whoever runs the server
    return [f"an error that was not expected ({type(error).__name__})", "none", "see the server's terminal, report it"]


def _renamed(lines: list[str], names: dict[str, str]) -> list[str]:
    """With the names that people know in place of those of temporary files."""
    for path, name in names.items():
        lines = [line.replace(path, name) for line in lines]
    return lines

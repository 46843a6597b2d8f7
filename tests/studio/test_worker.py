"""The worker's own side: how it is spoken to, what it makes of warnings and errors."""

import errno
import threading
import warnings
from collections.abc import Callable, Iterator
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

import pytest

from frame_forecast.call import Cancelled
from frame_forecast.errors import DataError, FrameForecastWarning
from frame_forecast.studio.worker import _explained, _Worker, listening


class Works:
    """Stands in for `studio.works.Works`."""

    def __init__(self) -> None:
        self.go_on = threading.Event()

    def warm_up(self) -> None:
        pass

    def do(self, what: str, arguments: dict[str, Any], tell: Callable[..., None], cancel: Callable[[], bool]) -> Any:
        if what == "echo":
            return arguments
        if what == "answer":
            while not cancel():
                tell(1, 2)
                if self.go_on.wait(0.01):
                    return "went on"
            raise Cancelled
        if what == "warn":
            warnings.warn(FrameForecastWarning(f"in {arguments['path']}", "that", "those"), stacklevel=1)
            return {"notes": ["another"]}
        raise DataError(f"{arguments['path']}, which is wrong", "another", "look")


@pytest.fixture
def other_side() -> Iterator[tuple[Connection, Works]]:
    ours, theirs = Pipe()
    works = Works()
    thread = threading.Thread(target=_Worker(theirs, works).run)  # pyright: ignore[reportArgumentType]
    thread.start()
    yield ours, works
    works.go_on.set()
    ours.send(("stop", -1))
    thread.join()


def heard(connection: Connection, number: int) -> Iterator[tuple[Any, ...]]:
    """What is said of a call until it is over."""
    while True:
        message = connection.recv()
        if message[1] == number:
            yield message
        if message[1] == number and message[0] in ("done", "failed", "cancelled"):
            return


def test_a_call_and_its_result(other_side: tuple[Connection, Works]) -> None:
    connection, _ = other_side
    connection.send(("call", 7, "echo", {"a": 1}))
    assert list(heard(connection, 7)) == [("running", 7), ("done", 7, {"a": 1})]


def test_errors_and_warnings_have_the_names_that_people_know(other_side: tuple[Connection, Works]) -> None:
    connection, _ = other_side
    names = {"/tmp/x/upload.npy": "mine.npy"}
    connection.send(("call", 1, "fail", {"path": "/tmp/x/upload.npy", "names": names}))
    assert list(heard(connection, 1))[-1] == ("failed", 1, ["mine.npy, which is wrong", "another", "look"])
    connection.send(("call", 2, "warn", {"path": "/tmp/x/upload.npy", "names": names}))
    assert list(heard(connection, 2))[-1] == ("done", 2, {"notes": ["in mine.npy: that; those", "another"]})


def test_a_slow_call_holds_no_other_up_and_can_be_cancelled(other_side: tuple[Connection, Works]) -> None:
    connection, _ = other_side
    connection.send(("call", 1, "answer", {}))
    connection.send(("call", 2, "echo", {}))
    assert list(heard(connection, 2))[-1] == ("done", 2, {})
    connection.send(("cancel", 1))
    assert list(heard(connection, 1))[-1] == ("cancelled", 1)
    connection.send(("cancel", 1))  # nothing happens
    connection.send(("call", 3, "echo", {}))
    assert list(heard(connection, 3))[-1] == ("done", 3, {})


def test_a_call_that_waits_is_cancelled_at_once(other_side: tuple[Connection, Works]) -> None:
    connection, works = other_side
    for number in range(8):
        connection.send(("call", number, "answer", {}))
    connection.send(("cancel", 7))
    assert list(heard(connection, 7)) == [("cancelled", 7)]  # it never ran
    works.go_on.set()
    assert list(heard(connection, 6))[-1] == ("done", 6, "went on")


def test_each_thread_hears_its_own_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    found: dict[str, list[str]] = {}
    both = threading.Barrier(2)

    def work(name: str) -> None:
        with listening() as notes:
            both.wait()
            for _ in range(2):
                warnings.warn(FrameForecastWarning(name, "m", "n"), stacklevel=1)
            both.wait()
        found[name] = notes

    with warnings.catch_warnings():
        threads = [threading.Thread(target=work, args=(name,)) for name in ("one", "two")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == {"one": ["one: m; n"], "two": ["two: m; n"]}
    assert capsys.readouterr().err == ""


def test_what_went_wrong_is_said_in_three_parts(capsys: pytest.CaptureFixture[str]) -> None:
    assert _explained(DataError("a", "b", "c")) == ["a", "b", "c"]
    assert "full disk" in _explained(OSError(errno.ENOSPC, "No space left"))[0]
    assert "memory" in _explained(MemoryError())[0]
    assert "memory" in _explained(RuntimeError("DefaultCPUAllocator: can't allocate memory"))[0]
    assert capsys.readouterr().err == ""
    assert "ZeroDivisionError" in _explained(ZeroDivisionError("x"))[0]
    assert "ZeroDivisionError: x" in capsys.readouterr().err

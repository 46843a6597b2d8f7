"""Processes for cases: one after another, begun anew after a case that it does not survive."""

import json
import os
import re
import select
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

from judge import SECONDS, STDERR, Outcome, work
from targets import Target

_WALL_SECONDS = 240  # of a case that waits for ever and takes no processor time, on a machine that is busy
_KNOWN = re.compile(r"most recent call first\):\n  File \S*h5py/_hl/(?:attrs|dims)\.py")
"""HDF5 itself goes round and round where a heap of texts or references has a part of no size."""


def run(target: Target, trees: list[dict[str, bytes]], numbers: range) -> Iterator[tuple[int, Outcome]]:
    """The outcomes of cases, each block of them in a process that is begun anew after one that it does not survive."""
    while numbers:
        begun = numbers.start
        with tempfile.TemporaryDirectory(prefix="fuzzing-") as place:
            process, lines = _begin(target, trees, numbers, Path(place))
            for line in lines:
                if line is None:
                    os.kill(process, signal.SIGKILL)
                    break
                record = json.loads(line)
                begun = record.pop("number")
                if record:
                    yield begun, Outcome(**record)
                    numbers = range(begun + 1, numbers.stop)
            _, status = os.waitpid(process, 0)
            said = Path(place, STDERR).read_text(errors="replace")
        if numbers:
            killed = signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else "itself"
            what = f"over {SECONDS} s" if killed in ("SIGXCPU", "SIGKILL") else f"ended by {killed}"
            yield begun, Outcome("known" if _KNOWN.search(said) else "finding", what, said)
            numbers = range(begun + 1, numbers.stop)


def _begin(
    target: Target, trees: list[dict[str, bytes]], numbers: range, place: Path
) -> tuple[int, Iterator[bytes | None]]:
    """The number of a new process that runs cases, and what it tells."""
    read, write = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(read)
        try:
            work(target, trees, numbers, place, write)
        finally:
            os._exit(0)
    os.close(write)
    return process, _lines(read)


def _lines(source: int) -> Iterator[bytes | None]:
    """Lines of a pipe until it is closed; None if it stays silent for too long."""
    rest = b""
    with os.fdopen(source, "rb", buffering=0) as pipe:
        while select.select([pipe], [], [], _WALL_SECONDS)[0]:
            chunk = pipe.read(2**16)
            if not chunk:
                return
            *lines, rest = (rest + chunk).split(b"\n")
            yield from lines
        yield None

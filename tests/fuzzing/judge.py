"""One case after another, in a process of their own, and what each came to."""

import faulthandler
import gc
import json
import os
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import seeds
from mutate import Tree, mutated
from PIL import Image
from targets import Target

from frame_forecast.errors import FrameForecastError
from frame_forecast.io import base

SECONDS = 5
"""Of processor time that a case may take: what a busy machine adds to it is not the reader's."""

FRAME_BYTES, UNPACKED_BYTES = 2**24, 2**26
"""The limits of `io.base` while cases run: a 64th and a 32nd of the real ones, so that what comes before a limit is
looked at shows with small files."""

MEMORY_BYTES = 2**28
"""How much more than before a case may be in memory: under these limits, a few frames and their copies."""

_ADDRESSES = 5 * 2**30
"""What may be asked for at all, to spare the machine; what is not used is in no memory, and counts for nothing."""

STDERR = "stderr"
"""The file in a judge's folder that has what it says at its end."""

_OUTSIDE = ("socket.connect", "socket.bind", "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_CHANGES = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate", "shutil.rmtree")


@dataclass(frozen=True)
class Outcome:
    """What a case came to.

    Args:
        kind: ``read``, ``refused`` with a clear error, ``finding``, or ``known``: one that docs/security.md tells of.
        what: of a finding, the same for all of one cause.
        detail: of a finding, such as a traceback.
        growth: of memory, in bytes.
    """

    kind: str
    what: str = ""
    detail: str = ""
    growth: int = 0


class Judge:
    """Runs the cases of a target in this process, which it makes its own: limits, stderr, working directory.

    Args:
        place: an empty folder for all that cases write.
    """

    def __init__(self, place: Path) -> None:
        base.MOST_FRAME_BYTES, base.MOST_UNPACKED_BYTES = FRAME_BYTES, UNPACKED_BYTES
        Image.MAX_IMAGE_PIXELS = FRAME_BYTES // 12  # as Pillow's own has it for a gigabyte
        warnings.simplefilter("ignore")
        self._case, self._cwd, self._temporary = (place / name for name in ("case", "cwd", "tmp"))
        for folder in (self._cwd, self._temporary):
            folder.mkdir(parents=True)
        os.chdir(self._cwd)
        gc.freeze()  # so that looking for what can be let go of does not go through all that is imported
        tempfile.tempdir = str(self._temporary)
        self._errors = (place / STDERR).open("w+b", buffering=0)
        os.dup2(self._errors.fileno(), 2)
        faulthandler.enable(2)  # what it was doing when it crashed
        faulthandler.register(signal.SIGXCPU, 2, all_threads=False, chain=True)  # or was ended
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        size = 1024 * _status("VmSize")
        resource.setrlimit(resource.RLIMIT_AS, (size + _ADDRESSES, size + _ADDRESSES))
        self._place = str(place)
        self._watching = False
        self._seen: list[str] = []
        sys.addaudithook(self._listen)

    def run(self, target: Target, tree: Tree) -> Outcome:
        """One case."""
        seeds.put(tree, self._case)
        self._errors.truncate(0)
        os.lseek(self._errors.fileno(), 0, os.SEEK_SET)
        Path("/proc/self/clear_refs").write_text("5")  # the most memory from here on
        before = _status("VmRSS")
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + SECONDS + 1, hard))
        kind, what, detail = self._use(target)
        growth = 1024 * (_status("VmHWM") - before)
        gc.collect()  # some complain when they are let go of
        if kind != "finding":
            kind, what, detail = self._look(growth) or (kind, what, detail)
        shutil.rmtree(self._case, ignore_errors=True)
        return Outcome(kind, what, detail, growth)

    def _use(self, target: Target) -> tuple[str, str, str]:
        try:
            self._seen, self._watching = [], True
            try:
                target.use(self._case / target.entry)
            finally:
                self._watching = False
        except FrameForecastError as error:
            return "refused", "", str(error)
        except BaseException as error:
            return "finding", f"{type(error).__name__} {_where(error)}", _text(error)
        return "read", "", ""

    def _look(self, growth: int) -> tuple[str, str, str] | None:
        """What a case that ended well may have done beside that."""
        said = os.pread(self._errors.fileno(), 2**16, 0).decode("utf-8", "replace")
        if re.search(r"Traceback|Exception ignored|corrupt|free\(\)|Error in", said):
            return "finding", f"stderr: {said.strip().splitlines()[0][:60]}", said
        if growth > MEMORY_BYTES:
            return "finding", f"{growth >> 20} MiB of memory", ""
        if self._seen:
            return "finding", self._seen[0], "\n".join(self._seen)
        left = [str(path) for folder in (self._cwd, self._temporary) for path in folder.iterdir()]
        if left:
            return "finding", "files left behind", "\n".join(left)
        return None

    def _listen(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Remembers what no reader has to do: see `sys.addaudithook`."""
        if not self._watching:
            return
        writes = event in _CHANGES or (event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITES)
        if writes and not isinstance(arguments[0], int):
            path = os.path.abspath(os.fsdecode(arguments[0]))  # noqa: PTH100 - inside an open, no Path
            if not path.startswith((self._place, "/dev/")):
                self._seen.append(f"{event} of {path}")
        elif event in _OUTSIDE or event == "pickle.find_class":
            self._seen.append(f"{event} {arguments!r}"[:200])


def case(target: Target, number: int, trees: list[dict[str, bytes]]) -> Tree:
    """What case ``number`` of a target reads; the same each time. The first are the trees as they are."""
    if number < len(trees):
        return trees[number]
    rng = random.Random(f"{target.name}/{number}")
    tree = mutated(rng.choice(trees), trees, rng)
    return target.mend(tree) if target.mend is not None and rng.random() < 0.7 else tree


def work(target: Target, trees: list[dict[str, bytes]], numbers: range, place: Path, pipe: int) -> None:
    """Runs cases and tells of each, a line of JSON before it and one after it.

    Args:
        target: whose they are.
        trees: what they begin with.
        numbers: of the cases.
        place: an empty folder for what they write.
        pipe: a file descriptor to write to.
    """
    with os.fdopen(pipe, "w", buffering=1) as lines:
        judge = Judge(place)
        for number in numbers:
            tree = case(target, number, trees)
            lines.write(f"{json.dumps({'number': number})}\n")
            outcome = judge.run(target, tree)
            if number < len(trees) and outcome.kind == "refused":
                outcome = replace(outcome, kind="finding", what="nothing is wrong, but it is refused")
            lines.write(f"{json.dumps({'number': number} | asdict(outcome))}\n")


def _status(name: str) -> int:
    """A number of KiB from what the system says of this process."""
    match = re.search(rf"{name}:\s+(\d+)", Path("/proc/self/status").read_text())
    return int(match[1]) if match else 0


def _where(error: BaseException) -> str:
    """The place in this package's source from which an error came, and that where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "frame_forecast" in frame.filename]
    shown = dict.fromkeys(f"{Path(one.filename).name}:{one.lineno}" for one in (*own[-1:], *frames[-1:]))
    return f"at {' in '.join(shown)}"


def _text(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))[-4000:]

"""The page's server, started as a user starts it, and its API as a stranger would speak to it."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

LONG = 120.0  # seconds after which something hangs


@dataclass(frozen=True)
class Answer:
    """What the server said."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Served:
    """A running server.

    Args:
        process: the server's; its worker is a child of it.
        port: where it listens, on 127.0.0.1.
        url: of the page, as it was printed.
        log: what it prints.
        temporary: where its temporary folder is; nothing else is there.
    """

    process: subprocess.Popen[bytes]
    port: int
    url: str
    log: Path
    temporary: Path

    def ask(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Answer:
        """One request on a connection of its own; the path is sent as it is."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LONG)
        try:
            connection.putrequest(method, path, skip_host="Host" in (headers or {}))
            if body is not None or method == "POST":
                connection.putheader("Content-Length", str(len(body or b"")))
            for name, value in (headers or {}).items():
                connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            return Answer(answer.status, {name.lower(): text for name, text in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def get(self, path: str) -> Any:
        """The JSON behind a path."""
        answer = self.ask("GET", path)
        assert answer.status == 200, answer
        return answer.json

    def post(self, path: str, what: dict[str, Any]) -> Any:
        """The JSON that comes back for JSON."""
        answer = self.ask("POST", path, json.dumps(what).encode(), {"Content-Type": "application/json"})
        assert answer.status in (200, 201, 202), answer
        return answer.json

    def upload(self, name: str, content: bytes) -> Answer:
        """A file's bytes, under a name that needs no escapes."""
        return self.ask("POST", f"/api/clips?name={name}", content, {"Content-Type": "application/octet-stream"})

    def job(self, clip: str, task: str, model: str, **settings: Any) -> dict[str, Any]:
        """The state of a job once it is over."""
        wanted = {"clip": clip, "task": task, "model": model, "start": None, "horizon": None, "missing": []}
        return self.over(self.post("/api/jobs", wanted | {"holes": []} | settings)["id"])

    def over(self, job: str) -> dict[str, Any]:
        """The last state of a job."""
        until = time.monotonic() + LONG
        while (state := self.get(f"/api/jobs/{job}"))["state"] in ("queued", "running"):
            assert time.monotonic() < until, state
            time.sleep(0.05)
        return state

    def frames(self, clip: str) -> tuple[np.ndarray, np.ndarray]:
        """Values ``(T, C, H, W)`` and the observed mask ``(T, 1, H, W)`` of a clip."""
        answer = self.ask("GET", f"/api/clips/{clip}/frames")
        assert answer.status == 200, answer
        return unpack(answer.body)

    def children(self) -> list[int]:
        """Numbers of the processes that it started and that run, the worker's last."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            except OSError:  # it is gone
                continue
            if int(parent) == self.process.pid and state != "Z":
                found.append(int(folder.name))
        return sorted(found)


@contextmanager
def serve(folder: Path, *arguments: str) -> Iterator[Served]:
    """Starts ``frame-forecast view`` on a free port.

    Args:
        folder: an empty one, for its log and its temporary folder.
        arguments: more of the command's.

    Yields:
        The server, which answers, and whose worker may still be warming up. Afterwards it is ended.
    """
    log, temporary = folder / "log.txt", folder / "tmp"
    temporary.mkdir(parents=True)
    environment = os.environ | {"TMPDIR": str(temporary), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "frame_forecast", "view", "--port", "0", *arguments]
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=environment, cwd=folder)
    try:
        until = time.monotonic() + LONG
        while not (found := re.search(r"http://[^\s]+:(\d+)/\S*", log.read_text())):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.05)
        yield Served(process, int(found[1]), found[0], log, temporary)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


def unpack(data: bytes) -> tuple[np.ndarray, np.ndarray]:
    """What frames in ``application/x-frames`` are: values ``(T, C, H, W)`` and the observed mask ``(T, 1, H, W)``."""
    assert data[:4] == b"FFR1"
    begin = 8 + int.from_bytes(data[4:8], "little")
    assert begin % 8 == 0
    header = json.loads(data[8:begin])
    T, C, H, W = header["shape"]
    dtype = np.dtype(header["dtype"]).newbyteorder("<")
    values = np.frombuffer(data, dtype, T * C * H * W, begin).reshape(T, C, H, W)
    rest = np.frombuffer(data, np.uint8, offset=begin + values.nbytes)
    if header["observed"] == "all":
        assert not len(rest)
        return values, np.ones((T, 1, H, W), bool)
    if header["observed"] == "frames":
        return values, np.broadcast_to(rest.astype(bool).reshape(T, 1, 1, 1), (T, 1, H, W))
    bits = np.unpackbits(rest.reshape(T, -1), axis=1, count=H * W)
    return values, bits.astype(bool).reshape(T, 1, H, W)


def pack(values: np.ndarray, observed: np.ndarray | None = None) -> bytes:
    """The other way round, for uint8 values; ``observed`` is bool ``(T,)``."""
    kind = "all" if observed is None else "frames"
    header = json.dumps({"dtype": "uint8", "shape": values.shape, "start": 0, "observed": kind}).encode()
    header += b" " * (-len(header) % 8)
    mask = b"" if observed is None else observed.astype(np.uint8).tobytes()
    return b"FFR1" + len(header).to_bytes(4, "little") + header + values.tobytes() + mask

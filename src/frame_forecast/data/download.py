"""Fetching files of known content: whole and verified, or not at all."""

import gzip
import hashlib
import queue
import ssl
import threading
import urllib.request
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError

from filelock import FileLock

from frame_forecast.errors import DataError
from frame_forecast.files import writing

MNIST_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
MNIST_MD5 = {  # of the unpacked files: how hard a mirror packs them does not matter
    "train-images": "6bbc9ace898e44ae57da46a324031adb",
    "t10k-images": "2646ac647ad5339dbf082846283269ea",
}
PUBLISHED_NAME = "mnist_test_seq.npy"
PUBLISHED_URL = f"http://www.cs.toronto.edu/~nitish/unsupervised_video/{PUBLISHED_NAME}"
PUBLISHED_SIZE = 819_200_096
PUBLISHED_SHA256 = "c2a3e8d3939c001ab77bf543f130157424efa486bb4d0974d2cebb773b13f8b3"

Progress = Callable[[int, int | None], None]
"""Called with the bytes there so far and, where it is known, how many there will be."""
_Ask = Callable[[urllib.request.Request], HTTPResponse]

_CHUNK = 2**16


def fetch_mnist(folder: Path, progress: Progress | None = None, mirrors: Sequence[str] = MNIST_MIRRORS) -> list[Path]:
    """MNIST's training and test images, as gzip files.

    Args:
        folder: where they go; made if needed.
        progress: called for each file in turn.
        mirrors: folders on the web, tried in order.

    Raises:
        DataError, OutputError: as `fetch`.
    """
    paths = []
    for stem, md5 in MNIST_MD5.items():
        name = f"{stem}-idx3-ubyte.gz"
        urls = [f"{mirror.rstrip('/')}/{name}" for mirror in mirrors]
        paths.append(fetch(urls, folder / name, md5=md5, unpacked=True, progress=progress))
    return paths


def fetch_published(folder: Path, progress: Progress | None = None, url: str = PUBLISHED_URL) -> Path:
    """The published Moving MNIST test set, 819 MB.

    Args:
        folder: where it goes; made if needed.
        progress: see `Progress`.
        url: where it comes from.

    Raises:
        DataError, OutputError: as `fetch`.
    """
    path = folder / PUBLISHED_NAME
    return fetch(url, path, sha256=PUBLISHED_SHA256, size=PUBLISHED_SIZE, progress=progress)


def fetch(
    urls: str | Sequence[str],
    path: Path,
    *,
    md5: str | None = None,
    sha256: str | None = None,
    size: int | None = None,
    unpacked: bool = False,
    connect_timeout: float = 3.0,
    read_timeout: float = 15.0,
    progress: Progress | None = None,
) -> Path:
    """Fetches a file, unless it is there already and right.

    What arrives is collected in ``path`` + ``.part``, which a later call continues, and takes
    the name ``path`` when it is whole and verified. Processes that want the same file wait for
    one another. An exception from ``progress`` stops the download.

    Args:
        urls: one address, or several that are tried in order.
        path: where the file goes; its folder is made if needed.
        md5, sha256: what the content must have; without one only its length is checked.
        size: bytes of the file.
        unpacked: whether the checksums are of what gzip unpacks the file to.
        connect_timeout: seconds for finding the name, connecting and encrypting, all together.
        read_timeout: seconds that a server may be silent.
        progress: see `Progress`.

    Returns:
        ``path``.

    Raises:
        DataError: no address gave the file; the message names each and what went wrong there.
        OutputError: the disk is full, read-only or not there.
    """
    expected = _Expected(size, {"md5": md5, "sha256": sha256}, unpacked)
    lock = path.with_name(f"{path.name}.lock")
    with writing(path):
        if expected.met_by(path):
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(lock):
            if not expected.met_by(path):  # else the process that held the lock has fetched it
                opener = urllib.request.build_opener(_Handler(read_timeout))
                ask = partial(opener.open, timeout=connect_timeout)
                _fetch_from_any([urls] if isinstance(urls, str) else urls, path, expected, ask, progress)
        # Whoever opens the lock from here on finds the file finished. Windows refuses to remove
        # what another process has open.
        with suppress(PermissionError):
            lock.unlink(missing_ok=True)
    return path


def digest(path: Path, algorithm: str, unpacked: bool = False) -> str:
    """A file's checksum in hexadecimal, by a name that hashlib knows.

    Args:
        path: the file.
        algorithm: such as ``sha256``.
        unpacked: take what gzip unpacks the file to.
    """
    new = partial(hashlib.new, algorithm, usedforsecurity=False)
    if unpacked:
        with gzip.open(path) as file:
            return hashlib.file_digest(file, new).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, new).hexdigest()


class _FailureError(Exception):
    """Why one address did not give the file: what it gave, and what was expected."""

    def __init__(self, given: str, expected: str) -> None:
        super().__init__(given, expected)
        self.given, self.expected = given, expected


@dataclass(frozen=True)
class _Expected:
    """What the file must be; None = not known beforehand."""

    size: int | None
    checksums: dict[str, str | None]
    unpacked: bool

    def met_by(self, path: Path) -> bool:
        """Whether the file is there and right."""
        return path.is_file() and self.mismatch(path) is None

    def mismatch(self, path: Path) -> tuple[str, str] | None:
        """What a file is and what it should be, or None where it is right."""
        size = path.stat().st_size
        if self.size is not None and size != self.size:
            return f"{size} bytes", f"{self.size} bytes"
        for algorithm, checksum in self.checksums.items():
            if checksum is None:
                continue
            try:
                found = digest(path, algorithm, self.unpacked)
            except (gzip.BadGzipFile, EOFError, zlib.error) as error:
                return f"a damaged gzip file ({error})", f"{algorithm} {checksum} once unpacked"
            if found != checksum:
                return f"{algorithm} {found}", f"{algorithm} {checksum}"
        return None


def _fetch_from_any(urls: Sequence[str], path: Path, expected: _Expected, ask: _Ask, progress: Progress | None) -> None:
    """Fetches from the first address that gives the right file."""
    part = path.with_name(f"{path.name}.part")
    failures: list[_FailureError] = []
    for url in urls:
        try:
            _download(url, part, expected.size, ask, progress)
        except _FailureError as failure:
            failures.append(failure)
            continue
        if (mismatch := expected.mismatch(part)) is None:
            part.replace(path)
            return
        part.unlink()
        failures.append(_FailureError(f"{url} gave {mismatch[0]}", mismatch[1]))
    raise DataError(
        "; ".join(failure.given for failure in failures),
        " or ".join(dict.fromkeys(failure.expected for failure in failures)),
        f"try again, or put the file at {path} yourself",
    )


def _download(url: str, part: Path, size: int | None, ask: _Ask, progress: Progress | None) -> None:
    """Adds to ``part`` what it lacks; a failure keeps what has arrived."""
    start = part.stat().st_size if part.exists() else 0
    if size is not None and start >= size:
        if start == size:  # stopped between the last byte and the check
            return
        start = 0
    response, start = _open(url, start, ask)
    with response:
        total = size if response.length is None else start + response.length
        if size is not None and total != size:  # another file, or the page of a network that wants a login
            raise _FailureError(f"{url} offers {total} bytes", f"{size} bytes")
        done = start
        with part.open("ab" if start else "wb") as file:
            if progress is not None:
                progress(done, total)
            while chunk := _read(response, url, done):
                file.write(chunk)
                done += len(chunk)
                if progress is not None:
                    progress(done, total)
                if size is not None and done > size:
                    break
    if total is not None and done < total:
        raise _FailureError(f"{url} ended after {done} bytes, which are kept", f"{total} bytes")


def _open(url: str, start: int, ask: _Ask) -> tuple[HTTPResponse, int]:
    """The answer, and the byte it starts at: 0 where the server cannot start at ``start``."""
    headers = {"User-Agent": "frame-forecast", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        response = ask(urllib.request.Request(url, headers=headers))
    except HTTPError as error:
        error.close()
        if error.code == 416 and start:  # the file there has no such byte
            return _open(url, 0, ask)
        raise _FailureError(f"{url}: HTTP {error.code} {error.reason}", "the file") from error
    except (OSError, HTTPException) as error:
        reason = error.reason if isinstance(error, URLError) else error
        raise _FailureError(f"{url}: {reason}", "an answer") from error
    if start and response.status == 206:
        if response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            return response, start
        response.close()
        return _open(url, 0, ask)
    return response, 0


def _read(response: HTTPResponse, url: str, done: int) -> bytes:
    try:
        return response.read1(_CHUNK)
    except (OSError, HTTPException) as error:
        raise _FailureError(f"{url}: {error} after {done} bytes, which are kept", "all of it") from error


class _Handler(urllib.request.HTTPHandler, urllib.request.HTTPSHandler):
    """Opens connections that tell the time to connect from the time to read."""

    def __init__(self, read_timeout: float) -> None:
        super().__init__()
        self._read_timeout = read_timeout

    def http_open(self, req: urllib.request.Request) -> HTTPResponse:
        return self.do_open(partial(_Connection, self._read_timeout), req)

    def https_open(self, req: urllib.request.Request) -> HTTPResponse:
        connection = partial(_SecureConnection, self._read_timeout)
        return self.do_open(connection, req, context=ssl.create_default_context())


class _Connection(HTTPConnection):
    """``timeout`` bounds connecting as a whole; ``read_timeout`` holds from then on."""

    def __init__(self, read_timeout: float, host: str, **settings: Any) -> None:
        super().__init__(host, **settings)
        self._read_timeout = read_timeout

    def connect(self) -> None:
        # A socket's timeout does not cover looking up the name and starts again for each of the
        # host's addresses, of which the mirrors have a dozen.
        outcome: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()

        def attempt() -> None:
            try:
                super(_Connection, self).connect()
            except Exception as error:
                outcome.put(error)
            else:
                outcome.put(None)

        threading.Thread(target=attempt, daemon=True).start()
        try:
            error = outcome.get(timeout=self.timeout)
        except queue.Empty:
            raise TimeoutError(f"no connection within {self.timeout:g} s") from None
        if error is not None:
            raise error
        self.sock.settimeout(self._read_timeout)


class _SecureConnection(_Connection, HTTPSConnection):
    """The same over TLS."""

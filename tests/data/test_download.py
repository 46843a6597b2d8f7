"""A server of this file's own misbehaves in every way; what is left on disk is looked at."""

import gzip
import hashlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from frame_forecast.data import download
from frame_forecast.data.download import fetch, fetch_mnist, fetch_published
from frame_forecast.errors import DataError, OutputError

CONTENT = np.random.default_rng(0).bytes(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
MD5 = hashlib.md5(CONTENT).hexdigest()
HALF = 150_000


class Server(ThreadingHTTPServer):
    """Serves ``files`` by path. Paths may start with a way to misbehave, as in ``/truncate/file``."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = {"/file": CONTENT}
        self.requests: list[tuple[str, str | None]] = []  # path, Range
        self.sent = 0  # bytes of content, counted before they go
        self.released = threading.Event()  # lets stalled answers go

    def url(self, path: str = "/file") -> str:
        return f"http://127.0.0.1:{self.server_address[1]}{path}"


class Handler(BaseHTTPRequestHandler):
    server: Server  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.requests.append((self.path, wanted))
        *ways, name = self.path.strip("/").split("/")
        way = ways[0] if ways else "whole"
        content = self.server.files.get(f"/{name}")
        if content is None:
            self.send_error(404)
        elif way == "corrupt":
            self.answer(200, b"x" + content[1:])
        elif way == "portal":
            self.answer(200, b"<!doctype html>please log in")
        elif way == "endless":
            self.answer(200, content * 20, length=None)
        elif way == "ignore_range" or wanted is None:
            self.answer(200, content, way)
        elif (start := int(wanted.removeprefix("bytes=").removesuffix("-"))) >= len(content):
            self.send_error(416)
        elif way == "wrong_offset":
            self.answer(206, content[start - 7 :], start=start - 7)
        else:
            self.answer(206, content[start:], way, start=start)

    def answer(self, status: int, body: bytes, way: str = "whole", start: int = 0, length: int | None = -1) -> None:
        self.send_response(status)
        if length is not None and way != "no_length":
            self.send_header("Content-Length", str(len(body)))
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{start + len(body) - 1}/{start + len(body)}")
        self.end_headers()
        if way in ("truncate", "stall", "no_length"):
            body = body[:HALF]
        self.server.sent += len(body)
        try:
            self.wfile.write(body)
        except OSError:  # the client has had enough
            return
        if way == "stall":
            self.server.released.wait(10)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.released.set()
        server.shutdown()


@pytest.fixture
def closed() -> str:
    """An address that refuses connections."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{listener.getsockname()[1]}/file"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "file.bin"


def part(path: Path) -> Path:
    return path.with_name("file.bin.part")


def leave_part(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    part(path).write_bytes(content)


def assert_whole_and_alone(path: Path) -> None:
    assert path.read_bytes() == CONTENT
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("check", [{"sha256": SHA256}, {"md5": MD5}, {"md5": MD5, "sha256": SHA256}, {}])
@pytest.mark.parametrize("size", [None, len(CONTENT)])
def test_fetches_a_file(server: Server, path: Path, check: dict[str, str], size: int | None) -> None:
    assert fetch(server.url(), path, size=size, **check) == path
    assert_whole_and_alone(path)
    assert server.requests == [("/file", None)]


@pytest.mark.parametrize(("way", "total"), [("whole", HALF), ("no_length", None)])
def test_progress_goes_from_nothing_to_everything(server: Server, path: Path, way: str, total: int | None) -> None:
    server.files["/file"] = CONTENT[:HALF]
    seen: list[tuple[int, int | None]] = []
    fetch(server.url(f"/{way}/file"), path, progress=lambda *call: seen.append(call))
    assert (seen[0], seen[-1]) == ((0, total), (HALF, total))
    assert len(seen) > 2
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_a_file_that_is_right_is_not_fetched_again(server: Server, path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    fetch(server.url(), path, sha256=SHA256, size=len(CONTENT))
    assert server.requests == []


@pytest.mark.parametrize("content", [b"", CONTENT[:-1], b"x" + CONTENT[1:]], ids=["empty", "short", "wrong"])
def test_a_file_that_is_wrong_is_replaced(server: Server, path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    fetch(server.url(), path, sha256=SHA256)
    assert_whole_and_alone(path)


@pytest.mark.parametrize("way", ["truncate", "stall", "no_length"])
def test_what_arrived_is_kept_and_only_the_rest_is_fetched(server: Server, path: Path, way: str) -> None:
    with pytest.raises(DataError, match="150000 bytes, which are kept"):
        fetch(server.url(f"/{way}/file"), path, sha256=SHA256, size=len(CONTENT), read_timeout=0.3)
    assert not path.exists()
    assert part(path).read_bytes() == CONTENT[:HALF]
    server.requests.clear()
    server.sent = 0

    seen: list[tuple[int, int | None]] = []
    fetch(server.url(), path, sha256=SHA256, progress=lambda *call: seen.append(call))
    assert_whole_and_alone(path)
    assert server.requests == [("/file", f"bytes={HALF}-")]
    assert server.sent == len(CONTENT) - HALF
    assert seen[0] == (HALF, len(CONTENT))


@pytest.mark.parametrize(
    ("way", "left", "size", "ranges"),
    [
        ("ignore_range", CONTENT[:HALF], None, [f"bytes={HALF}-"]),
        ("wrong_offset", CONTENT[:HALF], None, [f"bytes={HALF}-", None]),
        ("whole", CONTENT + b"more", None, ["bytes=300004-", None]),  # the first is answered 416
        ("whole", CONTENT + b"more", len(CONTENT), [None]),
    ],
    ids=["range ignored", "wrong offset", "too long", "longer than the known size"],
)
def test_a_partial_file_that_cannot_be_continued_is_fetched_anew(
    server: Server, path: Path, way: str, left: bytes, size: int | None, ranges: list[str | None]
) -> None:
    leave_part(path, left)
    fetch(server.url(f"/{way}/file"), path, sha256=SHA256, size=size)
    assert_whole_and_alone(path)
    assert [wanted for _, wanted in server.requests] == ranges


def test_a_partial_file_that_lacks_nothing_takes_its_name(server: Server, path: Path) -> None:
    leave_part(path, CONTENT)
    fetch(server.url(), path, sha256=SHA256, size=len(CONTENT))
    assert_whole_and_alone(path)
    assert server.requests == []


@pytest.mark.parametrize("check", [{"sha256": SHA256}, {"md5": MD5}])
def test_wrong_content_is_thrown_away_and_named(server: Server, path: Path, check: dict[str, str]) -> None:
    [(algorithm, expected)] = check.items()
    given = hashlib.new(algorithm, b"x" + CONTENT[1:]).hexdigest()
    with pytest.raises(DataError) as caught:
        fetch(server.url("/corrupt/file"), path, **check)
    assert caught.value.given.endswith(f"/corrupt/file gave {algorithm} {given}")
    assert caught.value.expected == f"{algorithm} {expected}"
    assert str(path) in caught.value.next_step
    assert not path.exists()
    assert not part(path).exists()


def test_a_partial_file_of_other_content_does_no_lasting_harm(server: Server, path: Path) -> None:
    leave_part(path, b"x" * HALF)
    with pytest.raises(DataError, match="sha256"):
        fetch(server.url(), path, sha256=SHA256)
    assert not path.exists()
    fetch(server.url(), path, sha256=SHA256)
    assert_whole_and_alone(path)


def test_a_file_of_another_size_is_refused_before_it_is_fetched(server: Server, path: Path) -> None:
    leave_part(path, CONTENT[:HALF])
    with pytest.raises(DataError, match="offers 28 bytes"):
        fetch(server.url("/portal/file"), path, sha256=SHA256, size=len(CONTENT))
    assert part(path).read_bytes() == CONTENT[:HALF]
    assert not path.exists()


def test_an_endless_answer_is_cut_off(server: Server, path: Path) -> None:
    seen: list[int] = []
    with pytest.raises(DataError, match=f"expected {len(CONTENT)} bytes"):
        fetch(server.url("/endless/file"), path, size=len(CONTENT), progress=lambda done, _: seen.append(done))
    assert seen[-1] < 2 * len(CONTENT)
    assert not path.exists()
    assert not part(path).exists()


@pytest.mark.parametrize(
    ("old", "new", "reason"), [("/file", "/nothing", "HTTP 404 Not Found"), ("http:", "https:", "SSL")]
)
def test_an_address_that_gives_no_file_is_named(server: Server, path: Path, old: str, new: str, reason: str) -> None:
    url = server.url().replace(old, new)
    with pytest.raises(DataError, match=f"{url}: .*{reason}"):
        fetch(url, path, sha256=SHA256)
    assert not path.exists()


def test_refused_connections_are_named(closed: str, path: Path) -> None:
    with pytest.raises(DataError, match=f"{closed}: .*refused"):
        fetch(closed, path, sha256=SHA256)
    assert not path.exists()


def test_a_server_that_does_not_speak_http_is_named(path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            with listener.accept()[0] as connection:
                connection.recv(1000)
                connection.sendall(b"SSH-2.0-OpenSSH\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(DataError, match="SSH"):
            fetch(f"http://127.0.0.1:{listener.getsockname()[1]}/file", path, sha256=SHA256)


def test_a_server_that_connects_and_says_nothing_is_given_the_read_timeout(path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        start = time.monotonic()
        with pytest.raises(DataError, match="timed out"):
            fetch(f"http://127.0.0.1:{listener.getsockname()[1]}/file", path, connect_timeout=5, read_timeout=0.3)
        assert 0.3 <= time.monotonic() - start < 3


def test_connect_timeout_covers_looking_up_the_name(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: released.wait(10))
    start = time.monotonic()
    with pytest.raises(DataError, match=r"no connection within 0\.3 s"):
        fetch("http://nowhere.invalid/file", path, connect_timeout=0.3)
    assert 0.3 <= time.monotonic() - start < 3
    released.set()


def test_a_slow_answer_is_not_held_to_the_connect_timeout(server: Server, path: Path) -> None:
    threading.Timer(0.6, server.released.set).start()
    with pytest.raises(DataError, match="ended after 150000 bytes"):  # not "timed out"
        fetch(server.url("/stall/file"), path, connect_timeout=0.2, read_timeout=5)


def test_mirrors_are_tried_in_order_and_continue_one_another(server: Server, closed: str, path: Path) -> None:
    urls = [closed, server.url("/nothing"), server.url("/truncate/file"), server.url(), server.url("/corrupt/file")]
    fetch(urls, path, sha256=SHA256)
    assert_whole_and_alone(path)
    assert server.requests == [("/nothing", None), ("/truncate/file", None), ("/file", f"bytes={HALF}-")]


def test_each_mirror_that_failed_is_named(server: Server, closed: str, path: Path) -> None:
    with pytest.raises(DataError) as caught:
        fetch([closed, server.url("/nothing"), server.url("/corrupt/file")], path, md5=MD5)
    message = str(caught.value)
    assert closed in message
    assert "HTTP 404" in message
    assert "/corrupt/file gave md5" in message
    assert f"md5 {MD5}" in message


def test_an_exception_from_progress_stops_and_a_later_call_continues(server: Server, path: Path) -> None:
    class Cancelled(Exception):
        pass

    def cancel(done: int, total: int | None) -> None:
        if done:
            raise Cancelled

    with pytest.raises(Cancelled):
        fetch(server.url(), path, sha256=SHA256, progress=cancel)
    assert not path.exists()
    kept = part(path).stat().st_size
    assert 0 < kept < len(CONTENT)
    fetch(server.url(), path, sha256=SHA256)
    assert_whole_and_alone(path)
    assert server.requests[-1] == ("/file", f"bytes={kept}-")


def test_two_that_want_the_same_file_fetch_it_once(server: Server, path: Path) -> None:
    with ThreadPoolExecutor(4) as threads:
        wanted = [threads.submit(fetch, server.url(), path, sha256=SHA256) for _ in range(4)]
    assert [future.result() for future in wanted] == [path] * 4
    assert_whole_and_alone(path)
    assert len(server.requests) == 1


@pytest.mark.parametrize("level", [1, 9])
def test_checksum_of_what_is_packed(server: Server, path: Path, level: int) -> None:
    server.files["/file"] = gzip.compress(CONTENT, level)
    fetch(server.url(), path, md5=MD5, unpacked=True)
    assert gzip.decompress(path.read_bytes()) == CONTENT


@pytest.mark.parametrize(
    "damage", [lambda packed: packed[:-5], lambda packed: CONTENT, lambda packed: packed[:99] + bytes(9) + packed[108:]]
)
def test_damaged_gzip_is_thrown_away(server: Server, path: Path, damage) -> None:
    server.files["/file"] = damage(gzip.compress(CONTENT))
    with pytest.raises(DataError, match=f"md5 {MD5}"):
        fetch(server.url(), path, md5=MD5, unpacked=True)
    assert not path.exists()
    assert not part(path).exists()


def test_a_folder_that_cannot_be_made_is_an_output_error(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="writing"):
        fetch(server.url(), tmp_path / "file" / "below", sha256=SHA256)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")  # noqa: PTH110
def test_a_full_disk_is_an_output_error(server: Server, path: Path) -> None:
    path.parent.mkdir()
    part(path).symlink_to("/dev/full")
    with pytest.raises(OutputError, match="No space left"):
        fetch(server.url(), path, sha256=SHA256)
    assert not path.exists()


def test_mnist_comes_from_the_first_mirror_that_has_it(
    server: Server, closed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for stem in ("train-images", "t10k-images"):
        server.files[f"/{stem}-idx3-ubyte.gz"] = gzip.compress(stem.encode())
        monkeypatch.setitem(download.MNIST_MD5, stem, hashlib.md5(stem.encode()).hexdigest())
    paths = fetch_mnist(tmp_path, mirrors=[closed, server.url("/whole/"), server.url("/corrupt")])
    assert paths == [tmp_path / "train-images-idx3-ubyte.gz", tmp_path / "t10k-images-idx3-ubyte.gz"]
    assert [gzip.decompress(path.read_bytes()) for path in paths] == [b"train-images", b"t10k-images"]
    fetch_mnist(tmp_path, mirrors=[closed])  # there already
    assert len(server.requests) == 2


def test_published_test_set(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="expected 819200096 bytes"):  # not what the server has
        fetch_published(tmp_path, url=server.url())
    monkeypatch.setattr(download, "PUBLISHED_SIZE", len(CONTENT))
    monkeypatch.setattr(download, "PUBLISHED_SHA256", SHA256)
    path = fetch_published(tmp_path, url=server.url())
    assert path == tmp_path / "mnist_test_seq.npy"
    assert path.read_bytes() == CONTENT

"""The server is asked over real sockets; what it gives is compared with the files on disk."""

import functools
import http.client
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from frame_forecast.errors import ConfigError, DataError
from frame_forecast.viewer import Server, serve_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    (folder / "plots").mkdir(parents=True)
    (folder / "report.html").write_bytes(b"<!doctype html><title>page</title>")
    (folder / "report.md").write_bytes("# Größe\n".encode())
    (folder / "plots" / "a b.svg").write_bytes(b"<svg/>")
    (tmp_path / "secret.txt").write_bytes(b"secret")
    (tmp_path / "run-2").mkdir()
    (tmp_path / "run-2" / "secret.txt").write_bytes(b"secret")
    return folder


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    with serve_folder(folder, port=0) as server:
        yield server


def ask(
    server: Server, path: str = "/", method: str = "GET", host: str | None = None
) -> tuple[int, bytes, dict[str, str]]:
    port = int(server.url.rsplit(":", 1)[1].rstrip("/"))
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        # putrequest sends the path as it is: a client that tidied `..` away would hide a hole.
        connection.putrequest(method, path, skip_host=True)
        connection.putheader("Host", host if host is not None else f"127.0.0.1:{port}")
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.read(), dict(answer.getheaders())
    finally:
        connection.close()


def test_root_gives_the_page(server: Server, folder: Path) -> None:
    status, body, headers = ask(server)
    assert status == 200
    assert body == (folder / "report.html").read_bytes()
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("path", "file", "content_type"),
    [
        ("/plots/a%20b.svg", "plots/a b.svg", "image/svg+xml"),
        ("/plots/a%20b.svg?x=1", "plots/a b.svg", "image/svg+xml"),
        ("/report.md", "report.md", "text/plain; charset=utf-8"),
        ("/plots/../report.html", "report.html", "text/html; charset=utf-8"),
    ],
)
def test_files_of_the_folder(server: Server, folder: Path, path: str, file: str, content_type: str) -> None:
    status, body, headers = ask(server, path)
    assert (status, body) == (200, (folder / file).read_bytes())
    assert headers["Content-Type"] == content_type


def test_head_gives_the_length_without_the_body(server: Server, folder: Path) -> None:
    status, body, headers = ask(server, method="HEAD")
    assert (status, body) == (200, b"")
    assert int(headers["Content-Length"]) == (folder / "report.html").stat().st_size


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt",
        "/plots/../../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/..%2frun-2/secret.txt",  # a sibling whose name begins with the folder's
        "//../secret.txt",
        "/plots",
        "/plots/",
        "/absent.html",
        "/report.html/x",
        "/%00",
        "/%ff",
        "/" + "x" * 5000,
    ],
)
def test_nothing_else(server: Server, path: str) -> None:
    status, body, _ = ask(server, path)
    assert status == 404
    assert b"secret" not in body
    assert b"svg" not in body  # no listing


def test_absolute_path_is_taken_inside_the_folder(server: Server, folder: Path) -> None:
    assert ask(server, "//" + str(folder.parent / "secret.txt"))[0] == 404
    assert ask(server, "/%2f" + str(folder.parent / "secret.txt"))[0] == 404


def test_links_lead_nowhere_outside(server: Server, folder: Path) -> None:
    try:
        (folder / "file.txt").symlink_to(folder.parent / "secret.txt")
        (folder / "up").symlink_to(folder.parent)
        (folder / "loop").symlink_to(folder / "loop")
        (folder / "inside.html").symlink_to(folder / "report.html")
    except OSError:
        pytest.skip("this file system or user has no symbolic links")
    assert [ask(server, path)[0] for path in ("/file.txt", "/up/secret.txt", "/loop")] == [404] * 3
    assert ask(server, "/inside.html")[0] == 200


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1:1", "[::1]", "[::1]:8000"])
def test_this_machines_names(server: Server, host: str) -> None:
    assert ask(server, host=host)[0] == 200


@pytest.mark.parametrize(
    "host",
    ["", "evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example", "::1"],
)
def test_other_names_are_refused(server: Server, host: str) -> None:
    status, body, _ = ask(server, host=host)
    assert status == 403
    assert b"page" not in body


@pytest.mark.parametrize("hosts", [b"", b"Host: localhost\r\nHost: evil.example\r\n"], ids=["none", "two"])
def test_one_host_header_is_needed(server: Server, hosts: bytes) -> None:
    port = int(server.url.rsplit(":", 1)[1].rstrip("/"))
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n" + hosts + b"\r\n")
        assert b" 403 " in connection.recv(100)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_other_methods_are_refused(server: Server, method: str) -> None:
    assert ask(server, method=method)[0] == 501


def test_quiet(server: Server, capfd: pytest.CaptureFixture[str]) -> None:
    ask(server)
    ask(server, "/absent")
    assert capfd.readouterr() == ("", "")


@pytest.fixture
def taken() -> Iterator[int]:
    """A port in use, with room for 20 above it."""
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        yield busy.getsockname()[1]


def test_next_port_when_taken(folder: Path, taken: int) -> None:
    if taken > 65535 - 20:
        pytest.skip("the system gave a port at the end of the range")
    with serve_folder(folder, port=taken) as server:
        port = int(server.url.rsplit(":", 1)[1].rstrip("/"))
        assert taken < port <= taken + 20
        assert ask(server)[0] == 200


def test_no_free_port(folder: Path, taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("frame_forecast.viewer.server._NEXT_PORTS", 0)
    with pytest.raises(ConfigError, match=f"{taken} to {taken} taken"):
        serve_folder(folder, port=taken)


def test_closing_frees_the_port_and_may_be_repeated(folder: Path) -> None:
    server = serve_folder(folder, port=0)
    server.close()
    server.close()
    with pytest.raises(ConnectionRefusedError):
        ask(server)


def test_settings_that_cannot_work(folder: Path) -> None:
    with pytest.raises(DataError, match=r"without absent\.html"):
        serve_folder(folder, page="absent.html", port=0)
    with pytest.raises(ConfigError, match="port=65536"):
        serve_folder(folder, port=65536)
    with pytest.raises(ConfigError, match=r"192\.0\.2\.1"):  # an address reserved for examples
        serve_folder(folder, host="192.0.2.1", port=0)


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX systems")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interruption_ends_cleanly(folder: Path, number: signal.Signals) -> None:
    code = (
        "import sys, threading; from pathlib import Path; from frame_forecast.viewer import serve_folder\n"
        "with serve_folder(Path(sys.argv[1]), port=0) as server:\n"
        # Said from a thread, half a second late, when the main thread waits for the signal.
        "    threading.Timer(0.5, lambda: print(server.url, flush=True)).start()\n"
        "    server.serve_until_interrupted()\n"
        "print('closed', 'numpy' in sys.modules)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Tests that run in the background may have inherited signals that are ignored.
        preexec_fn=functools.partial(signal.signal, number, signal.SIG_DFL),
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("http://127.0.0.1:")
        process.send_signal(number)
        output, errors = process.communicate(timeout=20)
    assert (process.returncode, output, errors) == (0, "closed False\n", "")

"""What strangers may send: each is refused with a message, and the server answers the next as if nothing had been."""

import io
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from bad_uploads import bad_uploads
from strangers import FRAMES, JSON, refused

from served import LONG, Served, pack

pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="signals and /proc of Linux"),
    pytest.mark.usefixtures("still_well"),
]


BEGUN = [
    b"POST /api/clips?name=a.npy HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nx",
    b"POST /api/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{",
    b"POST /api/clips?name=a.npy HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    b"GET / HTTP/1.1\r\nHost: loc",
    b"",
]


@pytest.fixture(scope="module", autouse=True)
def standing_still(served: Served) -> Iterator[list[socket.socket]]:
    """Connections on which something was begun and nothing more is sent, while the other tests run."""
    connections = [socket.create_connection(("127.0.0.1", served.port), timeout=LONG) for _ in BEGUN]
    for connection, begun in zip(connections, BEGUN, strict=True):
        connection.sendall(begun)
    assert served.get("/api/about")["models"]  # they hold nobody up
    yield connections
    for connection in connections:
        connection.close()


@pytest.mark.parametrize(("name", "content"), [pytest.param(*one, id=one[0]) for one in bad_uploads()])
def test_bad_uploads(served: Served, name: str, content: bytes) -> None:
    before = set(served.temporary.rglob("*"))
    refused(served.upload(name, content), 400, 413, 422)
    assert set(served.temporary.rglob("*")) <= before


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "..%2f..%2fx.npy", "%00.npy", "a%0d%0ab.npy", "%ff.npy", "%22;x=%22.npy", "x" * 3000]
)
def test_names_that_want_to_be_paths(served: Served, name: str) -> None:
    refused(served.upload(name, b"plain text"), 400, 413, 414, 422)
    file = io.BytesIO()
    np.save(file, np.zeros((3, 1, 8, 8), np.uint8))
    answer = served.upload(name, file.getvalue())
    if answer.status != 201:
        refused(answer, 400, 413, 414, 422)
        return
    assert not set(answer.json["name"]) & set("/\\\0\r\n"), answer
    download = served.ask("GET", f"/api/clips/{answer.json['id']}/file?suffix=.npy")
    assert download.status == 200
    assert not set(download.headers["content-disposition"]) & set("/\\\0\r\n"), download
    assert served.ask("DELETE", f"/api/clips/{answer.json['id']}").status == 204


@pytest.mark.parametrize(
    "path",
    [
        "/../pyproject.toml",
        "/static/../server.py",
        "/static/../../__init__.py",
        "/static/..%2fserver.py",
        "/static/%2e%2e/server.py",
        "/static//etc/passwd",
        "/static/%2fetc%2fpasswd",
        "/static/..\\server.py",
        "/static/%00",
        "/static/%ff",
        "/static/",
        "/static/js",
        "/static/" + "x" * 5000,
        "/api/clips/..",
        "/api/clips/..%2f..%2fetc",
        "/api/clips/%2e%2e/frames",
        "/api/clips/../../../etc/passwd/file?suffix=.npy",
        "/api/jobs/..%2fx",
        "/api/runs/..%2f..",
        "/api/runs/x/plots/..%2f..%2fx.svg",
        "/etc/passwd",
        "//etc/passwd",
    ],
)
def test_no_path_leads_to_a_file(served: Served, path: str) -> None:
    answer = served.ask("GET", path)
    assert answer.status in (400, 404, 414, 422), answer
    for secret in (b"root:", b"import ", b"[project]", b"<svg"):
        assert secret not in answer.body


@pytest.mark.parametrize("suffix", ["/../../x", ".npy/../../x", "..", "", ".exe", ".npy%00", ".pkl"])
def test_suffixes_that_nobody_writes(served: Served, suffix: str) -> None:
    clip = served.post("/api/samples", {"name": "moving_mnist", "number": 1})["id"]
    refused(served.ask("GET", f"/api/clips/{clip}/file?suffix={suffix}"), 400, 404, 422)


def test_what_is_asked_of_a_clip_is_checked(served: Served) -> None:
    clip = served.post("/api/samples", {"name": "moving_mnist", "number": 1})["id"]
    for query in ("start=-1", "start=5&stop=2", "stop=1000", "start=x", "start=1e9", "start=" + "9" * 400):
        refused(served.ask("GET", f"/api/clips/{clip}/frames?{query}"), 400, 416, 422)
    good = {
        "clip": clip,
        "task": "forecast",
        "model": "copy_last",
        "start": 10,
        "horizon": 5,
        "missing": [],
        "holes": [],
    }
    holes = {
        "mask too short": [{"frames": None, "mask": "AAAA"}],
        "no base64": [{"frames": None, "mask": "!!" * 512}],
        "no such frame": [{"frames": [99], "mask": "A" * 683 + "="}],
        "many": [{"frames": [0], "mask": ""}] * 100_000,
    }
    for wrong in [
        {"clip": "absent"},
        {"clip": "../" + clip},
        {"task": "erase"},
        {"model": "absent"},
        {"model": "../../../tmp/x"},
        {"model": str(Path.cwd())},
        {"start": 0},
        {"start": -3},
        {"start": 99},
        {"horizon": 0},
        {"horizon": 10**9},
        {"horizon": 1.5},
        {"missing": [99]},
        {"missing": [-1]},
        {"missing": list(range(20))},
        {"missing": "all"},
        {"missing": [10**30]},
        {"horizon": None},
        *({"task": "recreate", "horizon": None, "holes": hole} for hole in holes.values()),
    ]:
        answer = served.ask("POST", "/api/jobs", json.dumps(good | wrong).encode(), JSON)
        if answer.status == 202:
            state = served.over(answer.json["id"])
            assert state["state"] == "failed", (wrong, state)
            assert set(state["error"]) == {"given", "expected", "next_step"}, (wrong, state)
        else:
            refused(answer, 400, 404, 413, 422)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"clip": "' + b"x" * 100_000 + b'"}', b"1e999"]
)
def test_bodies_that_are_no_job(served: Served, body: bytes) -> None:
    for path in ("/api/jobs", "/api/samples"):
        refused(served.ask("POST", path, body, JSON), 400, 413, 422)


def test_drawings_that_are_no_frames(served: Served) -> None:
    good = pack(np.zeros((3, 1, 8, 8), np.uint8))
    assert served.ask("POST", "/api/clips", good, FRAMES).status == 201
    for wrong in (
        b"",
        b"FFR1",
        good[:-1],
        good + b"\0",
        b"FFR2" + good[4:],
        b"FFR1" + b"\xff" * 4 + good[8:],
        good.replace(b'"uint8"', b'"uint9"'),
        good.replace(b"[3, 1, 8, 8]", b"[3, 1, 8, 9]"),
        good.replace(b"[3, 1, 8, 8]", b"[9e9, 1, 8]"),
        good.replace(b"[3, 1, 8, 8]", b"[3,-1,8,-8]"),
        good.replace(b'"all"', b'"non"'),
    ):
        refused(served.ask("POST", "/api/clips", wrong, FRAMES), 400, 413, 422)


def raw(served: Served, head: str, *bodies: bytes) -> bytes:
    """What comes back for bytes as they are, until the server closes."""
    answer = b""
    with socket.create_connection(("127.0.0.1", served.port), timeout=LONG) as connection:
        try:
            connection.sendall(f"{head}\nConnection: close\n\n".replace("\n", "\r\n").encode())
            for body in bodies:
                connection.sendall(body)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it had enough
        try:
            while part := connection.recv(65536):
                answer += part
        except ConnectionResetError:
            pass
    return answer


def resident(process: int) -> int:
    """Bytes of memory that a process holds."""
    return int((Path("/proc") / str(process) / "statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def test_a_body_of_two_gigabytes_is_refused_before_it_is_read(served: Served) -> None:
    for path in ("/api/clips?name=big.npy", "/api/jobs", "/api/samples"):
        head = f"POST {path} HTTP/1.1\nHost: localhost\nContent-Type: application/json\nContent-Length: {2**31}"
        assert b" 413 " in raw(served, head, b"x" * 100)[:20]


@pytest.mark.parametrize("path", ["/api/clips?name=big.npy", "/api/jobs"])
def test_a_body_without_a_length_is_counted(served: Served, path: str) -> None:
    before = resident(served.process.pid)
    head = f"POST {path} HTTP/1.1\nHost: localhost\nContent-Type: application/json\nTransfer-Encoding: chunked"
    chunk = b"1000000\r\n" + b"x" * 2**24 + b"\r\n"
    answer = raw(served, head, *[chunk] * 128)
    assert b" 413 " in answer[:20] or answer == b"", answer[:200]
    assert resident(served.process.pid) < before + 2**27
    assert sum(path.stat().st_size for path in served.temporary.rglob("*") if path.is_file()) < 2**27


@pytest.mark.parametrize("length", ["-1", "1e3", "0x10", "9" * 30, "5, 6", ""])
def test_lengths_that_are_none(served: Served, length: str) -> None:
    head = f"POST /api/clips?name=a.npy HTTP/1.1\nHost: localhost\nContent-Length: {length}"
    assert raw(served, head, b"x")[9:12] in (b"400", b"413")


def test_connections_that_send_nothing_hold_nobody_up(served: Served) -> None:
    silent = [socket.create_connection(("127.0.0.1", served.port), timeout=LONG) for _ in range(900)]
    try:
        assert served.ask("GET", "/").status == 200
    finally:
        for connection in silent:
            connection.close()


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "evil.example:8000",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "0.0.0.0",
        "::1",
        "a@localhost",
    ],
)
@pytest.mark.parametrize("path", ["/", "/static/js/main.js", "/api/about"])
def test_other_hosts(served: Served, host: str, path: str) -> None:
    answer = served.ask("GET", path, headers={"Host": host})
    assert answer.status in (400, 403)
    assert b"<main" not in answer.body
    assert b"models" not in answer.body


@pytest.mark.parametrize("hosts", ["", "Host: localhost\r\nHost: evil.example\r\n"], ids=["none", "two"])
def test_one_host_header_is_needed(served: Served, hosts: str) -> None:
    head = f"GET /api/about HTTP/1.1\r\n{hosts}Connection: close"
    with socket.create_connection(("127.0.0.1", served.port), timeout=LONG) as connection:
        connection.sendall(head.encode() + b"\r\n\r\n")
        assert connection.recv(1000)[9:12] in (b"400", b"403")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
        {"Origin": "https://localhost:{port}"},
        {"Origin": "http://localhost:{port}.evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
    ids=str,
)
def test_posts_of_other_pages(served: Served, headers: dict[str, str]) -> None:
    headers = {name: text.replace("{port}", str(served.port)) for name, text in headers.items()}
    clip = served.post("/api/samples", {"name": "moving_mnist", "number": 2})["id"]
    job = f'{{"clip": "{clip}", "task": "forecast", "model": "copy_last", "horizon": 1}}'.encode()
    for method, path, body in (
        ("POST", "/api/samples", b'{"name": "moving_mnist", "number": 0}'),
        ("POST", "/api/clips?name=a.npy", b"x"),
        ("POST", "/api/jobs", job),
        ("DELETE", f"/api/clips/{clip}", None),
        ("DELETE", "/api/jobs/absent", None),
    ):
        refused(served.ask(method, path, body, headers | {"Content-Type": "text/plain"}), 403)
    assert served.get(f"/api/clips/{clip}")["id"] == clip


def test_a_form_of_another_page_without_an_origin_is_no_json(served: Served) -> None:
    body = b'{"name": "moving_mnist", "number": 0}'
    assert served.ask("POST", "/api/samples", body, {"Content-Type": "text/plain"}).status in (403, 415, 422)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "OPTIONS", "TRACE", "CONNECT", "BREW"])
def test_other_methods(served: Served, method: str) -> None:
    for path in ("/", "/api/about", "/api/clips", "/static/js/main.js"):
        answer = served.ask(method, path)
        assert answer.status in (400, 404, 405, 501), answer
        assert "access-control-allow-origin" not in answer.headers


def test_every_answer_keeps_strangers_out(served: Served) -> None:
    for path in ("/", "/static/js/main.js", "/api/about", "/api/openapi.json", "/absent", "/api/absent"):
        headers = served.ask("GET", path, headers={"Origin": "http://evil.example"}).headers
        assert "access-control-allow-origin" not in headers
        assert headers["x-content-type-options"] == "nosniff"
    policy = served.ask("GET", "/").headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy


def test_clients_that_stand_still_are_dropped(standing_still: list[socket.socket]) -> None:
    for connection, begun in zip(standing_still, BEGUN, strict=True):
        try:
            answer = connection.recv(10_000)
        except ConnectionResetError:
            continue
        except TimeoutError:
            pytest.fail(f"still open: {begun!r}")
        assert answer == b"" or answer[9:12] in (b"400", b"408"), answer


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_file_of_the_readers_suite(served: Served, tmp_path: Path) -> None:
    harvest = tmp_path / "harvest"
    harvest.mkdir()
    here = Path(__file__).parent
    environment = os.environ | {"HARVEST": str(harvest), "PYTHONPATH": f"{here}:{os.environ.get('PYTHONPATH', '')}"}
    # Tests that put something in the place of what the plugin wraps fail; the files of all are there.
    command = [sys.executable, "-m", "pytest", "-q", "-p", "harvest", str(here.parent / "io")]
    subprocess.run(command, env=environment, cwd=tmp_path, stdout=subprocess.DEVNULL, check=False)
    taken, not_taken = 0, 0
    for path in sorted(harvest.glob("*/*")):
        answer = served.upload(quote(path.name), path.read_bytes())
        if answer.status == 201:
            taken += 1
            assert served.ask("DELETE", f"/api/clips/{answer.json['id']}").status == 204
        else:
            not_taken += 1
            refused(answer, 400, 413, 422)
    assert taken > 100
    assert not_taken > 1000

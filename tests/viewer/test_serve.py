"""The command: what it prints, what it refuses, what it loads, how it ends."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from commands import Command, command_of, refused
from frame_forecast import cli_view, reporting, workflows
from frame_forecast.errors import ConfigError
from frame_forecast.viewer.serve import listen, view
from served import serve


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    monkeypatch.chdir(tmp_path)
    return command_of(monkeypatch, capsys)


def test_the_server_process_loads_neither_torch_nor_numpy() -> None:
    code = (
        "import sys, frame_forecast.viewer.serve, frame_forecast.cli_view\n"
        "print(sorted({'numpy', 'torch', 'matplotlib', 'PIL'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="looks into /proc of Linux")
def test_nor_does_it_while_it_serves(tmp_path: Path) -> None:
    """Nothing that is asked of it brings them in: what is loaded can be read from its memory's map."""
    with serve(tmp_path) as served:
        clip = served.post("/api/samples", {"name": "moving_mnist", "number": 0})["id"]
        assert served.job(clip, "forecast", "copy_last", horizon=1)["state"] == "done"
        assert served.ask("GET", f"/api/clips/{clip}/file?suffix=.gif").status == 200
        assert served.ask("GET", "/api/runs").status == 200
        loaded = Path(f"/proc/{served.process.pid}/maps").read_text()
        children = "".join(Path(f"/proc/{child}/maps").read_text() for child in served.children())
    assert not any(name in loaded for name in ("/numpy/", "/torch/", "/PIL/"))
    assert all(name in children for name in ("/numpy/", "/torch/"))


def test_a_clip_that_cannot_be_read_ends_it(tmp_path: Path) -> None:
    """The worker alone knows what is wrong with a clip; nothing is left of it."""
    (tmp_path / "wrong.npy").write_bytes(b"no frames")
    code = "import sys; from frame_forecast.__main__ import main; sys.argv[0] = 'frame-forecast'; main()"
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", code, "view", "--port", "0", str(tmp_path / "wrong.npy")],
        capture_output=True,
        text=True,
        env=os.environ | {"TMPDIR": str(temporary)},
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"frame-forecast: {tmp_path / 'wrong.npy'}, which begins with b'no frame'")
    assert done.stderr.count("\n") == 1
    assert list(temporary.iterdir()) == []


def test_addresses_and_tokens_that_cannot_be(command: Command) -> None:
    refused(command, "view", "--host", "192.0.2.1", "--port", 0, words=("192.0.2.1", "leave both out"))
    refused(command, "view", "--token", "short", words=("token of 5 characters", "8 at least"))


@pytest.mark.parametrize(
    ("host", "token", "demanded"),
    [
        ("127.0.0.1", None, False),
        ("localhost", None, False),
        ("127.0.0.2", None, False),
        ("0.0.0.0", None, True),
        ("127.0.0.1", "a long token", True),
    ],
)
def test_a_token_is_demanded_where_others_can_come(
    monkeypatch: pytest.MonkeyPatch, host: str, token: str | None, demanded: bool
) -> None:
    """Looked at before the server runs."""
    from frame_forecast.viewer import serve as module

    made: list[module.Studio] = []

    class Server:
        refusal = None

        def __init__(self, studio: module.Studio, ready: object) -> None:
            made.append(studio)
            assert callable(ready)
            ready()

        def run(self, _: object) -> None:
            pass

    monkeypatch.setattr(module, "Server", Server)
    urls: list[str] = []
    view(host=host, port=0, token=token, tell=urls.append)
    settings = made[0].settings
    assert (settings.token is not None, settings.hosts is None) == (demanded, demanded)
    assert ("?token=" in urls[0]) == demanded
    assert "0.0.0.0" not in urls[0]
    if token is not None:
        assert urls[0].endswith("/?token=a%20long%20token")
    elif demanded:
        assert len(str(settings.token)) >= 20
    assert not settings.folder.exists()  # it is over


@pytest.fixture
def taken() -> Iterator[int]:
    """A port in use, with room for 20 above it."""
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        yield busy.getsockname()[1]


def test_next_port_when_taken(taken: int) -> None:
    if taken > 65535 - 20:
        pytest.skip("the system gave a port at the end of the range")
    with listen("127.0.0.1", taken) as listening:
        assert taken < listening.getsockname()[1] <= taken + 20


def test_no_free_port(taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("frame_forecast.viewer.serve._NEXT_PORTS", 0)
    with pytest.raises(ConfigError, match=f"{taken} to {taken} taken"):
        listen("127.0.0.1", taken)


def test_report_and_demo_end_in_the_page(command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    page = tmp_path / "run" / "report.html"
    shown: list[tuple[list[str], int]] = []
    monkeypatch.setattr(workflows, "demo", lambda *_, **__: page)
    monkeypatch.setattr(reporting, "report_on", lambda *_, **__: page)
    monkeypatch.setattr(cli_view, "show", lambda what, port: shown.append((what, port)))
    for words in (("demo",), ("report", "moving_mnist")):
        assert command(*words, "--port", 8123).code == 0
        assert command(*words, "--no-view").code == 0
    assert shown == [([str(page.parent)], 8123)] * 2


def test_what_is_named_is_shown(tmp_path: Path) -> None:
    np.save(tmp_path / "mine.npy", np.zeros((3, 1, 8, 8), np.uint8))
    (tmp_path / "results.json").write_text("[]")
    with serve(tmp_path, str(tmp_path / "mine.npy"), str(tmp_path / "results.json")) as served:
        about = served.get("/api/about")
        assert served.get(f"/api/clips/{about['opened'][0]}")["name"] == "mine.npy"
        assert served.get(f"/api/runs/{about['runs'][0]}")["title"] == tmp_path.name

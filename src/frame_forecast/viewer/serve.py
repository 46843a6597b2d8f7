"""Runs the page's server until it is interrupted: `view`."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import secrets
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from frame_forecast.errors import ConfigError, DataError
from frame_forecast.viewer.app import create_app
from frame_forecast.viewer.guard import STILL_SECONDS
from frame_forecast.viewer.opened import Opened
from frame_forecast.viewer.refusal import Refusal
from frame_forecast.viewer.state import LOOPBACK, Settings, Studio

_NEXT_PORTS = 20  # tried after the one asked for
_MOST_CONNECTIONS = 1000
_IDLE_SECONDS = 15
_GRACE_SECONDS = 2  # for answers that are under way at the end
_LEAST_TOKEN = 8
_TICK_SECONDS = 0.1


def view(
    places: Sequence[str] = (),
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    token: str | None = None,
    device: str = "auto",
    tell: Callable[[str], None],
) -> None:
    """Serves the page until Ctrl-C or SIGTERM; then everything temporary is gone. Call it from the main thread.

    Args:
        places: clips, runs, evaluations and weights to show.
        host: the address to listen on. Unless it is this machine's own, a token is demanded.
        port: the first port to try, then the 20 after it; 0 = any free one.
        token: that the page's address has to have; None = one is made up where one is demanded.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        tell: called with the page's address when it answers.

    Raises:
        ConfigError: the ports are taken, the address is not one of this machine, or a token that is too short.
        DataError: something that was named cannot be shown.
    """
    if token is not None and len(token) < _LEAST_TOKEN:
        raise ConfigError(f"a token of {len(token)} characters", f"{_LEAST_TOKEN} at least", "choose a longer one")
    if token is None and not _is_own(host):
        token = secrets.token_urlsafe(16)
    opened = Opened.of(places)
    with (
        listen(host, port) as listening,
        _ended_in_order(),
        tempfile.TemporaryDirectory(prefix="frame-forecast-", ignore_cleanup_errors=True) as folder,
    ):
        hosts = None if token is not None else LOOPBACK | {_in_url(host).lower()}
        studio = Studio(Settings(Path(folder), device, hosts=hosts, token=token, opened=opened))
        url = _url(host, listening.getsockname()[1], token)
        server = Server(studio, lambda: tell(url))
        server.run([listening])
        if server.refusal is not None:
            raise DataError(**server.refusal.fields)


class Server(uvicorn.Server):
    """Opens what was named on the command line, says when it answers, and lets silent connections go.

    Args:
        studio: what is served.
        ready: called when it answers.

    Attributes:
        refusal: why it ended at once.
    """

    def __init__(self, studio: Studio, ready: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                create_app(studio),
                loop="asyncio",
                http="h11",
                ws="none",
                log_level="critical",  # `Guard` prints what goes wrong
                access_log=False,
                proxy_headers=False,
                server_header=False,
                limit_concurrency=_MOST_CONNECTIONS,
                timeout_keep_alive=_IDLE_SECONDS,
                timeout_graceful_shutdown=_GRACE_SECONDS,
            )
        )
        self._studio, self._ready = studio, ready
        self._silent: dict[Any, tuple[Any, float]] = {}  # by connection: its last request, and when it was over
        self.refusal: Refusal | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begins to answer, then opens what was named."""
        await super().startup(sockets)
        opening = asyncio.create_task(self._studio.open())
        while not opening.done() and not self.should_exit:  # Ctrl-C ends it meanwhile, too
            await asyncio.wait([opening], timeout=_TICK_SECONDS)
        if not opening.done():
            opening.cancel()
        elif isinstance(error := opening.exception(), Refusal):
            self.refusal, self.should_exit = error, True
        else:
            opening.result()
            self._ready()

    async def on_tick(self, counter: int) -> bool:
        """Closes connections on which no whole head of a request comes: uvicorn waits for it for ever."""
        now, silent = time.monotonic(), {}
        for connection in self.server_state.connections:
            assert isinstance(connection, H11Protocol)  # as the config says
            request = connection.cycle
            if request is None or request.response_complete:
                last, since = self._silent.get(connection, (None, now))
                silent[connection] = request, since if last is request else now
        self._silent = silent
        for connection, (_, since) in silent.items():
            if now - since > STILL_SECONDS:
                connection.transport.close()
        return await super().on_tick(counter)


class _ended_in_order:
    """Inside, SIGTERM is KeyboardInterrupt, as Ctrl-C is; either ends the block without an error."""

    def __enter__(self) -> None:
        # uvicorn ends in order at either, and then raises them again.
        self._previous = signal.signal(signal.SIGTERM, signal.default_int_handler)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        signal.signal(signal.SIGTERM, self._previous)
        return kind is KeyboardInterrupt


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens at an address.

    Args:
        host: the address.
        port: the first port to try, then the 20 after it; 0 = any free one.

    Raises:
        ConfigError: the ports are taken, or the address is not one of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    last = port if port == 0 else min(port + _NEXT_PORTS, 65535)
    for candidate in range(port, last + 1):
        # The protocol is named because asyncio looks for it before it sends small answers at once.
        listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        # Elsewhere this option lets a restart reuse the port at once; on Windows it lets two servers share it.
        if sys.platform != "win32":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, candidate))
            listening.listen(2048)
        except OSError as error:
            listening.close()
            if error.errno != errno.EADDRINUSE:
                raise ConfigError(
                    f"{host}:{candidate} ({error.strerror or error})",
                    "an address and port that this machine may listen on",
                    "leave both out for 127.0.0.1:8000",
                ) from error
        else:
            return listening
    raise ConfigError(
        f"{host} with ports {port} to {last} taken", "one free port", "stop a server or choose another port"
    )


def _is_own(host: str) -> bool:
    """Whether an address can be reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _url(host: str, port: int, token: str | None) -> str:
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://{_in_url(shown)}:{port}/" + ("" if token is None else f"?token={quote(token)}")


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host

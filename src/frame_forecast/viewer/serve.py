"""Runs the page's server until it is interrupted: `view`."""

from __future__ import annotations

import errno
import ipaddress
import secrets
import signal
import socket
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import uvicorn

from frame_forecast.errors import ConfigError
from frame_forecast.viewer.app import Settings, create_app

_NEXT_PORTS = 20  # tried after the one asked for
_MOST_CONNECTIONS = 1000
_GRACE_SECONDS = 2  # for answers that are under way at the end
_LEAST_TOKEN = 8


def view(
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    token: str | None = None,
    device: str = "auto",
    tell: Callable[[str], None],
) -> None:
    """Serves the page until Ctrl-C or SIGTERM; then everything temporary is gone. Call it from the main thread.

    Args:
        host: the address to listen on. Unless it is this machine's own, a token is demanded.
        port: the first port to try, then the 20 after it; 0 = any free one.
        token: that the page's address has to have; None = one is made up where one is demanded.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        tell: called with the page's address when it answers.

    Raises:
        ConfigError: the ports are taken, or the address is not one of this machine.
    """
    if token is not None and len(token) < _LEAST_TOKEN:
        raise ConfigError(f"a token of {len(token)} characters", f"{_LEAST_TOKEN} at least", "choose a longer one")
    if token is None and not _is_own(host):
        token = secrets.token_urlsafe(16)
    with (
        listen(host, port) as listening,
        _ended_in_order(),
        tempfile.TemporaryDirectory(prefix="frame-forecast-", ignore_cleanup_errors=True) as folder,
    ):
        settings = Settings(Path(folder), device=device)
        config = uvicorn.Config(
            create_app(settings),
            loop="asyncio",
            http="h11",
            ws="none",
            log_level="error",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            limit_concurrency=_MOST_CONNECTIONS,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
        url = _url(host, listening.getsockname()[1], token)
        server = _Server(config, lambda: tell(url))
        server.run([listening])


class _Server(uvicorn.Server):
    """Says when it answers.

    Args:
        config: of the server.
        ready: called then.
    """

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()


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
    name = f"[{shown}]" if ":" in shown else shown
    return f"http://{name}:{port}/" + ("" if token is None else f"?token={token}")

"""Serves the files of one folder to this machine's browser, and nothing else."""

from __future__ import annotations

import errno
import logging
import mimetypes
import os
import shutil
import signal
import socket
import socketserver
import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO
from urllib.parse import unquote, urlsplit

from frame_forecast.errors import ConfigError, DataError

_LOG = logging.getLogger(__name__)
_NEXT_PORTS = 20  # tried after the one asked for
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
# What a run folder holds. Not left to the machine's own table, which may lack or bend any of them.
_CONTENT_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".md": "text/plain; charset=utf-8",  # browsers download text/markdown
    ".csv": "text/csv; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".gif": "image/gif",
}


class _Handler(BaseHTTPRequestHandler):
    server: _FolderServer  # pyright: ignore[reportIncompatibleVariableOverride]
    timeout = 30  # seconds until a silent client is dropped

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def version_string(self) -> str:
        return "frame-forecast"

    def log_message(self, format: str, *args: Any) -> None:
        _LOG.debug(format, *args)

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        super().end_headers()

    def _answer(self, body: bool) -> None:
        # A page elsewhere can point its own name at this machine (DNS rebinding) and would then
        # read what is served here; its requests carry that name.
        hosts = self.headers.get_all("Host", [])
        if len(hosts) != 1 or _without_port(hosts[0]) not in self.server.hosts:
            self.send_error(HTTPStatus.FORBIDDEN, "Not the name of this server")
            return
        found = self._open()
        if found is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        with found:
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", _content_type(found.name))
            self.send_header("Content-Length", str(os.fstat(found.fileno()).st_size))
            self.end_headers()
            if body:
                shutil.copyfileobj(found, self.wfile)

    def _open(self) -> BinaryIO | None:
        """The file that the request names; None unless it is one and really lies in the folder."""
        try:
            name = unquote(urlsplit(self.path).path, errors="strict").lstrip("/") or self.server.page
            path = Path(os.path.realpath(self.server.folder / name, strict=True))
            if not path.is_relative_to(self.server.folder) or not path.is_file():
                return None
            return path.open("rb")
        except (OSError, ValueError):  # ValueError: not UTF-8, a NUL, a malformed address
            return None


class _FolderServer(ThreadingHTTPServer):
    # Elsewhere this option lets a restart reuse the port at once; on Windows it lets two servers share it.
    allow_reuse_address = sys.platform != "win32"

    def __init__(self, folder: Path, page: str, host: str, port: int) -> None:
        self.folder, self.page = folder, page
        self.hosts = _LOOPBACK | {_in_url(host).lower()}
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Handler)

    def server_bind(self) -> None:
        # HTTPServer's own asks DNS for this machine's full name, which takes seconds where there is no DNS.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # pyright: ignore[reportAttributeAccessIssue]

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):  # a closed tab is no error
            super().handle_error(request, client_address)


class Server:
    """A folder being served, from a thread, until it is closed. Made by `serve_folder`.

    Args:
        httpd: bound to its port.
        host: where it listens, as given.
    """

    def __init__(self, httpd: ThreadingHTTPServer, host: str) -> None:
        self._httpd = httpd
        shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
        self.url = f"http://{_in_url(shown)}:{httpd.server_port}/"
        self._thread = threading.Thread(
            target=httpd.serve_forever, kwargs={"poll_interval": 0.1}, name="viewer", daemon=True
        )
        self._thread.start()

    def serve_until_interrupted(self) -> None:
        """Waits for Ctrl-C or SIGTERM, then closes. Call it from the main thread."""
        previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            while self._thread.is_alive():
                self._thread.join(0.5)  # without a limit Windows would not see Ctrl-C
        except KeyboardInterrupt:
            pass
        finally:
            signal.signal(signal.SIGTERM, previous)
            self.close()

    def close(self) -> None:
        """Stops serving and frees the port; nothing happens the second time."""
        self._httpd.shutdown()
        self._httpd.server_close()
        self._thread.join()

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def serve_folder(folder: Path, page: str = "report.html", host: str = "127.0.0.1", port: int = 8000) -> Server:
    """Serves a folder from a thread of this process.

    Only files of the folder and its subfolders are given, for GET and HEAD, and only to
    requests addressed to this machine by ``localhost``, ``127.0.0.1``, ``[::1]`` or ``host``.

    Args:
        folder: what to serve.
        page: the file that ``/`` gives, inside the folder.
        host: the address to listen on.
        port: the first port to try, then the 20 after it; 0 = any free one.

    Returns:
        The server, already answering at its ``url``.

    Raises:
        DataError: the folder has no such page.
        ConfigError: the ports are taken, or the address is not one of this machine.
    """
    if not (folder / page).is_file():
        raise DataError(f"{folder} without {page}", f"a folder with {page}", "make a report there first")
    if not 0 <= port <= 65535:
        raise ConfigError(f"port={port}", "a port from 0 to 65535", "leave it out for 8000")
    last = port if port == 0 else min(port + _NEXT_PORTS, 65535)
    for candidate in range(port, last + 1):
        try:
            return Server(_FolderServer(folder.resolve(), page, host, candidate), host)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise ConfigError(
                    f"{host}:{candidate} ({error.strerror or error})",
                    "an address and port that this machine may listen on",
                    "leave both out for 127.0.0.1:8000",
                ) from error
    raise ConfigError(
        f"{host} with ports {port} to {last} taken", "one free port", "stop a server or choose another port"
    )


def _content_type(name: str) -> str:
    suffix = Path(name).suffix.lower()
    return _CONTENT_TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _without_port(host: str) -> str:
    """``Name:8000`` to ``name``; an IPv6 address keeps its brackets."""
    name, colon, port = host.rpartition(":")
    return (name if colon and not port.endswith("]") else host).lower()

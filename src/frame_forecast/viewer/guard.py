"""Who is answered, and for how long: `Guard`."""

from __future__ import annotations

import hashlib
import hmac
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from urllib.parse import parse_qs, urlsplit

import anyio
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, cookie_parser
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from frame_forecast.viewer.refusal import Refusal, fault

STILL_SECONDS = 20.0  # without a byte of a body
_USUAL_BYTES = 2**22  # of a body, but of a file
_BODY_SECONDS = 600.0  # for a whole body
_SEND_SECONDS = 60.0  # without a byte being taken
_DRAIN_SECONDS = 2.0  # of a body that is refused: who still sends it would not read why
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Guard:
    """Refuses what browsers send for other pages' sake, whoever has no token where one is demanded, and whoever is too
    slow; adds headers that keep the page to itself.

    Args:
        app: what is guarded.
        hosts: names by which this server may be called; None = any, which takes a token.
        token: that is demanded; None = none is.
        most: bytes of a body, by path. FastAPI can count them too, but does not say what was expected.
    """

    def __init__(
        self,
        app: ASGIApp,
        hosts: frozenset[str] | None,
        token: str | None,
        most: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        self._app, self._hosts, self._token, self._most = app, hosts, token, most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send, self._most.get(scope["path"], _USUAL_BYTES))
        try:
            self._check_host(scope)
            _check_origin(scope)
            exchange.cookie = self._check_token(scope)
            exchange.check_length()
            app = self._app
            if exchange.cookie is not None and scope["method"] == "GET" and scope["path"] == "/":
                app = _without_token(scope, self._app)
            await app(scope, exchange.receive, exchange.send)
        except Refusal as refusal:
            await refusal.response()(scope, exchange.receive, exchange.send)
        except (_Stopped, ClientDisconnect):
            return
        except Exception as error:
            traceback.print_exception(error)  # for whoever runs the server
            if not exchange.answering:
                await fault(error).response()(scope, exchange.receive, exchange.send)

    def _check_host(self, scope: Scope) -> None:
        """A page elsewhere can point its own name at this machine (DNS rebinding) and would then read what is served
        here; its requests carry that name."""
        hosts = Headers(scope=scope).getlist("host")
        if len(hosts) != 1 or (self._hosts is not None and _without_port(hosts[0]) not in self._hosts):
            raise Refusal(
                403,
                f"a request to {' and '.join(hosts)[:200] or 'no host'}",
                "one by the name of this server" if self._hosts is None else " or ".join(sorted(self._hosts)),
                "open the address that the server printed",
            )

    def _check_token(self, scope: Scope) -> str | None:
        """The cookie to set, where the token was in the address."""
        if self._token is None:
            return None
        headers = Headers(scope=scope)
        name = f"frame-forecast-{_digest('name', self._token)[:8]}"  # browsers share cookies among a host's ports
        asked = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        given = (
            (asked, self._token),
            (headers.get("authorization", "").removeprefix("Bearer "), self._token),
            (cookie_parser(headers.get("cookie", "")).get(name, ""), _digest("cookie", self._token)),
        )
        if not any(hmac.compare_digest(one.encode(), right.encode()) for one, right in given):
            raise Refusal(401, "a request without the token", "it, as ?token= in the address", "see the terminal")
        return f"{name}={_digest('cookie', self._token)}; HttpOnly; SameSite=Strict; Path=/" if asked else None


class BodyRefused(HTTPException):
    """A `Refusal` while a body is read, of a kind that FastAPI lets pass.

    Args:
        refusal: why.
    """

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.status)
        self.refusal = refusal


class _Stopped(Exception):
    """Nobody takes the answer."""


@dataclass
class _Exchange:
    """A request and its answer.

    Args:
        scope, inner_receive, inner_send: of ASGI.
        most: bytes of the request's body.
        cookie: to set.
        answering: the answer has begun.
    """

    scope: Scope
    inner_receive: Receive
    inner_send: Send
    most: int
    cookie: str | None = None
    answering: bool = False
    began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        headers = Headers(scope=self.scope)
        self._whole = "transfer-encoding" not in headers and headers.get("content-length", "0") == "0"
        self._stands = "expect" in headers  # nothing comes of a body that nobody asked for
        self._status = self._bytes = 0

    def check_length(self) -> None:
        """Raises Refusal for a body that is said to be too long."""
        length = Headers(scope=self.scope).get("content-length", "0")
        if not length.isdecimal() or int(length) > self.most:
            raise self._too_long(f"{length[:30]} bytes")

    def _too_long(self, found: str) -> Refusal:
        return Refusal(413, f"a body of {found}", f"{self.most} bytes at most", "send less, or a smaller file")

    async def receive(self) -> Message:
        """A part of the body, which may not stand still."""
        if self._whole:
            return await self.inner_receive()
        left = min(STILL_SECONDS, self.began + _BODY_SECONDS - time.monotonic())
        with anyio.move_on_after(left):
            message = await self.inner_receive()
            self._stands = False
            self._whole = message["type"] != "http.request" or not message.get("more_body", False)
            self._bytes += len(message.get("body", b""))
            if self._bytes > self.most:
                raise BodyRefused(self._too_long(f"{self._bytes} bytes and more"))
            return message
        self._stands = True
        raise BodyRefused(
            Refusal(
                408,
                f"a body of which nothing came for {STILL_SECONDS:.0f} s, or that took {_BODY_SECONDS:.0f} s",
                "one that goes on",
                "send it again",
            )
        )

    async def send(self, message: Message) -> None:
        """A part of the answer, which somebody must take."""
        if message["type"] == "http.response.start":
            self.answering, self._status = True, message["status"]
            self._add_headers(MutableHeaders(raw=message["headers"]))
        elif not (self._whole or self._stands or message.get("more_body") or self._status < 400):
            await self._send({**message, "more_body": True})
            await self._drain()
            message = {"type": "http.response.body", "body": b""}
        await self._send(message)

    async def _send(self, message: Message) -> None:
        with anyio.move_on_after(_SEND_SECONDS):
            await self.inner_send(message)
            return
        raise _Stopped

    async def _drain(self) -> None:
        with anyio.move_on_after(_DRAIN_SECONDS):
            while not self._whole:
                message = await self.inner_receive()
                self._whole = message["type"] != "http.request" or not message.get("more_body", False)

    def _add_headers(self, headers: MutableHeaders) -> None:
        for name, value in _HEADERS.items():
            headers.setdefault(name, value)
        static = self.scope["path"].startswith("/static/")
        headers.setdefault("Cache-Control", "no-cache" if static else "no-store")  # the former asks by ETag
        if not self._whole:  # what may still come is no request
            headers["Connection"] = "close"
        if self.cookie is not None:
            headers.append("Set-Cookie", self.cookie)


def _check_origin(scope: Scope) -> None:
    """Browsers say for which page they ask; other clients do not."""
    headers = Headers(scope=scope)
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    if origin is not None and urlsplit(origin).netloc.lower() != headers["host"].lower():
        raise Refusal(403, f"a request from {origin[:200]}", "one from this server's page", "open that")
    opened = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    if site == "cross-site" and not (opened and scope["method"] == "GET" and scope["path"] == "/"):
        raise Refusal(403, "a request from another site", "one from this server's page", "open that")


def _without_token(scope: Scope, page: ASGIApp) -> ASGIApp:
    """The way to the page without the token, which is not to stay in the address bar and among bookmarks. Browsers that
    come by another site's link would not bring the cookie there, and get the page as it is."""
    by_link = Headers(scope=scope).get("sec-fetch-site") == "cross-site"
    return page if by_link else RedirectResponse("/", 303)


def _without_port(host: str) -> str:
    """``Name:8000`` to ``name``; an IPv6 address keeps its brackets."""
    name, colon, port = host.rpartition(":")
    return (name if colon and not port.endswith("]") else host).lower()


def _digest(use: str, token: str) -> str:
    """Letters and digits for one use of a token, which may have others."""
    return hmac.new(token.encode(), use.encode(), hashlib.sha256).hexdigest()

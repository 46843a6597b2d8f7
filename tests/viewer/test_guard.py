"""Who is answered: asked of a small application behind the guard, by a client in this process."""

import asyncio
from collections.abc import Callable

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message

from frame_forecast.viewer import guard
from frame_forecast.viewer.guard import Guard
from frame_forecast.viewer.state import LOOPBACK

TOKEN = "a token & more"


async def page(request: Request) -> Response:
    await request.body()
    return PlainTextResponse("secret")


PATHS = ("/", "/api/x", "/static/x.js")
APP = Starlette(routes=[Route(path, page, methods=["GET", "POST", "DELETE"]) for path in PATHS])
OWN, FREE = Guard(APP, LOOPBACK, None), Guard(APP, None, TOKEN)


def ask(app: ASGIApp, path: str = "/api/x", method: str = "GET", host: str = "localhost:8000", **more: str) -> Response:
    """The answer; ``more`` are headers."""

    async def asked() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8000") as client:
            headers = {name.replace("_", "-"): text for name, text in more.items()}
            return await client.request(method, path, headers={"Host": host} | headers)

    return asyncio.run(asked())  # pyright: ignore[reportReturnType]


def refused(answer: httpx.Response | Response, status: int) -> None:
    assert answer.status_code == status
    assert isinstance(answer, httpx.Response)
    assert set(answer.json()) == {"given", "expected", "next_step"}
    assert "secret" not in answer.text


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1:1", "[::1]", "[::1]:8000"])
def test_this_machines_names(host: str) -> None:
    assert ask(OWN, host=host).status_code == 200


@pytest.mark.parametrize(
    "host", ["", "evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example", "::1", "8000"]
)
@pytest.mark.parametrize("path", PATHS)
def test_other_names_are_refused(host: str, path: str) -> None:
    refused(ask(OWN, path, host=host), 403)


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_the_pages_own_requests(method: str) -> None:
    own = {"origin": "http://localhost:8000", "sec_fetch_site": "same-origin"}
    assert ask(OWN, method=method, **own).status_code == 200
    assert ask(OWN, method=method).status_code == 200  # no browser


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "",
        "http://evil.example",
        "http://localhost",
        "http://localhost:3000",
        "http://127.0.0.1:8000",
        "http://localhost:8000.evil.example",
        "http://localhost:8000@evil.example",
        "localhost:8000",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_other_pages_requests_are_refused(method: str, origin: str) -> None:
    refused(ask(OWN, method=method, origin=origin), 403)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_requests_from_other_sites_are_refused(method: str) -> None:
    refused(ask(OWN, method=method, sec_fetch_site="cross-site"), 403)
    refused(ask(OWN, "/", method=method, sec_fetch_site="cross-site"), 403)


def test_a_link_elsewhere_may_open_the_page_but_not_in_a_frame() -> None:
    link = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"}
    assert ask(OWN, "/", sec_fetch_dest="document", **link).status_code == 200
    refused(ask(OWN, "/", sec_fetch_dest="iframe", **link), 403)
    refused(ask(OWN, "/api/x", sec_fetch_dest="document", **link), 403)
    refused(ask(OWN, "/", "POST", sec_fetch_dest="document", **link), 403)


def test_headers_keep_the_page_to_itself() -> None:
    for path, kept in (("/", "no-store"), ("/api/x", "no-store"), ("/static/x.js", "no-cache")):
        headers = ask(OWN, path).headers
        assert headers["cache-control"] == kept
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "default-src 'self'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
    assert "default-src 'self'" in ask(OWN, host="evil.example").headers["content-security-policy"]


def test_a_token_is_demanded_of_every_request() -> None:
    for path in PATHS:
        refused(ask(FREE, path), 401)
        refused(ask(FREE, f"{path}?token=another"), 401)
        refused(ask(FREE, f"{path}?token="), 401)
        refused(ask(FREE, path, cookie="frame-forecast=x", authorization="Bearer x"), 401)
        refused(ask(FREE, path, authorization="Bearer "), 401)
        refused(ask(FREE, path, cookie="a/b=1; =; frame-forecast-\x01=x; ;;"), 401)
        refused(ask(FREE, path, authorization=f"Bearer {TOKEN[:-1]}"), 401)


def test_a_token_in_the_address_becomes_a_cookie() -> None:
    answer = ask(FREE, "/?token=a%20token%20%26%20more", host="192.0.2.1:8000")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie, *settings = answer.headers["set-cookie"].split("; ")
    assert "token" not in cookie
    assert settings == ["HttpOnly", "SameSite=Strict", "Path=/"]
    answer = ask(FREE, host="192.0.2.1:8000", cookie=f"other=1; {cookie}")
    assert (answer.status_code, "set-cookie" in answer.headers) == (200, False)
    assert ask(FREE, authorization=f"Bearer {TOKEN}").status_code == 200
    refused(ask(FREE, cookie=cookie, origin="http://evil.example"), 403)
    link = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}
    answer = ask(FREE, "/?token=a%20token%20%26%20more", **link)  # it would not bring the cookie to another address
    assert (answer.status_code, "set-cookie" in answer.headers) == (200, True)
    assert ask(FREE, "/api/x?token=a%20token%20%26%20more").status_code == 200


def test_the_token_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []
    monkeypatch.setattr(guard.hmac, "compare_digest", lambda a, b: compared.append((a, b)))
    refused(ask(FREE, "/?token=guess"), 401)
    assert (b"guess", TOKEN.encode()) in compared


def test_a_fault_is_printed_and_said_without_its_words(capsys: pytest.CaptureFixture[str]) -> None:
    async def wrong(*_: object) -> None:
        raise ZeroDivisionError("a fault")

    answer = ask(Guard(wrong, LOOPBACK, None))
    refused(answer, 500)
    assert "ZeroDivisionError: a fault" in capsys.readouterr().err
    assert isinstance(answer, httpx.Response)
    assert "a fault" not in answer.text


def exchange(messages: Callable[[], list[Message | None]], monkeypatch: pytest.MonkeyPatch) -> list[Message]:
    """What is sent to a client that sends these messages of a body, None being silence."""
    for name in ("STILL_SECONDS", "_DRAIN_SECONDS", "_SEND_SECONDS"):
        monkeypatch.setattr(guard, name, 0.05)
    coming, sent = messages(), list[Message]()

    async def receive() -> Message:
        message = coming.pop(0) if coming else None
        if message is None:
            await asyncio.Event().wait()
        assert message is not None
        return message

    async def send(message: Message) -> None:
        sent.append(message)
        if message.get("body") == b"secret" and "stuck" in coming:
            await asyncio.Event().wait()

    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/api/x",
        "raw_path": b"/api/x",
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", b"localhost"), (b"transfer-encoding", b"chunked")],
    }
    asyncio.run(OWN(scope, receive, send))
    return sent


PART = {"type": "http.request", "body": b"x", "more_body": True}
LAST = {"type": "http.request", "body": b"", "more_body": False}


def test_a_body_that_goes_on_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = exchange(lambda: [PART, PART, LAST], monkeypatch)
    assert [message.get("status", message.get("body")) for message in sent] == [200, b"secret"]


def test_a_body_that_stands_still_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = exchange(lambda: [PART, None], monkeypatch)
    assert sent[0]["status"] == 408
    assert (b"connection", b"close") in sent[0]["headers"]


def test_a_body_that_is_too_long_is_dropped_as_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "_USUAL_BYTES", 2)
    sent = exchange(lambda: [PART, PART, PART, None], monkeypatch)
    assert sent[0]["status"] == 413
    assert exchange(lambda: [PART, PART, LAST], monkeypatch)[0]["status"] == 200


def test_a_body_that_is_said_to_be_too_long_is_not_read() -> None:
    refused(ask(OWN, method="POST", content_length=str(2**31)), 413)


def test_who_is_refused_while_sending_is_told_before_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer is sent, then the body is read for a while: whoever sends without reading would get an error of the
    connection instead."""
    monkeypatch.setattr(OWN, "_hosts", frozenset())
    rest: list[Message | None] = [PART, PART, LAST]
    sent = exchange(lambda: rest, monkeypatch)
    assert [message.get("status") for message in sent] == [403, None, None]
    assert [message.get("more_body", False) for message in sent[1:]] == [True, False]
    assert b"given" in sent[1]["body"]
    assert rest == []
    endless: list[Message | None] = [PART] * 100 + [None]
    sent = exchange(lambda: endless, monkeypatch)
    assert sent[-1] == {"type": "http.response.body", "body": b""}


def test_an_answer_that_nobody_takes_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = exchange(lambda: [LAST, "stuck"], monkeypatch)  # pyright: ignore[reportArgumentType]
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]

"""Steps that tests of the page share."""

import base64
import io
import re
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import ConsoleMessage, Locator, Page, Request, Response, ViewportSize, expect

from frame_forecast.clip import Clip
from frame_forecast.io.clips import read

DESKTOP, PHONE = ViewportSize(width=1440, height=900), ViewportSize(width=390, height=844)


def watch(page: Page, own: str, faults: list[str]) -> None:
    """Notes errors of the page, refusals by the server, and requests to any but it."""

    def said(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            faults.append(f"{message.type}: {message.text} ({message.location})")

    def asked(request: Request) -> None:
        if not request.url.startswith((own, "blob:" + own, "data:")):
            faults.append(f"request to {request.url}")

    def answered(response: Response) -> None:
        if response.status >= 400:
            faults.append(f"{response.status} for {response.request.method} {response.url}")

    page.on("console", said)
    page.on("pageerror", lambda error: faults.append(f"error: {error}"))
    page.on("request", asked)
    page.on("response", answered)


def ready(page: Page, place: str) -> Locator:
    """A place of the page, once it shows all its pictures."""
    section = page.locator(f"#{place}")
    expect(section.locator(".panel canvas").first).to_be_visible()
    expect(section.locator(".panel-note.waiting:visible")).to_have_count(0)
    if place == "watch":
        expect(section.get_by_test_id("panel-prediction")).to_be_visible()
        expect(section.locator(".panel-note.waiting:visible")).to_have_count(0)
    return section


def go(page: Page, place: str) -> Locator:
    """Goes to a place by its link, as with a mouse."""
    page.get_by_test_id(f"place-{place}").click()
    section = page.locator(f"#{place}")
    expect(section).to_be_visible()
    return section


def run(section: Locator) -> None:
    """Runs what is set, and waits for its result."""
    section.get_by_test_id("run").click()
    done(section)


def done(section: Locator) -> None:
    """Waits for a result and its pictures."""
    expect(section.get_by_test_id("result")).to_be_visible()
    expect(section.get_by_test_id("run")).to_be_enabled()
    expect(section.get_by_test_id("cancel")).to_be_hidden()
    expect(section.locator(".panel-note.waiting:visible")).to_have_count(0)


def frame_of(section: Locator) -> int:
    """The number of the frame that is shown."""
    found = re.match(r"\d+", section.get_by_test_id("frame-number").inner_text())
    assert found
    return int(found[0])


def shows(section: Locator, frame: int) -> None:
    """Waits until a frame is shown."""
    expect(section.get_by_test_id("player")).to_have_attribute("data-frame", str(frame))


def drag(target: Locator, *points: tuple[float, float]) -> None:
    """Presses the mouse on the first point, moves it over the others and lets go; points are shares of the size."""
    target.scroll_into_view_if_needed()
    box = target.bounding_box()
    assert box is not None
    mouse = target.page.mouse
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    mouse.move(*places[0])
    mouse.down()
    for place in places[1:]:
        mouse.move(*place, steps=5)
    mouse.up()


def pictures(section: Locator) -> dict[str, np.ndarray]:
    """What the canvas of each panel shows, ``(H, W, 4)`` at its own size, by test id."""
    found = {}
    for panel in section.locator(".panel").all():
        url = panel.locator("canvas").evaluate("(canvas) => canvas.toDataURL()")
        name = panel.get_attribute("data-testid")
        assert name
        found[name] = np.array(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))))
    return found


def decoded(section: Locator, suffix: str, folder: Path) -> Clip:
    """Downloads the result and reads it."""
    with section.page.expect_download() as started:
        section.get_by_test_id(f"download-{suffix[1:]}").click()
    download = started.value
    assert download.suggested_filename.endswith(suffix)
    path = folder / download.suggested_filename
    download.save_as(path)
    return read(path)

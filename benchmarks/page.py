"""How long the page of ``frame-forecast view`` lets people wait, in Chromium, and what it bears from many at once.

Needs ``chromium``, which ``./run_tests.sh --browser`` installs, and Linux::

    python benchmarks/page.py --out benchmarks/results/page.csv
"""

import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from playwright.sync_api import Browser, Page, sync_playwright

from common import record

MODEL = "masked_lstm_small.moving_mnist"
PARTS = ["first picture", "scrubbing", "click to picture", "clients"]
_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]


class Speaker:
    """Somebody who speaks the page's API, on one connection.

    Args:
        port: of the server.
    """

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)

    def ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """What comes back for a request; any other answer than success is a RuntimeError."""
        try:
            self._connection.request(method, path, body, {"Content-Type": "application/json"})
            answer = self._connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            raise
        if answer.status >= 400:
            raise RuntimeError(f"{method} {path}: {answer.status} {content[:500]!r}")
        return content

    def tell(self, path: str, what: dict[str, object]) -> Any:
        """The JSON that comes back for JSON."""
        return json.loads(self.ask("POST", path, json.dumps(what).encode()))

    def sample(self, number: int) -> str:
        """A test clip of Moving MNIST."""
        return self.tell("/api/samples", {"name": "moving_mnist", "number": number})["id"]

    def forecast(self, clip: str) -> str:
        """The clip with 10 frames that were forecast from 10, once they are there."""
        job = self.tell("/api/jobs", {"clip": clip, "task": "forecast", "model": MODEL, "start": 10, "horizon": 10})[
            "id"
        ]
        *_, last = re.findall(rb"data: (.*)", self.ask("GET", f"/api/jobs/{job}/events"))
        state = json.loads(last)
        if state["state"] != "done":
            raise RuntimeError(f"a forecast: {state}")
        return state["result"]["clip"]["id"]

    def files(self) -> list[str]:
        """Paths of all files that the page loads."""
        found = re.findall(r'(?:href|src)="(/static/[^"]+)"', self.ask("GET", "/").decode())
        for path in found:  # it grows
            if path.endswith(".js"):
                names = re.findall(r'from "\./([^"]+)"', self.ask("GET", path).decode())
                found += [one for name in names if (one := f"{path.rpartition('/')[0]}/{name}") not in found]
        return ["/", *found]


@dataclass(frozen=True)
class Server:
    """A running ``frame-forecast view``: its port, and the process of the server."""

    port: int
    process: int

    def warm(self) -> None:
        """Waits until the worker has loaded all that a forecast needs."""
        speaker = Speaker(self.port)
        for number in range(5):
            speaker.forecast(speaker.sample(number))

    def resident(self) -> dict[str, float]:
        """MiB of memory that the server holds, and its worker."""
        list_children = ["ps", "-o", "pid=", "--ppid", str(self.process)]
        children = subprocess.run(list_children, capture_output=True, text=True, check=True).stdout.split()
        return {"server": _resident(self.process), "worker": max(_resident(int(child)) for child in children)}


def _resident(process: int) -> float:
    status = Path(f"/proc/{process}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else 0.0


@contextmanager
def serve(*arguments: str) -> Iterator[Server]:
    """Starts the command on a free port; ends it afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log.txt"
        command = [sys.executable, "-m", "frame_forecast", "view", "--port", "0", *arguments]
        with log.open("wb") as file:
            process = subprocess.Popen(
                command, stdout=file, stderr=subprocess.STDOUT, env=os.environ | {"PYTHONUNBUFFERED": "1"}
            )
        try:
            while not (found := re.search(r"http://[^\s]+:(\d+)/", log.read_text())):
                if process.poll() is not None:
                    raise RuntimeError(f"{' '.join(command)}: {log.read_text()}")
                time.sleep(0.02)
            yield Server(int(found[1]), process.pid)
        finally:
            process.terminate()
            process.wait()


@contextmanager
def chromium() -> Iterator[Browser]:
    """Headless, Debian's."""
    path = shutil.which("chromium")
    if path is None:
        raise typer.BadParameter("no chromium; on Debian: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_FLAGS)
        yield browser
        browser.close()


def row(what: str, samples: list[float], unit: str, aim: str, load: float) -> dict[str, object]:
    """Columns of one measure; nine in ten are as good as ``nine_in_ten`` or better."""
    worst = min if aim.startswith("at least") else max
    return {
        "what": what,
        "count": len(samples),
        "median": round(float(np.median(samples)), 1),
        "nine_in_ten": round(float(np.quantile(samples, 0.1 if worst is min else 0.9)), 1),
        "worst": round(float(worst(samples)), 1),
        "unit": unit,
        "aim": aim,
        "cores_used": len(os.sched_getaffinity(0)),
        "load_average_before": round(load, 1),
    }


_PICTURES = """
// Drawings of the player since a picture was last waited for: when, of which frame, and of which answer.
window.pictures = [];
window.first = null;
document.addEventListener("drawn", ({ target, detail }) => {
  if (!target.offsetParent) return;  // in a place that is not shown
  if (target.querySelector("[data-testid=panel-input] .panel-note").hidden) first ??= performance.now();
  if ([...target.querySelectorAll(".waiting")].every((note) => note.hidden)) {
    const answer = document.querySelector("[data-testid=download-gif]")?.href;
    pictures.push({ time: performance.now(), frame: detail.frame, answer });
  } else {
    pictures.length = 0;
  }
}, true);
"""


def opened(browser: Browser, server: Server) -> Page:
    """The page in a browser that has never seen it, once it shows all its pictures."""
    page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    page.add_init_script(_PICTURES)
    page.goto(f"http://127.0.0.1:{server.port}/")
    _wait(page, "pictures.length > 0")
    return page


def _wait(page: Page, expression: str) -> None:
    """Until an expression is true; the page's own policy forbids what ``wait_for_function`` does."""
    while not page.evaluate(expression):
        time.sleep(0.01)


def first_picture(browser: Browser, repeats: int) -> Iterator[dict[str, object]]:
    """From asking for the page to its first pictures, with a server that is warm and a browser that is not."""
    load = os.getloadavg()[0]
    with serve() as server:
        server.warm()
        first, all_of_them = [], []
        for _ in range(repeats):
            page = opened(browser, server)
            first.append(page.evaluate("first"))
            all_of_them.append(page.evaluate("pictures[0].time"))
            page.context.close()
    yield row("opening to first picture", first, "ms", "at most 1000", load)
    yield row("opening to all pictures, forecast and error among them", all_of_them, "ms", "", load)


def scrubbing(browser: Browser, repeats: int, folder: Path) -> Iterator[dict[str, object]]:
    """Pictures drawn a second while the mouse drags along the timeline of 100 frames of 256x256, there and back."""
    load = os.getloadavg()[0]
    y, x = np.mgrid[:256, :256]
    frames = [128 + 60 * (np.sin(x / 9 + t / 3) + np.cos(y / 11 - t / 4)) for t in range(100)]
    np.save(folder / "waves.npy", np.stack(frames).astype(np.uint8))
    with serve(str(folder / "waves.npy")) as server:
        server.warm()
        page = opened(browser, server)
        timeline = page.locator("#watch").get_by_test_id("timeline")
        timeline.scroll_into_view_if_needed()
        box = timeline.bounding_box()
        assert box is not None
        step, height = box["width"] / 100, box["y"] + box["height"] / 2
        samples = []
        for _ in range(repeats):
            page.mouse.move(box["x"] + step / 2, height)
            page.mouse.down()
            _wait(page, "pictures.at(-1).frame === 0")
            page.evaluate("pictures.length = 0")
            began = time.perf_counter()
            for frame in [*range(1, 100), *range(98, -1, -1)]:
                page.mouse.move(box["x"] + (frame + 0.5) * step, height)
            _wait(page, "pictures.at(-1)?.frame === 0")
            seconds = time.perf_counter() - began
            page.mouse.up()
            samples.append(page.evaluate("pictures.length") / seconds)
        page.context.close()
    yield row("scrubbing 100 frames of 256x256", samples, "pictures/s", "at least 30", load)


def click_to_picture(browser: Browser, repeats: int) -> Iterator[dict[str, object]]:
    """From the click on Run to the pictures of a forecast of 10 frames of 64x64, by clips that differ."""
    load = os.getloadavg()[0]
    with serve() as server:
        server.warm()
        page = opened(browser, server)
        page.get_by_test_id("place-try").click()
        page.get_by_test_id("model").select_option(MODEL)
        samples = []
        for _ in range(repeats):
            page.evaluate(_CLICK)
            _wait(page, "pictures.at(-1)?.answer && pictures.at(-1).answer !== before")
            samples.append(page.evaluate("pictures.find(({ answer }) => answer && answer !== before).time - clicked"))
        page.context.close()
    yield row(f"click to pictures, {MODEL}", samples, "ms", "at most 300", load)


_CLICK = """
window.before = document.querySelector("[data-testid=download-gif]")?.href;
pictures.length = 0;
window.clicked = performance.now();
document.querySelector("[data-testid=run]").click();
"""


@dataclass
class Client:
    """Somebody who opens the page, takes a sample, forecasts it, and looks at the frames, again and again.

    Args:
        speaker: to the server.
        files: that the page loads.
        number: of the first sample.
    """

    speaker: Speaker
    files: list[str]
    number: int
    taken: dict[str, list[float]] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)

    def run(self, until: float) -> None:
        """Until a moment of `time.monotonic`."""
        while time.monotonic() < until:
            try:
                self._visit()
            except (OSError, http.client.HTTPException, RuntimeError) as error:
                self.errors.append(f"{type(error).__name__}: {error}")
            self.number += 1

    def _visit(self) -> None:
        ask = self.speaker.ask
        with self._timed("page"):
            for path in [*self.files, "/api/about"]:
                ask("GET", path)
        with self._timed("sample"):
            clip = self.speaker.sample(self.number % 10_000)
            ask("GET", f"/api/clips/{clip}/frames")
        with self._timed("forecast"):
            made = self.speaker.forecast(clip)
            ask("GET", f"/api/clips/{made}/frames")
        with self._timed("GIF"):
            ask("GET", f"/api/clips/{made}/file?suffix=.gif")
        for one in (clip, made):  # as the page does before it shows another
            ask("DELETE", f"/api/clips/{one}")

    @contextmanager
    def _timed(self, what: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.taken.setdefault(what, []).append((time.perf_counter() - began) * 1000)


def many_clients(count: int, seconds: float) -> Iterator[dict[str, object]]:
    """How long each of many clients waits, how often in vain, and what memory it leaves behind."""
    with serve() as server:
        server.warm()
        _crowd(server, count, 10)  # buffers, threads and allocators reach their size
        time.sleep(2)
        before, load = server.resident(), os.getloadavg()[0]
        clients = _crowd(server, count, seconds)
        time.sleep(2)
        after = server.resident()
    crowd = f"{count} clients for {seconds:.0f} s"
    for what in clients[0].taken:
        samples = [taken for client in clients for taken in client.taken.get(what, [])]
        yield row(f"{crowd}: {what}", samples, "ms", "", load)
    errors = [error for client in clients for error in client.errors]
    for error in errors[:5]:
        typer.echo(error, err=True)
    yield row(f"{crowd}: errors", [len(errors)], "", "at most 0", load)
    for name, size in before.items():
        yield row(f"{crowd}: memory of the {name} before", [size], "MiB", "", load)
        yield row(f"{crowd}: memory of the {name} after", [after[name]], "MiB", f"at most {1.1 * size:.0f}", load)


def _crowd(server: Server, count: int, seconds: float) -> list[Client]:
    files = Speaker(server.port).files()
    clients = [Client(Speaker(server.port), files, number * 100) for number in range(count)]
    until = time.monotonic() + seconds
    with ThreadPoolExecutor(count) as pool:
        list(pool.map(lambda client: client.run(until), clients))
    return clients


def measurements(parts: list[str], repeats: int, clients: int, seconds: float) -> Iterator[dict[str, object]]:
    """The rows of each part."""
    with chromium() as browser, tempfile.TemporaryDirectory() as folder:
        if "first picture" in parts:
            yield from first_picture(browser, repeats)
        if "scrubbing" in parts:
            yield from scrubbing(browser, repeats, Path(folder))
        if "click to picture" in parts:
            yield from click_to_picture(browser, repeats)
    if "clients" in parts:
        yield from many_clients(clients, seconds)


def main(
    out: Annotated[Path, typer.Option(help="CSV file to write.")] = Path("benchmarks/results/page.csv"),
    part: Annotated[list[str], typer.Option(help="May be given several times.")] = PARTS,
    repeats: Annotated[int, typer.Option(help="Of each measure in the browser.")] = 20,
    clients: Annotated[int, typer.Option(help="At once.")] = 50,
    seconds: Annotated[float, typer.Option(help="Of the clients.")] = 60.0,
) -> None:
    """Measures, prints and writes."""
    record(out, measurements(part, repeats, clients, seconds))


if __name__ == "__main__":
    typer.run(main)

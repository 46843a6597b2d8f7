"""What the page does when something else goes wrong, or somebody goes away."""

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pages import go, ready, run, watch
from playwright.sync_api import Browser, Page, expect

from served import LONG, Served, serve

SMALL = "masked_lstm_small.moving_mnist"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """A server of the test's own, which it may end."""
    with serve(tmp_path / "served") as served:
        yield served


def begin_long(page: Page, folder: Path) -> str:
    """Begins a job that takes many seconds; its id."""
    np.save(folder / "long.npy", np.random.default_rng(0).integers(0, 255, (200, 1, 128, 128)).astype(np.uint8))
    place = go(page, "try")
    place.get_by_test_id("source-file").check(force=True)
    place.get_by_test_id("file-input").set_input_files(folder / "long.npy")
    expect(place.get_by_test_id("clip-about")).to_contain_text("200 frames")
    place.get_by_test_id("task-recreate").check(force=True)
    place.get_by_test_id("model").select_option(SMALL)
    place.get_by_test_id("dropped").fill("3-9")
    with page.expect_response(re.compile("/api/jobs$")) as answer:
        place.get_by_test_id("run").click()
    expect(place.get_by_test_id("progress-text")).to_contain_text("recreate")
    return answer.value.json()["id"]


def test_a_closed_tab_ends_its_job(page: Page, served: Served, tmp_path: Path) -> None:
    job = begin_long(page, tmp_path)
    page.close()
    assert served.over(job)["state"] == "cancelled"


def test_a_worker_that_dies_is_said_and_comes_again(
    page: Page, served: Served, faults: list[str], tmp_path: Path
) -> None:
    begin_long(page, tmp_path)
    for child in served.children():
        os.kill(child, signal.SIGKILL)
    expect(page.get_by_test_id("notices")).to_contain_text("worker")
    place = page.locator("#try")
    place.get_by_test_id("model").select_option("copy_last")
    run(place)
    assert faults == []


def test_a_server_that_ends_is_said(page: Page, served: Served, faults: list[str]) -> None:
    watch_place = ready(page, "watch")
    served.process.send_signal(signal.SIGTERM)
    served.process.wait(LONG)
    watch_place.get_by_test_id("watch-next").click()
    expect(page.get_by_test_id("notices")).to_contain_text("frame-forecast view")
    assert all("ERR_" in fault for fault in faults)
    faults.clear()


def test_a_network_address_wants_its_token(chromium: Browser, tmp_path: Path) -> None:
    faults: list[str] = []
    with serve(tmp_path / "open", "--host", "0.0.0.0", "--token", "seventeen-frames") as served:
        for path in ("/", "/static/js/main.js", "/api/about", "/?token=seventeen"):
            answer = served.ask("GET", path)
            assert answer.status in (401, 403), answer
            assert b"models" not in answer.body
        context = chromium.new_context()
        page = context.new_page()
        watch(page, f"http://127.0.0.1:{served.port}/", faults)
        page.goto(f"http://127.0.0.1:{served.port}/?token=seventeen-frames")
        ready(page, "watch")
        assert "seventeen" not in page.url
        page.reload()
        ready(page, "watch")
        (cookie,) = context.cookies()
        assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
        context.close()
    assert faults == []

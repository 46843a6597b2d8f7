"""Chromium, the real server, and pages that must stay quiet."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from pages import DESKTOP, PHONE, watch
from playwright.sync_api import Browser, Page, expect, sync_playwright

from served import Served, serve

_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
expect.set_options(timeout=60_000)  # milliseconds, as long as a machine that is busy may take


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="module")  # as long as Playwright is there, no other test can run an event loop
def chromium() -> Iterator[Browser]:
    path = shutil.which("chromium")
    if path is None:
        pytest.fail("no chromium: ./run_tests.sh --browser installs it")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(tmp_path_factory.mktemp("served")) as served:
        yield served


@pytest.fixture
def faults() -> list[str]:
    """What the page did that it must not do; a test that wants some looks at them and clears them."""
    return []


@pytest.fixture
def page(chromium: Browser, served: Served, faults: list[str], request: pytest.FixtureRequest) -> Iterator[Page]:
    """The page as it opens, at desktop width or that of the test's parameter; at the end there must be no faults."""
    size = getattr(request, "param", DESKTOP)
    context = chromium.new_context(viewport=size, has_touch=size == PHONE, is_mobile=size == PHONE)
    page = context.new_page()
    watch(page, served.url, faults)
    page.goto(served.url)
    yield page
    context.close()
    assert faults == []
    assert "Traceback" not in served.log.read_text()

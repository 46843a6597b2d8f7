"""The page for those who use no mouse, see little, or hold it in one hand."""

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from pages import DESKTOP, PHONE, done, frame_of, go, ready, run
from playwright.sync_api import Locator, Page, expect

PLACES = ("watch", "try", "scores")


def show(page: Page, place: str) -> None:
    """Goes to a place, and in Try runs what is set."""
    ready(page, "watch")
    section = go(page, place)
    if place == "try":
        run(section)


def test_by_keyboard_alone(page: Page) -> None:
    watch = ready(page, "watch")
    tab_to(page, watch.get_by_test_id("play"))
    page.keyboard.press("Space")
    expect(watch.get_by_test_id("play")).to_have_attribute("aria-label", "Play")
    tab_to(page, watch.get_by_test_id("timeline"))
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    expect(watch.get_by_test_id("timeline")).to_have_attribute("aria-valuenow", "1")
    assert frame_of(watch) == 1
    tab_to(page, page.get_by_test_id("place-try"), backwards=True)
    page.keyboard.press("Enter")
    place = page.locator("#try")
    expect(place).to_be_visible()
    choose(page, place, "task", "recreate")
    tab_to(page, place.get_by_test_id("model"))
    page.keyboard.type("Nearest")
    expect(place.get_by_test_id("model")).to_have_value("nearest")
    tab_to(page, place.get_by_test_id("dropped"))
    page.keyboard.type("4-6")
    tab_to(page, place.get_by_test_id("run"))
    page.keyboard.press("Enter")
    done(place)
    tab_to(page, place.get_by_test_id("stage"))
    page.keyboard.press("Shift+ArrowRight")
    expect(place.get_by_test_id("readout")).to_contain_text("x 33, y 32")


def choose(page: Page, place: Locator, name: str, value: str) -> None:
    """Takes a radio button with the arrow keys."""
    wanted = place.get_by_test_id(f"{name}-{value}")
    tab_to(page, place.locator(f'input[name="{name}"]:checked'))
    for _ in range(5):
        if wanted.is_checked():
            return
        page.keyboard.press("ArrowRight")
    pytest.fail(f"{name} {value} not reached")


def tab_to(page: Page, target: Locator, backwards: bool = False) -> None:
    """Presses Tab until the target has the focus, and shows it."""
    for _ in range(150):
        if target.evaluate("(node) => node === document.activeElement"):
            assert target.evaluate(_SHOWS_FOCUS), "the focus does not show"
            return
        page.keyboard.press("Shift+Tab" if backwards else "Tab")
    pytest.fail(f"{target} is not reached by Tab")


_SHOWS_FOCUS = """(node) => {
  const seen = node.type === "radio" ? node.nextElementSibling : node;  // the radio button itself is only heard
  return getComputedStyle(seen).outlineStyle !== "none";
}"""


@pytest.mark.parametrize("page", [DESKTOP, PHONE], ids=["desktop", "phone"], indirect=True)
@pytest.mark.parametrize("place", PLACES)
def test_axe_finds_nothing_serious(page: Page, place: str) -> None:
    show(page, place)
    page.locator("details").evaluate_all("(all) => all.forEach((one) => (one.open = true))")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        found = Axe().run(page).response["violations"]
        serious = [
            f"{one['id']}: {one['help']}: {[node['target'] for node in one['nodes']]}"
            for one in found
            if one["impact"] in ("serious", "critical")
        ]
        assert serious == [], f"{place}, {scheme}"


@pytest.mark.parametrize("page", [DESKTOP, PHONE], ids=["desktop", "phone"], indirect=True)
@pytest.mark.parametrize("place", PLACES)
def test_it_fits_its_window(page: Page, place: str, tmp_path: Path) -> None:
    show(page, place)
    assert page.viewport_size
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.screenshot(path=tmp_path / f"{place}-{scheme}.png", full_page=True)

"""The report in Debian's Chromium: it works by keyboard, offline and on a phone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from small_experiment import PAIRS

from impasto.experiments.report import write
from impasto.experiments.run import Run

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = Path("/usr/bin/chromium")
pytestmark = pytest.mark.skipif(not CHROMIUM.is_file(), reason=f"needs Debian's package chromium: no {CHROMIUM}")
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 360, "height": 740}
SPLIT = "() => getComputedStyle(document.getElementById('overlay')).getPropertyValue('--split')"
OVERFLOW = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def report(small: tuple[Path, list[Run]], tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("experiment") / "copy"
    shutil.copytree(small[0], folder)
    return write(folder, small[1], "A trial", "Three variants of a method. " * 5).as_uri()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield chromium
        chromium.close()


class Opened:
    """A page with its console messages, its errors and its requests."""

    def __init__(self, browser: Browser, url: str, viewport: dict[str, int], **settings: str) -> None:
        self.messages: list[str] = []
        self.requests: list[str] = []
        self.page: Page = browser.new_page(viewport=viewport, **settings)
        self.page.on("console", lambda message: self.messages.append(message.text))
        self.page.on("pageerror", lambda error: self.messages.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.url = url
        self.load()

    def load(self) -> None:
        """Load the page, again if it is open."""
        self.messages.clear()
        self.requests.clear()
        self.page.goto(self.url)

    def fetched(self) -> list[str]:
        return [url for url in self.requests if not url.startswith("data:")]


@pytest.fixture(scope="module", params=[DESKTOP, PHONE], ids=["desktop", "phone"])
def window(request: pytest.FixtureRequest, browser: Browser, report: str) -> Iterator[Opened]:
    """One page for all tests of a viewport: a process for each test takes a second of CPU time."""
    opened = Opened(browser, report, request.param)
    yield opened
    opened.page.close()


@pytest.fixture
def opened(window: Opened) -> Opened:
    window.load()
    return window


def test_the_console_is_empty_and_only_the_page_is_loaded(opened: Opened, report: str) -> None:
    page = opened.page
    page.locator(".output").first.click()
    page.locator("#viewer-next").click()
    page.keyboard.press("Escape")
    for select in ("#tradeoff-x", "#tradeoff-y", "#curve-pair"):
        page.locator(select).select_option(index=1)
    assert opened.messages == []
    assert opened.fetched() == [report]


def test_every_image_is_decoded(opened: Opened) -> None:
    sizes = opened.page.eval_on_selector_all("img[id^=run-]", "all => all.map(image => image.naturalWidth)")
    assert sizes == [48] * 8


def test_the_slider_moves_by_keyboard_and_closing_restores_the_focus(opened: Opened) -> None:
    page = opened.page
    page.locator(".output").first.focus()
    page.keyboard.press("Enter")
    assert page.evaluate("() => document.activeElement.id") == "slider"
    assert page.evaluate(SPLIT) == "50%"
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    assert page.evaluate(SPLIT) == "55%"
    page.keyboard.press("Home")
    assert page.evaluate(SPLIT) == "0%"
    page.keyboard.press("Escape")
    assert not page.locator("#viewer").is_visible()
    assert page.evaluate("() => document.activeElement.dataset.open") == "0 0 0"


def test_the_output_covers_the_content_up_to_the_divider(opened: Opened) -> None:
    page = opened.page
    page.locator(".output").first.click()
    box = page.locator("#overlay").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] / 4, box["y"] + box["height"] / 2)
    assert page.evaluate(SPLIT) == "25%"
    assert page.eval_on_selector("#above", "e => getComputedStyle(e).clipPath") == "inset(0px 75% 0px 0px)"
    assert page.eval_on_selector("#below", "e => getComputedStyle(e).backgroundImage").startswith('url("data:image/')


def test_the_details_show_all_images_of_a_pair_at_one_position(opened: Opened) -> None:
    page = opened.page
    page.locator(".output").first.click()
    assert page.locator("#crops figcaption").all_inner_texts() == [
        *("content", "style", "few steps", "more steps", "noise")
    ]
    page.locator("#crop-x").focus()
    page.keyboard.press("End")
    positions = page.eval_on_selector_all(".crop", "all => all.map(e => getComputedStyle(e).backgroundPosition)")
    assert positions == ["100% 50%"] * 5


def test_the_controls_select_the_curves(opened: Opened) -> None:
    page = opened.page
    plot = page.locator("#curve-plot svg")
    drawn = {"steps": plot.inner_html()}
    for name in ("evaluations", "seconds"):
        page.locator(f"input[value={name}]").check()
        drawn[name] = plot.inner_html()
        assert (plot.get_attribute("aria-label") or "").startswith(f"total loss over {name}")
    page.locator("input[name=curve-loss][value=style]").check()
    drawn["style"] = plot.inner_html()
    assert len(set(drawn.values())) == 4
    assert plot.locator("path").count() == 4  # three variants, one with two seeds
    page.locator("#curve-legend input").first.uncheck()
    assert plot.locator("path").count() == 3


def test_the_plot_shows_the_selected_metrics(opened: Opened) -> None:
    page = opened.page
    before = page.locator("#tradeoff-plot svg").inner_html()
    page.locator("#tradeoff-x").select_option(label="ssim")
    assert page.locator("#tradeoff-plot svg").inner_html() != before
    assert page.locator("#tradeoff-plot circle").count() == 3
    page.locator("#tradeoff-sanity").check()
    assert page.locator("#tradeoff-plot circle").count() == 5


@pytest.mark.parametrize("state", ["closed", "open"])
def test_a_phone_does_not_scroll_sideways(browser: Browser, report: str, state: str) -> None:
    opened = Opened(browser, report, PHONE)
    if state == "open":
        opened.page.locator(".output").first.click()
        assert opened.page.eval_on_selector("#viewer", "e => e.scrollWidth - e.clientWidth") == 0
    opened.page.locator("summary").first.evaluate("e => e.click()")
    assert opened.page.evaluate(OVERFLOW) == 0
    opened.page.close()


def test_dark_mode_is_dark_and_print_is_white(browser: Browser, report: str) -> None:
    opened = Opened(browser, report, DESKTOP, color_scheme="dark")
    color = "() => getComputedStyle(document.body).backgroundColor"
    assert opened.page.evaluate(color) == "rgb(23, 23, 22)"
    opened.page.emulate_media(media="print", color_scheme="light")
    assert opened.page.evaluate(color) == "rgb(255, 255, 255)"
    assert not opened.page.locator("nav").is_visible()
    assert opened.page.locator(f"text={PAIRS[0][0]}").first.is_visible()
    opened.page.close()

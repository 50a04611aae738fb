"""The page of the studio in a real browser, Debian's Chromium. Each viewport has one page, which its tests share."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import PIL.Image
import pytest
from small_studio import Studio, random_picture

from impasto.studio import jobs
from impasto.studio.page import streaming

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

CHROMIUM = Path("/usr/bin/chromium")
pytestmark = [
    pytest.mark.skipif(not CHROMIUM.is_file(), reason=f"needs Debian's package chromium: no {CHROMIUM}"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
]
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 360, "height": 740}
# Returns the elements that extend over the right edge; a wide table scrolls in its own container.
OVERFLOW = """() => [...document.querySelectorAll('body *')].filter(element => {
  const box = element.getBoundingClientRect();
  return box.width && box.height && box.right > innerWidth + 1 && !element.closest('.table, .visually-hidden')
    && element.checkVisibility({visibilityProperty: true});
}).map(element => element.outerHTML.slice(0, 120))"""
CLIP_PATH = "element => getComputedStyle(element).clipPath"
TIMEOUT = 120_000
"""Milliseconds; on an idle machine nothing takes that long."""
# Records key, status, address of the picture and progress text of the canvas whenever one of them changes.
RECORD_CANVAS = """() => {
  window.recorded = [];
  const record = () => {
    const canvas = document.querySelector('.canvas');
    const picture = canvas.querySelector('.after')?.getAttribute('src') ?? null;
    const entry = [canvas.dataset.key, canvas.dataset.status, picture, canvas.querySelector('.status')?.innerText];
    if (window.recorded.at(-1)?.join() !== entry.join()) window.recorded.push(entry);
  };
  window.recorder?.disconnect();
  window.recorder = new MutationObserver(record);
  window.recorder.observe(document.body, {subtree: true, childList: true, attributes: true});
  record();
}"""
# Chromium draws the canvas of the masks without a graphics card: at 60 frames per second, that took 20 s of CPU time.
TEN_FRAMES_PER_SECOND = "requestAnimationFrame = callback => setTimeout(() => callback(performance.now()), 100)"
TABS = ("Paint", "Compare", "Experiments", "History", "Masks")
"""The tab Masks is the last one because its canvas, once open, is drawn until the page is closed."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield chromium
        chromium.close()


class Visit:
    """An open page, and everything that it logs and requests."""

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.url = page, url
        self.errors: list[str] = []
        self.requests: list[str] = []
        page.set_default_timeout(TIMEOUT)
        page.on("console", lambda message: message.type == "error" and self.errors.append(message.text))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        page.add_init_script(TEN_FRAMES_PER_SECOND)
        page.goto(url)
        page.locator("#paint").wait_for()

    def reload(self) -> None:
        """Load the page again; a stream that this aborts may log an error."""
        self.page.reload()
        self.page.locator("#paint").wait_for()
        self.errors.clear()

    def set(self, **settings: object) -> None:
        """Fill in the fields of settings."""
        for name, value in settings.items():
            field = self.page.locator(f"#setting-{name}").locator("input:not([type=range]), textarea").first
            if not field.is_visible():
                self.page.get_by_text("Advanced settings").click()
            field.fill(str(value))
            field.press("Tab")

    def choose(self, legend: str, *names: str) -> None:
        """Choose exactly these images."""
        for box in self.page.locator(f"fieldset:has(legend:text-is('{legend}')) input:not([type=file])").all():
            is_chosen = box.get_attribute("value") in names
            if is_chosen or box.get_attribute("type") == "checkbox":
                for _ in range(5):  # a click is lost while the picker is rendered again
                    if box.is_checked() == is_chosen:
                        break
                    box.click(force=True)
                    self.page.wait_for_timeout(50)
                assert box.is_checked() == is_chosen

    def fill_comparison(self, methods: set[str], **values: str) -> None:
        """Choose exactly these methods in the tab Compare, and fill in its fields."""
        for box in self.page.locator("#compare-methods input").all():
            box.set_checked(box.get_attribute("name") in methods)
        for name, value in values.items():
            self.page.locator(f"#compare-{name}").locator("input, textarea").fill(value)
        self.page.keyboard.press("Tab")

    def open_tab(self, name: str) -> None:
        tab = self.page.get_by_role("tab", name=name)
        if not tab.count():  # the tab does not fit
            self.page.get_by_label("More tabs").click()
            tab = self.page.locator(".overflow-dropdown button", has_text=name)
        tab.click()

    def wait_for_status(self, status: str) -> None:
        self.page.locator(f".canvas[data-status={status}]").wait_for()

    def start(self) -> Locator:
        """Start a job in the tab Paint and return the canvas once it shows the new job."""
        canvas = self.page.locator(".canvas").first
        previous = canvas.get_attribute("data-key")
        self.page.locator("#paint:enabled").click()
        self.page.locator(f".canvas[data-key]:not([data-key='{previous}'])").wait_for()
        return canvas

    def check(self) -> None:
        """Assert that the page requested nothing from other hosts and logged no errors."""
        foreign = [url for url in self.requests if not url.startswith((self.url, "data:", "blob:"))]
        assert foreign == []
        assert [text for text in self.errors if "status of 400" not in text] == []


@pytest.fixture(scope="module")
def desktop(browser: Browser, studio: Studio) -> Visit:
    return Visit(browser.new_context(viewport=DESKTOP).new_page(), studio.url)


@pytest.fixture
def visit(desktop: Visit, studio: Studio) -> Iterator[Visit]:
    """The desktop page with the tab Paint; a page that an earlier test left in the middle of a job is loaded again."""
    if desktop.page.locator("#paint:enabled").count() == 0:
        desktop.reload()
    desktop.open_tab("Paint")
    yield desktop
    for key in [*studio.service.queue._jobs]:  # jobs of a failed test
        studio.service.queue.stop(key)
    desktop.check()


def visible_headings(page: Page) -> list[str]:
    return [text for text in page.locator(".group strong").all_inner_texts() if text]


def newest_record(studio: Studio) -> dict[str, Any]:
    return studio.service.history.entries()[0].record()


def test_a_job_shows_previews_progress_result_and_downloads(
    visit: Visit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "PREVIEW_INTERVAL", 0.05)  # the server runs in this process
    monkeypatch.setattr(streaming, "POLL_INTERVAL", 0.05)
    page = visit.page
    visit.choose("Content image", "coffee")
    visit.choose("Style images", "mosaic")
    page.locator(".frame img[src='sources/coffee']").wait_for()
    visit.set(size=64, steps=60, strength=70)
    page.evaluate(RECORD_CANVAS)
    visit.start()
    visit.wait_for_status("done")
    running = [entry for entry in page.evaluate("window.recorded") if entry[1] == "running"]
    assert len({picture for _, _, picture, _ in running}) >= 3
    assert len({text for *_, text in running}) >= 3
    assert any("of 60 · loss" in text and "left" in text for *_, text in running)
    assert page.locator(".curves polyline").count() == 3
    page.wait_for_function("() => document.querySelector('.frame .after').naturalWidth === 64")
    after = page.locator(".frame .after")
    page.get_by_label("Visible part of the stylized image").focus()
    for _ in range(10):
        page.keyboard.press("ArrowLeft")
    assert after.evaluate(CLIP_PATH) == "inset(0px 10% 0px 0px)"
    with page.expect_download() as download:
        page.get_by_text("Download PNG").click()
    download.value.save_as(tmp_path / "out.png")
    with PIL.Image.open(tmp_path / "out.png") as picture:
        record = json.loads(picture.info["impasto"])
    assert [each["path"] for each in record["inputs"]] == ["coffee", "mosaic"]
    assert (record["settings"]["size"], record["settings"]["strength"], record["steps"]) == (64, 70, 60)
    command = page.locator("pre[id$=command]").text_content() or ""
    assert command.startswith("impasto stylize coffee mosaic -o out.png --method gatys ")
    assert set(command.split(" --")[1:]) == {"method gatys", "size 64", "strength 70.0", "steps 60"}
    assert "impasto.stylize('coffee', ['mosaic'], 'gatys'" in (page.locator("pre[id$=python]").text_content() or "")


def test_a_running_job_is_changed_stopped_and_continued(visit: Visit, studio: Studio) -> None:
    page = visit.page
    visit.choose("Style images", "mosaic")
    visit.set(size=64, steps=1000000)
    canvas = visit.start()
    visit.wait_for_status("running")
    assert page.locator("#paint").is_disabled()
    first = canvas.get_attribute("data-key")
    page.evaluate(RECORD_CANVAS)
    visit.set(strength=90)
    visit.choose("Style images", "woodcut")
    page.locator("#apply:enabled").click()
    page.locator(f".canvas[data-key]:not([data-key='{first}'])").wait_for()
    visit.wait_for_status("running")
    page.locator("#stop:enabled").click()
    visit.wait_for_status("stopped")
    states = [(key, status) for key, status, *_ in page.evaluate("window.recorded")]
    assert states[0] == (first, "running")
    keys = [key for key, _ in states]
    assert first not in keys[keys.index(keys[-1]) :]  # the changed job is not shown again
    assert [status for _, status in dict.fromkeys(states)][-2:] == ["running", "stopped"]
    record = newest_record(studio)
    assert record["stopped"] == "cancelled"
    assert (record["settings"]["strength"], len(record["segments"])) == (90, 1)
    assert [each["path"] for each in record["inputs"] if each["role"] == "style"] == ["woodcut"]
    visit.set(steps=5)
    page.locator("#continue:enabled").click()
    visit.wait_for_status("done")
    record = newest_record(studio)
    assert (record["steps"], [each["stopped"] for each in record["segments"]]) == (5, ["cancelled", "cancelled"])


def test_a_method_shows_its_own_settings_and_no_others(visit: Visit) -> None:
    page = visit.page
    if not page.locator("#setting-style_loss").is_visible():
        page.get_by_text("Advanced settings").click()
    page.locator("#setting-style_loss").wait_for()
    assert page.locator("#setting-ratio").is_hidden()
    page.locator("#method input").click()
    page.get_by_role("option", name="gpdm").click()
    page.locator("#setting-ratio").wait_for()
    assert page.locator("#setting-style_loss").is_hidden()
    headings = visible_headings(page)
    assert len(headings) == len(set(headings)) >= 2
    page.locator("#method input").click()
    page.get_by_role("option", name="gatys").click()
    page.locator("#setting-style_loss").wait_for()
    assert visible_headings(page) != headings


def test_an_upload_that_is_not_an_image_is_rejected_and_an_image_is_stylized(
    visit: Visit, studio: Studio, tmp_path: Path
) -> None:
    page = visit.page
    picker = page.locator("fieldset:has(legend:text-is('Content image'))")
    files = picker.locator("input[type=file]")
    files.set_input_files({"name": "evil.svg", "mimeType": "image/svg+xml", "buffer": b"<svg><script/></svg>"})
    error = picker.locator(".error-message")
    error.filter(has_text="'evil.svg': it is not an image in a supported format").wait_for()
    (tmp_path / "mine.png").write_bytes(random_picture(size=(60, 50)))
    files.set_input_files(tmp_path / "mine.png")
    picker.locator("label:has(:checked)").filter(has_text="upload").wait_for()
    assert error.inner_text() == ""
    page.locator(".frame img[src^='sources/'][alt*='upload']").wait_for()
    visit.set(size=64, steps=2)
    visit.start()
    visit.wait_for_status("done")
    content = newest_record(studio)["inputs"][0]["path"]
    assert Path(content).read_bytes() == (tmp_path / "mine.png").read_bytes()
    visit.choose("Content image", "chelsea")
    page.locator(".canvas:not([data-key]) img[src='sources/chelsea']").wait_for()


def test_the_page_can_be_used_with_the_keyboard_alone(visit: Visit) -> None:
    page = visit.page
    page.evaluate("() => { document.activeElement.blur(); scrollTo(0, 0); }")
    page.locator("#title").click()
    reached = set()
    for _ in range(25):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("() => document.activeElement.id || document.activeElement.name"))
    assert {"paint", "Content image", "Style images"} <= reached
    page.wait_for_timeout(500)
    visit.set(size=64, steps=3)
    previous = page.locator(".canvas").first.get_attribute("data-key")
    page.locator("#paint").focus()
    page.keyboard.press("Enter")
    page.locator(f".canvas[data-status=done]:not([data-key='{previous}'])").wait_for()


def test_methods_are_compared_and_a_result_is_edited_in_paint(visit: Visit) -> None:
    page = visit.page
    visit.open_tab("Compare")
    visit.fill_comparison({"gatys", "gpdm"}, strengths="30 70", size="64", steps="4")
    page.locator("#compare-start:enabled").click()
    page.wait_for_function("() => document.querySelectorAll('#compare-grid img[src^=pictures]').length === 4")
    captions = page.locator("#compare-grid button").all_inner_texts()
    assert [text.split(", style scale")[0] for text in captions] == [
        *("gatys, strength 30", "gatys, strength 70", "gpdm, strength 30", "gpdm, strength 70")
    ]
    page.locator("#compare-grid button").nth(2).click()
    page.locator("#compare-viewer .after").wait_for()
    page.locator("#compare-edit:enabled").click()
    page.locator("#method").get_by_text("patches").wait_for()
    assert page.locator("#method input").input_value() == "gpdm"
    assert page.locator("#setting-strength input[type=number]").input_value() == "30"


def test_all_jobs_of_a_comparison_are_stopped_before_another_one_starts(visit: Visit, studio: Studio) -> None:
    page = visit.page
    visit.open_tab("Compare")
    visit.fill_comparison({"gatys"}, strengths="30 70", size="64", steps="1000000")
    page.locator("#compare-start:enabled").click()
    page.locator("#compare-grid button", has_text="step").first.wait_for()
    assert page.locator("#compare-start").is_disabled()
    page.locator("#compare-stop").click()
    page.locator("#compare-start:enabled").wait_for()
    assert page.locator("#compare-grid img[src^=pictures]").count() == 1
    page.locator("#compare-grid button", has_text="Cancelled before it started").wait_for()
    assert newest_record(studio)["stopped"] == "cancelled"


def test_an_experiment_is_browsed(visit: Visit) -> None:
    page = visit.page
    visit.open_tab("Experiments")
    page.locator("#experiment-table tbody tr").first.wait_for()
    names = [text.split("\t")[0] for text in page.locator("#experiment-table tbody tr").all_inner_texts()]
    assert names[:2] == ["gatys", "gpdm"]
    page.locator("#experiment-grid button").first.click()
    page.locator("#experiment-viewer polyline").nth(2).wait_for()
    with page.expect_popup() as popup:
        page.get_by_text("Open the report").click()
    popup.value.locator("h1", has_text="small").wait_for()
    popup.value.close()


def test_a_result_of_an_earlier_run_is_replayed_bit_for_bit_and_deleted(
    visit: Visit, studio: Studio, earlier_key: str
) -> None:
    page, history = visit.page, studio.service.history
    visit.open_tab("History")
    page.locator(f"#history-grid button[data-key='{earlier_key}']").click()
    page.locator(f"#history-viewer img[src='pictures/{earlier_key}.png']").wait_for()
    before = {entry.key for entry in history.entries()}
    page.locator("#history-replay").click()
    page.locator(".canvas[data-status=done] img[alt*='woodcut stylized with mosaic, gatys']").first.wait_for()
    replayed, earlier = history.entries()[0], history.entry(earlier_key)
    assert replayed.key not in before
    pictures = [PIL.Image.open(entry.picture).tobytes() for entry in (replayed, earlier)]
    assert pictures[0] == pictures[1]
    visit.open_tab("History")
    page.locator(f"#history-grid button[data-key='{replayed.key}']").wait_for()  # the grid was refreshed
    page.locator(f"#history-grid button[data-key='{replayed.key}']").click()
    page.locator(f"#history-viewer img[src='pictures/{replayed.key}.png']").wait_for()
    page.locator("#history-delete").click()
    assert history.has(replayed.key)
    page.locator("#history-confirm").click()
    page.locator(f"#history-grid button[data-key='{replayed.key}']").wait_for(state="detached")
    assert not history.has(replayed.key)


def test_two_pages_at_once_show_their_own_jobs(browser: Browser, visit: Visit, studio: Studio) -> None:
    other = Visit(visit.page.context.new_page(), studio.url)
    styles = {visit: "inkwash", other: "geometric"}
    for each, style in styles.items():
        each.choose("Style images", style)
        each.set(size=64, steps=20)
    for each in styles:
        each.page.locator("#paint:enabled").click()
    for each, style in styles.items():
        each.page.locator(f".canvas[data-status=done] .after[alt*='with {style}, gatys']").wait_for()
    other.check()
    other.page.close()


@pytest.mark.slow
def test_the_page_has_no_serious_accessibility_faults(visit: Visit) -> None:
    from axe_playwright_python.sync_playwright import Axe

    # The dark scheme differs in its colors only.
    options: dict[str, dict[str, Any]] = {
        "light": {"resultTypes": ["violations"]},
        "dark": {"resultTypes": ["violations"], "runOnly": ["color-contrast", "link-in-text-block"]},
    }
    faults = {}
    for tab in TABS:
        visit.open_tab(tab)
        for scheme in options:
            visit.page.emulate_media(color_scheme=scheme)
            visit.page.wait_for_timeout(400)
            assert visit.page.locator("body.dark").count() == (scheme == "dark")
            found = Axe().run(visit.page, options=options[scheme]).response["violations"]
            serious = [each for each in found if each["impact"] in ("serious", "critical")]
            faults |= {f"{tab}, {scheme}: {each['id']}": each["nodes"][0]["html"][:200] for each in serious}
    assert faults == {}


@pytest.fixture
def phone(browser: Browser, studio: Studio) -> Iterator[Visit]:
    visit = Visit(browser.new_page(viewport=PHONE), studio.url)
    yield visit
    visit.check()
    visit.page.close()


def test_a_phone_shows_every_tab_without_horizontal_scrolling(phone: Visit) -> None:
    overflow = {}
    for tab in TABS:
        phone.open_tab(tab)
        phone.page.wait_for_timeout(500)
        overflow[tab] = phone.page.evaluate(OVERFLOW)
    assert overflow == {tab: [] for tab in TABS}


@pytest.mark.slow
def test_regions_are_drawn_on_a_phone(phone: Visit, studio: Studio) -> None:
    visit, page = phone, phone.page
    visit.choose("Style images", "brushstrokes", "mosaic")
    visit.set(size=64, steps=3)
    visit.open_tab("Masks")
    canvas = page.locator("#masks-editor canvas").first
    canvas.wait_for()
    page.wait_for_timeout(1500)
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    for fraction in (0.47, 0.53):
        page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + box["height"] * fraction)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + box["height"] * fraction, steps=4)
        page.mouse.up()
    page.wait_for_timeout(1000)
    page.locator("#masks-use").click()
    page.locator("#use-regions input").wait_for()
    visit.start()
    visit.wait_for_status("done")
    record = newest_record(studio)
    assert [each["path"] for each in record["inputs"] if each["role"] == "style"] == ["brushstrokes", "mosaic"]
    assert {name.split("/")[-1] for name in record["terms"] if name.startswith("style/")} == {"region1", "region2"}

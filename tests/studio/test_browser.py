"""The studio in a real browser, Debian's Chromium: painted, stopped, steered, masked, compared, found again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import PIL.Image
import pytest
from small_studio import Studio, open_studio, run_small_experiment

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = Path("/usr/bin/chromium")
pytestmark = [
    pytest.mark.skipif(not CHROMIUM.is_file(), reason=f"needs Debian's package chromium: no {CHROMIUM}"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
]
DESKTOP, TELEPHONE = {"width": 1280, "height": 900}, {"width": 360, "height": 740}
# What reaches beyond the right edge; a wide table scrolls in its own frame.
OVERFLOW = """() => [...document.querySelectorAll('body *')].filter(element => {
  const box = element.getBoundingClientRect();
  return box.width && box.height && box.right > innerWidth + 1 && !element.closest('.table, .visually-hidden')
    && element.checkVisibility({visibilityProperty: true});
}).map(element => element.outerHTML.slice(0, 120))"""
CUT = "e => getComputedStyle(e).clipPath"
PATIENCE = 120_000
"""Milliseconds; nothing waits that long on a machine that is not shared."""
# Notes which painting is on the stage, and how far it is, whenever that changes.
NOTE = """() => {
  window.noted = [];
  const note = () => {
    const {key, status} = document.querySelector('.stage').dataset;
    if (window.noted.at(-1)?.join() !== [key, status].join()) window.noted.push([key, status]);
  };
  new MutationObserver(note).observe(document.body, {subtree: true, childList: true, attributes: true});
  note();
}"""
TABS = ("Paint", "Masks", "Compare", "Experiments", "History")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("place")
    run_small_experiment(folder / "small")
    return folder


@pytest.fixture(scope="module")
def studio(place: Path) -> Iterator[Studio]:
    with open_studio(place / "studio") as studio:
        yield studio


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield chromium
        chromium.close()


class Visit:
    """An open page; what it complained of and what it asked other machines for comes out at its end."""

    def __init__(self, browser: Browser, studio: Studio, **settings: Any) -> None:
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page: Page = browser.new_page(**{"viewport": DESKTOP, **settings})
        self.page.set_default_timeout(PATIENCE)
        self.page.on("console", lambda message: message.type == "error" and self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(studio.url)
        self.page.locator("#paint").wait_for()
        self.url = studio.url

    def set(self, **settings: object) -> None:
        """Types into the fields of settings."""
        for name, value in settings.items():
            field = self.page.locator(f"#setting-{name}").locator("input:not([type=range]), textarea").first
            field.fill(str(value))
            field.press("Tab")

    def pick(self, legend: str, *names: str) -> None:
        """Chooses exactly these pictures."""
        for box in self.page.locator(f"fieldset:has(legend:text-is('{legend}')) input:not([type=file])").all():
            is_wanted = box.get_attribute("value") in names
            if is_wanted or box.get_attribute("type") == "checkbox":
                for _ in range(5):  # a click on what is drawn anew in this moment is lost
                    if box.is_checked() == is_wanted:
                        break
                    box.click(force=True)
                    self.page.wait_for_timeout(50)
                assert box.is_checked() == is_wanted

    def tab(self, name: str) -> None:
        found = self.page.get_by_role("tab", name=name)
        if not found.count():  # there is no room for it
            self.page.get_by_label("More tabs").click()
            found = self.page.locator(".overflow-dropdown button", has_text=name)
        found.click()

    def until(self, status: str) -> None:
        self.page.locator(f".stage[data-status={status}]").wait_for()

    def leave(self) -> None:
        self.page.close()
        elsewhere = [url for url in self.requests if not url.startswith((self.url, "data:", "blob:"))]
        assert elsewhere == []
        assert [text for text in self.complaints if "status of 400" not in text] == []


@pytest.fixture
def visit(browser: Browser, studio: Studio) -> Iterator[Visit]:
    visit = Visit(browser, studio)
    yield visit
    visit.leave()


def newest(studio: Studio) -> dict[str, Any]:
    return studio.workshop.history.entries()[0].record()


def test_samples_are_painted_from_end_to_end_before_ones_eyes(visit: Visit, studio: Studio, tmp_path: Path) -> None:
    page = visit.page
    visit.pick("Photograph", "coffee")
    visit.pick("Styles", "mosaic")
    page.locator(".frame img[src='sources/coffee']").wait_for()
    visit.set(size=96, steps=600, strength=70)
    page.locator("#paint").click()
    visit.until("painting")
    after = page.locator(".frame .after")
    sources, texts = set(), set()
    while page.locator(".stage[data-status=painting]").count():
        texts.add(page.locator(".status").inner_text())
        sources.add(after.get_attribute("src") if after.count() else None)
        page.wait_for_timeout(100)
    assert len(sources) >= 3
    assert len(texts) >= 3
    assert any("of 600 · loss" in text and "left" in text for text in texts)
    visit.until("done")
    assert page.locator(".curves polyline").count() == 3
    page.wait_for_function("() => document.querySelector('.frame .after').naturalWidth === 96")
    slider = page.get_by_label("How much of the painting is shown")
    slider.focus()
    for _ in range(10):
        page.keyboard.press("ArrowLeft")
    assert after.evaluate(CUT) == "inset(0px 10% 0px 0px)"
    with page.expect_download() as download:
        page.get_by_text("Download PNG, with its record").click()
    download.value.save_as(tmp_path / "out.png")
    with PIL.Image.open(tmp_path / "out.png") as picture:
        record = json.loads(picture.info["impasto"])
    assert [each["path"] for each in record["inputs"]] == ["coffee", "mosaic"]
    assert (record["settings"]["size"], record["settings"]["strength"], record["steps"]) == (96, 70, 600)
    command = page.locator("pre[id$=command]").text_content() or ""
    assert command == "impasto stylize coffee mosaic -o out.png --method gatys --size 96 --strength 70.0 --steps 600"
    assert "impasto.stylize('coffee', ['mosaic'], 'gatys'" in (page.locator("pre[id$=Python]").text_content() or "")


def test_it_is_steered_stopped_and_continued(visit: Visit, studio: Studio) -> None:
    page = visit.page
    visit.set(size=64, steps=1000000)
    page.locator("#paint").click()
    visit.until("painting")
    assert page.locator("#paint").is_disabled()
    first = page.locator(".stage").get_attribute("data-key")
    page.evaluate(NOTE)
    visit.set(strength=90)
    visit.pick("Styles", "woodcut")
    page.locator("#steer:enabled").click()
    page.locator(f".stage:not([data-key='{first}'])").wait_for()
    visit.until("painting")
    page.locator("#stop:enabled").click()
    visit.until("stopped")
    noted = page.evaluate("window.noted")
    assert noted[0] == [first, "painting"]
    keys = [key for key, _ in noted]
    assert first not in keys[keys.index(keys[-1]) :]  # what was steered does not come back
    assert [status for _, status in noted[-2:]] == ["painting", "stopped"]
    record = newest(studio)
    assert record["stopped"] == "cancelled"
    assert (record["settings"]["strength"], len(record["segments"])) == (90, 1)
    assert [each["path"] for each in record["inputs"] if each["role"] == "style"] == ["woodcut"]
    visit.set(steps=5)
    page.locator("#continue:enabled").click()
    visit.until("done")
    record = newest(studio)
    assert (record["steps"], [each["stopped"] for each in record["segments"]]) == (5, ["cancelled", "cancelled"])


def test_regions_are_painted_on_the_page_of_a_telephone(browser: Browser, studio: Studio) -> None:
    visit = Visit(browser, studio, viewport=TELEPHONE)
    page = visit.page
    visit.pick("Styles", "brushstrokes", "mosaic")
    visit.set(size=64, steps=3)
    visit.tab("Masks")
    canvas = page.locator("#masks-canvas canvas").first
    canvas.wait_for()
    page.wait_for_timeout(1500)
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    for share in (0.47, 0.53):
        page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + box["height"] * share)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + box["height"] * share, steps=4)
        page.mouse.up()
    page.wait_for_timeout(1000)
    page.locator("#masks-use").click()
    page.locator("#use-regions input").wait_for()
    page.locator("#paint").click()
    visit.until("done")
    record = newest(studio)
    assert [each["path"] for each in record["inputs"] if each["role"] == "style"] == ["brushstrokes", "mosaic"]
    assert {name.split("/")[-1] for name in record["terms"] if name.startswith("style/")} == {"region1", "region2"}
    visit.leave()


def test_methods_are_compared_and_one_is_sent_to_paint(visit: Visit, studio: Studio) -> None:
    page = visit.page
    visit.tab("Compare")
    page.locator("#compare-methods").get_by_label("nnst").uncheck()
    page.locator("#compare-strengths").locator("input, textarea").fill("30 70")
    page.locator("#compare-size input").fill("64")
    page.locator("#compare-steps").locator("input, textarea").fill("4")
    page.keyboard.press("Tab")
    page.locator("#compare-begin").click()
    page.wait_for_function("() => document.querySelectorAll('#compare-grid img[src^=pictures]').length === 4")
    captions = page.locator("#compare-grid button").all_inner_texts()
    assert [text.split(", stroke")[0] for text in captions] == [
        *("gatys, strength 30", "gatys, strength 70", "gpdm, strength 30", "gpdm, strength 70")
    ]
    page.locator("#compare-grid button").nth(2).click()
    page.locator("#compare-shown .after").wait_for()
    page.locator("#compare-send:enabled").click()
    page.get_by_text("Match the distribution of small patches").wait_for()
    assert page.locator("#method input").input_value() == "gpdm"
    assert page.locator("#setting-strength input[type=number]").input_value() == "30"


def test_a_comparison_is_stopped_as_a_whole_before_another_one_begins(visit: Visit, studio: Studio) -> None:
    page = visit.page
    visit.tab("Compare")
    for method in ("nnst", "gpdm"):
        page.locator("#compare-methods").get_by_label(method).uncheck()
    page.locator("#compare-strengths").locator("input, textarea").fill("30 70")
    page.locator("#compare-size input").fill("64")
    page.locator("#compare-steps").locator("input, textarea").fill("1000000")
    page.keyboard.press("Tab")
    page.locator("#compare-begin:enabled").click()
    page.locator("#compare-grid button", has_text="step").first.wait_for()
    assert page.locator("#compare-begin").is_disabled()
    page.locator("#compare-stop").click()
    page.locator("#compare-begin:enabled").wait_for()
    assert page.locator("#compare-grid img[src^=pictures]").count() == 1
    page.locator("#compare-grid button", has_text="Cancelled before it began").wait_for()
    assert newest(studio)["stopped"] == "cancelled"


def test_a_method_shows_its_own_settings_and_no_others(visit: Visit) -> None:
    page = visit.page
    page.get_by_text("More settings").click()
    page.locator("#setting-style_loss").wait_for()
    assert page.locator("#setting-patch").is_hidden()
    assert page.get_by_text("Settings of gpdm").is_hidden()
    page.locator("#method input").click()
    page.get_by_role("option", name="gpdm").click()
    page.locator("#setting-patch").wait_for()
    page.get_by_text("Settings of gpdm").wait_for()
    assert page.locator("#setting-style_loss").is_hidden()


def test_a_wrong_upload_is_refused_and_a_right_one_painted(visit: Visit, studio: Studio) -> None:
    page = visit.page
    files = page.locator("fieldset:has(legend:text-is('Photograph')) input[type=file]")
    files.set_input_files({"name": "evil.svg", "mimeType": "image/svg+xml", "buffer": b"<svg><script/></svg>"})
    refused = page.locator("fieldset:has(legend:text-is('Photograph')) .refused")
    refused.filter(has_text="'evil.svg': it is not an image in a supported format").wait_for()
    levels = np.random.default_rng(0).integers(0, 256, (50, 60, 3), np.uint8)
    file = studio.workshop.folder.parent / "mine.png"
    PIL.Image.fromarray(levels).save(file)
    files.set_input_files(file)
    chosen = page.locator("fieldset:has(legend:text-is('Photograph')) label:has(:checked)").filter(has_text="upload")
    chosen.wait_for()
    assert refused.inner_text() == ""
    visit.set(size=64, steps=2)
    page.locator("#paint").click()
    visit.until("done")
    content = newest(studio)["inputs"][0]["path"]
    assert Path(content).read_bytes() == file.read_bytes()


def test_two_tabs_at_once_keep_to_their_own(browser: Browser, studio: Studio) -> None:
    visits = [Visit(browser, studio) for _ in range(2)]
    for visit, style in zip(visits, ("inkwash", "geometric"), strict=True):
        visit.pick("Styles", style)
        visit.set(size=64, steps=40)
    for visit in visits:
        visit.page.locator("#paint").click()
    for visit, style in zip(visits, ("inkwash", "geometric"), strict=True):
        visit.until("done")
        assert f"after {style}, gatys" in (visit.page.locator(".frame .after").get_attribute("alt") or "")
        visit.leave()


def test_the_history_is_there_after_a_restart(browser: Browser, place: Path, studio: Studio) -> None:
    key = studio.workshop.line.submit(studio.workshop.order("woodcut", ["mosaic"], "gatys", {"size": 64, "steps": 3}))
    studio.workshop.line.wait(key, 60)
    with open_studio(place / "studio") as again:
        visit = Visit(browser, again)
        page = visit.page
        visit.tab("History")
        page.locator(f"#history-grid button[data-key='{key}']").click()
        page.locator(f"#history-shown img[src='pictures/{key}.png']").wait_for()
        page.locator("#history-replay").click()
        visit.until("done")
        replayed, old = again.workshop.history.entries()[0], again.workshop.history.entry(key)
        assert replayed.key != key
        pictures = [PIL.Image.open(entry.picture).tobytes() for entry in (replayed, old)]
        assert pictures[0] == pictures[1]
        visit.tab("History")
        page.locator(f"#history-grid button[data-key='{replayed.key}']").wait_for()  # what is older has moved on by one
        page.locator(f"#history-grid button[data-key='{key}']").click()
        page.locator("#history-delete").click()
        assert again.workshop.history.has(key)
        page.locator("#history-sure").click()
        page.locator(f"#history-grid button[data-key='{key}']").wait_for(state="detached")
        assert not again.workshop.history.has(key)
        visit.leave()


def test_an_experiment_is_browsed(visit: Visit) -> None:
    page = visit.page
    visit.tab("Experiments")
    page.locator("#experiment-table tbody tr").first.wait_for()
    names = [text.split("\t")[0] for text in page.locator("#experiment-table tbody tr").all_inner_texts()]
    assert names[:2] == ["gatys", "gpdm"]
    page.locator("#experiment-grid button").first.click()
    page.locator("#experiment-shown polyline").nth(2).wait_for()
    with page.expect_popup() as popup:
        page.get_by_text("Open the report").click()
    popup.value.locator("h1", has_text="small").wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nobody_is_shut_out(browser: Browser, studio: Studio, scheme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    visit = Visit(browser, studio, color_scheme=scheme)
    faults = {}
    for tab in TABS:
        visit.tab(tab)
        visit.page.wait_for_timeout(1500)
        found = Axe().run(visit.page).response["violations"]
        serious = [each for each in found if each["impact"] in ("serious", "critical")]
        faults |= {f"{tab}: {each['id']}": each["nodes"][0]["html"][:200] for each in serious}
    assert faults == {}
    visit.leave()


def test_a_telephone_need_not_scroll_sideways(browser: Browser, studio: Studio) -> None:
    visit = Visit(browser, studio, viewport=TELEPHONE)
    wide = {}
    for tab in TABS:
        visit.tab(tab)
        visit.page.wait_for_timeout(500)
        wide[tab] = visit.page.evaluate(OVERFLOW)
    assert wide == {tab: [] for tab in TABS}
    visit.leave()


def test_it_can_be_used_without_a_mouse(visit: Visit, studio: Studio) -> None:
    page = visit.page
    visit.set(size=64, steps=3)
    reached = []
    page.locator("body").focus()
    for _ in range(25):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("() => document.activeElement.id || document.activeElement.name"))
    assert {"paint", "Photograph", "Styles"} <= set(reached)
    page.locator("#paint").focus()
    page.keyboard.press("Enter")
    visit.until("done")

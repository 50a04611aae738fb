"""The page of the studio in a real browser, Debian's Chromium. Each viewport has one page, which its tests share.

A dozen tests that use every tab are quick; the others are slow tests, because each takes 3 to 5 s in Chromium.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np
import PIL.Image
import pytest
from small_clip import moving_square, write_video
from small_studio import Studio, open_studio, random_picture
from support import TIMEOUT, accessibility_faults

from impasto.images import load_image
from impasto.methods.micro import MicroMethod
from impasto.networks.adapted_styles import encode_style, styles_metadata
from impasto.networks.micro import Micro
from impasto.networks.weights_io import load_weights, save_weights
from impasto.studio import jobs
from impasto.studio.examples import EXAMPLES, SIZE
from impasto.training.adapt import Adapted
from impasto.types import Step

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = Path("/usr/bin/chromium")
pytestmark = [
    pytest.mark.skipif(not CHROMIUM.is_file(), reason=f"needs Debian's package chromium: no {CHROMIUM}"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
]
DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
# Returns the elements that extend over the right edge; a wide table scrolls in its own container.
OVERFLOW = """() => [...document.querySelectorAll('body *')].filter(element => {
  const box = element.getBoundingClientRect();
  return box.width && box.height && box.right > innerWidth + 1 && !element.closest('.table, .stage, .skip, #drop')
    && element.checkVisibility({visibilityProperty: true});
}).map(element => element.outerHTML.slice(0, 120))"""
SMALL_TARGETS = """() => {
const targets = [...document.querySelectorAll('button, select, summary, nav a, input, a.button')];
return targets.filter(element => {
  const box = element.getBoundingClientRect();
  return element.checkVisibility() && box.width && Math.min(box.width, box.height) < 24
    && !element.matches('input[type=checkbox], input[type=radio]');
}).map(element => element.outerHTML.slice(0, 120)); }"""
# Collects every address of the painting on the stage and every title of the page.
RECORD = """() => {
  window.seen = new Set();
  const record = () => {
    window.seen.add(document.querySelector('#stage .after').getAttribute('src')?.split('?')[0]);
    window.seen.add(document.title);
  };
  const options = {subtree: true, childList: true, attributes: true};
  new MutationObserver(record).observe(document.querySelector('#stage'), options);
  new MutationObserver(record).observe(document.querySelector('title'), options);
}"""
# Lets the page share files, as phones do, and keeps what it shares.
SHARE = """window.shared = [];
navigator.canShare = ({files}) => files.every(file => file.type === 'image/png');
navigator.share = async given => { window.shared.push([given.title, given.files[0].name, given.files[0].size]); };"""
FOCUSED = "() => { const e = document.activeElement; return e.id || e.name || e.getAttribute('role'); }"
# Drops or pastes files on an element; a file is a name, a type and base64.
GIVE_FILES = """(element, [kind, files]) => {
  const data = new DataTransfer();
  for (const [name, type, text] of files)
    data.items.add(new File([Uint8Array.from(atob(text), each => each.charCodeAt())], name, {type}));
  const event = kind === 'paste' ? new ClipboardEvent('paste', {clipboardData: data, bubbles: true, cancelable: true})
    : new DragEvent(kind, {dataTransfer: data, bubbles: true, cancelable: true});
  element.dispatchEvent(event);
  return event.defaultPrevented;
}"""
POSITIONS = "() => ['#paint', '#stage'].map(each => document.querySelector(each).getBoundingClientRect().top)"
PAGE_TIMEOUT = 120_000
"""Milliseconds; on an idle machine nothing takes that long."""
TABS = ("paint", "video", "compare", "gallery", "lab")
ENDLESS = 1_000_000
MORE_SETTINGS = {"size", "style_scale", "color", "seed"}


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
        page.set_default_timeout(PAGE_TIMEOUT)
        page.on("console", lambda message: message.type == "error" and self.errors.append(message.text))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        self.goto()

    def goto(self, address: str = "") -> None:
        """Load the page again, at an address such as `#gallery`."""
        self.page.goto("about:blank")
        self.page.goto(self.url + address)
        self.page.locator("body[data-ready]").wait_for()

    def reset(self) -> None:
        """Load the page without anything that was chosen before."""
        self.page.evaluate("localStorage.clear()")
        self.goto()
        self.set(backbone="tiny", size=64, steps=3)

    def set(self, **settings: object) -> None:
        """Fill in the fields of settings."""
        for name, value in settings.items():
            field = self.page.locator(f"#setting-{name}")
            if not field.is_visible():
                self.page.locator("#more-settings" if name in MORE_SETTINGS else "#advanced-settings").evaluate(
                    "each => each.open = true"
                )
            if field.evaluate("each => each.tagName") == "SELECT":
                field.select_option(str(value))
            else:
                field.fill(str(value))
                field.press("Tab")

    def choose(self, field: str, name: str) -> None:
        """Choose a picture of the field `contents` or `styles`."""
        self.page.locator(f"#{field} input[value='{name}']").check(force=True)

    def method(self, name: str) -> None:
        """Choose a technique."""
        card = self.page.locator(f"#techniques input[value='{name}']")
        if not card.is_visible():
            self.page.locator("#more-techniques").evaluate("each => each.open = true")
        card.check(force=True)

    def upload(self, kind: str, *files: tuple[str, bytes]) -> None:
        """Choose files as photos or as styles, without waiting for the upload."""
        given = [{"name": name, "mimeType": "image/png", "buffer": data} for name, data in files]
        self.page.locator(f"#{kind} input[type=file]").set_input_files(given)

    def wait_for(self, status: str, *, not_key: str = "") -> str:
        """Wait until the stage shows a job with a status, and return its key."""
        stage = self.page.locator(f"#stage[data-status={status}]:not([data-key='{not_key or 'none'}'])")
        stage.wait_for()
        return stage.get_attribute("data-key") or ""

    def paint(self, status: str = "done") -> str:
        """Press Paint, wait for a status of the new job, and return its key."""
        before = self.page.locator("#stage").get_attribute("data-key") or ""
        self.page.locator("#paint").click()
        return self.wait_for(status, not_key=before)

    def check(self) -> None:
        """Assert that the page requested nothing from other hosts and logged no errors."""
        foreign = [url for url in self.requests if not url.startswith((self.url, "data:", "blob:", "about:"))]
        assert foreign == []
        assert [text for text in self.errors if "status of 400" not in text] == []


@pytest.fixture(scope="module")
def desktop(browser: Browser, studio: Studio) -> Visit:
    context = browser.new_context(viewport=DESKTOP)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    return Visit(context.new_page(), studio.url)


@pytest.fixture
def visit(desktop: Visit, studio: Studio) -> Iterator[Visit]:
    """The desktop page, loaded without earlier choices, with settings of a job that takes a moment."""
    desktop.reset()
    yield desktop
    for key in [*studio.service.queue._jobs]:
        studio.service.queue.stop(key)
    desktop.check()


def choose_techniques(page: Any, methods: Sequence[str]) -> None:
    """Check the boxes of the techniques that are compared, and no others."""
    boxes = page.locator("[name=compare-method]")
    boxes.first.wait_for()  # `all` does not wait
    for box in boxes.all():
        box.set_checked(box.get_attribute("value") in methods)


def newest_record(studio: Studio) -> dict[str, Any]:
    return studio.service.history.entries()[0].record()


def cut_out() -> bytes:
    """A PNG whose right half is transparent."""
    import io

    pixels = np.full((48, 64, 4), (250, 220, 0, 255), np.uint8)
    pixels[:, 32:, 3] = 0
    file = io.BytesIO()
    PIL.Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


# --- the first visit ---


def test_the_first_visit_shows_examples_and_one_click_paints_one(visit: Visit, studio: Studio) -> None:
    page = visit.page
    page.evaluate("localStorage.clear()")
    visit.goto()
    welcome = page.locator(".welcome")
    assert welcome.is_visible()
    assert not page.locator("#stage .stage").is_visible()
    assert page.evaluate(
        "async () => { const all = [...document.querySelectorAll('.examples img')];"
        " await Promise.all(all.map(each => each.decode())); return all.map(each => each.naturalWidth); }"
    ) == [SIZE] * len(EXAMPLES)
    with page.expect_file_chooser():
        page.locator("#add-photo").click()
    page.locator(".examples button", has_text="Coffee in the style of Geometric").click()
    page.locator("#stage .stage").wait_for()
    page.locator("#stage[data-key]:not([data-key=''])").wait_for()
    (state,) = [each for each in studio.service.queue.states() if each.is_live]
    assert (state.request.content, state.request.styles, state.request.method) == ("coffee", ("geometric",), "nnst")
    page.locator("#stop").click()
    visit.goto()
    assert not welcome.is_visible()


# --- nothing is lost ---


def test_a_job_shows_previews_progress_result_and_downloads(
    visit: Visit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "PREVIEW_INTERVAL", 0.05)  # the server runs in this process
    page = visit.page
    visit.choose("contents", "coffee")
    visit.choose("styles", "mosaic")
    visit.set(steps=80, strength=70)
    page.evaluate(RECORD)
    key = visit.paint()
    seen = page.evaluate("[...window.seen]")
    assert f"jobs/{key}/preview" in seen
    assert any(text.endswith(" % · impasto") for text in seen if text)
    assert page.locator("#status").inner_text().startswith("Finished in ")
    assert page.locator("#share").is_hidden()  # this browser cannot share files
    page.locator("#details summary").first.click()
    page.locator("#details polyline").nth(2).wait_for()
    with page.expect_download() as download:
        page.locator("#download").click()
    download.value.save_as(tmp_path / "out.png")
    with PIL.Image.open(tmp_path / "out.png") as picture:
        record = json.loads(picture.info["impasto"])
    assert [each["path"] for each in record["inputs"]] == ["coffee", "mosaic"]
    assert (record["settings"]["size"], record["settings"]["strength"], record["steps"]) == (64, 70, 80)
    page.get_by_text("Repeat in a terminal").click()
    command = page.locator("#details pre").first.inner_text()
    assert command.startswith("impasto stylize coffee mosaic -o out.png --method gatys ")
    assert set(command.split(" --")[1:]) == {
        "method gatys",
        "backbone tiny",
        "size 64",
        "strength 70.0",
        "steps 80",
    }
    page.locator("#details button", has_text="Copy").first.click()
    page.locator("#details button", has_text="Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == command


def test_a_reload_shows_the_running_job_and_the_choices_again(visit: Visit, studio: Studio) -> None:
    page = visit.page
    visit.choose("contents", "coffee")
    visit.choose("styles", "woodcut")
    visit.set(steps=ENDLESS, strength=80)
    key = visit.paint("running")
    page.reload()
    assert visit.wait_for("running") == key
    assert page.locator("#contents :checked").get_attribute("value") == "coffee"
    assert page.locator("#styles [name=style]:checked").get_attribute("value") == "woodcut"
    assert page.locator("#setting-strength").input_value() == "80"
    page.locator("#stop").click()
    visit.wait_for("stopped")
    assert page.locator("#status").inner_text() == "Stopped. Your picture is saved."
    assert newest_record(studio)["stopped"] == "cancelled"


@pytest.mark.slow
def test_the_address_of_a_job_shows_its_picture_after_a_restart(visit: Visit, earlier_key: str) -> None:
    visit.goto(f"#job={earlier_key}")
    visit.page.locator(f"#stage .after[src='pictures/{earlier_key}.png']").wait_for()
    assert visit.page.locator("#download").get_attribute("href") == f"pictures/{earlier_key}.png"


@pytest.mark.slow
def test_every_tab_shows_the_queue_and_stops_its_jobs(visit: Visit, studio: Studio) -> None:
    page = visit.page
    visit.set(steps=ENDLESS)
    first = visit.paint("running")
    second = visit.paint("waiting")
    assert page.locator("#status").inner_text() == "Queued: 1 job ahead of this one"
    for tab in ("gallery", "compare"):
        page.locator(f"nav [data-tab={tab}]").click()
        page.locator("#queue summary", has_text="1 queued").wait_for()
    page.locator("#queue summary").click()
    stops = page.locator("#queue li button")
    assert stops.count() == 2
    stops.nth(1).click()
    page.locator("#queue li").nth(1).wait_for(state="detached")
    assert studio.service.queue.wait(second, TIMEOUT).status == "cancelled"
    stops.first.click()
    assert studio.service.queue.wait(first, TIMEOUT).status == "stopped"
    page.locator("#queue").wait_for(state="hidden")


def test_files_are_dropped_and_pasted_anywhere_on_the_page(visit: Visit, studio: Studio) -> None:
    page = visit.page
    lion = [["lion.png", "image/png", base64.b64encode(random_picture(seed=31)).decode()]]
    sea = [["sea.png", "image/png", base64.b64encode(random_picture(seed=32)).decode()]]
    dune = [["dune.png", "image/png", base64.b64encode(random_picture(seed=33)).decode()]]
    stage = page.locator("#stage")
    assert stage.evaluate(GIVE_FILES, ["dragover", lion])
    page.locator("#drop").evaluate("each => { each.hidden = false; }")
    assert page.locator("#drop [data-target=style]").evaluate(GIVE_FILES, ["drop", sea])
    page.locator("#styles label:has(:checked)", has_text="sea").wait_for()
    assert stage.evaluate(GIVE_FILES, ["drop", lion])
    page.locator("#contents label:has(:checked)", has_text="lion").wait_for()
    assert page.locator("body").evaluate(GIVE_FILES, ["paste", dune])
    page.locator("#contents label:has(:checked)", has_text="dune").wait_for()
    assert page.url.startswith(visit.url)
    page.reload()
    page.locator("#contents label", has_text="lion").wait_for()
    assert page.locator("#styles label", has_text="lion").count() == 0
    visit.paint()
    record = newest_record(studio)
    assert [studio.service.page_name(each["path"]) for each in record["inputs"]] == [
        page.locator(f"#{field} :checked").get_attribute("value") for field in ("contents", "styles")
    ]
    page.locator("nav [data-tab=gallery]").click()
    page.locator("#gallery-grid li", has_text="dune in the style of sea").first.wait_for()


@pytest.mark.slow
def test_ones_own_style_replaces_the_chosen_one_unless_styles_are_blended(visit: Visit, studio: Studio) -> None:
    page = visit.page
    visit.upload("styles", ("waves.png", random_picture(seed=34)))
    page.locator("#styles label:has(:checked)", has_text="waves").wait_for()
    assert page.locator("#styles .tile :checked").count() == 1
    page.locator("#blend").check()
    visit.choose("styles", "mosaic")
    assert page.locator("#styles .tile :checked").count() == 2
    weight = page.get_by_label("Weight of Mosaic")
    weight.fill("20")
    visit.paint()
    assert newest_record(studio)["settings"]["style_mix"] == [50, 20]


@pytest.mark.slow
def test_another_photo_resets_download_and_keep_painting(visit: Visit, studio: Studio) -> None:
    page = visit.page
    visit.paint()
    for name in ("download", "continue", "larger"):
        page.locator(f"#{name}").wait_for()
    visit.choose("contents", "coffee")
    for name in ("download", "continue", "larger"):
        page.locator(f"#{name}").wait_for(state="hidden")
    assert page.locator("#stage .before").get_attribute("src") == "sources/coffee"
    assert "content=coffee" in (page.locator("#stage .after").get_attribute("src") or "")


@pytest.mark.slow
def test_settings_survive_a_change_of_technique(visit: Visit, studio: Studio) -> None:
    page = visit.page
    visit.set(strength=80, size=96, style_loss="bures")
    visit.method("micro")
    assert page.locator("#setting-strength").input_value() == "80"
    assert page.locator("#setting-style_loss").count() == 0
    visit.method("sliced")
    assert [page.locator(f"#setting-{name}").input_value() for name in ("strength", "size", "steps")] == [
        "80",
        "96",
        "3",
    ]
    visit.paint()
    settings = newest_record(studio)["settings"]
    assert (settings["strength"], settings["size"], settings["style_loss"]) == (80, 96, "bures")


def test_a_running_job_is_changed_stopped_and_continued_at_another_size(visit: Visit, studio: Studio) -> None:
    page = visit.page
    visit.set(steps=ENDLESS)
    first = visit.paint("running")
    assert page.locator("#apply").is_hidden()
    visit.choose("styles", "woodcut")
    visit.set(strength=90)
    page.locator("#status-more", has_text="You changed the style and the style strength.").wait_for()
    page.locator("#apply").click()
    second = visit.wait_for("running", not_key=first)
    page.locator("#stop").focus()
    page.keyboard.press("Enter")
    visit.wait_for("stopped")
    assert page.evaluate("document.activeElement.id") == "paint"
    record = newest_record(studio)
    assert (record["settings"]["strength"], [each["key"] for each in record["segments"]]) == (90, [first])
    visit.set(steps=4, size=96)
    page.locator("#continue").click()
    third = visit.wait_for("done", not_key=second)
    assert (
        page.locator(f"#stage .after[src='pictures/{third}.png']").evaluate(
            "async each => (await each.decode(), each.naturalWidth)"
        )
        == 96
    )
    page.locator("#larger").click()
    fourth = visit.wait_for("done", not_key=third)
    assert studio.service.history.entry(fourth).summary["width"] == 192


@pytest.mark.slow
def test_a_picture_of_one_pass_offers_no_continuation_and_tells_why(visit: Visit, studio: Studio) -> None:
    page = visit.page
    visit.method("micro")
    key = visit.paint()
    keep = page.locator("#continue")
    assert keep.get_attribute("aria-disabled") == "true"
    keep.click(force=True)
    page.locator(".message", has_text="Instant pictures are finished in one go").wait_for()
    assert page.locator("#download").get_attribute("href") == f"pictures/{key}.png"


@pytest.mark.slow
def test_the_size_may_be_zero_or_larger_than_the_slider(visit: Visit, studio: Studio) -> None:
    visit.upload("contents", ("small.png", random_picture(size=(60, 50), seed=35)))
    visit.page.locator("#contents label:has(:checked)", has_text="small").wait_for()
    page = visit.page
    page.locator("#more-settings").evaluate("each => each.open = true")
    page.get_by_role("button", name="As my photo").click()
    assert page.locator("#setting-size").input_value() == "0"
    visit.paint()
    assert newest_record(studio)["settings"]["size"] == 0
    assert studio.service.history.entries()[0].summary["width"] == 60
    visit.set(size=70000)
    visit.page.locator("#paint").click()
    visit.page.locator(".message.error", has_text="size: input should be less than or equal to 65536").wait_for()


def test_every_file_that_cannot_be_read_is_named_until_its_message_is_closed(visit: Visit) -> None:
    page = visit.page
    visit.upload("contents", ("notes.txt", b"notes"), ("evil.svg", b"<svg/>"), ("tree.png", random_picture(seed=36)))
    page.locator("#contents label:has(:checked)", has_text="tree").wait_for()
    errors = page.locator(".message.error")
    assert [name for name in ("notes.txt", "evil.svg") if errors.filter(has_text=name).count() == 1] == [
        "notes.txt",
        "evil.svg",
    ]
    errors.first.get_by_label("Close").click()
    assert errors.count() == 1


@pytest.mark.slow
def test_an_animation_and_weights_that_are_missing_are_mentioned(visit: Visit, studio: Studio) -> None:
    page = visit.page
    frames = [PIL.Image.new("RGB", (40, 30), color) for color in ("red", "blue")]
    import io

    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    visit.upload("contents", ("dance.gif", file.getvalue()))
    page.locator(".message", has_text="dance: animated; only the first of 2 frames is used").wait_for()
    visit.set(polish=3)
    page.locator("#paint").click()
    page.locator(".message.error", has_text="are not on this machine").get_by_role("button", name="Download").wait_for()
    assert not any(each.is_live for each in studio.service.queue.states())


# --- the stage ---


@pytest.mark.slow
def test_the_divider_is_dragged_on_the_picture_with_before_on_the_left(visit: Visit) -> None:
    page = visit.page
    after = page.locator("#stage .after")
    after.evaluate("each => each.decode()")
    box = page.locator("#stage .picture").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 60, steps=3)
    page.mouse.up()
    clips = [
        page.locator(f"#stage .{name}").evaluate("each => getComputedStyle(each).clipPath")
        for name in ("before", "after")
    ]
    assert [clip.replace("calc(100% - 50%)", "50%") for clip in clips] == [
        "inset(0px 50% 0px 0px)",
        "inset(0px 0px 0px 50%)",
    ]
    page.get_by_label("Before and after").focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    assert page.get_by_label("Before and after").get_attribute("aria-valuenow") == "60"


@pytest.mark.slow
def test_a_cut_out_lies_on_a_checkerboard_and_not_on_the_photo(visit: Visit) -> None:
    page = visit.page
    visit.upload("contents", ("cut-out.png", cut_out()))
    page.locator("#contents label:has(:checked)", has_text="cut-out").wait_for()
    visit.paint()
    page.locator("#stage .after").evaluate("each => each.decode()")
    clip = page.locator("#stage .before").evaluate("each => getComputedStyle(each).clipPath")
    assert clip.replace("calc(100% - 0%)", "100%") == "inset(0px 100% 0px 0px)"
    assert "conic-gradient" in page.locator("#stage .picture").evaluate(
        "each => getComputedStyle(each).backgroundImage"
    )


@pytest.mark.slow
def test_instant_versions_appear_on_the_styles_and_on_the_stage(visit: Visit) -> None:
    page = visit.page
    visit.choose("contents", "rocket")
    page.wait_for_function(
        "() => [...document.querySelectorAll('#styles img.instant')].every(each => each.src.includes('content=rocket'))"
    )
    visit.choose("styles", "inkwash")
    page.locator("#stage .after[src*='style=inkwash']").evaluate("each => each.decode()")
    assert page.locator("#status").inner_text() == "Instant preview."


@pytest.mark.slow
def test_buttons_stay_in_their_place_while_a_job_runs(visit: Visit) -> None:
    page = visit.page
    page.locator("#stage .after").evaluate("each => each.decode()")
    visit.set(steps=ENDLESS)
    page.evaluate("scrollTo(0, 0)")
    before = page.evaluate(POSITIONS)
    page.locator("#paint").focus()
    page.keyboard.press("Enter")
    visit.wait_for("running")
    assert page.evaluate("document.activeElement.id") == "paint"
    assert page.evaluate(POSITIONS) == before
    page.locator("#stop").click()
    visit.wait_for("stopped")
    assert page.evaluate(POSITIONS) == before
    box = page.locator("#download").bounding_box()
    assert box is not None
    assert box["y"] + box["height"] < DESKTOP["height"]


@pytest.mark.slow
def test_shortcuts_paint_and_stop(visit: Visit) -> None:
    page = visit.page
    visit.set(steps=ENDLESS)
    page.keyboard.press("Control+Enter")
    visit.wait_for("running")
    page.locator("h1").click()
    page.keyboard.press("Escape")
    visit.wait_for("stopped")


# --- gallery, comparison, regions, lab ---


@pytest.mark.slow
def test_the_last_card_of_the_gallery_opens_on_the_screen_and_arrow_keys_walk(visit: Visit, studio: Studio) -> None:
    page = visit.page
    for style in ("mosaic", "woodcut"):
        visit.choose("styles", style)
        visit.paint()
    page.locator("nav [data-tab=gallery]").click()
    page.locator("#gallery-grid li button").first.wait_for()
    page.locator("#gallery-grid li > button:not(.star)").last.click()
    dialog = page.locator("dialog[open]")
    dialog.locator("h2").wait_for()
    box = dialog.locator(".picture").bounding_box()
    assert box is not None
    assert box["y"] >= 0
    assert box["y"] + box["height"] <= DESKTOP["height"]
    first = dialog.locator(".after").get_attribute("src")
    page.keyboard.press("ArrowRight")
    page.locator(f"dialog .after:not([src='{first}'])").wait_for()
    page.keyboard.press("Escape")
    dialog.wait_for(state="detached")


@pytest.mark.slow
def test_a_result_is_edited_in_paint_and_shown_there(visit: Visit, earlier_key: str) -> None:
    page = visit.page
    visit.goto("#gallery")
    page.locator(f"#gallery-grid [data-key='{earlier_key}'] > button:not(.star)").click()
    page.locator("#viewer-edit").click()
    page.locator(f"#stage .after[src='pictures/{earlier_key}.png']").wait_for()
    assert page.locator("#continue").get_attribute("aria-disabled") == "false"
    assert page.locator("#styles [name=style]:checked").get_attribute("value") == "mosaic"
    assert page.locator("#setting-size").input_value() == "64"


@pytest.mark.slow
def test_a_result_of_an_earlier_run_is_painted_again_bit_for_bit(
    visit: Visit, studio: Studio, earlier_key: str
) -> None:
    page, history = visit.page, studio.service.history
    visit.goto("#gallery")
    page.locator(f"#gallery-grid [data-key='{earlier_key}'] > button:not(.star)").click()
    page.locator("#viewer-replay").click()
    key = visit.wait_for("done", not_key=earlier_key)
    pictures = [PIL.Image.open(history.entry(each).picture).tobytes() for each in (key, earlier_key)]
    assert pictures[0] == pictures[1]


def test_results_are_found_starred_packed_deleted_and_restored(visit: Visit, studio: Studio, tmp_path: Path) -> None:
    page, history = visit.page, studio.service.history
    visit.choose("contents", "rocket")
    visit.choose("styles", "geometric")
    key = visit.paint()
    page.locator("nav [data-tab=gallery]").click()
    page.get_by_label("Search the gallery").fill("rocket geometric classic")
    card = page.locator(f"#gallery-grid [data-key='{key}']")
    card.wait_for()
    assert page.locator("#gallery-grid > li").count() == 1
    card.locator(".star").click()
    page.locator(f"#gallery-grid [data-key='{key}'] .star[aria-pressed=true]").wait_for()
    page.locator("#gallery-select").click()
    card.locator("button:not(.star)").click()  # selects it, and does not open it
    assert card.locator(".pick").is_checked()
    with page.expect_download() as download:
        page.locator("#gallery-zip").click()
    download.value.save_as(tmp_path / "all.zip")
    assert (tmp_path / "all.zip").read_bytes()[:2] == b"PK"
    page.locator("#gallery-delete").click()
    card.wait_for(state="detached")
    assert not history.has(key)
    page.locator(".message").get_by_text("Undo").click()
    card.wait_for()
    assert history.has(key)


@pytest.mark.slow
def test_versions_of_a_picture_share_a_card(visit: Visit) -> None:
    page = visit.page
    first = visit.paint()
    page.locator("#continue").click()
    second = visit.wait_for("done", not_key=first)
    page.locator("nav [data-tab=gallery]").click()
    page.locator(f"#gallery-grid [data-key='{second}'] .count", has_text="2 versions").wait_for()
    assert page.locator(f"#gallery-grid [data-key='{first}']").count() == 0


@pytest.mark.slow
def test_the_settings_of_a_picture_of_impasto_are_used_when_it_is_dropped(visit: Visit, studio: Studio) -> None:
    page = visit.page
    visit.set(strength=85)
    visit.choose("styles", "woodcut")
    key = visit.paint()
    picture = page.request.get(f"{visit.url}pictures/{key}.png").body()
    visit.reset()
    files = [["mine.png", "image/png", base64.b64encode(picture).decode()]]
    page.locator("#stage").evaluate(GIVE_FILES, ["drop", files])
    page.locator(".message").get_by_text("Use its settings").click()
    page.locator("#contents label:has(:checked)", has_text="Cat").wait_for()
    assert page.locator("#setting-strength").input_value() == "85"
    assert page.locator("#styles [name=style]:checked").get_attribute("value") == "woodcut"


def test_techniques_are_compared_in_a_table_that_survives_a_reload(visit: Visit) -> None:
    page = visit.page
    page.locator("nav [data-tab=compare]").click()
    choose_techniques(page, ("gatys", "micro"))
    for name, value in {"strengths": "30 70", "size": "64"}.items():
        page.locator(f"#compare-{name}").fill(value)
    page.locator("#compare-quality").select_option(label="Draft")
    page.locator("#compare-start").click()
    page.wait_for_function("() => document.querySelectorAll('#compare-grid img[src^=pictures]').length === 4")
    assert page.locator("#compare-grid tbody th").all_inner_texts() == ["Classic", "Instant"]
    assert page.locator("#compare-grid thead th").all_inner_texts()[1:] == [
        "Strength 30, brush 1",
        "Strength 70, brush 1",
    ]
    page.reload()
    page.wait_for_function("() => document.querySelectorAll('#compare-grid img[src^=pictures]').length === 4")
    page.locator("#compare-grid .thumb button").nth(1).click()
    page.locator("#viewer-edit").click()
    page.locator("#stage .after[src^=pictures]").wait_for()
    assert page.locator("#setting-strength").input_value() == "70"


@pytest.mark.slow
def test_a_comparison_is_stopped(visit: Visit, studio: Studio) -> None:
    page = visit.page
    page.locator("nav [data-tab=compare]").click()
    choose_techniques(page, ("gatys",))
    for name, value in {"strengths": "30 70", "size": "1024"}.items():
        page.locator(f"#compare-{name}").fill(value)
    page.locator("#compare-quality").select_option(label="Best")
    page.locator("#compare-start").click()
    page.locator("#compare-grid img[src^=jobs]").first.wait_for()
    page.locator("#compare-stop").click()
    page.locator("#compare-grid", has_text="Cancelled.").wait_for()
    page.locator("#compare-stop").wait_for(state="hidden")
    assert newest_record(studio)["stopped"] == "cancelled"


def draw(page: Page, rows: tuple[float, ...]) -> None:
    """Draw horizontal strokes over the middle of the photo in the editor of regions."""
    box = page.locator(".editor canvas").bounding_box()
    assert box is not None
    for row in rows:
        page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + box["height"] * row)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + box["height"] * row, steps=4)
        page.mouse.up()


def test_regions_are_drawn_over_the_photo_and_kept_for_it(visit: Visit, studio: Studio) -> None:
    page = visit.page
    page.locator("#blend").check()
    visit.choose("styles", "mosaic")
    page.locator("#open-regions").click()
    page.locator(".board img").evaluate("each => each.decode()")
    opacity = page.locator(".editor canvas").evaluate("each => getComputedStyle(each).opacity")
    assert float(opacity) < 0.8  # the photo is visible below
    assert page.locator(".editor .swatch").count() == 2
    draw(page, (0.45, 0.55))
    page.locator("#regions-use").click()
    page.locator("#use-regions").wait_for()
    visit.choose("contents", "coffee")
    page.locator("#use-regions").wait_for(state="detached")
    visit.choose("contents", "chelsea")
    assert page.locator("#use-regions").is_checked()
    visit.paint()
    record = newest_record(studio)
    assert [each["path"] for each in record["inputs"] if each["role"] == "style"] == ["brushstrokes", "mosaic"]
    assert {name.split("/")[-1] for name in record["terms"] if name.startswith("style/")} == {"region1", "region2"}
    page.locator("#open-regions").click()
    drawn = page.locator(".editor canvas").evaluate(
        "each => each.getContext('2d').getImageData(each.width / 2, each.height / 2, 1, 1).data[3]"
    )
    assert drawn == 255
    page.keyboard.press("Escape")


def test_an_experiment_is_browsed(visit: Visit) -> None:
    page = visit.page
    page.locator("nav [data-tab=lab]").click()
    page.locator("#experiment-table tbody tr").first.wait_for()
    names = [text.split("\t")[0] for text in page.locator("#experiment-table tbody tr").all_inner_texts()]
    assert names[:2] == ["gatys", "gpdm"]
    page.locator("#experiment-grid button").first.click()
    page.locator("#experiment-viewer polyline").nth(2).wait_for()
    with page.expect_popup() as popup:
        page.get_by_text("Open the report").click()
    popup.value.locator("h1", has_text="small").wait_for()
    popup.value.close()


# --- words, keyboard, phone ---


@pytest.mark.slow
def test_three_techniques_are_shown_and_the_others_are_folded(visit: Visit) -> None:
    page = visit.page
    visible = [each for each in page.locator("#techniques .card").all() if each.is_visible()]
    assert [each.locator("b").inner_text() for each in visible] == ["Classic", "Instant", "Brushwork"]
    assert all(each.locator(".time").inner_text() for each in visible)
    page.locator("#more-techniques summary").click()
    for each in page.locator("#techniques .card").all():
        each.scroll_into_view_if_needed()
        each.locator("img").evaluate("each => each.decode()")  # fails without a picture
    assert page.locator("#more-techniques .card:visible").count() == 9
    bare = (
        "fields => fields.flatMap(each => [...each.childNodes]).filter(each => each.nodeType === Node.TEXT_NODE).length"
    )
    assert page.locator("#settings .field").count() > 10
    assert page.locator("#settings .field").evaluate_all(bare) == 0  # no "0" below a slider without presets
    visit.set(size=512)
    times = page.locator("#setting-quality .time").all_inner_texts()
    assert len({time for time in times if time}) == 3
    page.get_by_role("button", name="Bold").click()
    assert page.locator("#setting-strength").input_value() == "75"
    assert page.get_by_role("button", name="Bold").get_attribute("aria-pressed") == "true"


def tab_to(page: Page, condition: str, key: str = "Tab") -> None:
    """Press a key until the focused element fulfills a condition in JavaScript."""
    for _ in range(80):
        page.keyboard.press(key)
        if page.evaluate(f"(each => {condition})(document.activeElement)"):
            return
    raise AssertionError(f"no element with {condition}")


def test_the_page_can_be_used_with_the_keyboard_alone(visit: Visit, studio: Studio) -> None:
    page = visit.page
    page.locator("h1").click()
    reached = []
    for _ in range(30):
        page.keyboard.press("Tab")
        reached.append(page.evaluate(FOCUSED))
        if reached[-1] in ("content", "style"):  # arrow keys choose among the pictures
            page.keyboard.press("ArrowLeft" if reached[-1] == "content" else "ArrowRight")
    assert {"paint", "slider", "content", "style", "method"} <= set(reached)
    assert "" not in reached
    page.keyboard.press("Control+Enter")
    visit.wait_for("done")
    assert [each["path"] for each in newest_record(studio)["inputs"]] == ["coffee", "mosaic"]
    tab_to(page, "each.dataset.tab === 'gallery'", "Shift+Tab")
    page.keyboard.press("Enter")
    tab_to(page, "each.closest('#gallery-grid') !== null && each.tagName === 'BUTTON'")
    page.keyboard.press("Enter")
    page.locator("dialog h2").wait_for()
    page.keyboard.press("Escape")
    page.locator("dialog").wait_for(state="detached")
    assert page.evaluate("document.activeElement.closest('#gallery-grid') !== null")


@pytest.mark.slow
def test_an_upload_is_removed_by_a_key_and_the_removal_undone(visit: Visit) -> None:
    page = visit.page
    visit.upload("contents", ("owl.png", random_picture(seed=37)))
    owl = page.locator("#contents label", has_text="owl")
    owl.locator("input").focus()
    page.keyboard.press("Delete")
    owl.wait_for(state="detached")
    page.locator(".message", has_text="owl removed").get_by_role("button", name="Undo").click()
    owl.wait_for()


@pytest.mark.slow
def test_a_phone_finds_the_address_in_a_qr_code(visit: Visit) -> None:
    import cv2

    page = visit.page
    page.get_by_role("button", name="Open on a phone").click()
    image = page.locator("dialog .address img")
    image.evaluate("each => each.decode()")
    shot = cv2.imdecode(np.frombuffer(image.screenshot(), np.uint8), cv2.IMREAD_GRAYSCALE)
    address = page.locator("dialog code").inner_text()
    assert address.startswith("http://192.0.2.7:7860/?token=")
    assert cv2.QRCodeDetector().detectAndDecode(shot)[0] == address
    page.keyboard.press("Escape")


@pytest.mark.slow
def test_a_dropped_clip_is_painted_found_after_a_reload_and_played(
    visit: Visit, studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "PREVIEW_INTERVAL", 0)  # the server runs in this process
    page = visit.page
    visit.set(steps=ENDLESS)
    picture = visit.paint("running")  # so that the video waits, and the page can be loaded again
    film = write_video(tmp_path / "beach.mp4", moving_square(), sound="aac").read_bytes()
    files = [
        [name, "video/mp4", base64.b64encode(data).decode()] for name, data in (("a.mp4", b"no"), ("beach.mp4", film))
    ]
    assert page.locator("body").evaluate(GIVE_FILES, ["drop", files])
    page.locator("#clips label:has(:checked)", has_text="beach").wait_for()
    assert page.locator(".message.error").all_inner_texts()[0].startswith("'a.mp4': it is not a video file, or corrupt")
    page.locator("#video-size").fill("64")
    page.locator("#video-start").fill("9")
    page.locator("#video-paint").click()
    page.locator(".message", has_text="start: 9 s is not before the end of 'beach'").wait_for()
    page.locator("#video-start").fill("")
    page.locator("#video-styles input[value=mosaic]").check(force=True)
    page.locator("#video-paint").click()
    page.locator("#video-stage[data-status=waiting]").wait_for()
    page.reload()
    page.locator("#video-stage[data-status=waiting]").wait_for()
    assert page.evaluate(OVERFLOW) == []
    studio.service.queue.stop(picture)
    video = page.locator("#video-stage[data-status=done] video")
    video.wait_for()
    video.evaluate("each => each.readyState >= 2 || new Promise(done => each.addEventListener('loadeddata', done))")
    assert video.evaluate("each => [each.videoWidth, each.videoHeight]") == [64, 48]
    assert 0.24 <= video.evaluate("each => each.duration") < 1.1  # the sound has a second
    assert page.locator("#video-more").inner_text() == "6 of 6 frames"
    with page.expect_download() as download:
        page.locator("#video-download").click()
    assert download.value.suggested_filename.endswith(".mp4")
    title = "beach in the style of Brushstrokes and Mosaic"
    page.locator("#video-list li", has_text=title).wait_for()
    page.get_by_role("button", name=f"Delete {title}").click()
    page.get_by_role("button", name="Yes, delete").click()
    page.locator("#video-list li").wait_for(state="detached")


@pytest.mark.slow
def test_a_style_gets_a_fast_network_that_paints_previews_and_pictures(
    visit: Visit, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings_of_trainings = []

    def train(style: Path, file: Path, *, on_step: Any, **settings: Any) -> Adapted:
        settings_of_trainings.append(settings)
        steps = 0  # the real training takes a minute
        while on_step(Step(steps + 1, {"style": 0.5}, steps / 100, total=ENDLESS)):
            steps += 1
            time.sleep(0.01)
        network = Micro()
        load_weights(network, MicroMethod.bundled)
        save_weights(network, file, styles_metadata([encode_style(style.stem, load_image(style, size=64))]))
        return Adapted(file, (style.stem,), steps, 1.0, {"style": 0.5}, "cancelled")

    monkeypatch.setattr("impasto.studio.networks.adapt", train)  # the server runs in this process
    for module in ("networks", "service"):
        monkeypatch.setattr(f"impasto.studio.{module}.sample_networks", dict)  # those that are bundled
    monkeypatch.setattr("impasto.methods.micro.sample_network_of", lambda _: None)
    visit.goto()
    page = visit.page
    visit.choose("styles", "mosaic")
    page.locator("#make-fast").click()
    page.locator("#fast-status", has_text="loss 0.50").wait_for()
    page.locator("#discard-fast").click()
    page.locator("#make-fast").wait_for()
    page.locator("#make-closer").click()
    page.locator("#fast-status", has_text="Training\u2026 0 %").wait_for()
    assert settings_of_trainings == [{}, {"steps": 1000}]
    visit.goto()  # the training is found again
    page.locator("#keep-fast").click()
    page.locator(".message", has_text="The network for Mosaic is ready").get_by_role(
        "button", name="Paint with"
    ).click()
    assert page.locator("#techniques input:checked").input_value() == "micro"
    assert page.locator("#use-fast").is_checked()
    assert page.locator("#styles .tile:has(.badge)").all_inner_texts() == ["fast\nMosaic"]
    page.wait_for_function("document.querySelector('#stage .after').src.includes('network=')")
    visit.paint()
    assert newest_record(studio)["settings"]["weights"].endswith("network.safetensors")
    with page.expect_download() as download:
        page.locator("#download-fast").click()
    assert download.value.suggested_filename == "mosaic.safetensors"
    assert accessibility_faults(page) == {}
    page.locator("#blend").check()
    visit.choose("styles", "inkwash")
    page.locator("#fast-unused", has_text="without the fast network for Mosaic, which takes one style").wait_for()
    page.locator("#blend").uncheck()
    page.locator("#fast-unused").wait_for(state="hidden")
    page.locator("#use-fast").uncheck()
    visit.paint()
    assert newest_record(studio)["settings"]["weights"] == "micro"
    (key,) = (entry["key"] for entry in studio.service.networks.entries())
    stored = studio.service.networks.folder / key
    stored.rename(stored.with_name("elsewhere"))  # as if another page had removed it
    page.locator("#make-fast").wait_for()
    stored.with_name("elsewhere").rename(stored)
    page.locator("#remove-fast").click()
    page.get_by_role("button", name="Yes, remove").click()
    page.locator("#make-fast").wait_for()
    assert studio.service.networks.entries() == []


@pytest.mark.slow
def test_two_pages_at_once_show_their_own_jobs(visit: Visit, studio: Studio) -> None:
    other = Visit(visit.page.context.browser.new_page(), studio.url)  # type: ignore[union-attr]
    other.reset()
    for each, style in ((visit, "inkwash"), (other, "geometric")):
        each.choose("styles", style)
        each.set(steps=20)
    for each in (visit, other):
        each.page.locator("#paint").click()
    for each, style in ((visit, "Ink wash"), (other, "Geometric")):
        each.wait_for("done")
        each.page.locator(f"#stage .after[alt*='in the style of {style}']").wait_for()
    other.check()
    other.page.close()


@pytest.mark.slow
def test_the_page_has_no_accessibility_faults(visit: Visit) -> None:
    faults = {}
    visit.page.evaluate("localStorage.clear()")
    visit.goto()
    for tab in ("first", "address", *TABS, "viewer", "regions"):
        if tab == "first":
            visit.page.locator(".welcome").wait_for()
        elif tab == "address":
            visit.page.locator("#open-phone").click()
            visit.page.locator("dialog img").evaluate("each => each.decode()")
        elif tab == "regions":
            visit.goto()
            visit.page.locator("#blend").check()
            visit.choose("styles", "mosaic")
            visit.page.locator("#open-regions").click()
            visit.page.locator(".board img").evaluate("each => each.decode()")
        elif tab == "viewer":
            visit.goto("#gallery")
            visit.page.locator("#gallery-grid li > button:not(.star)").first.click()
            visit.page.locator("dialog h2").wait_for()
        else:
            visit.page.locator(f"nav [data-tab={tab}]").click()
        if tab == "paint":
            visit.set(backbone="tiny", size=64, steps=3)
            visit.paint()
        for fold in visit.page.locator("details").all():
            if fold.get_attribute("id") != "queue":
                fold.evaluate("each => { each.open = true; }")
        for scheme in ("light", "dark"):
            visit.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            visit.page.wait_for_timeout(300)
            faults |= {f"{tab}, {scheme}: {rule}": html for rule, html in accessibility_faults(visit.page).items()}
        visit.page.keyboard.press("Escape")
    assert faults == {}


@pytest.fixture
def phone(browser: Browser, studio: Studio) -> Iterator[Visit]:
    page = browser.new_page(viewport=PHONE, has_touch=True, is_mobile=True)
    page.add_init_script(SHARE)
    visit = Visit(page, studio.url)
    visit.reset()
    yield visit
    visit.check()
    visit.page.close()


def test_a_phone_shows_every_tab_without_horizontal_scrolling_and_with_large_targets(phone: Visit) -> None:
    page = phone.page
    overflow, small = {}, {}
    phone.paint()
    for tab in TABS:
        page.locator(f"nav [data-tab={tab}]").click()
        page.locator(f"[data-panel={tab}]").wait_for()
        page.wait_for_timeout(200)
        overflow[tab], small[tab] = page.evaluate(OVERFLOW), page.evaluate(SMALL_TARGETS)
    assert overflow == {tab: [] for tab in TABS}
    assert small == {tab: [] for tab in TABS}
    page.locator("nav [data-tab=paint]").click()
    page.evaluate("scrollTo(0, 900)")
    boxes = [page.locator(each).bounding_box() for each in ("#stage", "#paint")]
    assert all(box is not None and 0 <= box["y"] <= PHONE["height"] - box["height"] for box in boxes)


def touch(page: Page, paths: list[list[tuple[float, float]]]) -> None:
    """Move fingers over the page, each along its own path of equal length."""
    session = page.context.new_cdp_session(page)
    steps = [[{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(points)] for points in zip(*paths, strict=True)]
    for kind, points in zip(("touchStart", *["touchMove"] * (len(steps) - 1)), steps, strict=True):
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


@pytest.mark.slow
def test_a_phone_draws_regions_with_a_finger_and_shares_the_picture(phone: Visit) -> None:
    page = phone.page
    page.locator("#blend").check()
    phone.choose("styles", "mosaic")
    page.locator("#open-regions").click()
    page.locator(".board img").evaluate("each => each.decode()")
    canvas = page.locator(".editor canvas")
    box = canvas.bounding_box()
    assert box is not None
    assert page.evaluate(OVERFLOW) == []
    assert box["y"] + box["height"] < PHONE["height"]
    across = [(box["x"] + box["width"] * part, box["y"] + box["height"] / 2) for part in (0.2, 0.4, 0.6, 0.8)]
    scrolled = page.evaluate("scrollY")
    touch(page, [across, [(x, y + box["height"] * 0.4) for x, y in across]])  # the second finger draws nothing
    drawn = """each => [0.5, 0.9].map(row => each.getContext('2d')
      .getImageData(each.width * 0.7, each.height * row, 1, 1).data[3])"""
    assert canvas.evaluate(drawn) == [255, 0]
    assert page.evaluate("scrollY") == scrolled
    page.locator("#regions-use").click()
    page.locator("#use-regions").wait_for()
    key = phone.paint()
    page.locator("#share").click()
    page.wait_for_function("() => window.shared.length")
    ((title, name, size),) = page.evaluate("window.shared")
    assert (title, name) == ("Cat in the style of Brushstrokes and Mosaic", f"impasto-{key[:15]}.png")
    assert size == len(page.request.get(f"{phone.url}pictures/{key}.png").body())


# --- from the first visit to a saved picture ---


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_no_step_of_a_session_loses_a_picture_or_a_setting(
    browser: Browser, tmp_path: Path, viewport: Any, scheme: Any
) -> None:
    page = browser.new_page(viewport=viewport, color_scheme=scheme, has_touch=viewport is PHONE)
    with open_studio(tmp_path / "studio") as studio:
        visit, port = Visit(page, studio.url), urlsplit(studio.url).port or 0
        session = Session(visit, studio)
        session.choose_own_pictures()
        session.paint_change_and_continue()
        session.draw_regions()
        session.compare()
        page.goto("about:blank")
    with open_studio(tmp_path / "studio", port=port) as studio:
        session.return_after_a_restart(studio)
    visit.check()
    page.close()


class Session:
    """An artist, who has painted `keys` so far with the settings `set`; nothing of it may ever be missing."""

    def __init__(self, visit: Visit, studio: Studio) -> None:
        self.visit, self.page, self.studio = visit, visit.page, studio
        self.keys: list[str] = []
        self.set: dict[str, str] = {}

    def choose_own_pictures(self) -> None:
        """Drop a photo and a style; every style and the stage show the photo at once."""
        page = self.page
        page.locator(".welcome").wait_for()
        for kind, name, seed in (("content", "lion", 81), ("style", "sea", 82)):
            file = [[f"{name}.png", "image/png", base64.b64encode(random_picture(size=(64, 48), seed=seed)).decode()]]
            assert page.locator("#stage").evaluate(GIVE_FILES, ["dragover", file])
            page.locator(f"#drop [data-target={kind}]").evaluate(GIVE_FILES, ["drop", file])
            page.locator(f"#{kind}s label:has(:checked)", has_text=name).wait_for()
        photo = page.locator("#contents :checked").get_attribute("value")
        page.wait_for_function(
            "photo => [...document.querySelectorAll('#styles img.instant, #stage .after')].every(each =>"
            " each.complete && each.naturalWidth && each.src.includes(photo))",
            arg=photo,
        )
        self.verify()

    def paint_change_and_continue(self) -> None:
        """Paint, reload, apply changes, stop, keep painting, and make the picture larger."""
        page = self.page
        self.choose(backbone="tiny", size=64, steps=ENDLESS, strength=70)
        self.keys.append(self.visit.paint("running"))
        page.reload()
        assert self.visit.wait_for("running") == self.keys[-1]
        self.choose(strength=40)
        self.press("apply", "running")
        page.locator("#stop").click()
        self.visit.wait_for("stopped")
        self.choose(steps=4)
        self.press("continue", "done")
        self.press("larger", "done")
        assert self.studio.service.history.entry(self.keys[-1]).summary["width"] == 128
        self.verify()

    def draw_regions(self) -> None:
        """Blend two styles, each in its own region."""
        page = self.page
        page.locator("#blend").check()
        self.visit.choose("styles", "mosaic")
        page.locator("#open-regions").click()
        page.locator(".board img").evaluate("each => each.decode()")
        assert page.evaluate(OVERFLOW) == []
        draw(page, (0.45, 0.55))
        page.locator("#regions-use").click()
        page.locator("#use-regions").wait_for()
        self.keys.append(self.visit.paint())
        assert "mask" in {each["role"] for each in newest_record(self.studio)["inputs"]}
        self.verify()

    def compare(self) -> None:
        """Compare two techniques."""
        page = self.page
        page.locator("nav [data-tab=compare]").click()
        choose_techniques(page, ("gatys", "micro"))
        page.locator("#compare-size").fill("64")
        page.locator("#compare-quality").select_option(label="Draft")
        page.locator("#compare-start").click()
        page.wait_for_function("() => document.querySelectorAll('#compare-grid img[src^=pictures]').length === 2")
        self.keys += page.locator("#compare-grid [data-key]").evaluate_all("all => all.map(each => each.dataset.key)")
        assert page.evaluate(OVERFLOW) == []
        page.locator("nav [data-tab=paint]").click()
        self.verify()

    def return_after_a_restart(self, studio: Studio) -> None:
        """Find all pictures and choices again, and use the settings of a saved picture."""
        page, self.studio = self.page, studio
        self.visit.goto()
        self.verify()
        self.visit.goto("#gallery")
        page.locator("#gallery-grid li > button:not(.star)").first.click()
        page.locator("dialog .after[src^=pictures]").evaluate("each => each.decode()")
        assert page.evaluate(OVERFLOW) == []
        page.keyboard.press("Escape")
        png = page.request.get(f"{studio.url}pictures/{self.keys[0]}.png").body()
        file = [["first.png", "image/png", base64.b64encode(png).decode()]]
        assert page.locator("body").evaluate(GIVE_FILES, ["drop", file])
        page.locator(".message").get_by_text("Use its settings").click()
        page.locator("#contents label:has(:checked)", has_text="lion").wait_for()
        self.set |= {"strength": "70", "steps": str(ENDLESS)}
        self.verify()

    def choose(self, **settings: object) -> None:
        """Fill in settings."""
        self.visit.set(**settings)
        self.set |= {name: str(value) for name, value in settings.items()}

    def press(self, button: str, status: str) -> None:
        """Press a button that starts a job from the one on the stage."""
        self.page.locator(f"#{button}").click()
        self.keys.append(self.visit.wait_for(status, not_key=self.keys[-1]))

    def verify(self) -> None:
        """Assert that the page has the chosen pictures and settings, and the gallery all pictures."""
        page = self.page
        assert page.locator("#contents label:has(:checked) span").inner_text() == "lion"
        assert "sea" in page.locator("#styles label:has(:checked) span").all_inner_texts()
        shown = {name: page.locator(f"#setting-{name}").input_value() for name in self.set}
        assert shown == self.set
        found = page.request.get(f"{self.studio.url}gallery").json()["entries"]
        assert {*self.keys} <= {entry["key"] for entry in found}
        assert page.evaluate(OVERFLOW) == []

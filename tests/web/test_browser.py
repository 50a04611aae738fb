"""The exported page in Debian's Chromium, with a small runtime in place of onnxruntime-web."""

from __future__ import annotations

import base64
import functools
import http.server
import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import PIL.Image
import pytest
from support import accessibility_faults

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = Path("/usr/bin/chromium")
pytestmark = [
    pytest.mark.skipif(not CHROMIUM.is_file(), reason=f"needs Debian's package chromium: no {CHROMIUM}"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
]
CAMERA = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
SIZES = ({"width": 1280, "height": 800}, {"width": 390, "height": 844})
WAITING = "() => document.querySelector('#status').textContent === {}"
# Drops or pastes a file, given in base 64, on an element.
GIVE_FILE = """(element, [kind, text]) => {
  const data = new DataTransfer();
  data.items.add(new File([Uint8Array.from(atob(text), each => each.charCodeAt())], "given.png", {type: "image/png"}));
  const options = {clipboardData: data, dataTransfer: data, bubbles: true, cancelable: true};
  element.dispatchEvent(kind === "paste" ? new ClipboardEvent(kind, options) : new DragEvent(kind, options));
}"""

# Records the streams of the camera.
WATCH_CAMERA = """() => {
  window.streams = [];
  const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = async wanted => { streams.push(await ask(wanted)); return streams.at(-1); };
}"""
STREAM_STATES = "streams.map(stream => stream.getVideoTracks()[0].readyState).join(' ')"
# Holds back the photos, but not the frames of the camera, until `release` is called.
HOLD_PHOTOS = """() => {
  const post = Worker.prototype.postMessage, held = [];
  Worker.prototype.postMessage = function (message, transfer) {
    if (message.action !== "stylize" || message.values.live) post.call(this, message, transfer);
    else held.push(() => post.call(this, message, transfer));
  };
  window.release = () => { Worker.prototype.postMessage = post; for (const send of held) send(); };
}"""


class SilentHandler(http.server.SimpleHTTPRequestHandler):
    """The handler of `python -m http.server` without its log."""

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture(scope="module")
def address(site: Path, adapted_site: Path) -> Iterator[str]:
    """Serve the folder two levels above the pages, and return the address of the page for any style."""
    assert adapted_site.parent == site.parent
    handler = functools.partial(SilentHandler, directory=str(site.parents[1]))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/a%20folder/site/"
        server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox", *CAMERA])
        yield chromium
        chromium.close()


class Visit:
    """An open page with its requests and its errors."""

    def __init__(self, browser: Browser, address: str) -> None:
        self.page: Page = browser.new_page(viewport=SIZES[0])
        self.page.set_default_timeout(20_000)
        self.address = address
        self.requests: list[str] = []
        self.errors: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.errors.append(message.text))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))

    def load(self) -> Page:
        self.requests.clear()
        self.errors.clear()
        self.page.goto("about:blank")
        self.page.goto(self.address)
        self.page.locator("body[data-ready]").wait_for()
        return self.page

    def painted(self) -> np.ndarray:
        """Wait for the painting, save it, and return its levels `(H, W, 3)`."""
        self.page.wait_for_function(WAITING.format("'Painted.'"))
        with self.page.expect_download() as download:
            self.page.locator("#save").click()
        assert download.value.suggested_filename.endswith(".png")
        return np.asarray(PIL.Image.open(download.value.path()).convert("RGB"), float)

    def move_strength(self, value: int) -> None:
        """Set the strength and forget the painting before."""
        self.page.evaluate("document.querySelector('#status').textContent = ''")
        self.page.locator("#strength").fill(str(value))
        self.page.locator("#strength").dispatch_event("change")


@pytest.fixture(scope="module")
def shared_visit(browser: Browser, address: str) -> Iterator[Visit]:
    visit = Visit(browser, address)
    yield visit
    visit.page.close()


@pytest.fixture
def visit(shared_visit: Visit) -> Visit:
    shared_visit.load()
    return shared_visit


def plain(color: tuple[int, int, int], size: tuple[int, int] = (128, 64)) -> bytes:
    """Return a PNG of one color; the size is width and height in pixels."""
    buffer = io.BytesIO()
    PIL.Image.new("RGB", size, color).save(buffer, "PNG")
    return buffer.getvalue()


def choose(page: Page, kind: str, data: bytes, name: str = "mine.png") -> None:
    """Choose a file as one's own photo (`contents`) or style (`styles`)."""
    file = {"name": name, "mimeType": "image/png", "buffer": data}
    page.locator(f"#{kind} input[type=file]").set_input_files(file)  # type: ignore[arg-type]


def test_a_photo_is_stylized_with_the_style_strength_and_size_that_are_chosen(visit: Visit) -> None:
    page = visit.page
    choose(page, "contents", plain((200, 100, 50)))
    page.locator("#size input[value='64']").check(force=True)
    visit.move_strength(0)
    style = visit.painted()
    assert style.shape == (32, 64, 3)
    assert np.abs(style[..., ::2] - [200, 50]).max() < 1
    visit.move_strength(100)
    assert np.abs(visit.painted()[..., ::2] - [55, 205]).max() < 1
    assert "64 \u00d7 32 pixels" in (page.locator("#status-more").text_content() or "")
    choose(page, "styles", plain((128, 0, 0)))  # the code of this style is 0.5
    page.locator("#styles .tile:has-text('mine') input:checked").wait_for(state="attached")
    visit.move_strength(0)
    assert np.abs(visit.painted() - [200, 100 + 128, 50]).max() < 2
    assert visit.errors == []


def test_the_page_of_an_adapted_network_stylizes_without_a_choice_of_styles(
    browser: Browser, address: str, adapted_site: Path
) -> None:
    index = json.loads((adapted_site / "site.json").read_text(encoding="utf-8"))
    green = 255 * index["styles"][0]["codes"]["64"][0]
    visit = Visit(browser, address.replace("/site/", "/adapted/"))
    page = visit.load()
    assert page.locator("#styles").count() == page.locator("#drop [data-target=style]").count() == 0
    assert page.locator("#style").inner_text().split("\n") == ["Style", "My mosaic"]
    choose(page, "contents", plain((200, 100, 50)))
    page.locator("#size input[value='64']").check(force=True)
    visit.move_strength(0)
    assert np.abs(visit.painted() - [200, np.clip(100 + green, 0, 255), 50]).max() < 2
    visit.move_strength(100)
    assert np.abs(visit.painted()[..., ::2] - [55, 205]).max() < 1
    assert accessibility_faults(page) == {}
    assert not [url for url in visit.requests if "encoder" in url]
    assert visit.errors == []
    page.close()


def test_the_page_requests_only_its_own_files_below_its_folder(visit: Visit) -> None:
    page = visit.page
    page.locator("#contents .tile:has-text('Rocket') input").check(force=True)
    page.wait_for_function(WAITING.format("'Painted.'"))
    foreign = [url for url in visit.requests if not url.startswith((visit.address, "blob:", "data:"))]
    assert foreign == []
    assert len(visit.requests) > 10


def test_pictures_are_dropped_and_pasted_as_photo_and_as_style(visit: Visit) -> None:
    page = visit.page
    page.locator("#size input[value='64']").check(force=True)
    photo, style = (base64.b64encode(plain(color)).decode() for color in ((40, 80, 120), (255, 0, 0)))
    page.locator("body").evaluate(GIVE_FILE, ["paste", photo])
    page.locator("#contents .tile:has-text('given') input:checked").wait_for(state="attached")
    page.locator("#drop [data-target=style]").evaluate(GIVE_FILE, ["drop", style])
    page.locator("#styles .tile:has-text('given') input:checked").wait_for(state="attached")
    visit.move_strength(0)
    assert np.abs(visit.painted() - [40, 255, 120]).max() < 1
    cut = page.locator(".divider")
    cut.press("End")
    assert cut.get_attribute("aria-valuetext") == "100 % of your photo"


def test_the_camera_shows_its_painting_until_a_picture_is_taken(visit: Visit) -> None:
    page = visit.page
    page.locator("#size input[value='128']").check(force=True)
    page.locator("#open-camera").click()
    page.wait_for_function("() => Number(document.querySelector('#live').dataset.frames) > 2")
    assert page.locator("#live-canvas").evaluate("each => each.width") > 100
    page.locator("#take-picture").click()
    assert visit.painted().shape[1] == 128
    assert page.locator("#live").is_hidden()
    page.locator("#open-camera").click()
    page.locator("#live").wait_for()
    page.keyboard.press("Escape")
    page.locator("#live").wait_for(state="hidden")
    assert visit.errors == []


def test_a_camera_that_is_opened_several_times_is_off_after_it_is_closed(visit: Visit) -> None:
    page = visit.page
    page.evaluate(WATCH_CAMERA)
    page.locator("#open-camera").evaluate("button => { button.click(); button.click(); }")
    page.wait_for_function("() => Number(document.querySelector('#live').dataset.frames) > 0")
    assert sorted(page.evaluate(STREAM_STATES).split()) == ["ended", "live"]
    page.locator("#open-camera").click()
    page.wait_for_function(f"() => streams.length === 3 && {STREAM_STATES} === 'ended ended live'", timeout=5000)
    page.keyboard.press("Escape")
    page.locator("#live").wait_for(state="hidden")
    assert page.evaluate(STREAM_STATES) == "ended ended ended"
    assert page.locator("#messages [role=alert]").count() == 0
    assert visit.errors == []


@pytest.mark.parametrize("changed", [False, True])
def test_a_painting_that_ends_while_the_camera_is_open_appears_after_it_is_closed(visit: Visit, changed: bool) -> None:
    page = visit.page
    page.locator("#size input[value='64']").check(force=True)
    page.evaluate(HOLD_PHOTOS)
    choose(page, "contents", plain((40, 80, 120)))
    page.wait_for_function(WAITING.format("'Painting \u2026'"))
    if changed:  # asks for another painting, which must wait, too
        visit.move_strength(0)
    page.locator("#open-camera").click()
    page.locator("#live").wait_for()
    page.evaluate("release()")
    page.locator("#progress:not(.unknown)").wait_for(state="attached")
    assert page.locator("#live").is_visible()
    assert page.locator("#stage .picture").is_hidden()
    assert page.locator("#save").is_hidden()
    page.keyboard.press("Escape")
    expected = [40, 120] if changed else [127.5, 127.5]
    assert np.abs(visit.painted()[..., ::2] - expected).max() < 1
    assert page.locator("#live").is_hidden()


def test_faults_are_explained_in_plain_words(visit: Visit) -> None:
    page = visit.page
    message = page.locator("#messages [role=alert] p").last
    choose(page, "contents", b"no picture", "letter.png")
    message.wait_for()
    assert message.text_content() == "letter is not a picture that this browser can read. Save it as JPEG or PNG."
    page.locator("#messages .close").click()
    page.locator("#size input[value='320']").check(force=True)  # the network of the test does not accept 320 pixels
    choose(page, "contents", plain((1, 2, 3)))
    message.wait_for()
    assert message.text_content() == "There is not enough memory for 320 pixels. Choose a smaller size."
    page.locator("#messages .close").click()
    page.route("**/model/stylizer.onnx", lambda route: route.fulfill(status=404))
    page.goto("about:blank")
    page.goto(visit.address)
    message.wait_for()
    expected = "The file model/stylizer.onnx of this page cannot be loaded: the server answered with status 404."
    assert message.text_content() == expected
    assert page.locator("#status").text_content() == "The page did not start."
    page.unroute("**/model/stylizer.onnx")


def test_the_page_has_no_accessibility_faults_and_fits_a_phone(visit: Visit) -> None:
    page = visit.page
    choose(page, "contents", plain((200, 100, 50)))
    visit.painted()
    faults = {}
    for size, scheme in zip(SIZES, ("light", "dark"), strict=True):
        page.set_viewport_size(size)  # type: ignore[arg-type]
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        faults |= {f"{scheme}: {rule}": html for rule, html in accessibility_faults(page).items()}
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    page.set_viewport_size(SIZES[0])  # type: ignore[arg-type]
    assert faults == {}

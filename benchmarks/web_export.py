"""Measure the exported web page in Chromium: loading, time per size, traffic, and the agreement with the command line.

`python benchmarks/web_export.py`: a few minutes, with the samples of scikit-image, Chromium and the runtime of npm (or
`--runtime FOLDER`). Single-threaded, as on a server that does not isolate the page; `--isolated` adds the headers that
allow threads. Screenshots are written into `--output`.
"""

from __future__ import annotations

import argparse
import functools
import http.server
import io
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import PIL.Image
from playwright.sync_api import Page, Route, sync_playwright

import impasto
from impasto.images import load_image, save_image
from impasto.samples import resolve
from impasto.web import SIZES, export_site
from impasto.web.site import PAGE

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
SWIFTSHADER = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan"]
DONE = "() => document.querySelector('#status').textContent === 'Painted.'"


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """The handler of `python -m http.server`, without its log."""

    isolated = False
    sent = 0

    def log_message(self, *_: object) -> None:
        return

    def end_headers(self) -> None:
        if self.isolated:
            self.send_header("Cross-Origin-Opener-Policy", "same-origin")
            self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()

    def copyfile(self, source: io.BufferedIOBase, outputfile: io.BufferedIOBase) -> None:  # type: ignore[override]
        data = source.read()
        QuietHandler.sent += len(data)
        outputfile.write(data)


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder on loopback and return its address."""
    handler = functools.partial(QuietHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def choose(page: Page, size: int) -> float:
    """Choose a size, and return the seconds from the click to the painting on the page."""
    page.evaluate("document.querySelector('#status').textContent = ''")
    began = time.perf_counter()
    page.locator(f"#size input[value='{size}']").evaluate(
        "each => { each.checked = true; each.dispatchEvent(new Event('change')); }"
    )
    page.wait_for_function(DONE, timeout=120_000)
    return time.perf_counter() - began


def painting(page: Page) -> np.ndarray:
    """Return the levels of the saved painting, `(H, W, 3)`."""
    with page.expect_download() as saved:
        page.locator("#save").click()
    return np.asarray(PIL.Image.open(saved.value.path()).convert("RGB"), float)


def measure(page: Page, address: str, screenshots: Path, sizes: Sequence[int]) -> list[str]:
    """Load the page, paint at all sizes, use the camera; return the addresses of all requests."""
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: print(f"  console: {message.type}: {message.text}"))
    page.on("pageerror", lambda error: print(f"  error: {error}"))
    began = time.perf_counter()
    page.goto(f"{address}/sub/site/")
    page.locator("body[data-ready]").wait_for(timeout=120_000)
    print(f"ready after {time.perf_counter() - began:.2f} s, {QuietHandler.sent / 1e6:.2f} MB sent")
    page.locator("#contents label:has-text('Rocket') input").check(force=True)
    page.wait_for_function(DONE, timeout=120_000)
    page.wait_for_timeout(300)
    page.screenshot(path=screenshots / "page.png")
    for size in sizes:
        seconds = min(choose(page, other) for other in (size, size))
        print(f"{size}: {seconds:.2f} s; the page says: {page.locator('#status-more').text_content()}")
    return requests


def compare(page: Page, folder: Path, size: int) -> None:
    """Stylize the same pixels in the page and in Python: a PNG that has the size of the output."""
    photo = folder / "photo.png"
    save_image(load_image(resolve("rocket"), size=size), photo)
    page.evaluate("document.querySelector('#status').textContent = ''")
    page.locator("#contents input[type=file]").set_input_files(photo)
    choose(page, size)
    result = impasto.stylize(photo, "brushstrokes", "micro", size=size, precision="fp32")
    difference = np.abs(painting(page) - np.asarray(result.to_pil().convert("RGB"), float))
    print(f"difference to the command line: mean {difference.mean():.4f}, largest {difference.max():.0f} of 255 levels")


def camera(page: Page, screenshots: Path) -> None:
    """Open the camera, which is a test picture, and take a picture."""
    choose(page, 512)
    page.locator("#open-camera").click()
    page.wait_for_function("() => Number(document.querySelector('#live').dataset.frames) > 12", timeout=60_000)
    print(f"camera: {page.locator('#status-more').text_content()}")
    page.screenshot(path=screenshots / "camera.png")
    page.locator("#take-picture").click()
    page.wait_for_function(DONE, timeout=60_000)
    page.wait_for_timeout(300)
    page.screenshot(path=screenshots / "taken.png")


def accept_fallback_adapter(route: Route) -> None:
    """Answer with the worker of the page without its check for a GPU."""
    source = (PAGE / "worker.js").read_text(encoding="utf-8")
    route.fulfill(body=source.replace(" && !adapter.info?.isFallbackAdapter", ""), content_type="text/javascript")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runtime", type=Path)
    parser.add_argument("--output", type=Path, default=Path("build/web"))
    parser.add_argument("--isolated", action="store_true")
    parser.add_argument(
        "--webgpu", action="store_true", help="compute by WebGPU with SwiftShader, which shows that it works"
    )
    options = parser.parse_args()
    site = options.output / "root" / "sub" / "site"
    if not (site / "index.html").is_file():
        export_site(site, runtime=options.runtime)
    sizes = SIZES[:1] if options.webgpu else SIZES  # SwiftShader is slow
    QuietHandler.isolated = options.isolated
    with served(options.output / "root") as address, sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM, args=[*ARGUMENTS, *(SWIFTSHADER if options.webgpu else [])]
        )
        page = chromium.new_page(viewport={"width": 1280, "height": 800})
        if options.webgpu:  # the page does not use an adapter that computes on the processor
            page.context.route("**/worker.js", accept_fallback_adapter)
        requests = measure(page, address, options.output, sizes)
        compare(page, options.output, sizes[-1] if options.webgpu else 512)
        if options.webgpu:
            return
        camera(page, options.output)
        phone = chromium.new_page(viewport={"width": 390, "height": 844}, color_scheme="dark")
        phone.goto(f"{address}/sub/site/")
        phone.locator("body[data-ready]").wait_for(timeout=120_000)
        phone.locator("#contents label:has-text('Chelsea') input").check(force=True)
        phone.wait_for_function(DONE, timeout=60_000)
        phone.wait_for_timeout(300)
        phone.screenshot(path=options.output / "phone.png", full_page=True)
        foreign = [url for url in requests if not url.startswith((address, "blob:", "data:"))]
        print(f"{len(requests)} requests, {len(foreign)} to other hosts")
        chromium.close()


if __name__ == "__main__":
    main()

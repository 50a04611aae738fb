"""Measure how long the studio takes to start and to show something: `python benchmarks/studio.py`.

Starts `impasto studio` and measures on this machine:
  start-up        from the command to the first response of the page (limit: 6 s on 2 cores)
  first preview   from the request to the first preview, with `lite` at 512 pixels (limit: 2 s)
  page            in Chromium, where it is installed: until it is usable, its requests and bytes, and, for a photo of
                  12 megapixels, until the stage and all styles show their instant versions
The first preview is measured immediately and after the studio had time to warm up. The processor time is printed too:
it depends less on other processes. Exit status 1 means that a limit was exceeded.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import numpy as np
import PIL.Image

if TYPE_CHECKING:
    from playwright.sync_api import Page

CHROMIUM = Path("/usr/bin/chromium")
START_UP, FIRST_PREVIEW = 6.0, 2.0
CONTENT = (
    "new URLSearchParams(each.src.split('?')[1]).get('content') === document.querySelector('#contents :checked').value"
)
SHOWN = f"[...document.querySelectorAll('#stage .after')].every(each => {CONTENT} && each.complete)"
COMPLETE = (
    f"[...document.querySelectorAll('#styles img.instant')].every(each => {CONTENT} && each.complete) && "
    "[...document.querySelectorAll('.examples img')].every(each => each.complete)"
)
"""Conditions of the page: the stage, and all styles, show instant versions of the chosen photo."""
WARM = 5.0
"""Seconds of warm-up; a user needs longer to choose images."""


def main() -> int:
    """Measure and print a table."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        command = [sys.executable, "-m", "impasto", "studio", "--port", "0", "--folder", folder]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            assert server.stdout is not None
            url = server.stdout.readline().strip()
            wait_for(url)
            start_up, opened = time.perf_counter() - started, processor_seconds(server.pid)
            cold = first_preview(url, server.pid)
            time.sleep(WARM)
            warm = first_preview(url, server.pid)
            page = page_figures(url) if CHROMIUM.is_file() else []
        finally:
            server.terminate()
            server.wait()
    print("| | seconds | processor time | limit |\n| --- | --- | --- | --- |")
    print(f"| start-up, first response of the page | {start_up:.2f} | {opened:.2f} | {START_UP:g} |")
    print(f"| first preview, immediately | {cold[0]:.2f} | {cold[1]:.2f} | |")
    print(f"| first preview, warm | {warm[0]:.2f} | {warm[1]:.2f} | {FIRST_PREVIEW:g} |")
    for name, value, limit in page:
        print(f"| page: {name} | {value} | | {limit} |")
    return int(start_up > START_UP or warm[0] > FIRST_PREVIEW)


def first_preview(url: str, process: int) -> tuple[float, float]:
    """Return the time from a request to its first preview, and the processor time, in seconds."""
    fields = {"content": "chelsea", "style": "brushstrokes", "size": 512, "steps": 1000, "wait": 0}
    started, used = time.perf_counter(), processor_seconds(process)
    with urllib.request.urlopen(f"{url}stylize", data=urlencode(fields).encode()) as answer:
        key = json.load(answer)["key"]
    wait_for(f"{url}jobs/{key}/preview")
    seconds = time.perf_counter() - started, processor_seconds(process) - used
    urllib.request.urlopen(urllib.request.Request(f"{url}jobs/{key}", method="DELETE")).close()
    while json.load(urllib.request.urlopen(f"{url}jobs/{key}"))["status"] in ("waiting", "running"):
        time.sleep(0.05)
    return seconds


def page_figures(url: str) -> list[tuple[str, str, str]]:
    """Return name, value and limit of the figures of the page, opened twice in Chromium; the second time counts."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        for _ in range(2):
            page, finished = browser.new_page(), []
            page.on("requestfinished", lambda request, finished=finished: finished.append(request))
            started = time.perf_counter()
            page.goto(url)
            page.locator("body[data-ready]").wait_for()
            usable = time.perf_counter() - started
            page.wait_for_function(f"() => {COMPLETE}")
            sizes = [request.sizes()["responseBodySize"] for request in [*finished]]
        uploaded = upload_photo(page)
        page.wait_for_function(f"() => {SHOWN}", polling=20)
        stage = time.perf_counter() - uploaded
        page.wait_for_function(f"() => {COMPLETE}", polling=20)
        styles = time.perf_counter() - uploaded
        browser.close()
    return [
        ("usable after", f"{usable:.2f} s", "1.5 s"),
        ("requests and bytes, with all pictures", f"{len(sizes)}, {sum(sizes) / 1000:.0f} kB", "500 kB"),
        ("instant version on the stage after the choice of a photo", f"{stage:.2f} s", "0.5 s"),
        ("instant versions of all styles after the choice of a photo", f"{styles:.2f} s", "3 s"),
    ]


def upload_photo(page: Page) -> float:
    """Choose a photo of 12 megapixels and return the time when the page shows it among the photos."""
    side = np.linspace(0, 255, 4000).astype(np.uint8)
    colors = np.stack(np.broadcast_arrays(side[None, :], side[:3000, None], side[None, ::-1]), -1)
    file = io.BytesIO()
    PIL.Image.fromarray(colors).save(file, "JPEG")
    photo = {"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": file.getvalue()}
    page.locator("#contents input[type=file]").set_input_files(photo)
    page.locator("#contents label:has(:checked)", has_text="photo").wait_for()
    return time.perf_counter()


def processor_seconds(process: int) -> float:
    """Return the processor time of a process (proc(5), fields 14 and 15 of stat)."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wait_for(url: str) -> None:
    """Request an address until it responds."""
    ends = time.perf_counter() + 300
    while time.perf_counter() < ends:
        try:
            urllib.request.urlopen(url).close()
            return
        except urllib.error.URLError:
            time.sleep(0.02)
    raise SystemExit(f"no response from {url}")


if __name__ == "__main__":
    sys.exit(main())

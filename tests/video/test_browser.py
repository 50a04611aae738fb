"""Debian's Chromium plays the clips that are written."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from small_clip import moving_square, write_video

from impasto.video import open_clip, write_clip

if TYPE_CHECKING:
    from playwright.sync_api import Page

CHROMIUM = Path("/usr/bin/chromium")
pytestmark = [
    pytest.mark.skipif(not CHROMIUM.is_file(), reason=f"needs Debian's package chromium: no {CHROMIUM}"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
]
TIMEOUT = 120_000
"""Milliseconds; on an idle machine nothing takes that long."""
TIMES = [0, 40, 120, 160, 250, 290, 370]
"""Milliseconds of the frames and of the end: multiples of 10, the unit of a GIF."""
ADDRESS = "https://clips.test/"
"""An address that only the page of the test has; browsers decode frames one by one for secure pages only."""
# Loads a clip and seeks to a time; returns its duration, width, height and number of sound tracks.
SEEK = """([source, time]) => new Promise((resolve, reject) => {
  const video = document.createElement('video');
  video.muted = true;
  video.onerror = () => reject(new Error(video.error.message));
  video.onloadeddata = () => { video.currentTime = time; };
  video.onseeked = () => resolve(
    [video.duration, video.videoWidth, video.videoHeight, video.captureStream().getAudioTracks().length]);
  document.body.replaceChildren(video);
  video.src = source;
})"""
# Whether the pixel at (20, 20) of the frame that is shown has a color. The end of a seek is reported before its frame.
SHOWS = """([color, tolerance]) => {
  const video = document.querySelector('video');
  const context = new OffscreenCanvas(video.videoWidth, video.videoHeight).getContext('2d');
  context.drawImage(video, 0, 0);
  const pixel = context.getImageData(20, 20, 1, 1).data;
  return color.every((value, i) => Math.abs(value - pixel[i]) < tolerance);
}"""
# The times in milliseconds of the frames of a GIF and of its end, and the pixel at (20, 20) of the frame at 160 ms.
FRAMES = """async source => {
  const decoder = new ImageDecoder({type: 'image/gif', data: (await fetch(source)).body});
  await decoder.completed;
  const times = [0];
  let pixel;
  for (let frameIndex = 0; frameIndex < decoder.tracks.selectedTrack.frameCount; frameIndex++) {
    const {image} = await decoder.decode({frameIndex});
    const context = new OffscreenCanvas(image.displayWidth, image.displayHeight).getContext('2d');
    context.drawImage(image, 0, 0);
    if (times.at(-1) === 160) pixel = [...context.getImageData(20, 20, 1, 1).data].slice(0, 3);
    times.push(times.at(-1) + image.duration / 1000);
  }
  return [times, pixel];
}"""


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        page = chromium.new_page()
        page.set_default_timeout(TIMEOUT)
        page.route(f"{ADDRESS}**", lambda route: route.fulfill(body="<body>", content_type="text/html"))
        page.goto(ADDRESS)
        yield page
        chromium.close()


def written(folder: Path, suffix: str, *, sound: str | None = None) -> Path:
    """Return a clip with irregular frame times that was read and written."""
    source = write_video(folder / "in.mp4", moving_square(6), milliseconds=TIMES, sound=sound)
    clip = open_clip(source, duration=TIMES[-1] / 1000)
    return write_clip(folder / f"out{suffix}", clip.frames(), clip)


def address_of(file: Path, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(file.read_bytes()).decode()}"


def times_of(file: Path) -> list[float]:
    """Return the milliseconds of the frames of a file and of its end."""
    frames = [*open_clip(file).frames()]
    return [1000 * float(each) for each in (*(frame.time for frame in frames), frames[-1].time + frames[-1].duration)]


@pytest.mark.parametrize("suffix", ["mp4", "webm"])
def test_a_browser_plays_a_clip_with_its_duration_times_colors_and_sound(
    page: Page, tmp_path: Path, suffix: str
) -> None:
    file = written(tmp_path, f".{suffix}")
    assert times_of(file) == pytest.approx(TIMES, abs=1)
    duration, *size, tracks = page.evaluate(SEEK, [address_of(file, f"video/{suffix}"), 0.2])
    assert duration == pytest.approx(0.37, abs=0.001)
    assert (size, tracks) == ([64, 48], 0)
    expected = moving_square(6)[3][20, 20].tolist()  # the frame from 160 to 250 ms: the red square
    page.wait_for_function(SHOWS, arg=[expected, 16])
    file = written(tmp_path, f".{suffix}", sound="aac")
    assert times_of(file) == pytest.approx(TIMES, abs=1)
    duration, *size, tracks = page.evaluate(SEEK, [address_of(file, f"video/{suffix}"), 0.2])
    assert duration == pytest.approx(0.37, abs=0.03)  # that of the sound, whose frames have 23 ms
    assert (size, tracks) == ([64, 48], 1)


def test_a_browser_shows_a_gif_with_its_times_and_colors(page: Page, tmp_path: Path) -> None:
    file = written(tmp_path, ".gif")
    assert times_of(file) == pytest.approx(TIMES, abs=1)
    times, pixel = page.evaluate(FRAMES, address_of(file, "image/gif"))
    assert times == pytest.approx(TIMES, abs=1)
    assert pixel == pytest.approx(moving_square(6)[3][20, 20].tolist(), abs=16)

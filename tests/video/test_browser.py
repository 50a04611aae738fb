"""Debian's Chromium plays the clips that are written."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from small_clip import moving_square, write_video

from impasto.video import open_clip, write_clip

CHROMIUM = Path("/usr/bin/chromium")
pytestmark = [
    pytest.mark.skipif(not CHROMIUM.is_file(), reason=f"needs Debian's package chromium: no {CHROMIUM}"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
]
PAGE_TIMEOUT = 120_000
"""Milliseconds; on an idle machine nothing takes that long."""
# Loads a clip and seeks to a time; returns its duration, width and height.
SEEK = """([source, time]) => new Promise((resolve, reject) => {
  const video = document.createElement('video');
  video.muted = true;
  video.onerror = () => reject(new Error(video.error.message));
  video.onloadeddata = () => { video.currentTime = time; };
  video.onseeked = () => resolve([video.duration, video.videoWidth, video.videoHeight]);
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


def test_a_browser_plays_mp4_and_webm_with_the_right_duration_and_colors(tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    times = [0, 40, 120, 160, 250, 290, 370]
    source = write_video(tmp_path / "in.mp4", moving_square(6), milliseconds=times, sound="aac")
    clip = open_clip(source, duration=0.37)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        page = chromium.new_page()
        page.set_default_timeout(PAGE_TIMEOUT)
        for suffix, kind in ((".mp4", "mp4"), (".webm", "webm")):
            data = write_clip(tmp_path / f"out{suffix}", clip.frames(), clip).read_bytes()
            address = f"data:video/{kind};base64,{base64.b64encode(data).decode()}"
            duration, width, height = page.evaluate(SEEK, [address, 0.2])
            assert duration == pytest.approx(0.37, abs=0.03)  # that of the sound, whose frames have 23 ms
            assert (width, height) == (64, 48)
            expected = moving_square(6)[3][20, 20].tolist()  # the frame from 160 to 250 ms: the red square
            page.wait_for_function(SHOWS, arg=[expected, 16])
        chromium.close()

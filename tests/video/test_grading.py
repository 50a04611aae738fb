"""The warp error is that of a second program, and is lowest for a clip that only moves."""

from __future__ import annotations

import base64
import io
import itertools
import json
import re
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from moving_window import SHIFT, window_frames
from small_clip import moving_square, write_video

from impasto.cli import main
from impasto.video import open_clip
from impasto.video.grading import grade_clip, warp_errors
from impasto.video.shots import scan


def lossless(path: Path, frames: list[np.ndarray]) -> Path:
    return write_video(path, frames, codec="ffv1", pixels="bgr0")


def flickering(frames: list[np.ndarray], amplitude: int) -> list[np.ndarray]:
    """Frames that are brighter and darker in turn."""
    return [np.clip(f.astype(int) + amplitude * (-1) ** i, 0, 255).astype(np.uint8) for i, f in enumerate(frames)]


def test_the_warp_error_of_flicker_is_its_squared_amplitude(tmp_path: Path) -> None:
    """Between two frames the brightness changes by 2 x 20 levels; two frames apart it is the same."""
    frames = [np.clip(frame, 30, 220) for frame in window_frames(5, sprite=False)]
    before = lossless(tmp_path / "in.mkv", frames)
    after = lossless(tmp_path / "out.mkv", flickering(frames, 20))
    grades = grade_clip(before, "mosaic", after, gaps=[1, 2])
    assert grades["output"]["warp_error@1"] == pytest.approx((40 / 255) ** 2, rel=0.1)
    assert grades["output"]["warp_error@2"] < 0.2 * (40 / 255) ** 2
    assert grades["identity"]["warp_error@1"] < 0.02 * (40 / 255) ** 2


def test_the_warp_error_agrees_with_a_second_implementation(tmp_path: Path) -> None:
    """With whole pixels of known motion, moving a frame is slicing it."""
    frames = window_frames(3, sprite=False)
    output = [np.random.default_rng(i).integers(0, 256, frame.shape, dtype=np.uint8) for i, frame in enumerate(frames)]
    before, after = lossless(tmp_path / "in.mkv", frames), lossless(tmp_path / "out.mkv", output)
    expected = [
        np.square((a[:, SHIFT:].astype(float) - b[:, :-SHIFT]) / 255)[4:-4, 4:-8].mean()
        for a, b in itertools.pairwise(output)
    ]
    found = grade_clip(before, "mosaic", after, gaps=[1])["output"]["warp_error@1"]
    assert found == pytest.approx(np.mean(expected), rel=0.15)  # noise: a fraction of a pixel would change it


def test_frames_of_different_shots_are_not_compared(tmp_path: Path) -> None:
    frames = moving_square(3) + [255 - frame for frame in moving_square(3)]
    clip = open_clip(lossless(tmp_path / "in.mkv", frames))
    errors = warp_errors(clip, clip, scan(clip), [1, 3])
    assert errors[1][0] < 0.01
    assert np.isnan(errors[3]).all()


def test_the_command_grades_a_clip_beside_its_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames = window_frames(3)
    before = lossless(tmp_path / "in.mkv", frames)
    after = lossless(tmp_path / "out.mkv", flickering(frames, 10))
    words = ["metrics", str(before), "mosaic", str(after), "--backbone", "tiny"]
    assert main([*words, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert set(facts["metrics"]) == {"warp_error@1", "warp_error@10", "style_share", "content"}
    assert facts["metrics"]["warp_error@1"] > 2 * facts["identity"]["warp_error@1"]
    assert facts["metrics"]["warp_error@10"] is None
    assert (facts["identity"]["content"], facts["identity"]["style_share"]) == (0, 1)
    assert main([*words, "--report", str(tmp_path / "page.html")]) == 0
    assert "warp_error@1" in capsys.readouterr().out
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    pictures = [PIL.Image.open(io.BytesIO(base64.b64decode(each))) for each in re.findall(r"base64,([^\"]+)", page)]
    assert [each.size for each in pictures] == [(320, 480)] * 2 + [(320, 213)] * 6  # slices, then frames
    assert page.count("<td>warp_error@1</td>") == 1
    assert "<td>warp_error@10</td><td>\N{EN DASH}</td><td>\N{EN DASH}</td>" in page
    assert "is the smallest that makes sense" in page
    assert main([*words, "--report", str(tmp_path / "page.txt")]) == 2
    assert "is not a page; give a name that ends in .html" in capsys.readouterr().err


def test_clips_of_different_lengths_give_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, after = (lossless(tmp_path / f"{n}.mkv", moving_square(n)) for n in (3, 4))
    assert main(["metrics", str(before), "mosaic", str(after), "--backbone", "tiny"]) == 2
    assert "does not have the 3 frames of" in capsys.readouterr().err

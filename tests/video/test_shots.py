"""Cuts are found, and motion, flashes and fades are none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_clip import moving_square, write_video

from impasto.video import open_clip
from impasto.video.shots import Shot, cuts, scan


def test_a_cut_divides_a_clip_into_two_shots(tmp_path: Path) -> None:
    frames = moving_square(5, step=8) + [255 - frame for frame in moving_square(4, step=8)]
    found = scan(open_clip(write_video(tmp_path / "a.mp4", frames)))
    assert found.shots == (Shot(0, 5), Shot(5, 9))
    assert [float(time) for time in found.times] == pytest.approx([0.04 * i for i in range(9)])
    assert found.shot_of(5) == Shot(5, 9)


def test_neither_a_flash_nor_a_fade_is_a_cut(tmp_path: Path) -> None:
    frames = moving_square(9)
    frames[4] = np.full_like(frames[4], 255)
    assert scan(open_clip(write_video(tmp_path / "flash.mp4", frames))).shots == (Shot(0, 9),)
    fading = [(frame * (1 - i / 9)).astype(np.uint8) for i, frame in enumerate(moving_square(9))]
    assert scan(open_clip(write_video(tmp_path / "fade.mp4", fading))).shots == (Shot(0, 9),)


def test_a_clip_of_one_or_two_frames_has_shots(tmp_path: Path) -> None:
    first = moving_square(1)
    assert scan(open_clip(write_video(tmp_path / "one.mp4", first))).shots == (Shot(0, 1),)
    both = write_video(tmp_path / "two.mp4", [*first, 255 - first[0]])
    assert scan(open_clip(both)).shots == (Shot(0, 1), Shot(1, 2))
    assert cuts([]) == []


@pytest.mark.shared
def test_the_cut_of_a_film_is_found(shared_images: Path) -> None:
    assert scan(open_clip(shared_images / "video" / "cutBunny.mp4")).shots == (Shot(0, 235), Shot(235, 240))

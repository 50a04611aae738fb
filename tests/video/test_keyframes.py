"""Keyframes change the style over time, and mistakes give one line."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from moving_window import window_frames
from small_clip import write_video

import impasto
from impasto.video import open_clip
from impasto.video.keyframes import mix_at, parse_keyframes

GATYS: dict[str, Any] = {"method": "gatys", "backbone": "tiny", "steps": 12, "frame_steps": 8, "loss_scales": 1}
MICRO: dict[str, Any] = {"weights": "micro", "blend": 0}  # the network that mixes styles, for each of them
STYLES = ["woodcut", "mosaic"]


def frames_of(clip: Path, output: Path, style: Any, **settings: Any) -> list[np.ndarray]:
    impasto.stylize_video(clip, style, output, size=96, **settings)
    return [frame.pixels.astype(int) for frame in open_clip(output).frames()]


def color_of(frame: np.ndarray) -> np.ndarray:
    return np.array(frame.mean((0, 1)))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip that does not move, so that frames differ by their styles only."""
    path = tmp_path_factory.mktemp("clip") / "still.mkv"
    return write_video(path, window_frames(1, sprite=False) * 5, codec="ffv1", pixels="bgr0")


@pytest.mark.parametrize("settings", [MICRO, {**GATYS, "temporal_weight": 0}], ids=["micro", "gatys"])
def test_the_style_changes_from_one_keyframe_to_the_next(clip: Path, tmp_path: Path, settings: dict[str, Any]) -> None:
    first, second = (frames_of(clip, tmp_path / f"{name}.mkv", name, **settings) for name in STYLES)
    mixed = frames_of(clip, tmp_path / "mixed.mkv", STYLES, keyframe=["0.04:1", "0.12:2"], **settings)
    to_first = [np.abs(frame - other).mean() for frame, other in zip(mixed, first, strict=True)]
    to_second = [np.abs(color_of(frame) - color_of(second[-1])).mean() for frame in mixed]
    assert to_first[0] == to_first[1] == 0
    assert 0 < to_first[2] < to_first[4]
    assert to_second[4] < (0.5 if settings == MICRO else 0.95) * to_second[0]  # a few steps a frame get closer
    if settings == MICRO:
        assert to_second[3] == to_second[4] == 0


def test_the_weights_are_linear_between_keyframes_and_constant_outside() -> None:
    keyframes = parse_keyframes(["2:1", "4:3", "5:2"], 3)
    assert mix_at(keyframes, 0, 3) == [1, 0, 0]
    assert mix_at(keyframes, 3, 3) == [0.5, 0, 0.5]
    assert mix_at(keyframes, 4.75, 3) == [0, 0.75, 0.25]
    assert mix_at(keyframes, 6, 3) == [0, 1, 0]
    assert mix_at(parse_keyframes(["1:2"], 2), 0, 2) == [0, 1]


def test_a_keyframe_after_the_end_of_the_output_gives_a_warning(clip: Path, tmp_path: Path) -> None:
    part = {**MICRO, "start": 0.04, "duration": 0.08}
    with pytest.warns(UserWarning, match="0.08:2 never applies, as the last frame is at 0.04 s"):
        impasto.stylize_video(clip, STYLES, tmp_path / "out.mkv", keyframe=["0.04:1", "0.08:2"], **part)
    with warnings.catch_warnings(action="error"):
        impasto.stylize_video(clip, STYLES, tmp_path / "two.mkv", keyframe=["0:1", "0.08:2"], **part)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"keyframe": ["0:A"]}, "keyframe: give SECONDS:NUMBER"),
        ({"keyframe": ["0:3"]}, "is style 3, but there are 2"),
        ({"keyframe": ["1:1", "1:2"]}, "have the same time"),
        ({"keyframe": ["1:1"], "method": "johnson"}, "johnson has one network for each style, which cannot change"),
        ({"keyframe": ["1:1"], "style_mix": [1, 2]}, "cannot change over time together with style_mix"),
    ],
)
def test_a_mistake_gives_one_line(clip: Path, tmp_path: Path, settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        impasto.stylize_video(clip, STYLES, tmp_path / "out.mkv", **settings)
    assert list(tmp_path.iterdir()) == []

"""Masks that are clips: regions move with the frames."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from moving_window import SIZE, window_frames
from small_clip import write_video

import impasto
from impasto.video import open_clip
from impasto.video.frame_stylizers import OptimizedFrames
from impasto.video.mask_clips import check_mask_times, open_mask_clips
from impasto.video.settings import VideoSettings

GATYS: dict[str, Any] = {"method": "gatys", "backbone": "tiny", "steps": 8, "frame_steps": 4, "loss_scales": 1}
FRAMES = window_frames(4, sprite=False)
LEFTS = (8, 32, 56)
"""Left side of the white area of each frame of the mask; it is absent in the fourth one."""
WIDTH = 28


def area(left: int, margin: int = 0) -> tuple[slice, slice]:
    """Return the rows and columns of the white area, smaller by a margin on each side."""
    return np.s_[8 + margin : 56 - margin, left + margin : left + WIDTH - margin]


def mask_frames(background: int = 0) -> list[np.ndarray]:
    frames = [np.full((*SIZE, 3), background, np.uint8) for _ in FRAMES]
    for frame, left in zip(frames, LEFTS, strict=False):
        frame[area(left)] = 255 - background
    return frames


def lossless(path: Path, frames: list[np.ndarray], **options: Any) -> Path:
    return write_video(path, frames, codec="ffv1", pixels="bgr0", **options)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lossless(tmp_path_factory.mktemp("clip") / "clip.mkv", FRAMES)


def frames_of(clip: Path, output: Path, style: Any, **settings: Any) -> list[np.ndarray]:
    impasto.stylize_video(clip, style, output, size=96, feather=0, **settings)
    return [frame.pixels.astype(int) for frame in open_clip(output).frames()]


@pytest.mark.parametrize("settings", [{}, GATYS], ids=["micro", "gatys"])
def test_a_region_follows_the_mask_and_the_rest_is_unchanged(
    clip: Path, tmp_path: Path, settings: dict[str, Any]
) -> None:
    mask = write_video(tmp_path / "mask.mp4", mask_frames())
    output = frames_of(clip, tmp_path / "out.mkv", "mosaic", mask=str(mask), outside="keep", **settings)
    for frame, content, left in zip(output, FRAMES, LEFTS, strict=False):
        change = np.abs(frame - content).mean(-1)
        assert change[area(left, 4)].mean() > 8
        change[area(left, -3)] = 0
        assert change.max() <= 2
    assert np.abs(output[3] - FRAMES[3]).max() <= 2


@pytest.mark.parametrize("count", [1, 2])
def test_each_region_has_its_style(clip: Path, tmp_path: Path, count: int) -> None:
    """The regions of a label map that is a folder, and of one gray mask per style."""
    masks = [tmp_path / "white", tmp_path / "black.mkv"][:count]
    masks[0].mkdir()
    for number, frame in enumerate(mask_frames()):
        impasto.save_image(impasto.load_image(frame), masks[0] / f"{number}.png")
    lossless(tmp_path / "black.mkv", mask_frames(255))
    white, black = ("mosaic", "inkwash")
    styles = [black, white] if count == 1 else [white, black]  # a label map counts from dark to light
    output = frames_of(clip, tmp_path / "out.mkv", styles, mask=[*map(str, masks)], fps=25, blend=0)
    alone = {style: frames_of(clip, tmp_path / f"{style}.mkv", style, blend=0, weights="micro") for style in styles}
    for i, left in enumerate(LEFTS):
        inside = {style: np.abs(output[i] - alone[style][i])[area(left, 4)].mean() for style in styles}
        assert inside[white] < 0.5 * inside[black]
    empty = {style: np.abs(output[3] - alone[style][3]).mean() for style in styles}
    assert empty[black] < 0.5 * empty[white]


def test_a_folder_of_masks_has_the_rate_of_a_folder_of_frames(tmp_path: Path) -> None:
    """The frame rate was that of the clip only, and 25 for the masks."""
    for name, frames in (("clip", FRAMES), ("mask", mask_frames())):
        (tmp_path / name).mkdir()
        for number, frame in enumerate(frames):
            impasto.save_image(impasto.load_image(frame), tmp_path / name / f"{number}.png")
    clip = open_clip(tmp_path / "clip", fps=10)
    masks = open_mask_clips(str(tmp_path / "mask"), clip)
    check_mask_times(masks.clips, [frame.time for frame in clip.frames()])


@pytest.mark.parametrize("passes", [1, 2])
def test_frames_are_compared_where_a_region_appears_later_in_the_shot(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, passes: int
) -> None:
    """The loss of the first frame, which had no region, was 0, and the comparison had no weight."""
    weights: list[list[float]] = []
    found = OptimizedFrames._anchors

    def recorded(*arguments: Any) -> Any:
        anchors, *masks = found(*arguments)
        weights.append([anchor.weight for anchor in anchors])
        return anchors, *masks

    monkeypatch.setattr(OptimizedFrames, "_anchors", recorded)
    frames = [np.zeros((*SIZE, 3), np.uint8), *mask_frames()[:1] * 3]
    mask = lossless(tmp_path / "mask.mkv", frames)
    settings = {**GATYS, "mask": str(mask), "outside": "keep", "long_term": (2,), "passes": passes}
    first = frames_of(clip, tmp_path / "out.mkv", "mosaic", **settings)[0]
    assert [len(each) for each in weights] == [1, 2] * passes  # none continues the frame without a region
    assert min(map(min, weights)) > 0.1
    assert (first == FRAMES[0]).all()


def newly_covered(frame: Any) -> Any:
    """Return the part that the moving region covers in the second frame and not in the first."""
    return frame[12:52, LEFTS[0] + WIDTH + 4 : LEFTS[1] + WIDTH - 4]


def test_a_pass_does_not_blend_the_content_into_what_a_region_newly_covers(tmp_path: Path) -> None:
    """Outside the region, the frame before is the content: blended with it, half of the style was there."""
    clip, mask = lossless(tmp_path / "clip.mkv", FRAMES[:1] * 2), lossless(tmp_path / "mask.mkv", mask_frames()[:2])
    changes = []
    for blend in (0.0, VideoSettings().blend):
        settings = {"mask": str(mask), "outside": "keep", "blend": blend}
        output = frames_of(clip, tmp_path / f"{blend}.mkv", "mosaic", **settings)
        changes.append(np.abs(newly_covered(output[-1] - FRAMES[0])).mean())
    assert changes[1] > 0.95 * changes[0] > 0


def test_an_optimization_does_not_start_from_the_content_where_a_region_newly_covers_it(tmp_path: Path) -> None:
    """Outside the region, the frame before is the content: the style appeared over several frames only."""
    changes = []
    for first in (0, 1):  # the region moves, or is new
        name = f"{first}.mkv"
        clip = lossless(tmp_path / f"clip{name}", FRAMES[:1] * (2 - first))
        mask = lossless(tmp_path / f"mask{name}", mask_frames()[first:2])
        settings = {**GATYS, "backbone": "lite", "mask": str(mask), "outside": "keep"}
        output = frames_of(clip, tmp_path / name, "mosaic", **settings)
        changes.append(np.abs(newly_covered(output[-1] - FRAMES[0])).mean())
    assert changes[0] > 0.6 * changes[1]


@pytest.mark.parametrize(
    ("settings", "seen"),
    [({}, "wbw"), ({**GATYS, "long_term": (2,)}, "wbw"), ({**GATYS, "passes": 2}, "bwwbw")],
)
def test_frames_without_a_region_are_not_continued(tmp_path: Path, settings: dict[str, Any], seen: str) -> None:
    """They are the content: a region that reappeared had no style, and neither had the frames before in a pass back."""
    white = mask_frames()[0]
    mask = lossless(tmp_path / "mask.mkv", [white if each == "w" else white * 0 for each in seen])
    clip = lossless(tmp_path / "clip.mkv", [FRAMES[0]] * len(seen))
    output = frames_of(clip, tmp_path / "out.mkv", "mosaic", mask=str(mask), outside="keep", **settings)
    alone = {**settings, "passes": 1} if settings else {}
    clip, mask = (
        lossless(tmp_path / f"{name}1.mkv", [frame]) for name, frame in (("clip", FRAMES[0]), ("mask", white))
    )
    first = frames_of(clip, tmp_path / "first.mkv", "mosaic", mask=str(mask), outside="keep", **alone)[0]
    style = np.abs(first - FRAMES[0])[area(LEFTS[0], 4)].mean()
    for frame, each in zip(output, seen, strict=True):
        change = np.abs(frame - FRAMES[0])[area(LEFTS[0], 4)].mean()
        assert change > 0.85 * style if each == "w" else change == 0


@pytest.mark.parametrize(
    ("frames", "options", "text"),
    [
        (mask_frames()[:3], {}, r"mask: 'mask.mkv' has 3 frames, but the clip has 4"),
        (mask_frames(), {"milliseconds": (0, 40, 90, 120, 160)}, r"mask: frame 3 of 'mask.mkv' is at 0.090 s, but"),
        ([frame[:, :64] for frame in mask_frames()], {}, "'mask.mkv' is 64x64 pixels and the clip 96x64"),
        ([FRAMES[0] * 0] * 4, {}, "it is black everywhere"),
    ],
)
def test_a_mask_that_does_not_fit_gives_one_line(
    clip: Path, tmp_path: Path, frames: list[np.ndarray], options: dict[str, Any], text: str
) -> None:
    mask = lossless(tmp_path / "mask.mkv", frames, **options)
    with pytest.raises(ValueError, match=text):
        impasto.stylize_video(clip, "mosaic", tmp_path / "out.mp4", size=96, mask=str(mask), outside="keep")
    assert [path.name for path in tmp_path.iterdir()] == ["mask.mkv"]


@pytest.mark.parametrize("settings", [{}, GATYS], ids=["micro", "gatys"])
def test_masks_in_memory_give_the_output_of_their_files(clip: Path, tmp_path: Path, settings: dict[str, Any]) -> None:
    """They raised a `ValueError` of NumPy or pydantic."""
    levels = mask_frames()[0]
    file, style_file = tmp_path / "mask.png", tmp_path / "halves.png"
    impasto.save_image(impasto.load_image(levels), file)
    style_map = impasto.load_image(np.repeat(np.uint8([[[0] * 3, [255] * 3]]), 38, 0).repeat(24, 1))
    impasto.save_image(style_map, style_file)
    call: dict[str, Any] = {"style": "mosaic", "duration": 0.08, **settings}
    kept = frames_of(clip, tmp_path / "kept.mkv", mask=file, outside="keep", **call)
    for mask in (levels, [PIL.Image.fromarray(levels)], impasto.load_image(levels)):
        output = frames_of(clip, tmp_path / "out.mkv", mask=mask, outside="keep", **call)
        assert all((a == b).all() for a, b in zip(output, kept, strict=True))
    guided = frames_of(clip, tmp_path / "guided.mkv", mask=file, style_mask=style_file, **call)
    output = frames_of(clip, tmp_path / "out.mkv", mask=[levels], style_mask=style_map, **call)
    assert all((a == b).all() for a, b in zip(output, guided, strict=True))
    entries = json.loads((tmp_path / "out.json").read_text())["inputs"][2:]
    assert [(each["role"], each["path"], each["name"]) for each in entries] == [
        ("mask", None, "array"),
        ("style_mask", None, "tensor"),
    ]


def test_a_run_with_a_mask_in_memory_continues_with_the_same_mask_only(clip: Path, tmp_path: Path) -> None:
    call: dict[str, Any] = {"clip": clip, "style": "mosaic", "output": tmp_path / "out.mkv", "size": 96}
    call["outside"] = "keep"
    first, second = mask_frames()[:2]
    impasto.stylize_video(**call, mask=first, on_frame=lambda step: step.index < 2)
    with pytest.raises(ValueError, match=r"restart: 2 frames in .* were stylized with another"):
        impasto.stylize_video(**call, mask=second)
    assert impasto.stylize_video(**call, mask=first.copy(), workers=2).resumed == 2


def test_a_wrong_mask_in_memory_gives_one_line(clip: Path, tmp_path: Path) -> None:
    for mask, text in ((np.ones((5, 6, 7)), "mask: .*shape"), ([np.ones((64, 96)), str(clip)], "mask: some masks are")):
        with pytest.raises(ValueError, match=f"^{text}"):
            impasto.stylize_video(clip, ["mosaic", "inkwash"], tmp_path / "out.mkv", size=96, mask=mask)
    assert list(tmp_path.iterdir()) == []


def test_clips_and_images_are_not_mixed(clip: Path, tmp_path: Path) -> None:
    impasto.save_image(impasto.load_image(mask_frames()[0]), tmp_path / "mask.png")
    masks = [str(tmp_path / "mask.png"), str(clip)]
    with pytest.raises(ValueError, match="mask: some masks are clips and others are images"):
        impasto.stylize_video(clip, ["mosaic", "inkwash"], tmp_path / "out.mp4", size=96, mask=masks)

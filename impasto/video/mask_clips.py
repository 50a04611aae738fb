"""Open masks that are clips: regions that move with the frames."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from impasto.images import Picture
from impasto.images.decoding import CLIP_SUFFIXES
from impasto.pipeline.load_inputs import sources_of
from impasto.regions.label_map import LabelMap, merge_colors, read_label_map
from impasto.video.animation import ANIMATED, is_animated
from impasto.video.clip import Clip, open_clip
from impasto.video.source import frame_image, until_stopped

SAMPLES = 16
"""Largest number of frames, spread over a label map that is a clip, whose colors are its regions."""
PROPORTIONS = 0.01
"""Largest relative difference between the aspect ratios of a mask and the clip."""
TOLERANCE = Fraction(2, 1000)
"""Largest difference between the times of a frame of the clip and of its mask, in seconds."""


@dataclass(frozen=True, eq=False)
class MaskClips:
    """Masks that are clips."""

    clips: tuple[Clip, ...] = ()
    """Empty where the masks are images, or there are none."""
    colors: np.ndarray | None = None
    """Colors of the label map, `(K, 3)` in 8-bit levels; `(0, 3)` for grayscale masks; None without clips."""


def open_mask_clips(mask: Any, clip: Clip) -> MaskClips:
    """Open the masks of a clip that are clips themselves.

    Args:
        mask: the setting `mask`; pictures in memory are images.
        clip: the clip that is stylized; the same part of the masks is read, at the same frame rate.

    Raises:
        ValueError: in one line, if only some of them are clips, or one of them cannot be read or has other proportions.
    """
    given = sources_of(mask)
    files = [Path(os.fsdecode(each)) for each in given if isinstance(each, str | os.PathLike)]
    try:
        moving = [file for file in files if _is_clip(file)]
    except ValueError as error:
        raise ValueError(f"mask: {error}") from None
    if not moving:
        return MaskClips()
    if len(moving) < len(given):
        raise ValueError("mask: some masks are clips and others are images; give only clips, or only images")
    part = {
        name: None if value is None else float(value)
        for name, value in (("duration", clip.duration), ("fps", clip.rate))
    }
    try:
        clips = tuple(open_clip(file, start=float(clip.start), **part) for file in moving)
        for each in clips:
            _check_proportions(each, clip)
        colors = _label_colors(clips[0]) if len(clips) == 1 else np.empty((0, 3))
    except ValueError as error:
        raise ValueError(f"mask: {str(error).removeprefix('start: ')}") from None
    return MaskClips(clips, colors)


def check_mask_times(
    masks: Sequence[Clip], times: Sequence[Fraction], is_stopped: Callable[[], bool] = lambda: False
) -> None:
    """Check that every mask has the frames of the clip.

    Args:
        masks: masks that are clips.
        times: time of every frame of the clip, in seconds.
        is_stopped: asked at every frame.

    Raises:
        StoppedError: after a stop.
        ValueError: in one line, if a mask has another number of frames, or other times.
    """
    for mask in masks:
        own = [frame.time for frame in until_stopped(mask.frames((16, 16)), is_stopped)]
        if len(own) != len(times):
            text = f"mask: {mask.path.name!r} has {len(own)} frames, but the clip has {len(times)}"
            raise ValueError(f"{text}; give a mask with a frame for each, or choose fps")
        for index, (time, other) in enumerate(zip(own, times, strict=True)):
            if abs(time - other) > TOLERANCE:
                text = f"mask: frame {index + 1} of {mask.path.name!r} is at {float(time):.3f} s"
                raise ValueError(f"{text}, but that of the clip is at {float(other):.3f} s; choose fps")


def _is_clip(file: Path) -> bool:
    """Return whether a mask is a clip; a missing file is reported later."""
    suffix = file.suffix.lower()
    return file.is_dir() or suffix in CLIP_SUFFIXES or (suffix in ANIMATED and is_animated(file))


def _check_proportions(mask: Clip, clip: Clip) -> None:
    (own_height, own_width), (height, width) = mask.size, clip.size
    if abs(own_width * height / (own_height * width) - 1) > PROPORTIONS + 1 / min(own_height, own_width):
        text = f"{mask.path.name!r} is {own_width}x{own_height} pixels and the clip {width}x{height}"
        raise ValueError(f"{text}; give a mask of the same proportions")


def _label_colors(mask: Clip) -> np.ndarray:
    """Return the colors that fill an area of any of some frames, from dark to light."""
    kept: list[np.ndarray] = []
    stride = 1
    for index, frame in enumerate(mask.frames()):
        if index % stride == 0:
            kept.append(frame.pixels)
        if len(kept) > SAMPLES:
            kept, stride = kept[::2], 2 * stride
    maps: list[LabelMap] = [read_label_map(_picture(pixels, mask.path.name)) for pixels in kept]
    return merge_colors(maps)


def _picture(pixels: np.ndarray, name: str) -> Picture:
    return Picture(frame_image(pixels), None, name, "")

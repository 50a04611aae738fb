"""Grade a stylized clip: its stability beside that of the input, and the metrics of images for some of its frames."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from impasto.images import Source
from impasto.images.folders import SUFFIXES
from impasto.metrics.evaluate import evaluate_with_baselines
from impasto.samples import CONTENTS, STYLES
from impasto.video.animation import ANIMATED, is_animated
from impasto.video.clip import Clip, open_clip
from impasto.video.motion import FlowEstimator, Motion, warp
from impasto.video.shots import Scan, scan
from impasto.video.source import frame_image

GAPS = (1, 10)
"""Distances of the frames that the warp error compares: flicker, and drift."""
GRADED_FRAMES = 8
"""Largest number of frames that the metrics of images are computed for."""

CLIP_METRICS = ("style_share", "content")
"""Metrics of images that `impasto metrics` computes for a clip by default."""

ClipGrades = dict[str, dict[str, float]]
"""Values of each metric for `"output"`, and for `"identity"`: the input in place of the output."""


def grade_clip(
    content: str | os.PathLike[str],
    style: Source,
    output: str | os.PathLike[str],
    *,
    gaps: Sequence[int] = GAPS,
    metrics: str | Sequence[str] = (),
    **choice: Any,
) -> ClipGrades:
    """Return the grades of a stylized clip.

    `warp_error@1` is the mean squared difference of each frame from the one before, moved by the optical flow of the
    input where that is reliable; `warp_error@10` compares with ten frames before. A clip that is not stylized has the
    error of the input, which is the smallest that makes sense (Ruder et al. 2016; Lai et al., ECCV 2018).

    Args:
        content: the input clip.
        style: the style image.
        output: the stylized clip, with the same number of frames.
        gaps: distances of the frames that are compared.
        metrics: one or several metrics of images, such as `style_share`, whose mean over up to 8 frames is added.
        choice: other arguments of `impasto.metrics.evaluate.evaluate`.

    Returns:
        The values for `"output"` and for `"identity"`; NaN where no two frames can be compared.

    Raises:
        ValueError: if a clip cannot be read or is a picture, or the clips have different numbers of frames.
    """
    before, after = _open_input(content, output), open_clip(output)
    found = scan(before)
    grades: ClipGrades = {"output": {}, "identity": {}}
    errors = warp_errors(before, after, found, gaps)
    for gap in gaps:
        for role, values in zip(grades, errors[gap], strict=True):
            grades[role][f"warp_error@{gap}"] = values
    if metrics:
        for role, means in _image_metrics(before, style, after, found.count, metrics, choice).items():
            grades[role] |= means
    return grades


def _open_input(content: str | os.PathLike[str], output: str | os.PathLike[str]) -> Clip:
    """Open the input; raise `ValueError` if it is a picture: the output that belongs to it is one, too."""
    file = Path(os.fsdecode(content))
    is_animation = file.suffix.lower() in ANIMATED and is_animated(file)
    is_picture = file.suffix.lower() in SUFFIXES and not file.is_dir() and not is_animation
    if is_picture or (not file.exists() and str(file) in {*STYLES, *CONTENTS}):
        kind = "folder" if Path(output).is_dir() else "clip"
        text = f"the content {str(file)!r} is an image, but the output {os.fsdecode(output)!r} is a {kind}"
        raise ValueError(f"{text}; give the image that was stylized from it, or a clip as content")
    return open_clip(file)


def warp_errors(before: Clip, after: Clip, found: Scan, gaps: Sequence[int]) -> dict[int, tuple[float, float]]:
    """Return the warp errors of a stylized clip and of its input, for each distance of two frames.

    Args:
        before: the input.
        after: the stylized clip.
        found: shots of the input; frames of different shots are not compared.
        gaps: distances of the frames.
    """
    estimator, recent = FlowEstimator(), deque[_Pair](maxlen=max(gaps))
    errors: dict[int, list[tuple[float, float]]] = {gap: [] for gap in gaps}
    for index, pair in enumerate(_pairs(before, after, found.count)):
        first = found.shot_of(index).first
        for gap in gaps:
            if index - gap >= first:
                earlier = recent[-gap]
                motion = estimator.motion(pair.content, earlier.content)
                errors[gap].append(
                    (_error(pair.output, earlier.output, motion), _error(pair.content, earlier.content, motion))
                )
        recent.append(pair)
    return {gap: (_mean(values, 0), _mean(values, 1)) for gap, values in errors.items()}


@dataclass(frozen=True, eq=False)
class _Pair:
    content: np.ndarray
    output: np.ndarray


def _pairs(before: Clip, after: Clip, count: int) -> Iterator[_Pair]:
    """Yield the frames of both clips at the size of the output."""
    seen = 0
    outputs = after.frames()
    for content, output in zip(before.frames(after.size), outputs, strict=False):
        seen += 1
        yield _Pair(content.pixels, output.pixels)
    if seen != count or next(outputs, None) is not None:
        raise ValueError(
            f"{str(after.path)!r}: it does not have the {count} frames of {str(before.path)!r}; give a stylized clip "
            "of the whole input"
        )


def _error(frame: np.ndarray, earlier: np.ndarray, motion: Motion) -> float:
    """Return the weighted mean squared difference from the moved earlier frame, of values in [0, 1]."""
    difference = (frame.astype(np.float32) - warp(earlier, motion.flow, cubic=True)) / 255
    weight = float(motion.weight.sum())
    return float((difference**2).mean(-1).ravel() @ motion.weight.ravel()) / weight if weight else float("nan")


def _mean(values: Sequence[tuple[float, float]], column: int) -> float:
    known = [each[column] for each in values if each[column] == each[column]]
    return sum(known) / len(known) if known else float("nan")


def _image_metrics(
    before: Clip, style: Source, after: Clip, count: int, metrics: str | Sequence[str], choice: dict[str, Any]
) -> ClipGrades:
    """Return the means of metrics of images over frames that are spread over the clip."""
    wanted = {round(i * (count - 1) / max(1, min(count, GRADED_FRAMES) - 1)) for i in range(min(count, GRADED_FRAMES))}
    graded = [
        evaluate_with_baselines(frame_image(pair.content), style, frame_image(pair.output), metrics=metrics, **choice)
        for index, pair in enumerate(_pairs(before, after, count))
        if index in wanted
    ]
    return {
        role: {name: sum(each[role][name] for each in graded) / len(graded) for name in graded[0][role]}
        for role in ("output", "identity")
    }

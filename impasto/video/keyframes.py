"""Mix the styles of a clip by keyframes: the style changes over time."""

from __future__ import annotations

import re
import warnings
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from impasto.regions.subject import Subject


@dataclass(frozen=True)
class Keyframe:
    """A time at which a single style applies."""

    seconds: float
    style: int
    """Index of the style, from 0."""


def parse_keyframes(texts: Sequence[str], styles: int) -> tuple[Keyframe, ...]:
    """Return the keyframes of the setting `keyframe`, sorted by time.

    Args:
        texts: `SECONDS:NUMBER` each; styles are counted from 1.
        styles: number of styles.

    Raises:
        ValueError: for another text, a number without a style, or two keyframes at the same time.

    >>> parse_keyframes(["4.5:2", "0:1"], 2)
    (Keyframe(seconds=0.0, style=0), Keyframe(seconds=4.5, style=1))
    """
    keyframes = []
    for text in texts:
        found = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+):(\d+)", text)
        if found is None:
            raise ValueError(f"keyframe: give SECONDS:NUMBER, such as 4.5:2 for the second style, not {text!r}")
        if not 1 <= int(found[2]) <= styles:
            raise ValueError(f"keyframe: {text!r} is style {found[2]}, but there are {styles} style image(s)")
        keyframes.append(Keyframe(float(found[1]), int(found[2]) - 1))
    ordered = tuple(sorted(keyframes, key=lambda each: each.seconds))
    if len({each.seconds for each in ordered}) < len(ordered):
        raise ValueError(f"keyframe: two of {', '.join(texts)} have the same time; give different times")
    return ordered


def warn_of_late(keyframes: Sequence[Keyframe], last: float) -> None:
    """Warn of the first keyframe whose style never appears. A trial with a short part of a clip may have such ones.

    Args:
        keyframes: sorted by time.
        last: time of the last frame of the output, in seconds.
    """
    for before, each in pairwise(keyframes):
        if before.seconds >= last:
            text = f"keyframe: {each.seconds:g}:{each.style + 1} never applies, as the last frame is at {last:.3g} s"
            warnings.warn(f"{text}; times count from the start of the output, not of the file", stacklevel=2)
            return


def mix_at(keyframes: Sequence[Keyframe], seconds: float, styles: int) -> list[float]:
    """Return the weight of each style at a time: between two keyframes it changes linearly.

    >>> frames = parse_keyframes(["1:1", "3:2"], 2)
    >>> mix_at(frames, 0, 2), mix_at(frames, 1.5, 2), mix_at(frames, 9, 2)
    ([1.0, 0.0], [0.75, 0.25], [0.0, 1.0])
    """
    after = bisect_right([each.seconds for each in keyframes], seconds)
    first, second = keyframes[max(0, after - 1)], keyframes[min(after, len(keyframes) - 1)]
    gap = second.seconds - first.seconds
    fraction = min(max((seconds - first.seconds) / gap, 0.0), 1.0) if gap else 0.0
    mix = [0.0] * styles
    mix[first.style] += 1 - fraction
    mix[second.style] += fraction
    return mix


def mixed(subject: Subject, mix: Sequence[float]) -> Subject:
    """Return a subject of one region with other weights of its styles; styles of weight 0 are left out."""
    (region,) = subject.regions
    styles = tuple(
        replace(style, weight=weight) for style, weight in zip(region.styles, mix, strict=True) if weight > 0
    )
    return replace(subject, regions=(replace(region, styles=styles),))

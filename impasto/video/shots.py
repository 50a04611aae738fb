"""Find the cuts of a clip, which divide it into shots."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from impasto.images import fit
from impasto.video.clip import Clip
from impasto.video.source import until_stopped

THUMBNAIL = 64
"""Longer side in pixels of the frames that are compared."""
LEAST = 12.0
"""Smallest difference of two frames at a cut: mean over the pixels and colors, in 8-bit levels."""
RATIO = 2.0
"""Smallest difference at a cut relative to the largest one around it, so that fast motion is none."""
NEIGHBORS = 2
"""Differences on each side that a difference is compared with."""
SPACING = 8
"""Frames between two that represent a shot; those between have almost the same statistics (Wang et al., TIP 2020)."""


@dataclass(frozen=True)
class Shot:
    """Frames between two cuts."""

    first: int
    """Index of the first frame."""
    end: int
    """Index after the last frame."""

    def __contains__(self, index: object) -> bool:
        return isinstance(index, int) and self.first <= index < self.end

    def spread(self, count: int) -> list[int]:
        """Return the indices of at most `count` frames, evenly spread from the first one on, and at least 8 apart.

        >>> Shot(0, 20).spread(16), Shot(5, 105).spread(4), Shot(3, 4).spread(1)
        ([0, 8, 16], [5, 30, 55, 80], [3])
        """
        step = max(SPACING, -(-(self.end - self.first) // count))
        return list(range(self.first, self.end, step))


@dataclass(frozen=True)
class Scan:
    """What a first pass over a clip finds."""

    shots: tuple[Shot, ...]
    times: tuple[Fraction, ...]
    """Time of every frame in seconds."""

    @property
    def count(self) -> int:
        """Return the number of frames."""
        return len(self.times)

    def shot_of(self, index: int) -> Shot:
        """Return the shot that contains a frame."""
        return next(shot for shot in self.shots if index in shot)


def scan(
    clip: Clip, on_frame: Callable[[int], object] | None = None, is_stopped: Callable[[], bool] = lambda: False
) -> Scan:
    """Read all frames of a clip as thumbnails, and find its cuts.

    A cut is a difference of two frames that is large, and much larger than those before and after it: neither fast
    motion nor a flash is one (after the adaptive detector of PySceneDetect).

    Args:
        clip: the clip.
        on_frame: called with the number of frames after each one.
        is_stopped: asked at every frame.

    Raises:
        StoppedError: after a stop.
        ValueError: if the clip is corrupt or has no frame.
    """
    times: list[Fraction] = []
    differences: list[float] = []
    before: np.ndarray | None = None
    for count, frame in enumerate(until_stopped(clip.frames(fit(clip.size, THUMBNAIL)), is_stopped), 1):
        thumbnail = frame.pixels.astype(np.int16)
        if before is not None:
            differences.append(float(np.abs(thumbnail - before).mean()))
        times.append(frame.time)
        before = thumbnail
        if on_frame is not None:
            on_frame(count)
    firsts = [0, *(i + 1 for i in cuts(differences)), len(times)]
    return Scan(tuple(map(Shot, firsts, firsts[1:])), tuple(times))


def cuts(differences: Sequence[float]) -> list[int]:
    """Return the indices of the differences between two frames that are cuts.

    >>> cuts([1, 2, 1, 60, 1, 2, 1]), cuts([20, 20, 20, 30, 20]), cuts([1, 1, 50, 50, 1, 1])
    ([3], [], [])
    """
    found = []
    for i, value in enumerate(differences):
        around = [*differences[max(0, i - NEIGHBORS) : i], *differences[i + 1 : i + 1 + NEIGHBORS]]
        if value >= LEAST and (not around or value >= RATIO * max(around)):
            found.append(i)
    return found

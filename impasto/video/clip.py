"""Open a clip: a video file, an animated image or a folder of numbered frames."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from impasto.files import reason
from impasto.images import MIN_SIDE
from impasto.video.animation import ANIMATED, AnimatedImage
from impasto.video.container import Container
from impasto.video.frame_folder import FrameFolder
from impasto.video.settings import SHORTEST, SLOWEST
from impasto.video.source import ClipSource, ColorTags, Shape, SourceFrame

MAX_FRAMES = 1_000_000
"""Largest number of frames with a constant rate."""


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame of a clip."""

    pixels: np.ndarray
    """Upright sRGB colors `(H, W, 3)`, uint8."""
    time: Fraction
    """Seconds since the first frame of the clip."""
    duration: Fraction
    """Seconds until the next frame."""


@dataclass(frozen=True)
class Clip:
    """A clip, or a part of one. It keeps no frame in memory; `frames` decodes it again each time."""

    path: Path
    source: ClipSource
    start: Fraction = Fraction(0)
    """Seconds of the source before the first frame."""
    duration: Fraction | None = None
    """Seconds of the source that are read; None: to the end."""
    fps: Fraction | None = None
    """Constant number of frames per second; None: the frames and times of the source."""

    @property
    def size(self) -> Shape:
        """Height and width of an upright frame with square pixels."""
        return self.source.size

    @property
    def rate(self) -> Fraction | None:
        """Constant number of frames per second, of a folder too; None: the times of the file."""
        return self.source.rate if isinstance(self.source, FrameFolder) else self.fps

    @property
    def seconds(self) -> Fraction | None:
        """Duration of the part that is read, as the source states it; None where only decoding tells."""
        if self.source.seconds is None:
            return None
        rest = self.source.seconds - self.start
        return rest if self.duration is None else min(rest, self.duration)

    @property
    def color(self) -> ColorTags:
        """How the source encodes its colors."""
        return self.source.color

    def frames(self, shape: Shape | None = None) -> Iterator[Frame]:
        """Yield the frames in order.

        Args:
            shape: height and width in pixels. Default: those of the source.

        Raises:
            ValueError: if the clip is corrupt, or no frame is in the part that was selected.
        """
        selected = self._selected()
        if self.fps is not None:
            selected = _resampled(selected, self.fps)
        for frame, time, duration in selected:
            yield Frame(frame.pixels(shape or self.size), time, duration)

    def _selected(self) -> Iterator[tuple[SourceFrame, Fraction, Fraction]]:
        """Yield the frames of the part, with their times from its start and their durations."""
        end = None if self.duration is None else self.start + self.duration
        shown = Fraction(0)
        for frame, time, duration in _timed(self.source.frames(self.start)):
            shown = time + duration
            if shown <= self.start:
                continue
            if end is not None and time >= end:
                return
            first, last = max(time, self.start), shown
            yield frame, first - self.start, (last if end is None else min(last, end)) - first
        if shown <= self.start:
            text = f"start: {str(self.path)!r} has no frame between second {float(self.start):g} and its end"
            raise ValueError(f"{text} at {float(shown):.3g} s; choose an earlier start")


def open_clip(
    path: str | os.PathLike[str],
    *,
    start: float = 0,
    duration: float | None = None,
    fps: float | None = None,
) -> Clip:
    """Open a clip without decoding more than its first frame.

    Frames are upright (rotation flags are applied), in 8-bit sRGB and have square pixels. Transparent parts are white.

    Args:
        path: MP4, MOV, WebM, MKV or another file that FFmpeg reads; an animated GIF, WebP or PNG; or a folder of image
            files of one size, sorted by the numbers in their names.
        start: seconds of the source that are left out.
        duration: seconds of the source that are read. Default: to the end.
        fps: constant number of frames per second; frames are repeated or left out. Default: the times of the source, or
            25 for a folder.

    Raises:
        ValueError: in one line, if the file is not a clip, is corrupt, has no video, or a side or a value is too small.
    """
    _check_bounds(duration, fps)
    file, rate = Path(os.fsdecode(path)), None if fps is None else Fraction(fps).limit_denominator(100_000)
    try:
        source: ClipSource
        if file.is_dir():
            source, rate = FrameFolder(file, rate), None
        elif file.suffix.lower() in ANIMATED:
            source = AnimatedImage(file)
        else:
            source = Container(file)
    except OSError as error:
        raise ValueError(f"{str(file)!r}: it cannot be read: {reason(error)}; give a video file") from error
    if min(source.size) < MIN_SIDE:
        height, width = source.size
        raise ValueError(f"{str(file)!r} is {width}x{height} pixels; give a clip of at least {MIN_SIDE} on each side")
    _check_start(file, source, start)
    exact = [None if each is None else Fraction(each).limit_denominator(1_000_000) for each in (start, duration)]
    return Clip(file, source, exact[0] or Fraction(0), exact[1], rate)


def _check_bounds(duration: float | None, fps: float | None) -> None:
    for name, value, least in (("duration", duration, SHORTEST), ("fps", fps, SLOWEST)):
        if value is not None and not value >= least:
            raise ValueError(f"{name}: {value:g} is too small; give at least {least:g}")


def _check_start(file: Path, source: ClipSource, start: float) -> None:
    """Raise `ValueError` if the part begins after the end that the source states."""
    if source.seconds is not None and start >= source.seconds:
        text = f"start: {start:g} s is not before the end of {str(file)!r}, which has {float(source.seconds):.3g} s"
        raise ValueError(f"{text}; give an earlier start")


def _timed(frames: Iterator[SourceFrame]) -> Iterator[tuple[SourceFrame, Fraction, Fraction]]:
    """Yield each frame with its time and its duration; a frame that is not later than the one before is left out."""
    before: SourceFrame | None = None
    for frame in frames:
        if before is not None:
            if frame.time <= before.time:
                continue
            yield before, before.time, frame.time - before.time
        before = frame
    if before is not None:
        yield before, before.time, before.duration


def _resampled(
    frames: Iterator[tuple[SourceFrame, Fraction, Fraction]], fps: Fraction
) -> Iterator[tuple[SourceFrame, Fraction, Fraction]]:
    """Yield the frame that is shown at every multiple of 1 / `fps` seconds."""
    count = 0
    for frame, time, duration in frames:
        if (time + duration) * fps > MAX_FRAMES:  # before they are counted: the times of a damaged file may be years
            text = f"fps: {float(fps):g} frames per second up to {float(time + duration):.6g} s"
            raise ValueError(f"{text} are more than {MAX_FRAMES}; choose a lower fps or a shorter duration")
        while count / fps < time + duration:
            yield frame, count / fps, 1 / fps
            count += 1

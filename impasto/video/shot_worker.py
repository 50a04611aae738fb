"""Stylize the frames of one shot after the other, in this process or in a worker."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from impasto.executors import IsStopped
from impasto.types import Losses
from impasto.video.clip import Clip
from impasto.video.frames import Content, Earlier, EarlierFrame, FrameStylizer
from impasto.video.shots import Shot
from impasto.video.work_folder import StoredFrames, WorkFolder

Contents = deque[tuple[np.ndarray, np.ndarray | None] | None]
"""Pixels of the frames before the next one, in the direction of the pass, and where they are continued; None for a
frame without a region."""


@dataclass(frozen=True)
class FrameReport:
    """A frame that was stored in the work folder."""

    number: int
    """Pass of the frame, from 0."""
    index: int
    losses: Losses


class ShotWorker:
    """Stylize shots, which do not depend on each other.

    Shots are fastest in the order of the clip, which is then decoded once for their samples and once for the frames:
    for later passes, the frames of a shot are kept in the work folder, because a file is decoded forward only.

    Args:
        clip: the clip.
        shape: height and width of the frames, in pixels.
        frames: stylizes the frames of a shot.
        work: the finished frames.
        masks: masks that are clips, with the frames of the clip.

    Raises:
        ValueError: if this machine does not see the work folder.
    """

    def __init__(
        self,
        clip: Clip,
        shape: tuple[int, int],
        frames: FrameStylizer,
        work: WorkFolder,
        masks: tuple[Clip, ...] = (),
    ) -> None:
        work.check_shared()
        self._frames, self._work = frames, work
        self._contents, self._samples = (_Reader(clip, shape, masks) for _ in range(2))

    def __call__(self, shot: Shot, is_stopped: IsStopped) -> Iterator[FrameReport]:
        """Stylize the frames of a shot that are not finished, in every pass; yield a report after each one."""
        numbers = [number for number in range(self._frames.passes) if not self._work.has_pass(shot, number)]
        if not numbers:
            return
        wanted = shot.spread(self._frames.samples)
        samples = self._samples.between(shot.first, wanted[-1] + 1)
        self._frames.begin_shot([content for index, content in samples if index in wanted])
        for number in numbers:
            if number > numbers[0] and is_stopped():
                return
            one_pass = self._later_pass if number else self._first_pass
            yield from one_pass(shot, number, is_stopped)
        if self._work.has_pass(shot, numbers[-1]):
            self._work.contents.remove(shot)

    def _first_pass(self, shot: Shot, number: int, is_stopped: IsStopped) -> Iterator[FrameReport]:
        """Stylize the frames of a shot in order."""
        frames = self._work.frames(number)
        values: dict[str, Any] = {}
        contents = self._no_contents()
        done = frames.first_missing(shot.first, shot.end)
        for index, content in self._decoded(shot):
            if index >= done:
                stylized = self._frames.stylize(content, self._earlier(index, 1, frames, contents), values)
                frames.write(index, stylized)
                yield FrameReport(number, index, stylized.losses)
                if is_stopped():
                    return
            values = values or frames.values(index)
            contents.append(self._continued(content))

    def _later_pass(self, shot: Shot, number: int, is_stopped: IsStopped) -> Iterator[FrameReport]:
        """Stylize the frames of a shot once more, every second time from the last one to the first one.

        The frame with which a pass begins stays as it is, and so do frames without a region and those that have none
        with one at the distances `gaps`.
        """
        direction = -1 if number % 2 else 1
        before, frames = (self._work.frames(each) for each in (number - 1, number))
        values, contents = self._values(shot), self._no_contents()
        is_missing = False
        for index, content in self._kept(shot, direction):
            is_missing = is_missing or index not in frames
            if is_missing:
                stylized = before.stylized(index)
                if earlier := self._earlier(index, direction, frames, contents):
                    stylized = self._frames.revise(content, stylized, earlier, values)
                frames.write(index, stylized)
                yield FrameReport(number, index, stylized.losses)
                if is_stopped():
                    return
            contents.append(self._continued(content))

    def _decoded(self, shot: Shot) -> Iterator[tuple[int, Content]]:
        """Yield the frames of a shot with their indices, and keep them for later passes."""
        for index, content in self._contents.between(shot.first, shot.end):
            if self._frames.passes > 1:
                self._work.contents.write(index, content)
            yield index, content

    def _kept(self, shot: Shot, direction: int) -> Iterator[tuple[int, Content]]:
        """Yield the frames of a shot with their indices, forward for 1 and backward for -1."""
        kept = self._work.contents
        indices = range(shot.first, shot.end)[::direction]
        if not all(index in kept for index in indices):
            deque(self._decoded(shot), maxlen=0)
        yield from ((index, kept.read(index)) for index in indices)

    def _values(self, shot: Shot) -> dict[str, Any]:
        """Return the values of the first frame of a shot that has any, after the first pass."""
        frames = self._work.frames(0)
        return next((values for index in range(shot.first, shot.end) if (values := frames.values(index))), {})

    def _no_contents(self) -> Contents:
        return deque(maxlen=max(self._frames.gaps))

    def _continued(self, content: Content) -> tuple[np.ndarray, np.ndarray | None] | None:
        """Return an element of `Contents`."""
        return (content.pixels, self._frames.cover(content)) if self._frames.has_region(content) else None

    def _earlier(self, index: int, direction: int, frames: StoredFrames, contents: Contents) -> Earlier:
        """Return the finished frames of the shot and pass that a frame needs."""
        return {
            gap: EarlierFrame(*before, partial(frames.read_state, index - direction * gap))
            for gap in self._frames.gaps
            if gap <= len(contents) and (before := contents[-gap]) is not None
        }


def read_contents(clip: Clip, shape: tuple[int, int], masks: tuple[Clip, ...]) -> Iterator[Content]:
    """Yield the frames of a clip at a height and width, with those of its masks at their own."""
    readers = [mask.frames() for mask in masks]
    for frame in clip.frames(shape):
        yield Content(frame.pixels, float(frame.time), tuple(next(reader).pixels for reader in readers))


class _Reader:
    """Reads parts of a clip and its masks; a part after the last one continues to decode there."""

    def __init__(self, clip: Clip, shape: tuple[int, int], masks: tuple[Clip, ...]) -> None:
        self._clip, self._shape, self._masks = clip, shape, masks
        self._next = 0
        self._contents = read_contents(clip, shape, masks)

    def between(self, first: int, end: int) -> Iterator[tuple[int, Content]]:
        """Yield the frames from one index to before another one, with their indices."""
        if first < self._next:
            self._next, self._contents = 0, read_contents(self._clip, self._shape, self._masks)
        while self._next < end:
            content = next(self._contents)
            self._next += 1
            if self._next > first:
                yield self._next - 1, content

"""Stylize the frames of one shot after the other, in this process or in a worker."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from impasto.executors import IsStopped
from impasto.types import Losses
from impasto.video.clip import Clip
from impasto.video.frame_stylizers import Content, Earlier, EarlierFrame, FrameStylizer
from impasto.video.shots import Shot
from impasto.video.work_folder import WorkFolder

FrameReport = tuple[int, Losses]
"""Index of a frame that was stored in the work folder, and its losses."""


class ShotWorker:
    """Stylize shots, which do not depend on each other.

    Shots are fastest in the order of the clip, which is then decoded once.

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
        """Stylize the frames of a shot that are not finished; yield a report after each one."""
        done = self._work.first_missing(shot.first, shot.end)
        if done == shot.end:
            return
        wanted = shot.spread(self._frames.samples)
        samples = self._samples.between(shot.first, wanted[-1] + 1)
        self._frames.begin_shot([content for index, content in samples if index in wanted])
        values: dict[str, Any] = {}
        contents: deque[np.ndarray] = deque(maxlen=max(self._frames.gaps))  # the last one is the frame before
        for index, content in self._contents.between(shot.first, shot.end):
            if index >= done:
                earlier = self._earlier(index, contents)
                stylized = self._frames.stylize(content, earlier, values)
                self._work.write(index, stylized.pixels, stylized.values, stylized.state)
                yield index, stylized.losses
                if is_stopped():
                    return
            if not values and (values := self._work.values(index)):
                contents.clear()  # the frames before have no region, and are not continued
            contents.append(content.pixels)

    def _earlier(self, index: int, contents: deque[np.ndarray]) -> Earlier:
        """Return the finished frames of the shot that a frame needs."""
        gaps = [gap for gap in self._frames.gaps if gap <= len(contents)]
        return {gap: EarlierFrame(contents[-gap], partial(self._work.read_state, index - gap)) for gap in gaps}


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

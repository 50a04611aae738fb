"""Stylize a clip: the function that the command line and Python use."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from impasto.config import check_settings
from impasto.images import MIN_SIDE, Source, fit
from impasto.methods import METHODS, configure
from impasto.pipeline.run import OnStep
from impasto.types import Step
from impasto.video.clip import Clip, Frame, open_clip
from impasto.video.encoding import FORMATS
from impasto.video.frame_stylizers import Earlier, EarlierFrame, frame_stylizer
from impasto.video.records import VideoResult, check_video_record, description, save_record
from impasto.video.settings import NOT_FOR_CLIPS, VideoSettings
from impasto.video.shots import Scan, Shot, scan
from impasto.video.work_folder import WorkFolder
from impasto.video.writing import check_clip_output, write_clip

DEFAULT_METHOD = "micro"
"""Method of a clip unless another one is given: those that optimize take seconds for each frame."""


def stylize_video(
    clip: str | os.PathLike[str],
    style: Source | Sequence[Source],
    output: str | os.PathLike[str],
    method: str = DEFAULT_METHOD,
    *,
    on_frame: OnStep | None = None,
    on_step: OnStep | None = None,
    restart: bool = False,
    **settings: Any,
) -> VideoResult:
    """Stylize a clip so that the style follows its motion.

    Finished frames are kept in the folder `OUTPUT.work` until the output is complete: the same call continues a run
    that was stopped or killed, and gives the same output. The memory does not depend on the length of the clip.

    Args:
        clip: a clip, as for `open_clip`.
        style: style images, as for `stylize`.
        output: file or folder of the output, as for `write_clip`.
        method: name of a method.
        on_frame: called after every frame with its number, the seconds of this run, its losses and its image; returning
            False stops the run.
        on_step: called with every step of an optimizing method.
        restart: discard finished frames of other inputs or settings, which are an error otherwise.
        settings: `start`, `duration`, `fps`, `blend`, `temporal_weight`, `frame_steps`, `long_term` and `keyframe` (see
            `VideoSettings`), and the settings of the method.

    Raises:
        ValueError: in one line, for a mistake that the caller can correct.
    """
    own = {name: settings.pop(name) for name in VideoSettings.__dataclass_fields__ if name in settings}
    video: VideoSettings = check_settings(VideoSettings, "video", own)
    _check_given(method, settings)
    job = _Job(clip, style, Path(os.fsdecode(output)), method, video, settings, on_step)
    return job.run(on_frame, restart=restart)


class _Job:
    """One clip that is stylized; arguments as for `stylize_video`."""

    def __init__(
        self,
        clip: str | os.PathLike[str],
        style: Source | Sequence[Source],
        output: Path,
        method: str,
        video: VideoSettings,
        settings: dict[str, Any],
        on_step: OnStep | None,
    ) -> None:
        self._clip = open_clip(clip, start=video.start, duration=video.duration, fps=video.fps)
        check_clip_output(output)
        check_video_record(output)
        self._output, self._method, self._video = output, method, video
        self._config = configure(method, settings)
        self._shape = _final_shape(self._clip, METHODS[method].final_size(self._config), output)
        self._frames = frame_stylizer(style, method, video, self._shape, settings, on_step)

    def run(self, on_frame: OnStep | None, *, restart: bool) -> VideoResult:
        """Stylize all frames that are not finished, and write the output."""
        began = time.perf_counter()
        found = scan(self._clip)
        facts = description(self._clip, self._frames.styles, self._method, self._config, self._video, self._shape)
        work = WorkFolder(self._output.with_name(f"{self._output.name}.work"), facts, restart=restart)
        done = work.done
        result = VideoResult(self._output, done, found.count, done, 0.0, "steps", len(found.shots), facts)
        for index, losses in self._stylize(found, work, done):
            seconds = time.perf_counter() - began
            result = replace(result, frames=index + 1, seconds=seconds)
            step = _step(index, losses, seconds, found.count, self._shape, work)
            if on_frame is not None and on_frame(step) is False and index + 1 < found.count:
                return replace(result, stopped="cancelled")
        write_clip(self._output, self._written(work), self._clip)
        result = replace(result, frames=found.count, seconds=time.perf_counter() - began)
        save_record(result)
        work.remove()
        return result

    def _stylize(self, found: Scan, work: WorkFolder, done: int) -> Iterator[tuple[int, dict[str, float]]]:
        """Stylize the frames from `done` on; yield the index and the losses of each."""
        contents: deque[np.ndarray] = deque(maxlen=max(self._frames.gaps))  # the last one is the frame before
        samples = self._sampled(found, done)
        for index, frame in enumerate(self._clip.frames(self._shape)):
            shot = found.shot_of(index)
            if index >= done:
                if index in (done, shot.first):
                    self._frames.begin_shot(next(samples))
                earlier = self._earlier(index, shot, contents, work)
                values = work.values(shot.first) if index > shot.first else {}
                stylized = self._frames.stylize(frame.pixels, float(frame.time), earlier, values)
                work.write(index, stylized.pixels, stylized.values, stylized.state)
                yield index, stylized.losses
            contents.append(frame.pixels)

    def _earlier(self, index: int, shot: Shot, contents: deque[np.ndarray], work: WorkFolder) -> Earlier:
        """Return the finished frames of the shot that a frame needs."""
        gaps = [gap for gap in self._frames.gaps if index - gap >= shot.first]
        return {gap: EarlierFrame(contents[-gap], partial(work.read_state, index - gap)) for gap in gaps}

    def _sampled(self, found: Scan, done: int) -> Iterator[list[np.ndarray]]:
        """Yield frames that represent each shot, from that of the frame `done` on."""
        shots = [shot for shot in found.shots if shot.end > done]
        frames = enumerate(self._clip.frames(self._shape))
        for shot in shots:
            wanted = shot.spread(self._frames.samples)
            collected: list[np.ndarray] = []
            while len(collected) < len(wanted):
                index, frame = next(frames)
                if index in wanted:
                    collected.append(frame.pixels)
            yield collected

    def _written(self, work: WorkFolder) -> Iterator[Frame]:
        """Yield the finished frames with the times of the clip."""
        for index, frame in enumerate(self._clip.frames((MIN_SIDE, MIN_SIDE))):
            yield replace(frame, pixels=work.read(index))


def _check_given(method: str, settings: dict[str, Any]) -> None:
    """Raise `ValueError` for settings of the method that a clip does not have."""
    METHODS[method].check_given(settings)
    for name in sorted(NOT_FOR_CLIPS & settings.keys()):
        raise ValueError(f"{name}: it is for images; leave it out")


def _final_shape(clip: Clip, size: int, output: Path) -> tuple[int, int]:
    """Return the height and width of the output, even where its format needs it."""
    height, width = fit(clip.size, size or max(clip.size))
    form = FORMATS.get(output.suffix.lower())
    if form is not None and form.needs_even_sides:
        height, width = max(2, height // 2 * 2), max(2, width // 2 * 2)
    if min(height, width) < MIN_SIDE:
        raise ValueError(
            f"size: frames of {width}x{height} pixels are too small; give at least {MIN_SIDE} on each side"
        )
    return height, width


def _step(
    index: int, losses: dict[str, float], seconds: float, total: int, shape: tuple[int, int], work: WorkFolder
) -> Step:
    """Return the record of a frame: its number, and a function that reads its image."""
    return Step(index + 1, losses, seconds, size=shape, total=total, image=partial(_read, work, index))


def _read(work: WorkFolder, index: int) -> torch.Tensor:
    return torch.from_numpy(work.read(index)).permute(2, 0, 1)[None].float() / 255

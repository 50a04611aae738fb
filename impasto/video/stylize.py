"""Stylize a clip: the function that the command line and Python use."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any

import torch

from impasto.config import check_settings
from impasto.executors import Executor, IsStopped, Runners, executor_of
from impasto.files import output_path
from impasto.images import MIN_SIDE, Source, fit
from impasto.methods import METHODS, configure
from impasto.pipeline.load_inputs import split_pictures
from impasto.pipeline.run import OnStep
from impasto.types import Step, is_stopped_by
from impasto.video.clip import Clip, Frame, open_clip
from impasto.video.encoding import FORMATS
from impasto.video.frame_stylizers import frame_stylizer
from impasto.video.mask_clips import check_mask_times, open_mask_clips
from impasto.video.records import VideoResult, check_video_record, description, save_record
from impasto.video.settings import NOT_FOR_CLIPS, VideoSettings
from impasto.video.shot_worker import FrameReport, ShotWorker, read_contents
from impasto.video.shots import Scan, scan
from impasto.video.source import StoppedError, frame_image
from impasto.video.work_folder import StoredFrames, WorkFolder
from impasto.video.writing import check_clip_output, write_clip

DEFAULT_METHOD = "micro"
"""Method of a clip unless another one is given: those that optimize take seconds for each frame."""


def stylize_video(
    clip: str | os.PathLike[str],
    style: Source | Sequence[Source] = (),
    output: str | os.PathLike[str] = "",
    method: str = DEFAULT_METHOD,
    *,
    on_frame: OnStep | None = None,
    on_step: OnStep | None = None,
    is_stopped: IsStopped = lambda: False,
    restart: bool = False,
    workers: int = 1,
    runner: Runners | Executor = "processes",
    **settings: Any,
) -> VideoResult:
    """Stylize a clip so that the style follows its motion.

    Finished frames are kept in the folder `OUTPUT.work` until the output is complete: the same call continues a run
    that was stopped or killed, and gives the same output. The memory does not depend on the length of the clip.

    Args:
        clip: a clip, as for `open_clip`.
        style: style images, as for `stylize`.
        output: file or folder of the output, as for `write_clip`; required.
        method: name of a method.
        on_frame: called with a `Step` and the image after every frame; returning False stops the run.
        on_step: called with every step of an optimizing method, without workers only.
        is_stopped: asked at every frame, also while the clip and its masks are checked; True stops the run.
        restart: discard finished frames of other inputs or settings, which are an error otherwise.
        workers: number of shots at a time, each in a process of its own.
        runner: where the workers run, as for `FolderOptions`.
        settings: fields of `VideoSettings`, and those of the method; masks may be clips, too, or pictures in memory.

    Raises:
        ValueError: in one line, for a mistake that the caller can correct.
    """
    video, settings = _split_settings(method, settings)
    if (executor := executor_of(runner, workers)) is not None and on_step is not None:
        raise ValueError("on_step: workers cannot call it; give one worker, or use on_frame")
    job = _Job(clip, style, output_path(output), method, video, settings, on_step)
    return job.run(on_frame, is_stopped, executor, workers, restart=restart)


def check_video(
    clip: str | os.PathLike[str],
    style: Source | Sequence[Source] = (),
    output: str | os.PathLike[str] = "",
    method: str = DEFAULT_METHOD,
    **settings: Any,
) -> None:
    """Check everything that `stylize_video` checks before the first frame; arguments and errors as there."""
    video, settings = _split_settings(method, settings)
    _Job(clip, style, output_path(output), method, video, settings, None)


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
        masks = open_mask_clips(settings.get("mask"), self._clip)
        check_clip_output(output)
        check_video_record(output)
        self._output, self._method, self._video = output, method, video
        named, pictures = split_pictures(settings)
        self._config = configure(method, named)
        self._inputs = {**METHODS[method].inputs(self._config), **pictures}
        self._shape = _final_shape(self._clip, METHODS[method].final_size(self._config), output)
        self._masks = masks.clips
        self._frames = frame_stylizer(style, method, video, self._shape, settings, on_step, masks.colors)

    def run(
        self,
        on_frame: OnStep | None,
        is_stopped: IsStopped,
        executor: Executor | None,
        workers: int,
        *,
        restart: bool,
    ) -> VideoResult:
        """Stylize all frames that are not finished, and write the output."""
        began = time.perf_counter()
        styles, passes = self._frames.styles, self._frames.passes
        facts = description(self._clip, styles, self._method, self._config, self._video, self._shape, self._inputs)
        try:
            found = self._checked(is_stopped)
        except StoppedError:
            return VideoResult(self._output, 0, 0, 0, time.perf_counter() - began, "cancelled", 0, facts, passes)
        work = WorkFolder(self._output.with_name(f"{self._output.name}.work"), facts, restart=restart)
        done, total = work.done, found.count * passes
        result = VideoResult(self._output, done, total, done, 0.0, "steps", len(found.shots), facts, passes)
        stopped = threading.Event()
        ends = partial(_any_of, stopped.is_set, is_stopped)
        for report in self._reports(found, work, executor, workers, ends):
            result = replace(result, frames=result.frames + 1, seconds=time.perf_counter() - began)
            step = _step(result, report, self._shape, work)
            if is_stopped_by(on_frame, step):
                stopped.set()
        if work.done < total:
            return replace(result, frames=work.done, stopped="cancelled")
        write_clip(self._output, self._written(work), self._clip)
        result = replace(result, frames=total, seconds=time.perf_counter() - began)
        save_record(result)
        work.remove()
        return result

    def _checked(self, is_stopped: IsStopped) -> Scan:
        """Read the clip, check its masks and warn of late keyframes; raise `StoppedError` after a stop."""
        found = scan(self._clip, is_stopped=is_stopped)
        self._frames.warn_of_late_keyframes(float(found.times[-1]))
        check_mask_times(self._masks, found.times, is_stopped)
        self._frames.check_masks(next(read_contents(self._clip, self._shape, self._masks)))
        return found

    def _reports(
        self, found: Scan, work: WorkFolder, executor: Executor | None, workers: int, is_stopped: IsStopped
    ) -> Iterator[FrameReport]:
        """Stylize the shots that are not finished, and yield the reports of the frames."""
        start = partial(ShotWorker, self._clip, self._shape, self._frames, work, self._masks)
        shots = [shot for shot in found.shots if not work.has_pass(shot, self._frames.passes - 1)]
        if executor is None:
            worker = start()
            for shot in takewhile(lambda _: not is_stopped(), shots):
                yield from worker(shot, is_stopped)
            return
        for outcome in executor.run(start, shots, workers=workers, is_stopped=is_stopped):
            if outcome.died:
                text = f"two processes died while they stylized the frames from {outcome.task.first + 1} on"
                raise ValueError(f"{text}; there may be too little memory; the same command continues")
            yield outcome.value

    def _written(self, work: WorkFolder) -> Iterator[Frame]:
        """Yield the finished frames with the times of the clip."""
        last = work.frames(self._frames.passes - 1)
        for index, frame in enumerate(self._clip.frames((MIN_SIDE, MIN_SIDE))):
            yield replace(frame, pixels=last.read(index))


def _any_of(first: IsStopped, second: IsStopped) -> bool:
    return first() or second()


def _split_settings(method: str, settings: dict[str, Any]) -> tuple[VideoSettings, dict[str, Any]]:
    """Return the settings of the clip, and those of the method, which a clip may lack."""
    own = {name: value for name, value in settings.items() if name in VideoSettings.__dataclass_fields__}
    others = {name: value for name, value in settings.items() if name not in own}
    video: VideoSettings = check_settings(VideoSettings, "video", own)
    METHODS[method].check_given(others)
    for name in sorted(NOT_FOR_CLIPS & others.keys()):
        raise ValueError(f"{name}: it is for images; leave it out")
    return video, others


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


def _step(result: VideoResult, report: FrameReport, shape: tuple[int, int], work: WorkFolder) -> Step:
    """Return the record of a frame: the number of finished frames, and a function that reads its image."""
    image = partial(_read, work.frames(report.number), report.index)
    return Step(result.frames, report.losses, result.seconds, size=shape, total=result.total, image=image)


def _read(frames: StoredFrames, index: int) -> torch.Tensor:
    return frame_image(frames.read(index))

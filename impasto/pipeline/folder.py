"""Stylize every content image of a folder."""

from __future__ import annotations

import heapq
import math
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from impasto.devices import memory_in_use_mib, pick_device, reset_peak_memory
from impasto.executors import Executor, IsStopped, Runners, executor_of
from impasto.files import check_shared, check_writable, clean_up_on_error, output_path, shared_marker
from impasto.images import MAX_PIXELS, Bits, Source, read_size
from impasto.pipeline.folder_plan import SUFFIX, FolderTask, finished_record, folder_tasks
from impasto.pipeline.plan import Plan
from impasto.pipeline.records import load_record, record_path
from impasto.pipeline.run import OnStep
from impasto.pipeline.stylizer import Stylizer
from impasto.types import Step, is_stopped_by


@dataclass(frozen=True)
class FolderResult:
    """The outcome of one content image of a folder."""

    content: Path
    output: Path
    status: Literal["stylized", "skipped", "failed"]
    record: dict[str, Any] | None = None
    """`Result.record` of the output without the curve; None where it failed."""
    error: str | None = None
    """One line, where it failed."""


OnPicture = Callable[[FolderResult], object]
"""Called with the result of every content image; returning False stops before the next one."""
DIED = "two processes died while they stylized this picture; there may be too little memory"


def stylize_folder(
    content: str | os.PathLike[str],
    style: Source | Sequence[Source] = (),
    output: str | os.PathLike[str] = "",
    method: str = "gatys",
    *,
    suffix: str = SUFFIX,
    overwrite: bool = False,
    max_pixels: int = MAX_PIXELS,
    **options: Any,
) -> list[FolderResult]:
    """Stylize every picture of a folder and its subfolders into another folder.

    Outputs that exist with the same inputs and settings, saved in the same way, are skipped. A picture that fails does
    not stop the others.

    Args:
        content: folder of content images; hidden files and folders are left out.
        style: style images, as for `stylize`.
        output: folder of the outputs and their records, created if missing; may be inside `content`. Required.
        method: name of a method.
        suffix: format of the outputs.
        overwrite: whether to replace files that are not outputs of the same inputs and settings, saved in the same way.
        max_pixels: largest number of pixels of an input.
        options: fields of `FolderOptions` (`bits`, `keep_location`, `workers`, `runner`, `on_picture`, `on_step`), and
            settings as for `stylize`, without masks, which belong to one content image.

    Returns:
        The results in the order in which the pictures were finished.

    Raises:
        ValueError: for wrong inputs or settings, or if a file would be replaced without `overwrite`.
    """
    run, settings = FolderOptions.split(options)
    stylizer = Stylizer(style, method, max_pixels=max_pixels, **settings)
    tasks = folder_tasks(content, output_path(output), stylizer, suffix=suffix, overwrite=overwrite, **run.saving)
    return run.carry_out(tasks, stylizer)


@dataclass(frozen=True, kw_only=True)
class FolderOptions:
    """How the pictures of a folder are saved, and where they are computed."""

    bits: Bits = 8
    """Bits per channel; 16 needs `.png` or `.tif`."""
    keep_location: bool = False
    """As for `Result.save`."""
    workers: int = 1
    """Number of pictures at a time, each in a process of its own."""
    runner: Runners | Executor = "processes"
    """Where the workers run: `processes`, `ray`, or an executor such as `RayCluster(address)`, whose machines need the
    same folders. One worker of `processes` is this process."""
    on_picture: OnPicture | None = None
    """Called with the result of every picture; returning False stops before the next one, and discards those that
    workers have begun."""
    on_step: OnStep | None = None
    """Called with every step, without workers only; returning False stops that picture and keeps its best image."""

    def __post_init__(self) -> None:
        """Raise `ValueError` for options that contradict each other."""
        if self.on_step is not None and executor_of(self.runner, self.workers) is not None:
            raise ValueError("on_step: workers cannot call it; give one worker, or use on_picture")

    @classmethod
    def split(cls, options: dict[str, Any]) -> tuple[FolderOptions, dict[str, Any]]:
        """Return the options among keyword arguments, and the others."""
        ours = cls.__dataclass_fields__.keys() & options.keys()
        return cls(**{name: options[name] for name in ours}), {
            name: value for name, value in options.items() if name not in ours
        }

    @property
    def saving(self) -> dict[str, Any]:
        """Return the arguments of `Result.save`."""
        return {"bits": self.bits, "keep_location": self.keep_location}

    def carry_out(self, tasks: Sequence[FolderTask], stylizer: Stylizer) -> list[FolderResult]:
        """Stylize the content images; `on_picture` may stop it."""
        executor = executor_of(self.runner, self.workers)
        if executor is None:
            results = stylize_tasks(tasks, stylizer, on_step=self.on_step, **self.saving)
        else:
            results = stylize_in_workers(tasks, stylizer, executor, workers=self.workers, **self.saving)
        done: list[FolderResult] = []
        with closing(results):
            for result in results:
                done.append(result)
                if is_stopped_by(self.on_picture, result):
                    break
        return done


@dataclass(frozen=True)
class FolderPlan:
    """Prediction for all content images of a folder."""

    pictures: int
    """Number of content images."""
    skipped: int
    """Number of them whose outputs exist with the same inputs and settings."""
    workers: int
    """Number of processes that stylize the others."""
    seconds: float | None
    """Expected seconds for the others; None where the number of steps is not known."""
    memory_mib: float | None
    """Expected peak memory of all processes on all machines, or of the GPUs; None where it cannot be counted, and where
    no picture is left."""
    largest: Plan | None
    """Prediction for the one with the largest output, in one of the processes; None where no picture is left."""
    errors: tuple[str, ...] = ()
    """One line for each picture that was found to fail: the headers of all pictures are read, but only pictures that
    may have the largest output are decoded."""

    def to_json(self) -> dict[str, Any]:
        """Return the prediction as JSON values."""
        return {
            "pictures": self.pictures,
            "skipped": self.skipped,
            "workers": self.workers,
            "seconds": None if self.seconds is None else round(self.seconds, 3),
            "peak_memory_mib": None if self.memory_mib is None else round(self.memory_mib, 3),
            "largest": None if self.largest is None else self.largest.to_json(),
            "errors": list(self.errors),
        }


def plan_tasks(
    tasks: Sequence[FolderTask], stylizer: Stylizer, executor: Executor | None = None, workers: int = 1
) -> FolderPlan:
    """Return the prediction for the tasks of a folder: that of the largest output, and the others by their pixels.

    Args:
        tasks: the content images, from `folder_tasks`.
        stylizer: method, settings and style images.
        executor: where the workers run; None for this process.
        workers: number of workers.

    Raises:
        ValueError: for a setting that turns out to be wrong with the first picture.
    """
    waiting = [task for task in tasks if not task.is_finished]
    skipped = len(tasks) - len(waiting)
    device = pick_device(stylizer.config.device)
    capacity = None if executor is None else executor.capacity(workers, device.type)
    with nullcontext() if capacity is None else capacity.applied():
        plan, pixels, errors = _plan_of_largest(waiting, stylizer)
    if plan is None:
        return FolderPlan(len(tasks), skipped, 0, 0.0, None, None, errors)
    seconds, memory, workers = plan.seconds, plan.memory_mib, min(workers, len(pixels))
    if seconds is not None:
        each = [seconds * number / max(pixels) for number in pixels]
        seconds = _seconds_of_all(each, 1 if capacity is None else capacity.parallel)
    if memory is not None and capacity is not None:
        memory = memory_in_use_mib(device) + workers * memory
    return FolderPlan(len(tasks), skipped, workers, seconds, memory, plan, errors)


def _plan_of_largest(tasks: Sequence[FolderTask], stylizer: Stylizer) -> tuple[Plan | None, list[int], tuple[str, ...]]:
    """Return the prediction for the largest output, if there is one, with the pixels of all outputs.

    A picture that fails does not count, and the next largest one is predicted; a line for each is returned, too.
    """
    pixels: dict[FolderTask, int] = {}
    errors: dict[FolderTask, str] = {}
    for task in tasks:
        try:
            pixels[task] = math.prod(stylizer.output_shape(read_size(task.content, stylizer.max_pixels)))
        except (ValueError, OSError) as error:
            errors[task] = _error_line(task, error)
    plan = None
    for task in sorted(pixels, key=lambda task: pixels[task], reverse=True):
        try:
            plan = stylizer.plan(task.content, output=task.output)
            break
        except (ValueError, OSError) as error:
            if _names_a_setting(error, stylizer):
                raise
            errors[task] = _error_line(task, error)
            del pixels[task]
    return plan, [*pixels.values()], tuple(errors[task] for task in tasks if task in errors)


def _seconds_of_all(seconds: Sequence[float], workers: int) -> float:
    """Return when the last picture is finished, if each worker takes the next one whenever it has none.

    >>> _seconds_of_all([3, 1, 1, 4], 2)
    6.0
    """
    free_at = [0.0] * workers
    for each in seconds:
        heapq.heapreplace(free_at, free_at[0] + each)
    return max(free_at)


def plan_folder(
    content: str | os.PathLike[str],
    style: Source | Sequence[Source] = (),
    output: str | os.PathLike[str] = "",
    method: str = "gatys",
    *,
    suffix: str = SUFFIX,
    overwrite: bool = False,
    max_pixels: int = MAX_PIXELS,
    **options: Any,
) -> FolderPlan:
    """Return the expected time and memory of `stylize_folder`, and how many outputs exist.

    The arguments are those of `stylize_folder`. Workers on other machines are assumed to be as fast as this one.

    Raises:
        ValueError: as `stylize_folder`.
    """
    run, settings = FolderOptions.split(options)
    stylizer = Stylizer(style, method, max_pixels=max_pixels, **settings)
    tasks = folder_tasks(content, output_path(output), stylizer, suffix=suffix, overwrite=overwrite, **run.saving)
    return plan_tasks(tasks, stylizer, executor_of(run.runner, run.workers), run.workers)


def stylize_tasks(
    tasks: Sequence[FolderTask],
    stylizer: Stylizer,
    *,
    bits: Bits = 8,
    keep_location: bool = False,
    on_step: OnStep | None = None,
) -> Generator[FolderResult]:
    """Stylize one content image after the other, each when its result is requested.

    Args:
        tasks: the content images, from `folder_tasks`.
        stylizer: method, settings and style images.
        bits: bits per channel of the outputs.
        keep_location: as for `Result.save`.
        on_step: called with every step; returning False stops that picture and keeps its best image.

    Yields:
        The result of every task in order, failures included.

    Raises:
        ValueError: for a setting that turns out to be wrong with the first picture.
        Exception: any exception of `on_step`.
    """
    _check_writable(tasks)
    has_output = False
    for task in tasks:
        if task.is_finished:
            yield _skipped(task)
            continue
        attempt = _attempt(task, stylizer, on_step, bits=bits, keep_location=keep_location)
        yield attempt.result_after(has_output=has_output)
        has_output |= attempt.result.status == "stylized"


def stylize_in_workers(
    tasks: Sequence[FolderTask],
    stylizer: Stylizer,
    executor: Executor,
    *,
    workers: int,
    is_stopped: IsStopped = lambda: False,
    **saving: Any,
) -> Generator[FolderResult]:
    """Stylize several content images at a time, in workers that read them and write the outputs.

    A worker that dies is replaced, and its picture is stylized again; one that ends two workers has failed.

    Args:
        tasks: the content images, from `folder_tasks`.
        stylizer: method, settings and style images.
        executor: where the workers run.
        workers: number of workers.
        is_stopped: when it returns True, the pictures in progress stop after the step, and no other one is begun.
        saving: arguments of `Result.save`: `bits` and `keep_location`.

    Yields:
        The result of every task, failures included: those that exist first, the others when they are finished.

    Raises:
        ValueError: for a setting that turns out to be wrong with the first picture, or if workers cannot be started.
    """
    _check_writable(tasks)
    yield from (_skipped(task) for task in tasks if task.is_finished)
    has_output, waiting = False, (task for task in tasks if not task.is_finished)
    if all(task.is_finished for task in tasks):
        return
    with shared_marker(tasks[0].output.parent) as marker:
        start = partial(FolderWorker, stylizer, marker, **saving)
        for outcome in executor.run(start, waiting, workers=workers, is_stopped=is_stopped):
            if outcome.died:
                yield _failure(outcome.task, ValueError(DIED))
                continue
            yield outcome.value.result_after(has_output=has_output)
            has_output |= outcome.value.result.status == "stylized"


class FolderWorker:
    """Stylize content images in a worker.

    Args:
        stylizer: method, settings and style images.
        marker: a file in the folder of the outputs, which all machines must see.
        saving: arguments of `Result.save`.

    Raises:
        ValueError: if this machine does not see it.
    """

    def __init__(self, stylizer: Stylizer, marker: Path, **saving: Any) -> None:
        check_shared(marker)
        self._stylizer, self._saving = stylizer, saving

    def __call__(self, task: FolderTask, is_stopped: IsStopped) -> Iterator[_Attempt]:
        """Yield the result of one content image."""
        record = finished_record(task, self._stylizer, **self._saving)
        if record is not None:  # by a worker that died before it could report it
            yield _Attempt(FolderResult(task.content, task.output, "stylized", record=record))
        else:
            yield _attempt(task, self._stylizer, lambda step: not is_stopped(), **self._saving)


@dataclass(frozen=True)
class _Attempt:
    """The result of a picture, and the mistake in the settings that it may be due to."""

    result: FolderResult
    wrong_setting: str | None = None

    def result_after(self, *, has_output: bool) -> FolderResult:
        """Return the result; raise the mistake unless there is an output with these settings."""
        if self.wrong_setting is not None and not has_output:
            raise ValueError(self.wrong_setting)
        return self.result


def _attempt(task: FolderTask, stylizer: Stylizer, on_step: OnStep | None, **saving: Any) -> _Attempt:
    """Stylize and save one content image; raise exceptions of `on_step` only."""
    listener = _Listener(on_step)
    try:
        record = _stylize(task, stylizer, listener, **saving)
    except Exception as error:  # one picture that fails must not stop the others
        if error is listener.error:
            raise
        return _Attempt(_failure(task, error), str(error) if _names_a_setting(error, stylizer) else None)
    return _Attempt(FolderResult(task.content, task.output, "stylized", record=record))


def _check_writable(tasks: Sequence[FolderTask]) -> None:
    if not all(task.is_finished for task in tasks):
        check_writable(tasks[0].output)


def _skipped(task: FolderTask) -> FolderResult:
    """Return the result of a finished output; its record is read now, because those of many outputs take memory."""
    try:
        record = load_record(task.output)
    except (ValueError, OSError) as error:  # it was removed since the tasks were made
        return _failure(task, error)
    record = {name: value for name, value in record.items() if name != "curve"}
    return FolderResult(task.content, task.output, "skipped", record=record)


class _Listener:
    """Calls a function with every step and keeps its exception, which the picture did not cause."""

    def __init__(self, on_step: OnStep | None) -> None:
        self._on_step = on_step
        self.error: Exception | None = None

    def __call__(self, step: Step) -> object:
        """Return what the function returns, or None without one."""
        try:
            return None if self._on_step is None else self._on_step(step)
        except Exception as error:
            self.error = error
            raise


def _names_a_setting(error: Exception, stylizer: Stylizer) -> bool:
    """Return whether an error is about a setting, with whose name its message begins."""
    name = " ".join(str(error).split()).partition(":")[0]
    return isinstance(error, ValueError) and name in stylizer.config.__dataclass_fields__


def _failure(task: FolderTask, error: Exception) -> FolderResult:
    """Return the result of a task that failed, with one line."""
    return FolderResult(task.content, task.output, "failed", error=_error_line(task, error))


def _error_line(task: FolderTask, error: Exception) -> str:
    """Return the error of a task as one line that names the content image."""
    text = " ".join(str(error).split())[:500]
    kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
    name = "" if str(task.content) in text else f"{str(task.content)!r}: "
    return f"{name}{kind}{text}"


def _stylize(task: FolderTask, stylizer: Stylizer, on_step: OnStep | None, **saving: Any) -> dict[str, Any]:
    """Stylize and save one content image; return its record."""
    reset_peak_memory()
    result = stylizer.stylize(task.content, on_step=on_step, output=task.output)
    with clean_up_on_error([task.output, record_path(task.output)]):
        record_path(task.output).unlink(missing_ok=True)  # the plan has checked that it may be replaced
        task.output.unlink(missing_ok=True)  # an old output must not appear beside the new record, even for a moment
        result.save(task.output, **saving)
    return result.record(curve=False, picture=task.output.name, **saving)

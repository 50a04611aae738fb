"""Stylize every content image of a folder."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from impasto.devices import reset_peak_memory
from impasto.files import check_writable, clean_up_on_error
from impasto.images import MAX_PIXELS, Bits, Source, read_size
from impasto.pipeline.folder_plan import SUFFIX, FolderTask, folder_tasks
from impasto.pipeline.plan import Plan
from impasto.pipeline.records import record_path
from impasto.pipeline.run import OnStep
from impasto.pipeline.stylizer import Stylizer
from impasto.types import Step


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


def stylize_folder(
    content: str | os.PathLike[str],
    style: Source | Sequence[Source],
    output: str | os.PathLike[str],
    method: str = "gatys",
    *,
    suffix: str = SUFFIX,
    bits: Bits = 8,
    keep_location: bool = False,
    overwrite: bool = False,
    on_picture: OnPicture | None = None,
    on_step: OnStep | None = None,
    max_pixels: int = MAX_PIXELS,
    **settings: Any,
) -> list[FolderResult]:
    """Stylize every picture of a folder and its subfolders into another folder.

    Outputs that exist with the same inputs and settings are skipped. A picture that fails does not stop the others.

    Args:
        content: folder of content images; hidden files and folders are left out.
        style: style images, as for `stylize`.
        output: folder of the outputs and their records, created if missing; may be inside `content`.
        method: name of a method.
        suffix: format of the outputs.
        bits: bits per channel; 16 needs `.png` or `.tif`.
        keep_location: as for `Result.save`.
        overwrite: whether to replace files that are not outputs of the same inputs and settings.
        on_picture: called with the result of every picture; returning False stops before the next one.
        on_step: called with every step; returning False stops that picture and keeps its best image.
        max_pixels: largest number of pixels of an input.
        settings: as for `stylize`, without masks, which belong to one content image.

    Raises:
        ValueError: for wrong inputs or settings, or if a file would be replaced without `overwrite`.
    """
    stylizer = Stylizer(style, method, max_pixels=max_pixels, **settings)
    tasks = folder_tasks(Path(content), Path(output), stylizer, suffix=suffix, bits=bits, overwrite=overwrite)
    results = stylize_tasks(tasks, stylizer, bits=bits, keep_location=keep_location, on_step=on_step)
    return list(_report(results, on_picture))


@dataclass(frozen=True)
class FolderPlan:
    """Prediction for all content images of a folder."""

    pictures: int
    """Number of content images."""
    skipped: int
    """Number of them whose outputs exist with the same inputs and settings."""
    seconds: float | None
    """Expected seconds for the others; None where the number of steps is not known."""
    largest: Plan | None
    """Prediction for the one with the largest output; None where all outputs exist."""

    def to_json(self) -> dict[str, Any]:
        """Return the prediction as JSON values."""
        return {
            "pictures": self.pictures,
            "skipped": self.skipped,
            "seconds": None if self.seconds is None else round(self.seconds, 3),
            "largest": None if self.largest is None else self.largest.to_json(),
        }


def plan_tasks(tasks: Sequence[FolderTask], stylizer: Stylizer) -> FolderPlan:
    """Return the prediction for the tasks of a folder: that of the largest output, and the others by their pixels.

    Args:
        tasks: the content images, from `folder_tasks`.
        stylizer: method, settings and style images.
    """
    pixels: dict[Path, int] = {}
    for task in tasks:
        if task.record is None:
            with suppress(ValueError, OSError):  # the run reports it
                pixels[task.content] = math.prod(stylizer.output_shape(read_size(task.content)))
    skipped = sum(task.record is not None for task in tasks)
    if not pixels:
        return FolderPlan(len(tasks), skipped, 0.0, None)
    largest = max(pixels, key=lambda file: pixels[file])
    plan = stylizer.plan(largest)
    seconds = None if plan.seconds is None else plan.seconds * sum(pixels.values()) / pixels[largest]
    return FolderPlan(len(tasks), skipped, seconds, plan)


def plan_folder(
    content: str | os.PathLike[str],
    style: Source | Sequence[Source],
    output: str | os.PathLike[str],
    method: str = "gatys",
    *,
    suffix: str = SUFFIX,
    overwrite: bool = False,
    max_pixels: int = MAX_PIXELS,
    **settings: Any,
) -> FolderPlan:
    """Return the expected time and memory of `stylize_folder` on this machine, and which outputs exist.

    The arguments are those of `stylize_folder`.

    Raises:
        ValueError: as `stylize_folder`.
    """
    stylizer = Stylizer(style, method, max_pixels=max_pixels, **settings)
    return plan_tasks(folder_tasks(content, output, stylizer, suffix=suffix, overwrite=overwrite), stylizer)


def stylize_tasks(
    tasks: Sequence[FolderTask],
    stylizer: Stylizer,
    *,
    bits: Bits = 8,
    keep_location: bool = False,
    on_step: OnStep | None = None,
) -> Iterator[FolderResult]:
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
    if any(task.record is None for task in tasks):
        check_writable(tasks[0].output)
    has_output, listener = False, _Listener(on_step)
    for task in tasks:
        if task.record is not None:
            yield FolderResult(task.content, task.output, "skipped", record=task.record)
            continue
        try:
            record = _stylize(task, stylizer, listener, bits=bits, keep_location=keep_location)
        except Exception as error:  # one picture that fails must not stop the others
            if error is listener.error or (_names_a_setting(error, stylizer) and not has_output):
                raise
            yield _failure(task, error)
        else:
            has_output = True
            yield FolderResult(task.content, task.output, "stylized", record=record)


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
    text = " ".join(str(error).split())[:500]
    kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
    name = "" if str(task.content) in text else f"{str(task.content)!r}: "
    return FolderResult(task.content, task.output, "failed", error=f"{name}{kind}{text}")


def _report(results: Iterable[FolderResult], on_picture: OnPicture | None) -> Iterator[FolderResult]:
    """Pass every result to `on_picture` until it returns False."""
    for result in results:
        yield result
        if on_picture is not None and on_picture(result) is False:
            return


def _stylize(
    task: FolderTask, stylizer: Stylizer, on_step: OnStep | None, *, bits: Bits, keep_location: bool
) -> dict[str, Any]:
    """Stylize and save one content image; return its record."""
    reset_peak_memory()
    result = stylizer.stylize(task.content, on_step=on_step, output=task.output)
    with clean_up_on_error([task.output, record_path(task.output)]):
        record_path(task.output).unlink(missing_ok=True)  # the plan has checked that it may be replaced
        task.output.unlink(missing_ok=True)  # an old output must not appear beside the new record, even for a moment
        result.save(task.output, bits=bits, keep_location=keep_location)
    return result.record(curve=False, picture=task.output.name)

"""Stylize all images of a folder, for `impasto stylize FOLDER STYLE -o FOLDER`."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from impasto.cli.dry_run import print_folder_plan
from impasto.cli.flags import CommandParser
from impasto.cli.interrupts import Interrupts, exit_status
from impasto.cli.outputs import summary_line
from impasto.cli.progress import Bar, plural
from impasto.cli.streams import STANDARD
from impasto.cli.workers import add_worker_flags, chosen_runner
from impasto.executors import Executor, executor_of
from impasto.files import clean_up_on_error
from impasto.images.folders import SUFFIXES
from impasto.pipeline.folder import FolderResult, stylize_in_workers, stylize_tasks
from impasto.pipeline.folder_plan import SUFFIX, FolderTask, folder_tasks
from impasto.pipeline.stylizer import Stylizer
from impasto.samples import CONTENTS, STYLES
from impasto.types import Step

JSON_KEYS = (
    *("method", "backbone", "seconds", "steps", "evaluations", "losses"),
    *("peak_memory_mib", "seed", "device", "precision"),
)
"""Values of a record that `--json` prints."""


def add_folder_outputs(parser: CommandParser) -> None:
    """Add the flags that apply to a folder of images."""
    parser.add_advanced(
        "--suffix",
        metavar=".SUFFIX",
        help="Format of the outputs of a folder, or of the image on stdout: .png, .jpg, .webp, .tif, .avif or .bmp "
        f"(default: {SUFFIX}).",
    )
    parser.add_advanced(
        "--overwrite", action="store_true", help="Replace other files in the output folder of a folder."
    )
    add_worker_flags(parser, "stylize pictures of a folder, or tiles of a large image,", advanced=True)


def check_single(options: argparse.Namespace) -> None:
    """Raise `ValueError` if a flag is given that applies to a folder only."""
    if options.suffix is not None and options.output != STANDARD:
        raise ValueError("--suffix is for a folder of images; -o FILE determines the format of a single image")


def is_folder(content: str) -> bool:
    """Return whether a CONTENT is a folder and neither stdin nor the name of a sample."""
    return os.path.isdir(content) and content not in {STANDARD, *STYLES, *CONTENTS}


def stylize_folder(options: argparse.Namespace, folder: str, styles: Sequence[str], settings: dict[str, Any]) -> int:
    """Stylize all images of a folder and report.

    Returns:
        The exit status.
    """
    output = _output(options, folder)
    choice: dict[str, Any] = {"suffix": options.suffix or SUFFIX, "overwrite": options.overwrite, **_saving(options)}
    executor = executor_of(chosen_runner(options), options.workers)
    if options.dry_run:
        stylizer = Stylizer(styles, options.method, max_pixels=options.max_pixels, **settings)
        tasks = folder_tasks(folder, output, stylizer, **choice)
        return print_folder_plan(tasks, stylizer, executor, options.workers, as_json=options.json)
    tally = _Tally()
    with Interrupts() as interrupts, clean_up_on_error([Path(output)]):
        stylizer = Stylizer(styles, options.method, max_pixels=options.max_pixels, **settings)
        tasks = folder_tasks(folder, output, stylizer, **choice)
        if skipped := sum(task.is_finished for task in tasks):
            _print_message(f"{skipped} of {len(tasks)} pictures are already stylized and are skipped")
        if executor is None:
            _stylize_here(tasks, stylizer, options, interrupts, tally)
        else:
            _stylize_in_workers(tasks, stylizer, options, interrupts, tally, executor)
        for error in tally.errors:
            _print_message(error)
        if len(tally.errors) == len(tasks):
            raise ValueError(f"none of the pictures in {folder!r} could be stylized")
    if interrupts.requested:
        text = f"stopped with {tally.finished} of {len(tasks)} pictures finished; the same command continues"
        _print_message(text)
        return interrupts.status
    if tally.errors:
        _print_message(f"{len(tally.errors)} of {len(tasks)} pictures could not be stylized")
    return 2 if tally.errors else 0


@dataclass
class _Tally:
    """Counts and errors of the pictures; their records are not kept, because there may be many of them."""

    done: int = 0
    stylized: int = 0
    finished: int = 0
    """Pictures with a complete output, including those that existed."""
    errors: list[str] = field(default_factory=list)
    notes: set[str] = field(default_factory=set)

    def add(self, result: FolderResult, total: int, *, as_json: bool) -> None:
        """Count and report a picture."""
        self.done += 1
        self.stylized += result.status == "stylized"
        self.finished += result.record is not None and result.record["stopped"] != "cancelled"
        self.errors += [] if result.error is None else [result.error]
        _report(result, f"{self.done}/{total}", self.notes, as_json=as_json)


def _output(options: argparse.Namespace, folder: str) -> str:
    """Return the output folder.

    Raises:
        ValueError: if it is missing or a file, or for flags that apply to a single image only.
    """
    if options.output is None:
        raise ValueError("the output is missing; give -o FOLDER")
    if Path(options.output).suffix.lower() in SUFFIXES and not os.path.isdir(options.output):
        raise ValueError(f"{folder!r} is a folder, and the output must be one too: -o FOLDER, not {options.output!r}")
    if options.output == STANDARD:
        raise ValueError(f"-o -: stdout takes one image, and {folder!r} is a folder; give -o FOLDER")
    for flag, value in (
        ("curves", options.curves),
        ("preview", options.preview),
        ("save-every", options.save_every),
    ):
        if value is not None:
            raise ValueError(f"--{flag} is for a single image, and {folder!r} is a folder; leave --{flag} out")
    return str(options.output)


def _saving(options: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments of `Result.save`."""
    return {"bits": options.bits, "keep_location": options.keep_location}


def _stylize_here(
    tasks: Sequence[FolderTask],
    stylizer: Stylizer,
    options: argparse.Namespace,
    interrupts: Interrupts,
    tally: _Tally,
) -> None:
    """Carry out the tasks in this process until a signal, which keeps the best image so far of the current one."""
    bar: Bar

    def on_step(step: Step) -> bool:
        interrupts.phase = "running"
        bar(step)
        return not interrupts.requested

    results = stylize_tasks(tasks, stylizer, on_step=on_step, **_saving(options))
    with _interruptible(interrupts, tally):
        for i, task in enumerate(tasks, 1):
            if interrupts.requested:
                break
            interrupts.phase = "loading"
            with Bar(f"{i}/{len(tasks)} {task.content.name}", quiet=task.is_finished) as bar:
                result = next(results)
            tally.add(result, len(tasks), as_json=options.json)


def _stylize_in_workers(
    tasks: Sequence[FolderTask],
    stylizer: Stylizer,
    options: argparse.Namespace,
    interrupts: Interrupts,
    tally: _Tally,
    executor: Executor,
) -> None:
    """Carry out the tasks in workers until a signal, which keeps the best images so far of those in progress."""
    began, existing = time.perf_counter(), sum(task.is_finished for task in tasks)
    results = stylize_in_workers(
        tasks,
        stylizer,
        executor,
        workers=options.workers,
        is_stopped=lambda: interrupts.requested,
        **_saving(options),
    )
    interrupts.phase = "running"
    with _interruptible(interrupts, tally), closing(results), Bar(options.method, unit="picture") as bar:
        for result in results:
            tally.add(result, len(tasks), as_json=options.json)
            if tally.done > existing:
                seconds = time.perf_counter() - began
                bar(Step(tally.done - existing, {}, seconds, total=len(tasks) - existing))
    seconds = time.perf_counter() - began
    if tally.stylized:
        rate = f"{tally.stylized / seconds:.3g} pictures/s"
        _print_message(f"stylized {plural(tally.stylized, 'picture')} in {seconds:.1f} s ({rate})")


@contextmanager
def _interruptible(interrupts: Interrupts, tally: _Tally) -> Iterator[None]:
    """End the block at an immediate stop; a run that has written nothing ends as a whole."""
    try:
        yield
    except KeyboardInterrupt as error:
        if not tally.stylized:
            raise
        interrupts.stop(exit_status(error))


def _report(result: FolderResult, number: str, notes: set[str], *, as_json: bool) -> None:
    """Report one image; the errors are printed at the end."""
    record, output = result.record or {}, str(result.output)
    if result.status == "stylized":
        if (note := record["note"]) is not None and note not in notes:
            notes.add(note)
            _print_message(note)
        print(f"{number}  {summary_line(output, record)}", file=sys.stderr if as_json else sys.stdout, flush=True)
    if as_json:
        values = {"error": result.error} if result.error else {name: record.get(name) for name in JSON_KEYS}
        files = {"output": None if result.error else output, "content": str(result.content)}
        print(json.dumps({**files, "status": result.status, **values}), flush=True)


def _print_message(message: str) -> None:
    print(f"impasto: {message}", file=sys.stderr, flush=True)

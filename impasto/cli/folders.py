"""`impasto stylize` where CONTENT is a folder: every picture in it, one after the other."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

from impasto.cli.interrupts import Interrupts
from impasto.cli.outputs import Outputs, told
from impasto.cli.progress import Bar
from impasto.files import clean_up_on_error
from impasto.images.folders import SUFFIXES
from impasto.pipeline.folder import FolderResult, stylize_tasks
from impasto.pipeline.folder_plan import SUFFIX, FolderTask, plan_folder
from impasto.pipeline.stylizer import Stylizer
from impasto.samples import CONTENTS, STYLES
from impasto.types import Step

FIGURES = (
    *("method", "backbone", "seconds", "steps", "evaluations", "losses"),
    *("peak_memory_mib", "seed", "device", "precision"),
)
"""What `--json` prints of a record."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FolderOutputs(Outputs):
    """What a painting writes, or a folder of them."""

    suffix: Annotated[str | None, tyro.conf.arg(metavar=".SUFFIX", help_behavior_hint="")] = None
    """Format of the paintings of a folder: .png (unless given), .jpg, .webp, .tif, .avif or .bmp."""
    overwrite: tyro.conf.FlagCreatePairsOff[bool] = False
    """Of a folder, paint anew also where something else lies in a painting's place."""


def is_folder(content: str) -> bool:
    """Whether a CONTENT is a folder; a sample's name is the sample."""
    return os.path.isdir(content) and content not in {*STYLES, *CONTENTS}


def paint_folder(form: FolderOutputs, pictures: Sequence[str], method: str, settings: dict[str, Any]) -> int:
    """Paints, saves and reports; returns the exit status."""
    folder, *styles = pictures
    output = _output(form, folder)
    with Interrupts("picture") as interrupts, clean_up_on_error([Path(output)]):
        stylizer = Stylizer(styles, method, max_pixels=form.max_pixels, **settings)
        choice: dict[str, Any] = {"suffix": form.suffix or SUFFIX, "bits": form.bits}
        tasks = plan_folder(folder, output, stylizer, overwrite=form.overwrite, **choice)
        if skipped := sum(task.record is not None for task in tasks):
            _say(f"{skipped} of {len(tasks)} pictures are painted already, and skipped")
        done = _paint(tasks, stylizer, form, interrupts)
        failed = [painting.error for painting in done if painting.error is not None]
        for error in failed:
            _say(error)
        if len(failed) == len(tasks):
            raise ValueError(f"none of the pictures in {folder!r} could be painted")
    if interrupts.asked:
        _say(f"stopped after {len(done)} of {len(tasks)} pictures; the same command goes on")
        return 130
    if failed:
        _say(f"{len(failed)} of {len(tasks)} pictures could not be painted")
    return 2 if failed else 0


def _output(form: FolderOutputs, folder: str) -> str:
    """Where the paintings go. Raises `ValueError` for flags that a folder cannot have."""
    if form.output is None:
        raise ValueError("say where the pictures go: -o FOLDER")
    if Path(form.output).suffix.lower() in SUFFIXES and not os.path.isdir(form.output):
        raise ValueError(f"{folder!r} is a folder, and its paintings need one too: -o FOLDER, not {form.output!r}")
    for flag in ("curves", "preview"):
        if getattr(form, flag) is not None:
            raise ValueError(f"--{flag} is for a single picture, and {folder!r} is a folder")
    return form.output


def _paint(
    tasks: Sequence[FolderTask], stylizer: Stylizer, form: FolderOutputs, interrupts: Interrupts
) -> list[FolderResult]:
    """All that is done before Ctrl-C ends it: the first lets the picture at hand be finished, the second does not."""
    bar: Bar
    done: list[FolderResult] = []
    notes: set[str] = set()

    def on_step(step: Step) -> None:
        interrupts.phase = "painting"
        bar(step)

    paintings = stylize_tasks(tasks, stylizer, bits=form.bits, on_step=on_step)
    try:
        for i, task in enumerate(tasks, 1):
            if interrupts.asked:
                break
            with Bar(f"{i}/{len(tasks)} {task.content.name}", quiet=task.record is not None) as bar:
                painting = next(paintings)
            done.append(painting)
            _report(painting, f"{i}/{len(tasks)}", form, notes)
    except KeyboardInterrupt:
        if not any(painting.status == "stylized" for painting in done):
            raise
        interrupts.asked = True
    return done


def _report(painting: FolderResult, place: str, form: FolderOutputs, notes: set[str]) -> None:
    """Tells of one picture; of what failed not before the end."""
    record, output = painting.record or {}, str(painting.output)
    if painting.status == "stylized":
        if (note := record["note"]) is not None and note not in notes:
            notes.add(note)
            _say(note)
        print(f"{place}  {told(output, record)}", file=sys.stderr if form.json else sys.stdout, flush=True)
    if form.json:
        facts = {"error": painting.error} if painting.error else {name: record.get(name) for name in FIGURES}
        shown = {"output": None if painting.error else output, "content": str(painting.content)}
        print(json.dumps({**shown, "status": painting.status, **facts}), flush=True)


def _say(message: str) -> None:
    print(f"impasto: {message}", file=sys.stderr, flush=True)

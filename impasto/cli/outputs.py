"""Flags and checks of the files that `impasto stylize` and `impasto replay` write, and the run itself."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from impasto.cli.flags import CommandParser, add_json, number_between
from impasto.cli.interrupts import Interrupts
from impasto.cli.progress import Bar, NumberedImages, Preview, check_numbered_images, plural, save_preview
from impasto.cli.streams import STANDARD, check_stdout, write_stdout
from impasto.curves import check_curves, save_curves
from impasto.files import check_replaceable, clean_up_on_error, same_file
from impasto.images import MAX_PIXELS, Bits, check_format, check_output
from impasto.methods import METHODS
from impasto.methods.feed_forward import FeedForward
from impasto.pipeline.checkpoint import checkpoint_path, remove_checkpoint
from impasto.pipeline.folder_plan import SUFFIX
from impasto.pipeline.records import check_record_path, record_path
from impasto.pipeline.result import Result
from impasto.pipeline.run import OnStep
from impasto.types import Step

STOPPED = {"converged": "converged", "steps": "all steps done", "cancelled": "stopped", "diverged": "diverged"}
"""Why a run ended, for people."""


def add_outputs(parser: CommandParser, *, bits: Bits | None = 8) -> None:
    """Add the flags of the output files.

    Args:
        parser: the parser.
        bits: default of `--bits`; None: that of a record.
    """
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="Image to write (required), - for stdout; its record is written to FILE as .json.",
    )
    add_json(parser)
    parser.add_argument("--curves", metavar="FILE", help="Write the losses of all steps: .svg, .csv or .json.")
    parser.add_argument(
        "--preview", metavar="FILE", help="Image that shows the current state, written about once per second."
    )
    parser.add_advanced(
        "--save-every",
        metavar="INT",
        type=number_between(int, 1),
        help="Write the image of every INT-th step beside FILE, as FILE-000010.png for step 10.",
    )
    _add_saving(parser, bits)
    parser.add_advanced(
        "--max-pixels",
        metavar="INT",
        type=number_between(int, 1),
        default=MAX_PIXELS,
        help=f"Refuse images with more pixels (default: {MAX_PIXELS}).",
    )


def _add_saving(parser: CommandParser, bits: Bits | None) -> None:
    """Add the flags of `Result.save`."""
    parser.add_advanced(
        "--bits",
        type=int,
        choices=(8, 16),
        default=bits,
        help=f"Bits per channel of the image; 16 needs .png or .tif (default: {bits or 'that of the record'}).",
    )
    parser.add_advanced(
        "--keep-location",
        action="store_true",
        help="Keep the GPS position of the content image in the output, with its other EXIF data.",
    )


def stylize_to_file(
    run: Callable[[OnStep, Path | None], Result], options: argparse.Namespace, inputs: Sequence[str], *, title: str
) -> int:
    """Stylize one image, save the output files and report.

    Args:
        run: computes the result; it takes a function that is called after each step, and the path of the checkpoint.
        options: values of the flags of `add_outputs`.
        inputs: input files, which must not be overwritten.
        title: name in the progress bar.

    Returns:
        The exit status.
    """
    files = _files(options)
    checkpoint = None if options.output == STANDARD else checkpoint_path(options.output)
    with Interrupts() as interrupts:
        with clean_up_on_error(files):
            _check(options, files, inputs)
            preview = Preview(options.preview)
            numbered = NumberedImages(options.output, options.save_every, bits=options.bits)
            with Bar(title) as bar:

                def on_step(step: Step) -> bool:
                    if interrupts.phase == "loading" and step.index > 1:
                        print(f"impasto: continuing from {str(checkpoint)!r} at step {step.index}", file=sys.stderr)
                    interrupts.phase = "running"
                    bar(step)
                    preview(step)
                    numbered(step)
                    return not interrupts.requested

                result = run(on_step, checkpoint)
            interrupts.phase = "saving"
            _save(result, options, checkpoint)
        if checkpoint is not None:
            remove_checkpoint(checkpoint)
        _save_others(result, options)
        _report(result, options)
    return interrupts.status


def check_losses(options: argparse.Namespace, method: str) -> None:
    """Raise `ValueError` if a loss curve is wanted of a method that has no losses."""
    if options.curves is not None and issubclass(METHODS[method], FeedForward):
        raise ValueError(f"--curves: {method} is a single pass of a network without losses; leave --curves out")


def summary_line(output: str, record: dict[str, Any]) -> str:
    """Return one line about a result from its record."""
    total = record["losses"]["total"]
    loss = "" if total is None else f", loss {total:.4g}"
    steps = plural(record["steps"], "step")
    return f"{output}: {steps} in {record['seconds']:.1f} s{loss} ({STOPPED[record['stopped']]})"


def _files(options: argparse.Namespace) -> list[Path]:
    """Return all files that are written, including the record, but without numbered images.

    Raises:
        ValueError: if the output is missing, a folder or a read-only file.
    """
    if options.output is None:
        raise ValueError("the output is missing; give -o FILE")
    check_replaceable(options.output)
    files = [] if options.output == STANDARD else [Path(options.output), record_path(Path(options.output))]
    return [*files, *(Path(each) for each in (options.curves, options.preview) if each)]


def _check(options: argparse.Namespace, files: Sequence[Path], inputs: Sequence[str]) -> None:
    """Check the output files before a run that may take hours."""
    targets = [os.path.normcase(os.path.realpath(file)) for file in files]
    for i, target in enumerate(targets):
        if target in targets[:i]:
            raise ValueError(f"{files[i]} would be written twice (the record is OUT.json): give another name")
        if os.path.isfile(target) and any(same_file(target, name) for name in inputs):
            raise ValueError(f"{files[i]} is an input and would be overwritten: give another name")
    if options.output == STANDARD:
        _check_stdout(options)
    else:
        check_output(options.output, bits=options.bits)
        check_record_path(Path(options.output))
    if options.save_every is not None:
        check_numbered_images(options.output, inputs)
    if options.curves is not None:
        check_curves(options.curves)
    if options.preview is not None:
        check_output(options.preview)


def shown_output(options: argparse.Namespace) -> str:
    """Return the name of the output, with the suffix of its format also for stdout."""
    return f"stdout{_stdout_suffix(options)}" if options.output == STANDARD else str(options.output)


def _check_stdout(options: argparse.Namespace) -> None:
    """Check that stdout can take the image and nothing else is written to it."""
    check_format(shown_output(options), options.bits)
    check_stdout()
    for flag, is_given in (("--json", options.json), ("--save-every", options.save_every is not None)):
        if is_given:
            raise ValueError(f"{flag}: stdout takes the image (-o -); give -o FILE, or leave {flag} out")


def _save(result: Result, options: argparse.Namespace, checkpoint: Path | None) -> None:
    """Write the image, and its record beside it unless it goes to stdout."""
    choice = {"bits": options.bits, "keep_location": options.keep_location}
    if checkpoint is None:
        write_stdout(result.encode(_stdout_suffix(options), **choice))
        return
    try:
        result.save(options.output, **choice)
    except ValueError as error:
        if not checkpoint.exists():
            raise
        text = f"free some space and repeat the command, which continues from {str(checkpoint)!r}"
        raise ValueError(f"{error}, or {text}") from error


def _save_others(result: Result, options: argparse.Namespace) -> None:
    """Write the last preview and the curves."""
    if options.preview is not None:
        with suppress(ValueError, OSError):
            save_preview(result.image, options.preview, result.alpha)
    if options.curves is not None:
        save_curves(result.curve, options.curves)


def _stdout_suffix(options: argparse.Namespace) -> str:
    """Return the suffix of the format of an image on stdout; `impasto replay` has no flag for it."""
    return vars(options).get("suffix") or SUFFIX


def _report(result: Result, options: argparse.Namespace) -> None:
    if result.note is not None:
        print(f"impasto: {result.note}", file=sys.stderr, flush=True)
    if options.json:
        print(json.dumps({"output": options.output, **result.summary()}))
    else:
        stream = sys.stderr if options.output == STANDARD else sys.stdout
        print(summary_line(options.output, result.record(curve=False)), file=stream)

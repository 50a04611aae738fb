"""Compute a stylized image again from its record: `impasto replay`."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import impasto.pipeline.replay
from impasto.cli.flags import CommandParser, named_as_flag
from impasto.cli.outputs import add_outputs, check_losses, shown_output, stylize_to_file
from impasto.cli.streams import open_inputs
from impasto.pipeline.records import load_record, saved_with
from impasto.pipeline.replay import ARGUMENTS
from impasto.pipeline.result import Result
from impasto.pipeline.run import OnStep


def replay(arguments: list[str]) -> int:
    """Run `impasto replay`."""
    parser = _parser()
    options = parser.parse(arguments)
    if len(options.pictures) != 1:
        raise ValueError(f"give one PICTURE, not {len(options.pictures)}; see impasto replay --help")

    try:
        with _picture_file(options.pictures[0]) as picture:
            return _replay(picture, options)
    except ValueError as error:
        raise ValueError(_named_as_flag(str(error))) from error


def _named_as_flag(message: str) -> str:
    """Return an error message with the flag of an input in place of the argument of `impasto.replay`."""
    argument, separator, text = message.partition(": ")
    roles = {name: role for role, name in ARGUMENTS.items()}
    return named_as_flag(f"{roles.get(argument, argument)}{separator}{text}", [*ARGUMENTS])


def _replay(picture: str, options: argparse.Namespace) -> int:
    """Replay the record of a picture file and report; return the exit status."""

    def run(on_step: OnStep, checkpoint: Path | None) -> Result:
        return impasto.pipeline.replay.replay(
            picture,
            content=options.content,
            start=options.start,
            styles=options.style,
            masks=options.mask,
            style_masks=options.style_mask,
            device=options.device,
            on_step=on_step,
            output=shown_output(options),
            checkpoint=checkpoint,
            max_pixels=options.max_pixels,
        )

    record = load_record(picture)
    check_losses(options, record["method"])
    given = [picture, options.content or "", options.start or ""]
    if options.bits is None:
        options.bits, _ = saved_with(record, picture, options.max_pixels)
    recorded = [str(entry["path"] or "") for entry in record["inputs"]]
    inputs = [*given, *options.style, *options.mask, *options.style_mask, *recorded]
    return stylize_to_file(run, options, inputs, title="replay")


@contextmanager
def _picture_file(name: str) -> Iterator[str]:
    """Yield the name of a file; `-` is a temporary file with the content of stdin."""
    (source,) = open_inputs([name])
    if isinstance(source, str):
        yield source
        return
    data = source.getvalue()
    with tempfile.TemporaryDirectory() as folder:  # Windows opens no temporary file twice
        file = Path(folder) / ("stdin.json" if data.lstrip().startswith(b"{") else "stdin.png")
        file.write_bytes(data)
        yield str(file)


def _parser() -> CommandParser:
    parser = CommandParser(
        "replay",
        "Compute a stylized image again from the record in the file or next to it. On the same machine the result is "
        "identical bit for bit.",
        standard=("pictures", "output"),
    )
    parser.add_argument("pictures", nargs="*", metavar="PICTURE", help="Image written by impasto, or its record.")
    add_outputs(parser, bits=None)
    parser.add_argument(
        "--device",
        metavar="NAME",
        help="Device of the computation: auto, cpu, cuda, cuda:1, mps or xpu. Default: that of the record.",
    )
    moved = parser.add_argument_group("inputs that were moved since")
    moved.add_argument("--content", metavar="FILE", help="Content image.")
    moved.add_argument("--start", metavar="FILE", help="Start image.")
    moved.add_argument("--style", metavar="FILE", nargs="+", default=(), help="Style images.")
    moved.add_argument("--mask", metavar="FILE", nargs="+", default=(), help="Masks of the content image.")
    moved.add_argument("--style-mask", metavar="FILE", nargs="+", default=(), help="Label maps of the style images.")
    return parser

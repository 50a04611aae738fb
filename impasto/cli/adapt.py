"""Adapt the network of `micro` to styles: `impasto adapt`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from impasto.cli.flags import CommandParser, add_json, add_settings, given_settings, named_as_flag
from impasto.cli.interrupts import Interrupts
from impasto.cli.progress import Bar, plural
from impasto.files import clean_up_on_error
from impasto.training.adapt import Adapted, AdaptSettings
from impasto.training.adapt import adapt as adapt_network
from impasto.types import Step


def adapt(arguments: list[str]) -> int:
    """Run `impasto adapt`."""
    options = _parser().parse(arguments)
    if not options.styles:
        raise ValueError("give at least one STYLE; see impasto adapt --help")
    if options.output is None:
        raise ValueError("the output is missing; give -o FILE.safetensors")
    file = Path(options.output)
    try:
        with Interrupts() as interrupts, clean_up_on_error([file]):
            adapted = _run(options, interrupts)
    except ValueError as error:
        raise ValueError(named_as_flag(str(error), [*AdaptSettings.__dataclass_fields__, "photos"])) from error
    _report(adapted, options)
    return interrupts.status


def _parser() -> CommandParser:
    parser = CommandParser(
        "adapt",
        "Adapt the network of the method micro to one or several style images in about a minute. "
        "`impasto stylize CONTENT --method micro --weights FILE` then stylizes with them in one pass.",
    )
    parser.add_argument("styles", nargs="*", metavar="STYLE", help="Style images: files or names of samples.")
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="The .safetensors file to write (required); it may replace another file of this command.",
    )
    parser.add_argument(
        "--photos",
        metavar="DIR",
        help="Folder of content images, of which up to 100 are used. Default: samples and drawn shapes.",
    )
    add_json(parser)
    add_settings(parser, AdaptSettings)
    return parser


def _run(options: argparse.Namespace, interrupts: Interrupts) -> Adapted:
    """Adapt the network; the first signal ends the training after the step and writes the weights so far."""
    with Bar("adapt") as bar:

        def on_step(step: Step) -> bool:
            interrupts.phase = "running"
            bar(step)
            return not interrupts.requested

        return adapt_network(
            options.styles,
            options.output,
            photos=options.photos,
            on_step=on_step,
            **given_settings(options, AdaptSettings),
        )


def _report(adapted: Adapted, options: argparse.Namespace) -> None:
    total = sum(adapted.losses.values())
    stopped = "stopped after " if adapted.stopped == "cancelled" else ""
    steps = f"{stopped}{plural(adapted.steps, 'step')} in {adapted.seconds:.1f} s"
    print(f"impasto: {', '.join(adapted.styles)}: {steps}, loss {total:.3g}", file=sys.stderr, flush=True)
    if options.json:
        summary = {
            "output": os.fspath(adapted.output),
            "styles": list(adapted.styles),
            "steps": adapted.steps,
            "seconds": round(adapted.seconds, 3),
            "losses": {**adapted.losses, "total": total},
            "stopped": adapted.stopped,
        }
        print(json.dumps(summary))
    else:
        print(adapted.output)

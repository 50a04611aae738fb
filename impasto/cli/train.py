"""Train a network by a recipe: `impasto train`."""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from pathlib import Path
from typing import Any

import impasto.training
from impasto.cli.flags import (
    CommandParser,
    add_json,
    add_part_settings,
    add_settings,
    given_settings,
    named_as_flag,
    number_between,
)
from impasto.cli.interrupts import Interrupts, exit_status
from impasto.cli.progress import Bar
from impasto.files import clean_up_on_error
from impasto.training import CHECKPOINT, Trained, this_process
from impasto.training.recipes import RECIPES, TrainingConfig
from impasto.types import Step


def train(arguments: list[str]) -> int:
    """Run `impasto train`."""
    if not arguments or arguments[0].startswith("-"):
        if {"-h", "--help"} & set(arguments):
            _parser(None).parse(["--help"])
        raise ValueError(f"give the NAME of a recipe first; {_choices()}; see impasto train --help")
    recipe = arguments[0]
    if recipe not in RECIPES:
        raise ValueError(f"unknown recipe {recipe!r}; {_choices()}")
    if not this_process().is_first:  # of several processes, only the first one prints
        warnings.simplefilter("ignore")
    options = _parser(recipe).parse(arguments[1:])
    if options.output is None:
        raise ValueError("the output is missing; give -o DIR")
    config = RECIPES[recipe].Config
    try:
        return _train(recipe, options, given_settings(options, config))
    except ValueError as error:
        if not this_process().is_first:
            return 2
        raise ValueError(named_as_flag(str(error), config.__dataclass_fields__)) from error


def _parser(recipe: str | None) -> CommandParser:
    """Return the parser for a recipe, or for the settings that all recipes have."""
    summary = f"Train a network by a recipe; {_choices()}. `impasto train NAME --help` shows its settings."
    parser = CommandParser("train", summary if recipe is None else f"{RECIPES[recipe].summary}.")
    if recipe is not None:
        parser.prog = f"impasto train {recipe}"
        parser.usage = f"{parser.prog} --photos DIR --paintings DIR -o DIR"
    parser.add_argument("--photos", metavar="DIR", help="Folder of content images, searched recursively.")
    parser.add_argument("--paintings", metavar="DIR", help="Folder of style images, searched recursively.")
    parser.add_argument(
        "-o",
        "--output",
        metavar="DIR",
        help="Folder of the checkpoint, the curves, a contact sheet and the weights (required). A training that it "
        "contains is resumed.",
    )
    parser.add_argument(
        "--minutes",
        metavar="FLOAT",
        type=number_between(float, 0),
        help="Stop with a checkpoint after this time; the same command resumes the training.",
    )
    parser.add_argument(
        "--save-every",
        metavar="FLOAT",
        type=number_between(float, 0),
        default=60.0,
        help="Seconds between two checkpoints (default: 60).",
    )
    add_json(parser)
    if recipe is None:
        add_settings(parser, TrainingConfig)
    else:
        add_part_settings(parser, RECIPES, recipe, "impasto train")
    return parser


def _train(recipe: str, options: argparse.Namespace, settings: dict[str, Any]) -> int:
    """Train and report; return the exit status."""
    is_first = this_process().is_first
    with Interrupts() as interrupts, clean_up_on_error([Path(options.output)]), Bar(recipe, quiet=not is_first) as bar:

        def on_step(step: Step) -> bool:
            interrupts.phase = "running"
            bar(step)
            return not interrupts.requested

        try:
            trained = impasto.training.train(
                recipe,
                output=options.output,
                photos=options.photos,
                paintings=options.paintings,
                minutes=options.minutes,
                save_every=options.save_every,
                on_step=on_step,
                **settings,
            )
        except KeyboardInterrupt as error:
            if not (Path(options.output) / CHECKPOINT).exists():
                raise
            if is_first:
                _print_message("stopped immediately; the same command continues from the last checkpoint")
            return exit_status(error)
    if is_first:
        _report(trained, options)
    return interrupts.status or 130 if trained.stopped == "cancelled" else 0


def _report(trained: Trained, options: argparse.Namespace) -> None:
    total = sum(trained.losses.values())
    loss = f", loss {total:.4g}" if trained.losses else ""  # none without steps
    figures = f"{trained.steps} of {trained.total} steps in {trained.seconds:.1f} s{loss}"
    if trained.stopped == "finished":
        _print_message(figures)
    else:
        reason = "stopped" if trained.stopped == "cancelled" else f"stopped after {options.minutes:g} minutes"
        _print_message(f"{reason}: {figures}; the same command continues from there")
    if options.json:
        summary = {
            "output": None if trained.output is None else str(trained.output),
            "recipe": trained.recipe,
            "steps": trained.steps,
            "seconds": round(trained.seconds, 3),
            "losses": {**trained.losses, "total": total},
            "stopped": trained.stopped,
        }
        print(json.dumps(summary))
    elif trained.output is not None:
        print(trained.output)


def _choices() -> str:
    return f"choose from {', '.join(RECIPES)}" if list(RECIPES) else "no recipe is installed"


def _print_message(message: str) -> None:
    print(f"impasto: {message}", file=sys.stderr, flush=True)

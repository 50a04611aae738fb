"""The command that trains: `impasto train`."""

from __future__ import annotations

import dataclasses
import json
import sys
import warnings
from pathlib import Path
from typing import Annotated, Any

import tyro

import impasto.training
from impasto.cli.flags import form_of, given, named_as_flag, parse
from impasto.cli.interrupts import Interrupts
from impasto.cli.progress import Bar
from impasto.files import clean_up_on_error
from impasto.training import CHECKPOINT, Trained, this_process
from impasto.training.recipes import RECIPES, TrainingConfig
from impasto.types import Step

_folder = tyro.conf.arg(metavar="DIR", help_behavior_hint="")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainForm:
    """What goes into a training and where it lies."""

    photos: Annotated[str | None, _folder] = None
    """Folder of photographs; all folders below it too."""
    paintings: Annotated[str | None, _folder] = None
    """Folder of paintings; all folders below it too."""
    output: Annotated[str | None, tyro.conf.arg(aliases=["-o"], metavar="DIR", help_behavior_hint="(required)")] = None
    """Folder for the checkpoint, the curves, the sheet and what comes out; the run that lies there goes on."""
    minutes: Annotated[float | None, tyro.conf.arg(metavar="FLOAT", help_behavior_hint="")] = None
    """Stop after so long, with a checkpoint; the same command goes on."""
    save_every: float = 60.0
    """Seconds between two checkpoints."""
    json: tyro.conf.FlagCreatePairsOff[bool] = False
    """Print one JSON object on the last line of stdout."""


def train(arguments: list[str]) -> int:
    """`impasto train`."""
    if not arguments or arguments[0].startswith("-"):
        if {"-h", "--help"} & set(arguments):
            parse(_form(None), ["--help"], command="train")
        raise ValueError(f"say first what to train: impasto train NAME; {_choices()}; see impasto train --help")
    recipe = arguments[0]
    if recipe not in RECIPES:
        raise ValueError(f"unknown recipe {recipe!r}; {_choices()}")
    if not this_process().is_first:  # of several, one speaks
        warnings.simplefilter("ignore")
    form, rest = parse(_form(recipe), arguments[1:], command=f"train {recipe}")
    try:
        if rest:
            raise ValueError(f"impasto train takes one NAME, not also {rest[0]!r}; see impasto train {recipe} --help")
        return _train(recipe, form)
    except ValueError as error:
        if not this_process().is_first:
            return 2
        settings = [*RECIPES[recipe].Config.__dataclass_fields__, "minutes", "save_every"]
        raise ValueError(named_as_flag(str(error), settings)) from error


def _train(recipe: str, form: Any) -> int:
    """Trains and reports; returns the exit status."""
    if form.output is None:
        raise ValueError("say where it goes: -o DIR")
    for flag, number in (("minutes", form.minutes), ("save_every", form.save_every)):
        if number is not None and not 0 <= number < float("inf"):
            raise ValueError(f"{flag}: input should be at least 0, not {number}")
    speaks = this_process().is_first
    with Interrupts() as interrupts, clean_up_on_error([Path(form.output)]), Bar(recipe, quiet=not speaks) as bar:

        def on_step(step: Step) -> bool:
            interrupts.phase = "painting"
            bar(step)
            return not interrupts.asked

        try:
            trained = impasto.training.train(
                recipe,
                output=form.output,
                photos=form.photos,
                paintings=form.paintings,
                minutes=form.minutes,
                save_every=form.save_every,
                on_step=on_step,
                **given(form.shared),
                **given(form.own),
            )
        except KeyboardInterrupt:
            if not (Path(form.output) / CHECKPOINT).exists():
                raise
            if speaks:
                _say("stopped at once; the same command goes on from the last checkpoint")
            return 130
    if speaks:
        _report(trained, form)
    return 130 if trained.stopped == "cancelled" else 0


def _report(trained: Trained, form: Any) -> None:
    total = sum(trained.losses.values())
    figures = f"{trained.steps} of {trained.total} steps in {trained.seconds:.1f} s, loss {total:.4g}"
    if trained.stopped == "finished":
        _say(figures)
    else:
        why = "stopped" if trained.stopped == "cancelled" else f"{form.minutes:g} minutes are over"
        _say(f"{why}: {figures}; the same command goes on from there")
    if form.json:
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


def _form(recipe: str | None) -> type[Any]:
    """The flags of a recipe: where things lie, the settings of all recipes, then its own."""
    config = TrainingConfig if recipe is None else RECIPES[recipe].Config
    everywhere = list(TrainingConfig.__dataclass_fields__)
    particular = [name for name in config.__dataclass_fields__ if name not in everywhere]
    shared: Any = form_of(config, names=everywhere, title="settings of every recipe")
    own: Any = form_of(config, names=particular, title=f"settings of {recipe}")
    flat = tyro.conf.OmitArgPrefixes
    form = dataclasses.make_dataclass(
        "TrainForm",
        [
            ("shared", Annotated[shared, flat], dataclasses.field(default_factory=shared)),
            ("own", Annotated[own, flat, tyro.conf.arg(name=recipe or "own")], dataclasses.field(default_factory=own)),
        ],
        bases=(TrainForm,),
        frozen=True,
        kw_only=True,
    )
    summary = "Train a network by the recipe NAME" if recipe is None else RECIPES[recipe].summary
    more = (
        f" The first word is NAME; {_choices()}. Its own settings: impasto train NAME --help." if recipe is None else ""
    )
    form.__doc__ = f"{summary}.{more}"
    return form


def _choices() -> str:
    return f"choose from {', '.join(RECIPES)}" if list(RECIPES) else "there is no recipe yet"


def _say(message: str) -> None:
    print(f"impasto: {message}", file=sys.stderr, flush=True)

"""The commands that paint: `impasto stylize` and `impasto replay`."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Annotated, Any

import tyro

import impasto.pipeline.replay
import impasto.pipeline.stylizer
from impasto.cli.flags import form_of, given, named_as_flag, parse, value_of
from impasto.cli.folders import FolderOutputs, is_folder, paint_folder
from impasto.cli.interrupts import Interrupts
from impasto.cli.memory import keep_freed_memory
from impasto.cli.outputs import Outputs, check, told
from impasto.cli.progress import Bar, Preview
from impasto.config import MethodConfig
from impasto.curves import save_curves
from impasto.files import clean_up_on_error
from impasto.images import save_image
from impasto.methods import METHODS
from impasto.methods.feed_forward import FeedForwardConfig
from impasto.pipeline.result import Result
from impasto.pipeline.stylizer import OnStep
from impasto.types import Step

FIRST_METHOD = "gatys"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReplayForm(Outputs):
    """Paint a picture again from the record inside it or beside it: on the same machine, bit for bit."""

    picture: Annotated[
        tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="PICTURE", help_behavior_hint="(required)")
    ] = ()
    """A picture that impasto painted, or its record."""
    content: Annotated[str | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")] = None
    """Where the content lies now, if it was moved."""
    style: Annotated[tuple[str, ...], tyro.conf.arg(metavar="FILE [FILE ...]", help_behavior_hint="")] = ()
    """Where the styles lie now, if they were moved."""
    mask: Annotated[tuple[str, ...], tyro.conf.arg(metavar="FILE [FILE ...]", help_behavior_hint="")] = ()
    """Where the masks lie now, if they were moved."""
    style_mask: Annotated[tuple[str, ...], tyro.conf.arg(metavar="FILE [FILE ...]", help_behavior_hint="")] = ()
    """Where the masks of the styles lie now, if they were moved."""


def stylize(arguments: list[str]) -> int:
    """`impasto stylize`."""
    method = value_of("--method", arguments) or FIRST_METHOD
    form, rest = parse(_stylize_form(method), arguments, command="stylize")
    pictures = [*form.pictures, *rest]
    settings = given(form.shared) | given(form.own)
    if len(pictures) < 2:
        raise ValueError("give a CONTENT and at least one STYLE; see impasto stylize --help")
    masks = [*settings.get("mask", ()), *settings.get("style_mask", ())]
    inputs = [*pictures, settings.get("start", ""), *masks]
    if not issubclass(METHODS[method].Config, FeedForwardConfig):
        keep_freed_memory(of_any_size=True)  # for its many steps

    def run(on_step: OnStep) -> Result:
        content, *styles = pictures
        return impasto.pipeline.stylizer.stylize(
            content, styles, method, on_step=on_step, max_pixels=form.max_pixels, **settings
        )

    try:
        if is_folder(pictures[0]):
            return paint_folder(form, pictures, method, settings)
        if form.suffix is not None:
            raise ValueError("--suffix is for a folder of photographs; a single picture has that of -o FILE")
        return _paint(run, form, inputs, title=method)
    except ValueError as error:
        names = [*METHODS[method].Config.__dataclass_fields__, "overwrite"]
        raise ValueError(named_as_flag(str(error), names)) from error


def replay(arguments: list[str]) -> int:
    """`impasto replay`."""
    form, rest = parse(ReplayForm, arguments, command="replay")
    pictures = [*form.picture, *rest]
    if len(pictures) != 1:
        raise ValueError(f"give one PICTURE, not {len(pictures)}; see impasto replay --help")

    def run(on_step: OnStep) -> Result:
        return impasto.pipeline.replay.replay(
            pictures[0],
            content=form.content,
            styles=form.style,
            masks=form.mask,
            style_masks=form.style_mask,
            on_step=on_step,
            max_pixels=form.max_pixels,
        )

    inputs = [pictures[0], form.content or "", *form.style, *form.mask, *form.style_mask]
    return _paint(run, form, inputs, title="replay")


def _stylize_form(method: str) -> type[Any]:
    """The flags of a method: those of all, then its own."""
    config = METHODS[method].Config
    everywhere = list(MethodConfig.__dataclass_fields__)
    particular = [name for name in config.__dataclass_fields__ if name not in everywhere]
    pictures = tyro.conf.arg(
        metavar="CONTENT STYLE [STYLE ...]",
        help="The photograph, or a folder of them (-o then is one too); one or several pictures. Files or samples.",
        help_behavior_hint="(required)",
    )
    choice = tyro.conf.arg(metavar=f"{{{','.join(METHODS)}}}", help="How to paint; its own settings are below.")
    shared: Any = form_of(config, names=everywhere, title="settings of every method")
    own: Any = form_of(config, names=particular, title=f"settings of {method}")
    flat = tyro.conf.OmitArgPrefixes
    form = dataclasses.make_dataclass(
        "StylizeForm",
        [
            ("pictures", Annotated[tuple[str, ...], tyro.conf.Positional, pictures], dataclasses.field(default=())),
            ("method", Annotated[str, choice], dataclasses.field(default=FIRST_METHOD)),
            ("shared", Annotated[shared, flat], dataclasses.field(default_factory=shared)),
            ("own", Annotated[own, flat, tyro.conf.arg(name=method)], dataclasses.field(default_factory=own)),
        ],
        bases=(FolderOutputs,),
        frozen=True,
        kw_only=True,
    )
    others = [name for name in METHODS if name != method]
    hint = f" Other methods: impasto stylize --method {{{','.join(others)}}} --help." if others else ""
    form.__doc__ = f"{METHODS[method].summary}. `impasto methods` lists the methods.{hint}"
    return form


def _paint(run: Callable[[OnStep], Result], outputs: Outputs, inputs: Sequence[str], *, title: str) -> int:
    """Paints, saves and reports; returns the exit status."""
    if outputs.output is None:
        raise ValueError("say where the picture goes: -o FILE")
    with Interrupts() as interrupts:
        with clean_up_on_error(outputs.files()):
            check(outputs, inputs)
            preview = Preview(outputs.preview)
            with Bar(title) as bar:

                def on_step(step: Step) -> bool:
                    interrupts.phase = "painting"
                    bar(step)
                    preview(step)
                    return not interrupts.asked

                result = run(on_step)
            interrupts.phase = "saving"
            result.save(outputs.output, bits=outputs.bits)
        if outputs.preview is not None:
            with suppress(ValueError, OSError):
                save_image(result.image, outputs.preview)
        if outputs.curves is not None:
            save_curves(result.curve, outputs.curves)
        _report(result, outputs)
    return 130 if interrupts.asked else 0


def _report(result: Result, outputs: Outputs) -> None:
    if result.note is not None:
        print(f"impasto: {result.note}", file=sys.stderr, flush=True)
    if outputs.json:
        print(json.dumps({"output": outputs.output, **result.summary()}))
    else:
        assert outputs.output is not None
        print(told(outputs.output, result.record(curve=False)))

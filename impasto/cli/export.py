"""`impasto export`: a model of one pass as a file for other programs."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from impasto.cli.flags import parse
from impasto.pipeline.onnx import export as write
from impasto.pipeline.onnx import models


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportForm:
    """Write a model of one pass as ONNX: pictures of any size in, the painting out."""

    model: Annotated[
        tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="MODEL", help_behavior_hint="(required)")
    ] = ()
    """micro, adain, or johnson-STYLE for a style there is a network for."""
    output: Annotated[str | None, tyro.conf.arg(aliases=["-o"], metavar="FILE", help_behavior_hint="(required)")] = None
    """The .onnx file to write."""


def export(arguments: list[str]) -> int:
    """`impasto export`."""
    form, rest = parse(ExportForm, arguments, command="export")
    names = [*form.model, *rest]
    if len(names) != 1:
        raise ValueError(f"give one MODEL of {', '.join(models())}; see impasto export --help")
    if form.output is None:
        raise ValueError("say where the model goes: -o FILE.onnx")
    print(write(names[0], Path(form.output)))
    return 0

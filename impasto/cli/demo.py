"""`impasto demo`: the sample photographs in the manner of the sample styles, and a sheet of them all."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Annotated

import tyro

from impasto.cli.flags import parse
from impasto.cli.progress import Bar
from impasto.images import load_image, save_image
from impasto.images.contact_sheet import contact_sheet
from impasto.pipeline.stylizer import stylize
from impasto.samples import resolve
from impasto.types import Image

PHOTOGRAPHS = ("chelsea", "coffee", "rocket")
MANNERS = ("brushstrokes", "pointillism", "woodcut")
"""Of the sample styles, those that the demo paints in."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DemoForm:
    """Paint three sample photographs in the manner of three sample styles; downloads nothing."""

    output: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="FOLDER")] = Path("demo")
    """Folder for the pictures and the sheet."""
    size: int = 384
    """Longer side of the pictures, in pixels."""
    steps: int = 100
    """Steps for each picture; `impasto stylize` paints until nothing gets better."""


def demo(arguments: list[str]) -> int:
    """`impasto demo`."""
    form, rest = parse(DemoForm, arguments, command="demo")
    if rest:
        raise ValueError(f"impasto demo takes no {rest[0]!r}; see impasto demo --help")
    try:
        _paint_all(form)
    except KeyboardInterrupt:
        print(f"impasto: stopped; what was painted lies in {form.output}", file=sys.stderr)
        return 130
    return 0


def _paint_all(form: DemoForm) -> None:
    photographs = [load_image(resolve(name)) for name in PHOTOGRAPHS]
    rows: list[list[Image | None]] = [[None, *(load_image(resolve(style)) for style in MANNERS)]]
    for name, photograph in zip(PHOTOGRAPHS, photographs, strict=True):
        row: list[Image | None] = [photograph]
        for style in MANNERS:
            with Bar(f"{name} as {style}") as bar:
                result = stylize(name, style, size=form.size, steps=form.steps, on_step=bar)
            print(result.save(form.output / f"{name}-{style}.png"), flush=True)
            row.append(result.image)
        rows.append(row)
    sheet = contact_sheet(rows, row_names=["", *PHOTOGRAPHS], column_names=["", *MANNERS], cell=form.size or 320)
    path = form.output / "contact-sheet.png"
    save_image(sheet, path)
    print(path)

"""Stylize the bundled sample images and draw a contact sheet: `impasto demo`."""

from __future__ import annotations

import sys
from pathlib import Path

from impasto.cli.flags import CommandParser, number_between
from impasto.cli.interrupts import exit_status
from impasto.cli.progress import Bar
from impasto.files import check_unused
from impasto.images import load_image, save_image
from impasto.images.contact_sheet import contact_sheet
from impasto.pipeline.records import record_path
from impasto.pipeline.stylizer import stylize
from impasto.samples import resolve
from impasto.types import Image

CONTENTS = ("chelsea", "coffee", "rocket")
"""Names of the content images of the demo."""
STYLES = ("brushstrokes", "pointillism", "woodcut")
"""Names of the style images of the demo."""


def demo(arguments: list[str]) -> int:
    """Run `impasto demo`."""
    parser = CommandParser("demo", "Stylize three sample images with three sample styles. Nothing is downloaded.")
    parser.add_argument(
        "-o",
        "--output",
        metavar="FOLDER",
        default="demo",
        help="Folder of the stylized images and the contact sheet (default: demo).",
    )
    parser.add_argument(
        "--size",
        metavar="INT",
        type=number_between(int, 0, 65536),
        default=384,
        help="Longer side of the stylized images, in pixels (default: 384).",
    )
    parser.add_argument(
        "--steps",
        metavar="INT",
        type=number_between(int, 1, 10**6),
        default=100,
        help="Optimizer iterations per image (default: 100).",
    )
    options = parser.parse(arguments)
    try:
        _stylize_all(Path(options.output), options.size, options.steps)
    except KeyboardInterrupt as error:
        print(f"impasto: stopped; the finished images are in {options.output}", file=sys.stderr)
        return exit_status(error)
    return 0


def _stylize_all(output: Path, size: int, steps: int) -> None:
    path = output / "contact-sheet.png"
    if not record_path(output / f"{CONTENTS[0]}-{STYLES[0]}.png").exists():  # the folder lacks an earlier demo
        check_unused([path], "the demo")
    rows: list[list[Image | None]] = [[None, *(load_image(resolve(style)) for style in STYLES)]]
    for content in CONTENTS:
        row: list[Image | None] = [load_image(resolve(content))]
        for style in STYLES:
            with Bar(f"{content} with {style}") as bar:
                result = stylize(content, style, size=size, steps=steps, on_step=bar)
            print(result.save(output / f"{content}-{style}.png"), flush=True)
            row.append(result.image)
        rows.append(row)
    sheet = contact_sheet(rows, row_names=["", *CONTENTS], column_names=["", *STYLES], cell=size or 320)
    save_image(sheet, path)
    print(path)

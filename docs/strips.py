"""Paints the strips of the methods' pages from bundled samples: `python docs/strips.py [METHOD ...]`, minutes."""

from __future__ import annotations

import sys
from pathlib import Path

from impasto import load_image, save_image, stylize
from impasto.images import fit, resize
from impasto.images.contact_sheet import contact_sheet
from impasto.methods import METHODS
from impasto.samples import resolve
from impasto.types import Image

FOLDER = Path(__file__).parent / "pictures"
PAIRS = (("chelsea", "brushstrokes"), ("astronaut", "mosaic"), ("rocket", "pointillism"))
SIZE, WIDTH = 256, 1200


def main(names: list[str]) -> None:
    for name in names or list(METHODS):
        row: list[Image | None] = []
        for content, style in PAIRS:
            result = stylize(content, style, name, size=SIZE)
            row += [load_image(resolve(style), size=SIZE), result.image]
            print(f"{name}: {content} x {style}, {result.seconds:.0f} s", flush=True)
        strip = contact_sheet([row], cell=SIZE)
        save_image(resize(strip, fit((strip.shape[-2], strip.shape[-1]), WIDTH)), FOLDER / f"{name}.jpg")


if __name__ == "__main__":
    main(sys.argv[1:])

"""Draw the bundled style images: `python tools/draw_styles -o FOLDER`."""

import argparse
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from draw_styles import (
    brushstrokes,
    charcoal,
    cubist,
    geometric,
    impressionist,
    inkwash,
    mosaic,
    pointillism,
    risograph,
    stainedglass,
    ukiyoe,
    woodcut,
)


@dataclass(frozen=True)
class Drawing:
    """A drawing function and the seed of the bundled image."""

    draw: Callable[[int, int, int], Image.Image]
    """Function of height and width in pixels and a seed."""
    seed: int


DRAWINGS = {
    "brushstrokes": Drawing(brushstrokes.draw, 3),
    "mosaic": Drawing(mosaic.draw, 3),
    "woodcut": Drawing(woodcut.draw, 4),
    "pointillism": Drawing(pointillism.draw, 5),
    "inkwash": Drawing(inkwash.draw, 11),
    "geometric": Drawing(geometric.draw, 8),
    "impressionist": Drawing(impressionist.draw, 3),
    "stainedglass": Drawing(stainedglass.draw, 3),
    "charcoal": Drawing(charcoal.draw, 3),
    "ukiyoe": Drawing(ukiyoe.draw, 5),
    "cubist": Drawing(cubist.draw, 7),
    "risograph": Drawing(risograph.draw, 3),
}
BUNDLED_SIZE = (608, 768)
"""Height and width of the bundled images, in pixels."""
JPEG_QUALITY = 90


def draw(name: str, height: int, width: int, seed: int | None = None) -> Image.Image:
    """Draw a style image by name.

    Args:
        name: name of the style.
        height: height in pixels, at least 16.
        width: width in pixels, at least 16.
        seed: seed of the random layout. Default: that of the bundled image.

    Raises:
        ValueError: if the name is unknown or a side is below 16 pixels.

    >>> draw("woodcut", 24, 32).size
    (32, 24)
    """
    if name not in DRAWINGS:
        raise ValueError(f"unknown drawing {name!r}; choose from {', '.join(DRAWINGS)}")
    if min(height, width) < 16:
        raise ValueError(f"cannot draw {width}x{height} pixels; each side must be at least 16")
    drawing = DRAWINGS[name]
    return drawing.draw(height, width, drawing.seed if seed is None else seed)


def main() -> None:
    """Write every style as a JPEG file of the bundled size into a folder."""
    parser = argparse.ArgumentParser(prog="python tools/draw_styles", description=__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER", help="created if missing")
    folder: Path = parser.parse_args().output
    folder.mkdir(parents=True, exist_ok=True)
    for name in DRAWINGS:
        encoded = io.BytesIO()
        draw(name, *BUNDLED_SIZE).save(encoded, "JPEG", quality=JPEG_QUALITY, optimize=True)
        path = folder / f"{name}.jpg"
        path.write_bytes(encoded.getvalue())
        print(path)

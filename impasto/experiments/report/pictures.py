"""Embed images in the page, scaled down so that all of them fit."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import PIL.Image

from impasto.images import fit, flatten, open_picture, resize, to_pil
from impasto.samples import resolve

T = TypeVar("T")

BYTES = 10_000_000
"""Bytes of all images of a page together, before base64 adds a third."""
SAMPLED = 12
"""Images that are scaled down to estimate the bytes of all; textured ones take five times the bytes."""
SMALLEST, LARGEST = 96, 640
"""Bounds of the longer side in pixels."""
INPUTS_FRACTION = 0.2
"""Fraction of the bytes for content images and style images."""
QUALITY = 82
"""WebP quality."""


@dataclass(frozen=True)
class Thumbnail:
    """An image as it is embedded in the page."""

    uri: str
    """`data:image/webp;base64,...`"""
    width: int
    height: int
    original: tuple[int, int]
    """Width and height of the file in pixels."""


def side_for(sample: Sequence[Thumbnail | None], count: int, fraction: float = 1.0) -> int:
    """Return the longer side in pixels at which all images fit into the page.

    Args:
        sample: some of the images, at any size.
        count: number of all images.
        fraction: fraction of the bytes of the page, in (0, 1].
    """
    readable = [each for each in sample if each is not None]
    if not readable:
        return LARGEST
    pixels = sum(max(each.width, each.height) ** 2 for each in readable)  # of the enclosing squares
    bytes_per_pixel = sum(map(_bytes, readable)) / pixels
    return max(SMALLEST, min(LARGEST, math.floor(math.sqrt(fraction * BYTES / (count * bytes_per_pixel)))))


def sample_of(items: Sequence[T]) -> list[T]:
    """Return up to `SAMPLED` items, evenly spaced."""
    step = max(1, len(items) // SAMPLED)
    return list(items[::step])[:SAMPLED]


def output_thumbnail(path: Path, side: int) -> Thumbnail | None:
    """Return an output image, its longer side at most `side` pixels, or None if it cannot be read.

    Output images are upright and sRGB, so that Pillow alone reads them, which is faster than `load_image`.
    """
    try:
        with PIL.Image.open(path) as file:
            return _thumbnail(_on_white(file), file.size, side)
    except (OSError, SyntaxError, ValueError, PIL.Image.DecompressionBombError):
        return None


def input_thumbnail(name: str, folder: Path, side: int) -> Thumbnail | None:
    """Return a content image or style image, or None if it cannot be read.

    Args:
        name: name of a sample, a path, or a path in the folder of the experiment.
        folder: folder of the experiment.
        side: maximum of the longer side in pixels.
    """
    for source in (name, str(folder / name)):
        try:
            picture = open_picture(resolve(source))
        except ValueError:
            continue
        image = flatten(picture.image, picture.alpha)
        height, width = image.shape[-2:]
        if max(height, width) > side:
            image = resize(image, fit((height, width), side))
        return _thumbnail(to_pil(image), (width, height), side)
    return None


def _on_white(file: PIL.Image.Image) -> PIL.Image.Image:
    if not file.has_transparency_data:
        return file.convert("RGB")
    picture = PIL.Image.new("RGBA", file.size, "white")
    picture.alpha_composite(file.convert("RGBA"))
    return picture.convert("RGB")


def _bytes(thumbnail: Thumbnail) -> int:
    return len(thumbnail.uri) * 3 // 4


def _thumbnail(picture: PIL.Image.Image, original: tuple[int, int], side: int) -> Thumbnail:
    picture.thumbnail((side, side), PIL.Image.Resampling.LANCZOS)
    file = io.BytesIO()
    picture.save(file, "WEBP", quality=QUALITY, method=1)  # a higher method: 5 % fewer bytes in three times the time
    uri = "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()
    return Thumbnail(uri, *picture.size, original)

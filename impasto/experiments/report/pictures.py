"""Pictures inside a page: made small enough for all of them to fit."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import PIL.Image

from impasto.images import fit, load_image, resize, to_pil
from impasto.samples import resolve

T = TypeVar("T")

BYTES = 10_000_000
"""Of all pictures of a page together, before base64 adds a third."""
TRIED = 12
"""How many pictures are made small to see how many bytes they take: thick strokes take five times those of mist."""
SMALLEST, LARGEST = 96, 640
"""Longer side, in pixels."""
SOURCES_SHARE = 0.2
"""Of the bytes: for photographs and styles."""
QUALITY = 82


@dataclass(frozen=True)
class Thumbnail:
    """A picture as a page holds it."""

    uri: str
    """`data:image/webp;base64,...`"""
    width: int
    height: int
    original: tuple[int, int]
    """Width and height of the file, in pixels."""


def side_for(trial: Sequence[Thumbnail | None], count: int, share: float = 1.0) -> int:
    """Longer side in pixels at which so many pictures fit into a page, or into a share of it.

    Args:
        trial: some of the pictures, at any size.
        count: how many there are.
        share: of the page's bytes, in (0, 1].
    """
    seen = [each for each in trial if each is not None]
    if not seen:
        return LARGEST
    pixels = sum(max(each.width, each.height) ** 2 for each in seen)  # of squares: that their longer side fills
    a_pixel = sum(map(_bytes, seen)) / pixels
    return max(SMALLEST, min(LARGEST, math.floor(math.sqrt(share * BYTES / (count * a_pixel)))))


def spread(items: Sequence[T]) -> list[T]:
    """A few of many, evenly spread."""
    step = max(1, len(items) // TRIED)
    return list(items[::step])[:TRIED]


def of_painting(path: Path, side: int) -> Thumbnail | None:
    """A painting of ours, which is upright and sRGB, its longer side at most `side`; None where it cannot be read."""
    try:
        with PIL.Image.open(path) as file:
            return _thumbnail(file.convert("RGB"), file.size, side)
    except (OSError, SyntaxError, ValueError, PIL.Image.DecompressionBombError):
        return None


def of_source(name: str, folder: Path, side: int) -> Thumbnail | None:
    """A photograph or a style: a sample, a path, or a path in the experiment's folder; None where it cannot be read."""
    for place in (name, str(folder / name)):
        try:
            image = load_image(resolve(place))
        except ValueError:
            continue
        height, width = image.shape[-2:]
        if max(height, width) > side:
            image = resize(image, fit((height, width), side))
        return _thumbnail(to_pil(image), (width, height), side)
    return None


def _bytes(thumbnail: Thumbnail) -> int:
    return len(thumbnail.uri) * 3 // 4


def _thumbnail(picture: PIL.Image.Image, original: tuple[int, int], side: int) -> Thumbnail:
    picture.thumbnail((side, side), PIL.Image.Resampling.LANCZOS)
    file = io.BytesIO()
    picture.save(file, "WEBP", quality=QUALITY, method=1)  # more effort: 5 % smaller in three times the time
    uri = "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()
    return Thumbnail(uri, *picture.size, original)

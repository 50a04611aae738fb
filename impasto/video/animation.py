"""Read animated GIF, WebP and PNG files with Pillow."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
import PIL.Image

from impasto.files import reason
from impasto.images.decoding import pillow_lock
from impasto.video.source import BT709, FULL, SRGB, ColorTags, Shape, SourceFrame, check_pixels

ANIMATED = frozenset((".gif", ".webp", ".png", ".apng"))
FORMATS = ("GIF", "WEBP", "PNG")
UNTIMED = Fraction(1, 10)
"""Seconds of a frame whose file gives no duration, as in browsers."""
SHORTEST_GIF = Fraction(1, 50)
"""Seconds below which browsers show a frame of a GIF for `UNTIMED`."""


class AnimatedImage:
    """An animated image.

    Args:
        path: the file.

    Raises:
        ValueError: if it is corrupt or not an image.
    """

    color = ColorTags(BT709, FULL, BT709, SRGB)
    time_base = Fraction(1, 1000)
    has_audio = False
    seconds: Fraction | None = None
    origin = Fraction(0)

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._open() as picture:
            self.size: Shape = (picture.height, picture.width)

    def frames(self, start: Fraction) -> Iterator[SourceFrame]:
        """Yield all frames."""
        with self._open() as picture:
            time = Fraction(0)
            first = 1 if picture.info.get("default_image") else 0  # shown by programs without animations only
            with quiet_pillow(self._path):
                count = getattr(picture, "n_frames", 1)
            for i in range(first, max(first + 1, count)):
                canvas, duration = self._decoded(picture, i)
                yield SourceFrame(time, duration, partial(_resized, canvas))
                time += duration

    def _decoded(self, picture: PIL.Image.Image, index: int) -> tuple[PIL.Image.Image, Fraction]:
        try:
            with quiet_pillow(self._path):
                picture.seek(index)
                rgba = picture.convert("RGBA")
        except (EOFError, OSError, SyntaxError, ValueError) as error:
            raise ValueError(f"{str(self._path)!r}: it is corrupt: {reason(error)}; give a complete file") from error
        canvas = PIL.Image.new("RGBA", rgba.size, "white")
        canvas.alpha_composite(rgba)
        duration = Fraction(picture.info.get("duration") or 0).limit_denominator(1000) / 1000
        shortest = SHORTEST_GIF if picture.format == "GIF" else Fraction(1, 1000)
        return canvas.convert("RGB"), duration if duration >= shortest else UNTIMED

    def _open(self) -> PIL.Image.Image:
        try:
            with quiet_pillow(self._path):
                picture = PIL.Image.open(self._path, formats=FORMATS)
        except PIL.UnidentifiedImageError as error:
            text = "it is not a GIF, WebP or PNG file, or corrupt"
            raise ValueError(f"{str(self._path)!r}: {text}; give a complete file") from error
        check_pixels(self._path, *picture.size)
        return picture


@contextmanager
def quiet_pillow(path: Path) -> Iterator[None]:
    """Leave out Pillow's warnings of large images, and convert its error of larger ones to `ValueError`.

    The warning filters are global, so a lock makes sure that images are decoded one at a time.
    """
    with pillow_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore", PIL.Image.DecompressionBombWarning)
        try:
            yield
        except PIL.Image.DecompressionBombError as error:
            raise ValueError(f"{str(path)!r}: its frames have too many pixels; give smaller frames") from error


def is_animated(path: Path) -> bool:
    """Return whether a file is an animation; raise `ValueError` in one line if its frames are too large."""
    try:
        with quiet_pillow(path), PIL.Image.open(path, formats=FORMATS) as picture:
            return bool(getattr(picture, "is_animated", False))
    except OSError:
        return False


def _resized(canvas: PIL.Image.Image, shape: Shape) -> np.ndarray:
    height, width = shape
    resized = canvas if canvas.size == (width, height) else canvas.resize((width, height), PIL.Image.Resampling.BICUBIC)
    return np.array(resized)

"""Read a folder of numbered image files as a clip."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np

from impasto.images import flatten, open_picture, resize, to_pil
from impasto.images.folders import pictures_in
from impasto.video.source import BT709, FULL, SRGB, ColorTags, Shape, SourceFrame

DEFAULT_FPS = Fraction(25)


class FrameFolder:
    """A folder of frames, sorted by the numbers in their names: `9.png` comes before `10.png`.

    Args:
        path: the folder; subfolders are left out.
        fps: frames per second. Default: 25.

    Raises:
        ValueError: if it contains no image, or the first one cannot be read.
    """

    color = ColorTags(BT709, FULL, BT709, SRGB)
    has_audio = False
    origin = Fraction(0)

    def __init__(self, path: Path, fps: Fraction | None) -> None:
        self._path = path
        self.rate = fps or DEFAULT_FPS
        self.time_base = 1 / self.rate
        self.files = sorted((file for file in pictures_in(path) if file.parent == path), key=_number)
        if not self.files:
            raise ValueError(f"{str(path)!r}: it contains no images, only folders; give a folder of numbered frames")
        self.seconds: Fraction | None = len(self.files) * self.time_base
        self.size: Shape = self._read(self.files[0])[0].shape[:2]

    def frames(self, start: Fraction) -> Iterator[SourceFrame]:
        """Yield all frames; their files are read on demand."""
        for i, file in enumerate(self.files):
            yield SourceFrame(i * self.time_base, self.time_base, partial(self._pixels, file))

    def _pixels(self, file: Path, shape: Shape) -> np.ndarray:
        pixels, size = self._read(file, shape)
        if size != self.size:
            (height, width), (first_height, first_width) = size, self.size
            text = f"is {width}x{height} pixels, but the first frame is {first_width}x{first_height}"
            raise ValueError(f"{str(file)!r} {text}; give frames of one size")
        return pixels

    def _read(self, file: Path, shape: Shape | None = None) -> tuple[np.ndarray, Shape]:
        """Return the pixels of a file at a height and width, and its own height and width."""
        picture = open_picture(file)
        image = picture.image if picture.alpha is None else flatten(picture.image, picture.alpha)
        size = (image.shape[-2], image.shape[-1])
        return np.array(to_pil(resize(image, shape or size))), size


def _number(file: Path) -> tuple[list[int], str]:
    return [int(digits) for digits in re.findall(r"\d+", file.stem)], file.name

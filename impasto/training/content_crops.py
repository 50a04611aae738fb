"""Cut random crops out of a few content images, for a training that has no folder of photographs."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch

from impasto.files import reason
from impasto.images import fit, load_image, resize
from impasto.images.folders import pictures_in
from impasto.samples import CONTENTS, STYLES, resolve
from impasto.training.drawn_contents import draw_content
from impasto.types import Image

DRAWN = 24
"""Number of images that are drawn in addition to the samples."""
MAX_PHOTOS = 100
"""Number of photographs of a folder that are used."""
MAX_SIDE_FACTOR = 3
"""Longer side of the content images in the memory, in units of the crop."""
MAX_CROP_FACTOR = 2
"""Largest side of a crop before it is reduced, in units of the crop."""
MAX_ENLARGEMENT = 1.5
"""Small images are enlarged to the crop by at most this factor."""


class ContentCrops:
    """Random crops of content images: flipped, of random zoom, brightness, contrast and saturation.

    Args:
        images: content images `(1, 3, H, W)`, not smaller than the crop.
        crop: side of the crops in pixels.
    """

    def __init__(self, images: Sequence[Image], crop: int) -> None:
        self.images, self.crop = images, crop

    def batch(self, size: int, generator: torch.Generator) -> Image:
        """Return crops `(size, 3, crop, crop)` in [0, 1]."""
        return torch.cat([self._sample(generator) for _ in range(size)])

    def _sample(self, generator: torch.Generator) -> Image:
        image = self.images[int(torch.randint(len(self.images), (), generator=generator))]
        height, width = image.shape[-2:]
        largest = min(height, width, MAX_CROP_FACTOR * self.crop)
        side = int(torch.randint(self.crop, largest + 1, (), generator=generator))
        top, left = (int(torch.randint(free - side + 1, (), generator=generator)) for free in (height, width))
        flip, light, contrast, saturation = torch.rand(4, generator=generator).tolist()
        piece = resize(image[..., top : top + side, left : left + side], (self.crop, self.crop))
        if flip < 0.5:
            piece = piece.flip(-1)
        gray = piece.mean(1, keepdim=True)
        piece = torch.lerp(gray, piece, 0.6 + 0.8 * saturation)
        varied: Image = ((piece - 0.5) * (0.8 + 0.4 * contrast) + 0.45 + 0.1 * light).clamp(0, 1)
        return varied


def sample_contents(crop: int, generator: torch.Generator) -> list[Image]:
    """Return content images without a file of the user: the samples that are installed, and drawn images."""
    samples = []
    for name in (*CONTENTS, *STYLES):
        try:
            samples.append(_prepared(resolve(name), crop))
        except ValueError:  # the photographs are part of scikit-image, which may be missing
            continue
    return samples + [draw_content(2 * crop, generator) for _ in range(DRAWN)]


def photo_contents(folder: str | os.PathLike[str], crop: int, generator: torch.Generator) -> list[Image]:
    """Return random photographs of a folder and its subfolders as content images.

    Args:
        folder: the folder. A picture that cannot be read or would be enlarged by more than 1.5 gives a warning.
        crop: side of the crops in pixels.
        generator: source of the random numbers.

    Raises:
        ValueError: in one line, if the folder has no picture that can be used.
    """
    files = pictures_in(Path(folder))
    images: list[Image] = []
    for index in torch.randperm(len(files), generator=generator).tolist():
        try:
            images.append(_prepared(files[index], crop))
        except (ValueError, OSError) as error:
            warnings.warn(f"left out: {reason(error)}", stacklevel=2)
        if len(images) == MAX_PHOTOS:
            break
    if not images:
        raise ValueError(f"photos: none of the {len(files)} pictures in {os.fspath(folder)!r} can be used")
    return images


def _prepared(file: Path, crop: int) -> Image:
    """Return an image that is reduced to some crops, or enlarged to one.

    Raises:
        ValueError: if it cannot be read, or would be enlarged too much.
    """
    image = load_image(file)
    height, width = image.shape[-2:]
    shorter, longer = min(height, width), max(height, width)
    if shorter * MAX_ENLARGEMENT < crop:
        raise ValueError(f"{str(file)!r} is {width}x{height} pixels, too small for a crop of {crop}")
    least = -(-crop * longer // shorter)  # the shorter side is a crop
    size = max(least, min(longer, MAX_SIDE_FACTOR * crop))
    return image if size == longer else resize(image, fit((height, width), size))

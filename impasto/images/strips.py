"""Read large image files from top to bottom in strips of rows, with pyvips (the extra `hires`).

The memory is then that of one strip and of what is made of it, not that of the file. The pixels are those of
`decoding.read`: Pillow reads the header, both libraries decode to the same levels, and the same functions convert them
to sRGB.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import PIL.Image
import PIL.ImageFile
import torch
from torch import Tensor

from impasto.files import reason
from impasto.images import decoding, hires, plugins, profiles
from impasto.images.arrays import levels_to_tensor
from impasto.images.in_files import LARGE_PIXELS, empty_image, release_pages
from impasto.images.pixels import bicubic, fit
from impasto.images.transparency import KEPT

REDUCED_PIXELS = 2**26
"""Largest number of pixels of a file that is decoded as a whole where a smaller size is needed, as float32 0.8 GB."""
STRIP_PIXELS = 2**22
"""Pixels of one strip."""
PLANNED_SIDE = 4096
"""Longer side in pixels of a large image that is only planned."""
STRIP_ROWS = 512
"""Largest number of rows of one strip: the weights of more of them take longer than they save, in a narrow image."""

STORED = {
    "JPEG": {"L", "RGB"},
    "PNG": {"L", "LA", "RGB", "RGBA", "RGB;16B", "RGBA;16B"},
    "TIFF": {"L", "LA", "RGB", "RGBA", *(f"{mode};16{order}" for mode in ("RGB", "RGBA") for order in "LBN")},
}
"""Layouts of the pixels, as Pillow calls them, that are read in strips. All others are decoded as a whole: palettes,
CMYK, Lab, gray with 16 bits, colors multiplied by alpha, separate planes."""

_VIEWS = {
    1: (False, slice(None), slice(None)),
    2: (False, slice(None), slice(None, None, -1)),
    3: (False, slice(None, None, -1), slice(None, None, -1)),
    4: (False, slice(None, None, -1), slice(None)),
    5: (True, slice(None), slice(None)),
    6: (True, slice(None, None, -1), slice(None)),
    7: (True, slice(None, None, -1), slice(None, None, -1)),
    8: (True, slice(None), slice(None, None, -1)),
}
"""For each EXIF orientation, how an upright image has the order of the file: exchanged axes, then rows and columns."""


class Strip(NamedTuple):
    """Some rows of an image in the order of the file."""

    top: int
    """Index of the first row."""
    colors: Tensor
    """sRGB colors `(1, 3, n, W)` in [0, 1]."""
    alpha: Tensor | None
    """Opacity `(1, 1, n, W)` in [0, 1]; None: the file has none."""


@dataclass(frozen=True, eq=False)
class StripReader:
    """An image file that is read in strips: iterating over it decodes it once."""

    path: Path
    name: str
    """Name of the file in messages."""
    header: PIL.ImageFile.ImageFile
    """The image as Pillow opened it, not decoded."""
    orientation: int
    """EXIF orientation, 1 to 8."""

    @classmethod
    def open(cls, path: Path, file: BinaryIO, name: str, max_pixels: int) -> StripReader | None:
        """Return the reader of a large file; None where it is decoded as a whole.

        That is the case up to `REDUCED_PIXELS`, for a layout of the pixels that is not in `STORED`, and without pyvips.

        Args:
            path: the file.
            file: the file, open.
            name: its name in messages.
            max_pixels: largest accepted number of pixels.

        Raises:
            ValueError: if the file is not an image, or is too large.
        """
        start = file.read(plugins.SIGNATURE)
        file.seek(0)
        if plugins.format_of(start) is not None:  # to open a JPEG XL decodes it
            return None
        header = decoding.read_header(file, name, max_pixels)
        if header.width * header.height <= REDUCED_PIXELS:
            return None
        layouts = {_layout(each.args) for each in header.tile}
        is_known = bool(layouts) and layouts <= STORED.get(str(header.format), set())
        if not is_known or "transparency" in header.info or hires.find_vips() is None:
            return None
        return cls(path, name, header, decoding.orientation(header))

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels, upright."""
        width, height = self.header.size  # of a TIFF Pillow exchanges them already
        is_exchanged = _VIEWS[self.orientation][0] and self.header.format != "TIFF"
        return (width, height) if is_exchanged else (height, width)

    def read(self, longer_side: int) -> tuple[Tensor, Tensor | None]:
        """Return the colors `(1, 3, h, w)` and the opacity `(1, 1, h, w)`, reduced as `resize` does.

        Where the file has an opacity, the colors are weighted by it, so that those of transparent pixels do not count.

        Args:
            longer_side: length in pixels.

        Raises:
            ValueError: if the file is corrupt.
        """
        is_opaque = True
        shape = fit(self.shape, longer_side)
        height, width = shape[::-1] if _VIEWS[self.orientation][0] else shape
        total: Tensor | None = None
        for top, colors, alpha in self:
            is_opaque = is_opaque and (alpha is None or bool((alpha == 1).all()))
            pixels = colors if alpha is None else _weighted(colors, alpha)
            rows = pixels.shape[-2]
            first, weights = _row_weights(top, rows, self._height, height)
            total = torch.zeros(1, pixels.shape[1], height, width) if total is None else total
            total[..., first : first + len(weights), :] += weights @ bicubic(pixels, (rows, width))
        assert total is not None
        colors, alpha = _separated(self._upright(total).clamp_(0, 1))
        return colors, None if is_opaque else alpha  # the weights of opaque pixels add up to 1 nearly

    def read_planned(self) -> Tensor:
        """Return the colors `(1, 3, h, w)`, reduced to `PLANNED_SIDE`; the errors are those of `read_large`."""
        colors, alpha = self.read(min(PLANNED_SIDE, max(self.shape)))
        if alpha is not None:
            raise self._transparent()
        return colors

    def read_large(self) -> Tensor:
        """Return the colors `(1, 3, H, W)` at the size of the file, from `empty_image`.

        Raises:
            ValueError: if the file is corrupt or has transparent pixels.
        """
        image = empty_image((1, 3, *self.shape))
        rows = self.in_file_order(image[0].numpy())
        for top, colors, alpha in self:
            if alpha is not None and alpha.min() < 1:
                raise self._transparent()
            rows[:, top : top + colors.shape[-2]] = colors[0].numpy()
            release_pages()
        return image

    def __iter__(self) -> Iterator[Strip]:
        """Yield the strips from top to bottom.

        Raises:
            ValueError: if the file is corrupt.
        """
        vips = hires.find_vips()
        try:
            source = vips.Source.new_from_file(os.fsencode(self.path))  # its name may have no encoding
            image = vips.Image.new_from_source(source, "", access="sequential", fail_on="error")
            deep = image.format == "ushort"
            image = hires.to_srgb(image, self.name) if deep else image
            profile = None if deep else self._usable_profile()
            region = vips.Region.new(image)
            rows = min(max(1, STRIP_PIXELS // image.width), STRIP_ROWS)
            for top in range(0, image.height, rows):
                count = min(rows, image.height - top)
                data = np.frombuffer(region.fetch(0, top, image.width, count), np.uint16 if deep else np.uint8)
                levels = data.reshape(count, image.width, image.bands)
                pixels = hires.split_alpha(levels) if deep else _converted(levels, profile, self.name)
                colors, alpha = profiles.without_gamma(pixels, self.header.info)
                yield Strip(top, levels_to_tensor(colors), None if alpha is None else levels_to_tensor(alpha))
        except vips.Error as error:
            raise decoding.corrupt(self.name, reason(error)) from error

    def _transparent(self) -> ValueError:
        text = f"has transparent pixels, which an image of more than {LARGE_PIXELS} pixels must not have"
        return ValueError(f"{self.name}: it {text}; give a smaller --size, or remove its alpha channel")

    @property
    def _height(self) -> int:
        """Height in the order of the file."""
        return self.shape[1 if _VIEWS[self.orientation][0] else 0]

    def _usable_profile(self) -> bytes | None:
        """Return the color profile; None, after a warning, for a broken one."""
        return profiles.usable(self.header.info.get("icc_profile"), self.header.mode.removesuffix("A"), self.name)

    def _upright(self, image: Tensor) -> Tensor:
        """Return an image `(1, C, H, W)` upright that has the order of the file."""
        is_exchanged, *_ = _VIEWS[self.orientation]
        upright = np.empty((image.shape[1], *(image.shape[:1:-1] if is_exchanged else image.shape[2:])), np.float32)
        self.in_file_order(upright)[...] = image[0].numpy()
        return torch.from_numpy(upright)[None]

    def in_file_order(self, upright: np.ndarray) -> np.ndarray:
        """Return a view of an upright image `(C, H, W)` in the order of the file."""
        is_exchanged, rows, columns = _VIEWS[self.orientation]
        return (upright.swapaxes(1, 2) if is_exchanged else upright)[:, rows, columns]


def _layout(arguments: tuple[Any, ...] | str | None) -> str:
    """Return the layout of the pixels among the arguments of a decoder of Pillow."""
    return arguments if isinstance(arguments, str) else str(arguments[0]) if arguments else ""


def _converted(levels: np.ndarray, profile: bytes | None, name: str) -> decoding.Pixels:
    """Return the sRGB pixels of uint8 levels `(H, W, C)`, as `decoding.decode` does."""
    picture = PIL.Image.fromarray(levels[..., 0] if levels.shape[2] == 1 else levels)
    return decoding.to_pixels(*decoding.split_alpha(picture), profile, name)


def _row_weights(top: int, rows: int, height: int, new_height: int) -> tuple[int, Tensor]:
    """Return the weights of some rows of an image in those of the reduced image, which `bicubic` would give them.

    Args:
        top: index of the first row.
        rows: number of rows.
        height: number of rows of the image.
        new_height: number of rows of the reduced image.

    Returns:
        Index of the first row of the reduced image that the rows are a part of, and the weights `(n, rows)`.
    """
    scale = height / new_height  # at least 1
    margin = 2 * scale  # of the filter
    first, last = math.floor((top - margin) / scale - 0.5), math.ceil((top + rows + margin) / scale)
    first, last = max(0, first), min(new_height, last)
    before, after = max(0, math.floor((first + 0.5) * scale - margin)), math.ceil((last - 0.5) * scale + margin)
    # PyTorch rounds positions to float32, too.
    centers = ((torch.arange(first, last, dtype=torch.float64) + 0.5) * float(np.float32(scale))).float()
    rows_before = torch.arange(before, min(height, after)) - centers[:, None]
    distances = (rows_before.double() + 0.5).abs() / scale
    near = 1 + distances**2 * (1.5 * distances - 2.5)
    far = 2 + distances * (distances * (2.5 - 0.5 * distances) - 4)
    weights = torch.where(distances < 1, near, far) * (distances < 2)
    weights /= weights.sum(1, keepdim=True)
    return first, weights[:, top - before : top - before + rows].float()


def _weighted(colors: Tensor, alpha: Tensor) -> Tensor:
    """Return the colors, weighted as by `fill_hidden`, the weights, and the opacity: `(1, 5, H, W)`."""
    weight = (alpha / KEPT).clamp(max=1)
    return torch.cat([colors * weight, weight, alpha], 1)


def _separated(pixels: Tensor) -> tuple[Tensor, Tensor | None]:
    """Return the colors `(1, 3, H, W)` and the opacity of the result of `_weighted`, or of colors alone."""
    if pixels.shape[1] == 3:
        return pixels, None
    weight = pixels[:, 3:4].clamp_min(1e-6)
    return (pixels[:, :3] / weight).clamp_(0, 1), pixels[:, 4:].contiguous()

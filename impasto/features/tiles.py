"""Divide an image into overlapping tiles of one size, from which the features of the whole image are assembled."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor


@dataclass(frozen=True)
class Span:
    """One tile along one side of an image, in pixels: from `first` to before `last`, with its core."""

    first: int
    last: int
    core_first: int
    core_last: int
    """The cores of successive spans meet."""
    is_last: bool
    """Whether the core ends at the end of the image."""

    def core(self, stride: int) -> slice:
        """Return the positions of the core in a map of the tile whose positions are `stride` pixels apart."""
        return self._positions(stride, self.first)

    def core_in_image(self, stride: int) -> slice:
        """Return the positions of the core in a map of the whole image."""
        return self._positions(stride, 0)

    def _positions(self, stride: int, origin: int) -> slice:
        last = None if self.is_last else (self.core_last - origin) // stride
        return slice((self.core_first - origin) // stride, last)


@dataclass(frozen=True)
class OverlappingTile:
    """A rectangle of an image: a core, and a margin around it as wide as the receptive field of a network."""

    rows: Span
    columns: Span

    def shapes(self) -> tuple[int, ...]:
        """Return the height and width of the tile and of its core, in pixels."""
        rows, columns = self.rows, self.columns
        tile = (rows.last - rows.first, columns.last - columns.first)
        return (*tile, rows.core_last - rows.core_first, columns.core_last - columns.core_first)

    def crop(self, image: Tensor) -> Tensor:
        """Return the tile of an image `(B, C, H, W)`, margin included."""
        return image[..., self.rows.first : self.rows.last, self.columns.first : self.columns.last]

    def core(self, maps: Tensor, stride: int) -> Tensor:
        """Return the core of maps that were computed from the tile."""
        return maps[..., self.rows.core(stride), self.columns.core(stride)]

    def core_in_image(self, maps: Tensor, stride: int) -> Tensor:
        """Return the core of maps of the whole image."""
        return maps[..., self.rows.core_in_image(stride), self.columns.core_in_image(stride)]


def overlapping_tiles(
    shape: tuple[int, int], side: int, *, before: int, after: int, stride: int
) -> list[OverlappingTile]:
    """Return tiles of equal size whose cores cover an image.

    All tiles have the same size, so that a convolution prepares its weights for one size only. The first pixel of each
    tile and of each core is a multiple of the stride, so that poolings divide a tile as they divide the image.

    Args:
        shape: height and width of the image in pixels.
        side: longest mean side of the cores in pixels.
        before: pixels that positions of the core need above and to the left of it.
        after: pixels that positions of the core need below and to the right of it.
        stride: distance between two positions of the coarsest maps, in pixels.

    >>> tiles = overlapping_tiles((64, 96), 64, before=16, after=16, stride=8)
    >>> [(each.columns.first, each.columns.core_first, each.columns.core_last, each.columns.last) for each in tiles]
    [(0, 0, 48, 64), (32, 48, 96, 96)]
    """
    before = math.ceil(before / stride) * stride
    rows, columns = (_spans(length, side, before, after, stride) for length in shape)
    return [OverlappingTile(row, column) for row in rows for column in columns]


def _spans(length: int, side: int, before: int, after: int, stride: int) -> list[Span]:
    """Return the tiles along one side; all have the same length, and the remainder of its division by the stride."""
    margins = before + after
    count = max(1, min(math.ceil(length / side), (length - margins) // stride))
    size = _rounded_up((length + (count - 1) * margins) / count, length, stride)
    while count > 1 and math.ceil((length - size) / (count - 1) / stride) * stride + margins > size:
        size += stride
    if count == 1 or size >= length:
        return [Span(0, length, 0, length, is_last=True)]
    firsts = [round(i * (length - size) / (count - 1) / stride) * stride for i in range(count)]
    bounds = [0, *(first + before for first in firsts[1:]), length]
    return [
        Span(first, first + size, *bound, is_last=bound[1] == length)
        for first, bound in zip(firsts, pairwise(bounds), strict=True)
    ]


def _rounded_up(size: float, length: int, stride: int) -> int:
    """Return the smallest number of at least `size` that differs from `length` by a multiple of the stride."""
    return length - math.floor((length - size) / stride) * stride

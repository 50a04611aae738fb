"""A large picture in tiles, with the same outcome as at once.

What a network computes is local but for its means over the whole picture (`impasto.networks.statistics`). Each of them
is asked for in turn: all tiles are run up to it, and the mean over the picture is that over the tiles. The last pass
knows all of them, and paints. So memory is that of a tile, and time that of about half as many passes as means.

The statistics pass is that of Galerne et al. (SPST, arXiv 2212.13459), who tile an optimization.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.networks.statistics import Measure, SpatialMean


@dataclass(frozen=True)
class Tile:
    """A rectangle of a picture, and another around it that is large enough to compute the first."""

    top: int
    left: int
    bottom: int
    right: int
    core: tuple[int, int, int, int]
    """Top, left, bottom and right of the inner rectangle, in the picture."""

    def of(self, picture: Tensor) -> Tensor:
        """The piece of a picture `(B, C, H, W)`, border included."""
        return picture[..., self.top : self.bottom, self.left : self.right]

    def inner(self, features: Tensor) -> Tensor:
        """The inner part of what was computed from the piece, at any resolution."""
        pixels = (self.bottom - self.top) // features.shape[-2]  # a place of the features covers so many, a side
        top, left, bottom, right = (each // pixels for each in self.core)
        y, x = self.top // pixels, self.left // pixels
        return features[..., top - y : bottom - y, left - x : right - x]


def tiles(shape: tuple[int, int], side: int, reach: int) -> list[Tile]:
    """Tiles that cover a picture of this height and width, each of at most `side` pixels a side without its border.

    All borders lie on multiples of `reach`, which so must be one of what the network asks of sizes.

    >>> [each.core for each in tiles((64, 96), 64, 16)]
    [(0, 0, 64, 64), (0, 64, 64, 96)]
    """
    height, width = shape
    side = max(reach, side // reach * reach)
    return [
        Tile(
            max(0, top - reach),
            max(0, left - reach),
            min(height, bottom + reach),
            min(width, right + reach),
            (top, left, bottom, right),
        )
        for top, bottom in _spans(height, side)
        for left, right in _spans(width, side)
    ]


def _spans(length: int, side: int) -> Iterator[tuple[int, int]]:
    for first in range(0, length, side):
        yield first, min(first + side, length)


def weighted(mask: Tensor | None) -> Measure:
    """The `Measure` of a network that sees the whole picture at once, where places count as much as `mask` says."""

    def measure(features: Tensor, mean: SpatialMean) -> Tensor:
        if mask is None:
            return mean(features, None)
        weights = _reduced(mask, features)
        return mean(features, weights) / weights.mean()

    return measure


Run = Callable[[Tile, Measure], object]
"""A network at work on a tile."""


def statistics(run: Run, parts: Sequence[Tile], mask: Tensor | None = None) -> list[Tensor]:
    """Every mean over the picture that `run` asks for, in order.

    Args:
        mask: how much each pixel counts, `(1, 1, H, W)`; None: all the same.
    """
    known: list[Tensor] = []
    while True:
        total, places, device = torch.zeros(()), 0.0, torch.device("cpu")
        for tile in parts:
            try:
                run(tile, replayed(known))
            except _AskedError as asked:
                inner, device = tile.inner(asked.features), asked.features.device
                weights = None if mask is None else tile.inner(_reduced(tile.of(mask), asked.features))
                count = inner.shape[-2] * inner.shape[-1]
                total = total + asked.mean(inner, weights).double().cpu() * count
                places += count if weights is None else weights.double().sum().item()
            else:
                return known
        known.append((total / places).float().to(device))


def replayed(known: Sequence[Tensor]) -> Measure:
    """The `Measure` that answers what is known, in order."""
    left = iter(known)

    def measure(features: Tensor, mean: SpatialMean) -> Tensor:
        for statistic in left:
            return statistic
        raise _AskedError(features, mean)

    return measure


class _AskedError(Exception):
    """A mean is asked for that is not known yet."""

    def __init__(self, features: Tensor, mean: SpatialMean) -> None:
        super().__init__()
        self.features, self.mean = features, mean


def _reduced(mask: Tensor, features: Tensor) -> Tensor:
    """The mask at the resolution of features."""
    return F.adaptive_avg_pool2d(mask.float(), (features.shape[-2], features.shape[-1]))

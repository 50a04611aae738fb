"""Run a network over a large image in tiles, with the output of a single pass.

A feed-forward network is local, except for means over the whole image (`impasto.networks.statistics`). These means are
computed one after the other: all tiles run up to the first mean that is not known yet, and the mean over the image
follows from those over the tiles. With all means known, a last pass computes the output. The memory is that of one
tile; the time is that of about half as many passes as there are means.

The separate pass for the statistics follows Galerne et al. (SPST, arXiv 2212.13459), who tile an optimization.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass as plain_dataclass
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from annotated_types import Ge, Le
from pydantic import BeforeValidator
from pydantic.dataclasses import dataclass
from torch import Tensor

from impasto.config import SETTINGS
from impasto.cost import one_of_each
from impasto.images import release_pages
from impasto.networks.statistics import Measure, SpatialMean


def _chosen(side: Any) -> Any:
    """Return None for the word that stands for it."""
    return None if side == "auto" else side


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class TileSettings:
    """Large images."""

    tile: Annotated[Annotated[int, Ge(0), Le(65536)] | None, BeforeValidator(_chosen)] = None
    """Side of the tiles in pixels, which limit memory; 0 disables tiles. Default: auto, where memory requires it."""


@plain_dataclass(frozen=True)
class Tile:
    """A rectangle of an image: a core, and a border around it as wide as the receptive field needs."""

    top: int
    left: int
    bottom: int
    right: int
    core: tuple[int, int, int, int]
    """Top, left, bottom and right of the core, in pixels of the image."""

    def shapes(self) -> tuple[int, ...]:
        """Return the height and width of the tile and of its core, in pixels."""
        top, left, bottom, right = self.core
        return self.bottom - self.top, self.right - self.left, bottom - top, right - left

    def crop(self, image: Tensor) -> Tensor:
        """Return the tile of an image `(B, C, H, W)`, border included; beyond the image, its last pixels repeat."""
        piece = image[..., self.top : self.bottom, self.left : self.right]
        missing = (0, self.right - self.left - piece.shape[-1], 0, self.bottom - self.top - piece.shape[-2])
        return F.pad(piece, missing, mode="replicate") if any(missing) else piece

    def crop_core(self, features: Tensor) -> Tensor:
        """Return the core of features that were computed from the tile, at any resolution."""
        pixels = _stride(self.bottom - self.top, features.shape[-2])
        top, left, bottom, right = (each // pixels for each in self.core)
        y, x = self.top // pixels, self.left // pixels
        return features[..., top - y : bottom - y, left - x : right - x]


def split_into_tiles(shape: tuple[int, int], side: int, halo: int) -> list[Tile]:
    """Return tiles whose cores cover an image.

    Args:
        shape: height and width of the image in pixels.
        side: longest side of a core in pixels.
        halo: width of the border in pixels. All borders are at multiples of it, so it must itself be a multiple of
            the stride of the network.

    >>> [each.core for each in split_into_tiles((64, 96), 64, 16)]
    [(0, 0, 64, 64), (0, 64, 64, 96)]
    """
    height, width = shape
    side = max(halo, side // halo * halo)
    return [
        Tile(
            max(0, top - halo),
            max(0, left - halo),
            min(height, bottom + halo),
            min(width, right + halo),
            (top, left, bottom, right),
        )
        for top, bottom in _spans(height, side)
        for left, right in _spans(width, side)
    ]


def _spans(length: int, side: int) -> Iterator[tuple[int, int]]:
    for first in range(0, length, side):
        yield first, min(first + side, length)


def masked_measure(mask: Tensor | None) -> Measure:
    """Return the `Measure` of a network that runs on the whole image.

    Args:
        mask: weights of the pixels, `(1, 1, H, W)`; None: equal weights.
    """

    def measure(features: Tensor, mean: SpatialMean) -> Tensor:
        if mask is None:
            return mean(features, None)
        weights = _resize_mask(mask, features)
        return mean(features, weights) / weights.mean()

    return measure


def recording_measure(measure: Measure) -> tuple[Measure, list[Tensor]]:
    """Return a `Measure` with the values of another one, and the list that it appends them to."""
    used: list[Tensor] = []

    def record(features: Tensor, mean: SpatialMean) -> Tensor:
        used.append(measure(features, mean))
        return used[-1]

    return record, used


RunTile = Callable[[Tile, Measure], object]
"""Runs a network on one tile."""


def collect_means(run: RunTile, tiles: Sequence[Tile], mask: Tensor | None = None) -> list[Tensor]:
    """Return every mean over the whole image that a network requests, in order.

    Args:
        run: runs the network on one tile.
        tiles: the tiles of the image.
        mask: weights of the pixels, `(1, 1, H, W)`; None: equal weights.
    """
    known: list[Tensor] = []
    while True:
        total, positions, device = torch.zeros(()), 0.0, torch.device("cpu")
        for tile in one_of_each(tiles, Tile.shapes):
            try:
                run(tile, replay_means(known))
            except _UnknownMeanError as request:
                core, device = tile.crop_core(request.features), request.features.device
                weights = None if mask is None else tile.crop_core(_resize_mask(tile.crop(mask), request.features))
                count = core.shape[-2] * core.shape[-1]
                total = total + request.mean(core, weights).double().cpu() * count
                positions += count if weights is None else weights.double().sum().item()
            else:
                return known
            finally:
                release_pages()
        known.append((total / positions).float().to(device))


def replay_means(known: Sequence[Tensor]) -> Measure:
    """Return the `Measure` that answers each request with the next known mean."""
    remaining = iter(known)

    def measure(features: Tensor, mean: SpatialMean) -> Tensor:
        for statistic in remaining:
            return statistic
        raise _UnknownMeanError(features, mean)

    return measure


class _UnknownMeanError(Exception):
    """A network requests a mean that is not known yet, which ends the pass over the tile."""

    def __init__(self, features: Tensor, mean: SpatialMean) -> None:
        super().__init__()
        self.features, self.mean = features, mean


def _stride(pixels: int, positions: int) -> int:
    """Return the pixels per position along one side, a power of two; those of an incomplete position have none.

    >>> _stride(96, 12), _stride(100, 6)
    (8, 16)
    """
    return 1 << max(1, pixels // positions).bit_length() - 1


def _resize_mask(mask: Tensor, features: Tensor) -> Tensor:
    """Return the mask at the resolution of the features."""
    size = features.shape[-2], features.shape[-1]
    height, width = map(_complete, mask.shape[-2:], size)
    return F.adaptive_avg_pool2d(mask[..., :height, :width].float(), size)


def _complete(pixels: int, positions: int) -> int:
    """Return the number of pixels along one side without those of an incomplete last position."""
    stride = _stride(pixels, positions)
    return positions * stride if 0 <= pixels - positions * stride < stride else pixels

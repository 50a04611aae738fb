"""Compute statistics of the features of a large image tile by tile, with the gradient of the whole image.

A mean over positions is the weighted mean of those over the tiles, so the forward pass computes one tile after the
other without a graph. The derivative of the loss with respect to such a mean is then a constant, which the backward
pass propagates through one tile after the other; each computes its features a second time. So memory is that of one
tile, and both passes are exact: only rounding differs from an encoding of the whole image.

After Galerne et al. (SPST, arXiv 2212.13459), who crop the gradient of a tile to its core. Here the gradient starts
from the positions of the core only, and that of the whole tile, margin included, is added to the gradient of the image:
the margin then needs half the width.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from impasto.allocator import large_blocks, returned_memory
from impasto.backbones.receptive_field import ReceptiveField, margins
from impasto.cost import one_of_each
from impasto.features.tiles import OverlappingTile, overlapping_tiles
from impasto.types import Features, Image

Encode = Callable[[Image, Sequence[str]], Features]
"""Function from an image and the names of layers to their features."""


@dataclass(frozen=True, eq=False)
class LayerStatistic:
    """A function of the features of one layer, such as their Gram matrix."""

    layer: str
    """Name of the layer, or `"image"`."""
    function: Callable[..., Tensor]
    """Called with the features `(B, C, h, w)` and the maps."""
    maps: tuple[Tensor | None, ...] = ()
    """Further arguments with the height and width of the features, such as a guide."""
    is_mean: bool = False
    """Whether the function is a mean over positions. The features need not be in memory at once then."""

    def of(self, features: Features) -> Tensor:
        """Return the statistic of the features of an image."""
        return self.function(features[self.layer], *self.maps)


def tiled_statistics(
    encode: Encode, image: Image, statistics: Sequence[LayerStatistic], fields: dict[str, ReceptiveField], side: int
) -> list[Tensor]:
    """Return statistics of an image whose features are computed tile by tile.

    Args:
        encode: the network.
        image: `(B, 3, H, W)`.
        statistics: a mean is computed tile by tile too. Any other function receives the whole features, which are then
            in memory, though not those of the layers between them.
        fields: receptive field of each layer.
        side: longest mean side of the cores of the tiles, in pixels.
    """
    tiled = [each for each in statistics if each.layer != "image"]
    requests = [each if each.is_mean else LayerStatistic(each.layer, whole_features) for each in tiled]
    results = iter(_TiledStatistics.apply(image, _Plan(encode, requests, fields, side)) if requests else ())  # type: ignore[no-untyped-call]
    found = []
    for each in statistics:
        if each.layer == "image":
            found.append(each.of({"image": image}))
        else:
            found.append(next(results) if each.is_mean else each.of({each.layer: next(results)}))
    return found


def whole_features(features: Tensor) -> Tensor:
    """Return the features themselves: the function of a `LayerStatistic` for the features of a layer."""
    return features


@dataclass(frozen=True, eq=False)
class _Part:
    """A request in one tile."""

    value: Tensor
    """Mean over the core, or features of the core."""
    positions: int
    """Number of positions in the core."""
    whole: tuple[int, int]
    """Height and width of the features of the whole image."""


@dataclass(frozen=True, eq=False)
class _Plan:
    """What both passes over the tiles compute: means, and whole features."""

    encode: Encode
    requests: Sequence[LayerStatistic]
    fields: dict[str, ReceptiveField]
    side: int

    def tiles(self, image: Image) -> list[OverlappingTile]:
        """Return the tiles of an image."""
        before, after, stride = margins(self.fields[each.layer] for each in self.requests)
        shape = (image.shape[-2], image.shape[-1])
        return overlapping_tiles(shape, self.side, before=before, after=after, stride=stride)

    @large_blocks(kept=True)
    def parts(self, tile: OverlappingTile, pixels: Image, image: Image) -> list[_Part]:
        """Return every request in one tile, whose pixels are given besides the image."""
        features = self.encode(pixels, list(dict.fromkeys(each.layer for each in self.requests)))
        parts = []
        for request in self.requests:
            maps, stride = features[request.layer], self.fields[request.layer].stride
            core = tile.core(maps, stride)
            arguments = [None if each is None else tile.core_in_image(each, stride) for each in request.maps]
            whole = [maps.shape[i] + (image.shape[i] - pixels.shape[i]) // stride for i in (-2, -1)]
            parts.append(_Part(request.function(core, *arguments), core[0, 0].numel(), (whole[0], whole[1])))
        return parts


class _TiledStatistics(torch.autograd.Function):
    @staticmethod
    @returned_memory()  # freed blocks of a tile and of small loss scales, before the next large blocks are requested
    def forward(ctx: Any, image: Image, plan: _Plan) -> tuple[Tensor, ...]:
        """Return every mean, and the whole features for every other request."""
        results: list[Tensor] = []
        for tile in one_of_each(plan.tiles(image), OverlappingTile.shapes):
            for i, part in enumerate(plan.parts(tile, tile.crop(image), image)):
                request = plan.requests[i]
                if i == len(results):
                    results.append(torch.zeros_like(part.value) if request.is_mean else _blank(part))
                if request.is_mean:
                    results[i] += part.value * (part.positions / math.prod(part.whole))
                else:
                    tile.core_in_image(results[i], plan.fields[request.layer].stride).copy_(part.value)
        ctx.save_for_backward(image)
        ctx.plan = plan
        return tuple(results)

    @staticmethod
    @once_differentiable
    @returned_memory()
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """Add the gradients of all tiles, each from the positions of its core to all of its pixels."""
        (image,) = ctx.saved_tensors
        plan: _Plan = ctx.plan
        with large_blocks(kept=False):
            total = torch.zeros_like(image)
        for tile in one_of_each(plan.tiles(image), OverlappingTile.shapes):
            pixels = tile.crop(image).detach().requires_grad_()
            with torch.enable_grad():
                parts = plan.parts(tile, pixels, image)
            of_parts = []
            for request, part, gradient in zip(plan.requests, parts, gradients, strict=True):
                if request.is_mean:
                    of_parts.append(gradient * (part.positions / math.prod(part.whole)))
                else:
                    of_parts.append(tile.core_in_image(gradient, plan.fields[request.layer].stride))
            tile.crop(total).add_(*torch.autograd.grad([part.value for part in parts], pixels, of_parts))
        return total, None


def _blank(part: _Part) -> Tensor:
    """Return unset features of the whole image."""
    shape = (*part.value.shape[:2], *part.whole)
    return torch.empty(shape, dtype=part.value.dtype, device=part.value.device, memory_format=torch.channels_last)

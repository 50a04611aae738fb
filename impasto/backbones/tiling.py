"""Compute statistics of the features of a large image tile by tile, with the gradient of the whole image.

A mean over positions is the weighted mean of those over the tiles, so the forward pass computes one tile after the
other without a graph. The derivative of the loss with respect to such a mean is then a constant, which the backward
pass propagates through one tile after the other; each computes its features a second time. So memory is that of one
tile, and both passes are exact: only rounding differs from an encoding of the whole image.

After Galerne et al. (SPST, arXiv 2212.13459), who crop the gradient of a tile to its core. Here the gradient starts
from the positions of the core only, and that of the whole tile, margin included, is added to the gradient of the image:
the margin then needs half the width.

A tile is computed from its own pixels and maps alone. So worker processes may compute tiles, and the sums are the same,
because they are added in the order of the tiles.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from impasto.allocator import large_blocks, return_freed_memory, returned_memory
from impasto.backbones.receptive_field import ReceptiveField, margins
from impasto.cost import one_of_each
from impasto.features.tiles import OverlappingTile, overlapping_tiles
from impasto.types import Features, Image

Encode = Callable[[Image, Sequence[str]], Features]
"""Function from an image and the names of layers to their features."""
ComputeTiles = Callable[[Iterable["TileTask"]], Iterator[Any]]
"""Carries out tasks, and yields their results in the order of the tasks."""


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


@dataclass(frozen=True, eq=False)
class TileRequest:
    """A request in one tile."""

    layer: str
    function: Callable[..., Tensor]
    """That of the `LayerStatistic`."""
    maps: tuple[Tensor | None, ...]
    """Its further arguments, with the positions of the core only."""
    core: tuple[slice, slice]
    """Rows and columns of the core in the features of the tile."""

    def of(self, features: Features) -> TileValue:
        """Return the value for the features of a tile."""
        maps = features[self.layer]
        core = maps[(..., *self.core)]
        return TileValue(self.function(core, *self.maps), core[0, 0].numel(), (maps.shape[-2], maps.shape[-1]))


@dataclass(frozen=True, eq=False)
class TileValue:
    """The value of a request in one tile."""

    value: Tensor
    """Mean over the core, or features of the core."""
    positions: int
    """Number of positions in the core."""
    shape: tuple[int, int]
    """Height and width of the features of the tile."""


@dataclass(frozen=True, eq=False)
class TileTask:
    """The computation of one tile: its values, or the gradient of its pixels."""

    pixels: Image
    """The tile, margin included."""
    requests: Sequence[TileRequest]
    gradients: Sequence[Tensor] | None = None
    """Derivative of the loss with respect to each value; None: compute the values."""

    @large_blocks(kept=True)
    def carry_out(self, encode: Encode) -> list[TileValue] | Image:
        """Return the value of each request, or the gradient of the loss with respect to the pixels of the tile."""
        if self.gradients is None:
            with torch.no_grad():
                return self._values(encode, self.pixels)
        pixels = self.pixels.detach().requires_grad_()
        with torch.enable_grad():
            values = [each.value for each in self._values(encode, pixels)]
        (gradient,) = torch.autograd.grad(values, pixels, list(self.gradients))
        return gradient

    def to(self, device: torch.device, *, copy: bool = False) -> TileTask:
        """Return the task with tensors on a device.

        Args:
            device: the device.
            copy: copy each tensor: pickled, a part of a map takes the memory of the whole map.
        """
        requests = [
            replace(each, maps=tuple(None if map_ is None else map_.to(device, copy=copy) for map_ in each.maps))
            for each in self.requests
        ]
        gradients = None if self.gradients is None else [each.to(device, copy=copy) for each in self.gradients]
        return TileTask(self.pixels.to(device, copy=copy), requests, gradients)

    def _values(self, encode: Encode, pixels: Image) -> list[TileValue]:
        features = encode(pixels, list(dict.fromkeys(each.layer for each in self.requests)))
        return [each.of(features) for each in self.requests]


def tiled_statistics(
    compute: ComputeTiles,
    image: Image,
    statistics: Sequence[LayerStatistic],
    fields: dict[str, ReceptiveField],
    side: int,
) -> list[Tensor]:
    """Return statistics of an image whose features are computed tile by tile.

    Args:
        compute: carries out the computation of the tiles with the network.
        image: `(B, 3, H, W)`.
        statistics: a mean is computed tile by tile too. Any other function receives the whole features, which are then
            in memory, though not those of the layers between them.
        fields: receptive field of each layer.
        side: longest mean side of the cores of the tiles, in pixels.
    """
    tiled = [each for each in statistics if each.layer != "image"]
    requests = [each if each.is_mean else LayerStatistic(each.layer, whole_features) for each in tiled]
    results = iter(_TiledStatistics.apply(image, _Plan(compute, requests, fields, side)) if requests else ())  # type: ignore[no-untyped-call]
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
class _Plan:
    """What both passes over the tiles compute: means, and whole features."""

    compute: ComputeTiles
    requests: Sequence[LayerStatistic]
    fields: dict[str, ReceptiveField]
    side: int

    def tiles(self, image: Image) -> Iterator[OverlappingTile]:
        """Return the tiles of an image."""
        before, after, stride = margins(self.fields[each.layer] for each in self.requests)
        shape = (image.shape[-2], image.shape[-1])
        tiles = overlapping_tiles(shape, self.side, before=before, after=after, stride=stride)
        return one_of_each(tiles, OverlappingTile.shapes)

    def results(
        self, image: Image, gradients: Callable[[OverlappingTile], Sequence[Tensor]] | None = None
    ) -> Iterator[tuple[OverlappingTile, Any]]:
        """Yield each tile with what is computed of it; a task is made when there is a process for it.

        Args:
            image: the whole image.
            gradients: returns those of the task of a tile; None: compute the values.
        """
        done: deque[OverlappingTile] = deque()

        def tasks() -> Iterator[TileTask]:
            for tile in self.tiles(image):
                done.append(tile)
                yield self._task(tile, image, None if gradients is None else gradients(tile))

        for result in self.compute(tasks()):
            yield done.popleft(), result

    def _task(self, tile: OverlappingTile, image: Image, gradients: Sequence[Tensor] | None) -> TileTask:
        """Return a task with its parts of the image and of the maps, which are not copied."""
        requests = []
        for each in self.requests:
            stride = self.fields[each.layer].stride
            maps = [None if map_ is None else tile.core_in_image(map_, stride) for map_ in each.maps]
            core = (tile.rows.core(stride), tile.columns.core(stride))
            requests.append(TileRequest(each.layer, each.function, tuple(maps), core))
        return TileTask(tile.crop(image).detach(), requests, gradients)

    def whole(self, value: TileValue, tile: OverlappingTile, request: LayerStatistic, image: Image) -> tuple[int, int]:
        """Return the height and width of the features of the whole image."""
        stride, (rows, columns) = self.fields[request.layer].stride, value.shape
        height, width = tile.shapes()[:2]
        return rows + (image.shape[-2] - height) // stride, columns + (image.shape[-1] - width) // stride


class _TiledStatistics(torch.autograd.Function):
    @staticmethod
    @returned_memory()  # freed blocks of a tile, before the next large blocks are requested
    def forward(ctx: Any, image: Image, plan: _Plan) -> tuple[Tensor, ...]:
        """Return every mean, and the whole features for every other request."""
        return_freed_memory()  # blocks of small loss scales are too small for a tile: 10 % of the peak memory
        results: list[Tensor] = []
        ctx.fractions = {}  # of the positions of the image that are in the core of a tile
        for tile, values in plan.results(image):
            ctx.fractions[tile] = []
            for i, (request, found) in enumerate(zip(plan.requests, values, strict=True)):
                whole = plan.whole(found, tile, request, image)
                ctx.fractions[tile].append(found.positions / math.prod(whole))
                value = found.value.to(image.device)
                if i == len(results):
                    results.append(torch.zeros_like(value) if request.is_mean else _blank(value, whole))
                if request.is_mean:
                    results[i] += value * ctx.fractions[tile][i]
                else:
                    tile.core_in_image(results[i], plan.fields[request.layer].stride).copy_(value)
        ctx.save_for_backward(image)
        ctx.plan = plan
        return tuple(results)

    @staticmethod
    @once_differentiable
    @returned_memory()
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """Add the gradients of all tiles, each from the positions of its core to all of its pixels."""
        return_freed_memory()
        (image,) = ctx.saved_tensors
        plan: _Plan = ctx.plan

        def of_values(tile: OverlappingTile) -> list[Tensor]:
            found = []
            for request, fraction, gradient in zip(plan.requests, ctx.fractions[tile], gradients, strict=True):
                if request.is_mean:
                    found.append(gradient * fraction)
                else:
                    found.append(tile.core_in_image(gradient, plan.fields[request.layer].stride))
            return found

        with large_blocks(kept=False):
            total = torch.zeros_like(image)
        for tile, gradient in plan.results(image, of_values):
            tile.crop(total).add_(gradient.to(image.device))
        return total, None


def _blank(value: Tensor, shape: tuple[int, int]) -> Tensor:
    """Return unset features of the whole image."""
    return torch.empty(
        (*value.shape[:2], *shape), dtype=value.dtype, device=value.device, memory_format=torch.channels_last
    )

"""Hypercolumns, the styles' vectors, and the distance of a picture to those that are nearest to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.backbones import Backbone
from impasto.objectives.nearest import nearest
from impasto.regions.subject import Region, Style
from impasto.types import Image

CELL = 4
"""Side of a place of the hypercolumns, in pixels."""


@dataclass(frozen=True)
class Columns:
    """The features of several layers at the same places."""

    backbone: Backbone
    layers: tuple[str, ...]
    dtype: torch.dtype
    """Of the products that compare them."""

    def of(self, image: Image) -> list[Tensor]:
        """Places first: float32 `(N, C)` a layer, N = rows x columns."""
        shape = places(image)
        features = self.backbone.encode(image, self.layers)
        return [_resized(features[layer].float(), shape)[0].flatten(1).T for layer in self.layers]

    def of_style(self, style: Style, *, turns: int, most: int, seed: int) -> list[Tensor]:
        """Those of a style and of its quarter turns, `(M, C)` a layer; at most `most` of them, drawn by the seed."""
        parts: list[list[Tensor]] = []
        for turn in range(turns):
            image = torch.rot90(style.image, turn, (2, 3))
            found = self.of(image)
            if style.mask is not None:
                kept = counted(torch.rot90(style.mask, turn, (2, 3)), places(image))
                found = [layer[kept] for layer in found]
            parts.append(found)
        joined = [torch.cat(layer) for layer in zip(*parts, strict=True)]
        count = len(joined[0])
        if most and count > most:
            drawn = torch.randperm(count, generator=torch.Generator().manual_seed(seed))[:most].to(joined[0].device)
            joined = [layer[drawn] for layer in joined]
        return joined


def places(image: Image) -> tuple[int, int]:
    """Rows and columns of the hypercolumns of a picture `(1, 3, H, W)`."""
    return -(-image.shape[-2] // CELL), -(-image.shape[-1] // CELL)


def _resized(features: Tensor, shape: tuple[int, int]) -> Tensor:
    """Means where a map is larger than `shape`, bilinear where it is smaller."""
    height, width = features.shape[-2:]
    features = F.adaptive_avg_pool2d(features, (min(height, shape[0]), min(width, shape[1])))
    return F.interpolate(features, size=shape, mode="bilinear", align_corners=False)


def counted(mask: Tensor, shape: tuple[int, int]) -> Tensor:
    """Which places lie in a mask `(1, 1, H, W)`: at least half, or else those that do most; `(N,)`."""
    coverage = F.adaptive_avg_pool2d(mask, shape).flatten()
    return coverage >= min(0.5, coverage.max().item())


@dataclass(frozen=True)
class Part:
    """A region at one size."""

    name: str
    weight: float
    where: Tensor | None
    """Which places it has, `(N,)`; None means all."""
    vectors: list[list[Tensor]]
    """Of each style, of each layer `(M, C)`."""
    shares: list[float]
    scales: list[Tensor]
    """For every layer the factor that brings the mean square length of its style vectors to 1."""

    @classmethod
    @torch.no_grad()
    def of(cls, columns: Columns, region: Region, content: Image, *, turns: int, most: int, seed: int) -> Part:
        where = None if region.mask is None else counted(region.mask, places(content))
        vectors = [columns.of_style(style, turns=turns, most=most, seed=seed) for style in region.styles]
        layers = [torch.cat(layer) for layer in zip(*vectors, strict=True)]
        scales = [layer.square().sum(1).mean().clamp_min(1e-12).rsqrt() for layer in layers]
        shares = [style.weight for style in region.styles]
        return cls(region.name, region.strength * region.area, where, vectors, shares, scales)

    def own(self, layers: Sequence[Tensor]) -> list[Tensor]:
        """What of the picture's vectors `(N, C)` lies in the region."""
        return list(layers) if self.where is None else [layer[self.where] for layer in layers]


class MatchedOnce:
    """Distance to the vectors that were nearest when the first picture was shown: one hypercolumn a place.

    Args:
        alpha: part of the content in what is matched; the rest is the first picture.
        kept: part of the content's own vectors in what is aimed at; the rest are the nearest ones.
    """

    def __init__(self, columns: Columns, parts: list[Part], content: Image, alpha: float, kept: float = 0) -> None:
        self._columns, self._parts, self._kept = columns, parts, kept
        self._content, self._alpha = content, alpha
        self._targets: list[Tensor] = []

    def __call__(self, image: Image) -> dict[str, Tensor]:
        if not self._targets:
            self._targets = self._find(image.detach())
        layers = self._columns.of(image)
        losses = {}
        for part, target in zip(self._parts, self._targets, strict=True):
            now = _joined(part.own(layers), part.scales)
            losses[f"style/{part.name or 'columns'}"] = part.weight * _distance(now, target)
        return losses

    @torch.no_grad()
    def _find(self, image: Image) -> list[Tensor]:
        """The nearest vectors of a mixture of the content with the first picture."""
        mixture = self._alpha * self._content + (1 - self._alpha) * image
        layers, content = self._columns.of(mixture), self._columns.of(self._content)
        targets = []
        for part in self._parts:
            styles = [_joined(style, part.scales) for style in part.vectors]
            found = nearest(_joined(part.own(layers), part.scales), styles, part.shares, self._columns.dtype)
            targets.append(found.lerp(_joined(part.own(content), part.scales), self._kept))
        return targets


class MatchedEver:
    """Distance of every layer to the nearest vectors of the picture as it is now, each layer for itself.

    Args:
        kept: part of the content's own vectors in what is aimed at.
    """

    def __init__(self, columns: Columns, parts: list[Part], content: Image, kept: float = 0) -> None:
        self._columns, self._parts, self._kept = columns, parts, kept
        with torch.no_grad():
            self._content = columns.of(content)

    def __call__(self, image: Image) -> dict[str, Tensor]:
        found = self._columns.of(image)
        losses = {}
        for part in self._parts:
            content = part.own(self._content)
            for i, (name, now) in enumerate(zip(self._columns.layers, part.own(found), strict=True)):
                with torch.no_grad():
                    target = nearest(now, [style[i] for style in part.vectors], part.shares, self._columns.dtype)
                    target = target.lerp(content[i], self._kept)
                suffix = f"/{part.name}" if part.name else ""
                losses[f"style/{name}{suffix}"] = part.weight / len(self._columns.layers) * _distance(now, target)
        return losses


def _joined(layers: Sequence[Tensor], scales: Sequence[Tensor]) -> Tensor:
    """One vector a place, `(N, sum of C)`, of layers that count alike."""
    return torch.cat([layer * scale for layer, scale in zip(layers, scales, strict=True)], 1)


def _distance(now: Tensor, target: Tensor) -> Tensor:
    """Mean cosine distance, in percent."""
    return 100 * (1 - F.cosine_similarity(now, target, dim=1)).mean()

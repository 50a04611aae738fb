"""Match every feature vector of an image with its nearest neighbor among those of the styles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.backbones import Backbone
from impasto.features.borders import BORDER, mirror
from impasto.regions.subject import Region, Style
from impasto.types import Image

CELL = 4
"""Distance between two positions of the feature vectors, in pixels."""
CHUNK = 2**23
"""Number of similarities in memory at a time: 32 MiB in fp32."""


@dataclass(frozen=True)
class FeatureVectors:
    """The features of several layers at the same positions, one per cell of 4x4 pixels."""

    backbone: Backbone
    layers: tuple[str, ...]
    dtype: torch.dtype
    """Type of the products that compare vectors."""

    def of(self, image: Image) -> list[Tensor]:
        """Return the vectors of an image: float32 `(N, C)` per layer, N = rows x columns."""
        border = min(BORDER, (min(image.shape[-2:]) - 1) // CELL * CELL)
        mirrored, (rows, columns), first = mirror(image, border), grid_shape(image), border // CELL
        features = self.backbone.encode(mirrored, self.layers)
        grids = (_resized(features[layer].float(), grid_shape(mirrored))[0] for layer in self.layers)
        return [grid[:, first : first + rows, first : first + columns].flatten(1).T for grid in grids]

    def of_style(self, style: Style, *, rotations: int, limit: int, seed: int) -> list[Tensor]:
        """Return the vectors of a style and of its quarter turns, `(M, C)` per layer.

        Args:
            style: style image and its mask.
            rotations: number of rotations, by 0, 90, 180 and 270 degrees.
            limit: maximum number of vectors, drawn by `seed`; 0 returns all.
            seed: seed of the random choice.
        """
        parts: list[list[Tensor]] = []
        for turn in range(rotations):
            image = torch.rot90(style.image, turn, (2, 3))
            vectors = self.of(image)
            if style.mask is not None:
                inside = covered_positions(torch.rot90(style.mask, turn, (2, 3)), grid_shape(image))
                vectors = [layer[inside] for layer in vectors]
            parts.append(vectors)
        joined = [torch.cat(layer) for layer in zip(*parts, strict=True)]
        count = len(joined[0])
        if limit and count > limit:
            drawn = torch.randperm(count, generator=torch.Generator().manual_seed(seed))[:limit].to(joined[0].device)
            joined = [layer[drawn] for layer in joined]
        return joined


def grid_shape(image: Image) -> tuple[int, int]:
    """Return the rows and columns of the feature vectors of an image `(1, 3, H, W)`."""
    return -(-image.shape[-2] // CELL), -(-image.shape[-1] // CELL)


def _resized(features: Tensor, shape: tuple[int, int]) -> Tensor:
    """Return a feature map at `shape`: averaged where it is larger, interpolated where it is smaller."""
    height, width = features.shape[-2:]
    features = F.adaptive_avg_pool2d(features, (min(height, shape[0]), min(width, shape[1])))
    return F.interpolate(features, size=shape, mode="bilinear", align_corners=False)


def covered_positions(mask: Tensor, shape: tuple[int, int]) -> Tensor:
    """Return which positions a mask `(1, 1, H, W)` covers at least by half, or most where none is; bool `(N,)`."""
    coverage = F.adaptive_avg_pool2d(mask, shape).flatten()
    return coverage >= min(0.5, coverage.max().item())


@dataclass(frozen=True, eq=False)
class RegionVectors:
    """A region at one size, with the feature vectors of its styles."""

    name: str
    weight: float
    inside: Tensor | None
    """Positions of the region, bool `(N,)`; None for all."""
    vectors: list[list[Tensor]]
    """Vectors of each style: `(M, C)` per layer."""
    mix: list[float]
    """Weights of the styles; they sum to 1."""
    scales: list[Tensor]
    """Factor per layer that gives its style vectors a mean square norm of 1."""

    @classmethod
    @torch.no_grad()
    def of(
        cls, features: FeatureVectors, region: Region, content: Image, *, rotations: int, limit: int, seed: int
    ) -> RegionVectors:
        """Return the vectors of a region of the content image; the other arguments are those of `of_style`."""
        support = region.support
        inside = None if support is None else covered_positions(support, grid_shape(content))
        vectors = [features.of_style(style, rotations=rotations, limit=limit, seed=seed) for style in region.styles]
        layers = [torch.cat(layer) for layer in zip(*vectors, strict=True)]
        scales = [layer.square().sum(1).mean().clamp_min(1e-12).rsqrt() for layer in layers]
        mix = [style.weight for style in region.styles]
        return cls(region.name, region.strength * region.area, inside, vectors, mix, scales)

    def select(self, layers: Sequence[Tensor]) -> list[Tensor]:
        """Return the vectors of the image `(N, C)` that are in the region."""
        return list(layers) if self.inside is None else [layer[self.inside] for layer in layers]

    def join(self, layers: Sequence[Tensor]) -> Tensor:
        """Return one vector per position, `(N, sum of C)`, in which every layer has the same weight."""
        return torch.cat([layer * scale for layer, scale in zip(layers, self.scales, strict=True)], 1)


@torch.no_grad()
def fixed_targets(
    features: FeatureVectors, regions: Sequence[RegionVectors], content: Image, source: Image, content_fraction: float
) -> list[Tensor]:
    """Return the target vectors of each region, `(N, sum of C)`, for `FixedTargetObjective`.

    Args:
        features: layers and loss network.
        regions: regions and their style vectors.
        content: content image at the size of the image that is optimized.
        source: image whose nearest style vectors are the targets.
        content_fraction: fraction of the content's own vectors in the targets.
    """
    layers, of_content = features.of(source), features.of(content)
    targets = []
    for region in regions:
        styles = [region.join(style) for style in region.vectors]
        found = nearest_vectors(region.join(region.select(layers)), styles, region.mix, features.dtype)
        targets.append(found.lerp(region.join(region.select(of_content)), content_fraction))
    return targets


class FixedTargetObjective:
    """The distance of joined feature vectors to fixed targets.

    Args:
        features: layers and loss network.
        regions: regions and their style vectors.
        targets: target vectors of each region, `(N, sum of C)`.
    """

    def __init__(self, features: FeatureVectors, regions: Sequence[RegionVectors], targets: Sequence[Tensor]) -> None:
        self._features, self._regions, self._targets = features, regions, targets

    def __call__(self, image: Image) -> dict[str, Tensor]:
        """Return the weighted distance of every region for an image `(1, 3, H, W)`."""
        layers = self._features.of(image)
        losses = {}
        for region, target in zip(self._regions, self._targets, strict=True):
            own = region.join(region.select(layers))
            losses[f"style/{region.name or 'columns'}"] = region.weight * _cosine_distance(own, target)
        return losses


class NearestVectorObjective:
    """The distance of every layer to the nearest vectors of the styles, which each evaluation finds again.

    Args:
        features: layers and loss network.
        regions: regions and their style vectors.
        content: content image at the size of the image that is optimized.
        content_fraction: fraction of the content's own vectors in the targets.
    """

    def __init__(
        self,
        features: FeatureVectors,
        regions: Sequence[RegionVectors],
        content: Image,
        content_fraction: float = 0,
    ) -> None:
        self._features, self._regions, self._content_fraction = features, regions, content_fraction
        with torch.no_grad():
            self._content = features.of(content)

    def __call__(self, image: Image) -> dict[str, Tensor]:
        """Return the weighted distance of every layer of every region for an image `(1, 3, H, W)`."""
        layers = self._features.of(image)
        losses = {}
        for region in self._regions:
            for i, own in enumerate(region.select(layers)):
                suffix = f"/{region.name}" if region.name else ""
                weight = region.weight / len(layers)
                losses[f"style/{self._features.layers[i]}{suffix}"] = weight * _cosine_distance(
                    own, self._target(region, i, own)
                )
        return losses

    @torch.no_grad()
    def _target(self, region: RegionVectors, layer: int, own: Tensor) -> Tensor:
        styles = [style[layer] for style in region.vectors]
        found = nearest_vectors(own, styles, region.mix, self._features.dtype)
        return found.lerp(region.select(self._content)[layer], self._content_fraction)


def nearest_vectors(queries: Tensor, styles: Sequence[Tensor], mix: Sequence[float], dtype: torch.dtype) -> Tensor:
    """Return the nearest style vector of each of `queries` `(N, D)`: `(N, D)`.

    Nearest means the largest cosine similarity after the mean of either side is subtracted (Kolkin et al. 2022).

    Args:
        queries: vectors of the image.
        styles: vectors of each style, `(M, D)`.
        mix: fraction of the queries that each style serves; the queries that prefer a style most get it first.
        dtype: type of the products.
    """
    found = [_most_similar(_directions(queries), _directions(each), dtype) for each in styles]
    chosen = _assign_styles(torch.stack([similarity for similarity, _ in found]), mix)
    result = torch.empty_like(queries)
    for i, (each, (_, index)) in enumerate(zip(styles, found, strict=True)):
        served = chosen == i
        result[served] = each[index[served]]
    return result


def _directions(vectors: Tensor) -> Tensor:
    return F.normalize(vectors - vectors.mean(0), dim=1)


def _most_similar(queries: Tensor, vectors: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return the largest similarity of each query and the index of that vector, computed in chunks."""
    others = vectors.to(dtype).T
    rows = max(1, CHUNK // len(vectors))
    found = [(chunk.to(dtype) @ others).max(1) for chunk in torch.split(queries, rows)]
    return torch.cat([each.values.float() for each in found]), torch.cat([each.indices for each in found])


def _assign_styles(similarities: Tensor, mix: Sequence[float]) -> Tensor:
    """Return the style of each query, from its similarities `(styles, N)`, so that every style gets its fraction."""
    count = similarities.shape[1]
    chosen = torch.full((count,), len(mix) - 1, device=similarities.device)
    free = torch.ones(count, dtype=torch.bool, device=similarities.device)
    left = 1.0
    for i, weight in enumerate(mix[:-1]):
        served = round(weight / left * int(free.sum())) if left > 0 else 0
        preference = similarities[i] - similarities[i + 1 :].amax(0)
        taken = preference.masked_fill(~free, -torch.inf).topk(served).indices
        chosen[taken], free[taken] = i, False
        left -= weight
    return chosen


def _cosine_distance(own: Tensor, target: Tensor) -> Tensor:
    """Return the mean cosine distance, in percent."""
    return 100 * (1 - F.cosine_similarity(own, target, dim=1)).mean()

"""Match the distribution of small patches of pixels along random projections: the objective of GPDM."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.features.borders import mirror
from impasto.features.sorting import sorted_values, sorting_indices
from impasto.regions.subject import Region, Style, Subject
from impasto.types import Image

LEVELS = 255
"""Unit of the losses: steps of 8-bit color."""
SEED_STEP = 7919
"""Difference between the seeds of two successive steps."""


@dataclass(frozen=True)
class PatchProjections:
    """Projections of all patches of an image onto random directions."""

    size: int
    """Side of the patches, in pixels."""
    count: int
    """Number of directions."""
    stride: int
    """Distance between two patches of the style, in pixels. All patches of the image are used: smooth areas become
    rough otherwise."""
    dtype: torch.dtype
    """Type of the products."""

    def directions(self, seed: int) -> Tensor:
        """Return random unit filters `(count, 3, size, size)`, float32 on the CPU: the same on every device."""
        generator = torch.Generator().manual_seed(seed)
        filters = torch.randn(self.count, 3, self.size, self.size, generator=generator)
        return filters / filters.square().sum((1, 2, 3), keepdim=True).sqrt()

    def project(self, image: Image, directions: Tensor, mask: Tensor | None, stride: int = 1, seed: int = 0) -> Tensor:
        """Return the products of the directions and the patches of `image` in `mask`, float32 `(count, N)`.

        The image is mirrored by half a patch: pixels at its border would be in few patches and keep their colors.
        """
        border = min(self.size // 2, min(image.shape[-2:]) - 1)
        image, mask = mirror(image, border), None if mask is None else mirror(mask, border)
        image = self._shifted(image, stride, seed).to(self.dtype)
        products = F.conv2d(image, directions.to(image), stride=stride)[0].flatten(1).float()
        return products if mask is None else products[:, self._inside(self._shifted(mask, stride, seed), stride)]

    def _shifted(self, image: Tensor, stride: int, seed: int) -> Tensor:
        """Return `image` `(1, C, H, W)` from a random pixel of the first stride on, at least one patch in size."""
        rows, columns = torch.randint(stride, (2,), generator=torch.Generator().manual_seed(seed)).tolist()
        height, width = image.shape[-2:]
        image = image[..., min(rows, max(height - self.size, 0)) :, min(columns, max(width - self.size, 0)) :]
        missing = [max(self.size - side, 0) for side in image.shape[-2:]]
        return F.pad(image, (0, missing[1], 0, missing[0]), mode="replicate") if any(missing) else image

    def _inside(self, mask: Tensor, stride: int) -> Tensor:
        """Return which patches are completely in the mask, `(N,)`; where none is, those with the largest coverage."""
        least = -F.max_pool2d(-mask, self.size, stride=stride).flatten()
        inside = least > 0.5
        if inside.any():
            return inside
        coverage = F.avg_pool2d(mask, self.size, stride=stride).flatten()
        return coverage >= coverage.max()


class PatchObjective:
    """The distance between the patches of an image and those of its styles, along other directions at every step.

    The mean distance of sorted projections over the directions is the sliced Wasserstein distance (Rabin et al. 2011).
    Each of several styles provides its fraction of the patches.

    Args:
        projections: size and number of the patches and directions.
        subject: content, styles and masks at the size of the image, on the device.
        seed: seed of the directions of the first evaluation.
    """

    def __init__(self, projections: PatchProjections, subject: Subject, seed: int) -> None:
        self._projections, self._subject, self._seed = projections, subject, seed

    def at_step(self, step: int) -> PatchObjective:
        """Return the objective of a step: its directions depend on the seed and the step alone."""
        return PatchObjective(self._projections, self._subject, (self._seed + SEED_STEP * step) % 2**63)

    def __call__(self, image: Image) -> dict[str, Tensor]:
        """Return the weighted distance of every region, in steps of 8-bit color, for an image `(1, 3, H, W)`."""
        directions = self._projections.directions(self._seed)
        losses = {}
        for region in self._subject.regions:
            distance = self._distance(image, directions, region)
            losses[f"style/{region.name or 'patches'}"] = LEVELS * region.strength * region.area * distance
        return losses

    def _distance(self, image: Image, directions: Tensor, region: Region) -> Tensor:
        projected = self._projections.project(image, directions, region.support)
        with torch.no_grad():
            order = sorting_indices(projected)
            target = self._target(directions, region.styles, order.shape[1])
            # Target of each projection: the target values in the order of the projections.
            goal = torch.empty_like(target).scatter_(1, order, target)
        return (projected - goal).abs().mean()

    def _target(self, directions: Tensor, styles: tuple[Style, ...], count: int) -> Tensor:
        """Return `count` sorted projections of the styles, `(directions, count)`, each style's fraction of them."""
        stride = self._projections.stride
        counts = _divided(count, [style.weight for style in styles])
        parts = [
            _quantiles(
                sorted_values(self._projections.project(style.image, directions, style.mask, stride, self._seed)), part
            )
            for style, part in zip(styles, counts, strict=True)
            if part
        ]
        return parts[0] if len(parts) == 1 else sorted_values(torch.cat(parts, 1))


def _divided(count: int, weights: list[float]) -> list[int]:
    """Return whole numbers in the proportions of `weights` that sum to `count`."""
    ends = [round(count * sum(weights[: i + 1]) / sum(weights)) for i in range(len(weights))]
    return [end - begin for begin, end in zip([0, *ends], ends, strict=False)]


def _quantiles(ordered: Tensor, count: int) -> Tensor:
    """Return `count` evenly spaced quantiles of sorted values `(K, N)`."""
    return F.interpolate(ordered[None], size=count, mode="linear")[0]

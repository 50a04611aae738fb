"""The distribution of small patches, seen along random directions; what brings two of them together."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.features.sorting import sorted_values, sorting_indices
from impasto.regions.subject import Region, Style, Subject
from impasto.types import Image

LEVELS = 255
"""The unit of the losses: steps of 8-bit color."""


@dataclass(frozen=True)
class Patches:
    """Which patches are looked at, and along which directions."""

    side: int
    """In pixels."""
    count: int
    """Number of directions."""
    stride: int
    """From patch to patch of the style, in pixels; of the picture all are taken, or flat places would turn rough."""
    dtype: torch.dtype
    """Of the products."""

    def filters(self, seed: int) -> Tensor:
        """Random unit filters `(count, 3, side, side)`, float32 on the CPU: the same on every device."""
        generator = torch.Generator().manual_seed(seed)
        filters = torch.randn(self.count, 3, self.side, self.side, generator=generator)
        return filters / filters.square().sum((1, 2, 3), keepdim=True).sqrt()

    def offset(self, image: Tensor, stride: int, seed: int) -> Tensor:
        """`image` `(1, C, H, W)` from a random place of the first stride on, at least one patch high and wide."""
        rows, columns = torch.randint(stride, (2,), generator=torch.Generator().manual_seed(seed)).tolist()
        height, width = image.shape[-2:]
        image = image[..., min(rows, max(height - self.side, 0)) :, min(columns, max(width - self.side, 0)) :]
        lacking = [max(self.side - side, 0) for side in image.shape[-2:]]
        return F.pad(image, (0, lacking[1], 0, lacking[0]), mode="replicate") if any(lacking) else image

    def responses(self, image: Image, filters: Tensor, mask: Tensor | None, stride: int = 1, seed: int = 0) -> Tensor:
        """Products of the filters with the patches of `image` that lie in `mask`, float32 `(count, N)`."""
        image = self.offset(image, stride, seed).to(self.dtype)
        products = F.conv2d(image, filters.to(image), stride=stride)[0].flatten(1).float()
        return products if mask is None else products[:, self._inside(self.offset(mask, stride, seed), stride)]

    def _inside(self, mask: Tensor, stride: int) -> Tensor:
        """Which patches lie in the mask from edge to edge, `(N,)`; where none does, those that do most."""
        least = -F.max_pool2d(-mask, self.side, stride=stride).flatten()
        inside = least > 0.5
        if inside.any():
            return inside
        coverage = F.avg_pool2d(mask, self.side, stride=stride).flatten()
        return coverage >= coverage.max()


class PatchObjective:
    """Distance between the patches of a picture and those of its styles: at every step along other directions.

    The mean distance of sorted responses is, over the directions, the sliced Wasserstein distance (Rabin et al. 2011).
    Of several styles each gives its share of the patches.
    """

    def __init__(self, patches: Patches, subject: Subject, seed: int) -> None:
        self._patches, self._subject, self._seed = patches, subject, seed

    def at_step(self, step: int) -> PatchObjective:
        """The objective of another step: its directions follow from the seed and the step alone."""
        return PatchObjective(self._patches, self._subject, (self._seed + 7919 * step) % 2**63)

    def __call__(self, image: Image) -> dict[str, Tensor]:
        """Weighted distance of every region, in steps of 8-bit color, for an image `(1, 3, H, W)`."""
        filters = self._patches.filters(self._seed)
        losses = {}
        for region in self._subject.regions:
            distance = self._distance(image, filters, region)
            losses[f"style/{region.name or 'patches'}"] = LEVELS * region.strength * region.area * distance
        return losses

    def _distance(self, image: Image, filters: Tensor, region: Region) -> Tensor:
        responses = self._patches.responses(image, filters, region.mask)
        with torch.no_grad():
            places = sorting_indices(responses)
            target = self._target(filters, region.styles, places.shape[1])
            # Where each response should lie: the target's values in the order of the responses.
            goal = torch.empty_like(target).scatter_(1, places, target)
        return (responses - goal).abs().mean()

    def _target(self, filters: Tensor, styles: tuple[Style, ...], count: int) -> Tensor:
        """Sorted responses of the styles, `(filters, count)`, each style's share of them."""
        stride = self._patches.stride
        shares = _shared(count, [style.weight for style in styles])
        parts = [
            _spread(sorted_values(self._patches.responses(style.image, filters, style.mask, stride, self._seed)), share)
            for style, share in zip(styles, shares, strict=True)
            if share
        ]
        return parts[0] if len(parts) == 1 else sorted_values(torch.cat(parts, 1))


def _shared(count: int, shares: list[float]) -> list[int]:
    """Whole numbers in the proportions of `shares`, which sum to `count`."""
    ends = [round(count * sum(shares[: i + 1]) / sum(shares)) for i in range(len(shares))]
    return [end - begin for begin, end in zip([0, *ends], ends, strict=False)]


def _spread(ordered: Tensor, count: int) -> Tensor:
    """`count` quantiles of sorted values `(K, N)`, evenly spread."""
    return F.interpolate(ordered[None], size=count, mode="linear")[0]

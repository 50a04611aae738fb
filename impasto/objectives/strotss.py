"""Move hypercolumns to those of the style and keep self-similarity: the objective of STROTSS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from impasto.backbones import Backbone
from impasto.features.borders import BORDER, mirror
from impasto.features.hypercolumns import draw_positions, hypercolumns
from impasto.features.moments import both_moments, covariance
from impasto.losses.relaxed_earth_mover import RelaxedEarthMoverLoss
from impasto.losses.self_similarity import SelfSimilarityLoss
from impasto.optim.descent import LossFunction
from impasto.regions.subject import Region, Subject
from impasto.types import Features, Image

SELF_SIMILARITY, EARTH_MOVER = SelfSimilarityLoss(), RelaxedEarthMoverLoss()
MOMENTS = 10.0
"""Weight of the moment loss; 1 in the paper, whose features are larger."""
PLAIN = 0.02
"""Mean cosine distance of the positions of a content image below which its content weight decreases: photographs have
0.04 (a sky) to 0.5. The self-similarity of a uniform image is the noise of its features, which nothing may change."""
SEED_STEP = 104_729
"""Difference between the seeds of two successive samples of positions."""
TINY = 1e-8  # keeps the distance of equal colors differentiable


@dataclass(frozen=True, eq=False)
class RegionTargets:
    """A region at one sample of positions, with the statistics that it is to have."""

    region: Region
    positions: Tensor  # (N, 2)
    content: Tensor  # self-similarity of the content image, (1, N, N)
    content_weight: float
    style: Tensor  # hypercolumns of the styles, (1, D, M, 1)
    style_statistic: Tensor  # that of the relaxed earth mover's distance


class StrotssObjective:
    """The objective of a subject at one size; each region is compared with its own styles only.

    The loss is computed at a sample of positions of every image, and in a run at another sample after every
    `resample_every` steps: the loss is then a little noisy, but no position is missed for long. Called directly, to
    measure the loss of an image, it uses the first sample.

    Args:
        backbone: loss network.
        layers: layers of the hypercolumns, `"image"` first.
        subject: content, styles and masks at the size of the image, on the device.
        content_weight: weight of the content loss relative to the style loss.
        count: number of positions of each region, and of its styles.
        resample_every: steps between two samples; 0 keeps the first one.
        seed: seed of the first sample.
    """

    def __init__(
        self,
        backbone: Backbone,
        layers: Sequence[str],
        subject: Subject,
        *,
        content_weight: float,
        count: int,
        resample_every: int,
        seed: int,
    ) -> None:
        assert layers[0] == "image"
        self._backbone, self._layers, self._subject = backbone, layers, subject
        self._content_weight, self._count, self._resample_every, self._seed = (
            content_weight,
            count,
            resample_every,
            seed,
        )
        with torch.no_grad():
            self._content = self._encode(subject.content)
            self._styles = [[self._encode(style.image) for style in r.styles] for r in subject.regions]
            self._first = self._targets(0)
        self._latest = (0, self._first)  # spares drawing the same sample again at the next step

    def __call__(self, image: Image) -> dict[str, Tensor]:
        """Return the weighted loss of every term, each a scalar, for an image `(1, 3, H, W)`."""
        return self._losses(self._first, image)

    def at_step(self, step: int) -> LossFunction:
        """Return the objective of one step, counted from 1: its sample depends on the seed and the step alone."""
        index = (step - 1) // self._resample_every if self._resample_every else 0
        if index != self._latest[0]:
            with torch.no_grad():
                self._latest = (index, self._targets(index))
        return partial(self._losses, self._latest[1])

    def _losses(self, targets: Sequence[RegionTargets], image: Image) -> dict[str, Tensor]:
        features = self._encode(image)
        return {name: loss for each in targets for name, loss in self._losses_of_region(features, each).items()}

    def _encode(self, image: Image) -> Features:
        return self._backbone.encode(mirror(image, _border(image)), self._layers)

    def _columns(self, features: Features, positions: Tensor, image: Image) -> Tensor:
        """Return the hypercolumns at pixels of an image, for the features of the mirrored image."""
        return hypercolumns(features, self._layers, positions + _border(image))

    def _targets(self, index: int) -> list[RegionTargets]:
        seed = (self._seed + index * SEED_STEP) % 2**63
        targets = []
        for region, styles in zip(self._subject.regions, self._styles, strict=True):
            height, width = self._subject.content.shape[-2:]
            positions = draw_positions((height, width), region.support, self._count, seed)
            if len(positions) == 0:
                continue
            columns = self._columns(self._content, positions, self._subject.content)
            weight = self._content_weight * min(1.0, mean_distance(columns) / PLAIN) ** 2
            content, style = SELF_SIMILARITY.statistic(columns), self._style(region, styles, seed)
            targets.append(RegionTargets(region, positions, content, weight, style, EARTH_MOVER.statistic(style)))
        if not targets:
            raise ValueError("every region is empty at this size, so that there is nothing to stylize; enlarge a mask")
        if not any(each.region.strength > 0 or self._content_weight > 0 for each in targets):
            raise ValueError("every weight is 0, so that there is nothing to optimize; give one above 0")
        return targets

    def _style(self, region: Region, styles: Sequence[Features], seed: int) -> Tensor:
        """Return the hypercolumns of all styles of a region, as many of each as its weight: `(1, D, M, 1)`."""
        parts = []
        for style, features in zip(region.styles, styles, strict=True):
            height, width = style.image.shape[-2:]
            positions = draw_positions((height, width), style.mask, round(self._count * style.weight), seed)
            if len(positions) == 0 and style.weight > 0.5 / self._count:
                raise ValueError(
                    f"the mask of a style of region {region.name!r} is empty; mark the part to use with white"
                )
            parts.append(self._columns(features, positions, style.image))
        return torch.cat(parts, dim=2)

    def _losses_of_region(self, features: Features, targets: RegionTargets) -> dict[str, Tensor]:
        columns = self._columns(features, targets.positions, self._subject.content)
        region = targets.region
        name = f"/{region.name}" if region.name else ""
        content_weight, style_weight = region.area * targets.content_weight, region.area * region.strength
        losses = {}
        if content_weight > 0:
            distance = SELF_SIMILARITY.distance(SELF_SIMILARITY.statistic(columns), targets.content)
            losses[f"content/self_similarity{name}"] = content_weight * distance
        if style_weight > 0:
            distance = EARTH_MOVER.distance(EARTH_MOVER.statistic(columns), targets.style_statistic)
            losses[f"style/earth_mover{name}"] = style_weight * distance
            losses[f"style/moments{name}"] = style_weight * MOMENTS * moment_distance(columns, targets.style)
            palette = palette_distance(columns[:, :3], targets.style[:, :3])
            losses[f"style/palette{name}"] = style_weight / max(targets.content_weight, 1) * palette
        return losses


def _border(image: Image) -> int:
    return min(BORDER, min(image.shape[-2:]) - 1)


def mean_distance(columns: Tensor) -> float:
    """Return the mean cosine distance between all pairs of feature vectors `(1, D, N, 1)`."""
    unit = columns / columns.square().sum(1, keepdim=True).add(TINY).sqrt()
    return 1 - unit.mean(2).square().sum().item()


def moment_distance(columns: Tensor, style: Tensor) -> Tensor:
    """Return the mean absolute difference of the means, plus that of the covariances, of `(1, D, N, 1)`."""
    own, target = both_moments(columns), both_moments(style)  # (1, D + 1, D)
    means = (own[:, 0] - target[:, 0]).abs().mean()
    return means + (covariance(own) - covariance(target)).abs().mean()


def palette_distance(columns: Tensor, style: Tensor) -> Tensor:
    """Return the relaxed earth mover's distance of colors `(1, 3, N, 1)`: the larger of both mean nearest distances.

    The paper first rotates the colors to decorrelated axes; a rotation changes no distance, so RGB is used.
    """
    own, target = columns[0, :, :, 0] * 3**0.5, style[0, :, :, 0] * 3**0.5  # (3, N); undo the scale of hypercolumns
    with torch.no_grad():
        distances = torch.cdist(own.T, target.T)
        to_target, to_own = distances.argmin(1), distances.argmin(0)
    forward = _mean_distance(own, target.index_select(1, to_target))
    return torch.maximum(forward, _mean_distance(own.index_select(1, to_own), target))


def _mean_distance(own: Tensor, target: Tensor) -> Tensor:
    return ((own - target).square().sum(0) + TINY).sqrt().mean()

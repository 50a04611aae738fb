"""What STROTSS minimizes: the style's hypercolumns moved to the picture's, against a change of self-similarity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.backbones import Backbone
from impasto.features.hypercolumns import draw_positions, hypercolumns
from impasto.features.moments import both_moments, covariance
from impasto.losses.relaxed_earth_mover import RelaxedEarthMoverLoss
from impasto.losses.self_similarity import SelfSimilarityLoss
from impasto.optim.descent import Loss
from impasto.regions.subject import Region, Subject
from impasto.types import Features, Image

ALIKE, MOVER = SelfSimilarityLoss(), RelaxedEarthMoverLoss()
MOMENTS = 10.0
"""Weight of the moments; 1 in the paper, whose features are larger."""
NEXT = 104_729
"""What a seed grows by from one choice of places to the next."""
TINY = 1e-8  # keeps the distance of equal colors differentiable


@dataclass(frozen=True)
class Look:
    """A region seen at a choice of places, and what it should become."""

    region: Region
    places: Tensor  # (N, 2)
    kept: Tensor  # self-similarity of the photograph, (1, N, N)
    style: Tensor  # hypercolumns of its styles, (1, D, M, 1)
    moved: Tensor  # what the relaxed earth mover wants of them


class Transport:
    """The objective of a subject at one size; a region sees its own styles only.

    It looks at a choice of places of every picture, and in a painting at another one after each `renew` steps: the loss
    then has some noise, and no place is overlooked for long. Called by itself, to grade a picture, it looks at the
    first choice.

    Args:
        layers: of the hypercolumns, `"image"` first.
        alpha: weight of the content against that of the style.
        count: how many places of a region, and of its styles.
        renew: 0 keeps the first choice.
    """

    def __init__(
        self,
        backbone: Backbone,
        layers: Sequence[str],
        subject: Subject,
        *,
        alpha: float,
        count: int,
        renew: int,
        seed: int,
    ) -> None:
        assert layers[0] == "image"
        self._backbone, self._layers, self._subject = backbone, layers, subject
        self._alpha, self._count, self._renew, self._seed = alpha, count, renew, seed
        with torch.no_grad():
            self._photograph = backbone.encode(subject.content, layers)
            self._styles = [[backbone.encode(style.image, layers) for style in r.styles] for r in subject.regions]
            self._first = self._looks(0)
        self._latest = (0, self._first)  # spares drawing the same places again at the next step

    def __call__(self, image: Image) -> dict[str, Tensor]:
        """Weighted loss of every term, each a scalar, for an image `(1, 3, H, W)`."""
        return self._seen(image, self._first)

    def at_step(self, step: int) -> Loss:
        """The objective of one step, counted from 1: its places follow from the seed and the step alone."""
        turn = (step - 1) // self._renew if self._renew else 0
        if turn != self._latest[0]:
            with torch.no_grad():
                self._latest = (turn, self._looks(turn))
        looks = self._latest[1]
        return lambda image: self._seen(image, looks)

    def _seen(self, image: Image, looks: Sequence[Look]) -> dict[str, Tensor]:
        features = self._backbone.encode(image, self._layers)
        return {name: loss for look in looks for name, loss in self._losses(features, look).items()}

    def _looks(self, turn: int) -> list[Look]:
        seed = (self._seed + turn * NEXT) % 2**63
        looks = []
        for region, pictures in zip(self._subject.regions, self._styles, strict=True):
            height, width = self._subject.content.shape[-2:]
            places = draw_positions((height, width), region.mask, self._count, seed)
            if len(places) == 0:
                continue
            kept = ALIKE.statistic(hypercolumns(self._photograph, self._layers, places))
            style = self._style(region, pictures, seed)
            looks.append(Look(region, places, kept, style, MOVER.statistic(style)))
        if not looks:
            raise ValueError("every region is empty at this size, so there is nothing to paint; give a larger mask")
        if not any(look.region.strength > 0 or self._alpha > 0 for look in looks):
            raise ValueError("every weight is 0, so there is nothing to paint after; give one above 0")
        return looks

    def _style(self, region: Region, pictures: Sequence[Features], seed: int) -> Tensor:
        """The hypercolumns of all styles of a region, each with its share of the places: `(1, D, M, 1)`."""
        parts = []
        for style, features in zip(region.styles, pictures, strict=True):
            height, width = style.image.shape[-2:]
            places = draw_positions((height, width), style.mask, round(self._count * style.weight), seed)
            if len(places) == 0 and style.weight > 0.5 / self._count:
                raise ValueError(f"the mask of a style of region {region.name!r} is empty; mark what counts with white")
            parts.append(hypercolumns(features, self._layers, places))
        return torch.cat(parts, dim=2)

    def _losses(self, features: Features, look: Look) -> dict[str, Tensor]:
        own = hypercolumns(features, self._layers, look.places)
        name = f"/{look.region.name}" if look.region.name else ""
        keep, pull = look.region.area * self._alpha, look.region.area * look.region.strength
        losses = {}
        if keep > 0:
            losses[f"content/self_similarity{name}"] = keep * ALIKE.distance(ALIKE.statistic(own), look.kept)
        if pull > 0:
            losses[f"style/earth_mover{name}"] = pull * MOVER.distance(MOVER.statistic(own), look.moved)
            losses[f"style/moments{name}"] = pull * MOMENTS * moments(own, look.style)
            losses[f"style/palette{name}"] = pull / max(self._alpha, 1) * palette(own[:, :3], look.style[:, :3])
        return losses


def moments(own: Tensor, other: Tensor) -> Tensor:
    """Mean absolute difference of the means, and that of the covariances, of hypercolumns `(1, D, N, 1)`."""
    mine, theirs = both_moments(own), both_moments(other)  # (1, D + 1, D)
    means = (mine[:, 0] - theirs[:, 0]).abs().mean()
    return means + (covariance(mine) - covariance(theirs)).abs().mean()


def palette(own: Tensor, other: Tensor) -> Tensor:
    """Relaxed earth mover's distance of colors `(1, 3, N, 1)`: every one to its nearest, both ways; the larger mean.

    The paper turns them to decorrelated axes; a turn changes no distance, so RGB it is.
    """
    mine, theirs = own[0, :, :, 0] * 3**0.5, other[0, :, :, 0] * 3**0.5  # (3, N), undo the scale of hypercolumns
    with torch.no_grad():
        apart = torch.cdist(mine.T, theirs.T)
        to_theirs, to_mine = apart.argmin(1), apart.argmin(0)
    there = _far(mine, theirs.index_select(1, to_theirs))
    return torch.maximum(there, _far(mine.index_select(1, to_mine), theirs))


def _far(one: Tensor, other: Tensor) -> Tensor:
    return ((one - other).square().sum(0) + TINY).sqrt().mean()

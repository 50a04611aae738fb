"""What a painting should minimize: named, weighted terms over the features of one network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.backbones import Backbone
from impasto.losses import FeatureLoss
from impasto.regions.guides import Guides
from impasto.types import Features, Image


@dataclass(frozen=True)
class Term:
    """One loss on one layer: `weight * loss.distance(statistic of the picture, target)`."""

    name: str
    """What logs, curves and reports call it: `style/relu1_1`."""
    layer: str
    loss: FeatureLoss
    weight: float
    target: Tensor
    guide: Tensor | None = None
    """How much each place counts, `(1, 1, h, w)` with mean 1; None: all alike."""


class Objective:
    """A sum of terms. Encodes the picture once, only as deep as a term asks.

    >>> import torch
    >>> from impasto.backbones import load_backbone
    >>> from impasto.losses.content import ContentLoss
    >>> backbone = load_backbone("tiny")
    >>> picture = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    >>> features = backbone.encode(picture, ["relu2_1"])
    >>> objective = Objective(backbone, match("content", ContentLoss(), [features], ["relu2_1"], 1.0))
    >>> {name: loss.item() for name, loss in objective(picture).items()}
    {'content/relu2_1': 0.0}
    """

    def __init__(self, backbone: Backbone, terms: Sequence[Term]) -> None:
        self.backbone = backbone
        self.terms = [term for term in terms if term.weight > 0]
        if not self.terms:
            raise ValueError("every weight is 0, so there is nothing to paint after; give one above 0")
        self._layers = list(dict.fromkeys(term.layer for term in self.terms))

    def __call__(self, image: Image) -> dict[str, Tensor]:
        """Weighted loss of every term, each a scalar, for an image `(1, 3, H, W)`."""
        features = self.backbone.encode(image, self._layers)
        statistics: dict[tuple[int, str, int], Tensor] = {}
        losses = {}
        for term in self.terms:
            key = (id(term.loss), term.layer, id(term.guide))
            if key not in statistics:
                statistics[key] = term.loss.statistic(features[term.layer], term.guide)
            losses[term.name] = term.weight * term.loss.distance(statistics[key], term.target)
        return losses


@torch.no_grad()
def match(
    kind: str,
    loss: FeatureLoss,
    pictures: Sequence[Features],
    layers: Sequence[str],
    weight: float,
    mix: Sequence[float] = (1.0,),
    *,
    guides: Sequence[Guides] | None = None,
    where: Guides | None = None,
    suffix: str = "",
) -> list[Term]:
    """Terms `kind/layer` that pull towards the statistics of `pictures`; the layers share `weight` equally.

    Several pictures count by `mix`, which sums to 1: a statistic that is a spatial mean is averaged into one target,
    any other gets a term a picture.

    Args:
        guides: which places of each picture count.
        where: which places of the painted picture count.
        suffix: what a name ends with, such as "/sky".
    """
    guides, where = guides or [{}] * len(pictures), where or {}
    terms = []
    for layer in layers:
        targets = [
            loss.statistic(features[layer], places.get(layer))
            for features, places in zip(pictures, guides, strict=True)
        ]
        share, guide = weight / len(layers), where.get(layer)
        if loss.is_spatial_mean:
            blend = torch.stack([m * target for m, target in zip(mix, targets, strict=True)]).sum(0)
            terms.append(Term(f"{kind}/{layer}{suffix}", layer, loss, share, blend, guide))
            continue
        for i, (part, target) in enumerate(zip(mix, targets, strict=True), 1):
            name = f"{kind}/{layer}{suffix}" if len(targets) == 1 else f"{kind}/{layer}{suffix}/{i}"
            terms.append(Term(name, layer, loss, share * part, target, guide))
    return terms

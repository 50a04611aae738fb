"""Sum named, weighted loss terms over the features of one network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.backbones import Backbone
from impasto.losses import FeatureLoss
from impasto.regions.guides import Guides
from impasto.types import Features, Image


@dataclass(frozen=True, eq=False)
class Term:
    """One loss on one layer: `weight * loss.distance(statistic of the image, target)`."""

    name: str
    """Name in logs, curves and records: `style/relu1_1`."""
    layer: str
    """Layer whose features are compared."""
    loss: FeatureLoss
    """Statistic and distance."""
    weight: float
    """Factor on the distance."""
    target: Tensor
    """Statistic that the image is to have."""
    guide: Tensor | None = None
    """Weight of each position, `(1, 1, h, w)` with mean 1; None weights all equally."""

    def shares_statistic(self, other: Term) -> bool:
        """Return whether both terms compare the same statistic of the image."""
        return self.loss is other.loss and self.layer == other.layer and self.guide is other.guide


class Objective:
    """A sum of terms. It encodes the image once, no deeper than a term needs.

    Args:
        backbone: loss network.
        terms: those of weight 0 are left out.

    Raises:
        ValueError: if every weight is 0.

    >>> import torch
    >>> from impasto.backbones import load_backbone
    >>> from impasto.losses.content import ContentLoss
    >>> backbone = load_backbone("tiny")
    >>> image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    >>> features = backbone.encode(image, ["relu2_1"])
    >>> objective = Objective(backbone, match("content", ContentLoss(), [features], ["relu2_1"], 1.0))
    >>> {name: loss.item() for name, loss in objective(image).items()}
    {'content/relu2_1': 0.0}
    """

    def __init__(self, backbone: Backbone, terms: Sequence[Term]) -> None:
        self.backbone = backbone
        self.terms = [term for term in terms if term.weight > 0]
        if not self.terms:
            raise ValueError("every weight is 0, so that there is nothing to optimize; give one above 0")
        self._layers = list(dict.fromkeys(term.layer for term in self.terms))
        self._groups: list[list[Term]] = []  # successive terms that compare the same statistic, computed once
        for term in self.terms:
            if self._groups and term.shares_statistic(self._groups[-1][0]):
                self._groups[-1].append(term)
            else:
                self._groups.append([term])

    def __call__(self, image: Image) -> dict[str, Tensor]:
        """Return the weighted loss of every term, each a scalar, for an image `(1, 3, H, W)`."""
        features = self.backbone.encode(image, self._layers)
        losses = {}
        for group in self._groups:
            statistic = group[0].loss.statistic(features[group[0].layer], group[0].guide)
            for term in group:
                losses[term.name] = term.weight * term.loss.distance(statistic, term.target)
        return losses


@torch.no_grad()
def match(
    kind: str,
    loss: FeatureLoss,
    targets: Sequence[Features],
    layers: Sequence[str],
    weight: float,
    mix: Sequence[float] = (1.0,),
    *,
    guides: Sequence[Guides] | None = None,
    where: Guides | None = None,
    suffix: str = "",
) -> list[Term]:
    """Return terms `kind/layer` that compare an image with the features of one or several target images.

    Args:
        kind: first part of the names.
        loss: a spatial mean is averaged over the target images; any other statistic gets one term per target image.
        targets: features of each target image.
        layers: they share `weight` equally.
        weight: sum of the weights of the terms.
        mix: weights of the target images; they sum to 1.
        guides: weights of the positions of each target image.
        where: weights of the positions of the image.
        suffix: last part of the names.
    """
    guides, where = guides or [{}] * len(targets), where or {}
    terms = []
    for layer in layers:
        pairs = zip(targets, guides, strict=True)
        statistics = [loss.statistic(features[layer], guide.get(layer)) for features, guide in pairs]
        name, layer_weight, guide_of_image = f"{kind}/{layer}{suffix}", weight / len(layers), where.get(layer)
        if loss.is_spatial_mean:
            blend = torch.stack([m * statistic for m, statistic in zip(mix, statistics, strict=True)]).sum(0)
            terms.append(Term(name, layer, loss, layer_weight, blend, guide_of_image))
            continue
        names = [name] if len(statistics) == 1 else [f"{name}/{i + 1}" for i in range(len(statistics))]
        for each, part, statistic in zip(names, mix, statistics, strict=True):
            terms.append(Term(each, layer, loss, layer_weight * part, statistic, guide_of_image))
    return terms

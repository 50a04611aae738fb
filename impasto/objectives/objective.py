"""Sum named, weighted loss terms over the features of one network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from impasto.backbones import Backbone
from impasto.backbones.tiling import LayerStatistic
from impasto.losses import FeatureLoss
from impasto.optim.lbfgs import LARGE
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
        same = self.loss is other.loss and self.layer == other.layer and self.guide is other.guide
        return same and not self.loss.is_pointwise

    def statistic(self) -> LayerStatistic:
        """Return the statistic of the image that is compared; the distance itself if it is a mean over positions."""
        if self.loss.is_pointwise:
            distance = partial(_distance_of_features, self.loss)
            return LayerStatistic(self.layer, distance, (self.guide, self.target), is_mean=True)
        return LayerStatistic(self.layer, self.loss.statistic, (self.guide,), is_mean=self.loss.is_spatial_mean)

    def weighted_loss(self, statistic: Tensor) -> Tensor:
        """Return the weighted loss for a value of `statistic`."""
        return self.weight * (statistic if self.loss.is_pointwise else self.loss.distance(statistic, self.target))


def _distance_of_features(loss: FeatureLoss, features: Tensor, guide: Tensor | None, target: Tensor) -> Tensor:
    return loss.distance(loss.statistic(features, guide), target)


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
        self._groups: list[list[Term]] = []  # successive terms that compare the same statistic, computed once
        for term in self.terms:
            if self._groups and term.shares_statistic(self._groups[-1][0]):
                self._groups[-1].append(term)
            else:
                self._groups.append([term])

    def __call__(self, image: Image) -> dict[str, Tensor]:
        """Return the weighted loss of every term, each a scalar, for an image `(1, 3, H, W)`."""
        statistics = self.backbone.statistics(image, [group[0].statistic() for group in self._groups])
        return {
            term.name: term.weighted_loss(statistic)
            for group, statistic in zip(self._groups, statistics, strict=True)
            for term in group
        }


@torch.no_grad()
def match(
    kind: str,
    loss: FeatureLoss,
    targets: Sequence[Features],
    layers: Sequence[str],
    weight: float,
    mix: Sequence[float] = (1.0,),
) -> list[Term]:
    """Return terms `kind/layer` that compare an image with the features of one or several target images.

    Args:
        kind: first part of the names.
        loss: a spatial mean is averaged over the target images; any other statistic gets one term per target image.
        targets: features of each target image.
        layers: they share `weight` equally.
        weight: sum of the weights of the terms; 0 gives none.
        mix: weights of the target images; they sum to 1.
    """
    if weight == 0:
        return []
    terms = []
    for layer in layers:
        statistics = [_stored(each[layer]) if loss.is_pointwise else loss.statistic(each[layer]) for each in targets]
        terms += layer_terms(f"{kind}/{layer}", layer, loss, statistics, weight / len(layers), mix)
    return terms


def _stored(features: Tensor) -> Tensor:
    """Return features as they are compared with those of each step: the type of the network, or bf16 for a large image.

    At 8192x6144 pixels, those of `lite` take 0.56 GiB in float32.
    """
    return features.bfloat16() if features.numel() > LARGE and features.dtype is torch.float32 else features


def layer_terms(
    name: str,
    layer: str,
    loss: FeatureLoss,
    statistics: Sequence[Tensor],
    weight: float,
    mix: Sequence[float] = (1.0,),
    guide: Tensor | None = None,
) -> list[Term]:
    """Return the terms that compare one layer of an image with the statistics of one or several target images.

    Args:
        name: name of the term; those of several terms end in `/1`, `/2` and so on.
        layer: the layer.
        loss: a spatial mean is averaged over the target images; any other statistic gets one term per target image.
        statistics: statistic of each target image.
        weight: sum of the weights of the terms.
        mix: weights of the target images; they sum to 1.
        guide: weights of the positions of the image.
    """
    if loss.is_spatial_mean:
        blend = torch.stack([m * statistic for m, statistic in zip(mix, statistics, strict=True)]).sum(0)
        return [Term(name, layer, loss, weight, blend, guide)]
    names = [name] if len(statistics) == 1 else [f"{name}/{i + 1}" for i in range(len(statistics))]
    return [
        Term(each, layer, loss, weight * part, statistic, guide)
        for each, part, statistic in zip(names, mix, statistics, strict=True)
    ]

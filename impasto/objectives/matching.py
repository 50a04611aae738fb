"""Match statistics of style features and keep content features: the objective of gatys, bures, sliced and mrf."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import torch
from annotated_types import Ge, Le
from pydantic.dataclasses import dataclass
from torch import Tensor

from impasto.backbones import Backbone
from impasto.backbones.tiling import LayerStatistic
from impasto.config import MAIN, SETTINGS, OneOf
from impasto.losses import LOSSES, FeatureLoss
from impasto.losses.content import ContentLoss
from impasto.losses.laplacian import LaplacianLoss
from impasto.objectives.balance import balanced_style_weight
from impasto.objectives.objective import Objective, Term, layer_terms, match
from impasto.regions.guides import Guides, layer_guides
from impasto.regions.subject import Style, Subject
from impasto.types import Image

Weight = Annotated[float, Ge(0), Le(1e9)]


def style_losses() -> list[str]:
    """Return the names of the losses that compare the style of features, those of plug-ins included."""
    return [name for name in LOSSES if LOSSES[name].role == "style"]


def smoothness_losses() -> list[str]:
    """Return the names of the losses that penalize differences of neighboring pixels."""
    return [name for name in LOSSES if LOSSES[name].role == "smoothness"]


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class ObjectiveSettings:
    """Losses and weights."""

    content_weight: Annotated[Weight, MAIN] = 1.0
    """Weight of the content loss."""
    style_weight: Annotated[Weight, MAIN] = 100.0
    """Weight of the style loss: a tenth of the default is mild, ten times removes most of the content."""
    style_loss: Annotated[str, OneOf(style_losses)] = "gram"
    """Loss between the style features; `impasto losses` describes them."""
    content_layers: tuple[str, ...] = ()
    """Layers of the content loss. Default: those of the backbone, relu4_2 for VGG."""
    style_layers: tuple[str, ...] = ()
    """Layers of the style loss. Default: those of the backbone, relu1_1 to relu5_1 for VGG."""
    layer_weights: tuple[Annotated[float, Ge(0)], ...] = ()
    """Weight of each style layer relative to the others. Default: equal weights."""
    style_mix_fine: tuple[Annotated[float, Ge(0)], ...] = ()
    """Weights of the styles at the finest layer; style_mix applies at the coarsest. Default: style_mix."""
    edge_weight: Weight = 0.0
    """Weight of the edge loss (Laplacian), which preserves lines and faces; 10 to 100 is visible."""
    tv_weight: Weight = 0.0
    """Weight of the smoothness loss (total variation of the pixels)."""
    tv_loss: Annotated[str, OneOf(smoothness_losses)] = "total_variation"
    """Smoothness loss: squared, absolute (l1) or isotropic differences of neighboring pixels."""


class MatchingObjective:
    """The objective of one subject at one size: content, style, edge and smoothness terms.

    Args:
        backbone: loss network.
        subject: content, styles and masks at the size of the image that is optimized, on the device.
        settings: weights, layers and losses.
    """

    def __init__(self, backbone: Backbone, subject: Subject, settings: ObjectiveSettings) -> None:
        content_layers, style_layers = layers_of(settings, backbone)
        self._backbone = backbone
        features = backbone.encode(subject.content, content_layers)
        self._content = match("content", ContentLoss(), [features], content_layers, settings.content_weight)
        self._style = _style_terms(backbone, subject, style_layers, settings)
        self._pixels = _pixel_terms(subject.content, settings)
        self._objective = self.weighted(settings.style_weight)

    def __call__(self, image: Image) -> dict[str, Tensor]:
        """Return the weighted loss of every term, each a scalar, for an image `(1, 3, H, W)`."""
        return self._objective(image)

    def balanced_style_weight(self, subject: Subject) -> float:
        """Return the style weight that balances style and content; 0 where the content weight is 0.

        Args:
            subject: that of the objective, which does not keep it: its images are large.
        """
        if not self._content:
            return 0.0
        return balanced_style_weight(self._backbone, subject, self._content, self._style)

    def weighted(self, style_weight: float) -> Objective:
        """Return this objective with another style weight."""
        style = [replace(term, weight=term.weight * style_weight) for term in self._style]
        return Objective(self._backbone, [*self._content, *style, *self._pixels])


def layers_of(
    settings: ObjectiveSettings, backbone: Backbone | type[Backbone]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the content layers and the style layers."""
    return settings.content_layers or backbone.content_layers, settings.style_layers or backbone.style_layers


def check_layer_weights(weights: Sequence[float], layers: Sequence[str]) -> None:
    """Raise `ValueError` unless there are no weights, or one for each layer and at least one above 0."""
    if weights and (len(weights) != len(layers) or not sum(weights) > 0):
        raise ValueError(
            f"layer_weights: {len(weights)} weights, but {len(layers)} style layers; give one a layer, one above 0"
        )


def layer_fractions(weights: Sequence[float], count: int) -> list[float]:
    """Return the fraction of each of `count` layers in the style loss; they sum to 1."""
    return [weight / sum(weights) for weight in weights] if weights else [1 / count] * count


def layer_mixes(coarse: Sequence[float], fine: Sequence[float], count: int, region: str = "") -> list[list[float]]:
    """Return the weights of the styles at each of `count` layers, from `fine` at the first to `coarse` at the last.

    Args:
        coarse: weights of the styles of a region.
        fine: the same at the first layer; empty for `coarse`.
        count: number of layers.
        region: name of the region for error messages, where there are several.

    Raises:
        ValueError: if `fine` has another number of weights than there are styles, or only zeros.

    >>> layer_mixes([1, 0], [0, 1], 3)
    [[0.0, 1.0], [0.5, 0.5], [1.0, 0.0]]
    """
    if not fine:
        return [list(coarse)] * count
    if len(fine) != len(coarse) or not sum(fine) > 0:
        styles = f"{len(coarse)} style image(s)" + (f" in {region}" if region else "")
        raise ValueError(f"style_mix_fine: {len(fine)} weights, but {styles}; give one an image, one above 0")
    first = [weight / sum(fine) for weight in fine]
    depths = [i / max(count - 1, 1) for i in range(count)]
    return [[(1 - depth) * f + depth * c for f, c in zip(first, coarse, strict=True)] for depth in depths]


@torch.no_grad()
def _style_terms(
    backbone: Backbone, subject: Subject, layers: Sequence[str], settings: ObjectiveSettings
) -> list[Term]:
    """Return the style terms of all regions; each region is weighted by its area, as it is in the content loss."""
    loss = LOSSES[settings.style_loss]()
    fractions = layer_fractions(settings.layer_weights, len(layers))
    terms: list[Term] = []
    for region in subject.regions:
        styles = [_style_statistics(backbone, style, loss, layers) for style in region.styles]
        where = _guides(backbone, subject.content, region.support, layers)
        weights = [style.weight for style in region.styles]
        mixes = layer_mixes(weights, settings.style_mix_fine, len(layers), region.name)
        suffix = f"/{region.name}" if region.name else ""
        for i, layer in enumerate(layers):
            weight = fractions[i] * region.strength * region.area
            statistics = [style[i] for style in styles]
            terms += layer_terms(f"style/{layer}{suffix}", layer, loss, statistics, weight, mixes[i], where.get(layer))
    return terms


def _style_statistics(backbone: Backbone, style: Style, loss: FeatureLoss, layers: Sequence[str]) -> list[Tensor]:
    """Return the statistic of each layer of a style."""
    guides = _guides(backbone, style.image, style.mask, layers)
    requests = [LayerStatistic(name, loss.statistic, (guides.get(name),), loss.is_spatial_mean) for name in layers]
    return backbone.statistics(style.image, requests)


def _guides(backbone: Backbone, image: Image, mask: Tensor | None, layers: Sequence[str]) -> Guides:
    """Return the guide of each layer for a mask of an image."""
    if mask is None:
        return {}
    return layer_guides(mask, backbone.map_shapes((image.shape[-2], image.shape[-1]), layers))


def _pixel_terms(content: Image, settings: ObjectiveSettings) -> list[Term]:
    blank = {"image": content.new_zeros(1).expand(content.shape)}
    return [
        *match("edges", LaplacianLoss(), [{"image": content}], ["image"], settings.edge_weight),
        *match("smooth", LOSSES[settings.tv_loss](), [blank], ["image"], settings.tv_weight),
    ]

"""Keep the deep features of the photograph, match statistics of the styles: what many methods share.

They differ in which statistic, in weights and in layers; a method's file says only that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Annotated

from annotated_types import Ge, Gt, Le, Lt
from pydantic.dataclasses import dataclass

from impasto.backbones import BACKBONES, Backbone, load_backbone
from impasto.backbones.chain import Pooling
from impasto.config import SETTINGS
from impasto.devices import pick_device, pick_dtype
from impasto.losses import FeatureLoss
from impasto.losses.content import ContentLoss
from impasto.losses.laplacian import LaplacianLoss
from impasto.losses.total_variation import TotalVariationLoss
from impasto.objectives import balance as strength
from impasto.objectives.multiscale import MultiscaleObjective, loss_scale_shapes, near_scale_shapes
from impasto.objectives.objective import Objective, Term, match
from impasto.optim.coarse_to_fine import MakeObjective, PixelConfig, coarse_to_fine, final_shape
from impasto.optim.descent import Loss
from impasto.regions.guides import layer_guides
from impasto.regions.subject import Region, Subject
from impasto.types import Features, Step

POLISHER = "vgg19-caffe"
"""The network that the setting `polish` asks at the end."""
Weight = Annotated[float, Ge(0), Le(1e9)]


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class MatchingConfig(PixelConfig):
    """What every method lets one choose that keeps features and matches statistics of features."""

    backbone: str = "lite"
    """Network whose features judge the picture."""
    pooling: Pooling = "max"
    """What the network pools with; the paper of Gatys et al. preferred average."""
    tolerance: Annotated[float, Gt(0), Lt(1)] | None = None
    """Where no steps are given: converged is a picture whose loss 25 steps lower by less than this share; none given
    means what suits the network, 0.01, and 0.02 for lite, which after that learns to please itself."""
    content_weight: Weight = 1.0
    """Pull of the content."""
    style_weight: Weight = 100.0
    """Pull of the style: a tenth of the default is mild, ten times as much all style."""
    edge_weight: Weight = 0.0
    """Pull that holds edges, lines and faces (Laplacians of the pixels); 10 to 100 is felt."""
    tv_weight: Weight = 0.0
    """Pull towards smoothness (total variation of the pixels)."""
    loss_scales: Annotated[int, Ge(1), Le(8)] | None = None
    """At how many sizes a picture is judged, each half the one before; none given means 1 up to 512 pixels, and above
    as many as reach 256, at which it is then painted one after the other: so a preview at 256 predicts the result."""
    near_scales: Annotated[int, Ge(1), Le(3)] = 1
    """How often a picture is judged at nearly its own size: 2 near_scales at five quarters of it too, 3 at four fifths as
    well. Better pictures and previews by small networks, for two to three times the time."""
    content_layers: tuple[str, ...] = ()
    """Layers whose features are kept; none given means the backbone's own choice, relu4_2 for VGG."""
    style_layers: tuple[str, ...] = ()
    """Layers whose statistics are matched; none given means the backbone's own, relu1_1 to relu5_1 for VGG."""
    layer_weights: tuple[Annotated[float, Ge(0)], ...] = ()
    """Weight of each style layer relative to the others; none means equal weights."""
    style_mix_fine: tuple[Annotated[float, Ge(0)], ...] = ()
    """Weight of each style picture at the finest style layer, if it is to differ from style_mix, which then holds at
    the coarsest; in between they blend."""


class Matching:
    """A painter of one configuration and one style loss; checks the settings when it is made.

    Raises:
        ValueError: for a network or a layer that does not exist, and for settings that contradict each other.
    """

    def __init__(self, config: MatchingConfig, style_loss: FeatureLoss) -> None:
        self.config, self.style_loss = config, style_loss
        check_strength(config)
        if config.steps is not None and config.tolerance is not None:
            raise ValueError("tolerance: it says when to stop where no steps are given; give one of them")
        self._networks = [config.backbone]
        if config.polish and config.backbone != POLISHER:
            self._networks.append(POLISHER)
        for network in self._networks:
            for layers in self.layers(network):
                BACKBONES[network].check_layers(layers)
            check_layer_weights(config.layer_weights, self.layers(network)[1])

    def layers(self, network: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Where `network` keeps the content and takes the style."""
        own = BACKBONES[network]
        return self.config.content_layers or own.content_layers, self.config.style_layers or own.style_layers

    def run(self, subject: Subject) -> Iterator[Step]:
        config = replace(self.config, sizes=self._sizes(subject))
        tolerance = config.tolerance or BACKBONES[config.backbone].tolerance
        return coarse_to_fine(config, subject, *self._objectives, tolerance=tolerance)

    @cached_property
    def _objectives(self) -> list[MakeObjective]:
        return [self.objective(network) for network in self._networks]

    def _sizes(self, subject: Subject) -> tuple[int, ...]:
        """The sizes that were asked for; else those at which the picture is judged, from its preview's on."""
        config = self.config
        if config.sizes or config.loss_scales is not None:
            return config.sizes
        shapes = loss_scale_shapes(
            final_shape(config, subject.content), None, subject.shortest_side(config.style_scale)
        )
        sizes = [max(shape) for shape in shapes]
        return tuple(reversed(sizes[: config.steps]))

    def objective(self, network: str) -> MakeObjective:
        """What the picture should minimize as `network` sees it."""
        config = self.config
        device = pick_device(config.device)
        dtype = pick_dtype(config.precision, device)
        content_layers, style_layers = self.layers(network)
        backbone = load_backbone(network, pooling=config.pooling, device=device, dtype=dtype)

        def at_one_size(subject: Subject) -> Objective:
            photograph = backbone.encode(subject.content, [*content_layers, *style_layers])
            blank = [{"image": subject.content.new_zeros(subject.content.shape)}]
            content = match("content", ContentLoss(), [photograph], content_layers, config.content_weight)
            style = [
                term
                for region in subject.regions
                for term in self._style_terms(backbone, photograph, region, style_layers)
            ]
            weight = config.style_weight
            if config.strength is not None:
                weight = strength.style_weight(config.strength, backbone, subject, content, style)
            return Objective(
                backbone,
                [
                    *content,
                    *(replace(term, weight=term.weight * weight) for term in style),
                    *match("edges", LaplacianLoss(), [{"image": subject.content}], ["image"], config.edge_weight),
                    *match("smooth", TotalVariationLoss(), blank, ["image"], config.tv_weight),
                ],
            )

        def objective(subject: Subject) -> Loss:
            shape = (subject.content.shape[-2], subject.content.shape[-1])
            shapes = loss_scale_shapes(
                shape, config.loss_scales, subject.shortest_side(config.style_scale)
            ) + near_scale_shapes(shape, config.near_scales)
            smaller = [subject.resized(each, style_scale=config.style_scale, device=device) for each in shapes]
            return MultiscaleObjective([at_one_size(each) for each in smaller], shapes)

        return objective

    def _style_terms(
        self, backbone: Backbone, photograph: Features, region: Region, layers: Sequence[str]
    ) -> list[Term]:
        """The terms of one region; it counts by its area, as it does in the mean that is the content's loss."""
        pictures = [backbone.encode(style.image, layers) for style in region.styles]
        guides = [layer_guides(style.mask, features) for style, features in zip(region.styles, pictures, strict=True)]
        where = layer_guides(region.mask, photograph)
        shares = layer_shares(self.config.layer_weights, len(layers))
        mixes = layer_mixes([style.weight for style in region.styles], self.config.style_mix_fine, len(layers))
        return [
            term
            for layer, share, mix in zip(layers, shares, mixes, strict=True)
            for term in match(
                "style",
                self.style_loss,
                pictures,
                [layer],
                share * region.strength * region.area,
                mix,
                guides=guides,
                where=where,
                suffix=f"/{region.name}" if region.name else "",
            )
        ]


def check_strength(config: MatchingConfig) -> None:
    """Raises `ValueError` where a strength is given beside what it is to replace, or has nothing to weigh against."""
    if config.strength is None:
        return
    if config.style_weight != type(config)().style_weight:
        raise ValueError("strength: it sets the weight of the style, and style_weight is given too; give one of them")
    if config.content_weight == 0:
        raise ValueError(
            "strength: it weighs the style against the content, whose weight is 0; give style_weight instead"
        )


def check_layer_weights(weights: Sequence[float], layers: Sequence[str]) -> None:
    """Raises `ValueError` unless there are none, or one for each layer and one of them above 0."""
    if weights and (len(weights) != len(layers) or not sum(weights) > 0):
        raise ValueError(
            f"layer_weights: {len(weights)} weights, but {len(layers)} style layers; give one a layer, one above 0"
        )


def layer_shares(weights: Sequence[float], count: int) -> list[float]:
    """Part of each of `count` layers in the style's pull; they sum to 1."""
    return [weight / sum(weights) for weight in weights] if weights else [1 / count] * count


def layer_mixes(coarse: Sequence[float], fine: Sequence[float], count: int) -> list[list[float]]:
    """The shares of the styles at each of `count` layers, from `fine` at the first to `coarse` at the last.

    Raises `ValueError` where `fine` is given for another number of styles.

    >>> layer_mixes([1, 0], [0, 1], 3)
    [[0.0, 1.0], [0.5, 0.5], [1.0, 0.0]]
    """
    if not fine:
        return [list(coarse)] * count
    if len(fine) != len(coarse) or not sum(fine) > 0:
        raise ValueError(
            f"style_mix_fine: {len(fine)} weights, but {len(coarse)} style picture(s); give one a picture, one above 0"
        )
    first = [weight / sum(fine) for weight in fine]
    depths = [i / max(count - 1, 1) for i in range(count)]
    return [[(1 - depth) * f + depth * c for f, c in zip(first, coarse, strict=True)] for depth in depths]

"""Keep the deep features of the photograph, match statistics of the styles: what many methods share.

They differ in which statistic, in weights and in layers; a method's file says only that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated

from annotated_types import Ge, Le
from pydantic.dataclasses import dataclass

from impasto.backbones import BACKBONES, Backbone, load_backbone
from impasto.chain import Pooling
from impasto.config import SETTINGS
from impasto.devices import pick_device, pick_dtype
from impasto.guidance import guides_of
from impasto.losses import FeatureLoss
from impasto.losses.content import ContentLoss
from impasto.losses.total_variation import TotalVariationLoss
from impasto.objective import Objective, Term, match
from impasto.scales import MakeObjective, PixelConfig, coarse_to_fine
from impasto.subject import Region, Subject
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
    content_weight: Weight = 1.0
    """Pull of the content."""
    style_weight: Weight = 100.0
    """Pull of the style: 10 is mild, 100 the classical look, 1000 all style."""
    tv_weight: Weight = 0.0
    """Pull towards smoothness (total variation of the pixels)."""
    content_layers: tuple[str, ...] = ()
    """Layers whose features are kept; none given means the backbone's own choice, relu4_2 for VGG."""
    style_layers: tuple[str, ...] = ()
    """Layers whose statistics are matched; none given means the backbone's own, relu1_1 to relu5_1 for VGG."""


class Matching:
    """A painter of one configuration and one style loss; checks the layers when it is made.

    Raises `ValueError` for a network or a layer that does not exist.
    """

    def __init__(self, config: MatchingConfig, style_loss: FeatureLoss) -> None:
        self.config, self.style_loss = config, style_loss
        self._networks = [config.backbone]
        if config.polish and config.backbone != POLISHER:
            self._networks.append(POLISHER)
        for network in self._networks:
            for layers in self.layers(network):
                BACKBONES[network].check_layers(layers)

    def layers(self, network: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Where `network` keeps the content and takes the style."""
        own = BACKBONES[network]
        return self.config.content_layers or own.content_layers, self.config.style_layers or own.style_layers

    def paint(self, subject: Subject) -> Iterator[Step]:
        return coarse_to_fine(self.config, subject, *(self.objective(network) for network in self._networks))

    def objective(self, network: str) -> MakeObjective:
        """What the picture should minimise as `network` sees it."""
        config = self.config
        device = pick_device(config.device)
        dtype = pick_dtype(config.precision, device)
        content_layers, style_layers = self.layers(network)
        backbone = load_backbone(network, pooling=config.pooling, device=device, dtype=dtype)

        def objective(subject: Subject) -> Objective:
            photograph = backbone.encode(subject.content, [*content_layers, *style_layers])
            smooth = [{"image": subject.content.new_zeros(subject.content.shape)}]
            style = [
                term
                for region in subject.regions
                for term in self._style_terms(backbone, photograph, region, style_layers)
            ]
            return Objective(
                backbone,
                [
                    *match("content", ContentLoss(), [photograph], content_layers, config.content_weight),
                    *style,
                    *match("smooth", TotalVariationLoss(), smooth, ["image"], config.tv_weight),
                ],
            )

        return objective

    def _style_terms(
        self, backbone: Backbone, photograph: Features, region: Region, layers: Sequence[str]
    ) -> list[Term]:
        """The terms of one region; it counts by its area, as it does in the mean that is the content's loss."""
        pictures = [backbone.encode(style.image, layers) for style in region.styles]
        guides = [guides_of(style.mask, features) for style, features in zip(region.styles, pictures, strict=True)]
        return match(
            "style",
            self.style_loss,
            pictures,
            layers,
            self.config.style_weight * region.strength * region.area,
            [style.share for style in region.styles],
            guides=guides,
            where=guides_of(region.mask, photograph),
            suffix=f"/{region.name}" if region.name else "",
        )

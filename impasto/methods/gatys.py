from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated

from annotated_types import Ge, Le
from pydantic.dataclasses import dataclass

from impasto.backbones import BACKBONES, load_backbone
from impasto.chain import Pooling
from impasto.config import SETTINGS
from impasto.devices import pick_device, pick_dtype
from impasto.losses.content import ContentLoss
from impasto.losses.gram import GramLoss
from impasto.losses.total_variation import TotalVariationLoss
from impasto.methods import METHODS, Method
from impasto.objective import Objective, match
from impasto.scales import MakeObjective, PixelConfig, coarse_to_fine
from impasto.types import Image, Step

POLISHER = "vgg19-caffe"
"""The network that the setting `polish` asks at the end."""
Weight = Annotated[float, Ge(0), Le(1e9)]


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class GatysConfig(PixelConfig):
    """Settings of `gatys`."""

    backbone: str = "lite"
    """Network whose features judge the picture."""
    pooling: Pooling = "max"
    """What the network pools with; the paper preferred average."""
    content_weight: Weight = 1.0
    """Pull of the content."""
    style_weight: Weight = 100.0
    """Pull of the style: 10 is mild, 100 the classical look, 1000 all style."""
    tv_weight: Weight = 0.0
    """Pull towards smoothness (total variation of the pixels)."""
    content_layers: tuple[str, ...] = ()
    """Layers whose features are kept; none given means the backbone's own choice, relu4_2 for VGG."""
    style_layers: tuple[str, ...] = ()
    """Layers whose Gram matrices are matched; none given means the backbone's own, relu1_1 to relu5_1 for VGG."""


@METHODS.add("gatys")
class Gatys(Method):
    """Image style transfer by matching Gram matrices (Gatys, Ecker & Bethge, arXiv 1508.06576; CVPR 2016).

    The features of one deep layer are kept, the channel correlations of five layers are matched, and only the picture's
    pixels are optimised.

    Departs from the paper: max pooling, a content start, and losses that are means instead of sums.
    """

    summary = "Match Gram matrices of VGG features by optimising the pixels (Gatys et al. 2016)"
    Config = GatysConfig
    config: GatysConfig

    def __init__(self, config: GatysConfig) -> None:
        super().__init__(config)
        self._networks = [config.backbone]
        if config.polish and config.backbone != POLISHER:
            self._networks.append(POLISHER)
        for network in self._networks:
            for layers in self._layers(network):
                BACKBONES[network].check_layers(layers)

    def _layers(self, network: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Where `network` keeps the content and takes the style."""
        own = BACKBONES[network]
        return self.config.content_layers or own.content_layers, self.config.style_layers or own.style_layers

    def paint(self, content: Image, styles: Sequence[Image], mix: Sequence[float]) -> Iterator[Step]:
        objectives = [self._objective(network, mix) for network in self._networks]
        return coarse_to_fine(self.config, content, styles, *objectives)

    def _objective(self, network: str, mix: Sequence[float]) -> MakeObjective:
        """What the picture should minimise as `network` sees it."""
        config = self.config
        device = pick_device(config.device)
        dtype = pick_dtype(config.precision, device)
        content_layers, style_layers = self._layers(network)
        backbone = load_backbone(network, pooling=config.pooling, device=device, dtype=dtype)

        def objective(content: Image, styles: Sequence[Image]) -> Objective:
            kept = [backbone.encode(content, content_layers)]
            matched = [backbone.encode(style, style_layers) for style in styles]
            smooth = [{"image": content.new_zeros(content.shape)}]
            return Objective(
                backbone,
                [
                    *match("content", ContentLoss(), kept, content_layers, config.content_weight),
                    *match("style", GramLoss(), matched, style_layers, config.style_weight, mix),
                    *match("smooth", TotalVariationLoss(), smooth, ["image"], config.tv_weight),
                ],
            )

        return objective

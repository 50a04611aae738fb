"""Compute metrics that are a registered loss on the evaluation network."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from impasto.backbones import Backbone
from impasto.losses import FeatureLoss
from impasto.losses.content import ContentLoss
from impasto.losses.gram import GramLoss
from impasto.losses.moments import MomentsLoss
from impasto.metrics.base import METRICS, Metric, available_layers


class LossMetric(Metric):
    """Metric that is the distance of a loss, at the content layers for structure and the style layers for style."""

    loss: ClassVar[type[FeatureLoss]]
    factor: ClassVar[float] = 1.0
    """Factor of the loss."""
    preferred: ClassVar[tuple[str, ...]] = ()
    """Layers to compare instead, where the network has them."""

    def layers(self, backbone: type[Backbone]) -> tuple[str, ...]:
        """Return the preferred layers, or the layers of the backbone for content or style."""
        usual = backbone.content_layers if self.measures == "structure" else backbone.style_layers
        return available_layers(backbone, self.preferred, usual)

    def compare(self, output: Tensor, reference: Tensor) -> float:
        """Return the distance of the loss, times the factor, for `(1, C, H, W)` and `(1, C, h, w)`."""
        loss = self.loss()
        return self.factor * loss.distance(loss.statistic(output), loss.statistic(reference)).item()


@METRICS.add("content")
class DeepContent(LossMetric):
    """Mean squared difference of deep features at each position (after Deng et al., StyTr2, CVPR 2022; 2105.14576)."""

    summary = "mean squared difference of deep features at each position"
    measures = "structure"
    loss = ContentLoss
    preferred = ("relu4_1", "relu5_1")


@METRICS.add("gatys_content")
class GatysContent(LossMetric):
    """Content loss that `gatys` minimizes, unweighted (Gatys, Ecker & Bethge, CVPR 2016)."""

    summary = "content loss of `gatys`: mean squared difference at the layer that it optimizes"
    measures = "structure"
    loss = ContentLoss


@METRICS.add("gram")
class GramDifference(LossMetric):
    """Mean squared difference of the Gram matrices F Fᵀ/(H W) (Gatys, Ecker & Bethge, CVPR 2016)."""

    summary = "mean squared difference of Gram matrices"
    measures = "style"
    loss = GramLoss
    factor = 4.0  # the loss divides by 4


@METRICS.add("style")
class MomentDifference(LossMetric):
    """Mean squared difference of channel means, plus that of standard deviations (Huang & Belongie, ICCV 2017)."""

    summary = "mean squared difference of channel means, plus that of channel standard deviations"
    measures = "style"
    loss = MomentsLoss

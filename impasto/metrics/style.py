from __future__ import annotations

from torch import Tensor

from impasto.backbones import Backbone
from impasto.losses.moments import MomentsLoss
from impasto.metrics.base import METRICS, Metric


@METRICS.add("style")
class Style(Metric):
    """Mean squared difference of channel means, plus that of standard deviations (Huang & Belongie, ICCV 2017)."""

    summary = "mean squared difference of channel means, plus that of channel standard deviations"
    measures = "style"

    def layers(self, backbone: type[Backbone]) -> tuple[str, ...]:
        return backbone.style_layers

    def compare(self, output: Tensor, reference: Tensor) -> float:
        loss = MomentsLoss()
        return loss.distance(loss.statistic(output), loss.statistic(reference)).item()

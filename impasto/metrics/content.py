from __future__ import annotations

from torch import Tensor

from impasto.backbones import Backbone
from impasto.losses.content import ContentLoss
from impasto.metrics.base import METRICS, Metric, known_layers


@METRICS.add("content")
class Content(Metric):
    """Mean squared difference of deep features, place by place (after Deng et al., StyTr2, CVPR 2022; 2105.14576)."""

    summary = "mean squared difference of deep features, place by place"
    measures = "structure"

    def layers(self, backbone: type[Backbone]) -> tuple[str, ...]:
        return known_layers(backbone, ("relu4_1", "relu5_1"), otherwise=backbone.content_layers)

    def compare(self, output: Tensor, reference: Tensor) -> float:
        loss = ContentLoss()
        return loss.distance(loss.statistic(output), loss.statistic(reference)).item()

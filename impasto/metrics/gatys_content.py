from __future__ import annotations

from torch import Tensor

from impasto.backbones import Backbone
from impasto.losses.content import ContentLoss
from impasto.metrics.base import METRICS, Metric


@METRICS.add("gatys_content")
class GatysContent(Metric):
    """The content loss that `gatys` minimizes, unweighted (Gatys, Ecker & Bethge, CVPR 2016)."""

    summary = "content loss of `gatys`: mean squared difference at the layer that it optimizes"
    measures = "structure"

    def layers(self, backbone: type[Backbone]) -> tuple[str, ...]:
        return backbone.content_layers

    def compare(self, output: Tensor, reference: Tensor) -> float:
        loss = ContentLoss()
        return loss.distance(loss.statistic(output), loss.statistic(reference)).item()

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from impasto.backbones import Backbone
from impasto.losses.gram import GramLoss
from impasto.metrics.base import METRICS, Metric, Trio


@METRICS.add("style_share")
class StyleShare(Metric):
    """Style loss that is left: that of the output, divided by that of the content picture.

    The style loss is that of Gatys, Ecker & Bethge (CVPR 2016), the mean over the layers of |G - Ĝ|²/(4 C²). The share
    is 1 for the content itself and 0 for the style, and NaN where the content has no style loss to lose.
    """

    summary = "style loss of `gatys`, as a share of the content picture's own"
    measures = "style"

    def layers(self, backbone: type[Backbone]) -> tuple[str, ...]:
        return backbone.style_layers

    def compare(self, output: Tensor, reference: Tensor) -> float:
        loss = GramLoss()
        return loss.distance(loss.statistic(output), loss.statistic(reference)).item()

    def score(self, trio: Trio, layers: Sequence[str]) -> float:
        before = sum(self.compare(trio.content[layer], trio.style[layer]) for layer in layers)
        after = sum(self.compare(trio.output[layer], trio.style[layer]) for layer in layers)
        return after / before if before else float("nan")

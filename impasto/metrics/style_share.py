"""Compute the metric `style_share`."""

from __future__ import annotations

from collections.abc import Sequence

from impasto.losses.gram import GramLoss
from impasto.metrics.base import METRICS, MetricInputs
from impasto.metrics.loss_metric import LossMetric


@METRICS.add("style_share")
class StyleShare(LossMetric):
    """Remaining style loss: the style loss of the output divided by that of the content image.

    The style loss is that of Gatys, Ecker & Bethge (CVPR 2016), the mean over the layers of |G - Ĝ|²/(4 C²). The
    share is 1 for the content image itself, 0 for the style image, and NaN where the content image has no style loss.
    """

    summary = "style loss of `gatys`, as a fraction of the style loss of the content image"
    measures = "style"
    loss = GramLoss

    def score(self, inputs: MetricInputs, layers: Sequence[str]) -> float:
        """Return the style loss of the output, summed over the layers, divided by that of the content image."""
        before = sum(self.compare(inputs.content[layer], inputs.style[layer]) for layer in layers)
        after = sum(self.compare(inputs.output[layer], inputs.style[layer]) for layer in layers)
        return after / before if before else float("nan")

from __future__ import annotations

from torch import Tensor

from impasto.backbones import Backbone
from impasto.features.moments import second_moment
from impasto.metrics.base import METRICS, Metric


@METRICS.add("gram")
class Gram(Metric):
    """Mean squared difference of the Gram matrices F Fᵀ/(H W) (Gatys, Ecker & Bethge, CVPR 2016)."""

    summary = "mean squared difference of Gram matrices"
    measures = "style"

    def layers(self, backbone: type[Backbone]) -> tuple[str, ...]:
        return backbone.style_layers

    def compare(self, output: Tensor, reference: Tensor) -> float:
        return (second_moment(output) - second_moment(reference)).square().mean().item()

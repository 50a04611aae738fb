"""Compute the metric `sliced_wasserstein`."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.backbones import Backbone
from impasto.metrics.base import METRICS, Metric, available_layers

SEED = 0


@METRICS.add("sliced_wasserstein")
class SlicedWasserstein(Metric):
    """Sliced Wasserstein distance between the feature vectors of a layer (Heitz et al., CVPR 2021; 2006.07229).

    Mean squared difference of the sorted projections onto as many random unit directions as there are channels; the
    directions are always the same. Where the maps differ in size, the sorted values of the reference are interpolated.
    By default it compares layers that no method optimizes.
    """

    summary = "sliced Wasserstein distance between feature vectors, at layers that were not optimized"
    measures = "style"

    def layers(self, backbone: type[Backbone]) -> tuple[str, ...]:
        """Return layers that are neither content nor style layers, if the backbone has any."""
        optimized = {*backbone.content_layers, *backbone.style_layers}
        others = [layer for layer in backbone.layers if layer not in optimized and not layer.startswith("pool")]
        preferred = ("relu1_2", "relu2_2", "relu3_2", "relu4_3")
        return available_layers(backbone, preferred, fallback=others or backbone.style_layers)

    def compare(self, output: Tensor, reference: Tensor) -> float:
        """Return the squared distance, for `(1, C, H, W)` and `(1, C, h, w)`."""
        axes = directions(output.shape[1])
        own, target = ((axes @ maps[0].flatten(1)).sort(1).values for maps in (output, reference))  # (C, H*W)
        if own.shape != target.shape:
            target = F.interpolate(target[None], size=own.shape[1], mode="linear", align_corners=False)[0]
        return (own - target).square().mean().item()


def directions(channels: int) -> Tensor:
    """Return random unit vectors, one per row of `(channels, channels)`; they are the same in every call."""
    generator = torch.Generator().manual_seed(SEED)
    return F.normalize(torch.randn(channels, channels, generator=generator), dim=1)

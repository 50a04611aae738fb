from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.backbones import Backbone
from impasto.metrics.base import METRICS, Metric, known_layers

SEED = 0


@METRICS.add("sliced_wasserstein")
class SlicedWasserstein(Metric):
    """Sliced Wasserstein distance between the feature vectors of a layer (Heitz et al., CVPR 2021; 2006.07229).

    Mean squared difference of the sorted projections onto as many random unit directions as there are channels,
    always the same ones. Where the maps differ in size, the sorted values of the reference are interpolated. Looks at
    layers that no method optimizes by default.
    """

    summary = "sliced Wasserstein distance between feature vectors, at layers that were not optimized"
    measures = "style"

    def layers(self, backbone: type[Backbone]) -> tuple[str, ...]:
        optimized = {*backbone.content_layers, *backbone.style_layers}
        unseen = [layer for layer in backbone.layers if layer not in optimized and not layer.startswith("pool")]
        preferred = ("relu1_2", "relu2_2", "relu3_2", "relu4_3")
        return known_layers(backbone, preferred, otherwise=unseen or backbone.style_layers)

    def compare(self, output: Tensor, reference: Tensor) -> float:
        axes = directions(output.shape[1])
        painted, wanted = ((axes @ maps[0].flatten(1)).sort(1).values for maps in (output, reference))  # (C, H*W)
        if painted.shape != wanted.shape:
            wanted = F.interpolate(wanted[None], size=painted.shape[1], mode="linear", align_corners=False)[0]
        return (painted - wanted).square().mean().item()


def directions(channels: int) -> Tensor:
    """Random unit vectors, one a row of `(channels, channels)`; the same ones every time."""
    generator = torch.Generator().manual_seed(SEED)
    return F.normalize(torch.randn(channels, channels, generator=generator), dim=1)

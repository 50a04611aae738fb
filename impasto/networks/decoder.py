from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.backbones.narrow_vgg import LAYERS
from impasto.networks.padding import Convolution
from impasto.types import Image

Encoder = Callable[[Image], Tensor]
"""From a picture `(B, 3, H, W)` to its features `(B, C, h, w)` of one layer, float32."""


class Decoder(nn.Module):
    """Features of one layer of a VGG -> the picture: the layers up to it in reverse, enlarging where it pools.

    As in AdaIN (Huang & Belongie, ICCV 2017) and WCT (Li et al., NIPS 2017): nearest enlarging before a convolution,
    which leaves no grid, and no normalization, which would spoil the statistics that were just set.

    Departs from the papers: the border is repeated, not reflected, so that a map of one place can be decoded.

    Args:
        layer: `relu1_1` to `relu5_1`.
        widths: channels of the VGG's convolutions, from the picture up, at least as far as `layer`.
    """

    def __init__(self, layer: str, widths: Sequence[int]) -> None:
        super().__init__()
        names = LAYERS[: LAYERS.index(layer) + 1]
        channels = [3, *widths[: sum(name.startswith("relu") for name in names)]]
        self.steps = nn.ModuleList()
        for name in reversed(names):
            if name.startswith("pool"):
                self.steps.append(nn.Upsample(scale_factor=2.0, mode="nearest"))
            else:
                above, below = channels.pop(), channels[-1]
                self.steps.append(Convolution(above, below))

    def forward(self, features: Tensor) -> Image:
        """The picture `(B, 3, H, W)`, not clamped, for features `(B, C, h, w)`; sides are multiples of the pooling."""
        x = features.contiguous(memory_format=torch.channels_last)
        for i, step in enumerate(self.steps, 1):
            x = step(x)
            if isinstance(step, nn.Conv2d) and i < len(self.steps):
                x = F.relu(x)
        return x.float() + 0.5

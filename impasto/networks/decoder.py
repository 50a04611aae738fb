"""Decode features of a VGG layer into an image."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.backbones.narrow_vgg import LAYERS
from impasto.networks.padding import PaddedConvolution
from impasto.types import Image

Encoder = Callable[[Image], Tensor]
"""Function from an image `(B, 3, H, W)` to its features `(B, C, h, w)` of one layer, float32."""


class Decoder(nn.Module):
    """Decoder of one VGG layer: the layers up to it in reverse order, with upsampling in place of pooling.

    As in AdaIN (Huang & Belongie, ICCV 2017) and WCT (Li et al., NIPS 2017): nearest-neighbor upsampling before a
    convolution, which leaves no checkerboard, and no normalization, which would change the statistics of the style.

    Departs from the papers: replication padding instead of reflection, so that a map of one position can be decoded.

    Args:
        layer: name of the decoded layer, `relu1_1` to `relu5_1`.
        widths: channels of the VGG's convolutions, from the image up, at least as far as `layer`.
    """

    def __init__(self, layer: str, widths: Sequence[int]) -> None:
        super().__init__()
        names = LAYERS[: LAYERS.index(layer) + 1]
        channels = [3, *widths[: sum(name.startswith("relu") for name in names)]]
        self.layers = nn.ModuleList()
        for name in reversed(names):
            if name.startswith("pool"):
                self.layers.append(nn.Upsample(scale_factor=2.0, mode="nearest"))
            else:
                inputs, outputs = channels.pop(), channels[-1]
                self.layers.append(PaddedConvolution(inputs, outputs))

    def forward(self, features: Tensor) -> Image:
        """Return the decoded image `(B, 3, H, W)`, not clamped.

        Args:
            features: `(B, C, h, w)`; H and W are h and w times the stride of the layer.
        """
        x = features.contiguous(memory_format=torch.channels_last)
        for i, layer in enumerate(self.layers, 1):
            x = layer(x)
            if isinstance(layer, nn.Conv2d) and i < len(self.layers):
                x = F.relu(x)
        return x.float() + 0.5

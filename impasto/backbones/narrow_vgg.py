"""Define a trainable VGG of other widths."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.backbones.chain import Convolution, Layer, Pool, block_names
from impasto.types import Features

BLOCKS = (2, 2, 4, 4, 1)
"""Number of convolutions in each block."""
LAYERS = block_names(BLOCKS)[:-1]
"""VGG-19's layers under the papers' names, up to relu5_1, the deepest layer that style transfer uses."""
RELUS = tuple(name for name in LAYERS if name.startswith("relu"))


class NarrowVGG(nn.Module):
    """VGG-19 (Simonyan & Zisserman 2014, arXiv 1409.1556) up to relu5_1 with other widths and max pooling.

    Args:
        widths: channels of each layer, as in `RELUS`.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.convolutions = nn.ModuleDict()
        channels = 3
        for name, width in zip(RELUS, widths, strict=True):
            self.convolutions[name] = nn.Conv2d(channels, width, 3, padding=1)
            channels = width

    def convolution(self, name: str) -> nn.Conv2d:
        """Return the convolution before a ReLU."""
        convolution = self.convolutions[name]
        assert isinstance(convolution, nn.Conv2d)
        return convolution

    def forward(self, x: Tensor) -> Features:
        """Return the output `(B, C, h, w)` of every ReLU for normalized pixels `(B, 3, H, W)`."""
        x = x.contiguous(memory_format=torch.channels_last)
        features: Features = {}
        for name in LAYERS:
            if name in self.convolutions:
                x = F.relu(self.convolution(name)(x))
                features[name] = x
            else:
                x = F.max_pool2d(x, 2)
        return features

    def frozen(self) -> list[Layer]:
        """Return copies of the layers without gradient, for an `impasto.backbones.chain.Chain`."""
        return [
            Convolution(name, *(tensor.detach().clone() for tensor in self.convolution(name).parameters()))
            if name in self.convolutions
            else Pool(name)
            for name in LAYERS
        ]

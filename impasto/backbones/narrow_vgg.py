from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.backbones.chain import Convolution, Layer, Pool, block_names
from impasto.types import Features

BLOCKS = (2, 2, 4, 4, 1)
"""Convolutions in each block."""
LAYERS = block_names(BLOCKS)[:-1]
"""VGG-19's layers under the papers' names, from the picture up to relu5_1, the deepest that style transfer asks for."""
RELUS = tuple(name for name in LAYERS if name.startswith("relu"))


class NarrowVGG(nn.Module):
    """VGG-19 (Simonyan & Zisserman 2014, arXiv 1409.1556) up to relu5_1, with other widths and max pooling.

    Args:
        widths: channels of each layer, as in `RELUS`.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.convolutions = nn.ModuleDict()
        below = 3
        for name, width in zip(RELUS, widths, strict=True):
            self.convolutions[name] = nn.Conv2d(below, width, 3, padding=1)
            below = width

    def convolution(self, name: str) -> nn.Conv2d:
        """The convolution below the ReLU called `name`."""
        convolution = self.convolutions[name]
        assert isinstance(convolution, nn.Conv2d)
        return convolution

    def forward(self, x: Tensor) -> Features:
        """Every ReLU's output `(B, C, h, w)`, for normalized pixels `(B, 3, H, W)`."""
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
        """The layers as they are now, for an `impasto.backbones.chain.Chain`."""
        return [
            Convolution(name, *(tensor.detach().clone() for tensor in self.convolution(name).parameters()))
            if name in self.convolutions
            else Pool(name)
            for name in LAYERS
        ]

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


class LowRankConvolution(nn.Module):
    """A 3x3 convolution of fewer channels between two 1x1 convolutions.

    Args:
        channels: channels of the input.
        width: channels of the output.
        rank_in: channels of the input of the 3x3 convolution; 0: those of the input, without a 1x1 convolution.
        rank_out: channels of its output.
    """

    def __init__(self, channels: int, width: int, rank_in: int, rank_out: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, rank_in, 1, bias=False) if rank_in else None
        self.core = nn.Conv2d(rank_in or channels, rank_out, 3, padding=1, bias=False)
        self.expand = nn.Conv2d(rank_out, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolution of `(B, C, H, W)`."""
        if self.reduce is not None:
            x = self.reduce(x)
        return self.expand(self.core(x))  # type: ignore[no-any-return]


class NarrowVGG(nn.Module):
    """VGG-19 (Simonyan & Zisserman 2014, arXiv 1409.1556) up to relu5_1 with other widths or ranks and max pooling.

    Args:
        widths: channels of each layer, as in `RELUS`.
        ranks: channels of the input and the output of each 3x3 convolution that is of low rank; (0, 0) for another one.
    """

    def __init__(self, widths: Sequence[int], ranks: Sequence[tuple[int, int]] = ((0, 0),) * len(RELUS)) -> None:
        super().__init__()
        self.convolutions = nn.ModuleDict()
        channels = 3
        for name, width, (rank_in, rank_out) in zip(RELUS, widths, ranks, strict=True):
            self.convolutions[name] = (
                LowRankConvolution(channels, width, rank_in, rank_out)
                if rank_out
                else nn.Conv2d(channels, width, 3, padding=1)
            )
            channels = width

    def convolution(self, name: str) -> nn.Conv2d | LowRankConvolution:
        """Return the convolution before a ReLU."""
        convolution = self.convolutions[name]
        assert isinstance(convolution, nn.Conv2d | LowRankConvolution)
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
        return [_frozen(name, self.convolution(name)) if name in self.convolutions else Pool(name) for name in LAYERS]


def _frozen(name: str, convolution: nn.Conv2d | LowRankConvolution) -> Convolution:
    tensors = {key: tensor.detach().clone() for key, tensor in convolution.named_parameters()}
    if isinstance(convolution, nn.Conv2d):
        return Convolution(name, **tensors)
    weight, bias, expand = (tensors[key] for key in ("core.weight", "expand.bias", "expand.weight"))
    return Convolution(name, weight, bias, tensors.get("reduce.weight"), expand)

"""Define the network of the method `johnson`."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.networks.padding import PaddedConvolution
from impasto.networks.statistics import Measure, measure_untiled, moments, set_moments
from impasto.types import Image

BLOCKS = 5
Width = Literal["light", "full"]
WIDTHS: dict[Width, tuple[int, int, int]] = {"light": (16, 32, 64), "full": (32, 64, 128)}
"""Channels at full, half and a quarter of the image's resolution."""


class Johnson(nn.Module):
    """Network that stylizes any content image with the one style that it was trained for.

    The architecture of Johnson, Alahi & Fei-Fei (ECCV 2016) with the instance normalization of Ulyanov, Vedaldi &
    Lempitsky (arXiv 1607.08022): c9s1-32, d64, d128, five residual blocks, u64, u32, c9s1-3, or half as wide.

    Departs from the papers: features are upsampled and then convolved, which leaves no checkerboard, unlike transposed
    convolutions (Odena et al. 2016); replication padding; the last layer is linear, around gray.

    Args:
        width: `light` (16, 32 and 64 channels) or `full` (32, 64 and 128, as published).
    """

    stride = 4
    """Height and width of all images must be multiples of it."""
    halo = 64
    """Receptive-field radius in pixels: a pixel depends on pixels farther away only through means over the image."""
    max_untiled_pixels = 2**22
    """Pixels of the largest image that is processed without tiles by default."""

    def __init__(self, width: Width = "light") -> None:
        super().__init__()
        fine, half, quarter = WIDTHS[width]
        self.to_fine = NormalizedConvolution(3, fine, kernel_size=9)
        self.to_half = NormalizedConvolution(fine, half, stride=2)
        self.to_quarter = NormalizedConvolution(half, quarter, stride=2)
        self.blocks = nn.ModuleList(ResidualBlock(quarter) for _ in range(BLOCKS))
        self.back_to_half = NormalizedConvolution(quarter, half, upsample=True)
        self.back_to_fine = NormalizedConvolution(half, fine, upsample=True)
        self.to_pixels = PaddedConvolution(fine, 3, kernel_size=9)

    def encode(self, style: Image, measure: Measure = measure_untiled) -> tuple[()]:
        """Return an empty code: the style is in the weights."""
        return ()

    def forward(self, content: Image, code: tuple[Tensor, ...] = (), measure: Measure = measure_untiled) -> Image:
        """Return the stylized image `(B, 3, H, W)`, not clamped, for a content image."""
        x = (content - 0.5).contiguous(memory_format=torch.channels_last)
        x = F.relu(self.to_fine(x, measure))  # (B, fine, H, W)
        x = F.relu(self.to_half(x, measure))  # (B, half, H/2, W/2)
        x = F.relu(self.to_quarter(x, measure))  # (B, quarter, H/4, W/4)
        for block in self.blocks:
            x = block(x, measure)
        x = F.relu(self.back_to_half(x, measure))
        x = F.relu(self.back_to_fine(x, measure))
        stylized: Image = self.to_pixels(x).float() + 0.5
        return stylized


def to_channels_last(network: Johnson) -> Johnson:
    """Convert the kernels to the memory format of the features, in place, and return the network."""
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


class NormalizedConvolution(nn.Module):
    """Convolution followed by instance normalization with a learned mean and standard deviation per channel."""

    def __init__(
        self, inputs: int, outputs: int, *, stride: int = 1, kernel_size: int = 3, upsample: bool = False
    ) -> None:
        super().__init__()
        self.convolution = PaddedConvolution(inputs, outputs, stride, kernel_size, upsample=upsample)
        self.mean = nn.Parameter(torch.zeros(1, outputs))
        self.std = nn.Parameter(torch.ones(1, outputs))

    def forward(self, x: Tensor, measure: Measure) -> Tensor:
        """Return the normalized features `(B, outputs, h', w')` for features `(B, inputs, h, w)`."""
        x = self.convolution(x)
        return set_moments(x, measure(x, moments), self.mean, self.std)


class ResidualBlock(nn.Module):
    """Two normalized convolutions with a skip connection (He et al., CVPR 2016) and no ReLU after the sum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = NormalizedConvolution(channels, channels)
        self.second = NormalizedConvolution(channels, channels)

    def forward(self, x: Tensor, measure: Measure) -> Tensor:
        """Return features of the same shape `(B, channels, h, w)`."""
        residual: Tensor = self.second(F.relu(self.first(x, measure)), measure)
        return x + residual

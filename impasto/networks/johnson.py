from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.networks.padding import Convolution
from impasto.networks.statistics import Measure, moments, scaled, whole
from impasto.types import Image

BLOCKS = 5
Width = Literal["light", "full"]
WIDTHS: dict[Width, tuple[int, int, int]] = {"light": (16, 32, 64), "full": (32, 64, 128)}
"""Channels at the picture's own resolution, a half and a quarter of it."""


class Johnson(nn.Module):
    """Paints any photograph in the one manner that it was trained for.

    The network of Johnson, Alahi & Fei-Fei (ECCV 2016), with the instance normalization of Ulyanov, Vedaldi &
    Lempitsky (arXiv 1607.08022): c9s1-32, d64, d128, five residual blocks, u64, u32, c9s1-3, or half as wide.

    Departs from the papers: the picture is enlarged and then convolved, which leaves no grid, as transposed
    convolutions do (Odena et al. 2016); borders are repeated; the last layer is linear, around gray.
    """

    stride = 4
    """Sides of all pictures must be multiples of it."""
    reach = 64
    """So many pixels off, and farther, nothing shows in a pixel, but for means over the whole picture."""
    at_once = 2**22
    """Pixels of the largest picture that is not tiled, unless one asks for it."""

    def __init__(self, width: Width = "light") -> None:
        super().__init__()
        fine, half, quarter = WIDTHS[width]
        self.to_fine = Normalized(3, fine, side=9)
        self.to_half = Normalized(fine, half, stride=2)
        self.to_quarter = Normalized(half, quarter, stride=2)
        self.blocks = nn.ModuleList(Block(quarter) for _ in range(BLOCKS))
        self.back_to_half = Normalized(quarter, half, enlarges=True)
        self.back_to_fine = Normalized(half, fine, enlarges=True)
        self.to_pixels = Convolution(fine, 3, side=9)

    def encode(self, style: Image, measure: Measure = whole) -> tuple[()]:
        """Nothing: there is but one style."""
        return ()

    def forward(self, content: Image, code: tuple[Tensor, ...] = (), measure: Measure = whole) -> Image:
        """The painting `(B, 3, H, W)`, not clamped, of a photograph."""
        x = (content - 0.5).contiguous(memory_format=torch.channels_last)
        x = F.relu(self.to_fine(x, measure))  # (B, fine, H, W)
        x = F.relu(self.to_half(x, measure))  # (B, half, H/2, W/2)
        x = F.relu(self.to_quarter(x, measure))  # (B, quarter, H/4, W/4)
        for block in self.blocks:
            x = block(x, measure)
        x = F.relu(self.back_to_half(x, measure))
        x = F.relu(self.back_to_fine(x, measure))
        painting: Image = self.to_pixels(x).float() + 0.5
        return painting


def channels_last(network: Johnson) -> Johnson:
    """The network itself, its kernels laid out as the pictures are."""
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


class Normalized(nn.Module):
    """Convolution, then a learned mean and deviation for every channel of the picture."""

    def __init__(self, inputs: int, outputs: int, *, stride: int = 1, side: int = 3, enlarges: bool = False) -> None:
        super().__init__()
        self.convolution = Convolution(inputs, outputs, stride, side, enlarges=enlarges)
        self.mean = nn.Parameter(torch.zeros(1, outputs))
        self.deviation = nn.Parameter(torch.ones(1, outputs))

    def forward(self, x: Tensor, measure: Measure) -> Tensor:
        x = self.convolution(x)
        return scaled(x, measure(x, moments), self.mean, self.deviation)


class Block(nn.Module):
    """Two convolutions around which the features also pass unchanged (He et al., CVPR 2016); no ReLU after the sum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = Normalized(channels, channels)
        self.second = Normalized(channels, channels)

    def forward(self, x: Tensor, measure: Measure) -> Tensor:
        changed: Tensor = self.second(F.relu(self.first(x, measure)), measure)
        return x + changed

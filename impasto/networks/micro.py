"""Define the network of the method `micro`."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.networks.padding import PaddedConvolution
from impasto.networks.statistics import Measure, mean_and_std, measure_untiled, moments, set_moments
from impasto.types import Image

HALF, QUARTER, EIGHTH = 24, 48, 64
"""Channels at half, a quarter and an eighth of the image's resolution."""
CODE_SIZE = 96
MICRO_FILE = Path(str(files("impasto"))) / "assets" / "weights" / "micro.safetensors"
"""Path of the bundled weights for any style, trained by `impasto train micro`."""

Code = tuple[Tensor]
"""Code of a style, `(B, CODE_SIZE)`."""


class Micro(nn.Module):
    """Network of under 500,000 parameters that stylizes any content image with any style image in one pass.

    After MicroAST (Wang et al., AAAI 2023): a small style encoder computes a code, which sets the mean and standard
    deviation of every channel of the content's features. No VGG is involved.

    Departs from the paper: one code for the style, from which a linear layer computes all means and standard
    deviations; a third halving of the resolution, where most of the network is; the skip connections of the finer
    features are normalized with the code too.
    """

    stride = 8
    """Height and width of all images must be multiples of it."""
    halo = 96
    """Receptive-field radius in pixels: a pixel depends on pixels farther away only through means over the image."""
    max_untiled_pixels = 2**24
    """Pixels of the largest image that is processed without tiles by default."""

    def __init__(self) -> None:
        super().__init__()
        self.style_encoder = StyleEncoder()
        self.to_half = AdaptiveConvolution(4 * 3, HALF)
        self.to_quarter = AdaptiveConvolution(HALF, QUARTER, stride=2)
        self.to_eighth = AdaptiveConvolution(QUARTER, EIGHTH, stride=2)
        self.blocks = nn.ModuleList(AdaptiveResidualBlock(EIGHTH) for _ in range(2))
        self.back_to_quarter = AdaptiveConvolution(EIGHTH, QUARTER, upsample=True)
        self.refine = AdaptiveResidualBlock(QUARTER)
        self.back_to_half = AdaptiveConvolution(QUARTER, HALF, upsample=True)
        self.to_pixels = PaddedConvolution(HALF, 4 * 3)

    def encode(self, style: Image, measure: Measure = measure_untiled) -> Code:
        """Return the code of a style image `(B, 3, H, W)`."""
        return (self.style_encoder(style, measure),)

    def forward(self, content: Image, codes: Code, measure: Measure = measure_untiled) -> Image:
        """Return the stylized image `(B, 3, H, W)`, not clamped, for a content image and the code of a style."""
        (code,) = codes
        half = self.to_half(unshuffle(content), code, measure)  # (B, 24, H/2, W/2)
        quarter = self.to_quarter(half, code, measure)  # (B, 48, H/4, W/4)
        x = self.to_eighth(quarter, code, measure)  # (B, 64, H/8, W/8)
        for block in self.blocks:
            x = block(x, code, measure)
        x = self.back_to_quarter(x, code, measure) + quarter
        del quarter  # the peak of the memory is here
        x = self.refine(x, code, measure)
        x = self.back_to_half(x, code, measure) + half
        return F.pixel_shuffle(self.to_pixels(x), 2).float() + 0.5


class StyleEncoder(nn.Module):
    """Encoder of a style image into its code, from channel means and standard deviations at several resolutions."""

    def __init__(self) -> None:
        super().__init__()
        widths = (12, HALF, QUARTER, EIGHTH)
        strides = (1, 2, 2)
        self.convolutions = nn.ModuleList(map(PaddedConvolution, widths, widths[1:], strides))
        self.last = PaddedConvolution(EIGHTH, EIGHTH)
        self.code = nn.Sequential(nn.Linear(2 * (QUARTER + 2 * EIGHTH), CODE_SIZE), nn.LeakyReLU(0.2))

    def forward(self, style: Image, measure: Measure) -> Tensor:
        """Return the code `(B, CODE_SIZE)` of a style image `(B, 3, H, W)`."""
        x = unshuffle(style)
        statistics = []
        for layer in (*self.convolutions, self.last):
            x = F.relu(layer(x))
            statistics.append(torch.cat(mean_and_std(measure(x, moments)), 1))
        code: Tensor = self.code(torch.cat(statistics[1:], 1))
        return code


class AdaptiveConvolution(nn.Module):
    """Convolution, adaptive instance normalization with a style code, and a ReLU if `relu` is set."""

    def __init__(
        self, inputs: int, outputs: int, *, stride: int = 1, relu: bool = True, upsample: bool = False
    ) -> None:
        super().__init__()
        self.convolution = PaddedConvolution(inputs, outputs, stride, upsample=upsample)
        self.modulation = nn.Linear(CODE_SIZE, 2 * outputs)
        self.relu = relu

    def forward(self, x: Tensor, code: Tensor, measure: Measure) -> Tensor:
        """Return features `(B, outputs, h', w')` for features `(B, inputs, h, w)` and a code `(B, CODE_SIZE)`."""
        x = self.convolution(x)
        std, mean = self.modulation(code).float().chunk(2, 1)
        x = set_moments(x, measure(x, moments), mean, 1 + std)
        return F.relu_(x) if self.relu else x


class AdaptiveResidualBlock(nn.Module):
    """Two adaptive convolutions with a skip connection (He et al., CVPR 2016)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = AdaptiveConvolution(channels, channels)
        self.second = AdaptiveConvolution(channels, channels, relu=False)

    def forward(self, x: Tensor, code: Tensor, measure: Measure) -> Tensor:
        """Return features of the same shape `(B, channels, h, w)`, for a code `(B, CODE_SIZE)`."""
        residual: Tensor = self.second(self.first(x, code, measure), code, measure)
        return x + residual


def unshuffle(image: Image) -> Tensor:
    """Return the pixels around 0 with each 2x2 block as one position: `(B, 12, H/2, W/2)`, channels last."""
    return F.pixel_unshuffle(image - 0.5, 2).contiguous(memory_format=torch.channels_last)

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.networks.padding import Convolution
from impasto.networks.statistics import Measure, mean_and_deviation, moments, scaled, whole
from impasto.types import Image

HALF, QUARTER, EIGHTH = 24, 48, 64
"""Channels at each resolution."""
CODE = 96

GRAINS, GRAIN = (2, 4, 8), 0.03
"""Sizes of the grains in pixels, and how much they differ, root mean square, in units of the pixel range."""
GRAIN_SIDES = (512, 440)
"""Sides of the piece of grain that covers a photograph, in pixels."""

Code = tuple[Tensor]
"""What the network knows of a style, `(B, CODE)`."""


class Micro(nn.Module):
    """Paints any photograph in the manner of any picture in one pass; under 500,000 parameters, no VGG inside.

    After MicroAST (Wang et al., AAAI 2023): a small encoder of its own looks at the style, and what it finds sets the
    mean and deviation of every channel on the photograph's way through the network.

    Departs from the paper: one code for the style, from which a linear layer makes all means and deviations; a third
    halving of the resolution, where most of the network lies; the finer features go round it, restyled too.
    """

    stride = 8
    """Sides of all pictures must be multiples of it."""
    reach = 96
    """So many pixels off, and farther, nothing shows in a pixel, but for means over the whole picture."""
    at_once = 2**24
    """Pixels of the largest picture that is not tiled, unless one asks for it."""

    def __init__(self) -> None:
        super().__init__()
        self.style = StyleEncoder()
        self.to_half = Restyled(4 * 3, HALF)
        self.to_quarter = Restyled(HALF, QUARTER, stride=2)
        self.to_eighth = Restyled(QUARTER, EIGHTH, stride=2)
        self.blocks = nn.ModuleList(Block(EIGHTH) for _ in range(2))
        self.back_to_quarter = Restyled(EIGHTH, QUARTER, enlarges=True)
        self.refine = Block(QUARTER)
        self.back_to_half = Restyled(QUARTER, HALF, enlarges=True)
        self.to_pixels = Convolution(HALF, 4 * 3)

    def encode(self, style: Image, measure: Measure = whole) -> Code:
        """The code of a style `(B, 3, H, W)`."""
        return (self.style(style, measure),)

    def forward(self, content: Image, codes: Code, measure: Measure = whole) -> Image:
        """The painting `(B, 3, H, W)`, not clamped, of a photograph."""
        (code,) = codes
        half = self.to_half(pixels(content), code, measure)  # (B, 24, H/2, W/2)
        quarter = self.to_quarter(half, code, measure)  # (B, 48, H/4, W/4)
        x = self.to_eighth(quarter, code, measure)  # (B, 64, H/8, W/8)
        for block in self.blocks:
            x = block(x, code, measure)
        x = self.back_to_quarter(x, code, measure) + quarter
        del quarter  # here most memory is in use
        x = self.refine(x, code, measure)
        x = self.back_to_half(x, code, measure) + half
        return F.pixel_shuffle(self.to_pixels(x), 2).float() + 0.5


class StyleEncoder(nn.Module):
    """A picture -> its code `(B, CODE)`: what the channels are on the mean, and how much they vary."""

    def __init__(self) -> None:
        super().__init__()
        widths = (12, HALF, QUARTER, EIGHTH)
        strides = (1, 2, 2)
        self.convolutions = nn.ModuleList(map(Convolution, widths, widths[1:], strides))
        self.deeper = Convolution(EIGHTH, EIGHTH)
        self.code = nn.Sequential(nn.Linear(2 * (QUARTER + 2 * EIGHTH), CODE), nn.LeakyReLU(0.2))

    def forward(self, style: Image, measure: Measure) -> Tensor:
        x = pixels(style)
        seen = []
        for layer in (*self.convolutions, self.deeper):
            x = F.relu(layer(x))
            seen.append(torch.cat(mean_and_deviation(measure(x, moments)), 1))
        code: Tensor = self.code(torch.cat(seen[1:], 1))
        return code


class Restyled(nn.Module):
    """Convolution, then the mean and deviation that the style asks for, then, if wanted, a ReLU."""

    def __init__(
        self, inputs: int, outputs: int, *, stride: int = 1, relu: bool = True, enlarges: bool = False
    ) -> None:
        super().__init__()
        self.convolution = Convolution(inputs, outputs, stride, enlarges=enlarges)
        self.look = nn.Linear(CODE, 2 * outputs)
        self.relu = relu

    def forward(self, x: Tensor, code: Tensor, measure: Measure) -> Tensor:
        x = self.convolution(x)
        deviation, mean = self.look(code).float().chunk(2, 1)
        x = scaled(x, measure(x, moments), mean, 1 + deviation)
        return F.relu_(x) if self.relu else x


class Block(nn.Module):
    """Two convolutions around which the features also pass unchanged (He et al., CVPR 2016)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = Restyled(channels, channels)
        self.second = Restyled(channels, channels, relu=False)

    def forward(self, x: Tensor, code: Tensor, measure: Measure) -> Tensor:
        changed: Tensor = self.second(self.first(x, code, measure), code, measure)
        return x + changed


def grain(height: int, width: int, seed: int) -> Tensor:
    """Noise of several sizes `(1, 1, height, width)`, sides multiples of 8; it goes on where it ends, if repeated."""
    chance = torch.Generator().manual_seed(seed)
    noise = torch.zeros(1, 1, height, width)
    for size in GRAINS:
        coarse = torch.randn(1, 1, height // size, width // size, generator=chance)
        around = F.pad(coarse, (1, 1, 1, 1), mode="circular")
        fine = F.interpolate(around, scale_factor=float(size), mode="bilinear", align_corners=False)
        noise += GRAIN * fine[..., size:-size, size:-size]
    return noise


def grained(photo: Image, noise: Tensor, top: int = 0, left: int = 0) -> Image:
    """A photograph `(1, 3, H, W)`, or the piece of one from `top` and `left` on, with `noise` `(1, 1, h, w)`.

    The noise is repeated over it twice, upright and lying. Where h and w differ the two fall apart, so that both
    together come back after their least common multiple only: plain grounds would show a shorter repeat.

    A convolution makes the same of every place where nothing changes: of a clear sky a plain color, or a grid; and
    where nothing changes anywhere, there is no deviation to go by. Grain is what it can make strokes of.
    """
    rows = top + torch.arange(photo.shape[-2], device=photo.device)
    columns = left + torch.arange(photo.shape[-1], device=photo.device)
    upright = noise.to(photo.device) / 2**0.5
    lying = upright.mT.flip(3)
    for piece in (upright, lying):
        photo = photo + piece[:, :, rows % piece.shape[-2]][:, :, :, columns % piece.shape[-1]]
    return photo


def pixels(image: Image) -> Tensor:
    """Four pixels to a place, around 0: `(B, 12, H/2, W/2)`, channels last."""
    return F.pixel_unshuffle(image - 0.5, 2).contiguous(memory_format=torch.channels_last)

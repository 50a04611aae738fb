"""Define the learned step of the method `unrolled`, which follows a pass of `micro`.

A step of an optimization computes the gradient of the style loss. Here the shallow layers of a frozen encoder say how
far the image is from the style, and a backward pass with kernels of its own turns that into a change of the pixels.
Training these kernels makes a few steps do the work of many.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.backbones import ChainBackbone
from impasto.backbones.chain import Convolution
from impasto.features.moments import second_moment
from impasto.networks.micro import unshuffle
from impasto.networks.padding import PaddedConvolution
from impasto.networks.statistics import Measure, measure_untiled
from impasto.types import Features, Image

LAYERS = ("relu1_1", "relu2_1", "relu3_1")
"""Layers whose second moments are compared with those of the style."""
CONVOLUTIONS = ("relu1_1", "relu1_2", "relu2_1", "relu2_2", "relu3_1")
"""Layers of the encoder up to the last of these."""
REDUCTIONS = (4, 4, 2, 1)
"""Factors by which the image is reduced for each step, so that the first steps change large forms."""
FIRST_STEP = 4e-4
"""Length of a step before the training: a plain gradient step of this length lowers most style losses by a third."""
WIDTH = 24
"""Channels of the last layers, at half of the resolution."""
REACH = 36
"""Radius of the receptive field of a step in pixels of the reduced image, a multiple of 4."""

Code = tuple[Tensor, ...]
"""Second moments `(B, C, C)` of the features of a style, one per layer."""


class LearnedStep(nn.Module):
    """One step toward the style: the backward pass of an encoder with trained kernels, then three convolutions.

    The backward pass has the structure of the exact gradient of the style loss, with which the training begins: the
    differences of the second moments, multiplied by the features, pass back through every convolution, ReLU and max
    pooling. The last convolutions see the image, the content image and this change, and correct it.

    Reference: unrolled iterations with trained weights, Gregor & LeCun (ICML 2010); learned gradient descent, Adler &
    Öktem (Inverse Problems 2017).

    Args:
        encoder: a frozen VGG, which is not a part of the module's state.
    """

    def __init__(self, encoder: ChainBackbone) -> None:
        super().__init__()
        self._encode = encoder.encode_reflected
        layers = {layer.name: layer for layer in encoder.chain.layers if isinstance(layer, Convolution)}
        kernels = {name: _transposed(layers[name].weight) for name in CONVOLUTIONS}
        self.kernels = nn.ParameterDict({name: nn.Parameter(kernel) for name, kernel in kernels.items()})
        self.mixtures = nn.ParameterDict({name: nn.Parameter(torch.eye(kernels[name].shape[1])) for name in LAYERS})
        self.to_half = PaddedConvolution(3 * 4 * 3, WIDTH)
        self.residual = PaddedConvolution(WIDTH, WIDTH)
        self.to_pixels = PaddedConvolution(WIDTH, 4 * 3)
        for parameter in self.to_pixels.parameters():
            nn.init.zeros_(parameter)

    @torch.no_grad()
    def targets(self, style: Image, measure: Measure = measure_untiled) -> list[Tensor]:
        """Return the second moments `(B, C, C)` of a style image `(B, 3, H, W)`, one per layer."""
        features = self._encode(style, LAYERS)
        return [measure(features[name], second_moment) for name in LAYERS]

    def forward(
        self, image: Image, content: Image, targets: Sequence[Tensor], measure: Measure = measure_untiled
    ) -> Image:
        """Return the image after the step, not clamped; the gradient is that of the weights alone.

        Args:
            image: the image before the step, `(B, 3, H, W)`; height and width are multiples of 4.
            content: content image `(B, 3, H, W)`.
            targets: second moments of the style.
            measure: computes means over the whole image.
        """
        with torch.no_grad():
            features = self._encode(image, CONVOLUTIONS)
            moments = [measure(features[name], second_moment) for name in LAYERS]
            differences = [_difference(now, target) for now, target in zip(moments, targets, strict=True)]
        change = FIRST_STEP * self._gradient(features, differences).float()
        x = torch.cat([unshuffle(image), unshuffle(content), unshuffle(change + 0.5)], 1)
        x = F.relu(self.to_half(x.contiguous(memory_format=torch.channels_last)))  # (B, WIDTH, H/2, W/2)
        x = x + F.relu(self.residual(x))
        return image + change + F.pixel_shuffle(self.to_pixels(x), 2).float()

    def _gradient(self, features: Features, differences: Sequence[Tensor]) -> Tensor:
        """Return the change of the pixels `(B, 3, H, W)` by the backward pass."""
        first, second, third = (
            _gated(_multiplied(self.mixtures[name] @ difference, features[name]), features[name])
            for name, difference in zip(LAYERS, differences, strict=True)
        )
        x = _unpooled(self._back(third, "relu3_1"), features["relu2_2"])
        x = second + _gated(self._back(x, "relu2_2"), features["relu2_1"])
        x = _unpooled(self._back(x, "relu2_1"), features["relu1_2"])
        x = first + _gated(self._back(x, "relu1_2"), features["relu1_1"])
        return self._back(x, "relu1_1")

    def _back(self, gradient: Tensor, name: str) -> Tensor:
        return F.conv2d(gradient, self.kernels[name].to(gradient.dtype), padding=1)


class ReducedStep:
    """A learned step on a reduced image, whose change is enlarged and added: a network of a cascade.

    Its input has six channels: the image before the step, and the content image with noise.

    Args:
        step: the learned step, which may be shared.
        factor: factor of the reduction.
    """

    max_untiled_pixels = 2**22
    """Pixels of the largest image that is processed without tiles by default."""

    def __init__(self, step: LearnedStep, factor: int) -> None:
        self._step, self._factor = step, factor
        self.stride = 4 * factor
        """Height and width of all images must be multiples of it."""
        self.halo = REACH * factor
        """Radius of the receptive field in pixels, apart from the means over the whole image."""

    def encode(self, style: Image, measure: Measure = measure_untiled) -> Code:
        """Return the code of a style image `(B, 3, H, W)`."""
        return tuple(self._step.targets(reduced(style, self._factor), measure))

    def __call__(self, content: Tensor, code: Code, measure: Measure = measure_untiled) -> Image:
        """Return the image after the step, for `(B, 6, H, W)` and the code of a style."""
        return advance(self._step, content[:, :3], content[:, 3:], code, self._factor, measure)


def advance(
    step: LearnedStep,
    image: Image,
    content: Image,
    targets: Sequence[Tensor],
    factor: int,
    measure: Measure = measure_untiled,
) -> Image:
    """Return an image in [0, 1] after a step on the image reduced by a factor; arguments as for `LearnedStep`."""
    small = reduced(image, factor)
    stepped: Image = step(small, reduced(content, factor), targets, measure).clamp(0, 1)
    if factor == 1:
        return stepped
    change = F.interpolate(stepped - small, scale_factor=float(factor), mode="bilinear", align_corners=False)
    return (image + change).clamp(0, 1)


def reduced(image: Image, factor: int) -> Image:
    """Return an image reduced by a whole factor, by averages of pixels."""
    return F.avg_pool2d(image, factor) if factor > 1 else image


def _transposed(kernel: Tensor) -> Tensor:
    """Return the kernel `(I, O, 3, 3)` with which a convolution `(O, I, 3, 3)` passes back its gradient."""
    return kernel.detach().float().flip(2, 3).transpose(0, 1).contiguous()


def _difference(moments: Tensor, target: Tensor) -> Tensor:
    """Return the difference of second moments `(B, C, C)`, in units of their magnitude and of C, so at most 2 / C.

    Without the moments of the image in the unit, a style of one dark color would change the pixels without bounds.
    """
    magnitudes = [each.square().mean((1, 2), keepdim=True).sqrt() for each in (moments, target)]
    return (target - moments) / (torch.stack(magnitudes).mean(0).clamp_min(1e-6) * target.shape[1])


def _multiplied(matrices: Tensor, features: Tensor) -> Tensor:
    """Return features `(B, C, h, w)`, each multiplied by its matrix `(B, C, C)`."""
    rows = features.permute(0, 2, 3, 1).flatten(1, 2) @ matrices.mT.to(features.dtype)  # (B, h*w, C)
    product: Tensor = rows.view(len(features), *features.shape[2:], -1).permute(0, 3, 1, 2)
    return product


def _gated(gradient: Tensor, output: Tensor) -> Tensor:
    """Return the gradient before a ReLU, for the one after it and its output; ten times as fast as `torch.where`."""
    result: Tensor = torch.ops.aten.threshold_backward(gradient, output, 0)
    return result


def _unpooled(gradient: Tensor, output: Tensor) -> Tensor:
    """Return the gradient before a ReLU and a max pooling, for the one after them and the output of the ReLU."""
    pooled, positions = F.max_pool2d(output, 2, return_indices=True)
    window = ((2, 2), (2, 2), (0, 0), (1, 1), False)
    result: Tensor = torch.ops.aten.max_pool2d_with_indices_backward(
        _gated(gradient, pooled), output, *window, positions
    )
    return result

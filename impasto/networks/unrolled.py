"""Define the learned steps of the method `unrolled`, which follows a pass of `micro`.

A step of an optimization computes the gradient of the style loss. Here the shallow layers of a frozen encoder say how
far the image is from the style, and a backward pass with kernels of its own turns that into a change of the pixels.
Training these kernels makes a few steps do the work of many.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.backbones import ChainBackbone
from impasto.backbones.chain import Convolution, Pool, max_pool, max_pool_gradient, relu_gradient
from impasto.features.moments import second_moment, without_autocast
from impasto.networks.micro import unshuffle
from impasto.networks.padding import PaddedConvolution
from impasto.networks.statistics import Measure, measure_untiled
from impasto.types import Features, Image

LAYERS = ("relu1_1", "relu2_1", "relu3_1")
"""Layers whose second moments are compared with those of the style in a step at the full size."""
DEEP_LAYERS = (*LAYERS, "relu4_1", "relu5_1")
"""Layers of a step on a reduced image, where they take little time."""
CONTENT_LAYER, DEEP_CONTENT_LAYER = "relu3_1", "relu4_1"
"""Layers whose features such steps also compare with those of the content image."""
REDUCTIONS = (4, 2, 1, 4, 2, 1)
"""Factors by which the image is reduced for each step, so that some steps change large forms."""
FIRST_STEP = 4e-4
"""Length of a step before the training: a plain gradient step of this length lowers most style losses by a third."""
WIDTH = 24
"""Channels of the last layers, at half of the resolution."""
REACH, DEEP_REACH = 36, 176
"""Radii of the receptive fields of a step in pixels, and of one on a reduced image, in its pixels."""
SMALLEST = 16
"""Side in pixels below which a reduced image is extended."""

Code = tuple[Tensor, ...]
"""Second moments `(B, C, C)` of the features of a style, one per layer."""


class LearnedStep(nn.Module):
    """One step toward the style: the backward pass of an encoder with trained kernels, then three convolutions.

    The backward pass has the structure of the exact gradient of the style loss, with which the training begins: the
    differences of the second moments, multiplied by the features, pass back through every convolution, ReLU and max
    pooling. The kernels up to relu3_1 are trained; deeper ones are those of the encoder. The last convolutions see the
    image, the content image and this change, and correct it.

    Reference: unrolled iterations with trained weights, Gregor & LeCun (ICML 2010); learned gradient descent, Adler &
    Öktem (Inverse Problems 2017).

    Args:
        encoder: a frozen VGG, which is not a part of the module's state.
        layers: layers whose second moments are compared with those of the style, `LAYERS` or `DEEP_LAYERS`.
        content_layer: one of them, whose features are compared with those of the content image.
    """

    def __init__(
        self, encoder: ChainBackbone, layers: Sequence[str] = LAYERS, content_layer: str = CONTENT_LAYER
    ) -> None:
        super().__init__()
        self._encode, self._layers, chain = encoder.encode_reflected, layers, encoder.chain.layers
        self._content_layer = content_layer
        weights = {layer.name: layer.weight for layer in chain if isinstance(layer, Convolution)}
        self._path = _up_to(layers[-1], weights)
        self._pooled = {layer.name for layer, following in itertools.pairwise(chain) if isinstance(following, Pool)}
        trained = _up_to(LAYERS[-1], weights)
        kernels = {name: _transposed(weights[name]) for name in self._path}
        self.kernels = nn.ParameterDict({name: nn.Parameter(kernels.pop(name).float()) for name in trained})
        self._frozen_kernels = kernels
        self.mixtures = nn.ParameterDict({name: nn.Parameter(torch.eye(len(weights[name]))) for name in layers})
        width = len(weights[content_layer])
        self.content_mixture = nn.Parameter(torch.zeros(width, width))
        self.to_half = PaddedConvolution(3 * 4 * 3, WIDTH)
        self.residual = PaddedConvolution(WIDTH, WIDTH)
        self.to_pixels = PaddedConvolution(WIDTH, 4 * 3)
        for parameter in self.to_pixels.parameters():
            nn.init.zeros_(parameter)

    @torch.no_grad()
    def targets(self, style: Image, measure: Measure = measure_untiled) -> list[Tensor]:
        """Return the second moments `(B, C, C)` of a style image `(B, 3, H, W)`, one per layer."""
        features = self._encode(style, self._layers)
        return [measure(features[name], second_moment) for name in self._layers]

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
        with without_autocast(image):
            change = FIRST_STEP * self._change(image, content, targets, measure).float()
        x = torch.cat([unshuffle(image), unshuffle(content), unshuffle(change + 0.5)], 1)
        x = F.relu(self.to_half(x.contiguous(memory_format=torch.channels_last)))  # (B, WIDTH, H/2, W/2)
        x = x + F.relu(self.residual(x))
        return image + change + F.pixel_shuffle(self.to_pixels(x), 2).float()

    def _change(self, image: Image, content: Image, targets: Sequence[Tensor], measure: Measure) -> Image:
        """Return the change of the pixels toward the style and the content image: `(B, 3, H, W)`."""
        with torch.no_grad():
            features = self._encode(image, self._path)
            moments = [measure(features[name], second_moment) for name in self._layers]
            pairs = zip(self._layers, moments, targets, strict=True)
            differences = {name: _difference(now, target) for name, now, target in pairs}
            lost = self._encode(content, [self._content_layer])[self._content_layer] - features[self._content_layer]
        gradients = {
            name: _multiplied(self.mixtures[name] @ difference, features[name])
            for name, difference in differences.items()
        }
        gradients[self._content_layer] += _multiplied(self.content_mixture, lost)
        return self._pixel_gradient(features, gradients)

    def _pixel_gradient(self, features: Features, gradients: Mapping[str, Tensor]) -> Tensor:
        """Pass the gradients of the features of some layers back to the pixels: `(B, 3, H, W)`."""
        x = torch.zeros(())
        for name in reversed(self._path):
            if name in self._pooled:
                x = _unpooled(x, features[name])
            else:
                x = _gated(x + gradients[name] if name in gradients else x, features[name])
            kernel = self.kernels[name] if name in self.kernels else self._frozen_kernels[name]
            x = F.conv2d(x, kernel.to(x.dtype), padding=1)
        return x


class LearnedSteps(nn.Module):
    """The learned steps of all sizes: a fine one for the full size, and a coarse one for reduced images.

    Args:
        encoder: a frozen VGG, which is not a part of the module's state.
    """

    def __init__(self, encoder: ChainBackbone) -> None:
        super().__init__()
        self.fine, self.coarse = LearnedStep(encoder), LearnedStep(encoder, DEEP_LAYERS, DEEP_CONTENT_LAYER)

    def at(self, factor: int) -> LearnedStep:
        """Return the step for images that are reduced by a factor."""
        step = self.fine if factor == 1 else self.coarse
        assert isinstance(step, LearnedStep)
        return step


class ReducedStep:
    """A learned step on a reduced image, whose change is enlarged and added: a network of a cascade.

    Its input has six channels: the image before the step, and the content image with noise.

    Args:
        steps: the learned steps.
        factor: factor of the reduction.
    """

    def __init__(self, steps: LearnedSteps, factor: int) -> None:
        self._step, self._factor = steps.at(factor), factor
        self.stride = 4 * factor
        """Height and width of all images must be multiples of it."""
        self.halo = (REACH if factor == 1 else DEEP_REACH) * factor
        """Radius of the receptive field in pixels, apart from the means over the whole image."""
        self.max_untiled_pixels = 2**22 if factor == 1 else 2**24
        """Pixels of the largest image that is processed without tiles by default."""

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
    change = step(small, reduced(content, factor), targets, measure).clamp(0, 1) - small
    if factor > 1:
        change = F.interpolate(change, scale_factor=float(factor), mode="bilinear", align_corners=False)
    stepped: Image = (image + change[..., : image.shape[-2], : image.shape[-1]]).clamp(0, 1)
    return stepped


def reduced(image: Image, factor: int) -> Image:
    """Return an image reduced by a whole factor, by averages of pixels; a small one is extended by its last pixels."""
    image = F.avg_pool2d(image, factor) if factor > 1 else image
    bottom, right = (max(0, SMALLEST - side) for side in image.shape[-2:])
    return F.pad(image, (0, right, 0, bottom), mode="replicate") if bottom or right else image


def _up_to(last: str, names: Iterable[str]) -> list[str]:
    """Return the names up to the last one."""
    names = list(names)
    return names[: names.index(last) + 1]


def _transposed(kernel: Tensor) -> Tensor:
    """Return the kernel `(I, O, 3, 3)` with which a convolution `(O, I, 3, 3)` passes back its gradient."""
    return kernel.detach().flip(2, 3).transpose(0, 1).contiguous()


def _difference(moments: Tensor, target: Tensor) -> Tensor:
    """Return the difference of second moments `(B, C, C)`, in units of their magnitude and of C, so at most 2 / C.

    Without the moments of the image in the unit, a style of one dark color would change the pixels without bounds.
    """
    magnitudes = [each.square().mean((1, 2), keepdim=True).sqrt() for each in (moments, target)]
    return (target - moments) / (torch.stack(magnitudes).mean(0).clamp_min(1e-6) * target.shape[1])


def _multiplied(matrices: Tensor, features: Tensor) -> Tensor:
    """Return features `(B, C, h, w)`, each multiplied by its matrix `(B, C, C)` or by one matrix `(C, C)`."""
    rows = features.permute(0, 2, 3, 1).flatten(1, 2) @ matrices.mT.to(features.dtype)  # (B, h*w, C)
    product: Tensor = rows.view(len(features), *features.shape[2:], -1).permute(0, 3, 1, 2)
    return product


def _gated(gradient: Tensor, output: Tensor) -> Tensor:
    """Return the gradient before a ReLU, for the one after it and its output; ten times as fast as `torch.where`."""
    result: Tensor = torch.ops.aten.threshold_backward(gradient, output, 0)
    return result


def _unpooled(gradient: Tensor, output: Tensor) -> Tensor:
    """Return the gradient before a ReLU and a max pooling, for the one after them and the output of the ReLU."""
    if output.device.type in ("cpu", "meta") and not torch.is_grad_enabled():  # a third of the time of the positions
        pooled, rows = max_pool(output)
        return max_pool_gradient(relu_gradient(gradient, pooled, in_place=False), output, rows)
    pooled, positions = F.max_pool2d(output, 2, return_indices=True)
    window = ((2, 2), (2, 2), (0, 0), (1, 1), False)
    result: Tensor = torch.ops.aten.max_pool2d_with_indices_backward(
        _gated(gradient, pooled), output, *window, positions
    )
    return result

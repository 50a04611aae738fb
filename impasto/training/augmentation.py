"""Augment training images; every image has its own random generator."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def random_zoom(image: Tensor, generator: torch.Generator) -> Tensor:
    """Enlarge a random piece of an image by a factor of 1 to 2 with a probability of one half.

    Large pictures are smoother per pixel than small ones; the enlarged pieces represent them.

    Args:
        image: `(3, S, S)` in [0, 1].
        generator: source of the random numbers.

    Returns:
        Image `(3, S, S)` in [0, 1].
    """
    side = image.shape[-1]
    if torch.rand((), generator=generator) < 0.5:
        return image
    piece = int(torch.randint(side // 2, side, (), generator=generator))
    top, left = (int(torch.randint(side - piece + 1, (), generator=generator)) for _ in range(2))
    cropped = image[None, :, top : top + piece, left : left + piece]
    enlarged: Tensor = F.interpolate(cropped, size=(side, side), mode="bicubic", align_corners=False)[0]
    return enlarged.clamp(0, 1)


def random_degradation(image: Tensor, generator: torch.Generator) -> Tensor:
    """Add noise to an image with a probability of 30 %, or sharpen it too much with one of 20 %.

    The intermediate images of an optimization have similar errors.

    Args:
        image: `(3, S, S)` in [0, 1].
        generator: source of the random numbers.

    Returns:
        Image `(3, S, S)` in [0, 1].
    """
    chance, amount = torch.rand(2, generator=generator).tolist()
    if chance < 0.3:
        image = image + 0.3 * amount * torch.randn(image.shape, generator=generator).to(image.device)
    elif chance < 0.5:
        blurred = F.avg_pool2d(image[None], 3, 1, 1, count_include_pad=False)[0]
        image = image + (1 + 3 * amount) * (image - blurred)
    return image.clamp(0, 1)


def random_shift(images: Sequence[Tensor], seeds: Tensor, stride: int) -> list[Tensor]:
    """Crop several batches alike, at a random offset for each sample.

    Args:
        images: batches `(B, C, S, S)` of one size.
        seeds: one seed per sample, `(B,)`.
        stride: largest offset in pixels.

    Returns:
        Batches `(B, C, S - stride, S - stride)`.
    """
    side = images[0].shape[-1] - stride
    generators = [torch.Generator().manual_seed(int(seed) ^ 1) for seed in seeds]
    offsets = [torch.randint(stride + 1, (2,), generator=generator).tolist() for generator in generators]
    return [
        torch.stack([each[:, y : y + side, x : x + side] for each, (y, x) in zip(batch, offsets, strict=True)])
        for batch in images
    ]

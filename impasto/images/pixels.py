"""Resize, blur, quantize and check images in memory."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.images.in_files import empty_image, is_large, release_pages
from impasto.types import Image

Bits = Literal[8, 16]

STRIP_PIXELS = 2**23
"""Pixels of a strip in which a large image is resized."""
MAX_GPU_REDUCTION = 16
"""Largest factor by which a GPU reduces a side at once: at 64, PyTorch fails for lack of shared memory on an H200."""


def fit(height_width: tuple[int, int], longer_side: int) -> tuple[int, int]:
    """Return the height and width that keep the aspect ratio and have a given longer side.

    Args:
        height_width: original height and width in pixels.
        longer_side: new length of the longer side in pixels; the other side is rounded, to at least 1.

    Raises:
        ValueError: if a side is below 1.

    >>> fit((600, 800), 512)
    (384, 512)
    """
    if longer_side < 1 or min(height_width) < 1:
        raise ValueError(f"cannot fit {height_width} to a longer side of {longer_side}: give sides of at least 1 pixel")
    longest = max(height_width)
    height, width = (max(1, (2 * side * longer_side + longest) // (2 * longest)) for side in height_width)
    return height, width


def resize(image: Tensor, height_width: tuple[int, int]) -> Tensor:
    """Resize an image with an antialiased bicubic filter and clamp it to [0, 1].

    Filters sRGB-encoded values, as image editors do.

    Args:
        image: `(B, C, H, W)` in [0, 1].
        height_width: new height and width in pixels.

    Returns:
        `(B, C, *height_width)`; the same tensor if it already has this size.

    Raises:
        ValueError: if a side is below 1.
    """
    if min(height_width) < 1:
        raise ValueError(f"cannot resize to {height_width}: give sides of at least 1 pixel")
    if tuple(image.shape[-2:]) == tuple(height_width):
        return image
    if is_large(height_width) and not image.requires_grad and image.dtype == torch.float32:
        return _resize_large(image, height_width)
    resized = bicubic(image, height_width)  # bicubic filters overshoot at sharp edges
    return resized.clamp(0, 1) if resized.requires_grad else resized.clamp_(0, 1)


def _resize_large(image: Tensor, height_width: tuple[int, int]) -> Tensor:
    """Resize an image in strips of rows, then in strips of columns, with the same values as at once."""
    height, width = height_width
    rows = image.shape[-2]
    wide = empty_image((*image.shape[:2], rows, width), image.device, in_file=True)
    for top, bottom in _spans(rows, max(1, STRIP_PIXELS // width)):
        wide[..., top:bottom, :] = bicubic(image[..., top:bottom, :], (bottom - top, width))
        release_pages()
    resized = empty_image((*image.shape[:2], height, width), image.device)
    for left, right in _spans(width, max(1, STRIP_PIXELS // height)):
        resized[..., left:right] = bicubic(wide[..., left:right], (height, right - left)).clamp_(0, 1)
        release_pages()
    return resized


def _spans(length: int, step: int) -> Iterator[tuple[int, int]]:
    return ((first, min(first + step, length)) for first in range(0, length, step))


def _reduced_for_gpu(image: Tensor, height_width: tuple[int, int]) -> Tensor:
    """Return an image that is reduced so far that at most `MAX_GPU_REDUCTION` is left to a smaller size."""
    sides = [min(a, MAX_GPU_REDUCTION * b) for a, b in zip(image.shape[-2:], height_width, strict=True)]
    if tuple(sides) == tuple(image.shape[-2:]):
        return image
    return bicubic(image, (sides[0], sides[1]))


def bicubic(image: Tensor, height_width: tuple[int, int]) -> Tensor:
    """Resize an image `(B, C, H, W)` as `resize` does, without clamping."""
    if image.device.type != "cpu":
        image = _reduced_for_gpu(image, height_width)
    return F.interpolate(image, size=height_width, mode="bicubic", align_corners=False, antialias=True)


def bicubic_gradient(gradient: Tensor, shape: Sequence[int]) -> Tensor:
    """Return the gradient of the image for that of its resized version.

    Args:
        gradient: gradient of the result of `bicubic`, `(B, C, h, w)`.
        shape: shape of the image, `(B, C, H, W)`.
    """
    found: Tensor = torch.ops.aten._upsample_bicubic2d_aa_backward(
        gradient.contiguous(), list(gradient.shape[-2:]), list(shape), False, None, None
    )
    return found


def blur(image: Tensor, sigma: float) -> Tensor:
    """Blur an image `(B, C, H, W)` with a Gaussian; pixels beyond the border repeat the border.

    Args:
        image: `(B, C, H, W)`.
        sigma: standard deviation in pixels; below 0.25 the image is returned unchanged.
    """
    if sigma < 0.25:
        return image
    radius = math.ceil(3 * sigma)
    kernel = torch.exp(-0.5 * (torch.arange(-radius, radius + 1, device=image.device) / sigma).square())
    kernel = kernel / kernel.sum()
    planes = image.flatten(0, 1).unsqueeze(1)  # (B*C, 1, H, W)
    planes = F.conv2d(F.pad(planes, (0, 0, radius, radius), "replicate"), kernel.view(1, 1, -1, 1))
    return F.conv2d(F.pad(planes, (radius, radius, 0, 0), "replicate"), kernel.view(1, 1, 1, -1)).view(image.shape)


def quantize(image: Tensor, bits: Bits = 8) -> Tensor:
    """Return the values in [0, 1] that a lossless file with this bit depth stores."""
    white = white_level(bits)
    return torch.round(image.clamp(0, 1) * white) / white


def white_level(bits: int) -> int:
    """Return the integer that encodes white: 255 with 8 bits, 65535 with 16 bits.

    Raises:
        ValueError: for another bit depth.
    """
    if bits not in (8, 16):
        raise ValueError(f"bits must be 8 or 16, not {bits!r}")
    return int(2**bits) - 1


def as_single_image(image: Tensor, channels: int = 3) -> Tensor:
    """Return an image as float32 `(1, C, H, W)`, detached from the graph.

    Args:
        image: `(C, H, W)` or `(1, C, H, W)`, floating point.
        channels: expected number of channels C.

    Raises:
        ValueError: as `check_layout`, and for NaN or infinity.
    """
    check_layout(image, channels)
    if not image.isfinite().all():
        raise ValueError("the values of an image must be in [0, 1]; this one contains NaN or infinity")
    return image.detach().to(torch.float32).view(1, channels, *image.shape[-2:])


def check_layout(image: Tensor, channels: int = 3) -> None:
    """Check the type and the shape of an image, without its values.

    Args:
        image: `(C, H, W)` or `(1, C, H, W)`, floating point.
        channels: expected number of channels C.

    Raises:
        ValueError: for another shape, an empty side, integers, or a tensor without ordinary values: sparse, nested, on
            the device `meta`, or with 8 bits.
    """
    expected = f"a float tensor of shape ({channels}, H, W) or (1, {channels}, H, W) with values in [0, 1]"
    if not isinstance(image, Tensor):
        raise ValueError(f"an image must be {expected}, not {type(image).__name__}")
    if not image.is_floating_point():
        raise ValueError(f"an image must be {expected}, not {image.dtype}; divide 8-bit values by 255")
    if image.layout != torch.strided or image.is_meta or image.is_nested or image.element_size() == 1:
        kind = f"{image.dtype} with layout {image.layout} on device {image.device}"
        raise ValueError(f"an image must be {expected}, not {kind}; convert it to a dense float32 tensor")
    shape = tuple(image.shape)
    if len(shape) not in (3, 4) or shape[:-2] not in ((channels,), (1, channels)) or 0 in shape:
        raise ValueError(f"an image must be {expected}, not of shape {shape}")


def check_range(image: Image) -> None:
    """Check that all values are in [0, 1].

    Raises:
        ValueError: if a value is outside.
    """
    low, high = (value.item() for value in image.aminmax())
    if low < 0 or high > 1:
        raise ValueError(f"the values of an image must be in [0, 1], not {low:.4g} to {high:.4g}; rescale or clamp it")

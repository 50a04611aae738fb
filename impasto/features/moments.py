"""Compute the first and second moments of feature maps, from which Gram matrices and covariances are derived."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from impasto.features.positions import at_least_fp32

BLOCKS = 16  # smallest number of partial sums, each rounded to bf16, of a second moment
BLOCK_POSITIONS = 512  # largest number of positions in a partial sum


def first_moment(features: Tensor, guide: Tensor | None = None) -> Tensor:
    """Return the mean feature vector over all positions.

    Args:
        features: `(B, C, H, W)`.
        guide: weight of each position, `(1, 1, H, W)`, >= 0, with a mean of 1. None: equal weights.

    Returns:
        `(B, C)`, float32 (float64 for float64).
    """
    if guide is None and features.dtype is torch.bfloat16:
        return _FirstMoment.apply(features)  # type: ignore[no-any-return, no-untyped-call]
    return (at_least_fp32(features) if guide is None else at_least_fp32(features) * guide).mean((2, 3))


def second_moment(features: Tensor, guide: Tensor | None = None) -> Tensor:
    """Return the mean over all positions of the outer product of the feature vector with itself.

    Products of bf16 features are exact and are summed in fp32; only the sum over each block of at most 512 positions
    is rounded to bf16. With at least 16 blocks the relative error stays below 1e-3, and no fp32 copy of the features
    is needed, which would take more time than the product itself. A map with no more positions than channels has an
    fp32 copy: it is smaller than a sum over a block.

    Args:
        features: `(B, C, H, W)`.
        guide: weight of each position, `(1, 1, H, W)`, >= 0, with a mean of 1. None: equal weights.

    Returns:
        `(B, C, C)`, float32 (float64 for float64).
    """
    if guide is not None:
        features = features * guide.sqrt().to(features.dtype)
    compute = _SecondMomentBF16 if features.dtype is torch.bfloat16 else _SecondMoment
    with without_autocast(features):  # it would round the factors and the product of fp32 maps to bf16
        return compute.apply(features)  # type: ignore[no-any-return, no-untyped-call]


def covariance(moments: Tensor) -> Tensor:
    """Return the covariance `(B, C, C)` of moments `(B, C + 1, C)` from `both_moments`."""
    mean = moments[:, :1]  # (B, 1, C)
    return moments[:, 1:] - mean.mT @ mean


def both_moments(features: Tensor, guide: Tensor | None = None) -> Tensor:
    """Return the first moment as one row above the second moment.

    Unlike a covariance, this is a mean over positions, so that tiles can be averaged.

    Args:
        features: `(B, C, H, W)`.
        guide: as for `first_moment`.

    Returns:
        `(B, C + 1, C)`, float32 (float64 for float64).
    """
    return torch.cat([first_moment(features, guide)[:, None], second_moment(features, guide)], dim=1)


def without_autocast(tensor: Tensor) -> torch.autocast:
    """Return a context in which matrix products have the precision of their factors, on the device of a tensor."""
    kind = tensor.device.type
    return torch.autocast("cpu" if kind == "meta" else kind, enabled=False)  # no autocast for tensors without values


class _FirstMoment(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor) -> Tensor:
        ctx.shape, ctx.dtype = features.shape, features.dtype
        return features.mean((2, 3), dtype=torch.float32)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        """Convert the gradient to bf16 before expanding it: an fp32 map would take most of the time."""
        vector: Tensor = gradients[0] / (ctx.shape[2] * ctx.shape[3])
        narrow: Tensor = vector.to(ctx.dtype)[..., None, None]
        return narrow.expand(ctx.shape)


class _SecondMoment(torch.autograd.Function):
    """F Fᵀ/N with one product in each direction, in the memory layout of the features.

    Autograd multiplies twice for the gradient, and copies the features into another layout each time.
    """

    @staticmethod
    def forward(ctx: Any, features: Tensor) -> Tensor:
        ctx.save_for_backward(features)
        rows = _rows(features)  # (B, H*W, C)
        return rows.mT @ rows / rows.shape[1]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        """Return (D + Dᵀ) F / N for the gradient D of the moment."""
        (features,) = ctx.saved_tensors
        rows = _rows(features)
        product = rows @ ((gradients[0] + gradients[0].mT) / rows.shape[1])  # (B, H*W, C)
        batch, channels, height, width = features.shape
        return product.view(batch, height, width, channels).permute(0, 3, 1, 2)


def _rows(features: Tensor) -> Tensor:
    """Return the feature vectors `(B, H*W, C)`; a view in either memory layout."""
    return features.flatten(2).mT


class _SecondMomentBF16(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor) -> Tensor:
        ctx.save_for_backward(features)
        batch, channels, height, width = features.shape
        rows = features.permute(0, 2, 3, 1).reshape(batch, height * width, channels)
        if height * width <= channels:
            return rows.float().mT @ rows.float() / (height * width)
        length = max(1, min(BLOCK_POSITIONS, height * width // BLOCKS))
        covered = height * width // length * length  # positions in full blocks
        blocks = rows[:, :covered].reshape(-1, length, channels)  # (B*blocks, length, C)
        products = torch.bmm(blocks.mT, blocks).view(batch, -1, channels, channels)
        moment = products.sum(1, dtype=torch.float32)  # (B, C, C)
        rest = rows[:, covered:]
        return (moment + (rest.mT @ rest).float()) / (height * width)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        """Return (D + Dᵀ) F / N for the gradient D of the moment F Fᵀ/N, computed as a 1x1 convolution."""
        (features,) = ctx.saved_tensors
        positions = features.shape[-2] * features.shape[-1]
        symmetric = ((gradients[0] + gradients[0].mT) / positions).to(features.dtype)  # (B, C, C)
        columns = [
            torch.nn.functional.conv2d(features[i : i + 1], symmetric[i, :, :, None, None])
            for i in range(len(features))
        ]
        return columns[0] if len(columns) == 1 else torch.cat(columns)

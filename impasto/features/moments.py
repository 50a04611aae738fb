"""The first and second moments of a feature map: what Gram matrices and covariances are made of."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from impasto.features.positions import at_least_fp32

BLOCKS = 16  # how many partial sums, at least, each rounded to bf16, make up a moment
PLACES = 512  # how many places a partial sum holds at most


def first_moment(features: Tensor, guide: Tensor | None = None) -> Tensor:
    """Mean over all places of the feature vector: `(B, C)`, float32 (float64 for float64); arguments as below."""
    if guide is None and features.dtype is torch.bfloat16:
        return _FirstMoment.apply(features)  # type: ignore[no-any-return, no-untyped-call]
    return (at_least_fp32(features) if guide is None else at_least_fp32(features) * guide).mean((2, 3))


def second_moment(features: Tensor, guide: Tensor | None = None) -> Tensor:
    """Mean over all places of the outer product of the feature vector with itself.

    Args:
        features: `(B, C, H, W)`.
        guide: how much each place counts, `(1, 1, H, W)`, >= 0, with a mean of 1; None: all the same.

    Returns:
        float32 `(B, C, C)` (float64 for float64).

    bf16 features are multiplied as they are, which is exact, and summed in fp32; only the sum over each block of at
    most 512 places is rounded to bf16, and never fewer than 16 blocks, which leaves a relative error under 1e-3 (held
    by a test) and spares the copy to fp32 that would cost more time than the product.
    """
    if guide is not None:
        features = features * guide.sqrt().to(features.dtype)
    if features.dtype is torch.bfloat16:
        return _SecondMoment.apply(features)  # type: ignore[no-any-return, no-untyped-call]
    columns = features.flatten(2)  # (B, C, H*W)
    return columns @ columns.mT / columns.shape[-1]  # (B, C, C)


def covariance(moments: Tensor) -> Tensor:
    """Covariance `(B, C, C)` of moments `(B, C + 1, C)`, as `both_moments` gives them."""
    mean = moments[:, :1]  # (B, 1, C)
    return moments[:, 1:] - mean.mT @ mean


def both_moments(features: Tensor, guide: Tensor | None = None) -> Tensor:
    """First moment, one row, above the second: `(B, C + 1, C)`; a mean over places, which a covariance is not."""
    return torch.cat([first_moment(features, guide)[:, None], second_moment(features, guide)], dim=1)


class _FirstMoment(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor) -> Tensor:
        ctx.shape, ctx.dtype = features.shape, features.dtype
        return features.mean((2, 3), dtype=torch.float32)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        """The same vector at every place, narrowed before it is spread: an fp32 map would cost most of the time."""
        vector: Tensor = gradients[0] / (ctx.shape[2] * ctx.shape[3])
        narrow: Tensor = vector.to(ctx.dtype)[..., None, None]
        return narrow.expand(ctx.shape)


class _SecondMoment(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor) -> Tensor:
        ctx.save_for_backward(features)
        batch, channels, height, width = features.shape
        rows = features.permute(0, 2, 3, 1).reshape(batch, height * width, channels)
        places = max(1, min(PLACES, height * width // BLOCKS))
        whole = height * width // places * places
        blocks = rows[:, :whole].reshape(-1, places, channels)  # (B*blocks, places, C)
        products = torch.bmm(blocks.mT, blocks).view(batch, -1, channels, channels)
        moment = products.sum(1, dtype=torch.float32)  # (B, C, C)
        rest = rows[:, whole:]
        return (moment + (rest.mT @ rest).float()) / (height * width)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        """d/dF of F Fᵀ/N, times the gradient D of the moment, is (D + Dᵀ) F / N: a 1x1 convolution."""
        (features,) = ctx.saved_tensors
        places = features.shape[-2] * features.shape[-1]
        symmetric = ((gradients[0] + gradients[0].mT) / places).to(features.dtype)  # (B, C, C)
        columns = [
            torch.nn.functional.conv2d(features[i : i + 1], symmetric[i, :, :, None, None])
            for i in range(len(features))
        ]
        return columns[0] if len(columns) == 1 else torch.cat(columns)

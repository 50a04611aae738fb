"""The second moment of a feature map: what Gram matrices and covariances are made of."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

BLOCKS = 16  # how many partial sums, at least, each rounded to bf16, make up a moment
PLACES = 512  # how many places a partial sum holds at most


def second_moment(features: Tensor) -> Tensor:
    """Mean over all places of the outer product of the feature vector with itself.

    Args:
        features: `(B, C, H, W)`.

    Returns:
        float32 `(B, C, C)` (float64 for float64).

    bf16 features are multiplied as they are, which is exact, and summed in fp32; only the sum over each block of at
    most 512 places is rounded to bf16, and never fewer than 16 blocks, which leaves a relative error under 1e-3 (held
    by a test) and spares the copy to fp32 that would cost more time than the product.
    """
    if features.dtype is torch.bfloat16:
        return _SecondMoment.apply(features)  # type: ignore[no-any-return, no-untyped-call]
    columns = features.flatten(2)  # (B, C, H*W)
    return columns @ columns.mT / columns.shape[-1]  # (B, C, C)


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

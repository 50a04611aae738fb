"""A convolution whose picture goes on beyond its border as it ends there.

PyTorch's own replication padding computes in fp32, and takes as long as the convolution.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class Convolution(nn.Conv2d):
    """3x3, as many places out as in, or, with a stride of 2, half as many a side, rounded up."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__(inputs, outputs, 3, stride)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, outputs, h, w)` for `(B, inputs, h, w)`."""
        return super().forward(_Bordered.apply(x) if torch.is_grad_enabled() else bordered(x))  # type: ignore[no-untyped-call]


def bordered(x: Tensor) -> Tensor:
    """`(B, C, h + 2, w + 2)`: the outermost places of `(B, C, h, w)` once more around it."""
    x = torch.cat([x[..., :1], x, x[..., -1:]], 3)
    return torch.cat([x[..., :1, :], x, x[..., -1:, :]], 2)


class _Bordered(torch.autograd.Function):
    """`bordered`; autograd's gradient of it would pass over the whole map once for each slice."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return bordered(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        rows = gradients[0][..., 1:-1, :].clone()
        rows[..., 0, :] += gradients[0][..., 0, :]
        rows[..., -1, :] += gradients[0][..., -1, :]
        places = rows[..., 1:-1].clone()
        places[..., 0] += rows[..., 0]
        places[..., -1] += rows[..., -1]
        return places

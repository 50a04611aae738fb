"""A convolution whose picture goes on beyond its border as it ends there.

PyTorch's own replication padding computes in fp32, and takes as long as the convolution.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class Convolution(nn.Conv2d):
    """3x3, or wider, as many places out as in, or, with a stride of 2, half as many a side, rounded up."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1, side: int = 3) -> None:
        """`side` is that of the kernel, odd."""
        super().__init__(inputs, outputs, side, stride)
        self.width = side // 2

    def forward(self, x: Tensor) -> Tensor:
        """`(B, outputs, h, w)` for `(B, inputs, h, w)`."""
        wider = _Bordered.apply(x, self.width) if torch.is_grad_enabled() else bordered(x, self.width)  # type: ignore[no-untyped-call]
        return super().forward(wider)


def bordered(x: Tensor, width: int = 1) -> Tensor:
    """`(B, C, h + 2 width, w + 2 width)`: the outermost places of `(B, C, h, w)` so many times more around it."""
    if torch.compiler.is_exporting():  # to trace writes into a tensor takes several times as long
        x = torch.cat([*[x[..., :1]] * width, x, *[x[..., -1:]] * width], 3)
        return torch.cat([*[x[..., :1, :]] * width, x, *[x[..., -1:, :]] * width], 2)
    batch, channels, height, columns = x.shape
    wider = x.new_empty(batch, height + 2 * width, columns + 2 * width, channels).permute(0, 3, 1, 2)
    wider[..., width:-width, width:-width] = x
    wider[..., width:-width, :width] = x[..., :1]
    wider[..., width:-width, -width:] = x[..., -1:]
    wider[..., :width, :] = wider[..., width : width + 1, :]
    wider[..., -width:, :] = wider[..., -width - 1 : -width, :]
    return wider


class _Bordered(torch.autograd.Function):
    """`bordered`; autograd's gradient of it would pass over the whole map once for each slice."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, width: int) -> Tensor:
        ctx.width = width
        return bordered(x, width)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,), width = gradients, ctx.width
        rows = gradient[..., width:-width, :].clone()
        rows[..., 0, :] += gradient[..., :width, :].sum(-2)
        rows[..., -1, :] += gradient[..., -width:, :].sum(-2)
        places = rows[..., width:-width].clone()
        places[..., 0] += rows[..., :width].sum(-1)
        places[..., -1] += rows[..., -width:].sum(-1)
        return places, None

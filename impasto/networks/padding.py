"""A convolution whose picture goes on beyond its border as it ends there.

PyTorch's own replication padding computes in fp32, and takes as long as the convolution.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Convolution(nn.Conv2d):
    """3x3, or wider, as many places out as in, or, with a stride of 2, half as many a side, rounded up."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1, side: int = 3, *, enlarges: bool = False) -> None:
        """`side` is that of the kernel, odd. With `enlarges` it sees each place twice a side, and so are those out.

        That leaves no grid, as a transposed convolution would (Odena et al. 2016).
        """
        super().__init__(inputs, outputs, side, stride)
        self.width, self.enlarges = side // 2, enlarges

    def forward(self, x: Tensor) -> Tensor:
        """`(B, outputs, h, w)` for `(B, inputs, h, w)`."""
        if self.enlarges and (torch.is_grad_enabled() or torch.compiler.is_exporting()):
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
        if torch.is_grad_enabled():
            return super().forward(_Bordered.apply(x, self.width))  # type: ignore[no-untyped-call]
        if self.enlarges and not torch.compiler.is_exporting():
            return super().forward(bordered_twice_as_large(x, self.width))
        return super().forward(bordered(x, self.width))


def bordered(x: Tensor, width: int = 1) -> Tensor:
    """`(B, C, h + 2 width, w + 2 width)`: the outermost places of `(B, C, h, w)` so many times more around it."""
    if torch.compiler.is_exporting():  # to trace writes into a tensor takes several times as long
        x = torch.cat([*[x[..., :1]] * width, x, *[x[..., -1:]] * width], 3)
        return torch.cat([*[x[..., :1, :]] * width, x, *[x[..., -1:, :]] * width], 2)
    batch, channels, height, columns = x.shape
    wider = x.new_empty(batch, height + 2 * width, columns + 2 * width, channels).permute(0, 3, 1, 2)
    wider[..., width:-width, width:-width] = x
    return _with_borders(wider, width)


def bordered_twice_as_large(x: Tensor, width: int = 1) -> Tensor:
    """`bordered` of `x` with each place twice a side, which never lies in memory by itself."""
    batch, channels, height, columns = x.shape
    wider = x.new_empty(batch, 2 * (height + width), 2 * (columns + width), channels).permute(0, 3, 1, 2)
    inner = wider[..., width:-width, width:-width]
    for down in (0, 1):
        for across in (0, 1):
            inner[..., down::2, across::2] = x
    return _with_borders(wider, width)


def _with_borders(wider: Tensor, width: int) -> Tensor:
    """Fills the outermost places with what lies within."""
    wider[..., width:-width, :width] = wider[..., width:-width, width : width + 1]
    wider[..., width:-width, -width:] = wider[..., width:-width, -width - 1 : -width]
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

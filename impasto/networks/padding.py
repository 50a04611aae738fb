"""Convolve with replication padding."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.features.borders import pad_replicate, upsample_and_pad


class PaddedConvolution(nn.Conv2d):
    """Convolution with replication padding, after nearest-neighbor upsampling if `upsample` is set.

    The output has the size of the input, half of it (rounded up) with a stride of 2, or twice of it with `upsample`.
    Upsampling before the convolution avoids the checkerboard of transposed convolutions (Odena, Dumoulin & Olah,
    Distill 2016).

    Args:
        inputs: channels of the input.
        outputs: channels of the output.
        stride: 1 or 2.
        kernel_size: side of the kernel in positions, odd.
        upsample: enlarge the input by 2 before the convolution.
    """

    def __init__(
        self, inputs: int, outputs: int, stride: int = 1, kernel_size: int = 3, *, upsample: bool = False
    ) -> None:
        super().__init__(inputs, outputs, kernel_size, stride)
        self.border, self.upsample = kernel_size // 2, upsample

    def forward(self, x: Tensor) -> Tensor:
        """Return the features `(B, outputs, h', w')` for features `(B, inputs, h, w)`."""
        if self.upsample and (torch.is_grad_enabled() or torch.compiler.is_exporting()):
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
        if torch.is_grad_enabled():
            return super().forward(_PadReplicate.apply(x, self.border))  # type: ignore[no-untyped-call]
        if self.upsample and not torch.compiler.is_exporting():
            return super().forward(upsample_and_pad(x, self.border))
        return super().forward(pad_replicate(x, self.border))


class _PadReplicate(torch.autograd.Function):
    """`pad_replicate` with a gradient of one pass; autograd would pass over the whole map once for each slice."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, border: int) -> Tensor:
        ctx.border = border
        return pad_replicate(x, border)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,), border = gradients, ctx.border
        rows = gradient[..., border:-border, :].clone()
        rows[..., 0, :] += gradient[..., :border, :].sum(-2)
        rows[..., -1, :] += gradient[..., -border:, :].sum(-2)
        inner = rows[..., border:-border].clone()
        inner[..., 0] += rows[..., :border].sum(-1)
        inner[..., -1] += rows[..., -border:].sum(-1)
        return inner, None

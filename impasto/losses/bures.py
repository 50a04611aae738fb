"""Define the loss `bures`."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.utils.weak import WeakIdKeyDictionary

from impasto.features.moments import both_moments, covariance
from impasto.features.positions import at_least_fp32
from impasto.losses.base import LOSSES, FeatureLoss

EPSILON = 1e-4  # added to every variance: keeps the gradient finite where features do not vary
SMALLEST_SQUARE = EPSILON**2 / 4  # smallest eigenvalue of which a root is computed: smaller ones are rounding errors


@LOSSES.add("bures")
class BuresLoss(FeatureLoss):
    """Bures-Wasserstein distance between the Gaussians of the features (crowsonkb; Bhatia, Jain & Lim, 2019).

    The statistic contains the raw first and second moments, `(B, C + 1, C)`. The distance is
    (|μ - μ̂|² + tr(Σ + Σ̂ - 2 (Σ̂^½ Σ Σ̂^½)^½))/C, with 0.0001 added to each variance: the least cost of transporting
    one Gaussian to the other. Its gradient is larger than that of `covariance` where channels vary little. Moments are
    computed in float32 also for bf16 features, since the root is sensitive to small eigenvalues.

    Departs from crowsonkb/style-transfer: eigenvalues in float64 instead of twelve Newton-Schulz steps in float32,
    which is faster and also converges for the small eigenvalues.
    """

    is_spatial_mean = True
    largest_coarse = 0  # it decomposes a matrix of the channels
    output_style = 1.5

    def statistic(self, features: Tensor, guide: Tensor | None = None) -> Tensor:
        """Return the raw first and second moments, `(B, C + 1, C)`."""
        return both_moments(at_least_fp32(features), guide)  # (B, C + 1, C)

    def distance(self, statistic: Tensor, target: Tensor) -> Tensor:
        """Return the squared Bures-Wasserstein distance divided by C, averaged over the batch.

        The target is a constant: its covariance receives no gradient.
        """
        means = (statistic[:, 0] - target[:, 0]).square().mean()
        squared: Tensor = _SquaredBures.apply(_to_float64(covariance(statistic)), _root_of(target))  # type: ignore[no-untyped-call]
        return means + (squared.clamp_min(0) / statistic.shape[-1]).mean().to(means)


@dataclass(frozen=True, eq=False)
class _Root:
    """A covariance T of `(B, C, C)`, in float64, and a root of it, from its eigenvectors U and T = U t Uᵀ."""

    covariance: Tensor
    values: Tensor
    """The eigenvalues t, with 0.0001 added, `(B, C)`."""
    half: Tensor
    """U t^½, `(B, C, C)`."""


_ROOTS: MutableMapping[Tensor, tuple[int, _Root]] = WeakIdKeyDictionary()
"""The roots of target statistics: an optimization compares with the same ones at each step, and with small networks
the eigenvectors take longer than the features of a small image."""


@torch.no_grad()
def _root_of(statistic: Tensor) -> _Root:
    """Return the root of the covariance of a statistic, which is computed once."""
    version = -1 if statistic.is_inference() else statistic._version  # the number of times it was changed in place
    if version >= 0 and statistic in _ROOTS:
        known, root = _ROOTS[statistic]
        if known == version:
            return root
    matrix = _to_float64(covariance(statistic))
    values, basis = torch.linalg.eigh(matrix)
    values = values.clamp_min(0) + EPSILON
    root = _Root(matrix, values, basis * values.sqrt()[:, None])
    if version >= 0:
        _ROOTS[statistic] = version, root
    return root


class _SquaredBures(torch.autograd.Function):
    """tr(S + T - 2 (T^½ S T^½)^½), `(B,)`, for covariances `(B, C, C)`.

    In the eigenvectors of T, T^½ S T^½ is t² plus a term of S - T, and the trace of its root minus that of T is the sum
    of r - t over its eigenvalues r². No large numbers cancel, and S = T gives exactly 0. With its eigenvectors V, the
    gradient is I - W r^-1 Wᵀ with W = U t^½ V, which is faster than that of the single operations.
    """

    @staticmethod
    def forward(ctx: Any, source: Tensor, root: _Root) -> Tensor:
        """Return the squared distance of the source and the covariance of the root."""
        difference, half = source - root.covariance, root.half
        added = half.mT @ difference @ half
        product = (added + added.mT) / 2 + torch.diag_embed(root.values.square())
        if ctx.needs_input_grad[0]:
            squares, vectors = torch.linalg.eigh(product)
        else:
            squares = torch.linalg.eigvalsh(product)
        roots = squares.clamp_min(SMALLEST_SQUARE).sqrt()
        if ctx.needs_input_grad[0]:
            basis = half @ vectors
            factors = (squares >= SMALLEST_SQUARE) / roots
            gradient = -(basis * factors[:, None]) @ basis.mT
            gradient.diagonal(dim1=1, dim2=2).add_(1)
            ctx.save_for_backward(gradient)
        traces = difference.diagonal(dim1=1, dim2=2).sum(1)
        squared: Tensor = traces - 2 * (roots - root.values).sum(1)
        return squared

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:
        """Return the gradient with respect to the source."""
        (gradient,) = ctx.saved_tensors
        return upstream[:, None, None] * gradient, None


def _to_float64(matrices: Tensor) -> Tensor:
    """Convert matrices to float64, on the CPU where a device lacks it: the products square the rounding errors."""
    return matrices.to("cpu" if matrices.device.type == "mps" else matrices.device).double()

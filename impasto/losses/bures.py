from __future__ import annotations

import torch
from torch import Tensor

from impasto.features.moments import both_moments, covariance
from impasto.features.positions import at_least_fp32
from impasto.losses.base import LOSSES, FeatureLoss

EPS = 1e-4  # added to every variance: keeps the gradient finite where features do not vary


@LOSSES.add("bures")
class BuresLoss(FeatureLoss):
    """Bures-Wasserstein distance of the features' Gaussians (crowsonkb/style-transfer; Bhatia, Jain & Lim, 2019).

    (|μ - μ̂|² + tr(Σ + Σ̂ - 2 (Σ̂^½ Σ Σ̂^½)^½))/C, with 0.0001 added to each variance: the least work of moving the one
    Gaussian onto the other. Where channels vary little it pulls more strongly than `covariance`. The statistic holds
    the raw moments, computed in fp32 also for bf16 features, since the root is sensitive to small eigenvalues.

    Departs from crowsonkb: eigenvalues in float64 instead of twelve Newton-Schulz steps in fp32, which takes less time
    and does not stop short of the small ones.
    """

    is_spatial_mean = True

    def statistic(self, features: Tensor, guide: Tensor | None = None) -> Tensor:
        return both_moments(at_least_fp32(features), guide)  # (B, C + 1, C)

    def distance(self, statistic: Tensor, target: Tensor) -> Tensor:
        means = (statistic[:, 0] - target[:, 0]).square().mean()
        spread = _squared_bures(_precise(covariance(statistic)), _precise(covariance(target))) / statistic.shape[-1]
        return means + spread.mean().to(means)


def _squared_bures(own: Tensor, target: Tensor) -> Tensor:
    """tr(S + T - 2 (T^½ S T^½)^½), `(B,)`, for covariances `(B, C, C)`.

    In the eigenvectors U of T = U t Uᵀ: T^½ S T^½ is t² plus what S - T adds, and the trace of its root less that of T
    is the sum of r - t over its eigenvalues r². So nothing large cancels, and S = T gives exactly 0.
    """
    with torch.no_grad():
        values, basis = torch.linalg.eigh(target)
        values = values.clamp_min(0) + EPS  # (B, C), rising
        squares = torch.diag_embed(values.square())
        half = basis * values.sqrt()[:, None]  # (B, C, C)
    change = own - target
    added = half.mT @ change @ half
    roots = torch.linalg.eigvalsh((added + added.mT) / 2 + squares).clamp_min(EPS**2 / 4).sqrt()
    traces = change.diagonal(dim1=1, dim2=2).sum(1)
    squared: Tensor = traces - 2 * (roots - values).sum(1)
    return squared.clamp_min(0)


def _precise(matrices: Tensor) -> Tensor:
    """In float64, which Apple's GPUs lack: the products square the rounding of fp32."""
    return matrices.to("cpu" if matrices.device.type == "mps" else matrices.device).double()

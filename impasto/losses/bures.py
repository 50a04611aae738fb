"""Define the loss `bures`."""

from __future__ import annotations

import torch
from torch import Tensor

from impasto.features.moments import both_moments, covariance
from impasto.features.positions import at_least_fp32
from impasto.losses.base import LOSSES, FeatureLoss

EPSILON = 1e-4  # added to every variance: keeps the gradient finite where features do not vary


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

    def statistic(self, features: Tensor, guide: Tensor | None = None) -> Tensor:
        """Return the raw first and second moments, `(B, C + 1, C)`."""
        return both_moments(at_least_fp32(features), guide)  # (B, C + 1, C)

    def distance(self, statistic: Tensor, target: Tensor) -> Tensor:
        """Return the squared Bures-Wasserstein distance divided by C, averaged over the batch."""
        means = (statistic[:, 0] - target[:, 0]).square().mean()
        squared = _squared_bures(_to_float64(covariance(statistic)), _to_float64(covariance(target)))
        return means + (squared / statistic.shape[-1]).mean().to(means)


def _squared_bures(source: Tensor, target: Tensor) -> Tensor:
    """Return tr(S + T - 2 (T^½ S T^½)^½), `(B,)`, for covariances `(B, C, C)`.

    In the eigenvectors U of T = U t Uᵀ, T^½ S T^½ is t² plus a term of S - T, and the trace of its root minus that of
    T is the sum of r - t over its eigenvalues r². No large numbers cancel, and S = T gives exactly 0.
    """
    with torch.no_grad():
        values, basis = torch.linalg.eigh(target)
        values = values.clamp_min(0) + EPSILON  # (B, C), ascending
        squares = torch.diag_embed(values.square())
        half = basis * values.sqrt()[:, None]  # (B, C, C)
    difference = source - target
    added = half.mT @ difference @ half
    roots = torch.linalg.eigvalsh((added + added.mT) / 2 + squares).clamp_min(EPSILON**2 / 4).sqrt()
    traces = difference.diagonal(dim1=1, dim2=2).sum(1)
    squared: Tensor = traces - 2 * (roots - values).sum(1)
    return squared.clamp_min(0)


def _to_float64(matrices: Tensor) -> Tensor:
    """Convert matrices to float64, on the CPU where a device lacks it: the products square the rounding errors."""
    return matrices.to("cpu" if matrices.device.type == "mps" else matrices.device).double()

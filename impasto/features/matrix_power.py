"""Compute powers of symmetric matrices, such as the square root of a covariance."""

from __future__ import annotations

import torch
from torch import Tensor


def symmetric_power(matrices: Tensor, exponent: float, *, floor: float = 0.0, cutoff: float | None = None) -> Tensor:
    """Return a power of symmetric positive semidefinite matrices.

    Args:
        matrices: `(..., C, C)`; only the lower triangle is read.
        exponent: the power, for example 0.5 or -0.5.
        floor: eigenvalues below this are raised to it.
        cutoff: eigenvalues up to this fraction of the largest one are left out, as in a pseudoinverse. Default: none.

    Returns:
        `(..., C, C)`, of the same type.
    """
    values, vectors = torch.linalg.eigh(matrices)  # (..., C), rising
    powers = values.clamp_min(floor) ** exponent
    if cutoff is not None:
        powers = torch.where(values > cutoff * values[..., -1:], powers, torch.zeros_like(values))
    power: Tensor = (vectors * powers[..., None, :]) @ vectors.mT
    return power

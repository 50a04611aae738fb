"""Test powers of symmetric matrices."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from impasto.features.matrix_power import symmetric_power


def covariance(channels: int = 6, samples: int = 50, seed: int = 0) -> Tensor:
    """Return covariances `(2, C, C)` in float64."""
    columns = torch.randn(2, channels, samples, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return columns @ columns.mT / samples


@pytest.mark.parametrize("exponent", [0.5, -0.5, 2.0])
def test_powers_multiply_to_the_original_matrices(exponent: float) -> None:
    matrices = covariance()
    power = symmetric_power(matrices, exponent)
    inverse = symmetric_power(power, 1 / exponent)
    assert torch.allclose(inverse, matrices, atol=1e-10)
    assert torch.allclose(power, power.mT)


def test_a_square_root_is_a_root_and_a_single_matrix_needs_no_batch() -> None:
    matrix = covariance()[0]
    root = symmetric_power(matrix, 0.5)
    assert root.shape == matrix.shape
    assert torch.allclose(root @ root, matrix)


def test_a_floor_limits_the_amplification_of_small_eigenvalues() -> None:
    matrix = torch.diag(torch.tensor([4.0, 1e-12, 0.0]))
    power = symmetric_power(matrix, -0.5, floor=0.01)
    assert torch.allclose(power, torch.diag(torch.tensor([0.5, 10.0, 10.0])))


def test_a_cutoff_leaves_out_small_eigenvalues() -> None:
    matrix = torch.diag(torch.tensor([4.0, 1e-5, 0.0]))
    power = symmetric_power(matrix, -0.5, floor=1e-30, cutoff=1e-5)
    assert torch.allclose(power, torch.diag(torch.tensor([0.5, 0.0, 0.0])))

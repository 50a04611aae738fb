"""Test means and standard deviations of feature maps, of a whole map and in strips."""

from __future__ import annotations

import pytest
import torch

from impasto.networks.statistics import STRIP_SIZE, mean_and_std, moments


def test_moments_give_means_and_standard_deviations() -> None:
    x = torch.randn(2, 4, 9, 7)
    mean, deviation = mean_and_std(moments(x))
    assert torch.allclose(mean, x.mean((2, 3)), atol=1e-6)
    assert torch.allclose(deviation, x.var((2, 3), correction=0).add(1e-5).sqrt(), atol=1e-5)


@pytest.mark.parametrize("masked", [False, True])
def test_moments_of_a_large_feature_map_in_strips_equal_those_at_once(masked: bool) -> None:
    x = torch.randn(1, 96, 131, 97, dtype=torch.float64).float() + 2
    weights = torch.rand(1, 1, 131, 97) if masked else None
    assert x.numel() > STRIP_SIZE
    with torch.no_grad():
        by_strips = moments(x, weights)
    at_once = moments(x.requires_grad_(), weights)  # with gradients it is not cut into strips
    assert torch.allclose(by_strips, at_once, rtol=1e-5)

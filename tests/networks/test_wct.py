"""Test the transforms between the covariances of two sets of features."""

from __future__ import annotations

import torch

from impasto.networks.wct import optimal_transform, whitening_transform


def test_both_transforms_give_the_target_covariance_and_the_optimal_one_moves_least() -> None:
    torch.manual_seed(0)
    here, there = (torch.randn(1, 8, 5 + 8 * i) for i in (0, 1))  # the first is singular
    here, there = here @ here.mT, there @ there.mT
    for transport in (optimal_transform, whitening_transform):
        full = here + torch.eye(8)
        move = transport(full, there)
        assert torch.allclose(move @ full @ move.mT, there, rtol=1e-3, atol=1e-3)
        assert transport(here, there).isfinite().all()
    move = optimal_transform(here + torch.eye(8), there)
    assert torch.allclose(move, move.mT, atol=1e-4)
    moved, turned = (
        (each(here + torch.eye(8), there) - torch.eye(8)) for each in (optimal_transform, whitening_transform)
    )
    cost = [torch.trace((each @ (here + torch.eye(8)) @ each.mT)[0]).item() for each in (moved, turned)]
    assert cost[0] < cost[1]

"""Test the transforms between the covariances of two sets of features."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.networks.decoder import Decoder
from impasto.networks.wct import WCT, optimal_transform, whitening_transform


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


@torch.no_grad()
def test_details_are_what_the_decoder_loses() -> None:
    content = torch.rand(1, 3, 16, 24)
    pooled = F.avg_pool2d

    def decoder(features: Tensor) -> Tensor:
        return F.interpolate(features, scale_factor=2.0)

    plain, half, full = (
        WCT("relu2_1", lambda image: pooled(image, 2), cast("Decoder", decoder), "optimal", details)
        for details in (0.0, 0.5, 1.0)
    )
    code = plain.encode(content)
    lost = content - decoder(pooled(content, 2))
    assert torch.allclose(plain(content, code), content - lost, atol=1e-4)
    assert torch.allclose(half(content, code), content - lost / 2, atol=1e-4)
    assert torch.allclose(full(content, code), content, atol=1e-4)  # its own code: nothing is lost

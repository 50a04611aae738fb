"""Losses: properties of every registered loss; `test_formulas.py` tests each loss by itself."""

from __future__ import annotations

import pytest
import torch
from support import between, features
from torch import Tensor

from impasto.losses import LOSSES

EVERY = sorted(LOSSES)
MEANS = [name for name in EVERY if LOSSES[name].is_spatial_mean]


def halves(height: int, width: int) -> tuple[Tensor, Tensor]:
    """Return guides `(1, 1, H, W)` of mean 1 for about the left third of a map and for the rest."""
    left = (torch.arange(width) * 3 < width - 1).double().expand(1, 1, height, width)
    return left / left.mean(), (1 - left) / (1 - left).mean()


@pytest.mark.parametrize("name", EVERY)
def test_the_distance_of_equal_features_is_zero(name: str) -> None:
    maps = features(2, 5, 8, 6)
    assert between(LOSSES[name](), maps, maps.clone()) == 0


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("seed", range(5))
def test_the_distance_to_other_features_is_a_positive_scalar(name: str, seed: int) -> None:
    loss = LOSSES[name]()
    maps, others = features(2, 5, 8, 6, seed=seed), features(2, 5, 8, 6, seed=seed + 100)
    distance = loss.distance(loss.statistic(maps), loss.statistic(others))
    assert distance.shape == ()
    assert distance > 0


@pytest.mark.parametrize("name", EVERY)
def test_the_gradient_equals_finite_differences(name: str) -> None:
    loss = LOSSES[name]()
    maps = features(2, 3, 4, 5, dtype=torch.float64).requires_grad_()
    target = loss.statistic(features(2, 3, 4, 5, seed=1, dtype=torch.float64))
    assert torch.autograd.gradcheck(lambda x: loss.distance(loss.statistic(x), target), maps)


@pytest.mark.parametrize("name", EVERY)
def test_a_map_of_one_position_has_a_finite_distance_and_gradient(name: str) -> None:
    loss = LOSSES[name]()
    maps = features(1, 4, 1, 1).requires_grad_()
    distance = loss.distance(loss.statistic(maps), loss.statistic(features(1, 4, 1, 1, seed=1)))
    (gradient,) = torch.autograd.grad(distance, maps)
    assert distance.isfinite()
    assert gradient.isfinite().all()


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("value", [0.0, 3.0])
def test_a_constant_map_has_a_finite_gradient(name: str, value: float) -> None:
    loss = LOSSES[name]()
    maps = torch.full((1, 4, 6, 6), value, requires_grad=True)
    distance = loss.distance(loss.statistic(maps), loss.statistic(features(1, 4, 6, 6)))
    (gradient,) = torch.autograd.grad(distance, maps)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("name", EVERY)
def test_each_image_of_a_batch_has_its_own_statistic_and_the_same_weight(name: str) -> None:
    loss = LOSSES[name]()
    maps, others = features(3, 4, 6, 7), features(3, 4, 6, 7, seed=1)
    statistics = loss.statistic(maps)

    alone = [loss.statistic(maps[i : i + 1]) for i in range(3)]
    distances = [between(loss, maps[i : i + 1], others[i : i + 1]) for i in range(3)]

    assert torch.allclose(statistics, torch.cat(alone), rtol=1e-5)
    assert between(loss, maps, others) == pytest.approx(sum(distances) / 3, rel=1e-4)


@pytest.mark.parametrize("name", EVERY)
def test_statistics_of_bf16_features_are_fp32_and_near_those_of_fp32_features(name: str) -> None:
    loss, maps = LOSSES[name](), features(1, 16, 24, 24)
    statistic = loss.statistic(maps.bfloat16())
    assert statistic.dtype is torch.float32
    assert torch.allclose(statistic, loss.statistic(maps), rtol=0.02, atol=0.01)


@pytest.mark.parametrize("name", MEANS)
def test_a_spatial_mean_equals_the_mean_over_equal_tiles(name: str) -> None:
    loss, maps = LOSSES[name](), features(2, 5, 12, 16, dtype=torch.float64)
    tiles = [maps[..., y : y + 6, x : x + 8] for y in (0, 6) for x in (0, 8)]
    mean = torch.stack([loss.statistic(tile) for tile in tiles]).mean(0)
    assert torch.allclose(loss.statistic(maps), mean, rtol=1e-12)


def test_moments_of_features_are_marked_as_spatial_means() -> None:
    assert {"gram", "moments", "covariance", "bures"} <= set(MEANS)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", EVERY)
def test_a_guide_of_ones_changes_nothing(name: str, dtype: torch.dtype) -> None:
    loss, maps = LOSSES[name](), features(2, 5, 12, 16, dtype=dtype)
    guided = loss.statistic(maps, torch.ones(1, 1, 12, 16))
    assert torch.allclose(guided, loss.statistic(maps), rtol=1e-6)


@pytest.mark.parametrize("axis", [-1, -2])
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("name", EVERY)
def test_only_features_inside_the_guide_change_the_statistic(name: str, first: bool, axis: int) -> None:
    side = 96 if name == "laplacian" else 32  # three of the larger pools of the laplacian in each half
    loss, maps, others = LOSSES[name](), features(1, 3, side, side), features(1, 3, side, side, seed=1)
    half = ((torch.arange(side) < side // 2) == first).expand(1, 1, side, side)
    half = half if axis == -1 else half.mT
    guide = 2.0 * half
    statistic = loss.statistic(maps, guide)
    assert torch.equal(loss.statistic(torch.where(half, maps, others), guide), statistic)
    assert loss.distance(loss.statistic(torch.where(half, others, maps), guide), statistic) > 0


@pytest.mark.parametrize("name", EVERY)
def test_the_gradient_with_a_guide_equals_finite_differences(name: str) -> None:
    loss, guide = LOSSES[name](), halves(6, 7)[1]
    maps = features(1, 3, 6, 7, dtype=torch.float64).requires_grad_()
    target = loss.statistic(features(1, 3, 6, 7, seed=1, dtype=torch.float64), guide)
    assert torch.autograd.gradcheck(lambda x: loss.distance(loss.statistic(x, guide), target), maps)


@pytest.mark.parametrize("name", MEANS)
def test_guided_means_of_two_parts_weighted_by_area_sum_to_the_mean_of_the_map(name: str) -> None:
    loss, maps = LOSSES[name](), features(2, 5, 12, 16, dtype=torch.float64)
    parts = halves(12, 16)
    areas = [(guide.amax() ** -1).item() for guide in parts]
    combined = sum(area * loss.statistic(maps, guide) for area, guide in zip(areas, parts, strict=True))
    assert areas == pytest.approx([5 / 16, 11 / 16])
    assert torch.allclose(loss.statistic(maps), combined, rtol=1e-12)


@pytest.mark.parametrize("name", MEANS)
def test_a_guide_of_integer_weights_equals_repeated_positions(name: str) -> None:
    loss, maps = LOSSES[name](), features(1, 5, 6, 8, dtype=torch.float64)
    guide = torch.ones(1, 1, 6, 8, dtype=torch.float64)
    guide[..., :2] = 3  # a quarter of the positions has three times the weight
    repeated = torch.cat([maps, maps[..., :2], maps[..., :2]], dim=-1)
    assert torch.allclose(loss.statistic(maps, guide / guide.mean()), loss.statistic(repeated), rtol=1e-12)

"""Losses: the same questions asked of every registered loss, and what each one sees."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from impasto.losses import LOSSES, FeatureLoss

EVERY = sorted(LOSSES)
MEANS = [name for name in EVERY if LOSSES[name].is_spatial_mean]
SMALL_CHANGE = 1e-6  # of the distance to other features


def features(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    """Random activations `(B, C, H, W)`, smooth enough that neighbours resemble each other."""
    generator = torch.Generator().manual_seed(seed)
    maps = torch.rand(shape, generator=generator, dtype=torch.float64)
    return (maps + maps.roll(1, -1) + maps.roll(1, -2)).to(dtype)


def between(loss: FeatureLoss, maps: Tensor, others: Tensor) -> float:
    """Distance between the statistics of two feature maps."""
    return loss.distance(loss.statistic(maps), loss.statistic(others)).item()


def shuffled(maps: Tensor) -> Tensor:
    places = torch.randperm(maps[0, 0].numel(), generator=torch.Generator().manual_seed(1))
    return maps.flatten(2)[..., places].view_as(maps)


# Asked of every loss


@pytest.mark.parametrize("name", EVERY)
def test_the_distance_of_a_statistic_to_itself_is_zero(name: str) -> None:
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
def test_the_gradient_is_that_of_finite_differences(name: str) -> None:
    loss = LOSSES[name]()
    maps = features(2, 3, 4, 5, dtype=torch.float64).requires_grad_()
    target = loss.statistic(features(2, 3, 4, 5, seed=1, dtype=torch.float64))
    assert torch.autograd.gradcheck(lambda x: loss.distance(loss.statistic(x), target), maps)


@pytest.mark.parametrize("name", EVERY)
def test_a_map_of_one_place_has_a_finite_distance_and_gradient(name: str) -> None:
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
def test_each_picture_of_a_batch_has_its_own_statistic_and_counts_equally(name: str) -> None:
    loss = LOSSES[name]()
    maps, others = features(3, 4, 6, 7), features(3, 4, 6, 7, seed=1)
    statistics = loss.statistic(maps)

    alone = [loss.statistic(maps[i : i + 1]) for i in range(3)]
    distances = [between(loss, maps[i : i + 1], others[i : i + 1]) for i in range(3)]

    assert torch.allclose(statistics, torch.cat(alone), rtol=1e-5)
    assert between(loss, maps, others) == pytest.approx(sum(distances) / 3, rel=1e-4)


@pytest.mark.parametrize("name", EVERY)
def test_statistics_of_bf16_features_are_fp32_and_near(name: str) -> None:
    loss, maps = LOSSES[name](), features(1, 16, 24, 24)
    statistic = loss.statistic(maps.bfloat16())
    assert statistic.dtype is torch.float32
    assert torch.allclose(statistic, loss.statistic(maps), rtol=0.02, atol=0.01)


@pytest.mark.parametrize("name", MEANS)
def test_a_spatial_mean_of_the_whole_is_the_mean_over_equal_tiles(name: str) -> None:
    loss, maps = LOSSES[name](), features(2, 5, 12, 16, dtype=torch.float64)
    tiles = [maps[..., y : y + 6, x : x + 8] for y in (0, 6) for x in (0, 8)]
    mean = torch.stack([loss.statistic(tile) for tile in tiles]).mean(0)
    assert torch.allclose(loss.statistic(maps), mean, rtol=1e-12)


def test_gram_and_moments_say_that_they_are_spatial_means() -> None:
    assert {"gram", "moments"} <= set(MEANS)


# What each one sees


@pytest.mark.parametrize("name", ["gram", "moments"])
def test_texture_losses_forget_where_but_not_what(name: str) -> None:
    loss, maps = LOSSES[name](), features(1, 8, 16, 16)
    uneven = maps * torch.arange(1, 9).view(1, 8, 1, 1)
    moved, other = between(loss, shuffled(uneven), uneven), between(loss, uneven.flip(1), uneven)
    assert moved < SMALL_CHANGE * other


def test_gram_sees_which_channels_go_together_and_moments_do_not() -> None:
    maps = features(1, 8, 16, 16)
    apart = torch.cat([maps[:, :1], shuffled(maps[:, 1:])], dim=1)  # the first no longer goes with the rest
    gram, moments = LOSSES["gram"](), LOSSES["moments"]()
    assert between(gram, apart, maps) > 1e6 * between(gram, shuffled(maps), maps)
    assert between(moments, apart, maps) < SMALL_CHANGE * between(moments, 2 * maps, maps)


@pytest.mark.parametrize("name", ["gram", "moments"])
def test_texture_losses_compare_maps_of_different_sizes(name: str) -> None:
    maps = features(1, 4, 8, 8)
    assert between(LOSSES[name](), maps, maps.repeat(1, 1, 2, 3)) == pytest.approx(0, abs=1e-9)


def test_gram_distance_is_the_squared_norm_over_four_times_the_squared_channels() -> None:
    maps, others = features(1, 6, 7, 9), features(1, 6, 5, 4, seed=1)
    columns, columns_of_others = maps[0].flatten(1), others[0].flatten(1)
    gram, other = columns @ columns.T / 63, columns_of_others @ columns_of_others.T / 20
    expected = (gram - other).square().sum() / (4 * 6**2)
    assert between(LOSSES["gram"](), maps, others) == pytest.approx(expected.item(), rel=1e-5)


def test_moments_distance_is_that_of_means_and_standard_deviations() -> None:
    maps, others = features(1, 6, 7, 9), features(1, 6, 5, 4, seed=1)
    means = maps.mean((2, 3)) - others.mean((2, 3))
    deviations = maps.std((2, 3), correction=0) - others.std((2, 3), correction=0)
    expected = means.square().mean() + deviations.square().mean()
    assert between(LOSSES["moments"](), maps, others) == pytest.approx(expected.item(), rel=1e-3)


def test_content_notices_a_shift_that_texture_losses_overlook() -> None:
    maps = features(1, 8, 16, 16)
    shifted = maps.roll(3, -1)
    content = LOSSES["content"]()
    assert between(content, shifted, maps) > 0.1 * between(content, features(1, 8, 16, 16, seed=1), maps)
    assert between(LOSSES["gram"](), shifted, maps) < 1e-9


def test_content_distance_is_the_mean_squared_difference() -> None:
    maps, others = features(1, 6, 7, 9), features(1, 6, 7, 9, seed=1)
    expected = ((maps - others) ** 2).sum() / maps.numel()
    assert between(LOSSES["content"](), maps, others) == pytest.approx(expected.item(), rel=1e-5)


def test_total_variation_is_zero_for_a_flat_picture_and_grows_with_noise() -> None:
    loss = LOSSES["total_variation"]()
    flat = torch.full((1, 3, 16, 16), 0.3)
    noise = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    values = [between(loss, flat + sigma * noise, flat) for sigma in (0, 0.01, 0.1)]
    assert values[0] == 0
    assert values[2] > 50 * values[1] > 0


def test_total_variation_is_the_sum_of_squared_steps_across_and_down_per_value() -> None:
    picture = torch.zeros(1, 1, 2, 3)
    picture[0, 0, 0, 1] = 2.0  # two steps of 2 across, one down
    assert LOSSES["total_variation"]().statistic(picture).tolist() == [pytest.approx(3 * 4 / 6)]

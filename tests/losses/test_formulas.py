"""Losses: the formula of each loss, its sensitivities and invariances."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from support import between, features, shuffled
from torch import Tensor

from impasto.losses import LOSSES
from impasto.losses.sliced_wasserstein import SEED

SMALL_CHANGE = 1e-6  # of the distance to other features
TEXTURE = ["gram", "moments", "covariance", "bures", "sliced_wasserstein", "histogram", "relaxed_earth_mover"]
JOINT = ["gram", "covariance", "bures", "sliced_wasserstein", "relaxed_earth_mover"]
VARIATIONS = ["total_variation", "total_variation_l1", "total_variation_isotropic"]


@pytest.mark.parametrize("name", TEXTURE)
def test_texture_losses_are_invariant_to_positions_and_sensitive_to_channels(name: str) -> None:
    loss, maps = LOSSES[name](), features(1, 8, 16, 16)
    uneven = maps * torch.arange(1, 9).view(1, 8, 1, 1)
    moved, other = between(loss, shuffled(uneven), uneven), between(loss, uneven.flip(1), uneven)
    assert moved < SMALL_CHANGE * other


@pytest.mark.parametrize("name", JOINT)
def test_joint_losses_are_sensitive_to_channel_correlations(name: str) -> None:
    maps = features(1, 8, 16, 16)
    decorrelated = torch.cat(
        [maps[:, :1], shuffled(maps[:, 1:])], dim=1
    )  # the first is no longer correlated with the others
    loss = LOSSES[name]()
    assert between(loss, decorrelated, maps) > 1e4 * between(loss, shuffled(maps), maps)


@pytest.mark.parametrize("name", ["moments", "histogram"])
def test_losses_of_single_channels_are_invariant_to_channel_correlations(name: str) -> None:
    maps = features(1, 8, 16, 16)
    decorrelated = torch.cat([maps[:, :1], shuffled(maps[:, 1:])], dim=1)
    assert between(LOSSES[name](), decorrelated, maps) < SMALL_CHANGE * between(LOSSES[name](), 2 * maps, maps)


@pytest.mark.parametrize("name", TEXTURE)
def test_texture_losses_compare_maps_of_different_sizes(name: str) -> None:
    maps, other = features(1, 4, 8, 8), features(1, 4, 8, 8, seed=1)
    loss, repeated = LOSSES[name](), maps.repeat(1, 1, 2, 3)
    limit = 0.02 if name in ("sliced_wasserstein", "histogram") else SMALL_CHANGE  # they interpolate
    assert between(loss, maps, repeated) < limit * between(loss, other, repeated)
    assert between(loss, repeated, maps) < limit * between(loss, repeated, other)


def test_gram_distance_is_the_squared_norm_divided_by_four_times_the_squared_channels() -> None:
    maps, others = features(1, 6, 7, 9), features(1, 6, 5, 4, seed=1)
    columns, columns_of_others = maps[0].flatten(1), others[0].flatten(1)
    gram, other = columns @ columns.T / 63, columns_of_others @ columns_of_others.T / 20
    expected = (gram - other).square().sum() / (4 * 6**2)
    assert between(LOSSES["gram"](), maps, others) == pytest.approx(expected.item(), rel=1e-5)


def test_moments_distance_is_that_of_means_and_standard_deviations() -> None:
    maps, others = features(1, 6, 7, 9), features(1, 6, 5, 4, seed=1)
    means = maps.mean((2, 3)) - others.mean((2, 3))
    stds = maps.std((2, 3), correction=0) - others.std((2, 3), correction=0)
    expected = means.square().mean() + stds.square().mean()
    assert between(LOSSES["moments"](), maps, others) == pytest.approx(expected.item(), rel=1e-3)


def test_content_is_sensitive_to_a_shift_and_gram_is_not() -> None:
    maps = features(1, 8, 16, 16)
    shifted = maps.roll(3, -1)
    content = LOSSES["content"]()
    assert between(content, shifted, maps) > 0.1 * between(content, features(1, 8, 16, 16, seed=1), maps)
    assert between(LOSSES["gram"](), shifted, maps) < 1e-9


def test_content_distance_is_the_mean_squared_difference() -> None:
    maps, others = features(1, 6, 7, 9), features(1, 6, 7, 9, seed=1)
    expected = ((maps - others) ** 2).sum() / maps.numel()
    assert between(LOSSES["content"](), maps, others) == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("name", VARIATIONS)
def test_total_variation_is_zero_for_a_constant_image_and_grows_with_noise(name: str) -> None:
    loss = LOSSES[name]()
    flat = torch.full((1, 3, 16, 16), 0.3)
    noise = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    values = [loss.statistic(flat + sigma * noise).item() for sigma in (0, 0.01, 0.1)]
    assert values[0] == 0
    assert values[2] > (50 if name == "total_variation" else 9) * values[1] > 0


def test_a_guide_weights_the_squared_differences_of_content() -> None:
    maps, others = features(1, 6, 7, 9), features(1, 6, 7, 9, seed=1)
    guide = 2 * torch.rand(1, 1, 7, 9, generator=torch.Generator().manual_seed(0))
    loss = LOSSES["content"]()
    expected = (guide * (maps - others).square()).mean()
    guided = loss.distance(loss.statistic(maps, guide), loss.statistic(others, guide))
    assert guided.item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("name", VARIATIONS)
@pytest.mark.parametrize("axis", [-1, -2])
def test_a_guide_weights_each_difference_by_the_smaller_value_of_its_pixels(name: str, axis: int) -> None:
    picture, guide = torch.zeros(1, 1, 1, 4), torch.tensor([0.5, 0.4, 1.5, 1.6]).view(1, 1, 1, 4)
    picture[..., 2:] = 1.0  # one difference, between guides of 0.4 and 1.5
    if axis == -2:
        picture, guide = picture.mT, guide.mT
    assert LOSSES[name]().statistic(picture, guide).item() == pytest.approx(0.4 / 4, rel=5e-3)


def test_total_variation_is_the_sum_of_squared_differences_per_value() -> None:
    picture = torch.zeros(1, 1, 2, 3)
    picture[0, 0, 0, 1] = 2.0  # two differences of 2 horizontally, one vertically
    assert LOSSES["total_variation"]().statistic(picture).tolist() == [pytest.approx(3 * 4 / 6)]


def test_l1_total_variation_sums_differences_and_the_isotropic_one_sums_lengths() -> None:
    picture = torch.zeros(1, 1, 2, 3)
    picture[0, 0, 0, 0] = 2.0  # in a corner: a horizontal and a vertical difference of one pixel
    assert LOSSES["total_variation_l1"]().statistic(picture).tolist() == [pytest.approx(4 / 6)]
    assert LOSSES["total_variation_isotropic"]().statistic(picture).tolist() == [pytest.approx(8**0.5 / 6, rel=1e-3)]


@pytest.mark.parametrize("name", VARIATIONS)
def test_only_the_squared_total_variation_is_smaller_for_a_ramp_than_for_an_edge(name: str) -> None:
    edge, ramp = (torch.arange(32.0) >= 16).expand(1, 1, 32, 32).float(), torch.linspace(0, 1, 32).expand(1, 1, 32, 32)
    ratio = LOSSES[name]().statistic(edge) / LOSSES[name]().statistic(ramp)
    assert ratio.item() == pytest.approx(31 if name == "total_variation" else 1, rel=0.05)


@pytest.mark.parametrize(("name", "expected"), [("total_variation_l1", 2**0.5), ("total_variation_isotropic", 1)])
def test_only_the_isotropic_total_variation_is_invariant_to_the_direction(name: str, expected: float) -> None:
    x = torch.arange(64.0).expand(64, 64)
    horizontal, diagonal = x.expand(1, 1, 64, 64) / 64, ((x + x.T) / 2**0.5).expand(1, 1, 64, 64) / 64  # one slope
    ratio = LOSSES[name]().statistic(diagonal) / LOSSES[name]().statistic(horizontal)
    assert ratio.item() == pytest.approx(expected, rel=0.02)


def test_covariance_distance_is_that_of_means_and_covariances() -> None:
    maps, others = features(1, 6, 7, 9), features(1, 6, 5, 4, seed=1)
    means = (maps.mean((2, 3)) - others.mean((2, 3))).square().sum() / 6
    covariances = (each[0].flatten(1).cov(correction=0) for each in (maps, others))
    expected = means + (next(covariances) - next(covariances)).square().sum() / (4 * 6**2)
    assert between(LOSSES["covariance"](), maps, others) == pytest.approx(expected.item(), rel=1e-4)


@pytest.mark.parametrize("name", ["covariance", "bures"])
def test_a_shift_of_the_means_adds_its_square(name: str) -> None:
    loss, maps = LOSSES[name](), features(1, 6, 7, 9, dtype=torch.float64)
    wider = 1.5 * (maps - maps.mean((2, 3), keepdim=True)) + maps.mean((2, 3), keepdim=True)
    assert between(loss, maps + 5, maps) == pytest.approx(25, rel=1e-9)
    assert between(loss, wider + 5, maps) == pytest.approx(25 + between(loss, wider, maps), rel=1e-9)


def bures(maps: Tensor, others: Tensor) -> float:
    """Return the distance of Gaussians with 1e-4 added to every variance, from the singular values of a product."""
    gaussians = []
    for each in (maps, others):
        columns = each[0].flatten(1).double()
        values, vectors = torch.linalg.eigh(columns.cov(correction=0) + 1e-4 * torch.eye(len(columns)))
        gaussians.append((columns.mean(1), vectors * values.sqrt() @ vectors.T))
    (mean, root), (other_mean, other_root) = gaussians
    spread = root.square().sum() + other_root.square().sum() - 2 * torch.linalg.svdvals(root @ other_root).sum()
    return ((mean - other_mean).square().sum() + spread).item() / len(mean)


@pytest.mark.parametrize("shape", [(1, 6, 7, 9), (1, 32, 5, 4)], ids=str)
def test_bures_distance_equals_that_of_gaussians_also_with_few_positions(shape: tuple[int, ...]) -> None:
    maps, others = features(*shape), features(*shape, seed=1)
    assert between(LOSSES["bures"](), maps, others) == pytest.approx(bures(maps, others), rel=1e-4)


def test_bures_distance_of_features_of_low_variance_is_accurate_in_bf16() -> None:
    maps, others = (4 + features(1, 64, 40, 40)).bfloat16(), (4 + 1.25 * features(1, 64, 40, 40, seed=1)).bfloat16()
    assert between(LOSSES["bures"](), maps, others) == pytest.approx(bures(maps, others), rel=1e-3)


def test_bures_distance_of_nearly_constant_features_is_finite() -> None:
    maps = (1000 + 1e-3 * features(1, 16, 9, 9)).requires_grad_()  # the covariance is a rounding error and not positive
    loss = LOSSES["bures"]()
    target = loss.statistic(900 + features(1, 16, 9, 9, seed=1))
    (gradient,) = torch.autograd.grad(loss.distance(loss.statistic(maps), target), maps)
    assert gradient.isfinite().all()
    assert loss.distance(loss.statistic(maps.detach()), loss.statistic(maps.detach())) == 0


def test_bures_computes_the_root_of_a_target_once_and_again_where_it_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    loss, maps, others = LOSSES["bures"](), features(1, 6, 7, 9), features(1, 6, 7, 9, seed=1)
    target, decompose, decomposed = loss.statistic(maps), torch.linalg.eigh, []
    monkeypatch.setattr(torch.linalg, "eigh", lambda matrix: decomposed.append(matrix) or decompose(matrix))
    statistic = loss.statistic(others)
    assert loss.distance(statistic, target) == loss.distance(statistic, target) > 0
    assert len(decomposed) == 1
    target.copy_(statistic)
    assert loss.distance(statistic, target) == 0
    assert len(decomposed) == 2


def gaussian_like(maps: Tensor, seed: int) -> Tensor:
    """Return random maps of a normal distribution with exactly the mean and the covariance of `maps`."""
    normal = torch.randn(maps.shape, generator=torch.Generator().manual_seed(seed), dtype=maps.dtype)[0].flatten(1)
    normal = normal - normal.mean(1, keepdim=True)
    root, own = (torch.linalg.cholesky(each.cov(correction=0)) for each in (maps[0].flatten(1), normal))
    columns = root @ torch.linalg.solve_triangular(own, normal, upper=False)
    return columns.view_as(maps) + maps.mean((2, 3), keepdim=True)


def test_sliced_wasserstein_sees_correlations_that_as_many_directions_as_channels_do_not() -> None:
    maps = features(1, 8, 500, 1, dtype=torch.float64)
    directions = F.normalize(torch.randn(8, 8, generator=torch.Generator().manual_seed(SEED)), dim=1).double()
    projections = directions @ maps[0, :, :, 0]
    mixed = torch.cat([projections[:4].flip(1), projections[4:]])  # each projection has the same values as before
    others = torch.linalg.solve(directions, mixed).view_as(maps)
    sliced = LOSSES["sliced_wasserstein"]()
    along_the_first = sliced.statistic(maps)[:, :8] - sliced.statistic(others)[:, :8]
    assert along_the_first.abs().max() < 1e-9
    assert between(sliced, maps, others) > 0.02 * maps.var()


def test_sliced_wasserstein_compares_maps_with_different_numbers_of_directions() -> None:
    sliced, maps = LOSSES["sliced_wasserstein"](), features(1, 64, 80, 1)
    few, many = sliced.statistic(maps.repeat(1, 1, 40, 1)), sliced.statistic(maps)
    assert (few.shape[1], many.shape[1]) == (64, 16 * 64)
    assert sliced.distance(few, many) < 0.01 * maps.var()
    assert sliced.distance(many, few) < 0.01 * maps.var()


def test_sliced_wasserstein_is_sensitive_to_higher_moments_and_covariance_is_not() -> None:
    skewed = features(1, 6, 24, 24, dtype=torch.float64) ** 6
    gaussian, other_gaussian = gaussian_like(skewed, 1), gaussian_like(skewed, 2)
    sliced = LOSSES["sliced_wasserstein"]()
    covariance = LOSSES["covariance"]()
    assert between(covariance, gaussian, skewed) < 1e-12 * between(covariance, 2 * skewed, skewed)
    assert between(sliced, gaussian, skewed) > 10 * between(sliced, gaussian, other_gaussian)


def test_histogram_gradient_is_the_difference_to_the_histogram_matched_features() -> None:
    maps, others = features(1, 4, 6, 7), features(1, 4, 6, 7, seed=1)
    remapped = torch.empty_like(maps)
    for own, other, new in zip(maps[0], others[0], remapped[0], strict=True):
        new.flatten()[own.flatten().argsort()] = other.flatten().sort().values
    loss, leaf = LOSSES["histogram"](), maps.clone().requires_grad_()
    distance = loss.distance(loss.statistic(leaf), loss.statistic(others))
    (gradient,) = torch.autograd.grad(distance, leaf)
    assert distance.item() == pytest.approx(F.mse_loss(maps, remapped).item(), rel=1e-5)
    assert torch.allclose(gradient, 2 * (maps - remapped) / maps.numel(), atol=1e-7)


def nearest_patches(maps: Tensor, others: Tensor) -> float:
    """Return the mean squared difference to the nearest patches, computed for all patches at once."""
    own, other = F.unfold(maps, 3)[0].T, F.unfold(others, 3)[0].T  # (patches, 9*C)
    match = (F.normalize(own, dim=1) @ F.normalize(other, dim=1).T).argmax(1)
    return F.mse_loss(own, other[match]).item()


@pytest.mark.parametrize("pairs_per_block", [1, 3000, 10**9])
def test_patches_distance_is_that_to_the_patches_with_the_largest_correlation(
    pairs_per_block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("impasto.losses.patches.PAIRS_PER_BLOCK", pairs_per_block)
    maps, others = features(1, 4, 11, 9), features(1, 4, 8, 10, seed=1)
    assert between(LOSSES["patches"](), maps, others) == pytest.approx(nearest_patches(maps, others), rel=1e-5)


def test_patches_are_invariant_to_the_position_of_a_patch_and_sensitive_to_its_structure() -> None:
    loss, maps = LOSSES["patches"](), features(1, 8, 16, 16)
    crop, other = maps[..., 3:12, 5:14], features(1, 8, 9, 9, seed=1)
    assert between(loss, crop, maps) == 0
    assert between(loss, shuffled(maps), maps) > 0.3 * between(loss, other, maps)
    assert between(LOSSES["gram"](), shuffled(maps), maps) < 1e-9


def test_a_guide_selects_the_patches_that_are_completely_inside() -> None:
    loss, maps, others = LOSSES["patches"](), features(1, 4, 10, 12), features(1, 4, 10, 12, seed=1)
    guide = torch.zeros(1, 1, 10, 12)
    guide[..., 2:8, 1:9] = 120 / 48
    guided = loss.distance(loss.statistic(maps, guide), loss.statistic(others, guide))
    expected = nearest_patches(maps[..., 2:8, 1:9], others[..., 2:8, 1:9])
    assert guided.item() == pytest.approx(expected, rel=1e-5)


def test_patches_are_matched_only_to_patches_inside_the_guide() -> None:
    loss, maps, others = LOSSES["patches"](), features(1, 4, 10, 12), features(1, 4, 10, 12, seed=1)
    maps[..., 4:9] = 1e-3 * features(1, 4, 10, 5, seed=2)  # its edge resembles the border of the guide
    guide = torch.zeros(1, 1, 10, 12)
    guide[..., 2:8, 1:9] = 120 / 48
    distance = loss.distance(loss.statistic(maps), loss.statistic(others, guide))
    assert distance.item() == pytest.approx(nearest_patches(maps, others[..., 2:8, 1:9]), rel=1e-5)


def test_a_guide_narrower_than_a_patch_still_selects_patches() -> None:
    loss, maps = LOSSES["patches"](), features(1, 4, 10, 12)
    guide = torch.zeros(1, 1, 10, 12)
    guide[..., 5] = 12
    target = loss.statistic(features(1, 4, 10, 12, seed=1), guide)
    distance = loss.distance(loss.statistic(maps, guide), target)
    assert distance > 0
    assert loss.distance(target, target) == 0


def test_relaxed_earth_movers_distance_is_the_larger_mean_of_nearest_cosine_distances() -> None:
    maps, others = features(1, 6, 7, 9), features(1, 6, 5, 4, seed=1)
    own, other = (F.normalize(each[0].flatten(1), dim=0) for each in (maps, others))
    distances = 1 - own.T @ other
    expected = max(distances.min(0).values.mean().item(), distances.min(1).values.mean().item())
    loss = LOSSES["relaxed_earth_mover"]()
    assert between(loss, maps, others) == pytest.approx(expected, rel=1e-4)
    assert between(loss, others, maps) == pytest.approx(expected, rel=1e-4)


def test_relaxed_earth_mover_is_invariant_to_brightness_and_sensitive_to_missing_features() -> None:
    loss, maps = LOSSES["relaxed_earth_mover"](), features(1, 6, 16, 16)
    brightness = 1 + torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    other = between(loss, features(1, 6, 16, 16, seed=1), maps)
    assert between(loss, brightness * maps, maps) < 1e-4 * other
    assert (
        between(loss, maps[..., :2], maps) > other
    )  # each vector has a near match, but most vectors of the other map have none


def test_relaxed_earth_movers_distance_of_equal_maps_with_zeros_is_zero() -> None:
    maps = features(1, 6, 8, 8)
    maps[..., 2:5] = 0
    assert between(LOSSES["relaxed_earth_mover"](), maps, maps) == 0


def test_self_similarity_is_invariant_to_a_rotation_of_channels_and_sensitive_to_positions() -> None:
    loss, maps = LOSSES["self_similarity"](), features(1, 8, 12, 12)
    rotation = torch.linalg.qr(torch.randn(8, 8, generator=torch.Generator().manual_seed(0))).Q
    rotated = 3 * torch.einsum("dc,bchw->bdhw", rotation, maps)
    other = between(loss, features(1, 8, 12, 12, seed=1), maps)
    assert between(loss, rotated, maps) < 1e-4 * other
    assert between(loss, shuffled(maps), maps) > 0.5 * other
    assert between(LOSSES["content"](), rotated, maps) > between(LOSSES["content"](), shuffled(maps), maps)


def test_self_similarity_compares_cosine_distances_divided_by_the_means_of_their_columns() -> None:
    maps, others = features(1, 6, 3, 4), features(1, 6, 3, 4, seed=1)
    matrices = []
    for each in (maps, others):
        columns = F.normalize(each[0].flatten(1), dim=0)
        distances = 1 - columns.T @ columns
        matrices.append(distances / distances.mean(0))
    expected = (matrices[0] - matrices[1]).abs().mean().item()
    assert between(LOSSES["self_similarity"](), maps, others) == pytest.approx(expected, rel=1e-3)


def test_self_similarity_uses_the_same_positions_of_both_images() -> None:
    loss, maps = LOSSES["self_similarity"](), features(1, 4, 40, 40)  # more positions than are compared
    assert loss.statistic(maps).shape == (1, 1024, 1024)
    assert between(loss, 2 * maps, maps) < 1e-4 * between(loss, maps.roll(1, -1), maps)


def test_laplacian_is_invariant_to_shifts_of_color_and_sensitive_to_edges() -> None:
    loss, picture = LOSSES["laplacian"](), torch.full((1, 3, 64, 64), 0.5)
    picture[..., 20:40, 20:40] = 0.9
    tinted = 0.9 * picture + torch.tensor([0.1, -0.2, 0.0]).view(1, 3, 1, 1)
    moved = picture.roll(8, -1)
    shifted = picture + torch.tensor([0.3, -0.2, 0.1]).view(1, 3, 1, 1)
    assert between(loss, shifted, picture) < SMALL_CHANGE * between(loss, moved, picture)
    assert between(loss, tinted, picture) < 0.02 * between(loss, moved, picture)


def test_laplacian_of_a_dot_is_the_sum_over_both_poolings_of_the_mean_square() -> None:
    picture = torch.zeros(1, 1, 64, 64)
    picture[..., 32:36, 32:36] = 1.0  # one of the smaller pools, a sixteenth of one of the larger
    expected = 20 / 16**2 + 20 / 16**2 / 4**2
    assert between(LOSSES["laplacian"](), picture, torch.zeros_like(picture)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ["covariance", "bures", "sliced_wasserstein", "histogram"])
def test_for_one_position_the_distance_is_the_squared_difference(name: str) -> None:
    maps, others = features(1, 6, 1, 1), features(1, 6, 1, 1, seed=1)
    expected = (maps - others).square().sum().item() / 6
    limit = 3 if name == "sliced_wasserstein" else 1 + 1e-4  # measured in six random directions
    assert expected / limit <= between(LOSSES[name](), maps, others) <= expected * limit

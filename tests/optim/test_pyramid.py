"""Test the Laplacian pyramid: reconstruction, linearity, adjoint, and faster changes of large areas."""

from __future__ import annotations

import pytest
import torch
from support import noise, sample
from torch import Tensor

from impasto.images import resize
from impasto.losses.gram import GramLoss
from impasto.objectives.objective import Objective, match
from impasto.optim.descent import descend
from impasto.optim.pyramid import Pyramid, collapse, decompose

SHAPES = [(1, 1), (1, 9), (7, 5), (16, 16), (33, 64), (101, 37)]


def random(*shape: int, seed: int = 0) -> Tensor:
    return noise(*shape, seed=seed, dtype=torch.float64)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("count", [1, 2, 5, 12])
def test_the_levels_collapse_to_the_image(shape: tuple[int, int], count: int) -> None:
    image = random(1, 3, *shape)
    levels = decompose(image, count)
    assert len(levels) <= count
    assert torch.allclose(collapse(levels), image, atol=1e-14, rtol=0)


def test_every_level_is_half_as_high_and_wide_and_the_last_is_the_mean_of_its_pixels() -> None:
    levels = decompose(random(1, 3, 24, 37), 4)
    assert [tuple(level.shape[-2:]) for level in levels] == [(24, 37), (12, 19), (6, 10), (3, 5)]
    square = random(1, 3, 16, 16)
    assert torch.allclose(decompose(square, 9)[-1].flatten(), square.mean((0, 2, 3)))


def test_an_image_of_one_color_is_zero_in_all_levels_but_the_last() -> None:
    *fine, last = decompose(torch.full((1, 3, 13, 18), 0.3), 4)
    assert all(level.abs().max() < 1e-6 for level in fine)
    assert torch.allclose(last, torch.full_like(last, 0.3))


@pytest.mark.parametrize("shape", SHAPES)
def test_decomposing_and_collapsing_are_linear(shape: tuple[int, int]) -> None:
    first, second = random(1, 3, *shape), random(1, 3, *shape, seed=1)
    pyramid = Pyramid(first, 4)
    sums = pyramid.levels(2 * first - 3 * second)
    assert torch.allclose(sums, 2 * pyramid.levels(first) - 3 * pyramid.levels(second), atol=1e-12)
    levels = [random(len(sums), seed=seed) for seed in (2, 3)]
    image = pyramid.image(2 * levels[0] - 3 * levels[1])
    assert torch.allclose(image, 2 * pyramid.image(levels[0]) - 3 * pyramid.image(levels[1]), atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_gradient_of_the_levels_is_the_adjoint_of_collapsing(shape: tuple[int, int]) -> None:
    gradient = random(1, 3, *shape)
    pyramid = Pyramid(gradient, 4)
    levels = random(pyramid.zeros().numel(), seed=1)
    product = (pyramid.image(levels) * gradient).sum()
    assert (levels * pyramid.gradient(gradient)).sum().item() == pytest.approx(product.item(), rel=1e-12)


def test_a_pyramid_lowers_the_style_loss_faster_with_adam(load_random) -> None:
    content, style = (resize(sample(name, size=None), (96, 96)) for name in ("astronaut", "mosaic"))
    backbone = load_random("lite")
    layers = ["relu1_1", "relu2_1", "relu3_1"]
    objective = Objective(backbone, match("style", GramLoss(), [backbone.encode(style, layers)], layers, 100.0))

    def smallest_loss(levels: int) -> float:
        steps = descend(objective, content, optimizer="adam", pyramid=levels, steps=12)
        return min(sum(step.losses.values()) for step in steps)

    assert smallest_loss(5) < 0.8 * smallest_loss(0)

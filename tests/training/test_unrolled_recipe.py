"""Test what each stage of the recipe `unrolled` trains."""

from __future__ import annotations

import pytest
import torch

from impasto.config import check_settings
from impasto.training.perceptual import sample_pairs
from impasto.training.recipes import RECIPES
from impasto.training.recipes.unrolled import STAGES, TrainedStep, UnrolledRecipe


@pytest.fixture(scope="module")
def recipe() -> UnrolledRecipe:
    settings = check_settings(UnrolledRecipe.Config, "unrolled", {"crop": 64, "precision": "fp32", "device": "cpu"})
    made = RECIPES["unrolled"](settings)
    assert isinstance(made, UnrolledRecipe)
    return made


def batch_of(side: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    photo, painting = torch.rand(2, 2, 3, side, side, generator=generator)
    return {"photo": photo, "painting": painting, "seed": torch.tensor([5, 6])}


@pytest.mark.parametrize("step", range(len(STAGES)))
def test_every_stage_trains_its_last_step_alone(recipe: UnrolledRecipe, step: int) -> None:
    network, batch = recipe.network(), batch_of(64)
    terms = recipe.loss(network, batch, step)
    assert all(term.isfinite() for term in terms.values())
    torch.stack(list(terms.values())).sum().backward()
    trained = network.at(STAGES[step].reductions[-1])
    for learned in (network.fine, network.coarse):
        assert (learned.to_pixels.bias.grad is not None) == (learned is trained)
    assert trained.to_pixels.bias.grad.abs().max() > 0


def test_the_image_before_a_step_comes_from_the_steps_before_it(recipe: UnrolledRecipe) -> None:
    network, batch = recipe.network(), batch_of(64)
    contents, styles, _ = sample_pairs(batch)
    with torch.no_grad():
        stage = TrainedStep(1, (4, 2, 1))
        first, noisy, content, style = recipe._before(network, stage, contents, styles, batch["seed"])
        second, *_ = recipe._before(network, TrainedStep(1, (4, 2, 1, 1)), contents, styles, batch["seed"])
        torch.testing.assert_close(second, network.fine(first, noisy, network.fine.targets(style)).clamp(0, 1))
        images = recipe._before(network, TrainedStep(2, (4, 2, 1, 1)), contents, styles, batch["seed"])
    assert torch.equal(content, contents)
    assert {image.shape for image in images} == {contents.shape}  # a piece of the enlarged images
    assert (images[1] - images[2]).std() > 0.02  # the input noise

"""Test the method `nnst`: nearest neighbors, stages, mixtures of styles, and regions."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from support import BLUE, RED, best_step, nearly_uniform, noise, run_method, sample, smooth_image
from torch import Tensor

from impasto.config import check_settings
from impasto.methods.nnst import NNST, NNSTConfig
from impasto.objectives import nearest_features
from impasto.objectives.nearest_features import FeatureVectors, nearest_vectors
from impasto.regions.subject import Region, Style, Subject, single_region
from impasto.types import Step

QUICK = {"backbone": "tiny", "size": 64, "device": "cpu", "precision": "fp32", "steps_per_size": 10, "rematch_steps": 5}
LAYERS = ["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu4_2"]


def content(height: int = 48, width: int = 64) -> Tensor:
    return smooth_image(height, width)


def run(subject: Subject | None = None, **settings: Any) -> list[Step]:
    return run_method("nnst", subject or single_region(content(), [sample()]), **QUICK | settings)


# Nearest neighbors


def test_the_nearest_vectors_are_those_of_the_formula_for_every_size_of_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    queries, vectors = noise(50, 12), noise(30, 12, seed=1)
    cosine = F.cosine_similarity((queries - queries.mean(0))[:, None], (vectors - vectors.mean(0))[None], dim=2)
    expected = vectors[cosine.argmax(1)]
    assert torch.equal(nearest_vectors(queries, [vectors], [1.0], torch.float32), expected)
    monkeypatch.setattr(nearest_features, "CHUNK", 70)
    assert torch.equal(nearest_vectors(queries, [vectors], [1.0], torch.float32), expected)


@pytest.mark.parametrize("weights", [(0.5, 0.3, 0.2), (0.0, 1.0, 0.0), (0.1, 0.0, 0.9)])
def test_each_style_has_a_fraction_of_the_positions_equal_to_its_weight(weights: tuple[float, ...]) -> None:
    vectors = [noise(20, 6, seed=seed) + 10 * seed for seed in (1, 2, 3)]
    found = nearest_vectors(noise(200, 6), vectors, weights, torch.float32)
    counts = [int(((found >= 10 * seed) & (found < 10 * seed + 5)).all(1).sum()) for seed in (1, 2, 3)]
    assert counts == [round(200 * weight) for weight in weights]


def test_an_image_is_nearest_to_itself_and_rotations_add_vectors(load_random) -> None:
    vectors = FeatureVectors(load_random("tiny"), ("relu1_1", "relu2_1"), torch.float32)
    own = vectors.of(sample())
    of_style = vectors.of_style(Style(sample()), rotations=1, limit=0, seed=0)
    assert all(torch.equal(a, b) for a, b in zip(own, of_style, strict=True))
    assert len(vectors.of_style(Style(sample()), rotations=4, limit=0, seed=0)[0]) == 4 * len(own[0])
    assert len(vectors.of_style(Style(sample()), rotations=4, limit=77, seed=0)[0]) == 77
    assert torch.equal(nearest_vectors(own[1], [own[1]], [1.0], torch.float32), own[1])


# Runs


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_style_loss_decreases_at_every_stage_and_the_pixels_stay_in_range(precision: str) -> None:
    steps = run(precision=precision)
    for stage in {step.stage for step in steps}:
        losses = [step.loss for step in steps if step.stage == stage]
        assert min(losses) < 0.9 * losses[0]
    image = best_step(steps).image()
    assert image.min() >= 0
    assert image.max() <= 1


def test_there_is_one_term_and_in_the_final_steps_one_per_layer() -> None:
    steps = run(steps=2, rematch_steps=1)
    assert [set(step.losses) for step in steps] == [{"style/columns"}] * 2 + [{f"style/{name}" for name in LAYERS}]
    assert [step.total for step in steps] == [3, 3, 3]
    assert [list(step.losses) for step in run(steps=1, rematch_steps=1, layers=["relu2_1"])][1] == ["style/relu2_1"]


def test_a_higher_alpha_keeps_more_of_the_content() -> None:
    subject = single_region(content(), [sample()])
    high, low = (
        best_step(run(subject, alpha=alpha, sizes=[32, 64], steps=40, rematch_steps=0)).image() for alpha in (1.0, 0.0)
    )
    changes = [(image - subject.content).square().mean() for image in (high, low)]
    assert changes[0] < 0.97 * changes[1]


def test_the_losses_of_a_step_are_those_of_its_image() -> None:
    for step in run():
        if step.stage == 2:
            assert step.losses_of(step.image()) == pytest.approx(step.losses, rel=1e-4)


def test_the_same_seed_gives_the_same_image_and_another_seed_another_image() -> None:
    settings = {"vectors": 50, "steps_per_size": 4}
    first, second, other = (best_step(run(seed=seed, **settings)).image() for seed in (3, 3, 4))
    assert torch.equal(first, second)
    assert (first - other).abs().max() > 1e-3


@pytest.mark.parametrize("shape", [(16, 16), (16, 40)])
def test_the_smallest_images_are_stylized(shape: tuple[int, int]) -> None:
    steps = run(single_region(content(*shape), [sample()]), size=0)
    assert steps[-1].size == shape
    assert steps[9].loss < steps[0].loss


def test_each_size_is_half_the_next_and_there_are_at_most_as_many_as_steps() -> None:
    assert [step.size[1] for step in run(size=96, steps_per_size=1, rematch_steps=1)] == [48, 96, 96]
    assert [step.size[1] for step in run(size=96, steps=1, rematch_steps=0)] == [96]


@pytest.mark.parametrize("weight", [0.25, 0.6])
def test_each_style_has_a_fraction_of_the_image_equal_to_its_weight(weight: float) -> None:
    styles = [nearly_uniform(color, 48, 48) for color in (RED, BLUE)]
    subject = single_region(noise(1, 3, 48, 64), styles, [weight, 1 - weight])
    image = best_step(run(subject, sizes=[64], steps=30, rematch_steps=0)).image()
    assert (image[:, 0] > image[:, 2]).float().mean().item() == pytest.approx(weight, abs=0.12)


def test_each_region_has_the_colors_of_its_own_styles() -> None:
    left = torch.zeros(1, 1, 48, 64)
    left[..., :32] = 1
    half = torch.zeros(1, 1, 48, 48)
    half[..., :24] = 1
    red, blue = (nearly_uniform(color, 48, 48) for color in (RED, BLUE))
    both = torch.cat([blue[..., :24], red[..., 24:]], 3)
    regions = (
        Region((Style(red),), name="west", mask=left),
        Region((Style(both, mask=half),), name="east", mask=1 - left),
    )
    steps = run(Subject(content(), regions), steps_per_size=30, layers=["relu1_1", "relu2_1"])
    image = best_step(steps).image()
    assert set(steps[0].losses) == {"style/west", "style/east"}
    assert (image[:, 0, :, :26] > image[:, 2, :, :26]).float().mean() > 0.9
    assert (image[:, 0, :, 38:] < image[:, 2, :, 38:]).float().mean() > 0.9


def test_a_backbone_with_branches_works(random_weights, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMPASTO_WEIGHTS", str(random_weights("squeezenet1_1")))
    steps = run(backbone="squeezenet1_1", steps=6, rematch_steps=2, sizes=[64])
    assert steps[5].loss < steps[0].loss


def test_a_layer_that_the_backbone_lacks_is_an_error_of_one_line() -> None:
    with pytest.raises(ValueError, match=r"^the backbone has no layer 'relu9_1'; it has: relu1_1, .*pool5$"):
        NNST(check_settings(NNSTConfig, "nnst", QUICK | {"layers": ["relu1_1", "relu9_1"]}))

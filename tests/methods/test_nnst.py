"""nnst: every place takes after its nearest in the style, near the content by alpha, each region its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.config import check_settings
from impasto.images import load_image, resize
from impasto.methods.nnst import NNST, NNSTConfig
from impasto.objectives import nearest_features
from impasto.objectives.nearest_features import FeatureVectors, nearest_vectors
from impasto.regions.subject import Region, Style, Subject, single_region
from impasto.samples import resolve
from impasto.types import Step

QUICK = {"backbone": "tiny", "size": 64, "device": "cpu", "precision": "fp32", "steps_per_size": 10, "rematch_steps": 5}
LAYERS = ["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu4_2"]
RED, BLUE = torch.tensor([0.8, 0.2, 0.1]).view(1, 3, 1, 1), torch.tensor([0.1, 0.2, 0.8]).view(1, 3, 1, 1)


def content(height: int = 48, width: int = 64) -> Tensor:
    return resize(torch.rand(1, 3, 4, 5, generator=torch.Generator().manual_seed(1)), (height, width))


def flat(color: Tensor) -> Tensor:
    return (color + 0.05 * torch.rand(1, 3, 48, 48, generator=torch.Generator().manual_seed(2))).clamp(0, 1)


def style(name: str = "mosaic") -> Tensor:
    return load_image(resolve(name), size=96)


def nnst(**settings: Any) -> NNST:
    return NNST(check_settings(NNSTConfig, "nnst", QUICK | settings))


def paint(subject: Subject | None = None, **settings: Any) -> list[Step]:
    return list(nnst(**settings).run(subject or single_region(content(), [style()])))


def last(steps: Sequence[Step]) -> Tensor:
    return min((step for step in steps if step.stage == steps[-1].stage), key=lambda step: step.loss).image()


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


# Matching


def test_the_nearest_is_that_of_the_formula_however_small_the_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    queries, vectors = random(50, 12), random(30, 12, seed=1)
    cosine = F.cosine_similarity((queries - queries.mean(0))[:, None], (vectors - vectors.mean(0))[None], dim=2)
    expected = vectors[cosine.argmax(1)]
    assert torch.equal(nearest_vectors(queries, [vectors], [1.0], torch.float32), expected)
    monkeypatch.setattr(nearest_features, "CHUNK", 70)
    assert torch.equal(nearest_vectors(queries, [vectors], [1.0], torch.float32), expected)


@pytest.mark.parametrize("shares", [(0.5, 0.3, 0.2), (0.0, 1.0, 0.0), (0.1, 0.0, 0.9)])
def test_every_style_gets_its_share_of_the_places(shares: tuple[float, ...]) -> None:
    vectors = [random(20, 6, seed=seed) + 10 * seed for seed in (1, 2, 3)]
    found = nearest_vectors(random(200, 6), vectors, shares, torch.float32)
    counts = [int(((found >= 10 * seed) & (found < 10 * seed + 5)).all(1).sum()) for seed in (1, 2, 3)]
    assert counts == [round(200 * share) for share in shares]


def test_a_picture_is_nearest_to_itself_and_turns_add_vectors(load_random) -> None:
    columns = FeatureVectors(load_random("tiny"), ("relu1_1", "relu2_1"), torch.float32)
    own = columns.of(style())
    kept = columns.of_style(Style(style()), rotations=1, limit=0, seed=0)
    assert all(torch.equal(a, b) for a, b in zip(own, kept, strict=True))
    assert len(columns.of_style(Style(style()), rotations=4, limit=0, seed=0)[0]) == 4 * len(own[0])
    assert len(columns.of_style(Style(style()), rotations=4, limit=77, seed=0)[0]) == 77
    assert torch.equal(nearest_vectors(own[1], [own[1]], [1.0], torch.float32), own[1])


# Painting


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_distance_to_the_style_falls_at_every_stage_and_the_pixels_stay_within_the_bounds(precision: str) -> None:
    steps = paint(precision=precision)
    for stage in {step.stage for step in steps}:
        losses = [step.loss for step in steps if step.stage == stage]
        assert min(losses) < 0.9 * losses[0]
    assert last(steps).min() >= 0
    assert last(steps).max() <= 1


def test_the_terms_are_one_of_columns_and_at_last_one_a_layer() -> None:
    steps = paint(steps=2, rematch_steps=1)
    assert [set(step.losses) for step in steps] == [{"style/columns"}] * 2 + [{f"style/{name}" for name in LAYERS}]
    assert [step.total for step in steps] == [3, 3, 3]
    assert [list(step.losses) for step in paint(steps=1, rematch_steps=1, layers=["relu2_1"])][1] == ["style/relu2_1"]


def test_a_higher_alpha_keeps_more_of_the_content() -> None:
    subject = single_region(content(), [style()])
    away = [
        (last(paint(subject, alpha=alpha, sizes=[32, 64], steps=80, rematch_steps=0)) - subject.content)
        .square()
        .mean()
        .item()
        for alpha in (1.0, 0.0)
    ]
    assert away[0] < 0.97 * away[1]


def test_the_losses_of_the_picture_of_a_step_are_those_of_the_step() -> None:
    for step in paint():
        if step.stage == 2:
            assert step.losses_of(step.image()) == pytest.approx(step.losses, rel=1e-4)


def test_the_same_seed_gives_the_same_picture_bit_for_bit() -> None:
    first, again = (last(paint(seed=3, vectors=50)) for _ in range(2))
    assert torch.equal(first, again)
    assert (first - last(paint(seed=4, vectors=50))).abs().max() > 1e-3


@pytest.mark.parametrize("shape", [(16, 16), (16, 40)])
def test_the_smallest_pictures_are_painted(shape: tuple[int, int]) -> None:
    steps = paint(single_region(content(*shape), [style()]), size=0)
    assert steps[-1].size == shape
    assert steps[9].loss < steps[0].loss


def test_each_size_is_half_the_next_and_steps_can_be_few() -> None:
    assert [step.size[1] for step in paint(size=96, steps_per_size=1, rematch_steps=1)] == [48, 96, 96]
    assert [step.size[1] for step in paint(size=96, steps=1, rematch_steps=0)] == [96]


def test_both_styles_are_seen_in_the_picture_by_their_shares() -> None:
    noise = random(1, 3, 48, 64)
    for share in (0.25, 0.6):
        subject = single_region(noise, [flat(RED), flat(BLUE)], [share, 1 - share])
        picture = last(paint(subject, sizes=[64], steps=60, rematch_steps=0, backbone="tiny"))
        reds = (picture[:, 0] > picture[:, 2]).float().mean().item()
        assert reds == pytest.approx(share, abs=0.12)


def test_each_region_takes_after_its_own_styles() -> None:
    left = torch.zeros(1, 1, 48, 64)
    left[..., :32] = 1
    half = torch.zeros(1, 1, 48, 48)
    half[..., :24] = 1
    both = torch.cat([flat(BLUE)[..., :24], flat(RED)[..., 24:]], 3)
    regions = (
        Region((Style(flat(RED)),), name="west", mask=left),
        Region((Style(both, mask=half),), name="east", mask=1 - left),
    )
    steps = paint(Subject(content(), regions), steps_per_size=60, layers=["relu1_1", "relu2_1"])
    picture = last(steps)
    assert set(steps[0].losses) == {"style/west", "style/east"}
    assert (picture[:, 0, :, :26] > picture[:, 2, :, :26]).float().mean() > 0.9
    assert (picture[:, 0, :, 38:] < picture[:, 2, :, 38:]).float().mean() > 0.9


def test_a_network_that_is_no_chain_works_too(random_weights, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMPASTO_WEIGHTS", str(random_weights("squeezenet1_1")))
    steps = paint(backbone="squeezenet1_1", steps=6, rematch_steps=2, sizes=[64])
    assert steps[5].loss < steps[0].loss


def test_a_layer_that_the_network_lacks_is_refused_in_one_line() -> None:
    with pytest.raises(ValueError, match=r"^the backbone has no layer 'relu9_1'; it has: relu1_1, .*pool5$"):
        nnst(layers=["relu1_1", "relu9_1"])

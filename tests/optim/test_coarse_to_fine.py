"""From coarse to fine: sizes, shares of the steps, first pictures, and steps that tell the truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from impasto.config import check_settings
from impasto.images import resize
from impasto.losses.content import ContentLoss
from impasto.losses.gram import GramLoss
from impasto.methods.optimizing import PixelMethod
from impasto.objectives.objective import Objective, match
from impasto.optim.coarse_to_fine import coarse_to_fine
from impasto.optim.schedule import PixelConfig, Stage, make_schedule
from impasto.regions.subject import Subject, single_region
from impasto.types import Image, Step

Paint = Callable[..., list[Step]]


def picture(height: int, width: int, seed: int) -> Tensor:
    coarse = torch.rand(1, 3, 5, 6, generator=torch.Generator().manual_seed(seed))
    return resize(coarse, (height, width))


CONTENT, STYLE, OTHER_STYLE = picture(48, 60, 1), picture(50, 40, 2), picture(30, 70, 3)


@pytest.fixture
def seen() -> list[tuple[Image, Sequence[Image]]]:
    """The content and styles that each size was given."""
    return []


@pytest.fixture
def paint(load_random, seen: list[tuple[Image, Sequence[Image]]]) -> Paint:
    """Paints with the given settings, and returns all steps."""
    backbone = load_random("tiny")

    def objective(subject: Subject, stage: Stage, start: Image) -> Objective:
        subject = subject.resized(stage.shape)
        content, styles = subject.content, [style.image for style in subject.regions[0].styles]
        seen.append((content, styles))
        kept = [backbone.encode(content, ["relu2_1"])]
        matched = [backbone.encode(style, ["relu1_1"]) for style in styles]
        mix = [1 / len(styles)] * len(styles)
        return Objective(
            backbone,
            [
                *match("content", ContentLoss(), kept, ["relu2_1"], 1.0),
                *match("style", GramLoss(), matched, ["relu1_1"], 30.0, mix),
            ],
        )

    def run(styles: Sequence[Image] = (STYLE,), **settings: Any) -> list[Step]:
        config = check_settings(PixelConfig, "a test", {"size": 40, "device": "cpu"} | settings)
        return list(coarse_to_fine(config, make_schedule(config, CONTENT), single_region(CONTENT, styles), objective))

    return run


def first_picture(paint: Paint, **settings: Any) -> Tensor:
    return paint(steps=1, **settings)[0].image()


# Sizes and steps


def test_each_size_is_optimized_in_turn_with_its_part_of_the_steps(paint: Paint) -> None:
    steps = paint(sizes=[20, 30, 45], steps=11)
    assert [step.size for step in steps] == [(16, 20)] * 3 + [(24, 30)] * 3 + [(36, 45)] * 5
    assert all(step.image().shape == (1, 3, *step.size) for step in steps)


@pytest.mark.parametrize("count", [1, 7])
def test_one_size_takes_all_the_steps(paint: Paint, count: int) -> None:
    steps = paint(steps=count)
    assert [step.index for step in steps] == list(range(1, count + 1))
    assert {step.size for step in steps} == {(32, 40)}


def test_size_zero_keeps_the_size_of_the_content(paint: Paint) -> None:
    steps = paint(size=0, steps=1)
    assert steps[0].size == (48, 60)
    assert torch.equal(steps[0].image(), CONTENT)


def test_content_and_styles_have_the_same_longer_side_at_every_size(
    paint: Paint, seen: list[tuple[Image, Sequence[Image]]]
) -> None:
    paint([STYLE, OTHER_STYLE], sizes=[20, 64], steps=2)
    shapes = [[tuple(image.shape[-2:]) for image in (content, *styles)] for content, styles in seen]
    assert shapes == [[(16, 20), (20, 16), (9, 20)], [(51, 64), (64, 51), (27, 64)]]
    assert torch.equal(seen[0][0], resize(CONTENT, (16, 20)))  # from the full picture, not from a resized one
    assert torch.equal(seen[1][1][0], resize(STYLE, (64, 51)))


@pytest.mark.parametrize("settings", [{"size": 33}, {"size": 0}, {"size": 12, "sizes": [20, 31]}])
def test_the_final_shape_is_known_before(paint: Paint, settings: dict[str, Any]) -> None:
    config = check_settings(PixelConfig, "a test", settings)
    assert PixelMethod.final_shape(config, CONTENT) == paint(**settings, steps=2)[-1].size


def test_a_finer_size_starts_from_the_best_picture_of_the_coarser(paint: Paint) -> None:
    steps = paint(sizes=[24, 40], steps=6, optimizer="adam", lr=0.15)
    coarse, fine = steps[:3], steps[3:]
    best = min(coarse, key=lambda step: step.loss)
    assert best is not coarse[-1]  # such a long step makes it worse again
    assert torch.equal(fine[0].image(), resize(best.image(), fine[0].size))


def test_fewer_steps_than_sizes_are_refused_in_one_line(paint: Paint) -> None:
    with pytest.raises(ValueError, match=r"^steps: 2 is less than the number of sizes, 3; give at least 3 steps$"):
        paint(sizes=[20, 24, 28], steps=2)


def test_without_steps_every_size_is_painted_until_converged(paint: Paint) -> None:
    steps = paint(sizes=[16, 24])
    assert {step.size for step in steps} == {(13, 16), (19, 24)}
    assert {step.total for step in steps} == {None}
    assert all(sum(step.size == size for step in steps) > 25 for size in [(13, 16), (19, 24)])


# First pictures


def test_a_content_or_style_start_is_that_picture(paint: Paint) -> None:
    assert torch.equal(first_picture(paint), resize(CONTENT, (32, 40)))
    assert torch.equal(first_picture(paint, start="style"), resize(STYLE, (32, 40)))


def test_noise_follows_the_seed_and_nothing_else(paint: Paint) -> None:
    torch.manual_seed(1)
    noise = first_picture(paint, start="noise", seed=5)
    torch.manual_seed(2)
    assert torch.equal(noise, first_picture(paint, start="noise", seed=5))
    assert (noise - first_picture(paint, start="noise", seed=6)).abs().mean() > 0.2
    assert noise.shape == (1, 3, 32, 40)
    assert 0.4 < noise.mean() < 0.6
    assert noise.std() > 0.25


# What a step says


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_steps_count_upwards_over_all_sizes(paint: Paint, optimizer: str) -> None:
    steps = paint(sizes=[16, 20, 30], steps=13, optimizer=optimizer)
    assert [step.index for step in steps] == list(range(1, 14))
    assert [step.evaluations for step in steps] == list(range(1, 14))
    assert {step.total for step in steps} == {13}
    seconds = [step.seconds for step in steps]
    assert seconds == sorted(seconds)
    assert seconds[0] > 0


def test_the_losses_of_the_picture_of_a_step_are_those_of_the_step(paint: Paint) -> None:
    for step in paint(sizes=[20, 30], steps=12):  # all kept: none may be overwritten later
        assert set(step.losses) == {"content/relu2_1", "style/relu1_1"}
        assert step.losses_of(step.image()) == pytest.approx(step.losses, rel=1e-5, abs=1e-9)
        assert step.loss == sum(step.losses.values())


def test_a_changed_copy_of_the_picture_changes_nothing(paint: Paint) -> None:
    step = paint(steps=3)[-1]
    step.image().zero_()
    assert step.image().mean() > 0.1


def test_the_same_settings_give_the_same_picture_bit_for_bit(paint: Paint) -> None:
    first, again = (paint(sizes=[20, 30], steps=16, start="noise", seed=3)[-1] for _ in range(2))
    assert torch.equal(first.image(), again.image())
    assert first.losses == again.losses


def test_the_pictures_given_are_left_as_they_were(paint: Paint) -> None:
    before = CONTENT.clone(), STYLE.clone()
    paint(size=60, steps=4)
    assert torch.equal(CONTENT, before[0])
    assert torch.equal(STYLE, before[1])

"""Test the optimization from coarse to fine: sizes, steps, start images, and the record of each step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, get_args

import pytest
import torch
from support import smooth_image
from torch import Tensor

from impasto.config import check_settings
from impasto.images import resize
from impasto.losses.content import ContentLoss
from impasto.losses.gram import GramLoss
from impasto.methods.optimizing import PixelMethod
from impasto.objectives.objective import Objective, match
from impasto.optim.coarse_to_fine import coarse_to_fine
from impasto.optim.schedule import PixelConfig, Quality, Stage, make_schedule, steps_of_sizes
from impasto.regions.subject import Subject, single_region
from impasto.types import Image, Step

Run = Callable[..., list[Step]]


CONTENT, STYLE, OTHER_STYLE = smooth_image(48, 60, 1), smooth_image(50, 40, 2), smooth_image(30, 70, 3)


@pytest.fixture
def inputs() -> list[tuple[Image, Sequence[Image]]]:
    """Return a list to which `run` adds the content and the styles of each stage."""
    return []


@pytest.fixture
def run(load_random, inputs: list[tuple[Image, Sequence[Image]]]) -> Run:
    """Return a function that optimizes with the given settings and returns all steps."""
    backbone = load_random("tiny")

    def objective(subject: Subject, stage: Stage, start: Image) -> Objective:
        subject = subject.resized(stage.shape)
        content, styles = subject.content, [style.image for style in subject.regions[0].styles]
        inputs.append((content, styles))
        of_content = [backbone.encode(content, ["relu2_1"])]
        of_styles = [backbone.encode(style, ["relu1_1"]) for style in styles]
        mix = [1 / len(styles)] * len(styles)
        return Objective(
            backbone,
            [
                *match("content", ContentLoss(), of_content, ["relu2_1"], 1.0),
                *match("style", GramLoss(), of_styles, ["relu1_1"], 30.0, mix),
            ],
        )

    def run_with(styles: Sequence[Image] = (STYLE,), from_picture: bool = False, **settings: Any) -> list[Step]:
        config = check_settings(PixelConfig, "a test", {"size": 40, "device": "cpu"} | settings)
        schedule, subject = make_schedule(config, CONTENT), single_region(CONTENT, styles)
        return list(coarse_to_fine(config, schedule.from_picture() if from_picture else schedule, subject, objective))

    return run_with


def first_image(run: Run, **settings: Any) -> Tensor:
    return run(steps=1, **settings)[0].image()


# Sizes and steps


def test_each_size_is_optimized_in_turn_with_its_fraction_of_the_steps(run: Run) -> None:
    steps = run(sizes=[20, 30, 45], steps=11)
    assert [step.size for step in steps] == [(16, 20)] * 3 + [(24, 30)] * 3 + [(36, 45)] * 5
    assert all(step.image().shape == (1, 3, *step.size) for step in steps)


@pytest.mark.parametrize("count", [1, 7])
def test_a_single_size_has_all_steps(run: Run, count: int) -> None:
    steps = run(steps=count)
    assert [step.index for step in steps] == list(range(1, count + 1))
    assert {step.size for step in steps} == {(32, 40)}


def test_size_0_keeps_the_size_of_the_content(run: Run) -> None:
    steps = run(size=0, steps=1)
    assert steps[0].size == (48, 60)
    assert torch.equal(steps[0].image(), CONTENT)


def test_content_and_styles_have_the_same_longer_side_at_every_size(
    run: Run, inputs: list[tuple[Image, Sequence[Image]]]
) -> None:
    run([STYLE, OTHER_STYLE], sizes=[20, 64], steps=2)
    shapes = [[tuple(image.shape[-2:]) for image in (content, *styles)] for content, styles in inputs]
    assert shapes == [[(16, 20), (20, 16), (9, 20)], [(51, 64), (64, 51), (27, 64)]]
    assert torch.equal(inputs[0][0], resize(CONTENT, (16, 20)))  # from the original, not from a resized image
    assert torch.equal(inputs[1][1][0], resize(STYLE, (64, 51)))


@pytest.mark.parametrize("settings", [{"size": 33}, {"size": 0}, {"size": 12, "sizes": [20, 31]}])
def test_the_final_shape_is_that_of_the_last_step(run: Run, settings: dict[str, Any]) -> None:
    config = check_settings(PixelConfig, "a test", settings)
    assert PixelMethod.final_shape(config, CONTENT) == run(**settings, steps=2)[-1].size


def test_a_finer_size_starts_from_the_best_image_of_the_coarser_one(run: Run) -> None:
    steps = run(sizes=[24, 40], steps=6, optimizer="adam", lr=0.15)
    coarse, fine = steps[:3], steps[3:]
    best = min(coarse, key=lambda step: step.loss)
    assert best is not coarse[-1]  # a step of this length raises the loss
    assert torch.equal(fine[0].image(), resize(best.image(), fine[0].size))


def test_fewer_steps_than_sizes_are_an_error_of_one_line(run: Run) -> None:
    with pytest.raises(ValueError, match=r"^steps: 2 is less than the number of sizes, 3; give at least 3 steps$"):
        run(sizes=[20, 24, 28], steps=2)


def test_without_steps_the_quality_determines_the_number_at_every_size(run: Run) -> None:
    steps = run(sizes=[16, 20, 24], quality="draft")
    assert [step.size for step in steps] == [(13, 16)] * 20 + [(16, 20)] * 3 + [(19, 24)] * 3
    assert {step.total for step in steps} == {26}


def test_higher_quality_takes_more_steps_at_every_size() -> None:
    for sizes in ([512], [128, 256, 512, 2048]):
        draft, normal, best = (steps_of_sizes(quality, sizes) for quality in get_args(Quality))
        assert len(draft) == len(normal) == len(best) == len(sizes)
        assert all(3 * a <= b and 2 * b <= c for a, b, c in zip(draft, normal, best, strict=True))


@pytest.mark.parametrize("quality", get_args(Quality))
def test_each_size_above_1024_pixels_takes_half_the_steps_of_the_one_before(quality: Quality) -> None:
    full, _, half, quarter, *_, least = steps_of_sizes(quality, [256, 512, 1024, 2048, 4096, 60000])[1:]
    fewest = min(full, 8)
    assert (half, quarter, least) == (max(full // 2, fewest), max(round(full / 4), fewest), fewest)


@pytest.mark.parametrize("start", ["content", "style"])
def test_each_size_keeps_the_details_of_a_first_image_that_is_a_picture(run: Run, start: str) -> None:
    coarse, fine = run(sizes=[20, 40], steps=2, start=start, from_picture=True)
    first = first_image(run, size=40, start=start)
    details = first - resize(resize(first, coarse.size), fine.size)
    assert details.abs().max() > 0.01
    enlarged = resize(coarse.image(), fine.size)
    assert torch.allclose(fine.image(), (enlarged + details).clamp(0, 1), atol=1e-6)
    assert torch.equal(run(sizes=[20, 40], steps=2, start=start)[1].image(), enlarged)


def test_only_the_first_of_several_stages_from_a_picture_is_preconditioned() -> None:
    def stages(**settings: Any) -> list[bool]:
        config = check_settings(PixelConfig, "a test", settings)
        return [stage.preconditioned for stage in make_schedule(config, CONTENT).from_picture().stages]

    assert stages(sizes=[20, 30, 40]) == [True, False, False]
    assert stages(size=40) == [False]


def test_the_steps_of_enlarged_images_have_no_finer_structures_except_at_the_first_size() -> None:
    def grids(detailed_size: float, *sizes: int) -> list[tuple[int, int] | None]:
        config = check_settings(PixelConfig, "a test", {"sizes": sizes})
        schedule = make_schedule(config, CONTENT).without_grain(detailed_size)
        return [stage.grid for stage in schedule.from_picture().stages]

    assert grids(300.4, 300, 600, 1200) == [None, None, (240, 300)]  # less than twice the size, and more
    assert grids(300, 300, 600, 1200) == [None, (240, 300), (240, 300)]
    assert grids(601, 300, 600, 1200) == [None] * 3
    assert grids(300, 1200) == [None]
    assert grids(250, 256, 512, 1024) == [None] * 3  # such an output has no grain


# Start images


def test_the_start_can_be_the_content_or_the_style(run: Run) -> None:
    assert torch.equal(first_image(run), resize(CONTENT, (32, 40)))
    assert torch.equal(first_image(run, start="style"), resize(STYLE, (32, 40)))


def test_noise_depends_only_on_the_seed(run: Run) -> None:
    torch.manual_seed(1)
    noise = first_image(run, start="noise", seed=5)
    torch.manual_seed(2)
    assert torch.equal(noise, first_image(run, start="noise", seed=5))
    assert (noise - first_image(run, start="noise", seed=6)).abs().mean() > 0.2
    assert noise.shape == (1, 3, 32, 40)
    assert 0.4 < noise.mean() < 0.6
    assert noise.std() > 0.25


# The record of a step


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_steps_are_numbered_over_all_sizes(run: Run, optimizer: str) -> None:
    steps = run(sizes=[16, 20, 30], steps=13, optimizer=optimizer)
    assert [step.index for step in steps] == list(range(1, 14))
    assert [step.evaluations for step in steps] == list(range(1, 14))
    assert {step.total for step in steps} == {13}
    seconds = [step.seconds for step in steps]
    assert seconds == sorted(seconds)
    assert seconds[0] > 0


def test_the_losses_of_a_step_are_those_of_its_image(run: Run) -> None:
    for step in run(sizes=[20, 30], steps=12):  # all are kept, so that a shared buffer would be noticed
        assert set(step.losses) == {"content/relu2_1", "style/relu1_1"}
        assert step.losses_of(step.image()) == pytest.approx(step.losses, rel=1e-5, abs=1e-9)
        assert step.loss == sum(step.losses.values())


def test_changing_the_image_of_a_step_does_not_change_the_step(run: Run) -> None:
    step = run(steps=3)[-1]
    step.image().zero_()
    assert step.image().mean() > 0.1


def test_the_same_settings_give_the_same_image(run: Run) -> None:
    first, second = (run(sizes=[20, 30], steps=16, start="noise", seed=3)[-1] for _ in range(2))
    assert torch.equal(first.image(), second.image())
    assert first.losses == second.losses


def test_content_and_styles_are_not_changed(run: Run) -> None:
    before = CONTENT.clone(), STYLE.clone()
    run(size=60, steps=4)
    assert torch.equal(CONTENT, before[0])
    assert torch.equal(STYLE, before[1])

"""Test the method `strotss`: losses, positions, regions, and the functions that it is built from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from support import run_method, sample, smooth_image
from torch import Tensor

from impasto.backbones import load_backbone
from impasto.config import check_settings
from impasto.features.hypercolumns import draw_positions, hypercolumns
from impasto.images import resize
from impasto.methods.strotss import Strotss, StrotssConfig
from impasto.objectives.strotss import StrotssObjective, palette_distance
from impasto.regions.subject import Region, Style, Subject, single_region
from impasto.types import Step, losses_by_kind

QUICK = {"backbone": "tiny", "size": 48, "device": "cpu", "precision": "fp32", "steps": 20, "positions": 128}


def content(height: int = 72, width: int = 90, seed: int = 1) -> Tensor:
    return smooth_image(height, width, seed)


def run(subject: Subject | None = None, **settings: Any) -> list[Step]:
    return run_method("strotss", subject or single_region(content(), [sample()]), **QUICK | settings)


def halves(first: Sequence[Style], second: Sequence[Style], *, strength: float = 1.0) -> Subject:
    """Return a subject whose left half, "a", has other styles than its right half, "b"."""
    left = torch.zeros(1, 1, 72, 90)
    left[..., :45] = 1
    regions = (Region(tuple(first), "a", left), Region(tuple(second), "b", 1 - left, strength=strength))
    return Subject(content(), regions)


@pytest.mark.parametrize("optimizer", ["rmsprop", "adam", "lbfgs"])
def test_the_style_loss_decreases_and_the_pixels_stay_in_range(optimizer: str) -> None:
    steps = run(optimizer=optimizer, steps=25, content_weight=0.01)
    image = steps[-1].image()
    assert losses_by_kind(steps[0].losses_of(image))["style"] < 0.6 * steps[0].by_kind()["style"]
    assert image.min() >= 0
    assert image.max() <= 1


def test_a_higher_content_weight_keeps_more_of_the_self_similarity() -> None:
    low, high = (
        run(content_weight=weight, steps=20)[-1].losses["content/self_similarity"] / weight for weight in (0.05, 2.0)
    )
    assert high < 0.5 * low


def test_the_content_image_has_no_content_loss() -> None:
    assert run(steps=1)[0].losses["content/self_similarity"] == pytest.approx(0, abs=1e-4)


def test_the_same_seed_gives_the_same_image_and_another_seed_another_image() -> None:
    first, again, other = (run(seed=seed, steps=6, resample_every=2)[-1].image() for seed in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def objective_of(resample_every: int) -> StrotssObjective:
    subject = single_region(content(), [sample()])
    layers = ["image", "relu1_1", "relu2_1"]
    backbone = load_backbone("tiny")
    return StrotssObjective(
        backbone, layers, subject, content_weight=1.0, count=64, resample_every=resample_every, seed=3
    )


@pytest.mark.parametrize(("resample_every", "changes"), [(0, []), (1, [1, 2, 3, 4, 5]), (3, [3])])
def test_positions_are_resampled_after_the_given_number_of_steps(resample_every: int, changes: list[int]) -> None:
    objective, image = objective_of(resample_every), content(seed=2)
    losses = [sum(objective.at_step(step)(image).values()).item() for step in range(1, 7)]
    assert [i for i in range(1, 6) if losses[i] != losses[i - 1]] == changes


def test_the_loss_of_an_image_is_always_measured_at_the_first_positions() -> None:
    objective, image = objective_of(1), content(seed=2)
    with torch.no_grad():
        early = objective(image)
        at_steps = [objective.at_step(step)(image) for step in (1, 2, 5, 2)]
        assert objective(image) == early == at_steps[0]
        assert at_steps[1] == at_steps[3] != at_steps[2]


def test_lbfgs_keeps_its_positions() -> None:
    step = run(optimizer="lbfgs", steps=4, resample_every=1)[-1]
    assert step.losses_of(step.image()) == pytest.approx(step.losses, rel=1e-4)


def test_the_losses_of_a_region_do_not_depend_on_the_style_of_another() -> None:
    mosaic, inverted = Style(sample()), Style(1 - sample())
    first, second = (run(halves([mosaic], [style]), steps=1)[0].losses for style in (mosaic, inverted))
    for name in first:
        assert (first[name] == second[name]) == (name.startswith("content") or name.endswith("/a")), name


def test_the_style_outside_of_its_mask_has_no_effect() -> None:
    style = sample()
    mask = torch.zeros(1, 1, *style.shape[-2:])
    mask[..., : style.shape[-1] // 2] = 1
    changed = torch.where(mask > 0, style, 1 - style)
    masked, whole = (
        [run(Subject(content(), (Region((Style(x, 1.0, m),)),)), steps=1)[0].losses["style/palette"] for x in pair]
        for pair, m in (((style, changed), mask), ((style, changed), None))
    )
    assert masked[0] == pytest.approx(masked[1], rel=0.02)
    assert abs(whole[0] - whole[1]) > 0.1 * whole[0]


def test_a_region_of_strength_0_has_only_a_content_loss() -> None:
    names = set(run(halves([Style(sample())], [Style(sample())], strength=0.0), steps=1)[0].losses)
    kinds = ("earth_mover", "moments", "palette")
    assert names == {"content/self_similarity/a", "content/self_similarity/b", *(f"style/{kind}/a" for kind in kinds)}


def test_styles_are_mixed_by_their_weights() -> None:
    red, blue = (torch.zeros(1, 3, 64, 64) for _ in range(2))
    red[:, 0], blue[:, 2] = 1, 1

    def red_fraction(mix: list[float]) -> float:
        image = run(single_region(content(), [red, blue], mix), content_weight=0.0, steps=40)[-1].image()
        return (image[:, 0] > image[:, 2]).float().mean().item()

    assert red_fraction([0.9, 0.1]) > red_fraction([0.1, 0.9]) + 0.3


@pytest.mark.parametrize("shape", [(16, 16), (16, 24)])
def test_images_of_16_pixels_are_stylized(shape: tuple[int, int]) -> None:
    steps = run(single_region(content(*shape), [resize(sample(), (16, 16))]), size=0, steps=3)
    assert steps[-1].image().shape == (1, 3, *shape)


def test_an_empty_mask_of_a_style_is_an_error() -> None:
    empty = Style(sample(), 1.0, torch.zeros(1, 1, *sample().shape[-2:]))
    with pytest.raises(ValueError, match="mask of a style of region 'b' is empty"):
        run(halves([Style(sample())], [empty]), steps=1)


def test_sizes_are_halved_down_to_64_pixels_or_a_shorter_side_of_16() -> None:
    def sizes(size: int, *shape: int) -> tuple[int, ...]:
        method = Strotss(check_settings(StrotssConfig, "strotss", QUICK | {"size": size}))
        schedule = method.schedule(single_region(content(*shape), [sample()]))
        return tuple(max(stage.shape) for stage in schedule.stages)

    assert sizes(512, 60, 80) == (64, 128, 256, 512)
    assert sizes(300, 60, 80) == (75, 150, 300)
    assert sizes(512, 10, 80) == (128, 256, 512)
    assert sizes(48, 60, 80) == (48,)


def test_positions_are_inside_the_mask_and_evenly_spread() -> None:
    mask = torch.zeros(1, 1, 60, 80)
    mask[..., 40:] = 1
    positions = draw_positions((60, 80), mask, 200, seed=4)
    assert positions.shape == (200, 2)
    assert positions[:, 1].min() >= 40
    counts = torch.bincount(positions[:, 0] // 15 * 4 + (positions[:, 1] - 40) // 10, minlength=16)
    assert counts.min() >= 9  # of 12.5 in each of 16 equal parts
    assert counts.max() <= 16


def test_an_image_with_fewer_pixels_than_positions_has_each_pixel_once() -> None:
    positions = draw_positions((3, 4), None, 100, seed=0)
    assert sorted(map(tuple, positions.tolist())) == [(y, x) for y in range(3) for x in range(4)]


def test_hypercolumns_are_the_pixel_and_interpolated_features() -> None:
    image = content(8, 8)
    ramp = torch.arange(4.0).repeat(4, 1)[None, None]  # rises to the right by 1 every 2 pixels
    columns = hypercolumns({"image": image, "ramp": ramp}, ["image", "ramp"], torch.tensor([[3, 4], [5, 0]]))
    assert columns.shape == (1, 4, 2, 1)
    assert torch.allclose(columns[0, :3, 0, 0] * 3**0.5, image[0, :, 3, 4])
    assert columns[0, 3, :, 0].tolist() == pytest.approx([1.75, 0.0])


def test_the_palette_distance_does_not_depend_on_the_order_of_the_colors() -> None:
    colors = torch.rand(1, 3, 50, 1, generator=torch.Generator().manual_seed(0)) / 3**0.5
    assert palette_distance(colors, colors.flip(2)).item() < 1e-3
    assert palette_distance(colors, colors + 0.1 / 3**0.5).item() > 0.05

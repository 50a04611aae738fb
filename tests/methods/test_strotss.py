"""STROTSS: the style comes nearer, likeness within the photograph stays, and a region sees its own style only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from impasto.backbones import load_backbone
from impasto.config import check_settings
from impasto.features.hypercolumns import draw_positions, hypercolumns
from impasto.images import load_image, resize
from impasto.methods.strotss import Strotss, StrotssConfig
from impasto.objectives.strotss import StrotssObjective, palette_distance
from impasto.regions.subject import Region, Style, Subject, single_region
from impasto.samples import resolve
from impasto.types import Step, losses_by_kind

DEFAULTS = {"backbone": "tiny", "size": 48, "device": "cpu", "precision": "fp32", "steps": 20, "positions": 128}


def strotss(**settings: Any) -> Strotss:
    return Strotss(check_settings(StrotssConfig, "strotss", DEFAULTS | settings))


def content(height: int = 72, width: int = 90, seed: int = 1) -> Tensor:
    return resize(torch.rand(1, 3, 4, 5, generator=torch.Generator().manual_seed(seed)), (height, width))


def style(name: str = "mosaic") -> Tensor:
    return load_image(resolve(name), size=96)


def paint(subject: Subject | None = None, **settings: Any) -> list[Step]:
    return list(strotss(**settings).run(subject or single_region(content(), [style()])))


def halves(first: Sequence[Style], second: Sequence[Style], *, strength: float = 1.0) -> Subject:
    """A photograph whose left half, "a", has other styles than its right, "b"."""
    left = torch.zeros(1, 1, 72, 90)
    left[..., :45] = 1
    regions = (Region(tuple(first), "a", left), Region(tuple(second), "b", 1 - left, strength=strength))
    return Subject(content(), regions)


@pytest.mark.parametrize("optimizer", ["rmsprop", "adam", "lbfgs"])
def test_the_style_loss_decreases_and_the_pixels_stay_within_the_bounds(optimizer: str) -> None:
    steps = paint(optimizer=optimizer, steps=40, content_weight=0.01)
    image = steps[-1].image()
    assert losses_by_kind(steps[0].losses_of(image))["style"] < 0.6 * steps[0].by_kind()["style"]
    assert image.min() >= 0
    assert image.max() <= 1


def test_more_weight_on_the_content_keeps_more_of_its_self_similarity() -> None:
    free, careful = (paint(content_weight=weight, steps=30)[-1] for weight in (0.05, 2.0))
    free_kept = free.losses["content/self_similarity"] / 0.05
    assert careful.losses["content/self_similarity"] / 2.0 < 0.5 * free_kept


def test_the_photograph_itself_has_no_content_loss() -> None:
    assert paint(steps=1)[0].losses["content/self_similarity"] == pytest.approx(0, abs=1e-4)


def test_a_seed_gives_the_same_picture_bit_for_bit_and_another_seed_another() -> None:
    first, again, other = (paint(seed=seed, steps=12, resample_every=2)[-1].image() for seed in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def objective_of(resample_every: int) -> StrotssObjective:
    subject = single_region(content(), [style()])
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
    step = paint(optimizer="lbfgs", steps=4, resample_every=1)[-1]
    assert step.losses_of(step.image()) == pytest.approx(step.losses, rel=1e-4)


def test_a_region_does_not_see_the_style_of_another() -> None:
    mosaic, other = Style(style()), Style(1 - style("mosaic"))
    one, two = (paint(halves([mosaic], [b]), steps=1)[0].losses for b in (mosaic, other))
    for name in one:
        assert (one[name] == two[name]) == (name.startswith("content") or name.endswith("/a")), name


def test_the_mask_of_a_style_hides_the_rest_of_it() -> None:
    picture = style()
    mask = torch.zeros(1, 1, *picture.shape[-2:])
    mask[..., : picture.shape[-1] // 2] = 1
    changed = torch.where(mask > 0, picture, 1 - picture)
    hidden = [
        paint(Subject(content(), (Region((Style(p, 1.0, mask),)),)), steps=1)[0].losses for p in (picture, changed)
    ]
    seen = [paint(single_region(content(), [p]), steps=1)[0].losses for p in (picture, changed)]
    assert hidden[0]["style/palette"] == pytest.approx(hidden[1]["style/palette"], rel=0.02)
    assert abs(seen[0]["style/palette"] - seen[1]["style/palette"]) > 0.1 * seen[0]["style/palette"]


def test_a_region_without_strength_has_only_its_content_kept() -> None:
    names = set(paint(halves([Style(style())], [Style(style())], strength=0.0), steps=1)[0].losses)
    kinds = ("earth_mover", "moments", "palette")
    assert names == {"content/self_similarity/a", "content/self_similarity/b", *(f"style/{kind}/a" for kind in kinds)}


def test_styles_count_by_their_weight() -> None:
    red, blue = (torch.zeros(1, 3, 64, 64) for _ in range(2))
    red[:, 0], blue[:, 2] = 1, 1

    def red_part(mix: list[float]) -> float:
        image = paint(single_region(content(), [red, blue], mix), content_weight=0.0, steps=120, positions=256)[
            -1
        ].image()
        return (image[:, 0] > image[:, 2]).float().mean().item()

    assert red_part([0.9, 0.1]) > red_part([0.1, 0.9]) + 0.3


@pytest.mark.parametrize("shape", [(16, 16), (16, 24)])
def test_pictures_of_16_pixels_are_painted(shape: tuple[int, int]) -> None:
    steps = paint(single_region(content(*shape), [resize(style(), (16, 16))]), size=0, steps=3)
    assert steps[-1].image().shape == (1, 3, *shape)


def test_an_empty_mask_of_a_style_is_named() -> None:
    empty = Style(style(), 1.0, torch.zeros(1, 1, *style().shape[-2:]))
    with pytest.raises(ValueError, match="mask of a style of region 'b' is empty"):
        paint(halves([Style(style())], [empty]), steps=1)


def test_sizes_double_up_to_the_last_as_long_as_enough_is_left_to_see() -> None:
    def sizes(size: int, *shape: int) -> tuple[int, ...]:
        schedule = strotss(size=size).schedule(single_region(content(*shape), [style()]))
        return tuple(max(stage.shape) for stage in schedule.stages)

    assert sizes(512, 60, 80) == (64, 128, 256, 512)
    assert sizes(300, 60, 80) == (75, 150, 300)
    assert sizes(512, 10, 80) == (128, 256, 512)
    assert sizes(48, 60, 80) == (48,)


def test_places_lie_in_the_mask_are_as_many_as_asked_and_even() -> None:
    mask = torch.zeros(1, 1, 60, 80)
    mask[..., 40:] = 1
    places = draw_positions((60, 80), mask, 200, seed=4)
    assert places.shape == (200, 2)
    assert places[:, 1].min() >= 40
    counts = torch.bincount(places[:, 0] // 15 * 4 + (places[:, 1] - 40) // 10, minlength=16)
    assert counts.min() >= 9  # of 12.5 in each of 16 equal parts
    assert counts.max() <= 16


def test_few_pixels_are_all_drawn_once() -> None:
    places = draw_positions((3, 4), None, 100, seed=0)
    assert sorted(map(tuple, places.tolist())) == [(y, x) for y in range(3) for x in range(4)]


def test_hypercolumns_hold_the_pixel_and_what_lies_between_deep_places() -> None:
    picture = content(8, 8)
    ramp = torch.arange(4.0).repeat(4, 1)[None, None]  # rises to the right by 1 every 2 pixels
    columns = hypercolumns({"image": picture, "ramp": ramp}, ["image", "ramp"], torch.tensor([[3, 4], [5, 0]]))
    assert columns.shape == (1, 4, 2, 1)
    assert torch.allclose(columns[0, :3, 0, 0] * 3**0.5, picture[0, :, 3, 4])
    assert columns[0, 3, :, 0].tolist() == pytest.approx([1.75, 0.0])


def test_palettes_of_the_same_colors_in_another_order_are_alike() -> None:
    colors = torch.rand(1, 3, 50, 1, generator=torch.Generator().manual_seed(0)) / 3**0.5
    assert palette_distance(colors, colors.flip(2)).item() < 1e-3
    assert palette_distance(colors, colors + 0.1 / 3**0.5).item() > 0.05

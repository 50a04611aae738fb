"""gpdm: patches come to be distributed as the style's, without a network, for any size, mask and number of styles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

import impasto
from impasto.config import check_settings
from impasto.images import load_image, resize
from impasto.methods.gpdm import GPDM, GPDMConfig
from impasto.objectives.patch_distribution import PatchObjective, PatchProjections
from impasto.regions.subject import Region, Style, Subject, single_region
from impasto.samples import resolve
from impasto.types import Step

QUICK = {"size": 48, "coarsest": 16, "device": "cpu", "precision": "fp32", "steps_per_size": 12, "projections": 32}
PATCHES = PatchProjections(5, 24, 1, torch.float32)
RED, BLUE = torch.tensor([0.8, 0.2, 0.1]).view(1, 3, 1, 1), torch.tensor([0.1, 0.2, 0.8]).view(1, 3, 1, 1)


def content(height: int = 36, width: int = 48) -> Tensor:
    return resize(torch.rand(1, 3, 4, 5, generator=torch.Generator().manual_seed(1)), (height, width))


def flat(color: Tensor, height: int = 32, width: int = 40) -> Tensor:
    noise = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(2))
    return (color + 0.05 * noise).clamp(0, 1)


def style(name: str = "mosaic") -> Tensor:
    return load_image(resolve(name), size=64)


def gpdm(**settings: Any) -> GPDM:
    return GPDM(check_settings(GPDMConfig, "gpdm", QUICK | settings))


def paint(subject: Subject | None = None, **settings: Any) -> list[Step]:
    return list(gpdm(**settings).run(subject or single_region(content(), [style()])))


def best(steps: Sequence[Step]) -> Step:
    return min((step for step in steps if step.stage == steps[-1].stage), key=lambda step: step.loss)


def test_the_patch_distance_decreases_and_the_pixels_stay_within_the_bounds() -> None:
    subject = single_region(content(), [style()]).resized((36, 48))
    exam = PatchObjective(
        PatchProjections(7, 200, 1, torch.float32), subject, seed=99
    )  # directions that were not painted with
    picture = best(paint(steps_per_size=30)).image()
    assert exam(picture)["style/patches"] < 0.3 * exam(subject.content)["style/patches"]
    assert picture.min() >= 0
    assert picture.max() <= 1


def test_the_loss_of_a_picture_against_itself_is_nothing_and_its_filters_have_unit_length() -> None:
    picture = style()
    loss = PatchObjective(PATCHES, single_region(picture, [picture]), seed=3)(picture)
    assert loss == {"style/patches": pytest.approx(0, abs=1e-4)}
    assert torch.allclose(PATCHES.directions(5).square().sum((1, 2, 3)), torch.ones(24))


def test_the_loss_is_the_mean_distance_of_sorted_responses() -> None:
    one, other = content(), style()[..., :36, :48]
    filters = PATCHES.directions(4)
    sorted_ones = [torch.nn.functional.conv2d(x, filters).flatten(2).sort(2).values for x in (one, other)]
    expected = 255 * (sorted_ones[0] - sorted_ones[1]).abs().mean()
    assert PatchObjective(PATCHES, single_region(one, [other]), seed=4)(one)["style/patches"].item() == pytest.approx(
        expected.item(), rel=1e-4
    )


def test_every_step_looks_along_other_directions_and_says_the_same_when_asked_again() -> None:
    objective = PatchObjective(PATCHES, single_region(content(), [style()]), seed=0)
    first, second = (objective.at_step(i)(content())["style/patches"].item() for i in (1, 2))
    assert first != second
    for step in paint(steps=6):  # whatever was asked in between
        assert step.losses_of(step.image()) == pytest.approx(step.losses, rel=1e-5)


def test_the_seed_alone_decides_the_picture() -> None:
    torch.manual_seed(1)
    first = paint(seed=5)[-1].image()
    torch.manual_seed(2)
    assert torch.equal(first, paint(seed=5)[-1].image())
    assert (first - paint(seed=6)[-1].image()).abs().max() > 1e-3


def test_a_coarser_first_size_goes_further_from_the_content() -> None:
    subject = single_region(content(72, 96), [style()])
    far, near = (best(paint(subject, size=96, coarsest=coarsest)).image() for coarsest in (16, 90))
    away = [(picture - subject.content).square().mean() for picture in (far, near)]
    assert away[0] > 1.15 * away[1]


def test_sizes_rise_by_the_ratio_to_the_last() -> None:
    steps = paint(coarsest=16, ratio=0.5, steps_per_size=1, size=96)
    assert [step.size[1] for step in steps] == [24, 48, 96]
    assert [step.size[1] for step in paint(sizes=[20, 30], steps_per_size=2)] == [20, 20, 30, 30]
    assert len(paint(steps=2, ratio=0.5, coarsest=16)) == 2


@pytest.mark.parametrize("shape", [(16, 16), (16, 40)])
@pytest.mark.parametrize("style_scale", [0.0625, 1.0])
def test_the_smallest_pictures_are_painted(shape: tuple[int, int], style_scale: float) -> None:
    steps = paint(single_region(content(*shape), [style()]), size=0, style_scale=style_scale, steps=5)
    assert steps[-1].size == shape
    assert best(steps).loss < steps[0].loss


def test_several_styles_give_their_shares_of_the_places() -> None:
    noise = torch.rand(1, 3, 36, 48, generator=torch.Generator().manual_seed(1))
    for share in (0.25, 0.6):
        subject = single_region(noise, [flat(RED), flat(BLUE)], [share, 1 - share])
        picture = best(paint(subject, steps_per_size=60)).image()
        reds = (picture[:, 0] > picture[:, 2]).float().mean().item()
        assert reds == pytest.approx(share, abs=0.1)


def test_each_region_takes_the_patches_of_its_own_styles() -> None:
    left = torch.zeros(1, 1, 36, 48)
    left[..., :24] = 1
    half = torch.zeros(1, 1, 32, 40)
    half[..., :20] = 1
    both = torch.cat([flat(BLUE)[..., :20], flat(RED)[..., 20:]], 3)
    regions = (
        Region((Style(flat(RED)),), name="west", mask=left),
        Region((Style(both, mask=half),), name="east", mask=1 - left),
    )
    steps = paint(Subject(content(), regions), steps_per_size=60)
    picture = best(steps).image()
    assert set(steps[0].losses) == {"style/west", "style/east"}
    assert (picture[:, 0, :, :20] > picture[:, 2, :, :20]).float().mean() > 0.9
    assert (picture[:, 0, :, 28:] < picture[:, 2, :, 28:]).float().mean() > 0.9


def test_bf16_paints_as_near_as_fp32() -> None:
    nearness = [best(paint(precision=precision)).loss for precision in ("fp32", "bf16")]
    assert nearness[1] < 1.3 * nearness[0]


def test_it_needs_no_network_and_no_weights() -> None:
    result = impasto.stylize("woodcut", "mosaic", "gpdm", size=32, steps=2)
    assert result.weights == {}
    with pytest.raises(ValueError, match=r"^method 'gpdm' has no setting 'polish'"):
        gpdm(polish=3)


def test_the_paper_takes_more_steps_and_all_patches() -> None:
    result = impasto.stylize("woodcut", "mosaic", "gpdm", preset="paper", size=32, steps=2)
    assert (result.settings["steps_per_size"], result.settings["stride"], result.settings["ratio"]) == (300, 1, 0.85)

"""Test the method `gpdm`: distributions of patches, for every size, mask and number of styles."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from support import BLUE, RED, best_step, nearly_uniform, noise, run_method, sample, smooth_image
from torch import Tensor

import impasto
from impasto.config import check_settings
from impasto.methods.gpdm import GPDMConfig
from impasto.objectives.patch_distribution import PatchObjective, PatchProjections
from impasto.regions.subject import Region, Style, Subject, single_region
from impasto.types import Step

QUICK = {"size": 48, "coarsest": 16, "device": "cpu", "precision": "fp32", "steps_per_size": 12, "projections": 32}
PATCHES = PatchProjections(5, 24, 1, torch.float32)


def content(height: int = 36, width: int = 48) -> Tensor:
    return smooth_image(height, width)


def style() -> Tensor:
    return sample(size=64)


def run(subject: Subject | None = None, **settings: Any) -> list[Step]:
    return run_method("gpdm", subject or single_region(content(), [style()]), **QUICK | settings)


def test_the_patch_distance_decreases_and_the_pixels_stay_in_range() -> None:
    subject = single_region(content(), [style()]).resized((36, 48))
    # Other directions and patches than those of the run.
    objective = PatchObjective(PatchProjections(7, 200, 1, torch.float32), subject, seed=99)
    image = best_step(run(steps_per_size=30)).image()
    assert objective(image)["style/patches"] < 0.3 * objective(subject.content)["style/patches"]
    assert image.min() >= 0
    assert image.max() <= 1


def test_the_loss_of_a_style_with_itself_is_zero_and_its_filters_have_unit_length() -> None:
    loss = PatchObjective(PATCHES, single_region(style(), [style()]), seed=3)(style())
    assert loss == {"style/patches": pytest.approx(0, abs=1e-4)}
    assert torch.allclose(PATCHES.directions(5).square().sum((1, 2, 3)), torch.ones(24))


def test_the_loss_is_the_mean_distance_of_sorted_responses_of_the_mirrored_images() -> None:
    image, target = content(), style()[..., :36, :48]
    filters = PATCHES.directions(4)
    mirrored = [torch.nn.functional.pad(x, [PATCHES.size // 2] * 4, mode="reflect") for x in (image, target)]
    responses = [torch.nn.functional.conv2d(x, filters).flatten(2).sort(2).values for x in mirrored]
    expected = 255 * (responses[0] - responses[1]).abs().mean()
    loss = PatchObjective(PATCHES, single_region(image, [target]), seed=4)(image)["style/patches"]
    assert loss.item() == pytest.approx(expected.item(), rel=1e-4)


def test_every_step_has_other_directions_and_its_losses_can_be_computed_again() -> None:
    objective = PatchObjective(PATCHES, single_region(content(), [style()]), seed=0)
    first, second = (objective.at_step(i)(content())["style/patches"].item() for i in (1, 2))
    assert first != second
    for step in run(steps=6):
        assert step.losses_of(step.image()) == pytest.approx(step.losses, rel=1e-5)


def test_the_image_depends_on_the_seed_and_not_on_the_global_generator() -> None:
    torch.manual_seed(1)
    first = run(seed=5)[-1].image()
    torch.manual_seed(2)
    assert torch.equal(first, run(seed=5)[-1].image())
    assert (first - run(seed=6)[-1].image()).abs().max() > 1e-3


def test_a_coarser_first_size_changes_the_content_more() -> None:
    subject = single_region(content(48, 64), [style()])
    coarse, fine = (best_step(run(subject, size=64, coarsest=coarsest)).image() for coarsest in (16, 60))
    changes = [(image - subject.content).square().mean() for image in (coarse, fine)]
    assert changes[0] > 1.15 * changes[1]


def test_each_size_is_the_next_times_the_ratio() -> None:
    steps = run(coarsest=16, ratio=0.5, steps_per_size=1, size=96)
    assert [step.size[1] for step in steps] == [24, 48, 96]
    assert [step.size[1] for step in run(sizes=[20, 30], steps_per_size=2)] == [20, 20, 30, 30]
    assert len(run(steps=2, ratio=0.5, coarsest=16)) == 2


@pytest.mark.parametrize("shape", [(16, 16), (16, 40)])
@pytest.mark.parametrize("style_scale", [0.0625, 1.0])
def test_the_smallest_images_are_stylized(shape: tuple[int, int], style_scale: float) -> None:
    steps = run(single_region(content(*shape), [style()]), size=0, style_scale=style_scale, steps=5)
    assert steps[-1].size == shape
    assert best_step(steps).loss < steps[0].loss


@pytest.mark.parametrize("weight", [0.25, 0.6])
def test_each_style_has_a_fraction_of_the_image_equal_to_its_weight(weight: float) -> None:
    styles = [nearly_uniform(color, 32, 40) for color in (RED, BLUE)]
    subject = single_region(noise(1, 3, 36, 48, seed=1), styles, [weight, 1 - weight])
    image = best_step(run(subject, steps_per_size=30)).image()
    assert (image[:, 0] > image[:, 2]).float().mean().item() == pytest.approx(weight, abs=0.1)


def test_each_region_has_the_patches_of_its_own_styles() -> None:
    left = torch.zeros(1, 1, 36, 48)
    left[..., :24] = 1
    half = torch.zeros(1, 1, 32, 40)
    half[..., :20] = 1
    red, blue = (nearly_uniform(color, 32, 40) for color in (RED, BLUE))
    both = torch.cat([blue[..., :20], red[..., 20:]], 3)
    regions = (
        Region((Style(red),), name="west", mask=left),
        Region((Style(both, mask=half),), name="east", mask=1 - left),
    )
    steps = run(Subject(content(), regions), steps_per_size=20)
    image = best_step(steps).image()
    assert set(steps[0].losses) == {"style/west", "style/east"}
    assert (image[:, 0, :, :20] > image[:, 2, :, :20]).float().mean() > 0.9
    assert (image[:, 0, :, 28:] < image[:, 2, :, 28:]).float().mean() > 0.9


def test_the_loss_in_bf16_is_near_that_in_fp32() -> None:
    losses = [best_step(run(precision=precision)).loss for precision in ("fp32", "bf16")]
    assert losses[1] < 1.3 * losses[0]


def test_it_needs_no_network_and_no_weights() -> None:
    result = impasto.stylize("woodcut", "mosaic", "gpdm", size=32, steps=2)
    assert result.weights == {}
    with pytest.raises(ValueError, match=r"^method 'gpdm' has no setting 'polish'"):
        check_settings(GPDMConfig, "gpdm", {"polish": 3})


def test_the_preset_of_the_paper_has_more_steps_and_all_patches() -> None:
    result = impasto.stylize("woodcut", "mosaic", "gpdm", preset="paper", size=32, steps=2)
    assert (result.settings["steps_per_size"], result.settings["stride"], result.settings["ratio"]) == (300, 1, 0.85)

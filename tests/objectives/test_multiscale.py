"""Test the loss at several sizes of an image."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from support import best_step, noise, run_method, sample
from torch import Tensor

from impasto.backbones import BACKBONES, load_backbone
from impasto.config import check_settings
from impasto.cost import CostCounter, without_values
from impasto.images import resize
from impasto.losses import LOSSES
from impasto.methods.gatys import Gatys, GatysConfig
from impasto.objectives import matching_scales
from impasto.objectives.matching import MatchingObjective
from impasto.objectives.matching_scales import COARSE_WEIGHT, MIDDLE
from impasto.objectives.multiscale import MultiscaleObjective, ScaleObjective, loss_scale_sizes, near_scale_shapes
from impasto.optim.descent import evaluate
from impasto.optim.schedule import fitted_shape
from impasto.regions.subject import Anchor, Subject, single_region
from impasto.types import Step, losses_by_kind

QUICK = {"backbone": "tiny", "device": "cpu", "precision": "fp32", "steps": 1}


def subject() -> Subject:
    return single_region(sample("woodcut", size=None), [sample("mosaic", size=None)])


def run(**settings: Any) -> list[Step]:
    return run_method("gatys", subject(), **QUICK | settings)


@pytest.mark.parametrize(
    ("shape", "count", "longer_sides"),
    [
        ((128, 128), None, [128]),
        ((256, 192), None, [256, 128]),
        ((500, 500), None, [500, 250, 125]),
        ((400, 600), None, [600, 300, 150]),
        ((768, 1024), None, [1024, 512, 256, 128]),
        ((1536, 2048), None, [2048, 1024, 512, 256, 128]),
        ((1024, 1024), 1, [1024]),
        ((300, 400), 2, [400, 200]),
        ((40, 400), 5, [400]),  # half of the shorter side would be too small
    ],
)
def test_loss_scales_are_halved_to_about_128_pixels(
    shape: tuple[int, int], count: int, longer_sides: list[int]
) -> None:
    assert loss_scale_sizes(shape, count) == longer_sides


def balanced_at(shape: tuple[int, int]) -> float:
    """Return the style weight that balances style and content at a shape."""
    return objective_at(shape).balanced_style_weight(subject().resized(shape))


def objective_at(*shapes: tuple[int, int]) -> MatchingObjective:
    """Return the objective at the last shape, with all images resized to each shape in turn."""
    config = check_settings(GatysConfig, "gatys", {"backbone": "tiny"})
    resized = subject()
    for shape in shapes:
        resized = resized.resized(shape)
    return MatchingObjective(load_backbone("tiny"), resized, config)


def loss_at(step: Step, *shapes: tuple[int, int]) -> dict[str, float]:
    """Return the losses of the image of a step at the last shape, with all images resized to each shape in turn."""
    return {name: loss.item() for name, loss in objective_at(*shapes)(resize(step.image(), shapes[-1])).items()}


@pytest.mark.parametrize(
    ("sizes", "coarse_style", "strength"), [((192, 96, 48), 1.0, None), ((352, 176, 88, 44), 0.5, 75.0)]
)
def test_the_loss_is_the_sum_over_the_loss_scales_with_balanced_style_weights(
    sizes: tuple[int, ...], coarse_style: float, strength: float | None
) -> None:
    size, *coarser = sizes
    settings: dict[str, Any] = {"start": "noise", "size": size, "loss_scales": len(sizes), "sizes": [size]}
    step = run(**settings, coarse_style=coarse_style, strength=strength)[0]
    shapes = [fitted_shape(subject().content, size) for size in sizes]
    full, *coarse = map(balanced_at, shapes)
    factor = 1 if strength is None else 10  # 25 points of strength are a factor of ten
    weight = 100 if strength is None else factor * full
    weights = [weight, *(coarse_style * min(factor * each, weight) for each in coarse)]
    if len(sizes) > 3:
        weights[1:-1] = [MIDDLE * each for each in weights[1:-1]]
    for shape, suffix, each in zip(shapes, ["", *(f"@{each}" for each in coarser)], weights, strict=True):
        expected = loss_at(step, shape)
        share = COARSE_WEIGHT if suffix else 1
        scale = share * each / 100
        for layer in ("relu1_1", "relu3_1"):
            assert step.losses[f"style/{layer}{suffix}"] == pytest.approx(scale * expected[f"style/{layer}"], rel=1e-3)
        content = next(name for name in expected if name.startswith("content/"))
        assert step.losses[content + suffix] == pytest.approx(share * expected[content], rel=1e-3)


@pytest.mark.parametrize(
    ("size", "loss_scales", "coarser"),
    [
        (384, None, ["96"]),
        (960, None, ["240", "120"]),
        (384, 3, ["192", "96"]),  # the scales that a user asked for
        (256, None, ["128"]),
    ],
)
def test_an_image_with_an_anchor_has_the_forms_of_half_its_size_already(
    size: int, loss_scales: int | None, coarser: list[str]
) -> None:
    anchored = replace(subject(), anchors=(Anchor(sample("woodcut", size=48), torch.ones(1, 1, 1, 1), 1.0),))
    settings = {**QUICK, "size": size, "sizes": [size], "steps": 1, "loss_scales": loss_scales}
    (step,) = run_method("gatys", anchored, **settings)
    assert [name.partition("@")[2] for name in step.losses if "/relu1_1" in name] == ["", *coarser]


@pytest.mark.parametrize("raising", [BACKBONES["tiny"], LOSSES["gram"]])
def test_a_network_or_a_loss_can_raise_the_style_weight_of_the_output_size_where_there_are_coarser_scales(
    monkeypatch: pytest.MonkeyPatch, raising: type[Any]
) -> None:
    def losses(loss_scales: int) -> dict[str, float]:
        return run(start="noise", size=128, loss_scales=loss_scales, sizes=[128])[0].losses

    one, two = losses(1), losses(2)
    monkeypatch.setattr(raising, "output_style", 2.0)
    assert losses(1) == one
    raised = {name for name in two if name.startswith("style/") and "@" not in name}
    assert losses(2) == pytest.approx({name: (2 if name in raised else 1) * loss for name, loss in two.items()})


def test_without_content_the_style_weights_of_the_scales_are_not_balanced() -> None:
    losses = run(start="noise", size=128, loss_scales=2, sizes=[128], content_weight=0)[0].losses
    plain = run(start="noise", size=128, loss_scales=2, sizes=[128], content_weight=1e-6)[0].losses
    assert losses["style/relu1_1"] == pytest.approx(plain["style/relu1_1"])
    assert losses["style/relu1_1@64"] >= plain["style/relu1_1@64"] * (1 - 1e-4)


def test_only_near_scales_resize_images_of_the_output_size(monkeypatch: pytest.MonkeyPatch) -> None:
    sides: list[int] = []
    resized = Subject.resized

    def record(self: Subject, *args: Any, **settings: Any) -> Subject:
        sides.append(max(self.regions[0].styles[0].image.shape))
        return resized(self, *args, **settings)

    monkeypatch.setattr(Subject, "resized", record)
    run(size=128, loss_scales=2, sizes=[128], near_scales=3)
    own = max(sample("mosaic", size=None).shape)
    assert sides == [own, 128, 128, own]  # once for each loss scale


def test_loss_scales_lower_the_style_loss_of_a_large_image_that_is_reduced() -> None:
    preview = run(size=48)[0]

    def style_loss(loss_scales: int) -> float:
        image = best_step(run(size=192, loss_scales=loss_scales, steps=30)).image()
        return losses_by_kind(preview.losses_of(resize(image, preview.size)))["style"]

    assert style_loss(3) < 0.4 * style_loss(1)


def test_near_scales_have_equal_weights() -> None:
    assert near_scale_shapes((96, 128), 1) == []
    assert [max(shape) for shape in near_scale_shapes((96, 128), 3)] == [160, 102]
    thrice, own = run(size=128, near_scales=3)[0], run(size=128)[0].losses  # one loss scale: the smallest
    enlarged = loss_at(thrice, thrice.size, near_scale_shapes(thrice.size, 3)[0])
    for name in ("style/relu1_1", "style/relu3_1"):
        assert thrice.losses[name] == pytest.approx(own[name] / 3, rel=1e-4)
        assert thrice.losses[f"{name}@160"] == pytest.approx(enlarged[name] / 3, rel=1e-4)
    assert {name.partition("@")[2] for name in thrice.losses} == {"", "160", "102"}


@pytest.mark.parametrize("near_scales", [2, 3])
def test_near_scales_are_added_to_loss_scales(near_scales: int) -> None:
    names = run(size=128, loss_scales=2, sizes=[128], near_scales=near_scales)[0].losses
    assert {name.partition("@")[2] for name in names} == {"", "64", "160", "102"} - (
        {"102"} if near_scales == 2 else set()
    )


def test_the_coarse_sizes_of_a_large_output_have_a_near_scale_and_the_weights_of_a_small_output(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def scales(output: int) -> dict[int, set[str]]:
        """Return the scales in the loss of each stage."""
        steps = run(size=output, sizes=[size for size in (128, 256, 512) if size <= output], steps=3)
        return {max(step.size): {name.partition("@")[2] for name in step.losses} for step in steps}

    assert scales(512) == {128: {""}, 256: {"", "128"}, 512: {"", "256", "128"}}
    monkeypatch.setattr(matching_scales, "LARGE_OUTPUT", 511)
    assert scales(512) == {128: {"", "102"}, 256: {"", "128"}, 512: {"", "256", "128"}}
    assert scales(256) == {128: {""}, 256: {"", "128"}}
    weighted = run(size=512, loss_scales=4, sizes=[512])[0].losses
    monkeypatch.setattr(matching_scales, "LARGE_OUTPUT", 512)
    lowered = run(size=512, loss_scales=4, sizes=[512])[0].losses
    factors = {name: weighted[name] / lowered[name] for name in weighted if name.startswith("style/relu1_1")}
    assert factors == pytest.approx(
        {"style/relu1_1": 1, "style/relu1_1@256": 1, "style/relu1_1@128": 1 / MIDDLE, "style/relu1_1@64": 1}
    )


def test_the_stages_of_a_large_image_start_at_the_smallest_loss_scale() -> None:
    def sizes(**settings: Any) -> list[int]:
        config = check_settings(GatysConfig, "gatys", {"backbone": "tiny", "size": 600, **settings})
        return [max(stage.shape) for stage in Gatys(config).schedule(subject()).stages]

    assert sizes(steps=3) == [150, 300, 600]
    assert sizes(steps=2) == [300, 600]  # at most as many sizes as steps
    assert sizes(loss_scales=2) == [300, 600]
    assert sizes(loss_scales=1) == [600]
    assert sizes(steps=2, sizes=[100, 600]) == [100, 600]


def test_a_large_image_has_the_gradient_of_autograd(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = [(90, 120), (45, 60), (113, 150)]
    objective = MultiscaleObjective([ScaleObjective(each, objective_at(each), 0.5) for each in shapes])
    image = noise(1, 3, 90, 120)
    losses, gradient = evaluate(objective, image)
    monkeypatch.setattr("impasto.objectives.multiscale.LARGE", 0)
    others, other = evaluate(objective, image)
    assert losses == others
    assert (gradient - other).norm() < 1e-6 * gradient.norm()


def mean(image: Tensor) -> dict[str, Tensor]:
    return {"loss": image.mean()}


def test_the_gradients_of_the_sizes_of_a_large_image_take_no_memory_of_its_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    image = without_values(torch.empty(1, 3, 512, 512))
    objective = MultiscaleObjective([ScaleObjective((side, side), mean) for side in (512, 256, 128, 64)])
    peaks = []
    for large in (image.numel(), 0):
        monkeypatch.setattr("impasto.objectives.multiscale.LARGE", large)
        with CostCounter([image]) as counter:
            evaluate(objective, image)
        peaks.append(counter.peak / (image.numel() * image.element_size()))
    assert peaks[1] < peaks[0] - 0.9, peaks  # two planes of one color instead of two images


def test_scales_with_too_small_styles_are_left_out() -> None:
    steps = run(size=600, style_scale=0.08, steps=2)  # at 150 pixels the style would be 12 pixels long
    assert [max(step.size) for step in steps] == [600, 600]
    assert not any("@" in name for name in steps[-1].losses)

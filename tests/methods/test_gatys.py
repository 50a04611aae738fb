"""Test the method `gatys`: the objective of the paper, its settings, and its error messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from support import best_step, run_method, sample, smooth_image
from torch import Tensor

from impasto.config import check_settings
from impasto.images import resize
from impasto.losses.gram import GramLoss
from impasto.methods.gatys import Gatys, GatysConfig
from impasto.regions.subject import resize_style, single_region
from impasto.types import Image, Step

QUICK = {"backbone": "tiny", "size": 48, "device": "cpu", "precision": "fp32", "steps": 20}


def gatys(**settings: Any) -> Gatys:
    return Gatys(check_settings(GatysConfig, "gatys", QUICK | settings))


def content() -> Tensor:
    return smooth_image(72, 90)


def run(styles: Sequence[Image] | None = None, mix: Sequence[float] = (1.0,), **settings: Any) -> list[Step]:
    return run_method("gatys", single_region(content(), styles or [sample()], mix), **QUICK | settings)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_the_style_loss_decreases_and_the_pixels_stay_in_range(precision: str, optimizer: str) -> None:
    steps = run(precision=precision, optimizer=optimizer)
    assert best_step(steps).by_kind()["style"] < 0.5 * steps[0].by_kind()["style"]
    image = best_step(steps).image()
    assert image.dtype is torch.float32
    assert image.min() >= 0
    assert image.max() <= 1


def test_terms_are_named_after_the_layers_of_the_backbone() -> None:
    names = set(run(steps=1, tv_weight=1.0)[0].losses)
    layers = ["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"]
    assert names == {"content/relu4_2", "smooth/image", *(f"style/{layer}" for layer in layers)}


@pytest.mark.parametrize(("style_scale", "longer_side"), [(1.0, 48), (0.5, 24), (1.5, 72)])
def test_the_style_loss_is_that_of_the_formula_for_styles_resized_by_the_style_scale(
    load_random, style_scale: float, longer_side: int
) -> None:
    step = run(steps=1, style_weight=100.0, style_scale=style_scale)[0]
    backbone, gram = load_random("tiny"), GramLoss()
    style = resize_style(sample(), longer_side)
    for layer in backbone.style_layers:
        statistic, target = (gram.statistic(backbone.encode(x, [layer])[layer])[0] for x in (step.image(), style))
        expected = 100 * (statistic - target).square().sum() / (4 * len(statistic) ** 2) / 5
        assert step.losses[f"style/{layer}"] == pytest.approx(expected.item(), rel=1e-4)


def test_without_a_style_weight_the_content_image_does_not_change() -> None:
    steps = run(style_weight=0.0, steps=5)
    assert steps[-1].losses == {"content/relu4_2": pytest.approx(0, abs=1e-9)}
    assert torch.allclose(steps[-1].image(), resize(content(), (38, 48)), atol=1e-3)


def test_a_higher_style_weight_lowers_the_style_loss_and_raises_the_content_loss() -> None:
    low, high = (best_step(run(style_weight=weight, steps=20)).by_kind() for weight in (1.0, 1000.0))
    assert high["style"] / 1000 < low["style"]
    assert high["content"] > low["content"]


def test_total_variation_makes_the_output_smoother() -> None:
    rough, smooth = (run(tv_weight=weight, steps=20)[-1].image() for weight in (0.0, 1e4))
    variation = [image.diff(dim=-1).square().mean() + image.diff(dim=-2).square().mean() for image in (rough, smooth)]
    assert variation[1] < 0.5 * variation[0]


def test_the_style_mix_weights_the_styles() -> None:
    both = [sample("mosaic"), sample("woodcut")]
    alone = run([both[1]], steps=5)[-1]
    second = run(both, [0.0, 1.0], steps=5)[-1]
    halves = run(both, [0.5, 0.5], steps=5)[-1]
    assert torch.allclose(second.image(), alone.image(), atol=1e-3)
    assert (halves.image() - alone.image()).abs().mean() > 1e-3


def test_average_pooling_changes_the_output() -> None:
    maximum, average = (run(pooling=pooling, steps=5)[-1].image() for pooling in ("max", "average"))
    assert (maximum - average).abs().max() > 1e-3


def test_layers_can_be_chosen() -> None:
    step = run(steps=1, content_layers=["relu2_2"], style_layers=["relu1_2", "pool1"])[0]
    assert list(step.losses) == ["content/relu2_2", "style/relu1_2", "style/pool1"]


def test_a_second_run_of_one_instance_gives_the_same_image() -> None:
    method = gatys(steps=6)
    first, second = (list(method.run(single_region(content(), [sample()])))[-1] for _ in range(2))
    assert torch.equal(first.image(), second.image())


@pytest.mark.parametrize("setting", ["content_layers", "style_layers"])
def test_a_layer_that_the_backbone_lacks_is_an_error_of_one_line(setting: str) -> None:
    with pytest.raises(ValueError, match=r"^the backbone has no layer 'relu9_1'; it has: relu1_1, .*pool5$"):
        gatys(**{setting: ["relu1_1", "relu9_1"]})


def test_an_unknown_backbone_is_an_error_with_the_choices() -> None:
    with pytest.raises(ValueError, match=r"^unknown backbone 'vgg99'; choose from .*tiny"):
        gatys(backbone="vgg99")


def test_weights_of_zero_only_are_an_error_of_one_line() -> None:
    with pytest.raises(ValueError, match=r"^every weight is 0.*$"):
        run(content_weight=0, style_weight=0)


def test_an_image_too_small_for_the_layers_is_an_error_of_one_line() -> None:
    with pytest.raises(ValueError, match=r"^a picture of .* is too small for layer relu5_1, .*$"):
        run(size=12)


def test_closing_the_iterator_ends_the_run() -> None:
    steps = gatys().run(single_region(content(), [sample()]))
    assert next(steps).index == 1
    steps.close()
    assert list(steps) == []

"""Gatys: the picture keeps the content, takes on the style, and every setting does what it says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from impasto.config import check_settings
from impasto.images import load_image, resize
from impasto.losses.gram import GramLoss
from impasto.methods.gatys import Gatys, GatysConfig
from impasto.regions.subject import resize_style, single_region
from impasto.samples import resolve
from impasto.types import Image, Step

GATYS_DEFAULTS = {"backbone": "tiny", "size": 48, "device": "cpu", "precision": "fp32", "steps": 20}


def gatys(**settings: Any) -> Gatys:
    return Gatys(check_settings(GatysConfig, "gatys", GATYS_DEFAULTS | settings))


def content() -> Tensor:
    return resize(torch.rand(1, 3, 4, 5, generator=torch.Generator().manual_seed(1)), (72, 90))


def style(name: str = "mosaic") -> Tensor:
    return load_image(resolve(name), size=96)


def loss_of(kind: str, step: Step) -> float:
    return step.by_kind()[kind]


def paint(styles: Sequence[Image] | None = None, mix: Sequence[float] = (1.0,), **settings: Any) -> list[Step]:
    return list(gatys(**settings).run(single_region(content(), styles or [style()], mix)))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_the_style_loss_decreases_and_the_pixels_stay_within_the_bounds(precision: str, optimizer: str) -> None:
    steps = paint(precision=precision, optimizer=optimizer)
    best = min(steps, key=lambda step: step.loss)
    assert loss_of("style", best) < 0.5 * loss_of("style", steps[0])
    image = best.image()
    assert image.dtype is torch.float32
    assert image.min() >= 0
    assert image.max() <= 1


def test_terms_are_named_after_the_layers_of_the_backbone() -> None:
    names = set(paint(steps=1, tv_weight=1.0)[0].losses)
    layers = ["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"]
    assert names == {"content/relu4_2", "smooth/image", *(f"style/{layer}" for layer in layers)}


@pytest.mark.parametrize(("style_scale", "longer_side"), [(1.0, 48), (0.5, 24), (1.5, 72)])
def test_the_style_loss_is_that_of_the_formula_at_the_size_of_the_stroke(
    load_random, style_scale: float, longer_side: int
) -> None:
    step = paint(steps=1, style_weight=100.0, style_scale=style_scale)[0]
    backbone, gram = load_random("tiny"), GramLoss()
    small = resize_style(style(), longer_side)
    for layer in backbone.style_layers:
        now, goal = (gram.statistic(backbone.encode(x, [layer])[layer])[0] for x in (step.image(), small))
        expected = 100 * (now - goal).square().sum() / (4 * len(now) ** 2) / 5
        assert step.losses[f"style/{layer}"] == pytest.approx(expected.item(), rel=1e-4)


def test_content_alone_leaves_the_content_as_it_is() -> None:
    steps = paint(style_weight=0.0, steps=5)
    assert steps[-1].losses == {"content/relu4_2": pytest.approx(0, abs=1e-9)}
    assert torch.allclose(steps[-1].image(), resize(content(), (38, 48)), atol=1e-3)


def test_a_heavier_style_is_matched_better_and_keeps_less_of_the_content() -> None:
    mild, strong = (min(paint(style_weight=w, steps=40), key=lambda step: step.loss) for w in (1.0, 1000.0))
    assert loss_of("style", strong) / 1000 < loss_of("style", mild)
    assert loss_of("content", strong) > loss_of("content", mild)


def test_total_variation_smooths() -> None:
    rough, smooth = (paint(tv_weight=weight, steps=20)[-1].image() for weight in (0.0, 1e4))
    steps_of = [(image.diff(dim=-1).square().mean() + image.diff(dim=-2).square().mean()) for image in (rough, smooth)]
    assert steps_of[1] < 0.5 * steps_of[0]


def test_the_mix_chooses_between_styles() -> None:
    both = [style("mosaic"), style("woodcut")]
    alone = paint([both[1]], steps=5)[-1]
    mixed = paint(both, [0.0, 1.0], steps=5)[-1]
    halves = paint(both, [0.5, 0.5], steps=5)[-1]
    assert torch.allclose(mixed.image(), alone.image(), atol=1e-3)
    assert (halves.image() - alone.image()).abs().mean() > 1e-3


def test_average_pooling_paints_another_picture() -> None:
    first, second = (paint(pooling=pooling, steps=5)[-1].image() for pooling in ("max", "average"))
    assert (first - second).abs().max() > 1e-3


def test_layers_can_be_chosen() -> None:
    step = paint(steps=1, content_layers=["relu2_2"], style_layers=["relu1_2", "pool1"])[0]
    assert list(step.losses) == ["content/relu2_2", "style/relu1_2", "style/pool1"]


def test_one_instance_paints_as_often_as_asked() -> None:
    stylizer = gatys(steps=6)
    first, again = (list(stylizer.run(single_region(content(), [style()])))[-1] for _ in range(2))
    assert torch.equal(first.image(), again.image())


@pytest.mark.parametrize("setting", ["content_layers", "style_layers"])
def test_a_layer_that_the_backbone_lacks_is_refused_in_one_line(setting: str) -> None:
    with pytest.raises(ValueError, match=r"^the backbone has no layer 'relu9_1'; it has: relu1_1, .*pool5$"):
        gatys(**{setting: ["relu1_1", "relu9_1"]})


def test_an_unknown_backbone_is_refused_with_the_choices() -> None:
    with pytest.raises(ValueError, match=r"^unknown backbone 'vgg99'; choose from .*tiny"):
        gatys(backbone="vgg99")


def test_weights_of_zero_only_are_refused_in_one_line() -> None:
    with pytest.raises(ValueError, match=r"^every weight is 0.*$"):
        paint(content_weight=0, style_weight=0)


def test_a_picture_too_small_for_the_layers_is_refused_in_one_line() -> None:
    with pytest.raises(ValueError, match=r"^a picture of .* is too small for layer relu5_1, .*$"):
        paint(size=12)


def test_closing_the_painting_stops_it() -> None:
    steps = gatys().run(single_region(content(), [style()]))
    assert next(steps).index == 1
    steps.close()
    assert list(steps) == []

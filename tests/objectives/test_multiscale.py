"""Test the loss at several sizes of an image."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from impasto.backbones import load_backbone
from impasto.config import check_settings
from impasto.images import load_image, resize
from impasto.methods.gatys import Gatys, GatysConfig
from impasto.objectives.matching import MatchingObjective
from impasto.objectives.multiscale import loss_scale_shapes, near_scale_shapes
from impasto.regions.subject import Subject, single_region
from impasto.samples import resolve
from impasto.types import Step


def paint(**settings: object) -> list[Step]:
    """The steps of a run on sample images."""
    asked = {"backbone": "tiny", "device": "cpu", "precision": "fp32", "steps": 1, **settings}
    stylizer = Gatys(check_settings(GatysConfig, "gatys", asked))
    woodcut, mosaic = (load_image(resolve(name)) for name in ("woodcut", "mosaic"))
    return list(stylizer.run(single_region(woodcut, [mosaic])))


@pytest.mark.parametrize(
    ("shape", "count", "longer_sides"),
    [
        ((256, 192), None, [256]),
        ((512, 512), None, [512]),
        ((400, 600), None, [600, 300, 150]),
        ((768, 1024), None, [1024, 512, 256]),
        ((1536, 2048), None, [2048, 1024, 512, 256]),
        ((1024, 1024), 1, [1024]),
        ((300, 400), 2, [400, 200]),
        ((40, 400), 5, [400]),  # a halved side would be too short to see
    ],
)
def test_sizes_are_halved_to_that_of_the_preview(shape: tuple[int, int], count: int, longer_sides: list[int]) -> None:
    assert [max(each) for each in loss_scale_shapes(shape, count)] == longer_sides


def loss_at(step: Step, shape: tuple[int, int]) -> dict[str, float]:
    """The losses of the image of a step at another shape, with content and styles resized once."""
    config = check_settings(GatysConfig, "gatys", {"backbone": "tiny"})
    woodcut, mosaic = (load_image(resolve(name)) for name in ("woodcut", "mosaic"))
    objective = MatchingObjective(load_backbone("tiny"), single_region(woodcut, [mosaic]).resized(shape), config)
    return {name: loss.item() for name, loss in objective(resize(step.image(), shape)).items()}


def test_the_loss_is_the_mean_of_those_at_the_sizes() -> None:
    both, large = paint(size=128, loss_scales=2)[0], paint(size=128, loss_scales=1)[0].losses
    small = loss_at(both, loss_scale_shapes(both.size, 2)[1])
    for layer in ("relu1_1", "relu3_1"):
        assert both.losses[f"style/{layer}"] == pytest.approx(large[f"style/{layer}"] / 2, rel=1e-4)
        assert both.losses[f"style/{layer}@64"] == pytest.approx(small[f"style/{layer}"] / 2, rel=1e-4)


def test_styles_are_resized_once_for_each_loss_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes: list[tuple[int, ...]] = []
    resized = Subject.resized

    def record(self: Subject, *args: Any, **settings: Any) -> Subject:
        shapes.append(tuple(self.regions[0].styles[0].image.shape))
        return resized(self, *args, **settings)

    monkeypatch.setattr(Subject, "resized", record)
    paint(size=128, loss_scales=2, near_scales=3)
    own = tuple(load_image(resolve("mosaic")).shape)
    assert shapes == [own] * 4


def test_a_large_picture_reduced_is_nearer_to_its_preview_with_a_loss_at_both_sizes() -> None:
    def best(**settings: object) -> torch.Tensor:
        steps = paint(steps=30, **settings)
        return min(steps, key=lambda step: step.loss).image()

    preview = paint(size=64)[0]

    def style_of(image: torch.Tensor) -> float:
        losses = preview.losses_of(resize(image, preview.size))
        return sum(loss for name, loss in losses.items() if name.startswith("style/"))

    assert style_of(best(size=256, loss_scales=3)) < 0.6 * style_of(best(size=256, loss_scales=1))


def test_near_scales_have_equal_parts() -> None:
    assert near_scale_shapes((96, 128), 1) == []
    assert [max(shape) for shape in near_scale_shapes((96, 128), 3)] == [160, 102]
    thrice, own = paint(size=128, near_scales=3)[0], paint(size=128)[0].losses
    enlarged = loss_at(thrice, near_scale_shapes(thrice.size, 3)[0])
    for name in ("style/relu1_1", "style/relu3_1"):
        assert thrice.losses[name] == pytest.approx(own[name] / 3, rel=1e-4)
        assert thrice.losses[f"{name}@160"] == pytest.approx(enlarged[name] / 3, rel=1e-4)
    assert {name.partition("@")[2] for name in thrice.losses} == {"", "160", "102"}


@pytest.mark.parametrize("near_scales", [2, 3])
def test_near_scales_are_added_to_loss_scales(near_scales: int) -> None:
    names = paint(size=128, loss_scales=2, near_scales=near_scales)[0].losses
    assert {name.partition("@")[2] for name in names} == {"", "64", "160", "102"} - (
        {"102"} if near_scales == 2 else set()
    )


def test_a_large_picture_is_painted_from_the_size_of_its_preview_on() -> None:
    def sizes(**settings: object) -> list[int]:
        config = check_settings(GatysConfig, "gatys", {"backbone": "tiny", "size": 600, **settings})
        woodcut, mosaic = (load_image(resolve(name)) for name in ("woodcut", "mosaic"))
        return [max(stage.shape) for stage in Gatys(config).schedule(single_region(woodcut, [mosaic])).stages]

    assert sizes(steps=3) == [150, 300, 600]
    assert sizes(steps=2) == [300, 600]  # no more sizes than steps
    assert sizes(steps=2, loss_scales=2) == [600]
    assert sizes(steps=2, sizes=[100, 600]) == [100, 600]


def test_scales_with_too_small_styles_are_left_out() -> None:
    steps = paint(size=600, style_scale=0.08, steps=2)  # at 150 pixels the style would be 12 pixels long
    assert [max(step.size) for step in steps] == [600, 600]
    assert not any("@" in name for name in steps[-1].losses)

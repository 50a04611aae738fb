"""Test the methods that match statistics of features: strength, layers, mixtures of styles, and losses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from support import best_step, run_method, sample
from torch import Tensor

import impasto
from impasto.config import setting_schemas
from impasto.images import resize
from impasto.losses import LOSSES, FeatureLoss
from impasto.methods import METHODS, configure
from impasto.methods.gatys import Gatys
from impasto.methods.matching import MatchingConfig
from impasto.objectives.matching import layer_mixes, smoothness_losses, style_losses
from impasto.optim.schedule import steps_of_sizes
from impasto.regions.subject import Region, Style, Subject, single_region
from impasto.types import Image, Step

EVERY = [name for name in METHODS if issubclass(METHODS[name].Config, MatchingConfig)]
QUICK = {"backbone": "tiny", "size": 64, "device": "cpu", "precision": "fp32", "steps": 12}


def content() -> Image:
    return sample("woodcut", size=80)


def style(name: str = "mosaic") -> Image:
    return sample(name, size=80)


def run(method: str, subject: Subject | None = None, **settings: Any) -> list[Step]:
    return run_method(method, subject or single_region(content(), [style()]), **QUICK | settings)


def first_losses(method: str, subject: Subject | None = None, **settings: Any) -> dict[str, float]:
    """Return the terms of the loss of the content image."""
    return run(method, subject, steps=1, **settings)[0].losses


def first_style_loss(method: str, subject: Subject | None = None, **settings: Any) -> float:
    return run(method, subject, steps=1, **settings)[0].by_kind()["style"]


@pytest.mark.parametrize("method", EVERY)
def test_the_style_loss_decreases_and_the_pixels_stay_in_range(method: str) -> None:
    steps = run(method)
    assert best_step(steps).by_kind()["style"] < 0.8 * steps[0].by_kind()["style"]
    image = best_step(steps).image()
    assert 0 <= image.min() <= image.max() <= 1


@pytest.mark.parametrize("method", EVERY)
def test_the_loss_of_a_mixture_is_at_most_that_of_the_worse_style(method: str) -> None:
    first, second, both = (
        first_style_loss(method, single_region(content(), [style(), style("geometric")], mix))
        for mix in ([1, 0], [0, 1], [0.5, 0.5])
    )
    assert both <= max(first, second) * 1.001
    assert first != second


@pytest.mark.parametrize("method", EVERY)
def test_another_style_in_one_region_changes_mostly_that_region(method: str) -> None:
    left = torch.zeros(1, 1, 96, 160)
    left[..., :80] = 1

    def stylized(right: str) -> Tensor:
        regions = (
            Region((Style(style()),), name="1", mask=left),
            Region((Style(style(right)),), name="2", mask=1 - left),
        )
        steps = run(method, Subject(resize(content(), (96, 160)), regions), size=160, steps=6)
        return best_step(steps).image()

    change = (stylized("geometric") - stylized("inkwash")).abs().mean(1)[0]
    assert change[:, :48].mean() < 0.35 * change[:, 112:].mean()


# Strength


@pytest.mark.parametrize("method", EVERY)
def test_more_strength_lowers_the_style_loss_and_raises_the_content_loss(method: str) -> None:
    low, high = (best_step(run(method, strength=strength, steps=15)).by_kind() for strength in (20, 80))
    ratio_of_weights = 10 ** ((80 - 20) / 25)
    assert high["style"] / ratio_of_weights < low["style"]
    assert high["content"] > low["content"]


@pytest.mark.parametrize("method", EVERY)
def test_strength_does_not_depend_on_the_scale_of_the_weights(method: str) -> None:
    once, scaled = (first_style_loss(method, strength=50, content_weight=weight) for weight in (1.0, 7.0))
    assert scaled == pytest.approx(7 * once, rel=1e-3)


def test_strength_does_not_depend_on_the_start() -> None:
    factor, other = (
        first_style_loss("gatys", strength=60, start=start) / first_style_loss("gatys", start=start)
        for start in ("noise", "content")
    )
    assert other == pytest.approx(factor, rel=1e-4)
    assert factor != pytest.approx(1, rel=0.05)


def test_25_points_of_strength_multiply_the_style_weight_by_ten() -> None:
    low, high = (first_style_loss("gatys", strength=strength) for strength in (40, 65))
    assert high == pytest.approx(10 * low, rel=1e-4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"strength": 50, "content_weight": 0}, "strength: it balances style and content, but content_weight is 0"),
        ({"tolerance": 0.1}, "tolerance: it stops a run without a number of steps; give tolerance or steps"),
        ({"layer_weights": [1, 2]}, "layer_weights: 2 weights, but 5 style layers"),
        ({"layer_weights": [0] * 5}, "layer_weights: 5 weights, but 5 style layers; give one a layer, one above 0"),
        ({"style_mix_fine": [1, 2]}, r"style_mix_fine: 2 weights, but 1 style image\(s\)"),
        ({"style_mix_fine": [0]}, r"style_mix_fine: 1 weights, but 1 style image\(s\); .*above 0"),
    ],
)
def test_settings_that_contradict_each_other_are_an_error_of_one_line(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}") as caught:
        run("gatys", **settings)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("weight", [7, 100])  # 100 is the default, but given
def test_a_strength_and_the_weight_that_it_replaces_are_an_error(weight: float, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"backbone": "tiny", "size": 32, "steps": 1, "strength": 50}
    with pytest.raises(ValueError, match=r"^strength: it replaces style_weight, which is given too; give one of them$"):
        impasto.stylize("woodcut", "mosaic", style_weight=weight, **settings)
    result = impasto.stylize("woodcut", "mosaic", **settings)
    again = impasto.replay(result.save(tmp_path / "out.png"))  # the record has both
    assert torch.equal(again.image, result.image)


def test_a_tolerance_stops_every_size_when_it_has_converged() -> None:
    layers = {"content_layers": ["relu2_1"], "style_layers": ["relu1_1", "relu2_1"]}  # a sixth of the time of all
    settings = {"size": 104, "loss_scales": 2, "steps": None, "style_weight": 10, **layers}
    runs = {tolerance: run("gatys", tolerance=tolerance, **settings) for tolerance in (0.9, 0.4)}
    for size in (52, 104):
        short, long = ([step for step in steps if max(step.size) == size] for steps in runs.values())
        assert 25 < len(short) < len(long)
    assert {step.total for step in runs[0.9]} == {None}


@pytest.mark.parametrize("start", ["content", "micro", "noise"])
def test_details_of_the_start_are_kept_unless_it_is_noise(start: str) -> None:
    config = configure("gatys", {"size": 104, "loss_scales": 2, "backbone": "tiny", "start": start})
    schedule = Gatys(config).schedule(single_region(content(), [style()]))
    is_picture = start != "noise"
    assert schedule.keep_details == is_picture
    assert [stage.preconditioned for stage in schedule.stages] == [is_picture, False]


@pytest.mark.parametrize(
    ("sides", "style_scale", "grids"),
    [
        ((800, 800), 1.0, [None, None, (800, 800)]),
        ((800, 1200), 1.0, [None, None, None]),  # the style image has finer details
        ((1200, 800), 1.0, [None, None, None]),  # the content image has
        ((400, 400), 1.0, [None, (400, 400), (400, 400)]),
        ((400, 640), 2.0, [None, (400, 400), (400, 400)]),  # the style image is enlarged twice as much
    ],
)
def test_an_output_is_no_finer_than_the_images_where_all_of_them_are_enlarged(
    sides: tuple[int, int], style_scale: float, grids: list[tuple[int, int] | None]
) -> None:
    config = configure("gatys", {"size": 2048, "loss_scales": 3, "backbone": "tiny", "style_scale": style_scale})
    of_content, of_style = (torch.rand(1, 3, side, side) for side in sides)
    schedule = Gatys(config).schedule(single_region(of_content, [of_style]))
    assert [max(stage.shape) for stage in schedule.stages] == [512, 1024, 2048]
    assert [stage.grid for stage in schedule.stages] == grids


def test_the_default_is_a_number_of_steps_by_quality() -> None:
    settings = {"size": 104, "loss_scales": 2, "steps": None}
    assert len(run("gatys", quality="draft", **settings)) == sum(steps_of_sizes("draft", [64, 128]))


# Layers and edges


def test_layer_weights_divide_the_style_weight() -> None:
    equal, weighted = first_losses("gatys"), first_losses("gatys", layer_weights=[4, 3, 2, 1, 0])
    assert weighted["style/relu1_1"] == pytest.approx(2 * equal["style/relu1_1"])
    assert weighted["style/relu4_1"] == pytest.approx(0.5 * equal["style/relu4_1"])
    assert "style/relu5_1" not in weighted


def test_fine_layers_can_have_another_mixture_than_coarse_ones() -> None:
    first, second = (single_region(content(), [style(), style("inkwash")], mix) for mix in ([1, 0], [0, 1]))
    coarse, mixed, fine = (
        first_losses("gatys", subject, **settings)
        for subject, settings in [(first, {}), (first, {"style_mix_fine": [0, 3]}), (second, {})]
    )
    assert mixed["style/relu1_1"] == pytest.approx(fine["style/relu1_1"])
    assert mixed["style/relu5_1"] == pytest.approx(coarse["style/relu5_1"])
    assert layer_mixes([1, 0], [1, 3], 2) == [[0.25, 0.75], [1, 0]]


def test_an_edge_weight_keeps_the_edges_of_the_content() -> None:
    def change_of_edges(**settings: Any) -> float:
        image = best_step(run("gatys", steps=20, style_weight=1000.0, **settings)).image()
        edges = [torch.nn.functional.avg_pool2d(x, 4).diff(dim=-1) for x in (image, resize(content(), (51, 64)))]
        return (edges[0] - edges[1]).square().mean().item()

    assert change_of_edges(edge_weight=3000.0) < 0.5 * change_of_edges()


# Losses


@pytest.mark.parametrize("name", [name for name in style_losses() if name != "gram"])
def test_every_style_loss_can_be_selected(name: str) -> None:
    gram, other = (first_style_loss("gatys", style_loss=each) for each in ("gram", name))
    assert other > 0
    assert other != pytest.approx(gram, rel=0.05)


@pytest.mark.parametrize(
    ("method", "name"), [("bures", "bures"), ("sliced", "sliced_wasserstein"), ("mrf", "patches"), ("gatys", "gram")]
)
def test_a_preset_is_gatys_with_another_style_loss_weight_and_layers(method: str, name: str) -> None:
    config = METHODS[method].Config()
    same = {"style_loss": name, "style_weight": config.style_weight, "style_layers": config.style_layers}
    assert run("gatys", steps=2, **same)[-1].losses == run(method, steps=2)[-1].losses


def test_a_registered_loss_of_a_plug_in_is_a_style_loss_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    class Means(FeatureLoss):
        is_spatial_mean = True

        def statistic(self, features: Tensor, guide: Tensor | None = None) -> Tensor:
            return features.float().mean((2, 3))

        def distance(self, statistic: Tensor, target: Tensor) -> Tensor:
            return (statistic - target).square().mean()

    monkeypatch.setitem(LOSSES._parts, "means", Means)
    steps = run("gatys", style_loss="means")
    assert best_step(steps).by_kind()["style"] < steps[0].by_kind()["style"]
    assert "means" in setting_schemas(METHODS["gatys"].Config)["style_loss"]["enum"]


@pytest.mark.parametrize(
    ("setting", "name"),
    [
        ("style_loss", "content"),
        ("style_loss", "laplacian"),
        ("style_loss", "self_similarity"),
        ("style_loss", "total_variation"),
        ("style_loss", "grams"),
        ("tv_loss", "gram"),
    ],
)
def test_a_loss_of_another_role_is_an_error_of_one_line_with_the_choices(setting: str, name: str) -> None:
    choices = ", ".join(style_losses() if setting == "style_loss" else smoothness_losses())
    with pytest.raises(ValueError, match=f"^{setting}: choose from {choices}, not '{name}'$"):
        run("gatys", **{setting: name})


@pytest.mark.parametrize("name", smoothness_losses())
def test_every_smoothness_loss_makes_the_output_smoother(name: str) -> None:
    def roughness(**settings: Any) -> float:
        image = run("gatys", steps=15, **settings)[-1].image()
        return (image.diff(dim=-1).abs().mean() + image.diff(dim=-2).abs().mean()).item()

    assert roughness(tv_weight=1e3, tv_loss=name) < 0.8 * roughness()

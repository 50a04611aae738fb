"""What the matching methods share: strength, layers, mixtures, edges; asked of each of them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from impasto.config import check_settings, setting_schemas
from impasto.images import load_image, resize
from impasto.losses import LOSSES, FeatureLoss
from impasto.methods import METHODS
from impasto.methods.matching import MatchingConfig
from impasto.objectives.matching import layer_mixes, smoothness_losses, style_losses
from impasto.regions.subject import Region, Style, Subject, single_region
from impasto.samples import resolve
from impasto.types import Image, Step

EVERY = [name for name in METHODS if issubclass(METHODS[name].Config, MatchingConfig)]
QUICK = {"backbone": "tiny", "size": 64, "device": "cpu", "precision": "fp32", "steps": 12}


def photograph() -> Image:
    return load_image(resolve("woodcut"), size=80)


def style(name: str = "mosaic") -> Image:
    return load_image(resolve(name), size=80)


def loss_of(kind: str, step: Step) -> float:
    return step.by_kind()[kind]


def paint(method: str, subject: Subject | None = None, **settings: Any) -> list[Step]:
    part = METHODS[method]
    config = check_settings(part.Config, method, QUICK | settings)
    return list(part(config).run(subject or single_region(photograph(), [style()])))


def best(steps: list[Step]) -> Step:
    return min(steps, key=lambda step: step.loss)


@pytest.mark.parametrize("method", EVERY)
def test_the_style_loss_decreases_and_the_pixels_stay_within_the_bounds(method: str) -> None:
    steps = paint(method)
    assert loss_of("style", best(steps)) < 0.8 * loss_of("style", steps[0])
    image = best(steps).image()
    assert 0 <= image.min() <= image.max() <= 1


@pytest.mark.parametrize("method", EVERY)
def test_a_mixture_of_two_styles_lies_between_them(method: str) -> None:
    def first_losses(mix: list[float]) -> float:
        return loss_of(
            "style", paint(method, single_region(photograph(), [style(), style("geometric")], mix), steps=1)[0]
        )

    one, other, both = first_losses([1, 0]), first_losses([0, 1]), first_losses([0.5, 0.5])
    assert both <= max(one, other) * 1.001
    assert one != other


@pytest.mark.parametrize("method", EVERY)
def test_a_region_takes_its_own_style_only(method: str) -> None:
    left = torch.zeros(1, 1, 96, 160)
    left[..., :80] = 1

    def painted(right: str) -> Tensor:
        regions = (
            Region((Style(style()),), name="1", mask=left),
            Region((Style(style(right)),), name="2", mask=1 - left),
        )
        return best(paint(method, Subject(resize(photograph(), (96, 160)), regions), size=160, steps=12)).image()

    change = (painted("geometric") - painted("inkwash")).abs().mean(1)[0]
    assert change[:, :48].mean() < 0.35 * change[:, 112:].mean()


# Strength


@pytest.mark.parametrize("method", EVERY)
def test_more_strength_lowers_the_style_loss_and_raises_the_content_loss(method: str) -> None:
    mild, strong = (best(paint(method, strength=s, steps=30)) for s in (20, 80))
    ten_times = 10 ** ((80 - 20) / 25)
    assert loss_of("style", strong) / ten_times < loss_of("style", mild)
    assert loss_of("content", strong) > loss_of("content", mild)


@pytest.mark.parametrize("method", EVERY)
def test_strength_does_not_see_how_the_weights_are_scaled(method: str) -> None:
    once, again = (paint(method, strength=50, content_weight=w, steps=1)[0] for w in (1.0, 7.0))
    assert loss_of("style", again) == pytest.approx(7 * loss_of("style", once), rel=1e-3)


def test_strength_does_not_see_the_start() -> None:
    noise = paint("gatys", strength=60, start="noise", steps=1)[0]
    plain_noise = paint("gatys", start="noise", steps=1)[0]
    content = paint("gatys", strength=60, steps=1)[0]
    plain_content = paint("gatys", steps=1)[0]
    factor = loss_of("style", noise) / loss_of("style", plain_noise)
    assert loss_of("style", content) / loss_of("style", plain_content) == pytest.approx(factor, rel=1e-4)
    assert factor != pytest.approx(1, rel=0.05)


def test_25_points_of_strength_are_a_factor_of_ten() -> None:
    weak, strong = (loss_of("style", paint("gatys", strength=s, steps=1)[0]) for s in (40, 65))
    assert strong == pytest.approx(10 * weak, rel=1e-4)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"strength": 50, "style_weight": 7},
            "strength: it replaces style_weight, which is given too; give one of them",
        ),
        ({"strength": 50, "content_weight": 0}, "strength: it balances style and content, but content_weight is 0"),
        ({"tolerance": 0.1}, "tolerance: it stops a run without a number of steps; give tolerance or steps"),
        ({"layer_weights": [1, 2]}, "layer_weights: 2 weights, but 5 style layers"),
        ({"layer_weights": [0] * 5}, "layer_weights: 5 weights, but 5 style layers; give one a layer, one above 0"),
        ({"style_mix_fine": [1, 2]}, r"style_mix_fine: 2 weights, but 1 style image\(s\)"),
        ({"style_mix_fine": [0]}, r"style_mix_fine: 1 weights, but 1 style image\(s\); .*above 0"),
    ],
)
def test_settings_that_contradict_each_other_are_refused_in_one_line(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=f"^{said}") as caught:
        paint("gatys", **settings)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("backbone", "own"), [("lite", 0.02), ("tiny", 0.01)])
def test_the_network_sets_the_tolerance_unless_one_is_given(backbone: str, own: float) -> None:
    def length(tolerance: float | None) -> int:
        return len(paint("gatys", backbone=backbone, size=40, steps=None, tolerance=tolerance, style_weight=10))

    assert length(None) == length(own)
    assert length(0.5) < length(0.02) < length(0.01)


# Layers and edges


def test_layer_weights_divide_the_style_weight() -> None:
    equal, shared = paint("gatys", steps=1)[0].losses, paint("gatys", steps=1, layer_weights=[4, 3, 2, 1, 0])[0].losses
    assert shared["style/relu1_1"] == pytest.approx(2 * equal["style/relu1_1"])
    assert shared["style/relu4_1"] == pytest.approx(0.5 * equal["style/relu4_1"])
    assert "style/relu5_1" not in shared


def test_fine_layers_can_take_another_style_than_coarse_ones() -> None:
    subject = single_region(photograph(), [style(), style("inkwash")], [1, 0])
    coarse, mixed, fine = (
        paint("gatys", chosen, steps=1, **more)[0].losses
        for chosen, more in [
            (subject, {}),
            (subject, {"style_mix_fine": [0, 3]}),
            (single_region(photograph(), [style(), style("inkwash")], [0, 1]), {}),
        ]
    )
    assert mixed["style/relu1_1"] == pytest.approx(fine["style/relu1_1"])
    assert mixed["style/relu5_1"] == pytest.approx(coarse["style/relu5_1"])
    assert layer_mixes([1, 0], [1, 3], 2) == [[0.25, 0.75], [1, 0]]


def test_an_edge_weight_holds_the_edges() -> None:
    def change_of_edges(**settings: Any) -> float:
        image = best(paint("gatys", steps=40, style_weight=1000.0, **settings)).image()
        edges = [torch.nn.functional.avg_pool2d(x, 4).diff(dim=-1) for x in (image, resize(photograph(), (51, 64)))]
        return (edges[0] - edges[1]).square().mean().item()

    loose, held = change_of_edges(), change_of_edges(edge_weight=3000.0)
    assert held < 0.5 * loose


# Losses


@pytest.mark.parametrize("name", [name for name in style_losses() if name != "gram"])
def test_gatys_takes_every_style_loss(name: str) -> None:
    gram, other = (loss_of("style", paint("gatys", style_loss=each, steps=1)[0]) for each in ("gram", name))
    assert other > 0
    assert other != pytest.approx(gram, rel=0.05)


@pytest.mark.parametrize(
    ("method", "name"), [("bures", "bures"), ("sliced", "sliced_wasserstein"), ("mrf", "patches"), ("gatys", "gram")]
)
def test_a_preset_is_gatys_with_another_style_loss_weight_and_layers(method: str, name: str) -> None:
    config = METHODS[method].Config()
    same = {"style_loss": name, "style_weight": config.style_weight, "style_layers": config.style_layers}
    assert paint("gatys", steps=2, **same)[-1].losses == paint(method, steps=2)[-1].losses


def test_a_plug_in_loss_is_a_style_loss_unless_it_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    class Means(FeatureLoss):
        is_spatial_mean = True

        def statistic(self, features: Tensor, guide: Tensor | None = None) -> Tensor:
            return features.float().mean((2, 3))

        def distance(self, statistic: Tensor, target: Tensor) -> Tensor:
            return (statistic - target).square().mean()

    monkeypatch.setitem(LOSSES._parts, "means", Means)
    steps = paint("gatys", style_loss="means")
    assert loss_of("style", best(steps)) < loss_of("style", steps[0])
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
def test_a_loss_of_another_role_is_refused_in_one_line_with_the_choices(setting: str, name: str) -> None:
    choices = ", ".join(style_losses() if setting == "style_loss" else smoothness_losses())
    with pytest.raises(ValueError, match=f"^{setting}: choose from {choices}, not '{name}'$"):
        paint("gatys", **{setting: name})


@pytest.mark.parametrize("name", smoothness_losses())
def test_every_smoothness_loss_smooths(name: str) -> None:
    def roughness(**settings: Any) -> float:
        image = paint("gatys", steps=15, **settings)[-1].image()
        return (image.diff(dim=-1).abs().mean() + image.diff(dim=-2).abs().mean()).item()

    assert roughness(tv_weight=1e3, tv_loss=name) < 0.8 * roughness()

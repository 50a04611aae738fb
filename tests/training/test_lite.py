"""Test the backbone `lite` and its distillation: selected channels, fitted layers, and the training recipe."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from support import noise, wide_chain, write_pictures
from torch import Tensor

from impasto.backbones import BACKBONES, load_backbone
from impasto.backbones.chain import Chain, Convolution, Layer, Pool
from impasto.backbones.lite import FILE, Lite
from impasto.backbones.narrow_vgg import LAYERS, RELUS, NarrowVGG
from impasto.backbones.vgg import VGG19Caffe
from impasto.features.moments import second_moment
from impasto.images import load_image
from impasto.training import train
from impasto.training.augmentation import random_degradation, random_zoom
from impasto.training.datasets import Dataset
from impasto.training.distillation import Student, fit_student, measure_units, select_channels
from impasto.training.recipes.lite import LiteRecipe, LiteRecipeConfig

NARROW = (8,) * len(RELUS)
CPU = torch.device("cpu")


def multiply_adds(widths: list[int], counts: tuple[int, ...]) -> float:
    """Return the multiply-adds per pixel up to the last of `widths`, for `counts` convolutions per block."""
    total, below, layer = 0.0, 3, 0
    for block, count in enumerate(counts):
        for _ in range(count):
            total += 9 * below * widths[layer] / 4**block
            below, layer = widths[layer], layer + 1
    return total


# The bundled file.


def test_the_bundled_file_is_small_names_its_source_and_is_stored_in_fp16() -> None:
    assert FILE.stat().st_size <= 4_000_000
    with safe_open(FILE, "pt") as stored:
        about = stored.metadata()
        assert {stored.get_tensor(key).dtype for key in stored.keys()} == {torch.float16}  # noqa: SIM118
    assert about["license"] == "CC BY 4.0"
    assert "VGG-19" in about["derived_from"]
    assert {"recipe", "settings", "pictures", "steps", "losses", "quality"} <= about.keys()
    channels = json.loads(about["teacher_channels"])
    assert all(len(set(channels[name])) == len(channels[name]) for name in RELUS)


def test_it_needs_at_least_seven_times_fewer_multiply_adds_than_vgg19() -> None:
    lite = Lite(pooling="max", device=CPU, dtype=torch.float32)
    widths = [len(layer.bias) for layer in lite.chain.layers if isinstance(layer, Convolution)]
    wide = [*[64] * 2, *[128] * 2, *[256] * 4, *[512] * 5]
    assert multiply_adds(wide, (2, 2, 4, 4, 1)) > 7 * multiply_adds(widths, (2, 2, 4, 4, 1))


def test_its_layers_have_the_names_of_vgg19_and_serve_the_same_terms() -> None:
    assert set(Lite.layers) <= set(VGG19Caffe.layers)
    assert (Lite.content_layers, Lite.style_layers) == (VGG19Caffe.content_layers, VGG19Caffe.style_layers)


@pytest.mark.shared
def test_its_losses_between_photographs_and_paintings_are_close_to_those_of_vgg19(
    real_weights: Path, shared_images: Path
) -> None:
    photographs, paintings = (
        [load_image(path, size=128) for path in sorted((shared_images / kind).glob("*.jpg"))]
        for kind in ("content", "style")
    )

    def losses(name: str) -> dict[str, float]:
        backbone = load_backbone(name)

        def grams(picture: Tensor) -> dict[str, Tensor]:
            features = backbone.encode(picture, Lite.style_layers)
            return {layer: second_moment(features[layer]) for layer in Lite.style_layers}

        pairs = list(itertools.product(map(grams, photographs), map(grams, paintings)))
        return {
            layer: sum((a[layer] - b[layer]).square().mean().item() for a, b in pairs) for layer in Lite.style_layers
        }

    mine, theirs = losses("lite"), losses("vgg19-caffe")
    for layer in Lite.style_layers:
        assert 0.5 < mine[layer] / theirs[layer] < 2, layer


# Distillation.


def test_the_channels_that_explain_most_energy_are_selected_once_each() -> None:
    factors = torch.randn(3, 500, generator=torch.Generator().manual_seed(1)) * torch.tensor([[5.0], [2.0], [1.0]])
    channels = torch.cat([0.1 * factors[:1], factors, factors[1:2] + 0.01 * factors[2:]])
    moment = channels @ channels.T / 500

    selected = select_channels(moment, 3)
    assert selected[0] == 1  # has most energy
    assert len(set(selected)) == 3
    inside = moment[selected][:, selected]
    rest = moment - moment[:, selected] @ torch.linalg.solve(inside, moment[selected])
    assert rest.trace() < 1e-4 * moment.trace()  # three channels explain three factors


def test_a_student_as_wide_as_its_teacher_becomes_the_teacher() -> None:
    teacher, student = wide_chain(), Student(NARROW)
    pixels = noise(24, 3, 48, 48) - 0.5

    channels = fit_student(student, teacher, pixels, torch.Generator().manual_seed(0))
    expected, actual = teacher(pixels, RELUS), student(pixels)
    for name in RELUS:
        assert sorted(channels[name].tolist()) == list(range(8))
        error = (actual[name] - expected[name][:, channels[name]]).square().mean() / expected[name].var()
        assert error < 1e-3, name


def test_the_scales_make_the_gram_losses_as_large_as_those_of_the_teacher() -> None:
    teacher, student = wide_chain(16), Student(NARROW)
    pixels = noise(8, 3, 48, 48) * torch.linspace(0.2, 1, 8).view(-1, 1, 1, 1)
    channels = fit_student(student, teacher, pixels, torch.Generator().manual_seed(0))
    measure_units(student, teacher, pixels, channels)

    backbone = Lite.of(student.scaled_layers(), device=CPU, dtype=torch.float32)
    mine, theirs = backbone.chain(pixels, RELUS), teacher(pixels, RELUS)
    for name in Lite.style_layers:
        a, b = (second_moment(f[name]) for f in (mine, theirs))
        ratio = (a - a.flip(0)).square().mean() / (b - b.flip(0)).square().mean()
        assert 0.6 < ratio < 1.6, name  # the fit itself is not exact


def test_scaling_multiplies_every_layer_by_its_factor() -> None:
    student = Student(NARROW)
    student.scales.copy_(torch.linspace(0.5, 2, len(RELUS)))
    pixels = noise(1, 3, 32, 32) - 0.5
    scaled = Chain(student.scaled_layers(), pooling="max", device=CPU, dtype=torch.float32)(pixels, RELUS)
    for name, scale in zip(RELUS, student.scales, strict=True):
        assert torch.allclose(scaled[name], scale * student(pixels)[name], atol=1e-5)


def test_the_trainable_network_and_the_chain_give_the_same_features() -> None:
    network = NarrowVGG(NARROW)
    pixels = noise(2, 3, 40, 32) - 0.5
    chain = Chain(network.frozen(), pooling="max", device=CPU, dtype=torch.float32)(pixels, RELUS)
    for name, features in network(pixels).items():
        assert torch.allclose(features, chain[name], atol=1e-5)


@pytest.mark.parametrize("change", [random_zoom, random_degradation])
def test_augmentations_follow_their_generator_and_stay_in_range(
    change: Callable[[Tensor, torch.Generator], Tensor],
) -> None:
    picture = noise(3, 32, 32)
    once, again = ([change(picture, torch.Generator().manual_seed(seed)) for seed in range(24)] for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(once, again, strict=True))
    assert all(each.shape == picture.shape and each.min() >= 0 and each.max() <= 1 for each in once)
    changed = sum(not torch.equal(each, picture) for each in once)
    assert 6 <= changed <= 20


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    return {kind: write_pictures(tmp_path / kind) for kind in ("photos", "paintings")}


SMALL = {"crop": 32, "widths": NARROW, "fit_pictures": 8, "stylized_steps": 4, "stylized_fraction": 0.5, "batch": 2}


@pytest.fixture
def random_teacher(random_weights: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMPASTO_WEIGHTS", str(random_weights("vgg19-caffe")))


@pytest.mark.usefixtures("random_teacher")
def test_the_recipe_trains_and_exports_weights_of_the_backbone(
    tmp_path: Path, folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("impasto.training.recipes.distilled.SHEET_STEPS", 3)
    trained = train("lite", output=tmp_path / "run", steps=3, warmup=1, **folders, **SMALL)  # type: ignore[arg-type]
    assert set(trained.losses) == {"features", "gram", "stylized/features", "stylized/gram"}
    assert trained.output is not None
    assert min(load_image(tmp_path / "run" / "sheet.png").shape[-2:]) > 100
    with safe_open(trained.output, "pt") as stored:
        assert json.loads(stored.metadata()["settings"])["crop"] == 32
        convolutions: list[Layer] = [
            Convolution(name, *(stored.get_tensor(f"{name}.{part}").float() for part in ("weight", "bias")))
            if name in RELUS
            else Pool(name)
            for name in LAYERS
        ]
    backbone = Lite.of(convolutions, device=CPU, dtype=torch.float32)
    assert backbone.encode(noise(1, 3, 32, 32), ["relu5_1"])["relu5_1"].shape == (1, 8, 2, 2)


@pytest.mark.usefixtures("random_teacher")
def test_the_loss_of_a_batch_is_the_mean_over_its_samples(folders: dict[str, Path]) -> None:
    recipe = LiteRecipe(LiteRecipeConfig(precision="fp32", **SMALL))  # type: ignore[arg-type]
    data = Dataset(*folders.values(), crop=32, batch=4)
    network = recipe.prepare(data)
    batch = data.batch(1)

    full = recipe.loss(network, batch, 0)
    single = [recipe.loss(network, {k: v[i : i + 1] for k, v in batch.items()}, 0) for i in range(4)]
    assert sum(terms["stylized/gram"].item() > 0 for terms in single) in (1, 2, 3)
    for name, term in full.items():
        assert term.item() == pytest.approx(sum(terms[name].item() for terms in single) / 4, rel=1e-4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"widths": (16, 32)}, r"^widths: give 13, one per convolution, not 2$"),
        ({"paintings": None}, r"^lite is trained on photographs and paintings; give both"),
    ],
)
def test_invalid_settings_or_data_are_an_error(
    settings: dict[str, object], message: str, tmp_path: Path, folders: dict[str, Path]
) -> None:
    with pytest.raises(ValueError, match=message):
        train("lite", output=tmp_path / "run", **{**folders, **SMALL, **settings})  # type: ignore[arg-type]


def test_lite_is_a_registered_backbone() -> None:
    assert BACKBONES["lite"] is Lite
    assert Lite.weights is None  # nothing to download

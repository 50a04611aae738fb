"""The bundled network and how it is made: channels picked, layers fitted, then trained on what it paints itself."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as PILImage
from safetensors import safe_open
from torch import Tensor

from impasto.backbones import BACKBONES, load_backbone
from impasto.backbones.chain import Chain, Convolution, Layer, Pool
from impasto.backbones.lite import FILE, Lite
from impasto.backbones.narrow_vgg import LAYERS, RELUS, NarrowVGG
from impasto.backbones.vgg import VGG19Caffe
from impasto.features.moments import second_moment
from impasto.images import load_image
from impasto.training import train
from impasto.training.augmentation import spoiled, zoomed
from impasto.training.datasets import Dataset
from impasto.training.distillation import Student, measure, pick_channels, take_over
from impasto.training.recipes.lite import LiteConfig, LiteRecipe

NARROW = (8,) * len(RELUS)
CPU = torch.device("cpu")


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def wide_chain(width: int = 8, seed: int = 0) -> Chain:
    """A teacher: random convolutions under the names of VGG-19, `width` channels each."""
    generator = torch.Generator().manual_seed(seed)
    layers: list[Layer] = []
    below = 3
    for name in LAYERS:
        if name in RELUS:
            weight = torch.randn(width, below, 3, 3, generator=generator) * (2 / (9 * below)) ** 0.5
            layers.append(Convolution(name, weight, torch.randn(width, generator=generator) * 0.1))
            below = width
        else:
            layers.append(Pool(name))
    return Chain(layers, pooling="max", device=CPU, dtype=torch.float32)


def multiply_adds(widths: list[int], counts: tuple[int, ...]) -> float:
    """A pixel, up to the last of `widths`; `counts` convolutions stand in each block."""
    total, below, layer = 0.0, 3, 0
    for block, count in enumerate(counts):
        for _ in range(count):
            total += 9 * below * widths[layer] / 4**block
            below, layer = widths[layer], layer + 1
    return total


# The file that is shipped.


def test_the_bundled_file_is_small_says_where_it_comes_from_and_is_stored_in_fp16() -> None:
    assert FILE.stat().st_size <= 4_000_000
    with safe_open(FILE, "pt") as stored:
        about = stored.metadata()
        assert {stored.get_tensor(key).dtype for key in stored.keys()} == {torch.float16}  # noqa: SIM118
    assert about["license"] == "CC BY 4.0"
    assert "VGG-19" in about["derived_from"]
    assert {"recipe", "settings", "pictures", "steps", "losses", "gate"} <= about.keys()
    channels = json.loads(about["teacher_channels"])
    assert all(len(set(channels[name])) == len(channels[name]) for name in RELUS)


def test_it_needs_at_least_seven_times_fewer_multiply_adds_than_vgg19() -> None:
    lite = Lite(pooling="max", device=CPU, dtype=torch.float32)
    widths = [len(layer.bias) for layer in lite.chain.layers if isinstance(layer, Convolution)]
    wide = [*[64] * 2, *[128] * 2, *[256] * 4, *[512] * 5]
    assert multiply_adds(wide, (2, 2, 4, 4, 1)) > 7 * multiply_adds(widths, (2, 2, 4, 4, 1))


def test_its_layers_bear_vgg19s_names_and_serve_the_same_terms() -> None:
    assert set(Lite.layers) <= set(VGG19Caffe.layers)
    assert (Lite.content_layers, Lite.style_layers) == (VGG19Caffe.content_layers, VGG19Caffe.style_layers)


@pytest.mark.shared
def test_its_losses_between_photographs_and_paintings_are_those_of_vgg19(
    real_weights: Path, shared_images: Path
) -> None:
    photographs, paintings = (
        [load_image(path, size=192) for path in sorted((shared_images / kind).glob("*.jpg"))]
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


# How it is made.


def test_the_channels_that_explain_the_most_are_picked_and_none_twice() -> None:
    factors = torch.randn(3, 500, generator=torch.Generator().manual_seed(1)) * torch.tensor([[5.0], [2.0], [1.0]])
    loud = torch.cat([0.1 * factors[:1], factors, factors[1:2] + 0.01 * factors[2:]])
    moment = loud @ loud.T / 500

    picked = pick_channels(moment, 3)
    assert picked[0] == 1  # the loudest
    assert len(set(picked)) == 3
    inside = moment[picked][:, picked]
    left = moment - moment[:, picked] @ torch.linalg.solve(inside, moment[picked])
    assert left.trace() < 1e-4 * moment.trace()  # three factors: three channels say it all


def test_a_student_as_wide_as_its_teacher_becomes_the_teacher() -> None:
    teacher, student = wide_chain(), Student(NARROW)
    pixels = noise(24, 3, 48, 48) - 0.5

    picked = take_over(student, teacher, pixels, torch.Generator().manual_seed(0))
    wanted, got = teacher(pixels, RELUS), student(pixels)
    for name in RELUS:
        assert sorted(picked[name].tolist()) == list(range(8))
        wrong = (got[name] - wanted[name][:, picked[name]]).square().mean() / wanted[name].var()
        assert wrong < 1e-3, name


def test_the_scales_make_the_gram_losses_as_large_as_the_teachers() -> None:
    teacher, student = wide_chain(16), Student(NARROW)
    pixels = noise(8, 3, 48, 48) * torch.linspace(0.2, 1, 8).view(-1, 1, 1, 1)
    picked = take_over(student, teacher, pixels, torch.Generator().manual_seed(0))
    measure(student, teacher, pixels, picked)

    eye = Lite.of(student.scaled(), device=CPU, dtype=torch.float32)
    mine, theirs = eye.chain(pixels, RELUS), teacher(pixels, RELUS)
    for name in Lite.style_layers:
        a, b = (second_moment(f[name]) for f in (mine, theirs))
        ratio = (a - a.flip(0)).square().mean() / (b - b.flip(0)).square().mean()
        assert 0.6 < ratio < 1.6, name  # the fit itself is not exact


def test_scaling_changes_no_layer_but_by_its_factor() -> None:
    student = Student(NARROW)
    student.scales.copy_(torch.linspace(0.5, 2, len(RELUS)))
    pixels = noise(1, 3, 32, 32) - 0.5
    scaled = Chain(student.scaled(), pooling="max", device=CPU, dtype=torch.float32)(pixels, RELUS)
    for name, scale in zip(RELUS, student.scales, strict=True):
        assert torch.allclose(scaled[name], scale * student(pixels)[name], atol=1e-5)


def test_the_body_that_learns_and_the_chain_that_paints_are_the_same_network() -> None:
    network = NarrowVGG(NARROW)
    pixels = noise(2, 3, 40, 32) - 0.5
    painting = Chain(network.frozen(), pooling="max", device=CPU, dtype=torch.float32)(pixels, RELUS)
    for name, features in network(pixels).items():
        assert torch.allclose(features, painting[name], atol=1e-5)


@pytest.mark.parametrize("change", [zoomed, spoiled])
def test_a_training_picture_changes_at_times_by_its_own_generator_and_stays_in_the_box(
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
    chance = np.random.default_rng(0)
    for kind in ("photos", "paintings"):
        (tmp_path / kind).mkdir()
        for i in range(4):
            blocks = chance.integers(0, 256, (6, 6, 3), dtype=np.uint8)
            PILImage.fromarray(blocks).resize((48, 48)).save(tmp_path / kind / f"{i}.png")
    return {kind: tmp_path / kind for kind in ("photos", "paintings")}


SMALL = {"crop": 32, "widths": NARROW, "fit_pictures": 8, "painted_steps": 4, "painted_share": 0.5, "batch": 2}


@pytest.fixture
def random_teacher(random_weights: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMPASTO_WEIGHTS", str(random_weights("vgg19-caffe")))


@pytest.mark.usefixtures("random_teacher")
def test_the_recipe_trains_and_leaves_weights_that_paint(tmp_path: Path, folders: dict[str, Path]) -> None:
    trained = train("lite", output=tmp_path / "run", steps=3, warmup=1, **folders, **SMALL)  # type: ignore[arg-type]
    assert set(trained.losses) == {"features", "gram", "painted/features", "painted/gram"}
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
    eye = Lite.of(convolutions, device=CPU, dtype=torch.float32)
    assert eye.encode(noise(1, 3, 32, 32), ["relu5_1"])["relu5_1"].shape == (1, 8, 2, 2)


@pytest.mark.usefixtures("random_teacher")
def test_the_loss_of_a_batch_is_the_mean_of_those_of_its_samples(folders: dict[str, Path]) -> None:
    recipe = LiteRecipe(LiteConfig(precision="fp32", **SMALL))  # type: ignore[arg-type]
    data = Dataset(*folders.values(), crop=32, batch=4)
    network = recipe.prepare(data)
    batch = data.batch(1)

    whole = recipe.loss(network, batch, 0)
    single = [recipe.loss(network, {k: v[i : i + 1] for k, v in batch.items()}, 0) for i in range(4)]
    assert sum(terms["painted/gram"].item() > 0 for terms in single) in (1, 2, 3)
    for name, term in whole.items():
        assert term.item() == pytest.approx(sum(terms[name].item() for terms in single) / 4, rel=1e-4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"widths": (16, 32)}, r"^widths: give 13, one a convolution, not 2$"),
        ({"paintings": None}, r"^lite learns from photographs and paintings: give both"),
    ],
)
def test_a_recipe_that_cannot_begin_says_why(
    settings: dict[str, object], message: str, tmp_path: Path, folders: dict[str, Path]
) -> None:
    with pytest.raises(ValueError, match=message):
        train("lite", output=tmp_path / "run", **{**folders, **SMALL, **settings})  # type: ignore[arg-type]


def test_lite_is_a_part_of_the_house() -> None:
    assert BACKBONES["lite"] is Lite
    assert Lite.weights is None  # nothing to fetch

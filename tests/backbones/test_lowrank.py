"""Test the backbone `lowrank`: the bundled file, its distance to VGG-19, the fit, and its use for coarse scales."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from support import noise, wide_chain, write_pictures
from torch import Tensor

from impasto import stylize
from impasto.backbones import BACKBONES, load_backbone
from impasto.backbones.chain import Chain, Convolution
from impasto.backbones.distilled import DistilledBackbone
from impasto.backbones.lite import Lite
from impasto.backbones.lowrank import FILE, LEVELS, LowRank, from_int8, to_int8
from impasto.backbones.narrow_vgg import RELUS, NarrowVGG
from impasto.features.moments import second_moment
from impasto.images import load_image
from impasto.training import train
from impasto.training.distillation import Student, fit_student
from impasto.training.recipes.lowrank import LowRankRecipe, LowRankRecipeConfig

CPU = torch.device("cpu")
WIDTH = 8
WIDTHS = (WIDTH,) * len(RELUS)
FULL_RANKS = ((0, 0), *((WIDTH, WIDTH),) * (len(RELUS) - 1))


# The bundled file.


def test_the_bundled_file_is_small_and_names_its_source_and_training() -> None:
    assert FILE.stat().st_size <= 1_700_000
    with safe_open(FILE, "pt") as stored:
        about = stored.metadata()
    assert about["license"] == "CC BY 4.0"
    assert "VGG-19" in about["derived_from"]
    assert {"recipe", "settings", "pictures", "steps"} <= about.keys()
    channels = json.loads(about["teacher_channels"])
    assert channels["relu5_1"] == list(range(512))


def test_it_is_a_registered_backbone_with_the_layers_of_lite_which_uses_it_for_coarse_scales() -> None:
    assert BACKBONES["lowrank"] is LowRank
    assert Lite.coarse == "lowrank"
    assert LowRank.coarse is None
    assert LowRank.weights is None  # nothing to download


def test_a_coarse_network_has_the_layers_of_the_loss_network() -> None:
    coarse = {name: BACKBONES[name].coarse for name in BACKBONES}
    assert any(coarse.values())
    for name, other in coarse.items():
        if other is not None:
            assert set(BACKBONES[name].layers) <= set(BACKBONES[other].layers)


@pytest.mark.shared
def test_its_features_are_closer_to_those_of_vgg19_than_those_of_lite(real_weights: Path, shared_images: Path) -> None:
    images = [
        load_image(path, size=128)
        for kind in ("content", "style")
        for path in sorted((shared_images / kind).glob("*.jpg"))
    ]

    def grams(name: str, layer: str) -> list[Tensor]:
        backbone = load_backbone(name)
        return [second_moment(backbone.encode(image, [layer])[layer])[0] for image in images]

    def explained(name: str, layer: str) -> float:
        """Return the correlation of all distances between two images with those of VGG-19."""
        pairs = []
        for network in (name, "vgg19-caffe"):
            found = torch.stack(grams(network, layer)).flatten(1)
            pairs.append(torch.pdist(found))
        return float(torch.corrcoef(torch.stack(pairs))[0, 1])

    for layer in Lite.style_layers[1:]:
        assert explained("lowrank", layer) > max(0.9, explained("lite", layer)), layer


# Storage in 8 bits.


def test_integers_of_8_bits_are_near_the_weights_of_each_channel() -> None:
    weight = noise(6, 4, 3, 3) - 0.5
    weight *= torch.logspace(-4, 2, 6)[:, None, None, None]
    integers, scale = to_int8(weight)
    assert integers.dtype is torch.int8
    assert integers.abs().amax((1, 2, 3)).tolist() == [LEVELS] * 6
    error = (from_int8(integers, scale) - weight).abs().amax((1, 2, 3))
    assert (error <= 0.51 * weight.abs().amax((1, 2, 3)) / LEVELS).all()


def test_a_channel_of_zeros_stays_zero() -> None:
    assert from_int8(*to_int8(torch.zeros(2, 3, 1, 1))).count_nonzero() == 0


# The fit.


def test_a_student_of_full_rank_becomes_the_teacher() -> None:
    teacher, student = wide_chain(WIDTH), Student(WIDTHS, FULL_RANKS)
    pixels = noise(24, 3, 48, 48) - 0.5
    channels = fit_student(student, teacher, pixels, torch.Generator().manual_seed(0))
    expected, actual = teacher(pixels, RELUS), student(pixels)
    for name in RELUS:
        if name != RELUS[0]:
            assert channels[name].tolist() == list(range(WIDTH))
        error = (actual[name] - expected[name][:, channels[name]]).square().mean() / expected[name].var()
        assert error < 1e-3, name


def test_the_fit_of_a_low_rank_is_the_best_one_of_this_rank() -> None:
    """For one layer on exact features: another expansion with the same kernel cannot be closer."""
    teacher = wide_chain()
    ranks = [(0, 0)] * len(RELUS)
    ranks[1] = (0, 3)
    student = Student(WIDTHS, ranks)
    pixels = noise(24, 3, 48, 48) - 0.5
    channels = fit_student(student, teacher, pixels, torch.Generator().manual_seed(0))
    below = teacher(pixels, [RELUS[0]])[RELUS[0]][:, channels[RELUS[0]]]
    target = teacher.layers[1]
    assert isinstance(target, Convolution)
    order = channels[RELUS[0]]
    wanted = torch.nn.functional.conv2d(below, target.weight[:, order], target.bias, padding=1)
    wanted = wanted.transpose(0, 1).flatten(1)  # (C, N)
    with torch.no_grad():
        fitted = student.convolution(RELUS[1])(below).transpose(0, 1).flatten(1)
    centered = wanted - wanted.mean(1, keepdim=True)
    best = torch.linalg.svdvals(centered.double())[3:].square().sum() / wanted.numel()
    assert (fitted - wanted).square().mean() < 1.05 * best + 1e-4 * wanted.var()


@pytest.mark.parametrize(
    ("ranks", "widths", "message"),
    [
        ({1: (0, 4)}, {1: 6}, r"^relu1_2 is of low rank and needs all 8 channels of the teacher$"),
        ({2: (4, 4)}, {1: 6}, r"^relu2_1 has an input of low rank and needs all channels of the layer below$"),
    ],
)
def test_a_low_rank_that_lacks_channels_of_the_teacher_is_an_error(
    ranks: dict[int, tuple[int, int]], widths: dict[int, int], message: str
) -> None:
    student = Student(
        [widths.get(i, WIDTH) for i in range(len(RELUS))], [ranks.get(i, (0, 0)) for i in range(len(RELUS))]
    )
    with pytest.raises(ValueError, match=message):
        fit_student(student, wide_chain(), noise(4, 3, 32, 32), torch.Generator())


def test_the_trainable_network_and_the_chain_give_the_same_features() -> None:
    network = NarrowVGG(WIDTHS, [(0, 0), (0, 4), *((3, 4),) * (len(RELUS) - 2)])
    pixels = noise(2, 3, 40, 32) - 0.5
    chain = Chain(network.frozen(), pooling="max", device=CPU, dtype=torch.float32)(pixels, RELUS)
    for name, features in network(pixels).items():
        assert torch.allclose(features, chain[name], atol=1e-5)


# The recipe.

SMALL = {
    "crop": 32,
    "widths": WIDTHS,
    "ranks_in": (0, 0, *(4,) * (len(RELUS) - 2)),
    "ranks_out": (0, *(6,) * (len(RELUS) - 1)),
    "fit_pictures": 8,
    "stylized_steps": 4,
    "batch": 2,
}


def test_the_recipe_trains_and_exports_weights_of_the_backbone(
    tmp_path: Path, random_weights: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMPASTO_WEIGHTS", str(random_weights("vgg19-caffe")))
    monkeypatch.setattr("impasto.training.recipes.distilled.SHEET_STEPS", 3)
    folders = {kind: write_pictures(tmp_path / kind) for kind in ("photos", "paintings")}
    settings = {**SMALL, "widths": (8, 12, *(128,) * 2, *(256,) * 4, *(512,) * 5)}
    settings["ranks_in"], settings["ranks_out"] = (0, 0, 0, *(4,) * 10), (0, 0, *(6,) * 11)
    trained = train("lowrank", output=tmp_path / "run", steps=2, warmup=1, **folders, **settings)  # type: ignore[arg-type]
    assert trained.output == tmp_path / "run" / "lowrank.safetensors"
    monkeypatch.setattr(LowRank, "bundled", trained.output)
    backbone = load_backbone("lowrank")
    features = backbone.encode(noise(1, 3, 32, 32), ["relu1_2", "relu5_1"])
    assert (features["relu1_2"].shape, features["relu5_1"].shape) == ((1, 12, 32, 32), (1, 512, 2, 2))
    assert features["relu5_1"].isfinite().all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"ranks_out": (1,)}, r"^ranks_out: give 13, one per convolution, not 1$"),
        ({"ranks_out": (0,) * 13}, r"^ranks_in: relu2_1 has 4, but no rank of its output; give one in ranks_out$"),
    ],
)
def test_invalid_ranks_are_an_error(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LowRankRecipe(LowRankRecipeConfig(**{**SMALL, **settings}))  # type: ignore[arg-type]


# Coarse scales.


@pytest.mark.parametrize(
    ("method", "settings", "expected"),
    [
        ("gatys", {"size": 512, "steps": 3}, {"Lite": {512}, "LowRank": {128, 256}}),
        ("gatys", {"size": 256, "steps": 2}, {"Lite": {256}, "LowRank": {128}}),
        ("gatys", {"size": 256, "loss_scales": 1, "steps": 1}, {"Lite": {256}, "LowRank": set()}),
        ("sliced", {"size": 512, "steps": 3}, {"Lite": {256, 512}, "LowRank": {128}}),  # slower for many channels
        ("bures", {"size": 256, "steps": 2}, {"Lite": {128, 256}, "LowRank": set()}),  # slowest
    ],
)
def test_the_coarse_scales_of_lite_are_computed_by_it_unless_the_loss_is_slow_for_many_channels(
    method: str, settings: dict[str, int], expected: dict[str, set[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: dict[str, set[int]] = {"Lite": set(), "LowRank": set()}
    original = DistilledBackbone._features

    def features(self: DistilledBackbone, image: Tensor, layers: list[str]) -> dict[str, Tensor]:
        sizes[type(self).__name__].add(max(image.shape[-2:]))
        return original(self, image, layers)

    monkeypatch.setattr(DistilledBackbone, "_features", features)
    stylize("chelsea", "mosaic", method=method, **settings)  # type: ignore[arg-type]
    assert sizes == expected

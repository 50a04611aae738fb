"""Metrics at a size: the values of reduced images, the sizes that are computed by default, and large forms."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
import torch.nn.functional as F
from support import LoadRandom

from impasto.backbones import Backbone
from impasto.images import fit, load_image, quantize, resize
from impasto.metrics import METRICS
from impasto.metrics.base import split_size
from impasto.metrics.evaluate import evaluate, evaluate_with_baselines
from impasto.metrics.reference import load_reference, with_sizes
from impasto.samples import resolve
from impasto.types import Features, Image

ERRORS = {
    "content@": "metric 'content@': the size must be a positive integer, not ''; give for example @256",
    "style_share@abc": "metric 'style_share@abc': the size must be a positive integer, not 'abc'",
    "style_share@0": "must be a positive integer, not '0'",
    "style_share@-64": "must be a positive integer, not '-64'",
    "style_share@12.5": "must be a positive integer, not '12.5'",
    "ssim@64@32": "must be a positive integer, not '64@32'",
    "lpips@64": "unknown metric 'lpips'; choose from cfsd, ",
    "style_share@1000": "metric 'style_share@1000': the output is only 96x76 pixels; give a smaller size",
    "content@36": "metric 'content@36': at this size the output is 36x29 pixels; give a size with at least 32 on each",
}


@pytest.fixture(scope="module")
def tiny(load_random: LoadRandom) -> Backbone:
    return load_random("tiny")


@pytest.fixture(scope="module")
def content() -> Image:
    return load_image(resolve("woodcut"), size=96)  # (1, 3, 76, 96)


@pytest.fixture(scope="module")
def style() -> Image:
    return load_image(resolve("mosaic"), size=160)  # (1, 3, 128, 160)


def patches_shuffled(image: Image, side: int) -> Image:
    """Return an image whose square patches change places: the same texture without forms larger than a patch."""
    patches = F.unfold(image, side, stride=side)  # (1, 3 * side * side, N)
    order = torch.randperm(patches.shape[-1], generator=torch.Generator().manual_seed(0))
    return F.fold(patches[..., order], image.shape[-2:], side, stride=side)


def test_a_metric_at_a_size_is_the_metric_of_the_reduced_saved_image(
    tiny: Backbone, content: Image, style: Image
) -> None:
    output = content.flip(3) ** 1.1  # not rounded to 8 bits
    names = [f"{name}@48" for name in METRICS]
    reduced = resize(quantize(output), fit((76, 96), 48))
    expected = evaluate(content, style, reduced, backbone=tiny)
    assert evaluate(content, style, output, backbone=tiny, metrics=names) == {
        f"{name}@48": value for name, value in expected.items()
    }


def test_the_values_at_full_size_do_not_depend_on_metrics_at_other_sizes(
    tiny: Backbone, content: Image, style: Image
) -> None:
    output = content.flip(3)
    plain = evaluate(content, style, output, backbone=tiny)
    names = ["content@64", *METRICS, "ssim@64", "gram@48"]
    values = evaluate(content, style, output, backbone=tiny, metrics=names)
    assert list(values) == names
    assert {name: values[name] for name in METRICS} == plain
    assert evaluate(content, style, output, backbone=tiny, metrics=["content@96"]) == {"content@96": plain["content"]}


def test_the_content_image_is_perfect_in_structure_and_keeps_all_style_loss_at_every_size(
    tiny: Backbone, style: Image
) -> None:
    names = ["content", "content@64", "ssim@48", "style_share", "style_share@64", "style_share@48"]
    rows = evaluate_with_baselines("woodcut", style, torch.rand(1, 3, 76, 96), backbone=tiny, metrics=names)
    assert list(rows["identity"].values()) == [0, 0, 1, 1, 1, 1]
    assert rows["style_copy"]["style_share@48"] < 0.1


def test_content_and_style_share_are_computed_at_every_default_size_below_the_output(
    tiny: Backbone, content: Image, style: Image
) -> None:
    assert with_sizes(["style_share", "ssim"], 1024) == (
        *("style_share", "style_share@512", "style_share@256", "style_share@128", "ssim"),
    )
    assert with_sizes(["content"], 128) == ("content",)
    larger = resize(content, (104, 130))
    values = evaluate(larger, style, larger, backbone=tiny)
    sized = [name for name in values if split_size(name)[1]]
    assert sized == ["content@128", "style_share@128"]
    assert list(values) == sorted(values)


@pytest.mark.parametrize(
    ("shape", "style_shape"), [((30, 160), (96, 128)), ((96, 160), (30, 160))], ids=["narrow output", "narrow style"]
)
def test_a_default_size_with_a_side_below_32_pixels_is_left_out(
    tiny: Backbone, content: Image, style: Image, shape: tuple[int, int], style_shape: tuple[int, int]
) -> None:
    images = resize(content, shape), resize(style, style_shape), resize(content, shape)
    assert list(evaluate(*images, backbone=tiny)) == sorted(METRICS)
    with pytest.raises(ValueError, match=r"^metric 'ssim@128': at this size the (output|style) is 128x24 pixels; .*$"):
        evaluate(*images, backbone=tiny, metrics=["ssim@128"])


def test_a_default_size_that_is_too_small_for_the_network_is_left_out(
    tiny: Backbone, content: Image, style: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode = type(tiny).encode

    def demanding(network: Backbone, image: Image, layers: Sequence[str]) -> Features:
        if max(image.shape[-2:]) < 160:
            raise ValueError("a picture of this size is too small for layer relu5_1")
        return encode(network, image, layers)

    monkeypatch.setattr(type(tiny), "encode", demanding)
    larger = resize(content, (128, 160))
    assert list(evaluate(larger, style, larger, backbone=tiny)) == sorted(METRICS)
    with pytest.raises(ValueError, match="too small for layer relu5_1"):
        evaluate(larger, style, larger, backbone=tiny, metrics=["gram@128"])


@pytest.mark.parametrize(("name", "message"), ERRORS.items(), ids=ERRORS)
def test_a_wrong_size_is_an_error_of_one_line(
    tiny: Backbone, content: Image, style: Image, name: str, message: str
) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]+$") as error:
        evaluate(content, style, content, backbone=tiny, metrics=["ssim", name])
    assert message in str(error.value)


def test_each_image_is_encoded_once_at_each_size_and_to_the_layers_of_this_size(
    tiny: Backbone, content: Image, style: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[int, tuple[str, ...]]] = []
    encode = type(tiny).encode

    def counted(network: Backbone, image: Image, layers: Sequence[str]) -> Features:
        calls.append((max(image.shape[-2:]), tuple(layers)))
        return encode(network, image, layers)

    monkeypatch.setattr(type(tiny), "encode", counted)
    names = ["cfsd@64", "content", "gatys_content@64", "ssim@48"]
    reference = load_reference(content, style, (76, 96), backbone=tiny, metrics=names)
    reference.evaluate(content)
    reference.baselines()
    layers = {96: ("relu4_1", "relu5_1"), 64: ("relu3_1", "relu4_2"), 48: ()}
    assert sorted(calls) == sorted(4 * list(layers.items()))  # content, style, output and style copy


def test_a_picture_without_large_forms_grades_badly_only_at_small_sizes() -> None:
    content, style = (resize(load_image(resolve(name)), (256, 256)) for name in ("woodcut", "mosaic"))
    names = ["style_share", "style_share@128", "style_share@64"]
    reference = load_reference(content, style, (256, 256), backbone="lite", metrics=names)
    texture = list(reference.evaluate(patches_shuffled(style, 64)).values())
    assert texture[0] < 0.1
    assert texture[1] > 5 * texture[0]
    assert texture[2] > 0.5
    forms = list(reference.evaluate(resize(resize(style, (128, 128)), (256, 256))).values())  # without fine texture
    assert forms[0] > 0.1 > 10 * forms[2]

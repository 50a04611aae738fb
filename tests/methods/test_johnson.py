"""Test the networks of one style: architecture, weight files, choice by style image, and training."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as PILImage
from safetensors import safe_open
from safetensors.torch import save_file
from support import noise, write_pictures
from torch import Tensor

import impasto
from impasto.cli import main
from impasto.images import load_image, quantize, resize
from impasto.images.fingerprint import (
    SAME_IMAGE,
    fingerprint,
    fingerprint_distance,
    fingerprint_json,
    parse_fingerprint,
)
from impasto.methods import METHODS
from impasto.methods.tiles import collect_means, replay_means, split_into_tiles
from impasto.networks.johnson import Johnson
from impasto.networks.statistics import SpatialMean
from impasto.networks.weights_io import read_metadata, save_weights
from impasto.samples import STYLES, resolve
from impasto.training import train

BUNDLED = ("brushstrokes", "mosaic")
SMALL = {"device": "cpu", "precision": "fp32", "size": 64}


def random_network() -> Johnson:
    """Return a network of random weights with channels that differ in mean and standard deviation."""
    torch.manual_seed(0)
    network = Johnson().eval().requires_grad_(False)
    for name, weight in network.named_parameters():
        if name.endswith(("mean", "std")):
            weight += 0.5 * torch.rand_like(weight)
    return network


def stylize(style: object, content: object = "woodcut", **settings: object) -> Tensor:
    return impasto.stylize(content, style, method="johnson", **{**SMALL, **settings}).image  # type: ignore[arg-type]


def spectrum(image: Tensor) -> Tensor:
    """Return the power `(H, W)` of an image without its mean, summed over the channels."""
    return torch.fft.fft2(image[0] - image[0].mean((1, 2), keepdim=True)).abs().square().sum(0)


# Receptive field and tiles


def test_the_receptive_field_is_within_the_halo_for_fixed_means() -> None:
    network, image = random_network(), noise(1, 3, 200, 200)
    means: list[Tensor] = []

    def record(features: Tensor, mean: SpatialMean) -> Tensor:
        means.append(mean(features, None))
        return means[-1]

    before = network(image, (), record)
    changed = image.clone()
    changed[..., 100, 100] = 1 - changed[..., 100, 100]
    after = network(changed, (), replay_means(means))
    seen = (after - before).abs().amax(1)[0].nonzero()
    farthest = (seen - 100).abs().max().item()
    assert 40 < farthest <= Johnson.halo


@pytest.mark.parametrize(("shape", "side"), [((68, 132), 64), ((132, 260), 128)])
def test_tiles_give_the_output_of_a_single_pass(shape: tuple[int, int], side: int) -> None:
    network, image = random_network(), noise(1, 3, *shape)
    tiles = split_into_tiles(shape, side, network.halo)
    means = collect_means(lambda tile, measure: network(tile.crop(image), (), measure), tiles)
    tiled = torch.empty_like(image)
    for tile in tiles:
        top, left, bottom, right = tile.core
        output = network(tile.crop(image), (), replay_means(means))
        tiled[..., top:bottom, left:right] = tile.crop_core(output)
    assert len(tiles) > 4
    assert (tiled - network(image)).abs().max() < 1e-4


def test_the_setting_tile_changes_the_output_by_rounding_errors_only() -> None:
    single_pass, tiled = (stylize("mosaic", size=96, tile=side) for side in (0, 64))
    assert not torch.equal(single_pass, tiled)  # equal outputs would mean that it was not tiled
    assert (single_pass - tiled).abs().max() < 1e-4


# The files, and the method


@pytest.mark.parametrize("style", BUNDLED)
def test_each_bundled_style_gives_outputs_in_its_own_colors(style: str) -> None:
    means = {name: stylize(name, size=128).mean((2, 3)) for name in BUNDLED}
    target = load_image(resolve(style)).mean((2, 3))
    (other,) = set(BUNDLED) - {style}
    assert (means[style] - target).norm() < (means[other] - target).norm()


@pytest.mark.parametrize("style", BUNDLED)
def test_a_uniform_gray_image_stays_uniform(style: str) -> None:
    """Transposed convolutions would leave a checkerboard, because their output positions have different inputs."""
    output = stylize(style, torch.full((3, 96, 128), 0.5), size=128)
    assert (output - output.mean((2, 3), keepdim=True)).abs().max() < 1e-4


@pytest.mark.parametrize("style", BUNDLED)
def test_the_texture_has_no_peak_at_the_highest_frequency(style: str) -> None:
    power = spectrum(stylize(style, 0.5 + 0.02 * (noise(3, 128, 128) - 0.5), size=128))
    assert power[::64, ::64].sum() < 0.001 * power.sum()


def test_the_style_image_is_recognized_at_another_size_and_in_another_file(tmp_path: Path) -> None:
    file = tmp_path / "renamed.jpg"
    PILImage.open(resolve("mosaic")).resize((301, 240)).save(file, quality=60)
    assert torch.equal(stylize(file), stylize("mosaic"))


def test_the_fingerprints_of_the_sample_styles_are_distinct() -> None:
    seen = {name: fingerprint(load_image(resolve(name))) for name in STYLES}
    for gray in (False, True):
        apart_by = [
            fingerprint_distance(seen[one], seen[other], gray=gray)
            for one in STYLES
            for other in STYLES
            if one != other
        ]
        assert min(apart_by) > 2 * SAME_IMAGE


def test_a_fingerprint_survives_writing_and_reading() -> None:
    image = noise(1, 3, 40, 60)
    assert (parse_fingerprint(fingerprint_json(image)) - fingerprint(image)).abs().max() <= 5.1e-4


def test_a_style_image_without_a_network_is_an_error_that_lists_the_styles() -> None:
    with pytest.raises(ValueError, match=r"^style: johnson has no network for .*; it has: brushstrokes, mosaic;"):
        stylize("pointillism")


def test_on_the_command_line_it_is_one_line_and_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["stylize", str(resolve("woodcut")), str(resolve("woodcut")), "--method", "johnson", "--size", "64"]
    out = tmp_path / "out.png"
    assert main([*words, "-o", str(out)]) == 2
    message = capsys.readouterr().err
    assert "brushstrokes, mosaic" in message
    assert len(message.strip().splitlines()) == 1
    assert not out.exists()


def test_color_moments_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"^color: johnson"):
        stylize("mosaic", color="moments")


@pytest.mark.parametrize("color", ["luminance", "histogram"])
def test_the_color_settings_keep_the_colors_of_the_content_image(color: str) -> None:
    content = load_image(resolve("woodcut"), size=64)
    kept, own = (stylize("mosaic", color=choice) for choice in (color, "style"))
    mean = content.mean((2, 3))
    assert (kept.mean((2, 3)) - mean).norm() < (own.mean((2, 3)) - mean).norm()


def test_own_weights_are_found_by_path_or_in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    about = {
        "style": "pointillism",
        "width": "light",
        "thumbnail": fingerprint_json(load_image(resolve("pointillism"))),
    }
    file = save_weights(random_network(), tmp_path / "johnson-pointillism.safetensors", about)
    by_path = stylize("pointillism", weights=str(file))
    monkeypatch.setenv("IMPASTO_WEIGHTS", str(tmp_path))
    assert torch.equal(stylize("pointillism"), by_path)
    with pytest.raises(ValueError, match=r"it has: pointillism;"):
        stylize("mosaic", weights=str(file))


@pytest.mark.parametrize("fault", ["missing", "corrupt", "another network", "no thumbnail", "another width"])
def test_an_invalid_weights_file_gives_an_error_of_one_line_with_its_name(fault: str, tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    bundled = METHODS["johnson"].folder / "johnson-mosaic.safetensors"  # type: ignore[attr-defined]
    if fault == "corrupt":
        file.write_bytes(bundled.read_bytes()[:5000])
    elif fault == "another network":
        save_file({"weight": torch.zeros(3)}, file, metadata=read_metadata(bundled))
    elif fault == "no thumbnail":
        save_weights(random_network(), file, {"style": "mosaic", "width": "light"})
    elif fault == "another width":
        save_weights(random_network(), file, {**read_metadata(bundled), "width": "full"})
    with pytest.raises(ValueError, match=r"^weights: .*weights\.safetensors") as caught:
        stylize("mosaic", weights=str(file))
    assert "\n" not in str(caught.value)


# Strength, style scale, several styles, regions


def test_strength_interpolates_from_the_content_image_to_a_second_pass() -> None:
    content = resize(load_image(resolve("woodcut")), (51, 64))
    zero, mild, default, strong = (stylize("mosaic", strength=strength) for strength in (0, 20, 50, 100))
    assert torch.allclose(zero, content, atol=1e-5)
    assert torch.equal(default, stylize("mosaic"))
    assert torch.allclose(mild, torch.lerp(content, default, 0.4), atol=1e-5)
    twice = stylize("mosaic", quantize(default)[0])
    assert (strong - torch.lerp(default, twice, 0.5)).abs().max() < 0.02


def test_the_outputs_of_two_styles_are_blended_by_their_weights() -> None:
    one, other = (stylize(style) for style in BUNDLED)
    both = stylize(list(BUNDLED), style_mix=[0.25, 0.75])
    assert torch.allclose(both, 0.25 * one + 0.75 * other, atol=1e-5)


def test_each_region_is_stylized_with_its_own_style(tmp_path: Path) -> None:
    left = np.zeros((51, 64), np.uint8)
    left[:, :32] = 255
    files = [tmp_path / name for name in ("left.png", "right.png")]
    PILImage.fromarray(left).save(files[0])
    PILImage.fromarray(255 - left).save(files[1])
    plain = stylize("mosaic")
    stylized = stylize(list(BUNDLED), mask=[str(file) for file in files])
    target = load_image(resolve("mosaic")).mean((2, 3))
    right, left = (stylized[..., columns].mean((2, 3)) for columns in (slice(40, 64), slice(0, 24)))
    assert plain.shape == stylized.shape
    assert (right - target).norm() < (left - target).norm()


def test_style_scale_one_half_is_the_output_at_twice_the_size_reduced() -> None:
    content = resize(load_image(resolve("woodcut")), (51, 64))
    large = stylize("mosaic", resize(content, (102, 128)), size=128)
    assert (stylize("mosaic", style_scale=0.5) - resize(large, (51, 64))).abs().max() < 1e-4


# Training


def test_the_recipe_trains_resumes_and_exports_weights_for_the_method(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("impasto.training.recipes.johnson.SHEET", 64)  # three times faster
    photos = write_pictures(tmp_path / "photos")
    settings = {"style": "inkwash", "style_size": 64, "steps": 3, "batch": 2, "crop": 32, "device": "cpu"}
    settings |= {"precision": "fp32", "backbone": "tiny"}
    straight = train("johnson", output=tmp_path / "straight", photos=photos, **settings)
    first = train("johnson", output=tmp_path / "sessions", photos=photos, minutes=0, **settings)
    assert (first.steps, first.stopped) == (1, "minutes")
    second = train("johnson", output=tmp_path / "sessions", photos=photos, **settings)
    assert second.steps == 3
    assert straight.output is not None
    assert second.output is not None
    assert second.output.name == "johnson-inkwash.safetensors"
    with safe_open(straight.output, framework="pt") as one, safe_open(second.output, framework="pt") as other:
        assert all(torch.equal(one.get_tensor(name), other.get_tensor(name)) for name in one.keys())  # noqa: SIM118
    assert json.loads(read_metadata(second.output)["settings"])["style"] == "inkwash"
    assert stylize("inkwash", weights=str(second.output)).shape == (1, 3, 51, 64)


def test_the_recipe_rejects_paintings_and_a_missing_style_image(tmp_path: Path) -> None:
    photos = write_pictures(tmp_path / "photos")
    with pytest.raises(ValueError, match=r"^johnson is trained on photographs and one style"):
        train("johnson", output=tmp_path / "out", photos=photos, paintings=photos, steps=1, crop=32)
    with pytest.raises(ValueError, match=r"^style: 'nowhere\.png' is not a file"):
        train("johnson", output=tmp_path / "out", photos=photos, style="nowhere.png", steps=1, crop=32)


@pytest.mark.parametrize("style", BUNDLED)
def test_a_bundled_network_records_its_training_and_is_small(style: str) -> None:
    file = METHODS["johnson"].folder / f"johnson-{style}.safetensors"  # type: ignore[attr-defined]
    facts = read_metadata(file)
    assert (facts["recipe"], facts["style"], facts["license"]) == ("johnson", style, "MIT")
    assert {"settings", "pictures", "steps", "losses"} <= set(facts)
    assert file.stat().st_size < 1_000_000

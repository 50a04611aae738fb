"""One network, one style: the network, its files, the method that picks among them, and how it is trained."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image as PILImage
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

import impasto
from impasto.images import load_image, quantize, resize
from impasto.images.fingerprint import (
    SAME_IMAGE,
    fingerprint,
    fingerprint_distance,
    fingerprint_json,
    parse_fingerprint,
)
from impasto.methods import METHODS
from impasto.methods.tiles import replayed, statistics, tiles
from impasto.networks.johnson import Johnson
from impasto.networks.padding import PaddedConvolution, pad_replicate
from impasto.networks.statistics import SpatialMean
from impasto.networks.weights_io import read_metadata, save_weights
from impasto.samples import STYLES, resolve
from impasto.training import train

BUNDLED = ("brushstrokes", "mosaic")
SMALL = {"device": "cpu", "precision": "fp32", "size": 64}


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def random_network() -> Johnson:
    """Of random weights, whose channels differ in mean and deviation."""
    torch.manual_seed(0)
    network = Johnson().eval().requires_grad_(False)
    for name, weight in network.named_parameters():
        if name.endswith(("mean", "std")):
            weight += 0.5 * torch.rand_like(weight)
    return network


def paint(style: object, content: object = "woodcut", **settings: object) -> Tensor:
    return impasto.stylize(content, style, method="johnson", **{**SMALL, **settings}).image  # type: ignore[arg-type]


def spectrum(picture: Tensor) -> Tensor:
    """Power at every frequency `(H, W)` of a picture without its mean, summed over the channels."""
    return torch.fft.fft2(picture[0] - picture[0].mean((1, 2), keepdim=True)).abs().square().sum(0)


# The network


def test_the_light_network_is_half_as_wide_and_as_large_as_published() -> None:
    light, full = (sum(weight.numel() for weight in Johnson(width).parameters()) for width in ("light", "full"))
    assert 420_000 < light < 430_000
    assert 1_670_000 < full < 1_690_000


def test_a_wide_border_repeats_the_edge_and_its_gradient_is_that_of_padding() -> None:
    x = noise(2, 3, 5, 6).requires_grad_()
    layer = PaddedConvolution(3, 2, kernel_size=9)
    wide = F.pad(x, (4, 4, 4, 4), mode="replicate")
    assert torch.equal(pad_replicate(x, 4), wide)
    plain = F.conv2d(wide, layer.weight, layer.bias)
    ours, theirs = (torch.autograd.grad(y.square().sum(), x)[0] for y in (layer(x), plain))
    assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_what_lies_farther_than_its_reach_shows_in_no_pixel_when_the_means_are_held() -> None:
    network, picture = random_network(), noise(1, 3, 200, 200)
    known: list[Tensor] = []

    def kept(features: Tensor, mean: SpatialMean) -> Tensor:
        known.append(mean(features, None))
        return known[-1]

    before = network(picture, (), kept)
    changed = picture.clone()
    changed[..., 100, 100] = 1 - changed[..., 100, 100]
    after = network(changed, (), replayed(known))
    seen = (after - before).abs().amax(1)[0].nonzero()
    farthest = (seen - 100).abs().max().item()
    assert 40 < farthest <= Johnson.halo


@pytest.mark.parametrize("side", [64, 128])
def test_tiles_give_what_the_whole_picture_gives(side: int) -> None:
    network, picture = random_network(), noise(1, 3, 204, 268)
    parts = tiles((204, 268), side, network.halo)
    known = statistics(lambda tile, measure: network(tile.of(picture), (), measure), parts)
    tiled = torch.empty_like(picture)
    for tile in parts:
        top, left, bottom, right = tile.core
        tiled[..., top:bottom, left:right] = tile.inner(network(tile.of(picture), (), replayed(known)))
    assert len(parts) > 4
    assert (tiled - network(picture)).abs().max() < 1e-4


def test_a_painting_in_tiles_is_the_painting_at_once() -> None:
    whole, tiled = (paint("mosaic", size=180, tile=side) for side in (0, 64))
    assert not torch.equal(whole, tiled)  # else it was not tiled
    assert (whole - tiled).abs().max() < 1e-4


# The files, and the method


@pytest.mark.parametrize("style", BUNDLED)
def test_it_paints_both_bundled_styles_each_in_its_own_colors(style: str) -> None:
    painted = {name: paint(name, size=128).mean((2, 3)) for name in BUNDLED}
    wanted = load_image(resolve(style)).mean((2, 3))
    (other,) = set(BUNDLED) - {style}
    assert (painted[style] - wanted).norm() < (painted[other] - wanted).norm()


@pytest.mark.parametrize("style", BUNDLED)
def test_a_flat_gray_picture_is_painted_flat(style: str) -> None:
    """Transposed convolutions would leave a grid on it: every place has other neighbors."""
    painted = paint(style, torch.full((3, 96, 128), 0.5), size=128)
    assert (painted - painted.mean((2, 3), keepdim=True)).abs().max() < 1e-4


@pytest.mark.parametrize("style", BUNDLED)
def test_the_texture_has_no_peak_at_the_highest_frequency(style: str) -> None:
    power = spectrum(paint(style, 0.5 + 0.02 * (noise(3, 128, 128) - 0.5), size=128))
    assert power[::64, ::64].sum() < 0.001 * power.sum()


def test_the_style_is_known_again_at_another_size_and_from_another_file(tmp_path: Path) -> None:
    file = tmp_path / "renamed.jpg"
    PILImage.open(resolve("mosaic")).resize((301, 240)).save(file, quality=60)
    assert torch.equal(paint(file), paint("mosaic"))


def test_two_sample_styles_are_never_taken_for_each_other() -> None:
    seen = {name: fingerprint(load_image(resolve(name))) for name in STYLES}
    for gray in (False, True):
        apart_by = [
            fingerprint_distance(seen[one], seen[other], gray=gray)
            for one in STYLES
            for other in STYLES
            if one != other
        ]
        assert min(apart_by) > 2 * SAME_IMAGE


def test_a_thumbnail_is_read_as_it_was_written() -> None:
    picture = noise(1, 3, 40, 60)
    assert (parse_fingerprint(fingerprint_json(picture)) - fingerprint(picture)).abs().max() <= 5.1e-4


def test_another_style_is_refused_with_a_list_of_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"^style: johnson has no network for .*; it has: brushstrokes, mosaic;"):
        paint("pointillism")


def test_the_command_line_refuses_it_with_status_2_in_one_line(tmp_path: Path) -> None:
    words = ["stylize", str(resolve("woodcut")), str(resolve("woodcut")), "--method", "johnson", "--size", "64"]
    out = tmp_path / "out.png"
    run = subprocess.run(
        [sys.executable, "-m", "impasto", *words, "-o", str(out)], capture_output=True, text=True, check=False
    )
    assert run.returncode == 2
    assert "brushstrokes, mosaic" in run.stderr
    assert len(run.stderr.strip().splitlines()) == 1
    assert not out.exists()


def test_colors_of_the_style_that_it_cannot_learn_anew_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^color: johnson"):
        paint("mosaic", color="moments")


@pytest.mark.parametrize("color", ["luminance", "histogram"])
def test_the_photograph_may_keep_its_colors(color: str) -> None:
    content = load_image(resolve("woodcut"), size=64)
    kept, own = (paint("mosaic", color=choice) for choice in (color, "style"))
    mean = content.mean((2, 3))
    assert (kept.mean((2, 3)) - mean).norm() < (own.mean((2, 3)) - mean).norm()


def test_a_file_of_ones_own_is_taken_by_name_or_from_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    about = {
        "style": "pointillism",
        "width": "light",
        "thumbnail": fingerprint_json(load_image(resolve("pointillism"))),
    }
    file = save_weights(random_network(), tmp_path / "johnson-pointillism.safetensors", about)
    named = paint("pointillism", weights=str(file))
    monkeypatch.setenv("IMPASTO_WEIGHTS", str(tmp_path))
    assert torch.equal(paint("pointillism"), named)
    with pytest.raises(ValueError, match=r"it has: pointillism;"):
        paint("mosaic", weights=str(file))


@pytest.mark.parametrize("fault", ["missing", "damaged", "another network", "no thumbnail", "another width"])
def test_a_wrong_file_is_named_in_one_line(fault: str, tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    bundled = METHODS["johnson"].folder / "johnson-mosaic.safetensors"  # type: ignore[attr-defined]
    if fault == "damaged":
        file.write_bytes(bundled.read_bytes()[:5000])
    elif fault == "another network":
        save_file({"weight": torch.zeros(3)}, file, metadata=read_metadata(bundled))
    elif fault == "no thumbnail":
        save_weights(random_network(), file, {"style": "mosaic", "width": "light"})
    elif fault == "another width":
        save_weights(random_network(), file, {**read_metadata(bundled), "width": "full"})
    with pytest.raises(ValueError, match=r"^weights: .*weights\.safetensors") as caught:
        paint("mosaic", weights=str(file))
    assert "\n" not in str(caught.value)


# Strength, strokes, several styles, regions


def test_strength_0_is_the_photograph_and_100_goes_past_the_painting() -> None:
    content = resize(load_image(resolve("woodcut")), (51, 64))
    nothing, mild, plain, strong = (paint("mosaic", strength=strength) for strength in (0, 20, 50, 100))
    assert torch.allclose(nothing, content, atol=1e-5)
    assert torch.equal(plain, paint("mosaic"))
    assert torch.allclose(mild, torch.lerp(content, plain, 0.4), atol=1e-5)
    again = paint("mosaic", quantize(plain)[0])
    assert (strong - torch.lerp(plain, again, 0.5)).abs().max() < 0.02


def test_two_styles_are_painted_each_and_blended() -> None:
    one, other = (paint(style) for style in BUNDLED)
    both = paint(list(BUNDLED), style_mix=[0.25, 0.75])
    assert torch.allclose(both, 0.25 * one + 0.75 * other, atol=1e-5)


def test_regions_are_painted_each_after_its_own_style(tmp_path: Path) -> None:
    left = np.zeros((51, 64), np.uint8)
    left[:, :32] = 255
    files = [tmp_path / name for name in ("left.png", "right.png")]
    PILImage.fromarray(left).save(files[0])
    PILImage.fromarray(255 - left).save(files[1])
    whole = paint("mosaic")
    painted = paint(list(BUNDLED), mask=[str(file) for file in files])
    wanted = load_image(resolve("mosaic")).mean((2, 3))
    right, wrong = (painted[..., columns].mean((2, 3)) for columns in (slice(40, 64), slice(0, 24)))
    assert whole.shape == painted.shape
    assert (right - wanted).norm() < (wrong - wanted).norm()


def test_a_stroke_of_a_half_is_a_painting_of_the_enlarged_photograph_made_smaller() -> None:
    photograph = resize(load_image(resolve("woodcut")), (51, 64))
    large = paint("mosaic", resize(photograph, (102, 128)), size=128)
    assert (paint("mosaic", style_scale=0.5) - resize(large, (51, 64))).abs().max() < 1e-4


# Its training


def folder_of_photos(folder: Path) -> Path:
    folder.mkdir()
    for i in range(4):
        values = (noise(48, 56, 3, seed=i).numpy() * 255).astype(np.uint8)
        PILImage.fromarray(values).save(folder / f"{i}.png")
    return folder


def test_the_recipe_trains_resumes_and_exports_what_the_method_paints_with(tmp_path: Path) -> None:
    photos = folder_of_photos(tmp_path / "photos")
    settings = {"style": "inkwash", "style_size": 64, "steps": 3, "batch": 2, "crop": 32, "device": "cpu"}
    settings |= {"precision": "fp32", "backbone": "tiny"}
    whole = train("johnson", output=tmp_path / "whole", photos=photos, **settings)
    first = train("johnson", output=tmp_path / "legs", photos=photos, minutes=0, **settings)
    assert (first.steps, first.stopped) == (1, "minutes")
    second = train("johnson", output=tmp_path / "legs", photos=photos, **settings)
    assert second.steps == 3
    assert whole.output is not None
    assert second.output is not None
    assert second.output.name == "johnson-inkwash.safetensors"
    with safe_open(whole.output, framework="pt") as one, safe_open(second.output, framework="pt") as other:
        assert all(torch.equal(one.get_tensor(name), other.get_tensor(name)) for name in one.keys())  # noqa: SIM118
    assert json.loads(read_metadata(second.output)["settings"])["style"] == "inkwash"
    assert paint("inkwash", weights=str(second.output)).shape == (1, 3, 51, 64)


def test_the_recipe_refuses_paintings_and_a_style_that_is_none(tmp_path: Path) -> None:
    photos = folder_of_photos(tmp_path / "photos")
    with pytest.raises(ValueError, match=r"^johnson learns from photographs and one style"):
        train("johnson", output=tmp_path / "out", photos=photos, paintings=photos, steps=1, crop=32)
    with pytest.raises(ValueError, match=r"^style: 'nowhere\.png' is no file"):
        train("johnson", output=tmp_path / "out", photos=photos, style="nowhere.png", steps=1, crop=32)


@pytest.mark.parametrize("style", BUNDLED)
def test_a_bundled_network_says_how_it_was_made_and_is_small(style: str) -> None:
    file = METHODS["johnson"].folder / f"johnson-{style}.safetensors"  # type: ignore[attr-defined]
    facts = read_metadata(file)
    assert (facts["recipe"], facts["style"], facts["license"]) == ("johnson", style, "MIT")
    assert {"settings", "pictures", "steps", "losses"} <= set(facts)
    assert file.stat().st_size < 1_000_000

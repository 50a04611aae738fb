"""Test the feed-forward methods: tiles, receptive fields, codes, masks, weights, and the recipes that train them."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from support import write_pictures
from torch import Tensor

import impasto
from impasto.backbones import load_chain
from impasto.images import load_image, save_image
from impasto.methods import METHODS, configure, feed_forward
from impasto.methods.feed_forward import Code, FeedForward, Network, Passes, apply_network
from impasto.methods.tiles import collect_means, replay_means, split_into_tiles
from impasto.networks.adain import AdaIN
from impasto.networks.decoder import Decoder
from impasto.networks.micro import Micro
from impasto.networks.statistics import measure_untiled
from impasto.networks.weights_io import load_weights, save_weights
from impasto.regions.subject import single_region
from impasto.samples import resolve
from impasto.training import train
from impasto.training.checkerboard import checkerboard

ANY_STYLE = ("adain", "micro", "unrolled", "wct")
ONE_IMAGE = ("adain", "micro", "wct")
"""Those whose networks receive nothing but the content image; tests/networks/test_unrolled.py tests the others."""
FP32 = {"precision": "fp32", "device": "cpu"}


def blobs(height: int, width: int, seed: int = 0) -> Tensor:
    """Return blobs with a little noise, `(1, 3, height, width)`."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, height // 16, width // 16, generator=generator)
    smooth = F.interpolate(coarse, size=(height, width), mode="bilinear", align_corners=False)
    return (smooth + 0.05 * torch.randn(1, 3, height, width, generator=generator)).clamp(0, 1)


@cache
def network(name: str) -> Network:
    """Return the network of a method with its bundled weights."""
    config = METHODS[name].Config(precision="fp32", device="cpu")
    method = METHODS[name](config)
    return method.networks[0] if name == "wct" else method.network


def code_of(network: Network, style: Tensor) -> Code:
    with torch.no_grad():
        return network.encode(style, measure_untiled)


@pytest.mark.parametrize("name", ONE_IMAGE)
@torch.no_grad()
def test_tiles_give_the_output_of_a_single_pass(name: str) -> None:
    net = network(name)
    side = 2 * net.halo if name == "micro" else net.halo
    content = blobs(side + 16, int(2.25 * side) // 16 * 16)
    code = code_of(net, blobs(128, 160, seed=1))
    single_pass, tiled = (apply_network(net, content, code, None, tile)[0] for tile in (0, side))
    assert single_pass.std() > 0.02
    assert (single_pass - tiled).abs().max() < 1e-4


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        *((name, {}) for name in ANY_STYLE if name != "unrolled"),
        *(("unrolled", {"reductions": reductions}) for reductions in ([1], [2], [4], [4, 2, 1])),
    ],
)
def test_bf16_gives_nearly_the_output_of_fp32_in_tiles_too(name: str, settings: dict[str, Any]) -> None:
    """A second round of `unrolled` amplifies rounding as an optimization does; another test grades its output."""
    settings = {**settings, "device": "cpu", "size": 320}
    fp32, bf16, tiled = (
        impasto.stylize("rocket", "mosaic", name, precision=precision, tile=tile, **settings).image
        for precision, tile in (("fp32", 0), ("bf16", 0), ("bf16", 192))
    )
    assert (fp32 - bf16).abs().mean() < 0.01
    assert (bf16 - tiled).abs().mean() < 0.004


@pytest.mark.parametrize("tile", [0, 64])
@pytest.mark.parametrize(
    ("name", "settings", "bound"),
    [
        ("adain", {}, 0.01),
        ("wct", {}, 0.01),
        ("wct", {"preset": "paper"}, 0.01),
        ("johnson", {}, 0.01),
        ("micro", {}, 0.25),  # its strokes differ in color
        ("unrolled", {}, 0.25),
    ],
)
def test_no_frame_is_painted_along_the_border(
    name: str, settings: dict[str, str], bound: float, tile: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name in ("adain", "wct"):
        monkeypatch.setattr(feed_forward, "input_noise", no_noise)
    flat = torch.full((1, 3, 96, 128), 0.5)
    image = impasto.stylize(flat, "brushstrokes", name, size=128, tile=tile, **settings, **FP32).image[0]
    center = image[:, 32:-32, 32:-32].mean((1, 2))
    sides = (image[:, :16], image[:, -16:], image[..., :16], image[..., -16:])
    assert max((side.mean((1, 2)) - center).abs().max().item() for side in sides) < bound


def no_noise(height: int, width: int, seed: int) -> torch.Tensor:
    return torch.zeros(1, 1, height, width)


@pytest.mark.parametrize(("name", "tile"), [("micro", 192), ("adain", 128)])
def test_the_input_noise_is_the_same_in_tiles(name: str, tile: int) -> None:
    content = blobs(208, 224)
    single_pass, tiled = (
        impasto.stylize(content, "mosaic", name, size=224, tile=side, **FP32).image for side in (0, tile)
    )
    assert (single_pass - tiled).abs().max() < 1e-4


@pytest.mark.parametrize("name", ANY_STYLE)
def test_a_plain_area_gets_texture_that_follows_the_seed(name: str) -> None:
    content = blobs(96, 128)
    content[..., :64, :] = 0.6
    settings = {"size": 128, **FP32}
    first, second = (impasto.stylize(content, "brushstrokes", name, seed=seed, **settings).image for seed in (0, 1))
    plain = first[..., 8:48, 8:-8]
    assert (plain - F.avg_pool2d(plain, 9, 1, 4, count_include_pad=False)).std() > 0.03
    assert (first - second)[..., :48, :].abs().mean() > 0.01


@pytest.mark.parametrize("name", ["adain", "wct"])
def test_at_strength_0_there_is_no_input_noise(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    content, settings = blobs(48, 64), {"size": 64, "strength": 0.0, **FP32}
    image = impasto.stylize(content, "brushstrokes", name, **settings).image
    monkeypatch.setattr(feed_forward, "input_noise", no_noise)
    assert torch.equal(image, impasto.stylize(content, "brushstrokes", name, **settings).image)


@torch.no_grad()
def test_masked_means_are_the_same_in_tiles() -> None:
    net, content = network("micro"), blobs(208, 336)
    mask = torch.zeros(1, 1, 208, 336)
    mask[..., :150, 30:200] = 1
    code = code_of(net, blobs(128, 160, seed=1))
    single_pass, tiled = (apply_network(net, content, code, mask, tile)[0] for tile in (0, 192))
    assert (single_pass - tiled).abs().max() < 1e-4
    assert (single_pass - apply_network(net, content, code, None, 0)[0]).abs().mean() > 1e-3


@pytest.mark.parametrize("axis", [-2, -1])
@pytest.mark.parametrize("name", ONE_IMAGE)
@torch.no_grad()
def test_the_receptive_field_is_within_the_halo(name: str, axis: int) -> None:
    net = network(name)
    side = 2 * net.halo + 64
    shape = (side, 64) if axis == -2 else (64, side)
    content = blobs(*shape)
    changed = content.clone()
    middle = slice(side // 2, side // 2 + 16)
    changed.movedim(axis, -1)[..., 24:40, middle] = 1 - content[..., :16, :16]
    code = code_of(net, blobs(128, 160, seed=1))
    (tile,) = split_into_tiles(shape, 10 * side, net.halo)
    means = collect_means(lambda tile, measure: net(tile.crop(content), code, measure), [tile])
    before, after = (net(each, code, replay_means(means)) for each in (content, changed))
    differs = ((before - after).abs().amax((0, 1)) > 1e-6).any(-1 if axis == -2 else -2)
    positions = differs.nonzero()
    assert len(positions) > 16  # the change has an effect
    assert positions.min() >= side // 2 - net.halo
    assert positions.max() < side // 2 + 16 + net.halo


@pytest.mark.parametrize("name", ANY_STYLE)
def test_strength_0_nearly_returns_the_content_image_and_50_is_the_default(name: str) -> None:
    content = load_image(resolve("inkwash"), size=128)

    def distance(**settings: float) -> float:
        stylized = impasto.stylize("inkwash", "mosaic", name, size=128, **FP32, **settings).image
        return (stylized - content).square().mean().item()

    default = distance()
    assert distance(strength=0.0) < 0.4 * default
    assert distance(strength=50.0) == default


@pytest.mark.parametrize("name", ANY_STYLE)
def test_each_region_is_stylized_with_its_own_style(name: str, tmp_path: Path) -> None:
    levels = torch.zeros(1, 3, 152, 192)
    levels[..., 96:] = 1
    save_image(levels, tmp_path / "mask.png")
    same = {"weights": "micro"} if name == "micro" else {}  # a sample style alone has a network of its own
    both, first, second = (
        impasto.stylize("brushstrokes", styles, name, size=128, **FP32, **same, **more).image
        for styles, more in (
            (["woodcut", "mosaic"], {"mask": [str(tmp_path / "mask.png")], "feather": 0}),
            (["woodcut"], {}),
            (["mosaic"], {}),
        )
    )
    left, right = both[..., :40], both[..., -40:]
    assert (left - first[..., :40]).abs().mean() < (left - second[..., :40]).abs().mean()
    assert (right - second[..., -40:]).abs().mean() < (right - first[..., -40:]).abs().mean()


@pytest.mark.parametrize("level", [0.0, 0.3, 1.0])
@pytest.mark.parametrize(("method", "style", "apart"), [("micro", "woodcut", 0.02), ("johnson", "brushstrokes", 0.15)])
def test_a_uniform_image_gives_similar_outputs_in_fp32_and_bf16(
    method: str, style: str, apart: float, level: float
) -> None:
    """In a uniform image the standard deviations are rounding errors; dividing by them made bf16 outputs black."""
    plain = torch.full((1, 3, 96, 128), level)
    fine, coarse = (impasto.stylize(plain, style, method, size=128, precision=p).image for p in ("fp32", "bf16"))
    assert (fine - coarse).abs().mean() < apart
    assert fine.std() > 0.02


def test_the_checkerboard_loss_measures_a_checkerboard_and_not_slopes_or_noise() -> None:
    slope = torch.linspace(0, 1, 96).expand(1, 3, 96, 96)
    checkered = 0.1 * ((torch.arange(96)[:, None] + torch.arange(96)) % 2 * 2 - 1)
    assert checkerboard(slope) < 1e-10
    assert checkerboard(slope + checkered) == pytest.approx(0.01, rel=1e-3)
    noise = 0.1 * torch.randn(1, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    assert checkerboard(noise) < 0.01 / 50


@pytest.mark.parametrize("style", ["brushstrokes", "mosaic", "pointillism"])
def test_outputs_of_micro_have_no_checkerboard(style: str) -> None:
    """The limit is that of a photograph; without its training loss the network had 18 to 26 levels of 255."""
    content = load_image(resolve("inkwash"), size=320)
    stylized = impasto.stylize(content, style, "micro", size=320, **FP32).image
    assert checkerboard(stylized).sqrt() < 1.5 / 255


def test_a_run_can_start_from_the_output_of_a_feed_forward_method() -> None:
    started = impasto.stylize("woodcut", "mosaic", size=96, steps=1, lr=1e-6, start="micro", **FP32)
    stylized = impasto.stylize("woodcut", "mosaic", "micro", weights="micro", size=96, **FP32)
    assert (started.image - stylized.image).abs().max() < 1e-3
    message = r"^start: 'gatys' is not a feed-forward .* adain, johnson, micro, unrolled, wct$"
    with pytest.raises(ValueError, match=message):
        impasto.stylize("woodcut", "mosaic", size=96, start="gatys")


@pytest.mark.parametrize(
    ("corrupt", "message"),
    [
        (lambda file: file.write_bytes(file.read_bytes()[:1000]), "cannot be read"),
        (lambda file: file.unlink(), "cannot be read"),
        (lambda file: save_weights(Decoder("relu1_1", [4]), file, {}), "contains another network"),
    ],
)
def test_invalid_weights_give_an_error_of_one_line(
    corrupt: Callable[[Path], object], message: str, tmp_path: Path
) -> None:
    file = save_weights(Micro(), tmp_path / "micro.safetensors", {})
    load_weights(Micro(), file)
    corrupt(file)
    with pytest.raises(ValueError, match=message) as caught:
        impasto.stylize("woodcut", "mosaic", "micro", size=64, weights=str(file))
    assert "\n" not in str(caught.value)


def test_adain_mixes_styles_by_their_weights() -> None:
    encoder = load_chain("lite")
    adain = AdaIN(encoder.encoder("relu4_1"), Decoder("relu4_1", encoder.widths))
    first, second = (code_of(adain, blobs(64, 64, seed=i)) for i in (1, 2))
    settings = {"size": 64, **FP32}
    only_first = impasto.stylize("woodcut", ["mosaic", "brushstrokes"], "adain", style_mix=[1, 0], **settings).image
    assert torch.equal(only_first, impasto.stylize("woodcut", "mosaic", "adain", **settings).image)
    assert not torch.equal(first[0], second[0])


@pytest.mark.parametrize("recipe", ANY_STYLE)
def test_a_recipe_trains_and_the_method_stylizes_with_the_exported_weights(
    recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = "impasto.training.recipes.wct" if recipe == "wct" else "impasto.training.recipes.base"
    monkeypatch.setattr(f"{module}.SHEET", 64)  # three times faster
    photos = write_pictures(tmp_path / "photos")
    paintings = {} if recipe == "wct" else {"paintings": write_pictures(tmp_path / "paintings")}
    trained = train(
        recipe,
        output=tmp_path / "run",
        photos=photos,
        **paintings,
        steps=3,
        batch=2,
        crop=48 if recipe == "unrolled" else 32,
        seed=1,
        precision="fp32",
        device="cpu",
    )
    assert trained.stopped == "finished"
    assert trained.output is not None
    stylized = impasto.stylize("woodcut", "mosaic", recipe, size=64, weights=str(trained.output), **FP32)
    assert stylized.image.shape[-1] == 64


@pytest.mark.parametrize(
    ("method", "size", "tile"),
    [*((name, 64, 0) for name in (*ANY_STYLE, "johnson")), ("micro", 128, 96)],
)
def test_the_passes_of_an_image_are_replayed_for_another_one(method: str, size: int, tile: int) -> None:
    """The output of the same image is the same; that of another one depends on its pixels only."""
    stylizer = METHODS[method](configure(method, {"size": 0, "tile": tile, "strength": 70}))
    assert isinstance(stylizer, FeedForward)
    first, other = (load_image(resolve(name), size=size) for name in ("woodcut", "brushstrokes"))
    style = load_image(resolve("mosaic"), size=size)
    recorded = Passes()
    output = stylizer.stylize(single_region(first, [style]), recorded)
    without_style = single_region(first, [style if method == "johnson" else torch.rand(1, 3, 32, 32)])
    again = Passes(recorded.recorded)
    assert (stylizer.stylize(without_style, again) == output).all()
    own, replayed = (stylizer.stylize(single_region(other, [style]), p) for p in (Passes(), Passes(recorded.recorded)))
    assert (own - replayed).abs().mean() > 1e-3

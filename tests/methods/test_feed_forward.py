"""Painting in one pass: tiles, reach, codes, masks, weights, and the recipes behind it."""

from collections.abc import Callable
from pathlib import Path

import PIL.Image
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import impasto
from impasto.backbones import load_chain
from impasto.images import load_image, save_image
from impasto.methods import METHODS
from impasto.methods.feed_forward import Code, Network, applied
from impasto.methods.tiles import replayed, statistics, tiles
from impasto.networks.adain import AdaIN
from impasto.networks.decoder import Decoder
from impasto.networks.micro import Micro, add_input_noise, input_noise
from impasto.networks.padding import pad_replicate, upsample_and_pad
from impasto.networks.statistics import STRIP_SIZE, mean_and_std, measure_untiled, moments
from impasto.networks.wct import optimal_transform, whitening_transform
from impasto.networks.weights_io import load_weights, save_weights
from impasto.samples import resolve
from impasto.training import train
from impasto.training.augmentation import shifted
from impasto.training.recipes.micro import mesh

FAST = ("adain", "micro", "wct")
OPEN = {"precision": "fp32", "device": "cpu"}


def picture(height: int, width: int, seed: int = 0) -> Tensor:
    """Blobs and some noise."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, height // 16, width // 16, generator=generator)
    smooth = F.interpolate(coarse, size=(height, width), mode="bilinear", align_corners=False)
    return (smooth + 0.05 * torch.randn(1, 3, height, width, generator=generator)).clamp(0, 1)


def network(name: str) -> Network:
    """The network of a method, with its bundled weights."""
    config = METHODS[name].Config(precision="fp32", device="cpu")
    method = METHODS[name](config)
    return method._networks[0] if name == "wct" else method.network


def code_of(network: Network, style: Tensor) -> Code:
    with torch.no_grad():
        return network.encode(style, measure_untiled)


@pytest.mark.parametrize("name", FAST)
@torch.no_grad()
def test_a_picture_in_tiles_is_the_picture_at_once(name: str) -> None:
    paints, photo = network(name), picture(400, 560)
    code = code_of(paints, picture(256, 320, seed=1))
    at_once = applied(paints, photo, code, None, 0)
    in_tiles = applied(paints, photo, code, None, 2 * paints.halo if name == "micro" else paints.halo)
    assert at_once.std() > 0.02
    assert (at_once - in_tiles).abs().max() < 1e-4


def test_grain_is_the_same_in_tiles() -> None:
    photo = picture(400, 560)
    at_once, in_tiles = (
        impasto.stylize(photo, "mosaic", "micro", size=560, tile=tile, **OPEN).image for tile in (0, 192)
    )
    assert (at_once - in_tiles).abs().max() < 1e-4


@torch.no_grad()
def test_means_over_a_masked_picture_in_tiles_are_those_at_once() -> None:
    paints, photo = network("micro"), picture(320, 448)
    mask = torch.zeros(1, 1, 320, 448)
    mask[..., :150, 30:200] = 1
    code = code_of(paints, picture(256, 320, seed=1))
    at_once, in_tiles = (applied(paints, photo, code, mask, side) for side in (0, 192))
    assert (at_once - in_tiles).abs().max() < 1e-4
    assert (at_once - applied(paints, photo, code, None, 0)).abs().mean() > 1e-3


@pytest.mark.parametrize("name", FAST)
@torch.no_grad()
def test_a_pixel_shows_nowhere_beyond_the_reach(name: str) -> None:
    paints = network(name)
    side = 2 * paints.halo + 64
    photo = picture(side, side)
    other = photo.clone()
    other[..., side // 2 : side // 2 + 16, side // 2 : side // 2 + 16] = 1 - other[..., :16, :16]
    code = code_of(paints, picture(256, 320, seed=1))
    whole_picture = tiles((side, side), 10 * side, paints.halo)
    known = statistics(lambda tile, measure: paints(tile.of(photo), code, measure), whole_picture)
    before, after = (paints(each, code, replayed(known)) for each in (photo, other))
    changed = (before - after).abs().amax((0, 1)) > 1e-6
    rows, columns = changed.any(1).nonzero(), changed.any(0).nonzero()
    assert len(rows) > 16  # it does show
    for places in (rows, columns):
        assert places.min() >= side // 2 - paints.halo
        assert places.max() < side // 2 + 16 + paints.halo


@pytest.mark.parametrize("name", FAST)
def test_a_strength_of_nothing_nearly_gives_the_photograph_back(name: str) -> None:
    photo = load_image(resolve("inkwash"), size=128)

    def off(**settings: float) -> float:
        painted = impasto.stylize("inkwash", "mosaic", name, size=128, **OPEN, **settings).image
        return (painted - photo).square().mean().item()

    assert off(strength=0.0) < 0.4 * off(strength=50.0)
    assert off(strength=50.0) == off()


@pytest.mark.parametrize("name", FAST)
def test_regions_are_painted_after_their_own_styles(name: str, tmp_path: Path) -> None:
    levels = torch.zeros(1, 3, 152, 192)
    levels[..., 96:] = 1
    save_image(levels, tmp_path / "mask.png")
    both, first, second = (
        impasto.stylize("brushstrokes", styles, name, size=128, **OPEN, **more).image
        for styles, more in (
            (["woodcut", "mosaic"], {"mask": [str(tmp_path / "mask.png")], "feather": 0}),
            (["woodcut"], {}),
            (["mosaic"], {}),
        )
    )
    left, right = both[..., :40], both[..., -40:]
    assert (left - first[..., :40]).abs().mean() < (left - second[..., :40]).abs().mean()
    assert (right - second[..., -40:]).abs().mean() < (right - first[..., -40:]).abs().mean()


@torch.no_grad()
def test_grain_goes_on_where_it_ends_and_follows_its_seed() -> None:
    noise = input_noise(64, 96, seed=3)
    assert torch.equal(noise, input_noise(64, 96, seed=3))
    assert not torch.equal(noise, input_noise(64, 96, seed=4))
    assert noise.shape == (1, 1, 64, 96)
    assert noise.mean().abs() < 0.02
    assert 0.02 < noise.std() < 0.06
    rough = (noise[..., 1:] - noise[..., :-1]).abs().mean()
    assert (noise[..., 0] - noise[..., -1]).abs().mean() < 2.5 * rough  # a seam would have 4


def test_grain_lies_under_a_whole_photograph_as_under_its_pieces_and_does_not_come_back_soon() -> None:
    noise = input_noise(64, 40, seed=3)
    plain = torch.full((1, 3, 200, 360), 0.5)
    added = add_input_noise(plain, noise) - 0.5
    assert torch.equal(added[:, 0], added[:, 2])
    assert added.std().item() == pytest.approx(noise.std().item(), rel=0.1)
    piece = add_input_noise(plain[..., 30:90, 50:200], noise, 30, 50) - 0.5
    assert torch.equal(piece, added[..., 30:90, 50:200])
    assert torch.allclose(added[..., 320:], added[..., :40], atol=1e-6)  # 320: the least common multiple
    for period in (40, 64, 80, 128, 192, 256):
        apart = (added[..., period:] - added[..., :-period]).std()
        assert apart > 0.6 * added.std(), period  # 1.4 for strangers, 0 for a repeat


@pytest.mark.parametrize("level", [0.0, 0.3, 1.0])
@pytest.mark.parametrize(("method", "style", "apart"), [("micro", "woodcut", 0.02), ("johnson", "brushstrokes", 0.15)])
def test_a_plain_picture_comes_out_alike_in_both_precisions(
    method: str, style: str, apart: float, level: float
) -> None:
    """Where nothing changes anywhere, deviations are rounding errors; enlarged by them, bf16 came out black."""
    plain = torch.full((1, 3, 96, 128), level)
    fine, coarse = (impasto.stylize(plain, style, method, size=128, precision=p).image for p in ("fp32", "bf16"))
    assert (fine - coarse).abs().mean() < apart
    assert fine.std() > 0.02


def test_a_mesh_of_two_pixels_is_seen_and_slopes_and_noise_are_not() -> None:
    slope = torch.linspace(0, 1, 96).expand(1, 3, 96, 96)
    checkered = 0.1 * ((torch.arange(96)[:, None] + torch.arange(96)) % 2 * 2 - 1)
    assert mesh(slope) < 1e-10
    assert mesh(slope + checkered) == pytest.approx(0.01, rel=1e-3)
    noise = 0.1 * torch.randn(1, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    assert mesh(noise) < 0.01 / 50


@pytest.mark.parametrize("style", ["brushstrokes", "mosaic", "pointillism"])
def test_micro_leaves_no_mesh(style: str) -> None:
    """Of two pixels: no more than a photograph has; it had 18 to 26 levels of 255 before training saw to it."""
    photo = load_image(resolve("inkwash"), size=320)
    painted = impasto.stylize(photo, style, "micro", size=320, **OPEN).image
    assert mesh(painted).sqrt() < 1.5 / 255


def test_a_batch_is_judged_at_an_offset_of_its_own_in_each_sample() -> None:
    places = torch.arange(24 * 24).view(1, 1, 24, 24).repeat(9, 1, 1, 1)
    first, second = shifted([places, 2 * places], torch.arange(9), 8)
    assert first.shape == (9, 1, 16, 16)
    assert torch.equal(2 * first, second)
    corners = [divmod(int(each[0, 0, 0]), 24) for each in first]
    assert all(0 <= y <= 8 and 0 <= x <= 8 for y, x in corners)
    assert len(set(corners)) > 5
    assert torch.equal(shifted([places[4:]], torch.arange(4, 9), 8)[0], first[4:])  # whoever else is in the batch


def test_micro_is_small() -> None:
    assert sum(weight.numel() for weight in Micro().parameters()) < 500_000


def test_a_fast_model_can_paint_the_start() -> None:
    started = impasto.stylize("woodcut", "mosaic", size=96, steps=1, lr=1e-6, start="micro", **OPEN)
    painted = impasto.stylize("woodcut", "mosaic", "micro", size=96, **OPEN)
    assert (started.image - painted.image).abs().max() < 1e-3
    with pytest.raises(ValueError, match=r"^start: gatys optimizes .* adain, johnson, micro, wct$"):
        impasto.stylize("woodcut", "mosaic", size=96, start="gatys")


def test_transports_give_the_covariance_that_is_wanted() -> None:
    torch.manual_seed(0)
    here, there = (torch.randn(1, 8, 5 + 8 * i) for i in (0, 1))  # the first is singular
    here, there = here @ here.mT, there @ there.mT
    for transport in (optimal_transform, whitening_transform):
        full = here + torch.eye(8)
        move = transport(full, there)
        assert torch.allclose(move @ full @ move.mT, there, rtol=1e-3, atol=1e-3)
        assert transport(here, there).isfinite().all()
    move = optimal_transform(here + torch.eye(8), there)
    assert torch.allclose(move, move.mT, atol=1e-4)
    moved, turned = (
        (each(here + torch.eye(8), there) - torch.eye(8)) for each in (optimal_transform, whitening_transform)
    )
    cost = [torch.trace((each @ (here + torch.eye(8)) @ each.mT)[0]).item() for each in (moved, turned)]
    assert cost[0] < cost[1]  # it moves the least


def test_a_border_is_repeated_and_its_gradient_right() -> None:
    x = torch.randn(2, 3, 5, 4, dtype=torch.float64, requires_grad=True)
    assert torch.equal(pad_replicate(x), F.pad(x, (1, 1, 1, 1), mode="replicate"))
    twice = F.interpolate(x, scale_factor=2.0, mode="nearest")
    assert torch.equal(upsample_and_pad(x, 2), F.pad(twice, (2, 2, 2, 2), mode="replicate"))
    from impasto.networks import padding

    assert torch.autograd.gradcheck(lambda each: padding._PadReplicate.apply(each, 1), x)


def test_moments_are_means_and_deviations() -> None:
    x = torch.randn(2, 4, 9, 7)
    mean, deviation = mean_and_std(moments(x))
    assert torch.allclose(mean, x.mean((2, 3)), atol=1e-6)
    assert torch.allclose(deviation, x.var((2, 3), correction=0).add(1e-5).sqrt(), atol=1e-5)


@pytest.mark.parametrize("masked", [False, True])
def test_moments_of_a_large_map_are_those_of_all_its_rows_at_once(masked: bool) -> None:
    x = torch.randn(1, 96, 131, 97, dtype=torch.float64).float() + 2
    weights = torch.rand(1, 1, 131, 97) if masked else None
    assert x.numel() > STRIP_SIZE
    with torch.no_grad():
        by_strips = moments(x, weights)
    at_once = moments(x.requires_grad_(), weights)  # where gradients are wanted nothing is cut
    assert torch.allclose(by_strips, at_once, rtol=1e-5)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda file: file.write_bytes(file.read_bytes()[:1000]), "cannot be read"),
        (lambda file: file.unlink(), "cannot be read"),
        (lambda file: save_weights(Decoder("relu1_1", [4]), file, {}), "holds another network"),
    ],
)
def test_wrong_weights_are_one_line(spoil: Callable[[Path], object], says: str, tmp_path: Path) -> None:
    file = save_weights(Micro(), tmp_path / "micro.safetensors", {})
    load_weights(Micro(), file)
    spoil(file)
    with pytest.raises(ValueError, match=says) as caught:
        impasto.stylize("woodcut", "mosaic", "micro", size=64, weights=str(file))
    assert "\n" not in str(caught.value)


def test_adain_mixes_styles_by_their_shares() -> None:
    eye = load_chain("lite")
    adain = AdaIN(eye.encoder("relu4_1"), Decoder("relu4_1", eye.widths))
    first, second = (code_of(adain, picture(64, 64, seed=i)) for i in (1, 2))
    settings = {"size": 64, **OPEN}
    whole_first = impasto.stylize("woodcut", ["mosaic", "brushstrokes"], "adain", style_mix=[1, 0], **settings).image
    assert torch.equal(whole_first, impasto.stylize("woodcut", "mosaic", "adain", **settings).image)
    assert not torch.equal(first[0], second[0])


def pictures(folder: Path, count: int = 4) -> Path:
    folder.mkdir()
    for i in range(count):
        levels = (picture(48, 64, seed=i)[0] * 255).to(torch.uint8).permute(1, 2, 0).numpy()
        PIL.Image.fromarray(levels).save(folder / f"{i}.png")
    return folder


@pytest.mark.parametrize("recipe", FAST)
def test_a_recipe_learns_and_what_it_writes_paints(recipe: str, tmp_path: Path) -> None:
    photos = pictures(tmp_path / "photos")
    folders = {"photos": photos} if recipe == "wct" else {"photos": photos, "paintings": pictures(tmp_path / "art")}
    trained = train(
        recipe, output=tmp_path / "run", **folders, steps=3, batch=2, crop=32, seed=1, precision="fp32", device="cpu"
    )
    assert trained.stopped == "finished"
    assert trained.output is not None
    painted = impasto.stylize("woodcut", "mosaic", recipe, size=64, weights=str(trained.output), **OPEN)
    assert painted.image.shape[-1] == 64

"""Masks: label maps as people draw and save them, what belongs to what, and every way to get them wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageDraw
import pytest
import torch
from torch import Tensor

import impasto
from impasto import Result
from impasto.config import MethodConfig, check_settings
from impasto.images import load_image, open_picture, save_image
from impasto.losses.gram import GramLoss
from impasto.methods.gatys import GatysConfig
from impasto.methods.matching import Matching
from impasto.regions.label_map import LabelMap, read_label_map
from impasto.regions.split import check_masks, split_regions
from impasto.regions.subject import Subject

WIDTH, HEIGHT = 96, 64
RED, GREEN, GRAY, WHITE, BLACK = (200, 30, 40), (20, 160, 60), (128, 128, 128), (255, 255, 255), (0, 0, 0)
BACKGROUND = WHITE


def drawn(*discs: tuple[int, ...], size: tuple[int, int] = (192, 128), fine: int = 1) -> PIL.Image.Image:
    """White with two discs; `fine` > 1 antialiases them."""
    whole = PIL.Image.new("RGB", (size[0] * fine, size[1] * fine), BACKGROUND)
    pen = PIL.ImageDraw.Draw(whole)
    for color, center in zip(discs, (0.27, 0.73), strict=True):
        x, y, r = center * whole.width, whole.height / 2, whole.height / 4
        pen.ellipse((x - r, y - r, x + r - 1, y + r - 1), fill=color)
    return whole.resize(size, PIL.Image.Resampling.BOX) if fine > 1 else whole


def halves(left: Any, right: Any, mode: str = "RGB", size: tuple[int, int] = (WIDTH, HEIGHT)) -> PIL.Image.Image:
    picture = PIL.Image.new(mode, size, left)
    picture.paste(right, (size[0] // 2, 0, *size))
    return picture


def labels_of(picture: PIL.Image.Image, folder: Path, suffix: str = ".png", **options: Any) -> LabelMap:
    file = folder / f"map{suffix}"
    picture.save(file, **options)
    return read_label_map(open_picture(file))


def agreement(labels: LabelMap, exact: LabelMap) -> float:
    return float((labels.index == exact.index).mean())


# label maps


SAVED: dict[str, Callable[[Path], LabelMap]] = {
    "jpeg": lambda folder: labels_of(drawn(RED, GREEN), folder, ".jpg", quality=75),
    "bad jpeg": lambda folder: labels_of(drawn(RED, GREEN), folder, ".jpg", quality=25, subsampling=2),
    "antialiased": lambda folder: labels_of(drawn(RED, GREEN, fine=4), folder),
    "antialiased jpeg": lambda folder: labels_of(drawn(RED, GREEN, fine=4), folder, ".jpg", quality=60),
    "palette": lambda folder: labels_of(drawn(RED, GREEN).quantize(8, dither=PIL.Image.Dither.NONE), folder),
    "gif": lambda folder: labels_of(drawn(RED, GREEN), folder, ".gif"),
    "webp": lambda folder: labels_of(drawn(RED, GREEN), folder, ".webp", quality=60),
    "blurred": lambda folder: labels_of(
        drawn(RED, GREEN, size=(64, 42)).resize((192, 128), PIL.Image.Resampling.BILINEAR), folder
    ),
}


@pytest.mark.parametrize("how", SAVED)
def test_a_label_map_keeps_its_labels_however_it_was_saved(how: str, tmp_path: Path) -> None:
    exact, labels = labels_of(drawn(RED, GREEN), tmp_path), SAVED[how](tmp_path)
    assert len(labels.colors) == 3
    assert [labels.find(np.array(color)) for color in (RED, GREEN, WHITE)] == [0, 1, 2]
    assert agreement(labels, exact) > (0.95 if how == "blurred" else 0.99)


def test_labels_come_from_dark_to_light(tmp_path: Path) -> None:
    labels = labels_of(drawn(WHITE, BLACK), tmp_path)  # a white disc on white is none
    assert labels.names() == "#000000, #ffffff"
    labels = labels_of(drawn(GREEN, RED), tmp_path)
    assert labels.names() == "#c81e28, #14a03c, #ffffff"


def test_the_gray_edge_between_black_and_white_is_not_the_gray_region(tmp_path: Path) -> None:
    labels = labels_of(drawn(BLACK, GRAY, fine=4), tmp_path)
    assert labels.names() == "#000000, #808080, #ffffff"
    assert not (labels.index[:, :96] == 1).any()


@pytest.mark.parametrize("times", [2, 4])
def test_an_antialiased_edge_is_no_region_in_an_enlarged_map_either(times: int, tmp_path: Path) -> None:
    edge = halves(BLACK, WHITE, size=(400, 200))
    edge.paste(GRAY, (200, 0, 201, 200))
    enlarged = edge.resize((400 * times, 200 * times), PIL.Image.Resampling.NEAREST)
    assert labels_of(enlarged, tmp_path).names() == "#000000, #ffffff"


def test_specks_belong_to_what_is_around_them(tmp_path: Path) -> None:
    picture = halves(BLACK, WHITE, size=(400, 300))
    for x in range(20, 400, 40):
        picture.paste(RED, (x, 150, x + 2, 152))
    labels = labels_of(picture, tmp_path)
    assert labels.names() == "#000000, #ffffff"
    assert (labels.index[:, :200] == 0).all()
    assert (labels.index[:, 200:] == 1).all()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGBA", "I;16"])
def test_a_map_may_have_any_depth(mode: str, tmp_path: Path) -> None:
    picture = halves(0, 255, "L")
    if mode == "I;16":
        picture = PIL.Image.fromarray(np.array(picture).astype(np.uint16) * 257)
    labels = labels_of(picture if mode == "I;16" else picture.convert(mode), tmp_path)
    assert labels.names() == "#000000, #ffffff"
    assert (labels.index[:, : WIDTH // 2] == 0).all()
    assert (labels.index[:, WIDTH // 2 :] == 1).all()


def test_a_clear_place_belongs_to_no_region(tmp_path: Path) -> None:
    labels = labels_of(halves((*RED, 255), (*RED, 0), "RGBA"), tmp_path)
    assert labels.names() == "#c81e28"
    assert (labels.index[:, : WIDTH // 2] == 0).all()
    assert (labels.index[:, WIDTH // 2 :] == -1).all()


def test_colors_nearer_than_the_noise_of_a_jpeg_are_one(tmp_path: Path) -> None:
    assert len(labels_of(halves((100, 100, 100), (120, 100, 100)), tmp_path).colors) == 1
    assert len(labels_of(halves((100, 100, 100), (140, 100, 100)), tmp_path).colors) == 2


def test_a_picture_of_noise_is_no_label_map(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    with pytest.raises(ValueError, match=r"^'map.png' has no flat color; use a label map with one flat color per region$"):
        labels_of(PIL.Image.fromarray(noise), tmp_path)


def test_a_map_of_too_many_colors_is_no_label_map(tmp_path: Path) -> None:
    tiles = np.array([[(x * 40, y * 40, 0) for x in range(6)] for y in range(6)], np.uint8)
    picture = PIL.Image.fromarray(tiles).resize((96, 96), PIL.Image.Resampling.NEAREST)
    with pytest.raises(ValueError, match="more than 32 colors"):
        labels_of(picture, tmp_path)


# regions


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a photograph, two styles and masks of many kinds."""
    monkeypatch.chdir(tmp_path)
    for i, (name, size) in enumerate({"photo": (64, 96), "one": (50, 70), "two": (80, 60)}.items()):
        save_image(torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(i)), tmp_path / f"{name}.png")
    halves(BLACK, WHITE).save("halves.png")
    halves(BLACK, WHITE, size=(3 * WIDTH, 3 * HEIGHT)).save("large.png")
    halves(BLACK, WHITE, size=(HEIGHT, WIDTH)).save("upright.png")
    halves(RED, GREEN).save("colors.jpg", quality=60)
    halves(GREEN, RED, size=(70, 50)).save("colors one.jpg", quality=80)
    halves(RED, RED, size=(60, 80)).save("colors two.png")
    halves(GREEN, GREEN, size=(60, 80)).save("green two.png")
    halves(WHITE, WHITE).save("white.png")
    halves((*WHITE, 255), (*WHITE, 0), "RGBA").save("part.png")
    halves((*WHITE, 0), (*WHITE, 0), "RGBA").save("clear.png")
    halves(0, 255, "L").save("right.png")
    halves(100, 0, "L").save("dark.png")
    PIL.Image.linear_gradient("L").resize((WIDTH, HEIGHT)).save("soft.png")
    (tmp_path / "text.png").write_text("no picture")
    return tmp_path


def settings_of(styles: int, **settings: Any) -> MethodConfig:
    config: MethodConfig = check_settings(GatysConfig, "gatys", settings)
    check_masks(config, styles)
    return config


def divided(styles: tuple[str, ...] = ("one.png", "two.png"), **settings: Any) -> Subject:
    config = settings_of(len(styles), **settings)
    masks, maps = ([open_picture(file) for file in files] for files in (config.mask, config.style_mask))
    mix = config.style_mix or [1 / len(styles)] * len(styles)
    total = sum(mix)
    pictures = [load_image(style) for style in styles]
    return split_regions(config, load_image("photo.png"), pictures, [m / total for m in mix], masks, maps, (64, 96))


def area_of(subject: Subject, k: int) -> Tensor:
    mask = subject.regions[k].mask
    assert mask is not None
    return mask


@pytest.mark.parametrize("mask", ["halves.png", "large.png"])
def test_the_dark_region_takes_after_the_first_style_and_the_light_one_after_the_second(
    folder: Path, mask: str
) -> None:
    subject = divided(mask=mask, feather=0)
    assert [region.name for region in subject.regions] == ["region1", "region2"]
    assert area_of(subject, 0)[..., :47].min() > 0.99
    assert area_of(subject, 1)[..., 49:].min() > 0.99
    dark, light = (region.styles[0].image for region in subject.regions)
    assert torch.equal(dark, load_image("one.png"))
    assert torch.equal(light, load_image("two.png"))


def test_regions_of_a_label_map_cover_every_place_once_however_soft(folder: Path) -> None:
    for feather in (0, 0.02, 0.2):
        subject = divided(mask="colors.jpg", feather=feather)
        assert (area_of(subject, 0) + area_of(subject, 1) - 1).abs().max() < 1e-5


def test_the_feather_is_the_width_of_the_border(folder: Path) -> None:
    row = area_of(divided(mask="halves.png", feather=0.25), 1)[0, 0, 30]
    between = ((row > 0.023) & (row < 0.977)).sum().item()
    assert between == pytest.approx(0.25 * WIDTH, abs=1)
    hard = area_of(divided(mask="halves.png", feather=0), 1)
    assert set(hard.unique().tolist()) == {0, 1}


def test_soft_masks_are_taken_by_their_grays_and_as_soft_as_they_are(folder: Path) -> None:
    subject = divided(mask=("soft.png", "right.png"), feather=0.2)
    assert (area_of(subject, 0) - load_image("soft.png")[:, :1]).abs().max() < 1e-5
    assert set(area_of(subject, 1).unique().tolist()) == {0, 1}


def test_a_soft_mask_ends_where_it_is_clear(folder: Path) -> None:
    subject = divided(mask=("part.png", "right.png"))
    assert area_of(subject, 0)[..., : WIDTH // 2].min() > 0.999
    assert area_of(subject, 0)[..., WIDTH // 2 :].max() == 0


def test_a_region_takes_after_the_places_of_its_color_in_the_styles_that_have_it(folder: Path) -> None:
    maps = ("colors one.jpg", "colors two.png")
    red, green = divided(mask="colors.jpg", style_mask=maps, style_mix=(1, 3)).regions
    assert [style.weight for style in red.styles] == [0.25, 0.75]
    assert [style.weight for style in green.styles] == [1]
    mask = red.styles[0].mask
    assert mask is not None
    assert mask.shape == (1, 1, 50, 70)
    assert mask[..., 37:].min() > 0.99
    assert mask[..., :33].max() < 0.01


def test_a_style_without_weight_gives_nothing(folder: Path) -> None:
    maps = ("colors one.jpg", "colors two.png")
    red, _ = divided(mask="colors.jpg", style_mask=maps, style_mix=(1, 0)).regions
    assert [style.weight for style in red.styles] == [1]


def test_strength_and_stroke_go_to_the_regions_in_their_order(folder: Path) -> None:
    subject = divided(mask="halves.png", region_strength=(0.5, 2), region_style_scale=(1, 3))
    assert [(region.strength, region.style_scale) for region in subject.regions] == [(0.5, 1), (2, 3)]


# the door


def paint(style: Any = ("one.png", "two.png"), **settings: Any) -> Result:
    return impasto.stylize("photo.png", style, **{"backbone": "tiny", "size": 96, "steps": 5, **settings})


def test_every_region_has_terms_of_its_own_and_the_record_names_the_masks(folder: Path) -> None:
    result = paint(mask=folder / "colors.jpg", style_mask=["colors one.jpg", "colors two.png"])
    assert {name.split("/")[2] for name in result.losses if name.startswith("style/")} == {"region1", "region2"}
    inputs = [(entry.role, entry.name) for entry in result.inputs]
    assert inputs[3:] == [
        ("mask", "colors.jpg"),
        ("style_mask", "colors one.jpg"),
        ("style_mask", "colors two.png"),
    ]
    assert all(Path(str(entry.path)).is_absolute() and len(entry.sha256) == 64 for entry in result.inputs)


def test_places_that_no_mask_covers_keep_the_content(folder: Path) -> None:
    photo = load_image("photo.png")
    change = (paint("two.png", mask="part.png", feather=0, steps=20).image - photo).abs().mean((0, 1, 2))  # (W,)
    assert change[:44].mean() > 10 * change[-40:].mean()
    assert change[-20:].mean() < 2e-3
    assert (paint("two.png", steps=20).image - photo).abs().mean((0, 1, 2))[-20:].mean() > 0.03


def test_a_region_of_strength_0_keeps_the_content(folder: Path) -> None:
    change = (paint(mask="halves.png", region_strength=(0, 1), feather=0).image - load_image("photo.png")).abs()
    assert change[..., 56:].mean() > 10 * change[..., :40].mean()


@pytest.mark.parametrize(("layer", "across"), [("relu1_1", 0), ("relu2_1", 2)])  # an eroded place is 1 and 2 pixels
def test_a_style_pulls_at_its_own_region_and_hardly_across_the_border(folder: Path, layer: str, across: int) -> None:
    config = GatysConfig(backbone="tiny", content_weight=0, precision="fp32", style_layers=(layer,))
    subject = divided(mask="halves.png", feather=0, region_strength=(0, 1))
    picture = subject.content.clone().requires_grad_()
    losses = Matching(config, GramLoss()).objective("tiny")(subject)(picture)
    (gradient,) = torch.autograd.grad(sum(losses.values()), picture)
    pull = gradient.abs().mean((0, 1, 2))  # (W,)
    assert pull[WIDTH // 2 :].min() > 0
    assert pull[: WIDTH // 2 - across].max() == 0


def test_another_style_in_one_region_changes_that_one(folder: Path) -> None:
    settings = {"mask": "halves.png", "feather": 0, "precision": "fp32"}
    change = (paint(("one.png", "two.png"), **settings).image - paint(("one.png", "mosaic"), **settings).image).abs()
    assert change[..., 56:].mean() > 5 * change[..., :40].mean()


def test_color_goes_with_masks(folder: Path) -> None:
    result = paint(mask="halves.png", color="luminance", steps=2)
    photo = load_image("photo.png")
    yiq = torch.tensor([0.596, -0.274, -0.322]), torch.tensor([0.211, -0.523, 0.312])
    for axis in yiq:
        kept, own = (torch.einsum("c,bchw->bhw", axis, image) for image in (result.image, photo))
        assert torch.corrcoef(torch.stack([kept.flatten(), own.flatten()]))[0, 1] > 0.9


def test_a_painting_with_masks_is_painted_again_from_its_record(folder: Path, tmp_path: Path) -> None:
    result = paint(mask="colors.jpg", style_mask=("colors one.jpg", "colors two.png"), region_style_scale=(1, 2))
    path = result.save(tmp_path / "out.png")
    assert torch.equal(impasto.replay(path).image, result.image)
    (folder / "colors.jpg").rename("moved.jpg")
    with pytest.raises(ValueError, match=r"the mask '.*colors.jpg' is missing; .* as --mask$"):
        impasto.replay(path)
    assert torch.equal(impasto.replay(path, masks=["moved.jpg"]).image, result.image)
    with pytest.raises(ValueError, match=r"the mask 'halves.png' has changed since the record"):
        impasto.replay(path, masks=["halves.png"])
    (folder / "colors two.png").rename("elsewhere.png")
    with pytest.raises(ValueError, match=r"the style_mask .* as --style-mask$"):
        impasto.replay(path, masks=["moved.jpg"])
    maps = ["colors one.jpg", "elsewhere.png"]
    assert torch.equal(impasto.replay(path, masks=["moved.jpg"], style_masks=maps).image, result.image)


def test_a_record_from_before_there_were_masks_is_read(folder: Path) -> None:
    result = paint()
    path = result.save(folder / "out.png")
    record = json.loads(path.with_suffix(".json").read_text())
    for name in ("mask", "style_mask", "feather", "region_strength", "region_style_scale"):
        del record["settings"][name]
    old = folder / "old.json"
    old.write_text(json.dumps(record))
    assert torch.equal(impasto.replay(old).image, result.image)


# mistakes


TWO = ("one.png", "two.png")
MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "missing": ({"mask": "nowhere.png"}, "mask: 'nowhere.png': it cannot be read: No such file or directory"),
    "no picture": ({"mask": "text.png"}, "mask: 'text.png': it is not an image in a supported format"),
    "proportions": ({"mask": "upright.png"}, "mask: 'upright.png' is 64x96 pixels and the content 96x64; give a mask"),
    "more styles": (
        {"mask": "halves.png", "style": (*TWO, "one.png")},
        "mask: 2 region(s) (#000000, #ffffff), but 3 style image(s); give one for each, or style_mask",
    ),
    "fewer styles": ({"mask": "halves.png", "style": "one.png"}, "mask: 2 region(s) (#000000, #ffffff), but 1 style"),
    "one region": ({"mask": "white.png", "style": "one.png"}, "mask: its single color does not divide the image"),
    "no region": ({"mask": "clear.png"}, "mask: 'clear.png' has no flat color"),
    "count": (
        {"mask": ("right.png", "soft.png", "part.png")},
        "mask: 3 files, but 2 style image(s); give one for each",
    ),
    "dark": ({"mask": ("right.png", "dark.png")}, "mask: 'dark.png' is empty: no pixel is lighter than middle"),
    "styles alone": ({"style_mask": ("colors one.jpg", "colors two.png")}, "style_mask: there are no regions; give"),
    "strength alone": ({"region_strength": (1, 2)}, "region_strength: there are no regions; give mask too"),
    "stroke alone": ({"region_style_scale": (1, 2)}, "region_style_scale: there are no regions; give mask too"),
    "strengths": (
        {"mask": "halves.png", "region_strength": (1,)},
        "region_strength: 1 number(s), but 2 region(s); give one for each",
    ),
    "strokes": (
        {"mask": "halves.png", "region_style_scale": (1, 2, 3)},
        "region_style_scale: 3 number(s), but 2 region(s)",
    ),
    "stroke 0": (
        {"mask": "halves.png", "region_style_scale": (1, 0)},
        "region_style_scale.1: input should be greater than",
    ),
    "feather": ({"mask": "halves.png", "feather": -1}, "feather: input should be greater than or equal to 0"),
    "soft pairs": (
        {"mask": ("right.png", "soft.png"), "style_mask": ("colors one.jpg", "colors two.png")},
        "style_mask: it needs one label map as mask, but mask has 2 files",
    ),
    "style masks": (
        {"mask": "colors.jpg", "style_mask": "colors one.jpg"},
        "style_mask: 1 file(s), but 2 style image(s); give one for each",
    ),
    "style proportions": (
        {"mask": "colors.jpg", "style_mask": ("colors one.jpg", "halves.png")},
        "style_mask: 'halves.png' is 96x64 pixels and its style 60x80",
    ),
    "label": (
        {"mask": "colors.jpg", "style": "two.png", "style_mask": "green two.png"},
        "style_mask: it does not contain the color #c",
    ),
    "mix": ({"mask": "halves.png", "style_mix": (1, 2)}, "style_mix: each region has its own style"),
    "number": ({"mask": 3}, "mask.0: input should be a valid string, not 3"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_that_names_the_setting(folder: Path, mistake: str) -> None:
    wrong, said = MISTAKES[mistake]
    with pytest.raises(ValueError, match=rf"^{re.escape(said)}") as caught:
        paint(wrong.get("style", TWO), **{name: value for name, value in wrong.items() if name != "style"})
    assert "\n" not in str(caught.value)


def test_a_mask_may_miss_the_proportions_by_the_rounding_of_its_size(folder: Path) -> None:
    halves(BLACK, WHITE, size=(32, 22)).save("small.png")  # 21.3 would be right
    divided(mask="small.png")
    halves(BLACK, WHITE, size=(32, 24)).save("small.png")
    with pytest.raises(ValueError, match="32x24 pixels"):
        divided(mask="small.png")

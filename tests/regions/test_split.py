"""Test masks: label maps in many formats, assignment of styles to regions, and invalid masks."""

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
from impasto.backbones import load_backbone
from impasto.config import MethodConfig, check_settings
from impasto.images import load_image, open_picture, save_image
from impasto.methods.gatys import GatysConfig
from impasto.objectives.matching import MatchingObjective
from impasto.regions.label_map import LabelMap, read_label_map
from impasto.regions.split import check_masks, split_regions
from impasto.regions.subject import Style, Subject

WIDTH, HEIGHT = 96, 64
RED, GREEN, GRAY, WHITE, BLACK = (200, 30, 40), (20, 160, 60), (128, 128, 128), (255, 255, 255), (0, 0, 0)
BACKGROUND = WHITE


def draw_discs(*discs: tuple[int, ...], size: tuple[int, int] = (192, 128), oversampling: int = 1) -> PIL.Image.Image:
    """Draw two discs on white; `oversampling` > 1 antialiases them."""
    canvas = PIL.Image.new("RGB", (size[0] * oversampling, size[1] * oversampling), BACKGROUND)
    pen = PIL.ImageDraw.Draw(canvas)
    for color, center in zip(discs, (0.27, 0.73), strict=True):
        x, y, r = center * canvas.width, canvas.height / 2, canvas.height / 4
        pen.ellipse((x - r, y - r, x + r - 1, y + r - 1), fill=color)
    return canvas.resize(size, PIL.Image.Resampling.BOX) if oversampling > 1 else canvas


def halves(left: Any, right: Any, mode: str = "RGB", size: tuple[int, int] = (WIDTH, HEIGHT)) -> PIL.Image.Image:
    picture = PIL.Image.new(mode, size, left)
    picture.paste(right, (size[0] // 2, 0, *size))
    return picture


def saved_labels(picture: PIL.Image.Image, folder: Path, suffix: str = ".png", **options: Any) -> LabelMap:
    file = folder / f"map{suffix}"
    picture.save(file, **options)
    return read_label_map(open_picture(file))


def agreement(labels: LabelMap, exact: LabelMap) -> float:
    return float((labels.index == exact.index).mean())


# label maps


SAVED: dict[str, Callable[[Path], LabelMap]] = {
    "jpeg": lambda folder: saved_labels(draw_discs(RED, GREEN), folder, ".jpg", quality=75),
    "bad jpeg": lambda folder: saved_labels(draw_discs(RED, GREEN), folder, ".jpg", quality=25, subsampling=2),
    "antialiased": lambda folder: saved_labels(draw_discs(RED, GREEN, oversampling=4), folder),
    "antialiased jpeg": lambda folder: saved_labels(draw_discs(RED, GREEN, oversampling=4), folder, ".jpg", quality=60),
    "palette": lambda folder: saved_labels(draw_discs(RED, GREEN).quantize(8, dither=PIL.Image.Dither.NONE), folder),
    "gif": lambda folder: saved_labels(draw_discs(RED, GREEN), folder, ".gif"),
    "webp": lambda folder: saved_labels(draw_discs(RED, GREEN), folder, ".webp", quality=60),
    "blurred": lambda folder: saved_labels(
        draw_discs(RED, GREEN, size=(64, 42)).resize((192, 128), PIL.Image.Resampling.BILINEAR), folder
    ),
}


@pytest.mark.parametrize("file_format", SAVED)
def test_a_label_map_is_read_correctly_from_every_file_format(file_format: str, tmp_path: Path) -> None:
    exact, labels = saved_labels(draw_discs(RED, GREEN), tmp_path), SAVED[file_format](tmp_path)
    assert len(labels.colors) == 3
    assert [labels.find(np.array(color)) for color in (RED, GREEN, WHITE)] == [0, 1, 2]
    assert agreement(labels, exact) > (0.95 if file_format == "blurred" else 0.99)


def test_labels_are_sorted_from_dark_to_light(tmp_path: Path) -> None:
    labels = saved_labels(draw_discs(WHITE, BLACK), tmp_path)  # a white disc on white is not visible
    assert labels.names() == "#000000, #ffffff"
    labels = saved_labels(draw_discs(GREEN, RED), tmp_path)
    assert labels.names() == "#c81e28, #14a03c, #ffffff"


def test_the_gray_edge_between_black_and_white_is_not_in_the_gray_region(tmp_path: Path) -> None:
    labels = saved_labels(draw_discs(BLACK, GRAY, oversampling=4), tmp_path)
    assert labels.names() == "#000000, #808080, #ffffff"
    assert not (labels.index[:, :96] == 1).any()


@pytest.mark.parametrize("times", [2, 4])
def test_an_antialiased_edge_is_not_a_region_in_an_enlarged_map(times: int, tmp_path: Path) -> None:
    edge = halves(BLACK, WHITE, size=(400, 200))
    edge.paste(GRAY, (200, 0, 201, 200))
    enlarged = edge.resize((400 * times, 200 * times), PIL.Image.Resampling.NEAREST)
    assert saved_labels(enlarged, tmp_path).names() == "#000000, #ffffff"


def test_specks_belong_to_the_region_around_them(tmp_path: Path) -> None:
    picture = halves(BLACK, WHITE, size=(400, 300))
    for x in range(20, 400, 40):
        picture.paste(RED, (x, 150, x + 2, 152))
    labels = saved_labels(picture, tmp_path)
    assert labels.names() == "#000000, #ffffff"
    assert (labels.index[:, :200] == 0).all()
    assert (labels.index[:, 200:] == 1).all()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGBA", "I;16"])
def test_a_map_of_any_bit_depth_is_read(mode: str, tmp_path: Path) -> None:
    picture = halves(0, 255, "L")
    if mode == "I;16":
        picture = PIL.Image.fromarray(np.array(picture).astype(np.uint16) * 257)
    labels = saved_labels(picture if mode == "I;16" else picture.convert(mode), tmp_path)
    assert labels.names() == "#000000, #ffffff"
    assert (labels.index[:, : WIDTH // 2] == 0).all()
    assert (labels.index[:, WIDTH // 2 :] == 1).all()


def test_transparent_pixels_belong_to_no_region(tmp_path: Path) -> None:
    labels = saved_labels(halves((*RED, 255), (*RED, 0), "RGBA"), tmp_path)
    assert labels.names() == "#c81e28"
    assert (labels.index[:, : WIDTH // 2] == 0).all()
    assert (labels.index[:, WIDTH // 2 :] == -1).all()


def test_colors_closer_than_jpeg_noise_are_one_label(tmp_path: Path) -> None:
    assert len(saved_labels(halves((100, 100, 100), (120, 100, 100)), tmp_path).colors) == 1
    assert len(saved_labels(halves((100, 100, 100), (140, 100, 100)), tmp_path).colors) == 2


def test_an_image_of_noise_is_refused(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    with pytest.raises(
        ValueError, match=r"^'map.png' has no flat color; use a label map with one flat color per region$"
    ):
        saved_labels(PIL.Image.fromarray(noise), tmp_path)


def test_a_map_with_too_many_colors_is_refused(tmp_path: Path) -> None:
    tiles = np.array([[(x * 40, y * 40, 0) for x in range(6)] for y in range(6)], np.uint8)
    picture = PIL.Image.fromarray(tiles).resize((96, 96), PIL.Image.Resampling.NEAREST)
    with pytest.raises(ValueError, match="more than 32 colors"):
        saved_labels(picture, tmp_path)


# regions


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the current folder, with a content image, two styles and many kinds of masks."""
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
    (tmp_path / "text.png").write_text("not an image")
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
    sources = [Style(load_image(style), weight / total) for style, weight in zip(styles, mix, strict=True)]
    return split_regions(config, load_image("photo.png"), sources, masks, maps, (64, 96))


def area_of(subject: Subject, k: int) -> Tensor:
    mask = subject.regions[k].mask
    assert mask is not None
    return mask


@pytest.mark.parametrize("mask", ["halves.png", "large.png"])
def test_the_dark_region_has_the_first_style_and_the_light_one_the_second(folder: Path, mask: str) -> None:
    subject = divided(mask=mask, feather=0)
    assert [region.name for region in subject.regions] == ["region1", "region2"]
    assert area_of(subject, 0)[..., :47].min() > 0.99
    assert area_of(subject, 1)[..., 49:].min() > 0.99
    dark, light = (region.styles[0].image for region in subject.regions)
    assert torch.equal(dark, load_image("one.png"))
    assert torch.equal(light, load_image("two.png"))


def test_the_masks_of_a_label_map_sum_to_one_with_any_feather(folder: Path) -> None:
    for feather in (0, 0.02, 0.2):
        subject = divided(mask="colors.jpg", feather=feather)
        assert (area_of(subject, 0) + area_of(subject, 1) - 1).abs().max() < 1e-5


def test_the_feather_is_the_width_of_the_border(folder: Path) -> None:
    row = area_of(divided(mask="halves.png", feather=0.25), 1)[0, 0, 30]
    between = ((row > 0.023) & (row < 0.977)).sum().item()
    assert between == pytest.approx(0.25 * WIDTH, abs=1)
    hard = area_of(divided(mask="halves.png", feather=0), 1)
    assert set(hard.unique().tolist()) == {0, 1}


def test_gray_masks_are_used_without_feather(folder: Path) -> None:
    subject = divided(mask=("soft.png", "right.png"), feather=0.2)
    assert (area_of(subject, 0) - load_image("soft.png")[:, :1]).abs().max() < 1e-5
    assert set(area_of(subject, 1).unique().tolist()) == {0, 1}


def test_a_gray_mask_is_zero_where_it_is_transparent(folder: Path) -> None:
    subject = divided(mask=("part.png", "right.png"))
    assert area_of(subject, 0)[..., : WIDTH // 2].min() > 0.999
    assert area_of(subject, 0)[..., WIDTH // 2 :].max() == 0


def test_a_region_has_the_areas_of_its_color_in_all_styles_that_contain_it(folder: Path) -> None:
    maps = ("colors one.jpg", "colors two.png")
    red, green = divided(mask="colors.jpg", style_mask=maps, style_mix=(1, 3)).regions
    assert [style.weight for style in red.styles] == [0.25, 0.75]
    assert [style.weight for style in green.styles] == [1]
    mask = red.styles[0].mask
    assert mask is not None
    assert mask.shape == (1, 1, 50, 70)
    assert mask[..., 37:].min() > 0.99
    assert mask[..., :33].max() < 0.01


def test_a_style_of_weight_zero_is_left_out(folder: Path) -> None:
    maps = ("colors one.jpg", "colors two.png")
    red, _ = divided(mask="colors.jpg", style_mask=maps, style_mix=(1, 0)).regions
    assert [style.weight for style in red.styles] == [1]


def test_strengths_and_style_scales_are_assigned_to_the_regions_in_order(folder: Path) -> None:
    subject = divided(mask="halves.png", region_strength=(0.5, 2), region_style_scale=(1, 3))
    assert [(region.strength, region.style_scale) for region in subject.regions] == [(0.5, 1), (2, 3)]


# the pipeline


def stylize(style: Any = ("one.png", "two.png"), **settings: Any) -> Result:
    return impasto.stylize("photo.png", style, **{"backbone": "tiny", "size": 96, "steps": 5, **settings})


def test_every_region_has_its_own_loss_terms_and_the_record_lists_the_masks(folder: Path) -> None:
    result = stylize(mask=folder / "colors.jpg", style_mask=["colors one.jpg", "colors two.png"])
    assert {name.split("/")[2] for name in result.losses if name.startswith("style/")} == {"region1", "region2"}
    inputs = [(entry.role, entry.name) for entry in result.inputs]
    assert inputs[3:] == [
        ("mask", "colors.jpg"),
        ("style_mask", "colors one.jpg"),
        ("style_mask", "colors two.png"),
    ]
    assert all(Path(str(entry.path)).is_absolute() and len(entry.sha256) == 64 for entry in result.inputs)


def test_pixels_outside_all_masks_keep_the_content(folder: Path) -> None:
    photo = load_image("photo.png")
    change = (stylize("two.png", mask="part.png", feather=0, steps=20).image - photo).abs().mean((0, 1, 2))  # (W,)
    assert change[:44].mean() > 10 * change[-40:].mean()
    assert change[-20:].mean() < 2e-3
    assert (stylize("two.png", steps=20).image - photo).abs().mean((0, 1, 2))[-20:].mean() > 0.03


def test_a_region_of_strength_0_keeps_the_content(folder: Path) -> None:
    change = (stylize(mask="halves.png", region_strength=(0, 1), feather=0).image - load_image("photo.png")).abs()
    assert change[..., 56:].mean() > 10 * change[..., :40].mean()


@pytest.mark.parametrize(("layer", "across"), [("relu1_1", 0), ("relu2_1", 2)])  # positions of 1 and 2 pixels
def test_the_gradient_of_a_style_is_inside_its_region(folder: Path, layer: str, across: int) -> None:
    config = GatysConfig(backbone="tiny", content_weight=0, precision="fp32", style_layers=(layer,))
    subject = divided(mask="halves.png", feather=0, region_strength=(0, 1))
    picture = subject.content.clone().requires_grad_()
    losses = MatchingObjective(load_backbone("tiny"), subject, config)(picture)
    (gradient,) = torch.autograd.grad(sum(losses.values()), picture)
    magnitude = gradient.abs().mean((0, 1, 2))  # (W,)
    assert magnitude[WIDTH // 2 :].min() > 0
    assert magnitude[: WIDTH // 2 - across].max() == 0


def test_another_style_in_one_region_changes_only_that_region(folder: Path) -> None:
    settings = {"mask": "halves.png", "feather": 0, "precision": "fp32"}
    change = (
        stylize(("one.png", "two.png"), **settings).image - stylize(("one.png", "mosaic"), **settings).image
    ).abs()
    assert change[..., 56:].mean() > 5 * change[..., :40].mean()


def test_color_works_with_masks(folder: Path) -> None:
    result = stylize(mask="halves.png", color="luminance", steps=2)
    photo = load_image("photo.png")
    yiq = torch.tensor([0.596, -0.274, -0.322]), torch.tensor([0.211, -0.523, 0.312])
    for axis in yiq:
        kept, own = (torch.einsum("c,bchw->bhw", axis, image) for image in (result.image, photo))
        assert torch.corrcoef(torch.stack([kept.flatten(), own.flatten()]))[0, 1] > 0.9


def test_a_result_with_masks_is_replayed_from_its_record(folder: Path, tmp_path: Path) -> None:
    result = stylize(mask="colors.jpg", style_mask=("colors one.jpg", "colors two.png"), region_style_scale=(1, 2))
    path = result.save(tmp_path / "out.png")
    assert torch.equal(impasto.replay(path).image, result.image)
    (folder / "colors.jpg").rename("moved.jpg")
    with pytest.raises(ValueError, match=r"^masks: '.*colors.jpg' is missing; give its new path$"):
        impasto.replay(path)
    assert torch.equal(impasto.replay(path, masks="moved.jpg").image, result.image)
    with pytest.raises(ValueError, match=r"^masks: 'halves.png' has changed since the record"):
        impasto.replay(path, masks=["halves.png"])
    (folder / "colors two.png").rename("elsewhere.png")
    with pytest.raises(ValueError, match=r"^style_masks: .* is missing"):
        impasto.replay(path, masks=["moved.jpg"])
    maps = ["colors one.jpg", "elsewhere.png"]
    assert torch.equal(impasto.replay(path, masks=["moved.jpg"], style_masks=maps).image, result.image)


def test_a_record_without_mask_settings_is_replayed(folder: Path) -> None:
    result = stylize()
    path = result.save(folder / "out.png")
    record = json.loads(path.with_suffix(".json").read_text())
    for name in ("mask", "style_mask", "feather", "region_strength", "region_style_scale"):
        del record["settings"][name]
    old = folder / "old.json"
    old.write_text(json.dumps(record))
    assert torch.equal(impasto.replay(old).image, result.image)


# invalid settings


TWO = ("one.png", "two.png")
INVALID: dict[str, tuple[dict[str, Any], str]] = {
    "missing": ({"mask": "nowhere.png"}, "mask: 'nowhere.png': it cannot be read: No such file or directory"),
    "not an image": ({"mask": "text.png"}, "mask: 'text.png': it is not an image in a supported format"),
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
    "too dark": ({"mask": ("right.png", "dark.png")}, "mask: 'dark.png' is empty: no pixel is lighter than middle"),
    "styles alone": ({"style_mask": ("colors one.jpg", "colors two.png")}, "style_mask: there are no regions; give"),
    "strength alone": ({"region_strength": (1, 2)}, "region_strength: there are no regions; give mask too"),
    "style scale alone": ({"region_style_scale": (1, 2)}, "region_style_scale: there are no regions; give mask too"),
    "strengths": (
        {"mask": "halves.png", "region_strength": (1,)},
        "region_strength: 1 number(s), but 2 region(s); give one for each",
    ),
    "style scales": (
        {"mask": "halves.png", "region_style_scale": (1, 2, 3)},
        "region_style_scale: 3 number(s), but 2 region(s)",
    ),
    "style scale 0": (
        {"mask": "halves.png", "region_style_scale": (1, 0)},
        "region_style_scale.1: input should be greater than",
    ),
    "feather": ({"mask": "halves.png", "feather": -1}, "feather: input should be greater than or equal to 0"),
    "gray masks with style masks": (
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
    "mix fine": ({"mask": "halves.png", "style_mix_fine": (0, 1)}, "style_mix_fine: each region has its own style"),
    "mix fine of a region": (
        {
            "mask": "colors.jpg",
            "style_mask": ("colors one.jpg", "green two.png"),
            "style_mix_fine": (0, 1),
        },
        "style_mix_fine: 2 weights, but 1 style image(s) in region1",
    ),
    "number": ({"mask": 3}, "mask.0: input should be a valid string, not 3"),
}


@pytest.mark.parametrize("case", INVALID)
def test_an_invalid_mask_is_reported_in_one_line_with_the_setting(folder: Path, case: str) -> None:
    wrong, message = INVALID[case]
    with pytest.raises(ValueError, match=rf"^{re.escape(message)}") as caught:
        stylize(wrong.get("style", TWO), **{name: value for name, value in wrong.items() if name != "style"})
    assert "\n" not in str(caught.value)


def test_the_aspect_ratio_of_a_mask_may_differ_by_rounding(folder: Path) -> None:
    halves(BLACK, WHITE, size=(32, 22)).save("small.png")  # exact: 21.3
    divided(mask="small.png")
    halves(BLACK, WHITE, size=(32, 24)).save("small.png")
    with pytest.raises(ValueError, match="32x24 pixels"):
        divided(mask="small.png")

"""Test that no invisible color has an effect, and that only the visible part of an image is measured."""

from __future__ import annotations

import base64
import io
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
from support import noise, sample
from torch import Tensor

import impasto
from impasto.cli import main
from impasto.experiments.report.pictures import input_thumbnail, output_thumbnail
from impasto.experiments.run import Task
from impasto.experiments.scoring import Scorer
from impasto.images import fill_hidden, load_image, open_picture, resize, to_pil
from impasto.methods import METHODS
from impasto.methods.optimizing import PixelMethod
from impasto.metrics.evaluate import evaluate
from impasto.pipeline.result import Result
from impasto.studio.history import History, new_key
from impasto.studio.previews import encode_jpeg

YELLOW = torch.tensor([255, 240, 120]).view(1, 3, 1, 1) / 255
COLORS = ("style", "luminance", "moments", "histogram")


def disc(height: int = 60, width: int = 80) -> Tensor:
    """Return the opacity `(1, 1, H, W)` of a disc with a hard edge."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return ((y - height / 2) ** 2 + (x - width / 2) ** 2 < (0.4 * height) ** 2).float()[None, None]


def cut_out(image: Tensor, alpha: Tensor, hidden: Tensor) -> PIL.Image.Image:
    """Return an image of Pillow with transparent pixels in other colors."""
    return to_pil(image * alpha + hidden * (1 - alpha), alpha)


def run(name: str, content: Any, style: Any, **settings: Any) -> Result:
    pixels = {"steps": 2} if issubclass(METHODS[name], PixelMethod) else {}
    backbone = {"backbone": "tiny"} if "backbone" in METHODS[name].Config.__dataclass_fields__ else {}
    defaults = {"size": 40, "device": "cpu", "precision": "fp32"}
    return impasto.stylize(content, style, name, **{**defaults, **pixels, **backbone, **settings})


@cache
def style_cut_out(shade: float) -> PIL.Image.Image:
    style = sample("mosaic", 48)
    alpha = disc(style.shape[-2], style.shape[-1])
    return cut_out(style, alpha, torch.full_like(style, shade))


@pytest.mark.parametrize("name", list(METHODS))
def test_the_hidden_colors_of_the_content_have_no_effect(name: str) -> None:
    image, alpha = noise(1, 3, 60, 80), disc()
    style = sample("mosaic", 48) if METHODS[name].any_style else "mosaic"
    black, white = (
        run(name, cut_out(image, alpha, torch.full_like(image, shade)), style).image for shade in (0.0, 1.0)
    )
    assert torch.equal(black, white)


@pytest.mark.parametrize("name", [name for name in METHODS if METHODS[name].any_style])
def test_the_hidden_colors_of_a_style_have_no_effect(name: str) -> None:
    black, white = (run(name, sample("woodcut", 48), style_cut_out(shade)).image for shade in (0.0, 1.0))
    assert torch.equal(black, white)


@pytest.mark.parametrize("color", COLORS)
@pytest.mark.parametrize("name", ["gatys", "adain"])
def test_the_hidden_colors_have_no_effect_on_any_color_setting(name: str, color: str) -> None:
    image, alpha = noise(1, 3, 60, 80), disc()
    black, white = (
        run(name, cut_out(image, alpha, torch.full_like(image, shade)), style_cut_out(shade), color=color).image
        for shade in (0.0, 1.0)
    )
    assert torch.equal(black, white)


@pytest.mark.parametrize("name", [name for name in METHODS if METHODS[name].any_style])
def test_a_style_on_a_transparent_background_gives_the_colors_of_its_visible_part(name: str) -> None:
    """The background of the style image is much larger than its visible part."""
    color = torch.tensor([0.9, 0.3, 0.1]).view(1, 3, 1, 1)
    visible = (color + 0.2 * (noise(1, 3, 48, 48, seed=3) - 0.5)).clamp(0, 1)
    style, alpha = torch.zeros(1, 3, 96, 96), torch.zeros(1, 1, 96, 96)
    style[..., 24:72, 24:72], alpha[..., 24:72, 24:72] = visible, 1
    content = noise(1, 3, 40, 48)
    steps = {"steps": 20} if issubclass(METHODS[name], PixelMethod) else {}
    opaque = run(name, content, visible, size=48, **steps)
    transparent = run(name, content, to_pil(style, alpha), size=48, style_scale=2, **steps)
    assert (opaque.image.mean((2, 3)) - transparent.image.mean((2, 3))).abs().max() < 0.16


@pytest.mark.parametrize("name", list(METHODS))
def test_a_transparent_margin_does_not_change_the_strength(name: str) -> None:
    side = 128 if name == "adain" else 48  # its receptive field is large, and the margin moves its input noise
    inner = slice(side // 2, side // 2 + side)
    image = resize(noise(1, 3, 8, 8), (side, side))
    content, alpha = torch.zeros(1, 3, 2 * side, 2 * side), torch.zeros(1, 1, 2 * side, 2 * side)
    content[..., inner, inner], alpha[..., inner, inner] = image, 1
    steps = {"steps": 20, "sizes": [side]} if issubclass(METHODS[name], PixelMethod) else {}
    cropped = run(name, image, "mosaic", size=side, **steps).image
    if steps:
        steps["sizes"] = [2 * side]
    framed = run(name, to_pil(content, alpha), "mosaic", size=2 * side, style_scale=0.5, **steps).image
    framed = framed[..., inner, inner]
    assert (cropped.mean((2, 3)) - framed.mean((2, 3))).abs().max() < 0.1
    assert (cropped.std() / framed.std()).log().abs() < 0.3


def test_the_edge_of_a_cut_out_has_no_dark_halo(tmp_path: Path) -> None:
    big = disc(600, 800)
    yellow = YELLOW.expand(1, 3, 600, 800)
    cut_out(yellow, big, torch.zeros_like(yellow)).save(tmp_path / "disc.png")
    words = ["stylize", str(tmp_path / "disc.png"), "mosaic", "--backbone", "tiny", "--size", "100", "--steps", "2"]
    assert main([*words, "--style-weight", "0", "-o", str(tmp_path / "out.png")]) == 0
    out = open_picture(tmp_path / "out.png")
    assert out.alpha is not None
    edge = (out.alpha > 0.02) & (out.alpha < 0.98)
    assert edge.any()
    assert (out.image - YELLOW).abs()[edge.expand_as(out.image)].max() < 0.02


@pytest.mark.parametrize("suffix", [".jpg", ".bmp"])
def test_a_format_without_transparency_shows_a_cut_out_on_white_without_a_halo(tmp_path: Path, suffix: str) -> None:
    yellow = YELLOW.expand(1, 3, 600, 800)
    picture = cut_out(yellow, disc(600, 800), torch.zeros_like(yellow))
    result = impasto.stylize(picture, "mosaic", backbone="tiny", size=100, steps=2, style_weight=0)
    with pytest.warns(UserWarning, match="cannot store transparency"):
        saved = load_image(result.save(tmp_path / f"out{suffix}"))
    assert saved.amin((2, 3))[0, :2].min() > 0.88  # red and green are high in yellow and in white


def shown(data: bytes) -> Tensor:
    return torch.from_numpy(np.asarray(PIL.Image.open(io.BytesIO(data)).convert("RGB")) / 255)


def test_previews_thumbnails_and_reports_show_a_cut_out_on_white(tmp_path: Path) -> None:
    yellow = YELLOW.expand(1, 3, 400, 560)
    cut_out(yellow, disc(400, 560), torch.zeros_like(yellow)).save(tmp_path / "disc.png")
    result = impasto.stylize(tmp_path / "disc.png", "mosaic", backbone="tiny", size=100, steps=2, style_weight=0)
    entry = History(tmp_path / "history").add(new_key(), result, "disc")
    picture = open_picture(tmp_path / "disc.png")
    thumbnails = [output_thumbnail(tmp_path / "disc.png", 64), input_thumbnail("disc.png", tmp_path, 64)]
    images = [entry.thumbnail.read_bytes(), encode_jpeg(picture.image, 64, picture.alpha)]
    for colors in map(shown, images):
        assert colors[..., :2].min() > 0.88
        assert colors[0, 0].min() > 0.97
    for thumbnail in thumbnails:
        assert thumbnail is not None
        assert shown(base64.b64decode(thumbnail.uri.partition(",")[2]))[..., :2].min() > 0.88


def test_the_preview_of_the_command_line_keeps_the_transparency(tmp_path: Path) -> None:
    image = noise(1, 3, 60, 80)
    cut_out(image, disc(), torch.zeros_like(image)).save(tmp_path / "disc.png")
    words = ["stylize", str(tmp_path / "disc.png"), "mosaic", "--backbone", "tiny", "--size", "40", "--steps", "2"]
    assert main([*words, "-o", str(tmp_path / "out.png"), "--preview", str(tmp_path / "now.png")]) == 0
    out, now = (open_picture(tmp_path / name) for name in ("out.png", "now.png"))
    assert now.alpha is not None
    assert torch.equal(now.alpha, out.alpha)


def test_filling_keeps_visible_pixels_and_gives_the_others_the_colors_around_them() -> None:
    image = torch.rand(1, 3, 37, 53, generator=torch.Generator().manual_seed(0))
    alpha = torch.zeros(1, 1, 37, 53)
    alpha[..., :20], alpha[..., 20:30] = 1, 0.3
    filled = fill_hidden(image, alpha)
    assert torch.allclose(filled[..., :30], image[..., :30], atol=1e-6)
    assert filled[..., 30:].min() > 0.2
    constant = torch.full((1, 3, 37, 53), 0.7)
    assert torch.allclose(fill_hidden(constant * alpha.ceil(), alpha), constant, atol=1e-4)
    assert fill_hidden(image, None) is image
    assert fill_hidden(image, torch.zeros_like(alpha)) is image


@pytest.mark.parametrize("name", list(METHODS))
def test_a_completely_transparent_picture_is_stylized_as_if_it_were_opaque(name: str) -> None:
    image = noise(1, 3, 40, 48)
    alpha = torch.zeros(1, 1, 40, 48)
    opaque, transparent = (run(name, picture, "mosaic") for picture in (to_pil(image), to_pil(image, alpha)))
    assert torch.equal(opaque.image, transparent.image)
    assert transparent.alpha is not None
    assert transparent.alpha.max() == 0


def test_a_region_that_is_invisible_is_left_out(tmp_path: Path) -> None:
    image = noise(1, 3, 48, 64)
    alpha = torch.zeros(1, 1, 48, 64)
    alpha[..., :30] = 1
    labels = np.zeros((48, 64), np.uint8)
    labels[:, 32:] = 255
    PIL.Image.fromarray(labels).save(tmp_path / "map.png")
    for name in METHODS:
        styles = ["brushstrokes", "mosaic"]
        result = run(name, to_pil(image, alpha), styles, mask=tmp_path / "map.png")
        assert result.image.isfinite().all()
    labels[:], labels[:20, 40:] = 128, 255
    PIL.Image.fromarray(np.dstack([labels, np.where(labels == 255, 255, 0).astype(np.uint8)])).save(
        tmp_path / "map.png"
    )
    with pytest.raises(ValueError, match="mask: every region is in a transparent part of the content"):
        run("gatys", to_pil(image, alpha), "mosaic", mask=tmp_path / "map.png")


def test_areas_without_a_region_keep_the_content_also_in_one_pass(tmp_path: Path) -> None:
    image = noise(1, 3, 48, 64)
    masks = []
    for i in range(2):
        gray = np.zeros((48, 64), np.uint8)
        gray[8 : 20 + 10 * i, 8:24] = 255
        PIL.Image.fromarray(gray).save(tmp_path / f"{i}.png")
        masks.append(tmp_path / f"{i}.png")
    for name in ("micro", "adain", "unrolled", "wct", "johnson"):
        output = run(name, image, ["brushstrokes", "mosaic"], mask=masks, size=0).image
        assert torch.allclose(output[..., 32:], image[..., 32:], atol=1e-5)


def test_the_hidden_colors_of_no_image_change_a_metric(tmp_path: Path) -> None:
    images = [sample(name, 64) for name in ("woodcut", "mosaic", "inkwash")]
    values = []
    for shade in (0.0, 1.0):
        sources = [cut_out(each, disc(*each.shape[-2:]), torch.full_like(each, shade)) for each in images]
        values.append(evaluate(*sources, backbone="tiny"))
        sources[2].save(tmp_path / "output.png")
        task = Task("a", "gatys", {"seed": 0}, "woodcut", "mosaic")
        values[-1] |= {"experiment": Scorer("tiny", ["content"]).score(task, load_image(tmp_path / "output.png"))[0]}
    assert values[0] == values[1]

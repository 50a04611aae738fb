"""Test the setting `outside`: one style inside a mask, and the photograph outside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
from support import noise

import impasto
from impasto.cli import main
from impasto.images import load_image, quantize, resize, save_image
from impasto.methods import METHODS
from impasto.methods.optimizing import PixelMethod


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Create a photograph, and a map that is white on the right third."""
    monkeypatch.chdir(tmp_path)
    save_image(resize(noise(1, 3, 12, 18), (48, 72)), "photo.png")
    write_map("map.png", {48: 255})
    return tmp_path


def write_map(name: str, levels: dict[int, int]) -> None:
    """Write a black map with a level from each column on."""
    labels = np.zeros((48, 72), np.uint8)
    for column, level in levels.items():
        labels[:, column:] = level
    PIL.Image.fromarray(labels).save(name)


def run(name: str, styles: Any = "mosaic", **settings: Any) -> impasto.Result:
    fields = METHODS[name].Config.__dataclass_fields__
    quick: dict[str, Any] = {"backbone": "tiny", "positions": 128, "rematch_steps": 2, "steps": 12}
    quick |= {"content_weight": 0.01} if name == "strotss" else {}  # at this size the content outweighs the style
    quick = {key: value for key, value in quick.items() if key in fields}
    defaults = {"size": 0, "outside": "keep", "device": "cpu", "precision": "fp32", "mask": "map.png"}
    return impasto.stylize("photo.png", styles, name, **{**quick, **defaults, **settings})


@pytest.mark.parametrize("color", ["style", "histogram"])
@pytest.mark.parametrize("name", list(METHODS))
def test_the_photograph_is_unchanged_outside_and_stylized_inside(name: str, color: str) -> None:
    image, photo = run(name, color=color).image, load_image("photo.png")
    assert torch.equal(quantize(image)[..., :40], quantize(photo)[..., :40])
    assert (image - photo)[..., 56:].abs().mean() > 0.01


@pytest.mark.parametrize("name", ["gatys", "micro"])
def test_every_step_shows_the_photograph_outside(name: str) -> None:
    images: list[torch.Tensor] = []
    on_step = lambda step: images.append(step.image())  # noqa: E731
    sizes = {"sizes": [36, 72]} if issubclass(METHODS[name], PixelMethod) else {}
    run(name, on_step=on_step, **sizes)
    photo = load_image("photo.png")
    for image in images:
        small = resize(photo, (image.shape[-2], image.shape[-1]))
        side = image.shape[-1] // 2
        assert torch.allclose(image[..., :side], small[..., :side], atol=1e-5)


def test_the_transition_is_a_mixture() -> None:
    hard, soft = (run("micro", feather=feather).image for feather in (0.0, 0.2))
    photo = load_image("photo.png")
    assert torch.allclose(hard[..., :47], photo[..., :47], atol=1e-5)
    assert (soft[..., 42:47] - photo[..., 42:47]).abs().mean() > 0.005


def test_every_label_but_black_has_a_style_and_its_own_values() -> None:
    write_map("map.png", {24: 128, 48: 255})
    result = run("gatys", ["mosaic", "woodcut"], region_strength=[0.5, 1])
    assert {name.rpartition("/")[2] for name in result.losses if name.startswith("style")} == {"region1", "region2"}
    with pytest.raises(ValueError, match=r"mask: 2 region\(s\) \(#808080, #ffffff\), but 1 style image"):
        run("gatys")


def test_areas_without_a_soft_mask_are_kept() -> None:
    write_map("left.png", {0: 255, 12: 0})
    write_map("right.png", {60: 255})
    image, photo = run("gatys", ["mosaic", "woodcut"], mask=["left.png", "right.png"]).image, load_image("photo.png")
    assert torch.equal(quantize(image)[..., 16:56], quantize(photo)[..., 16:56])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mask": ()}, "outside: there are no regions; give mask too"),
        ({"mask": "black.png"}, "mask: it is black everywhere; make the region white"),
        ({"mask": "white.png"}, "mask: its single color does not divide the image"),
    ],
)
def test_a_mask_without_inside_or_outside_is_an_error(settings: dict[str, Any], message: str) -> None:
    write_map("black.png", {})
    write_map("white.png", {0: 255})
    with pytest.raises(ValueError, match=message):
        run("gatys", **settings)


def test_the_command_line_and_replay_keep_the_photograph(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["photo.png", "mosaic", "--mask", "map.png", "--outside", "keep", "--size", "0", "--method", "micro"]
    assert main(["stylize", *words, "-o", "out.png"]) == 0
    assert torch.equal(load_image("out.png")[..., :40], load_image("photo.png")[..., :40])
    assert main(["replay", "out.png", "-o", "again.png"]) == 0
    assert torch.equal(load_image("out.png"), load_image("again.png"))

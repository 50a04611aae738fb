"""Test that black, dark and plain content images are stylized by every method that optimizes the pixels."""

from __future__ import annotations

import pytest
import torch
from support import noise

import impasto
from impasto.methods import METHODS
from impasto.methods.optimizing import PixelMethod

PIXEL_METHODS = [name for name in METHODS if issubclass(METHODS[name], PixelMethod)]
SHADES = {"black": (0.0, 0.0), "dark": (0.0, 0.03), "gray": (0.5, 0.0), "white": (1.0, 0.0)}


@pytest.mark.parametrize("shade", SHADES)
@pytest.mark.parametrize("name", PIXEL_METHODS)
def test_a_content_image_without_structure_is_stylized(name: str, shade: str) -> None:
    level, texture = SHADES[shade]
    content = level + texture * noise(1, 3, 32, 40)
    fields = METHODS[name].Config.__dataclass_fields__
    quick = {"backbone": "tiny", "positions": 128, "rematch_steps": 4, "steps": 10}
    quick |= {"steps": 40} if name == "gpdm" else {}  # its steps are quick, and divided between the sizes
    settings = {key: value for key, value in quick.items() if key in fields}
    image = impasto.stylize(content, "mosaic", name, size=40, device="cpu", precision="fp32", **settings).image
    assert (image - content).abs().mean() > 0.02
    assert image.std((2, 3)).mean() > 0.02
    assert torch.isfinite(image).all()

"""Test that the methods that optimize the pixels paint no frame along the border."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from support import noise

import impasto
from impasto.backbones import load_backbone
from impasto.objectives.strotss import StrotssObjective
from impasto.regions.subject import single_region

SETTINGS: dict[str, dict[str, Any]] = {
    "gatys": {},
    "bures": {},
    "sliced": {},
    "mrf": {},
    "nnst": {},
    "strotss": {"positions": 256},
    "gpdm": {},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_the_border_of_a_sky_is_painted_like_its_center(name: str) -> None:
    color = torch.tensor([0.7, 0.8, 0.9]).view(1, 3, 1, 1)
    sky = (color + 0.06 * (noise(1, 3, 48, 64) - 0.5)).clamp(0, 1)
    settings = {"steps": 20, **SETTINGS[name], **({} if name == "gpdm" else {"backbone": "tiny"})}
    image = impasto.stylize(sky, "mosaic", name, size=64, device="cpu", precision="fp32", **settings).image[0]
    ring = torch.ones(48, 64, dtype=torch.bool)
    ring[3:-3, 3:-3] = False
    center = image[:, 8:-8, 8:-8].flatten(1)
    assert (image[:, ring].mean(1) - center.mean(1)).abs().max() < 0.15
    assert image[:, ring].std(1).mean() < 1.6 * center.std(1).mean()


def test_the_border_of_a_plain_image_has_the_features_of_its_center() -> None:
    """Otherwise two sizes of one color differ, because a small image has more border."""
    color = torch.tensor([0.7, 0.8, 0.9]).view(1, 3, 1, 1)
    small, large = (color.expand(1, 3, height, width).contiguous() for height, width in ((48, 64), (96, 128)))
    objective = StrotssObjective(
        load_backbone("tiny"),
        ["image", "relu1_1", "relu2_1", "relu3_1", "relu4_1"],
        single_region(small, [large]),
        content_weight=0,
        count=256,
        resample_every=0,
        seed=0,
    )
    assert sum(loss.item() for loss in objective(small).values()) < 0.02

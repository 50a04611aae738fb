"""Test the properties that every method has."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch

import impasto
from impasto.backbones import Backbone
from impasto.backbones.lite import Lite
from impasto.methods import METHODS
from impasto.metrics.evaluate import evaluate
from impasto.pipeline.stylizer import Stylizer

EVERY = list(METHODS)
SIZES = {"strotss": 128, "adain": 128}
"""Pixels at which runs are compared; with `strotss` the content outweighs the style at 64."""
STEPS = {"strotss": 10, "gpdm": 10}
"""Steps after which the style scale is visible, where more than 3 are needed: these methods begin at a small size."""
RATIOS = {"adain": 0.95}
"""Bound of the change at low strength over that at high strength; the decoder of `adain` changes every image."""


def settings_of(method: str, **more: Any) -> dict[str, Any]:
    """Return settings for a quick run, without those that the method lacks."""
    quick: dict[str, Any] = {"size": 64, "device": "cpu", "precision": "fp32"}
    quick |= {"positions": 128, "rematch_steps": 4}  # a fifth of the time of `strotss` and half of that of `nnst`
    known = METHODS[method].Config.__dataclass_fields__
    return {"method": method, **{name: value for name, value in (quick | more).items() if name in known}}


def change_of_structure(method: str, **more: Any) -> float:
    """Return 1 - SSIM of a stylized image and its content image. The style is one that `johnson` has."""
    image = impasto.stylize("woodcut", "mosaic", **settings_of(method, **more)).image
    return 1 - evaluate("woodcut", "mosaic", image, metrics=["ssim"])["ssim"]


@pytest.mark.parametrize("method", EVERY)
def test_more_strength_changes_the_content_more(method: str) -> None:
    low, high = (
        change_of_structure(method, strength=strength, steps=10, size=SIZES.get(method, 64)) for strength in (10, 95)
    )
    assert low < RATIOS.get(method, 0.9) * high


@pytest.mark.parametrize("method", EVERY)
def test_the_style_scale_changes_the_output(method: str) -> None:
    small, large = (
        impasto.stylize(
            "woodcut",
            "mosaic",
            **settings_of(method, style_scale=scale, steps=STEPS.get(method, 3), size=SIZES.get(method, 64)),
        ).image
        for scale in (0.5, 2)
    )
    assert (small - large).abs().mean() > 1e-3


@pytest.mark.parametrize("method", EVERY)
def test_a_used_stylizer_can_be_pickled_and_copied_without_its_networks(method: str) -> None:
    stylizer = Stylizer("mosaic", **settings_of(method, steps=2, size=32, backbone="tiny"))
    size = len(pickle.dumps(stylizer))
    image = stylizer.stylize("woodcut").image
    pickled = pickle.dumps(stylizer)
    assert len(pickled) < size + 1000
    for copied in (pickle.loads(pickled), copy.deepcopy(stylizer)):
        assert torch.equal(copied.stylize("woodcut").image, image)


@pytest.mark.parametrize("method", EVERY)
def test_the_preset_of_the_paper_stylizes_with_the_settings_of_the_paper(method: str) -> None:
    result = impasto.stylize(
        *("woodcut", "mosaic", method), preset="paper", size=48, precision="fp32", on_step=lambda step: step.index < 2
    )
    assert result.settings["preset"] == "paper"
    assert result.image.isfinite().all()
    for name, value in METHODS[method].paper.items():
        assert result.settings[name] == (list(value) if isinstance(value, tuple) else value), name


@pytest.mark.parametrize("method", EVERY)
def test_a_stylizer_loads_its_network_once_and_the_same_seed_gives_the_same_image_after_any_other(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every method works with the bundled weights."""
    loaded: list[Backbone] = []
    convolutions = Lite.convolutions

    def count_loads(self: Lite) -> Any:
        loaded.append(self)
        return convolutions(self)

    monkeypatch.setattr(Lite, "convolutions", count_loads)
    settings = settings_of(method, size=40, steps=2)
    stylizer = Stylizer("mosaic", **settings)
    assert loaded == []
    results = [stylizer.stylize(content) for content in ("woodcut", "inkwash", "woodcut")]
    has_network = method in ("adain", "unrolled", "wct") or "backbone" in METHODS[method].Config.__dataclass_fields__
    assert len(loaded) == has_network
    alone = impasto.stylize("inkwash", "mosaic", **settings)
    assert alone.settings.get("backbone") in ("lite", None)
    assert alone.image.shape[-1] == 40
    assert torch.equal(results[1].image, alone.image)
    assert results[1].losses == alone.losses
    assert torch.equal(results[0].image, results[2].image)
    assert not torch.equal(results[0].image, results[1].image)

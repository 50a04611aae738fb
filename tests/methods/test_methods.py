"""What is asked of every method."""

from __future__ import annotations

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
SEEN = {"strotss": 128}  # at 64 pixels its content outweighs all else
LOSSY = ("adain",)  # at no strength does it give back a woodcut


def settings_of(method: str, **more: Any) -> dict[str, Any]:
    """A quick painting; what a method cannot be told is left out. The style is mosaic, which `johnson` knows."""
    wanted = {"size": 64, "device": "cpu", "precision": "fp32"} | more
    known = METHODS[method].Config.__dataclass_fields__
    return {"method": method, **{name: value for name, value in wanted.items() if name in known}}


def changed(method: str, **more: Any) -> float:
    """How far the painting went from the structure of the photograph."""
    image = impasto.stylize("woodcut", "mosaic", **settings_of(method, **more)).image
    return 1 - evaluate("woodcut", "mosaic", image, metrics=["ssim"])["ssim"]


@pytest.mark.parametrize("method", EVERY)
def test_more_strength_goes_farther_from_the_photograph(method: str) -> None:
    mild, strong = (changed(method, strength=s, steps=24, size=SEEN.get(method, 64)) for s in (10, 95))
    assert mild < (0.95 if method in LOSSY else 0.9) * strong


@pytest.mark.parametrize("method", EVERY)
def test_stroke_changes_the_picture(method: str) -> None:
    small, large = (
        impasto.stylize(
            "woodcut", "mosaic", **settings_of(method, style_scale=style_scale, steps=20, size=SEEN.get(method, 64))
        ).image
        for style_scale in (0.5, 2)
    )
    assert (small - large).abs().mean() > 1e-3


@pytest.mark.parametrize("method", EVERY)
def test_the_same_seed_gives_the_same_picture(method: str) -> None:
    first, again = (impasto.stylize("woodcut", "mosaic", **settings_of(method, steps=4)).image for _ in range(2))
    assert torch.equal(first, again)


@pytest.mark.parametrize("method", EVERY)
def test_the_preset_of_the_paper_paints(method: str) -> None:
    more = {"steps": 4, "sizes": [64], "style_layers": ["relu1_1"], "layer_weights": [1]}
    known = METHODS[method].Config.__dataclass_fields__
    some = {name: value for name, value in more.items() if name in known}
    result = impasto.stylize("woodcut", "mosaic", preset="paper", **settings_of(method, **some))
    assert result.settings["preset"] == "paper"
    for name, value in METHODS[method].paper.items():
        if name not in some:
            assert result.settings[name] == (list(value) if isinstance(value, tuple) else value), name


@pytest.mark.parametrize("method", EVERY)
def test_every_method_paints_without_weights_from_outside(method: str) -> None:
    result = impasto.stylize("woodcut", "mosaic", **settings_of(method, steps=2, size=48, sizes=[48]))
    assert result.image.shape[-1] == 48
    assert result.settings.get("backbone") in ("lite", None)


@pytest.mark.parametrize("method", EVERY)
def test_a_painter_reads_its_network_once_and_each_picture_comes_out_as_if_it_were_the_only_one(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Backbone] = []
    convolutions = Lite.convolutions

    def counted(self: Lite) -> Any:
        read.append(self)
        return convolutions(self)

    monkeypatch.setattr(Lite, "convolutions", counted)
    settings = settings_of(method, size=40, steps=2)
    stylizer = Stylizer("mosaic", **settings)
    assert read == []
    paintings = [stylizer.stylize(photograph) for photograph in ("woodcut", "inkwash", "woodcut")]
    encodes = method in ("adain", "wct") or "backbone" in METHODS[method].Config.__dataclass_fields__
    assert len(read) == encodes
    alone = impasto.stylize("inkwash", "mosaic", **settings)
    assert torch.equal(paintings[1].image, alone.image)
    assert paintings[1].losses == alone.losses
    assert torch.equal(paintings[0].image, paintings[2].image)
    assert not torch.equal(paintings[0].image, paintings[1].image)

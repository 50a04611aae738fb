"""Test the quality at one loss scale with real weights and real images."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from impasto import Result, load_image, stylize
from impasto.backbones import load_backbone
from impasto.images import quantize
from impasto.losses.content import ContentLoss
from impasto.losses.gram import GramLoss
from impasto.objectives.objective import Objective, match

pytestmark = [pytest.mark.slow, pytest.mark.shared]
SIZE = 256


@pytest.fixture(scope="module")
def pair(shared_images: Path, real_weights: Path) -> tuple[str, str]:
    return str(shared_images / "content" / "tubingen.jpg"), str(shared_images / "style" / "starry_night.jpg")


@pytest.fixture(scope="module")
def converged(pair: tuple[str, str]) -> Result:
    return stylize(*pair, size=SIZE, loss_scales=1, tolerance=0.01, backbone="vgg19-caffe")


def total_loss(image: torch.Tensor, pair: tuple[str, str]) -> float:
    """Return the total loss in fp32, computed independently of the method."""
    backbone = load_backbone("vgg19-caffe")
    content, style = (load_image(path, size=SIZE) for path in pair)
    deep, layers = backbone.content_layers, backbone.style_layers
    with torch.no_grad():
        objective = Objective(
            backbone,
            [
                *match("content", ContentLoss(), [backbone.encode(content, deep)], deep, 1.0),
                *match("style", GramLoss(), [backbone.encode(style, layers)], layers, 100.0),
            ],
        )
        return sum(loss.item() for loss in objective(image).values())


def test_the_loss_at_convergence_is_within_10_percent_of_that_after_500_steps(
    converged: Result, pair: tuple[str, str]
) -> None:
    long = stylize(*pair, size=SIZE, loss_scales=1, steps=500, backbone="vgg19-caffe")

    assert converged.stopped == "converged"
    assert converged.evaluations < 500
    assert total_loss(converged.image, pair) < 1.1 * total_loss(long.image, pair)


def test_the_saved_image_has_the_loss_of_the_optimizer(
    converged: Result, pair: tuple[str, str], tmp_path: Path
) -> None:
    path = converged.save(tmp_path / "out.png")
    reached = min(sum(point.losses.values()) for point in converged.curve)

    assert total_loss(load_image(path), pair) == pytest.approx(reached, rel=0.05)
    assert torch.equal(load_image(path), quantize(converged.image))


def test_the_style_is_transferred_and_the_content_is_kept(converged: Result, pair: tuple[str, str]) -> None:
    content = load_image(pair[0], size=SIZE)

    assert total_loss(converged.image, pair) < 0.1 * total_loss(content, pair)
    gray = converged.image.mean(1).flatten(), content.mean(1).flatten()
    assert torch.corrcoef(torch.stack(gray))[0, 1] > 0.5


@pytest.fixture(scope="module")
def by_lite(pair: tuple[str, str]) -> Result:
    return stylize(*pair, size=SIZE, loss_scales=1, steps=100)


def test_the_loss_with_lite_is_close_to_vgg(by_lite: Result, converged: Result, pair: tuple[str, str]) -> None:
    content = load_image(pair[0], size=SIZE)
    assert by_lite.settings["backbone"] == "lite"
    lite, vgg, untouched = (total_loss(image, pair) for image in (by_lite.image, converged.image, content))
    assert vgg < lite < vgg + 0.15 * (untouched - vgg)  # random features leave more than 0.33


def test_polishing_reduces_the_loss_of_vgg(by_lite: Result, pair: tuple[str, str]) -> None:
    polished = stylize(*pair, size=SIZE, loss_scales=1, steps=100, polish=10)
    assert total_loss(polished.image, pair) < 0.8 * total_loss(by_lite.image, pair)

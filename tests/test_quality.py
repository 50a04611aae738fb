"""The main job on real weights and real pictures: what the defaults reach, and that the file holds it."""

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
def by_default(pair: tuple[str, str]) -> Result:
    return stylize(*pair, size=SIZE, backbone="vgg19-caffe")


def graded(image: torch.Tensor, pair: tuple[str, str]) -> float:
    """Total loss in fp32, written down a second time."""
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


def test_the_defaults_end_within_a_tenth_of_the_loss_that_500_evaluations_reach(
    by_default: Result, pair: tuple[str, str]
) -> None:
    long = stylize(*pair, size=SIZE, steps=500, backbone="vgg19-caffe")

    assert by_default.stopped == "converged"
    assert by_default.evaluations < 500
    assert graded(by_default.image, pair) < 1.1 * graded(long.image, pair)


def test_the_saved_picture_has_the_loss_that_the_optimizer_saw(
    by_default: Result, pair: tuple[str, str], tmp_path: Path
) -> None:
    path = by_default.save(tmp_path / "out.png")
    seen = min(sum(point.losses.values()) for point in by_default.curve)

    assert graded(load_image(path), pair) == pytest.approx(seen, rel=0.05)
    assert torch.equal(load_image(path), quantize(by_default.image))


def test_the_style_arrives_and_the_content_stays(by_default: Result, pair: tuple[str, str]) -> None:
    content = load_image(pair[0], size=SIZE)

    assert graded(by_default.image, pair) < 0.1 * graded(content, pair)
    gray = by_default.image.mean(1).flatten(), content.mean(1).flatten()
    assert torch.corrcoef(torch.stack(gray))[0, 1] > 0.5


@pytest.fixture(scope="module")
def by_lite(pair: tuple[str, str]) -> Result:
    return stylize(*pair, size=SIZE, steps=100)


def test_the_bundled_network_paints_what_vgg_would(by_lite: Result, by_default: Result, pair: tuple[str, str]) -> None:
    content = load_image(pair[0], size=SIZE)
    assert by_lite.settings["backbone"] == "lite"
    lite, vgg, untouched = (graded(image, pair) for image in (by_lite.image, by_default.image, content))
    assert vgg < lite < vgg + 0.15 * (untouched - vgg)  # random features leave more than a third


def test_polishing_takes_the_picture_nearer_to_what_vgg_wants(by_lite: Result, pair: tuple[str, str]) -> None:
    polished = stylize(*pair, size=SIZE, steps=100, polish=10)
    assert graded(polished.image, pair) < 0.8 * graded(by_lite.image, pair)

"""Test the objective in tiles: losses and gradient are those of the whole image."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy

import pytest
import torch
from support import noise
from torch import Tensor

from impasto import allocator
from impasto.allocator import keep_large_blocks, large_blocks
from impasto.backbones import Backbone
from impasto.backbones.tiling import LayerStatistic, whole_features
from impasto.features.tiles import overlapping_tiles
from impasto.losses import LOSSES
from impasto.objectives.matching import MatchingObjective, ObjectiveSettings, style_losses
from impasto.optim.descent import evaluate
from impasto.regions.subject import Region, Style, Subject
from impasto.types import Features

SHAPE = (91, 74)  # odd, and no multiple of a stride
LAYERS = {"content_layers": ("relu3_1",), "style_layers": ("relu1_1", "relu2_1", "relu4_1")}  # need a margin of 24
SETTINGS = {**LAYERS, "edge_weight": 10.0, "tv_weight": 1.0}


def in_tiles(backbone: Backbone, side: int) -> Backbone:
    tiled = copy(backbone)
    tiled.tile = side
    return tiled


def subject_of(masks: bool = False) -> Subject:
    """Return a subject with two styles; with masks, one that has two regions with soft borders and a masked style."""
    content = noise(1, 3, *SHAPE, seed=1)
    styles = (Style(noise(1, 3, 120, 91, seed=2), 0.25), Style(noise(1, 3, 60, 130, seed=3), 0.75))
    if not masks:
        return Subject(content, (Region(styles),))
    ramp = torch.linspace(-1, 2, SHAPE[1]).clamp(0, 1).expand(1, 1, *SHAPE)
    part = (noise(1, 1, 60, 130, seed=4) > 0.3).float()
    second = Style(noise(1, 3, 60, 130, seed=3), 1.0, part)
    return Subject(content, (Region(styles, "left", ramp), Region((second,), "right", 1 - ramp, strength=2.0)))


def assert_same(backbone: Backbone, subject: Subject, settings: ObjectiveSettings, side: int) -> None:
    """Assert that an objective in tiles has the losses and the gradient of the one of the whole image."""
    image = noise(1, 3, *SHAPE, seed=5)
    losses, gradient = evaluate(MatchingObjective(backbone, subject, settings), image)
    tiled_losses, tiled = evaluate(MatchingObjective(in_tiles(backbone, side), subject, settings), image)
    assert tiled_losses == pytest.approx(losses, rel=1e-4, abs=1e-9)
    assert (tiled - gradient).norm() <= 1e-5 * gradient.norm()


@pytest.mark.parametrize("masks", [False, True])
@pytest.mark.parametrize("loss", style_losses())
def test_losses_and_gradient_in_tiles_are_those_of_the_whole_image(loss: str, masks: bool, load_random) -> None:
    layers = {"style_layers": ("relu3_1", "relu4_1")} if loss == "patches" else {}
    settings = ObjectiveSettings(style_loss=loss, **{**SETTINGS, **layers})
    # A difference of moments amplifies the rounding of fp32, as does the root of a small eigenvalue.
    dtype = torch.float64 if loss in ("bures", "moments") else torch.float32
    assert_same(load_random("tiny", dtype=dtype), subject_of(masks), settings, 32)


@pytest.mark.parametrize("side", [16, 40, 73, 90, 91, 1000])
def test_any_size_of_the_tiles_gives_the_gradient_of_the_whole_image(side: int, load_random) -> None:
    assert_same(load_random("tiny"), subject_of(), ObjectiveSettings(**SETTINGS), side)


@pytest.mark.parametrize("pooling", ["max", "average"])
@pytest.mark.parametrize("name", ["lite", "resnet50", "squeezenet1_1"])
def test_any_network_is_tiled_exactly(name: str, pooling: str, load_random) -> None:
    backbone = load_random(name, pooling=pooling)
    layers = backbone.style_layers[:3]
    assert_same(backbone, subject_of(), ObjectiveSettings(style_layers=layers, content_layers=layers[2:]), 40)


@pytest.mark.parametrize("loss", ["total_variation", "total_variation_l1", "total_variation_isotropic"])
def test_smoothness_losses_are_the_same_in_tiles(loss: str, load_random) -> None:
    assert_same(load_random("tiny"), subject_of(), ObjectiveSettings(**{**SETTINGS, "tv_loss": loss}), 32)


def test_features_in_tiles_are_those_of_the_whole_image(load_random) -> None:
    backbone, image = load_random("tiny"), noise(1, 3, *SHAPE, seed=5)
    layers = [*backbone.style_layers, "pool2", "image"]
    whole, tiled = backbone.encode(image, layers), in_tiles(backbone, 32).encode(image, layers)
    assert set(whole) == set(tiled)
    for layer, maps in whole.items():
        assert (tiled[layer] - maps).abs().max() <= 1e-5 * maps.abs().max()


def test_the_network_receives_no_image_larger_than_a_tile_and_its_margin(load_random) -> None:
    shapes = []
    backbone = in_tiles(load_random("tiny"), 32)
    features = backbone._features

    def record(image, layers):
        shapes.append(tuple(image.shape[-2:]))
        return features(image, layers)

    backbone._features = record
    gram = LayerStatistic("relu3_1", LOSSES["gram"]().statistic, (None,), is_mean=True)
    image = noise(1, 3, *SHAPE, seed=5).requires_grad_()
    backbone.statistics(image, [gram])[0].sum().backward()
    assert len(set(shapes)) == 1  # a convolution prepares its weights for one size
    assert max(shapes[0]) <= 32 + 2 * 12
    assert len(shapes) == 2 * 3 * 3


def test_a_statistic_that_is_no_mean_receives_the_whole_features(load_random) -> None:
    backbone, image = in_tiles(load_random("tiny"), 32), noise(1, 3, *SHAPE, seed=5)
    (maps,) = backbone.statistics(image, [LayerStatistic("relu2_1", whole_features)])
    assert maps.shape[-2:] == (45, 37)


@pytest.mark.parametrize("length", [17, 100, 333, 512])
@pytest.mark.parametrize("side", [1, 20, 64, 511])
def test_the_cores_of_tiles_cover_the_image_once_with_margins_of_the_receptive_field(length: int, side: int) -> None:
    tiles = overlapping_tiles((length, length), side, before=70, after=30, stride=16)
    covered = torch.zeros(length, length)
    for tile in tiles:
        span = tile.rows
        covered[tile.rows.core_first : tile.rows.core_last, tile.columns.core_first : tile.columns.core_last] += 1
        assert span.first % 16 == span.core_first % 16 == 0
        assert span.first == 0 or span.core_first - span.first >= 70
        assert span.last == length if span.is_last else span.last - span.core_last >= 30
    assert (covered == 1).all()
    assert len({tuple(tile.crop(covered).shape) for tile in tiles}) == 1


def test_large_blocks_of_networks_are_kept_and_those_of_the_gradient_are_not(
    load_random, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = allocator._LargeBlocks()
    zeros_like, of_networks, of_gradients = torch.zeros_like, [], []

    def recording_features(image: Tensor, layers: Sequence[str]) -> Features:
        of_networks.append(blocks.kept)
        return features(image, layers)

    def recording_zeros(tensor: Tensor) -> Tensor:
        if tensor.shape[-2:] == SHAPE:
            of_gradients.append(blocks.kept)
        return zeros_like(tensor)

    backbone = in_tiles(load_random("tiny"), 48)
    features = backbone._features
    monkeypatch.setattr(allocator, "_large_blocks", blocks)
    monkeypatch.setattr(allocator, "_set_most_mapped_blocks", lambda count: None)
    keep_large_blocks()
    with large_blocks(kept=False):
        objective = MatchingObjective(backbone, subject_of(), ObjectiveSettings(**LAYERS))
        monkeypatch.setattr(backbone, "_features", recording_features)
        monkeypatch.setattr(torch, "zeros_like", recording_zeros)
        evaluate(objective, noise(1, 3, *SHAPE, seed=5))
        assert not blocks.kept
    assert blocks.kept
    assert len(of_networks) >= 8  # at least two passes over four tiles
    assert all(of_networks)
    assert of_gradients == [False]

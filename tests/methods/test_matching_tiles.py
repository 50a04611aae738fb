"""Test the matching methods in tiles: the output, its seams, the choice of the tiles, and the record."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from support import noise, sample
from torch import Tensor

import impasto
from impasto.backbones import load_backbone
from impasto.backbones.tile_workers import TileWorkers
from impasto.cli import main
from impasto.devices import pick_device
from impasto.executors import LocalProcesses, RayCluster
from impasto.images import resize
from impasto.methods import METHODS, configure
from impasto.methods.optimizing import LARGEST_BYTES, LARGEST_TILE, OTHER_BYTES, SMALLEST_TILE, PixelMethod, chosen_tile
from impasto.regions.subject import single_region

TINY: dict[str, Any] = {"backbone": "tiny", "device": "cpu", "precision": "fp32"}
LAYERS = {"content_layers": ["relu3_1"], "style_layers": ["relu1_1", "relu2_1", "relu3_1"]}  # need a margin of 12
SIDE = 40


def output(tile: int | str | None, content: Tensor | str = "woodcut", **settings: Any) -> impasto.Result:
    return impasto.stylize(content, "mosaic", **{**TINY, **LAYERS, "size": 97, "steps": 20, "tile": tile, **settings})


@pytest.fixture
def little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("impasto.methods.optimizing.free_memory", lambda device: 4 * 10**6)  # suffices for 40x40 pixels
    monkeypatch.setattr("impasto.methods.optimizing.SMALLEST_TILE", SIDE)


@pytest.mark.parametrize("settings", [{}, {"optimizer": "adam"}, {"strength": 60.0}])
def test_the_output_in_tiles_is_the_output_without_tiles_and_has_no_seams(settings: dict[str, Any]) -> None:
    whole, tiled = (output(tile, **settings).image for tile in (0, SIDE))
    difference = (whole - tiled).abs()
    assert 0 < difference.mean() < 1e-3  # equal outputs would mean that it was not tiled
    columns = difference.mean((0, 1, 2))
    assert columns[28:36].mean() < 5 * columns.mean()  # the first two tiles meet at column 32


@pytest.mark.slow
def test_the_output_of_lite_in_tiles_is_the_output_without_tiles() -> None:
    # L-BFGS amplifies rounding errors: it would magnify a change of the content image by 1e-6 more than that by tiles.
    settings = {"backbone": "lite", "size": 256, "content_layers": [], "style_layers": [], "optimizer": "adam"}
    whole, tiled = (output(tile, **settings).image for tile in (0, 144))
    assert 0 < (whole - tiled).abs().mean() < 1e-3


def test_masks_and_two_styles_are_the_same_in_tiles() -> None:
    mask = torch.zeros(1, 3, 76, 96)
    mask[..., 30:] = 1
    pictures = {"mask": [mask, 1 - mask], "size": 80, "steps": 8}
    whole, tiled = (
        impasto.stylize("woodcut", ["mosaic", "brushstrokes"], **{**TINY, **LAYERS, **pictures, "tile": tile}).image
        for tile in (0, SIDE)
    )
    assert 0 < (whole - tiled).abs().max() < 1e-3


def test_tiles_are_used_by_default_where_memory_requires_them(little_memory: None) -> None:
    result = output(None)
    assert result.settings["tile"] == SIDE
    assert torch.equal(result.image, output(SIDE).image)


def test_no_tiles_are_used_by_default_where_memory_suffices() -> None:
    result = output("auto", steps=2)
    assert result.settings["tile"] == 0
    assert torch.equal(result.image, output(0, steps=2).image)


def test_a_replay_uses_the_tiles_of_the_record(tmp_path: Path, little_memory: None, monkeypatch: Any) -> None:
    first = output(None, size=64, steps=4)
    first.save(tmp_path / "out.png")
    monkeypatch.undo()  # enough memory
    again = impasto.replay(tmp_path / "out.png")
    assert again.settings["tile"] == SIDE
    assert torch.equal(first.image, again.image)


def test_a_stylizer_chooses_the_tiles_of_each_content_image(little_memory: None) -> None:
    stylizer = impasto.Stylizer("mosaic", **TINY, **LAYERS, size=0, steps=1)
    sizes = [32, 97, 32]
    results = [stylizer.stylize(resize(sample("woodcut"), (size, size))) for size in sizes]
    assert [result.settings["tile"] for result in results] == [0, SIDE, 0]


def test_a_tile_smaller_than_its_margins_is_refused_with_the_smallest_useful_side(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words = ["stylize", "woodcut", "mosaic", "--backbone", "tiny", "--size", "97", "--steps", "2"]
    output = tmp_path / "out.png"
    assert main([*words, "--tile", "8", "-o", str(output)]) == 2
    err = capsys.readouterr().err
    found = re.fullmatch(
        r"impasto: --tile: 8 pixels are less than the margins of a tile, .*; give at least (\d+), or auto\n",
        err,
    )
    assert found is not None, err
    assert list(tmp_path.iterdir()) == []
    assert main([*words, "--tile", found[1], "-o", str(output)]) == 0


@pytest.mark.parametrize("name", ["lite", "resnet50", "squeezenet1_1", "vgg19"])
def test_no_network_needs_as_much_memory_as_is_assumed_of_an_image_that_is_not_counted(name: str, load_random) -> None:
    assert load_random(name).bytes_per_pixel() + OTHER_BYTES < LARGEST_BYTES


def test_the_memory_of_a_small_image_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    networks = [load_backbone("tiny")]
    monkeypatch.setattr(type(networks[0]), "bytes_per_pixel", lambda _: pytest.fail("it was counted"))
    monkeypatch.setattr("impasto.methods.optimizing.free_memory", lambda device: 2**30)
    assert chosen_tile(networks, (128, 128)) == 0


def test_the_tiles_become_smaller_with_the_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    networks, sides = [load_backbone("tiny")], []
    for free in (128, 8, 2, 0.01):
        monkeypatch.setattr("impasto.methods.optimizing.free_memory", lambda device, free=free: int(free * 2**30))
        sides.append(chosen_tile(networks, (6144, 8192)))
    assert sides[0] == 0
    assert sides[1] > sides[2] > sides[3] == SMALLEST_TILE
    assert sides[1] < LARGEST_TILE


def test_workers_of_other_machines_do_not_share_the_memory_of_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    networks = [load_backbone("tiny")]
    monkeypatch.setattr("impasto.methods.optimizing.free_memory", lambda device: 4 * 2**30)
    sides = []
    for executor in (LocalProcesses(), RayCluster("10.0.0.1:6379")):
        method = METHODS["gatys"](configure("gatys", {**TINY, "size": 8192}))
        found = method.in_workers(TileWorkers(executor, 16)).resolved(noise(1, 3, 48, 64))
        sides.append(found.config.tile)
    assert sides[0] < sides[1] == chosen_tile(networks, (6144, 8192), 16)


def test_workers_compute_on_the_device_and_in_the_precision_of_the_record(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[Any] = []
    workers = TileWorkers(LocalProcesses(), 2)
    monkeypatch.setattr(workers, "compute", loaded.append)
    for has_bf16 in (True, False):
        monkeypatch.setattr("impasto.devices._has_native_bf16", lambda device, found=has_bf16: found)
        settings = {"backbone": "tiny", "size": 48, "tile": 40, "device": "auto", "precision": "auto"}
        method = METHODS["gatys"](configure("gatys", {**settings, **LAYERS})).in_workers(workers)
        subject = single_region(noise(1, 3, 48, 64), [noise(1, 3, 48, 64)])
        assert isinstance(method, PixelMethod)
        method.objectives(subject, method.schedule(subject))
    device = str(pick_device("auto"))
    sent = [load.args[0] for load in loaded]
    assert [(each.device, each.precision) for each in sent] == [(device, "bf16"), (device, "fp32")]

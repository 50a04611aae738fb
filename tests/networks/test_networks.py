"""Test the sizes of the networks and the bundled weights files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch import nn

from impasto.backbones import load_chain
from impasto.config import check_settings
from impasto.methods.johnson import JohnsonMethod
from impasto.networks.adain import LAYER
from impasto.networks.decoder import Decoder
from impasto.networks.johnson import Johnson
from impasto.networks.micro import Micro
from impasto.networks.sample_networks import sample_networks
from impasto.networks.unrolled import LearnedSteps
from impasto.networks.wct import LAYERS
from impasto.networks.weights_io import backbone_of, load_weights, read_metadata
from impasto.training.recipes import RECIPES

BUNDLED = sorted({*JohnsonMethod.folder.glob("*.safetensors")} - {*sample_networks().values()})


def network_of(file: Path) -> nn.Module:
    """Return the network whose weights a file holds, with random weights."""
    method = file.stem.partition("-")[0]
    if method == "micro":
        return Micro()
    if method == "johnson":
        return Johnson()
    encoder = load_chain(backbone_of(file))
    if method == "unrolled":
        return LearnedSteps(encoder)
    if method == "adain":
        return Decoder(LAYER, encoder.widths)
    return nn.ModuleDict({layer: Decoder(layer, encoder.widths) for layer in LAYERS})


DISTILLED = ("lite", "lowrank")
"""Loss networks, which derive from VGG-19; tests/backbones and tests/training check them."""


@pytest.mark.parametrize("file", BUNDLED, ids=lambda file: file.stem)
def test_a_bundled_file_names_its_license_recipe_and_settings(file: Path) -> None:
    metadata = read_metadata(file)
    assert metadata["license"] == ("CC BY 4.0" if file.stem in (*DISTILLED, "unrolled") else "MIT")
    assert metadata["recipe"] == file.stem.partition("-")[0]
    assert {"settings", "steps", "losses", "pictures", "impasto", "torch"} <= set(metadata)
    settings = json.loads(metadata["settings"])
    check_settings(RECIPES[metadata["recipe"]].Config, metadata["recipe"], settings)  # under their current names


@pytest.mark.parametrize("file", [file for file in BUNDLED if file.stem not in DISTILLED], ids=lambda file: file.stem)
def test_a_bundled_file_holds_every_parameter_of_its_network_in_fp16_and_nothing_else(file: Path) -> None:
    network = network_of(file)
    load_weights(network, file)
    with safe_open(file, framework="pt") as opened:
        assert set(opened.keys()) == set(network.state_dict())
        for name, parameter in network.state_dict().items():
            stored = opened.get_tensor(name)
            assert stored.dtype is torch.float16
            assert torch.equal(stored.float(), parameter)


def test_micro_has_fewer_than_500_000_parameters() -> None:
    assert sum(weight.numel() for weight in Micro().parameters()) < 500_000


def test_the_light_network_is_half_as_wide_and_as_large_as_published() -> None:
    light, full = (sum(weight.numel() for weight in Johnson(width).parameters()) for width in ("light", "full"))
    assert 420_000 < light < 430_000
    assert 1_670_000 < full < 1_690_000

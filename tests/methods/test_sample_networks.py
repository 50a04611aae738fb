"""Test the bundled networks of sample styles: their choice by the style image, their records and their files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from support import sample

import impasto
from impasto.cli import main
from impasto.methods.micro import MicroMethod
from impasto.networks.sample_networks import sample_network_of, sample_networks
from impasto.networks.weights_io import read_metadata, read_tensors
from impasto.samples import STYLES, installed_file

SMALL = {"method": "micro", "device": "cpu", "precision": "fp32", "size": 64}
NAME = "mosaic"
"""A style that has a network."""


def test_a_sample_style_alone_uses_its_network_and_the_picture_is_replayed(tmp_path: Path) -> None:
    result = impasto.stylize("woodcut", NAME, **SMALL)
    result.save(tmp_path / "a.png")
    assert (result.settings["weights"], result.weights["name"]) == (NAME, f"micro-{NAME}.safetensors")
    assert NAME in str(result.note)
    assert torch.equal(impasto.replay(tmp_path / "a.png").image, result.image)
    assert torch.equal(impasto.stylize("woodcut", weights=NAME, **SMALL).image, result.image)  # the style is in it


def test_a_copy_of_the_image_is_the_same_style(tmp_path: Path) -> None:
    copy = shutil.copy(installed_file(STYLES[NAME]), tmp_path / "other.jpg")
    assert impasto.stylize("woodcut", copy, **SMALL).settings["weights"] == NAME


def test_a_copy_of_a_bundled_file_is_read_in_another_folder(tmp_path: Path) -> None:
    copy = shutil.copy(sample_networks()[NAME], tmp_path / "copy.safetensors")
    expected = impasto.stylize("woodcut", weights=NAME, **SMALL).image
    assert torch.equal(impasto.stylize("woodcut", weights=copy, **SMALL).image, expected)


def test_a_network_that_a_sample_gets_later_does_not_change_a_replay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("impasto.methods.micro.sample_network_of", lambda _: None)  # it has none yet
        result = impasto.stylize("woodcut", NAME, **SMALL)
    result.save(tmp_path / "a.png")
    assert torch.equal(impasto.replay(tmp_path / "a.png").image, result.image)


def test_weights_select_another_network() -> None:
    own = impasto.stylize("woodcut", NAME, **SMALL)
    for weights in ("micro", MicroMethod.bundled):
        other = impasto.stylize("woodcut", NAME, weights=weights, **SMALL)
        assert (other.weights["name"], other.note) == ("micro.safetensors", None)
        assert not torch.equal(other.image, own.image)
    with pytest.raises(ValueError, match="'nothing' cannot be read"):
        impasto.stylize("woodcut", NAME, weights="nothing", **SMALL)
    with pytest.raises(ValueError, match=f"were adapted to {NAME}"):
        impasto.stylize("woodcut", "inkwash", weights=NAME, **SMALL)


def test_other_styles_several_styles_and_colors_by_moments_use_the_network_for_any_style() -> None:
    several = impasto.stylize("woodcut", [NAME, "inkwash"], **SMALL)
    moments = impasto.stylize("woodcut", NAME, color="moments", **SMALL)
    memory = impasto.stylize("woodcut", sample(NAME, 64), **SMALL)
    assert {each.settings["weights"] for each in (several, moments, memory)} == {"micro"}
    assert sample_network_of("0" * 64) is None


@pytest.mark.parametrize("name", sample_networks())
def test_a_file_has_the_changed_tensors_and_says_how_it_was_trained(name: str) -> None:
    file = sample_networks()[name]
    base, own, metadata = dict(read_tensors(MicroMethod.bundled)), dict(read_tensors(file)), read_metadata(file)
    assert own.keys() <= base.keys()
    assert not any(torch.equal(tensor, base[key]) for key, tensor in own.items())
    assert not any(key.startswith("style_encoder") for key in own)
    assert json.loads(metadata["styles"]) == [{"name": name}]
    assert {"settings", "steps", "losses", "source"} <= metadata.keys()
    assert metadata["license"] == "MIT"
    assert file.stat().st_size < 800_000


def test_the_command_names_the_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["stylize", "woodcut", NAME, "--method", "micro", "--size", "64", "-o", str(tmp_path / "a.png")]
    assert main(arguments) == 0
    assert f"the network of the sample style {NAME}" in capsys.readouterr().err
    assert main([*arguments, "--weights", "micro"]) == 0
    assert "network" not in capsys.readouterr().err

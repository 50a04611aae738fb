"""Tests of the demo and of its contact sheet."""

import json
from pathlib import Path

import pytest
import torch

from impasto.cli import main
from impasto.cli.demo import CONTENTS, STYLES
from impasto.images import load_image
from impasto.images.contact_sheet import GAP, contact_sheet


def test_the_demo_stylizes_all_pairs_and_draws_a_contact_sheet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("skimage")
    folder = tmp_path / "demo"
    assert main(["demo", "-o", str(folder), "--size", "40", "--steps", "2"]) == 0
    printed = capsys.readouterr()
    names = [f"{content}-{style}" for content in CONTENTS for style in STYLES]
    assert printed.out.splitlines() == [str(folder / f"{name}.png") for name in [*names, "contact-sheet"]]
    for name in names:
        assert max(load_image(folder / f"{name}.png").shape) == 40
        assert json.loads((folder / f"{name}.json").read_text())["settings"]["backbone"] == "lite"


def test_ctrl_c_ends_the_demo_and_names_the_folder_of_the_finished_images(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    pytest.importorskip("skimage")
    monkeypatch.setattr("impasto.cli.demo.stylize", interrupted)
    assert main(["demo", "-o", str(tmp_path / "demo")]) == 130
    assert capsys.readouterr().err.endswith(f"impasto: stopped; the finished images are in {tmp_path / 'demo'}\n")


def test_a_contact_sheet_fits_each_image_into_its_cell_and_leaves_the_gaps_white() -> None:
    red, green = torch.zeros(1, 3, 20, 40), torch.zeros(1, 3, 80, 40)
    red[:, 0], green[:, 1] = 1, 1
    sheet = contact_sheet([[red, None], [green, red]], cell=40)
    assert tuple(sheet.shape) == (1, 3, GAP + 20 + GAP + 40 + GAP, GAP + 2 * (40 + GAP))
    assert sheet[0, :, GAP + 10, GAP + 20].tolist() == [1, 0, 0]
    assert sheet[0, :, GAP + 10, 2 * GAP + 60].tolist() == [1, 1, 1]
    assert sheet[0, :, 2 * GAP + 20 + 20, GAP + 20].tolist() == [0, 1, 0]  # 20 wide, centered in a cell of 40
    assert sheet[0, :, 2 * GAP + 20 + 20, GAP + 5].tolist() == [1, 1, 1]


def test_a_contact_sheet_has_margins_for_names() -> None:
    image = torch.zeros(1, 3, 30, 30)
    unnamed = contact_sheet([[image]], cell=60)
    named = contact_sheet([[image]], row_names=["a long name"], column_names=["style"], cell=60)
    assert named.shape[-2] > unnamed.shape[-2]
    assert named.shape[-1] > unnamed.shape[-1]
    margin = named[..., : named.shape[-1] - 60 - GAP]
    assert margin.min() < 0.5  # dark letters

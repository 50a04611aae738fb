"""Tests of `impasto metrics`: a table for people, one object for programs, one line for every user error."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from impasto.backbones import BACKBONES
from impasto.cli import main
from impasto.images import load_image, save_image
from impasto.metrics import METRICS
from impasto.metrics.evaluate import evaluate_with_baselines

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Return a function that runs `impasto metrics` in a folder with out.png; it returns status, stdout and stderr."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    save_image(torch.rand(1, 3, 51, 64, generator=torch.Generator().manual_seed(0)), "out.png")
    save_image(torch.zeros(1, 3, 8, 64), "thread.png")
    Path("a.mp4").write_bytes(b"\0\0\0 ftypisom")
    Path("text.png").write_text("this is not an image", encoding="utf-8")

    def run(*words: str) -> tuple[int, str, str]:
        status = main(["metrics", *words])
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


def test_json_is_one_object_on_the_last_line_of_stdout(run: Run) -> None:
    status, out, err = run("woodcut", "mosaic", "out.png", "--backbone", "tiny", "--json")
    values = json.loads(out.splitlines()[-1])
    assert (status, err, out.count("\n")) == (0, "", 1)
    assert list(values) == ["output", "backbone", "layers", "metrics", "identity", "style_copy"]
    assert (values["output"], values["backbone"]) == ("out.png", "tiny")
    assert values["layers"] | {"ssim": ["image"], "gatys_content": ["relu4_2"]} == values["layers"]
    expected = evaluate_with_baselines("woodcut", "mosaic", load_image("out.png"), backbone="tiny")
    for row, role in (("metrics", "output"), ("identity", "identity"), ("style_copy", "style_copy")):
        assert values[row] == pytest.approx(expected[role], rel=1e-5)


def test_the_table_has_a_row_per_metric_with_its_direction_and_the_baseline_columns(run: Run) -> None:
    status, out, err = run("woodcut", "mosaic", "out.png", "--backbone", "tiny")
    title, head, *lines = out.splitlines()
    assert (status, err) == (0, "")
    assert title == f"out.png, evaluation network tiny: {BACKBONES['tiny'].summary}"
    assert re.split(r" {2,}", head) == ["metric", "measures", "better", "output", "identity", "style copy", "layers"]
    assert [line.split()[0] for line in lines] == sorted(METRICS)
    cells = {line.split()[0]: re.split(r" {2,}", line) for line in lines}
    assert cells["ssim"][1:3] == ["structure", "↑"]
    assert cells["ssim"][4] == "1"
    assert cells["gram"][1:3] == ["style", "↓"]
    assert cells["gatys_content"][4] == "0"
    assert cells["gatys_content"][6] == "relu4_2"
    assert len({line.index(" structure ") for line in lines if " structure " in line}) == 1
    assert max(map(len, [head, *lines])) <= 120


def test_layers_and_metrics_are_selected_by_flags(run: Run) -> None:
    words = ["--layers", "relu3_2", "relu4_2", "--metrics", "gram", "ssim"]
    status, out, _ = run("--json", "woodcut", "mosaic", "out.png", "--backbone", "tiny", *words)
    values = json.loads(out)
    assert status == 0
    assert values["layers"] == {"gram": ["relu3_2", "relu4_2"], "ssim": ["image"]}
    default = json.loads(run("--json", "woodcut", "mosaic", "out.png", "--backbone", "tiny", *words[3:])[1])
    assert values["metrics"]["gram"] != default["metrics"]["gram"]
    assert values["metrics"]["ssim"] == default["metrics"]["ssim"]
    assert set(values["metrics"]) == set(values["identity"]) == set(values["style_copy"]) == {"gram", "ssim"}


def test_metrics_at_several_sizes_are_rows_and_keys(run: Run) -> None:
    save_image(torch.rand(1, 3, 123, 154, generator=torch.Generator().manual_seed(0)), "out.png")
    words = ["woodcut", "mosaic", "out.png", "--backbone", "tiny"]
    names = [line.split()[0] for line in run(*words)[1].splitlines()[2:]]
    assert names == sorted([*METRICS, "content@128", "style_share@128"])
    values = json.loads(run(*words, "--metrics", "ssim@64", "style_share", "--json")[1])
    assert values["layers"]["ssim@64"] == ["image"]
    assert list(values["metrics"]) == list(values["style_copy"]) == ["ssim@64", "style_share"]


def test_an_undefined_metric_is_null_in_json_and_nan_in_the_table(run: Run) -> None:
    words = ["mosaic", "mosaic", "out.png", "--backbone", "tiny", "--metrics", "style_share"]
    _, out, _ = run(*words, "--json")
    assert json.loads(out)["metrics"] == {"style_share": None}
    assert "nan" in run(*words)[1]


USER_ERRORS = {
    "nothing": ([], "give a CONTENT, a STYLE and an OUTPUT, not 0"),
    "two pictures": (["woodcut", "mosaic"], "give a CONTENT, a STYLE and an OUTPUT, not 2"),
    "four pictures": (["woodcut", "mosaic", "mosaic", "out.png"], "give a CONTENT, a STYLE and an OUTPUT, not 4"),
    "no sample": (["nobody", "mosaic", "out.png"], "'nobody' is not a file and not the name of a sample"),
    "output missing": (["woodcut", "mosaic", "nowhere.png"], "'nowhere.png': it cannot be read"),
    "output is a sample": (["woodcut", "mosaic", "mosaic"], "'mosaic': it cannot be read"),
    "output no picture": (["woodcut", "mosaic", "text.png"], "'text.png'"),
    "output too small": (["woodcut", "mosaic", "thread.png"], "the output is 64x8 pixels"),
    "unknown backbone": (["woodcut", "mosaic", "out.png", "--backbone", "vgg20"], "unknown backbone 'vgg20'"),
    "no weights": (["woodcut", "mosaic", "out.png", "--backbone", "vgg19"], "IMPASTO_OFFLINE is set"),
    "unknown layer": (["woodcut", "mosaic", "out.png", "--layers", "relu9_1"], "the backbone has no layer 'relu9_1'"),
    "unknown metric": (["woodcut", "mosaic", "out.png", "--metrics", "lpips"], "unknown metric 'lpips'; choose from"),
    "no size": (["woodcut", "mosaic", "out.png", "--metrics", "ssim@"], "the size must be a positive integer, not ''"),
    "size too large": (["woodcut", "mosaic", "out.png", "--metrics", "ssim@99"], "the output is only 64x51 pixels"),
    "unknown device": (["woodcut", "mosaic", "out.png", "--device", "toaster"], "device: unknown device 'toaster'"),
    "output is a folder": (["a.png", "mosaic", "."], "the content 'a.png' is an image, but the output '.' is a folder"),
    "output is a clip": (
        ["woodcut", "mosaic", "a.gif"],
        "the content 'woodcut' is an image, but",
    ),
    "content is a clip": (["a.mp4", "mosaic", "out.png"], "'a.mp4': it is a clip; give an image"),
    "unknown flag": (["woodcut", "mosaic", "out.png", "--layer", "relu1_1"], "unknown flag --layer"),
}


@pytest.mark.parametrize(("words", "message"), USER_ERRORS.values(), ids=USER_ERRORS)
def test_a_user_error_is_one_line(run: Run, words: list[str], message: str) -> None:
    if "--backbone" not in words:
        words = [*words, "--backbone", "tiny"]
    status, out, err = run(*words)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("impasto: ")
    assert message in err


@pytest.mark.filterwarnings("default")
def test_an_output_of_another_size_than_the_content_causes_a_warning_of_one_line(run: Run) -> None:
    save_image(load_image("out.png").mT, "turned.png")
    status, _, err = run("woodcut", "mosaic", "turned.png", "--backbone", "tiny", "--metrics", "ssim")
    assert (status, err.count("\n")) == (0, 1)
    assert err.startswith("impasto: warning: the output is 51x64 pixels, but the content would be 64x51")

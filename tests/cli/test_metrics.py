"""`impasto metrics`: a table for people, one object for programs, one line for every mistake."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from impasto.cli import main
from impasto.images import load_image, save_image
from impasto.metrics import METRICS
from impasto.metrics.evaluate import evaluate_with_baselines

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Runs `impasto metrics` in a folder with the painting out.png; returns its exit status, stdout and stderr."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    save_image(torch.rand(1, 3, 51, 64, generator=torch.Generator().manual_seed(0)), "out.png")
    save_image(torch.zeros(1, 3, 8, 64), "thread.png")
    Path("text.png").write_text("this is no picture")

    def run(*words: str) -> tuple[int, str, str]:
        status = main(["metrics", *words])
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


def test_json_is_one_object_on_the_last_line_of_stdout(run: Run) -> None:
    status, out, err = run("woodcut", "mosaic", "out.png", "--backbone", "tiny", "--json")
    told = json.loads(out.splitlines()[-1])
    assert (status, err, out.count("\n")) == (0, "", 1)
    assert list(told) == ["output", "backbone", "layers", "metrics", "identity", "style_copy"]
    assert (told["output"], told["backbone"]) == ("out.png", "tiny")
    assert told["layers"] | {"ssim": ["image"], "gatys_content": ["relu4_2"]} == told["layers"]
    expected = evaluate_with_baselines("woodcut", "mosaic", load_image("out.png"), backbone="tiny")
    for row, role in (("metrics", "output"), ("identity", "identity"), ("style_copy", "style_copy")):
        assert told[row] == pytest.approx(expected[role], rel=1e-5)


def test_the_table_has_a_line_a_metric_with_an_arrow_and_the_sanity_columns(run: Run) -> None:
    status, out, err = run("woodcut", "mosaic", "out.png", "--backbone", "tiny")
    title, head, *lines = out.splitlines()
    assert (status, err) == (0, "")
    assert (
        title == "out.png, by the features of tiny: " + "random convolutions, nothing learned: for tests, and for a "
        "first look without any weights"
    )
    assert re.split(r" {2,}", head) == ["metric", "judges", "better", "output", "identity", "style copy", "layers"]
    assert [line.split()[0] for line in lines] == sorted(METRICS)
    cells = {line.split()[0]: re.split(r" {2,}", line) for line in lines}
    assert cells["ssim"][1:3] == ["structure", "↑"]
    assert cells["ssim"][4] == "1"
    assert cells["gram"][1:3] == ["style", "↓"]
    assert cells["gatys_content"][4] == "0"
    assert cells["gatys_content"][6] == "relu4_2"
    assert len({line.index(" structure ") for line in lines if " structure " in line}) == 1
    assert max(map(len, [head, *lines])) <= 120


def test_layers_and_metrics_are_chosen(run: Run) -> None:
    words = ["--layers", "relu3_2", "relu4_2", "--metrics", "gram", "ssim"]
    status, out, _ = run("--json", "woodcut", "mosaic", "out.png", "--backbone", "tiny", *words)
    told = json.loads(out)
    assert status == 0
    assert told["layers"] == {"gram": ["relu3_2", "relu4_2"], "ssim": ["image"]}
    usual = json.loads(run("--json", "woodcut", "mosaic", "out.png", "--backbone", "tiny", *words[3:])[1])
    assert told["metrics"]["gram"] != usual["metrics"]["gram"]
    assert told["metrics"]["ssim"] == usual["metrics"]["ssim"]
    assert set(told["metrics"]) == set(told["identity"]) == set(told["style_copy"]) == {"gram", "ssim"}


def test_a_number_without_meaning_is_null_for_programs_and_nan_for_people(run: Run) -> None:
    words = ["mosaic", "mosaic", "out.png", "--backbone", "tiny", "--metrics", "style_share"]
    _, out, _ = run(*words, "--json")
    assert json.loads(out)["metrics"] == {"style_share": None}
    assert "nan" in run(*words)[1]


MISTAKES = {
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
    "unknown device": (["woodcut", "mosaic", "out.png", "--device", "toaster"], "device: unknown device 'toaster'"),
    "unknown flag": (["woodcut", "mosaic", "out.png", "--layer", "relu1_1"], "unknown flag --layer"),
}


@pytest.mark.parametrize(("words", "told"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_line(run: Run, words: list[str], told: str) -> None:
    if "--backbone" not in words:
        words = [*words, "--backbone", "tiny"]
    status, out, err = run(*words)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("impasto: ")
    assert told in err


@pytest.mark.filterwarnings("default")
def test_the_picture_of_another_content_brings_a_warning_of_one_line(run: Run) -> None:
    save_image(load_image("out.png").mT, "turned.png")
    status, _, err = run("woodcut", "mosaic", "turned.png", "--backbone", "tiny", "--metrics", "ssim")
    assert (status, err.count("\n")) == (0, 1)
    assert err.startswith("impasto: warning: the output is 51x64 pixels, but the content would be 64x51")

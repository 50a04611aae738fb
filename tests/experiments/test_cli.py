"""`impasto experiment` and `impasto compare`: output, files, and one-line errors."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from impasto.cli import main
from impasto.experiments.bundled import bundled
from impasto.experiments.store import Store

Run = Callable[..., tuple[int, str, str]]
GRID = """\
name: trial
evaluation_network: tiny
settings: {size: 48, steps: 2, backbone: tiny}
variants:
  - method: gatys
pairs: [[woodcut, mosaic]]
seeds: [0, 1, 2]
quick: {seeds: [0]}
"""


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Return a function that runs a command in a folder with grid.yaml and returns status, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    Path("grid.yaml").write_text(GRID, encoding="utf-8")

    def run(*words: str) -> tuple[int, str, str]:
        status = main(words)
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


def test_json_is_one_object_and_progress_goes_to_stderr(run: Run) -> None:
    status, out, err = run("experiment", "run", "grid.yaml", "-o", "new/out", "--json")
    summary = json.loads(out)
    assert status == 0
    assert summary | {"report": None} == {
        "output": "new/out",
        "runs": 3,
        "waiting": 0,
        "running": 0,
        "done": 3,
        "failed": 0,
        "report": None,
    }
    lines = err.splitlines()
    assert [line.split()[:6] for line in lines] == [
        [f"{i}/3", "gatys:", "woodcut", "with", "mosaic", lines[i - 1].split()[5]] for i in (1, 2, 3)
    ]
    assert run("experiment", "run", "grid.yaml", "-o", "new/out")[2] == ""


def test_quick_runs_the_quick_version(run: Run) -> None:
    assert json.loads(run("experiment", "run", "grid.yaml", "--quick", "-o", "out", "--json")[1])["runs"] == 1


def test_failures_are_printed_and_counted_and_the_status_is_0(run: Run) -> None:
    more = "include:\n  - {method: gatys, name: none, settings: {backbone: vgg19}, content: woodcut, style: mosaic}"
    Path("grid.yaml").write_text(GRID.replace("seeds: [0, 1, 2]", more), encoding="utf-8")
    status, out, err = run("experiment", "run", "grid.yaml", "-o", "out")
    assert status == 0
    assert out == "out: 1 done, 1 failed\n" or out.endswith("report.html: 1 done, 1 failed\n")
    assert "none: woodcut with mosaic  failed: IMPASTO_OFFLINE is set; searched for " in err
    assert run("experiment", "run", "grid.yaml", "-o", "out")[2] == ""
    assert "failed:" in run("experiment", "run", "grid.yaml", "-o", "out", "--retry")[2]


def test_list_shows_the_bundled_experiments(run: Run) -> None:
    status, out, _ = run("experiment", "list", "--json")
    assert status == 0
    assert {row["name"]: row["summary"] for row in json.loads(out)} == bundled()
    assert all(row["summary"] for row in json.loads(out))


def test_compare_runs_every_method_that_is_given(run: Run) -> None:
    words = ["woodcut", "mosaic", "-o", "out", "--methods", "gatys", "gpdm", "--size", "48", "--steps", "2"]
    status, out, _ = run("compare", *words, "--backbone", "tiny", "--seed", "5", "--json")
    assert status == 0
    assert json.loads(out)["done"] == 2
    store = Store("out")
    tasks = [each.task for each in store.runs()]
    assert [(task.variant, task.content, task.style) for task in tasks] == [
        (method, "woodcut", "mosaic") for method in ("gatys", "gpdm")
    ]
    assert tasks[0].settings == {"size": 48, "steps": 2, "backbone": "tiny", "seed": 5}
    assert tasks[1].settings == {"size": 48, "steps": 2, "seed": 5}
    store.close()


def test_compare_accepts_every_setting_and_applies_it_to_the_methods_that_have_it(run: Run) -> None:
    words = "woodcut mosaic -o out --methods gatys nnst gpdm --size 48 --backbone tiny --quality draft --start noise"
    more = "--optimizer adam --content-weight 2 --alpha 0.5"
    assert run("compare", *words.split(), *more.split())[0] == 0
    store = Store("out")
    gatys, nnst, gpdm = (each.task.settings for each in store.runs())
    store.close()
    shared = {"size": 48, "quality": "draft", "start": "noise", "optimizer": "adam", "seed": 0}
    assert gatys == shared | {"backbone": "tiny", "content_weight": 2}
    assert nnst == shared | {"backbone": "tiny", "alpha": 0.5}
    assert gpdm == shared


def test_run_and_report_and_compare_write_the_report(run: Run) -> None:
    summary = json.loads(run("experiment", "run", "grid.yaml", "-o", "out", "--json")[1])
    page = Path("out/report.html")
    assert summary["report"] == str(page)
    page.unlink()
    assert run("experiment", "report", "out")[:2] == (0, f"{page}\n")
    assert "trial" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["experiment", "run", "grid.yaml"], "the output is missing; give -o FOLDER"),
        (["experiment", "run", "-o", "out"], "give one FILE or NAME, not 0; see impasto experiment run --help"),
        (["experiment", "run", "gone", "-o", "out"], "no file 'gone', and no experiment of that name: choose from "),
        (["experiment", "run", "..", "-o", "out"], "'..' is a folder, and no experiment of that name: choose from "),
        (["experiment", "run", "grid.yaml", "-o", "out", "--workers", "0"], "--workers: expected a whole number"),
        (["experiment", "run", "grid.yaml", "-o", "grid.yaml"], "the experiment's file 'grid.yaml/experiment.sqlite'"),
        (
            ["experiment", "report", "out"],
            "no experiment in 'out'; create one with impasto experiment run NAME -o FOLDER",
        ),
        (["experiment", "lst"], "unknown command 'experiment lst'; did you mean experiment list?"),
        (["compare", "woodcut", "-o", "out"], "give a CONTENT and a STYLE, not 1; see impasto compare --help"),
        (["compare", "woodcut", "gone.png", "-o", "out"], "no sample 'gone.png'; samples: "),
        (["compare", "..", "mosaic", "-o", "out"], " is a folder; give the path of an image, such as '../photo.jpg'"),
        (["compare", "woodcut", "mosaic", "-o", "out", "--size", "-3"], "--size: "),
        (["compare", "woodcut", "mosaic", "-o", "out", "--methods", "oils"], "unknown method 'oils'; choose from a"),
        (["compare", "woodcut", "mosaic", "-o", "out", "--backbone", "lit"], "--backbone: unknown backbone 'lit'"),
        (["compare", "woodcut", "mosaic", "-o", "out", "--seed", "x"], "--seed: "),
        (["compare", "woodcut", "mosaic", "-o", "out", "--alpha", "2"], "--alpha: input should be less than or equal"),
        (
            ["compare", "woodcut", "mosaic", "-o", "out", "--methods", "gatys", "micro", "--alpha", "1"],
            "--alpha: no method here has this setting; choose from size",
        ),
        (["compare", "woodcut", "mosaic", "-o", "out", "--colour", "style"], "flag --colour; did you mean --color?"),
    ],
)
def test_an_error_is_one_line_and_leaves_no_file(run: Run, words: list[str], message: str) -> None:
    status, out, err = run(*words)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert message in err
    assert [path.name for path in Path().iterdir()] == ["grid.yaml"]


QUICKEST = {"backbones", "normalization", "pooling", "resolution"}
"""Four of the bundled experiments; each of the others takes two to five seconds."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICKEST else pytest.mark.slow) for name in sorted(bundled())]
)
def test_a_bundled_experiment_runs_in_its_quick_version(run: Run, name: str) -> None:
    summary = json.loads(run("experiment", "run", name, "--quick", "-o", "out", "--json")[1])
    assert summary["done"] == summary["runs"] >= 4

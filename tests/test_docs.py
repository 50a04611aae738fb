"""The documentation says what is true: its code runs, its tables are fresh, its links lead somewhere."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from test_layers import wrong_arrows

from impasto.cli import main
from impasto.methods import METHODS
from impasto.training.recipes import RECIPES

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)")
PARTS = {
    match[1]: block
    for language, block in BLOCK.findall((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    if (match := re.match(r"# (impasto/\S+\.py)\n", block)) and language == "python"
}
# What is asked of a part after its file was added, by folder; NAME is the file's stem.
TRIALS = {
    "losses": """
        import torch
        from impasto.losses import LOSSES
        loss, features = LOSSES["NAME"](), torch.rand(1, 4, 8, 8)
        target = loss.statistic(features)
        assert loss.distance(target, target) == 0 < loss.distance(loss.statistic(features / 2), target)
    """,
    "metrics": """
        from impasto.metrics.evaluate import evaluate_with_baselines
        from impasto.samples import resolve
        rows = evaluate_with_baselines("woodcut", "mosaic", resolve("mosaic"), backbone="tiny", metrics=["NAME"])
        assert rows["output"]["NAME"] == 0 < rows["identity"]["NAME"]
    """,
    "backbones": """
        import impasto
        result = impasto.stylize("woodcut", "mosaic", backbone="NAME", size=48, steps=4)
        assert result.curve[-1].losses["style/relu2_1"] < result.curve[0].losses["style/relu2_1"]
    """,
    "methods": """
        import impasto
        result = impasto.stylize("woodcut", "mosaic", method="NAME", backbone="tiny", size=48, steps=4)
        assert sum(result.losses.values()) < sum(result.curve[0].losses.values())
    """,
    "recipes": """
        from impasto.training import train
        folders = {"photos": "impasto/assets/styles", "paintings": "impasto/assets/styles"}
        losses = []
        quick = {"steps": 20, "batch": 4, "crop": 32, "lr": 0.02, "warmup": 0}
        trained = train("NAME", **folders, output="out", on_step=lambda step: losses.append(step.loss), **quick)
        assert trained.output.is_file() and sum(losses[-5:]) < 0.8 * sum(losses[:5])
    """,
    "drawing": """
        from draw_styles import NAME
        assert NAME.draw(24, 32, 1).size == (32, 24)
        assert NAME.draw(24, 32, 1).tobytes() == NAME.draw(24, 32, 1).tobytes() != NAME.draw(24, 32, 2).tobytes()
    """,
}


def run(code: str, folder: Path) -> None:
    """Runs a script in `folder`, where a package impasto is preferred to the installed one; warnings are errors."""
    script = folder / "script.py"
    script.write_text(code, encoding="utf-8")
    ran = subprocess.run([sys.executable, "-W", "error", script], cwd=folder, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def code_of(page: Path) -> str:
    """The Python blocks of a page, in order, without those that are files of their own."""
    blocks = BLOCK.findall(page.read_text(encoding="utf-8"))
    return "\n".join(block for language, block in blocks if language == "python" and block not in PARTS.values())


def test_there_is_a_recipe_for_every_kind_of_part() -> None:
    assert sorted(path.split("/")[-2] for path in PARTS) == sorted(TRIALS)


@pytest.mark.parametrize("path", PARTS)
def test_a_recipe_works_as_one_new_file(path: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "impasto", tmp_path / "impasto", ignore=shutil.ignore_patterns("__pycache__"))
    assert not (tmp_path / path).exists()
    (tmp_path / path).write_text(PARTS[path], encoding="utf-8")
    *_, folder, file = path.split("/")
    trial = "\n".join(line.strip() for line in TRIALS[folder].splitlines())
    run(trial.replace("NAME", file.removesuffix(".py")), tmp_path)
    assert wrong_arrows(tuple(path.removesuffix(".py").split("/")[1:]), PARTS[path]) == []


@pytest.mark.parametrize("page", [page for page in PAGES if code_of(page)], ids=lambda page: page.name)
def test_the_code_of_a_page_runs(page: Path, tmp_path: Path) -> None:
    run(code_of(page), tmp_path)


def test_the_generated_tables_are_up_to_date() -> None:
    command = [sys.executable, ROOT / "docs" / "generate.py", "--check"]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 0, f"{ran.stdout}{ran.stderr}run `make docs`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_row_of_a_table_is_one_line(page: Path) -> None:
    rows = [line for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    assert [row for row in rows if not row.rstrip().endswith("|")] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_file_leads_to_one(page: Path) -> None:
    links = [link for link in LINK.findall(page.read_text(encoding="utf-8")) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_flag_that_a_page_shows_exists(capsys: pytest.CaptureFixture[str]) -> None:
    commands = [
        ["--help"],
        *([command, "--help"] for command in ("stylize", "replay", "train", "demo", "metrics", "compare", "studio")),
    ]
    commands += [["experiment", command, "--help"] for command in ("run", "export")]
    commands += [["stylize", "--method", name, "--help"] for name in METHODS]
    commands += [["train", name, "--help"] for name in RECIPES]
    for words in commands:
        assert main(words) == 0
    known = capsys.readouterr().out
    pages = [page for page in PAGES if page.name not in ("CONTRIBUTING.md", "CHANGELOG.md")]
    others = "torchrun .* -m impasto|python benchmarks/[^`]*"  # commands with flags of their own
    texts = [re.sub(others, "impasto", page.read_text(encoding="utf-8")) for page in pages]
    shown = {flag for text in texts for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)}
    assert {flag for flag in shown if not re.search(rf"{flag}(?![\w-])", known)} - {"--help"} == set()
    assert len(shown) > 20

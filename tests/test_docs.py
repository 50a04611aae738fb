"""The documentation is correct: its code runs, its generated parts are up to date, and its links and flags exist."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from test_layers import wrong_imports

from docs import generate
from impasto.cli import COMMANDS, main
from impasto.methods import METHODS
from impasto.training.recipes import RECIPES

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)")
NOT_WRAPPED = ("|", ":   ")
"""Begin of lines that may be long: rows of tables, and definitions in the glossary. Output of commands may be, too."""
PARTS = {
    match[1]: block
    for language, block in BLOCK.findall((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    if (match := re.match(r"# ((?:impasto|tools)/\S+\.py)\n", block)) and language == "python"
}
# What must hold for a part after its file was added, by folder; NAME is the file's stem. The table of the
# documentation, the command that lists the parts, and the controls of the studio must show it.
TRIALS = {
    "losses": """
        import impasto, torch
        from impasto.losses import LOSSES
        loss, features = LOSSES["NAME"](), torch.rand(1, 4, 8, 8)
        target = loss.statistic(features)
        assert loss.distance(target, target) == 0 < loss.distance(loss.statistic(features / 2), target)
        settings = {"style_loss": "NAME", "backbone": "tiny", "size": 48, "steps": 4}
        result = impasto.stylize("woodcut", "mosaic", **settings)
        assert sum(result.losses.values()) < sum(result.curve[0].losses.values())
        assert "`NAME`" in PARTS["losses"]() and "NAME" in listed("losses")
    """,
    "metrics": """
        from impasto.metrics.evaluate import evaluate_with_baselines
        from impasto.samples import resolve
        rows = evaluate_with_baselines("woodcut", "mosaic", resolve("mosaic"), backbone="tiny", metrics=["NAME"])
        assert rows["output"]["NAME"] == 0 < rows["identity"]["NAME"]
        assert "`NAME`" in PARTS["metrics"]()
    """,
    "backbones": """
        import impasto
        result = impasto.stylize("woodcut", "mosaic", backbone="NAME", size=48, steps=4)
        assert result.curve[-1].losses["style/relu2_1"] < result.curve[0].losses["style/relu2_1"]
        assert "`NAME`" in PARTS["backbones"]() and "NAME" in listed("backbones")
        assert any("NAME" in control.choices for control in controls_of("gatys"))
    """,
    "methods": """
        import impasto
        result = impasto.stylize("woodcut", "mosaic", method="NAME", backbone="tiny", size=48, steps=4)
        assert sum(result.losses.values()) < sum(result.curve[0].losses.values())
        assert "`NAME`" in PARTS["methods"]() and "NAME" in listed("methods")
        assert "style_weight" in {control.name for control in controls_of("NAME")}
    """,
    "recipes": """
        import impasto.curves
        from impasto.training import train
        impasto.curves._svg = lambda points: b""  # the plot takes a second
        folders = {"photos": "impasto/assets/styles", "paintings": "impasto/assets/styles"}
        losses = []
        quick = {"steps": 20, "batch": 4, "crop": 32, "lr": 0.02, "warmup": 0}
        trained = train("NAME", **folders, output="out", on_step=lambda step: losses.append(step.loss), **quick)
        assert trained.output.is_file() and sum(losses[-5:]) < 0.8 * sum(losses[:5])
        assert "`NAME`" in PARTS["recipes"]()
    """,
    "draw_styles": """
        from draw_styles import NAME
        assert NAME.draw(24, 32, 1).size == (32, 24)
        assert NAME.draw(24, 32, 1).tobytes() == NAME.draw(24, 32, 1).tobytes() != NAME.draw(24, 32, 2).tobytes()
    """,
}
PRELUDE = """
import contextlib, io, sys
sys.path[:0] = [".", "tools"]
from docs.generate import PARTS
from impasto.cli import main
from impasto.studio.controls import controls_of
def listed(command):
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        assert main([command]) == 0
    return printed.getvalue()
"""


def page_id(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def code_of(page: Path) -> str:
    """The Python blocks of a page, in order, without those that are files of their own."""
    blocks = BLOCK.findall(page.read_text(encoding="utf-8"))
    return "\n".join(block for language, block in blocks if language == "python" and block not in PARTS.values())


def commands_of(page: Path) -> list[list[str]]:
    """The words of every command `impasto ...` in the shell blocks of a page."""
    blocks = BLOCK.findall(page.read_text(encoding="utf-8"))
    lines = [line for language, block in blocks if language == "sh" for line in block.replace("\\\n", " ").splitlines()]
    found = [re.match(r"(?:\w+=\S+ )*impasto (.+)", line) for line in lines]
    return [shlex.split(match[1], comments=True) for match in found if match]


def anchors_of(page: Path) -> set[str]:
    """The anchors that a code host and the site make of the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_there_is_an_example_for_every_kind_of_part() -> None:
    assert sorted(path.split("/")[-2] for path in PARTS) == sorted(TRIALS)


@pytest.mark.parametrize("path", PARTS)
def test_an_example_is_a_new_file_that_needs_no_other_example(path: str) -> None:
    assert not (ROOT / path).exists()
    modules = [other.removesuffix(".py").replace("/", ".") for other in PARTS if other != path]
    assert [module for module in modules if module in PARTS[path]] == []
    if path.startswith("impasto/"):
        assert wrong_imports(path.removesuffix(".py").removeprefix("impasto/"), PARTS[path]) == []


@pytest.mark.slow
def test_every_example_works_after_its_file_is_added_and_is_listed_everywhere(tmp_path: Path) -> None:
    """One process for all of them, which prefers this copy to the installed package; warnings are errors."""
    for folder in ("impasto", "tools"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "docs" / "reference").mkdir(parents=True)
    shutil.copy(ROOT / "docs" / "reference" / "metrics.md", tmp_path / "docs" / "reference")
    script = [PRELUDE]
    for path, source in PARTS.items():
        (tmp_path / path).write_text(source, encoding="utf-8")
        *_, folder, file = path.split("/")
        trial = "\n".join(line.strip() for line in TRIALS[folder].splitlines())
        script.append(f"print({path!r}){trial.replace('NAME', file.removesuffix('.py'))}")
    (tmp_path / "script.py").write_text("\n".join(script), encoding="utf-8")
    ran = subprocess.run(
        [sys.executable, "-W", "error", "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, f"{ran.stdout}{ran.stderr}"


@pytest.mark.parametrize("page", [page for page in PAGES if code_of(page)], ids=page_id)
def test_the_code_of_a_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Warnings are errors here too, by the configuration of pytest."""
    monkeypatch.chdir(tmp_path)
    exec(compile(code_of(page), page.name, "exec"), {"__name__": "__main__"})


def test_the_generated_parts_are_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    assert generate.main(check=True) == 0, "run `make docs`"


def test_every_generated_part_is_on_a_page() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert [name for name in generate.PARTS if f"<!-- table: {name} -->" not in text] == []


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_a_row_of_a_table_is_one_line(page: Path) -> None:
    rows = [line for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    assert [row for row in rows if not row.rstrip().endswith("|")] == []


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_every_link_to_a_file_or_a_heading_leads_to_one(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    links = [(target, anchor) for target, anchor in LINK.findall(text) if "://" not in target]
    assert [target for target, _ in links if not (page.parent / target).exists()] == []
    pages = [(page.parent / target if target else page, anchor) for target, anchor in links if anchor]
    assert [(target.name, anchor) for target, anchor in pages if anchor not in anchors_of(target)] == []


def test_every_page_of_the_documentation_is_in_the_navigation_of_the_site() -> None:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    pages = [page.relative_to(ROOT / "docs").as_posix() for page in PAGES if (ROOT / "docs") in page.parents]
    assert [page for page in pages if f"{page}\n" not in text] == []
    assert yaml.safe_load(text)["strict"]


def test_the_readme_is_short() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 150
    assert [line for line in lines if len(line) > 100] == []


def test_the_lines_of_the_documentation_are_short() -> None:
    long = []
    for page in (ROOT / "docs").rglob("*.md"):
        text = re.sub(r"^```\n.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
        lines = re.sub(r"https?://\S+", "", text).splitlines()
        long += [f"{page.name}: {line}" for line in lines if len(line) > 120 and not line.startswith(NOT_WRAPPED)]
    assert long == []


def test_the_glossary_has_thirty_terms_of_one_sentence_each() -> None:
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    entries = re.findall(r"^\*\*.+\*\*\n:   (.+)$", text, re.MULTILINE)
    assert len(entries) == 30
    assert [entry for entry in entries if not entry.endswith(".") or ". " in entry] == []


@pytest.mark.parametrize("page", [page for page in PAGES if commands_of(page)], ids=page_id)
def test_every_command_that_a_page_shows_exists(page: Path) -> None:
    several = {name.split()[0] for name in COMMANDS if " " in name}
    names = [" ".join(words[: 2 if words[0] in several else 1]) for words in commands_of(page)]
    assert [name for name in names if name not in COMMANDS] == []


def test_every_script_that_a_page_shows_exists() -> None:
    texts = [page.read_text(encoding="utf-8") for page in PAGES if page.name != "CHANGELOG.md"]
    shown = {script for text in texts for script in re.findall(r"\b(?:benchmarks|examples|tools)/[\w/]+\.py\b", text)}
    assert sorted(script for script in shown - set(PARTS) if not (ROOT / script).exists()) == []


def test_every_flag_that_a_page_shows_exists(capsys: pytest.CaptureFixture[str]) -> None:
    commands = [
        ["--help"],
        *(
            [command, "--help"]
            for command in (
                "stylize",
                "adapt",
                "replay",
                "train",
                "demo",
                "metrics",
                "compare",
                "studio",
                "video",
                "export",
            )
        ),
    ]
    commands += [["experiment", command, "--help"] for command in ("run", "export")]
    commands += [["stylize", "--method", name, "--help-all"] for name in METHODS]
    commands += [["train", name, "--help"] for name in RECIPES]
    for words in commands:
        assert main(words) == 0
    known = capsys.readouterr().out
    pages = [page for page in PAGES if page.name not in ("CONTRIBUTING.md", "CHANGELOG.md")]
    others = r"torchrun .* -m impasto|ray start .*|python\s+benchmarks/[^`]*"  # commands with flags of their own
    texts = [re.sub(others, "impasto", page.read_text(encoding="utf-8")) for page in pages]
    shown = {flag for text in texts for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)}
    assert {flag for flag in shown if not re.search(rf"{flag}(?![\w-])", known)} - {"--help"} == set()
    assert len(shown) > 20

"""Limits on the structure of the code: names, nesting, the length of functions, and the words that we do not use."""

import ast
import collections
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import TIMEOUT

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "impasto").rglob("*.py"))
LONGEST_FUNCTION = 40
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
# Metaphors and archaic phrases that readers in the field have to decode; the field's term is in docs/glossary.md.
REPLACED = re.compile(
    r"\b(pull of|judge[sd]?|judging|painted after|at hand|anew|so many|is no |lies in|lies beside|none given"
    r"|please itself|louder|brought home|hired)\b",
    re.IGNORECASE,
)
TEXTS = [
    path
    for folder in ("impasto", "docs", "tools", "benchmarks", "examples")
    for path in sorted((ROOT / folder).rglob("*"))
    if path.suffix in {".py", ".md", ".yaml", ".html", ".css", ".js", ".ipynb"} and path.name != "golden.json"
] + sorted(ROOT.glob("*.md"))


def functions(tree: ast.AST, depth: int = 0) -> Iterator[tuple[ast.FunctionDef | ast.AsyncFunctionDef, int]]:
    """Every function with the number of functions around it."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, FUNCTIONS):
            yield child, depth
        inside = depth + 1 if isinstance(child, FUNCTIONS) else 0 if isinstance(child, ast.ClassDef) else depth
        yield from functions(child, inside)


@pytest.fixture(scope="module")
def trees() -> dict[str, ast.Module]:
    """Every module of the package, parsed."""
    return {str(path.relative_to(ROOT)): ast.parse(path.read_text(encoding="utf-8")) for path in SOURCES}


def test_no_two_classes_of_the_package_have_the_same_name(trees: dict[str, ast.Module]) -> None:
    classes = (node.name for tree in trees.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
    assert [name for name, count in collections.Counter(classes).items() if count > 1] == []


def test_functions_fit_a_screen(trees: dict[str, ast.Module]) -> None:
    assert [
        f"{path}:{function.lineno} {function.name} has {length} lines"
        for path, tree in trees.items()
        for function, _ in functions(tree)
        if (length := function.end_lineno - function.lineno + 1) > LONGEST_FUNCTION
    ] == []


def test_no_closure_is_defined_inside_a_closure(trees: dict[str, ast.Module]) -> None:
    assert [
        f"{path}:{function.lineno} {function.name}"
        for path, tree in trees.items()
        for function, depth in functions(tree)
        if depth >= 2
    ] == []


def test_settings_are_not_probed_with_getattr_and_a_default(trees: dict[str, ast.Module]) -> None:
    probes = (
        f"{path}:{node.lineno}"
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "getattr"
        and len(node.args) == 3
        and "config" in ast.unparse(node.args[0])
    )
    assert list(probes) == []


def test_no_text_uses_a_phrase_that_a_term_of_the_field_replaces() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in TEXTS
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if REPLACED.search(line)
    ]
    assert found == []


def test_the_diagram_in_architecture_is_up_to_date() -> None:
    command = [sys.executable, str(ROOT / "tools" / "docs" / "architecture.py"), "--check"]
    checked = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)
    assert (checked.returncode, checked.stdout) == (0, "ARCHITECTURE.md: up to date\n")


def test_the_way_of_the_content_image_leads_downward_through_at_most_15_files_that_contain_its_names() -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    diagram = re.findall(r"^([a-z_]+)(?:/|\.py) ", page, re.MULTILINE)
    section = page.partition("## The way of the content image")[2].partition("##")[0]
    rows = re.findall(r"^\| `(\w+)/(\w+\.py)` \| (.+) \|$", section, re.MULTILINE)
    assert 10 <= len(rows) <= 15
    folders = [diagram.index(folder) for folder, _, _ in rows]
    assert folders == sorted(folders)
    for folder, file, text in rows:
        source = (ROOT / "impasto" / folder / file).read_text(encoding="utf-8")
        names = [part for name in re.findall(r"`([\w.]+)`", text) if "py" not in name for part in name.split(".")]
        assert [name for name in names if not re.search(rf"\b{name}\b", source)] == [], file
        assert names, file


def test_data_classes_with_tensors_are_compared_by_identity(trees: dict[str, ast.Module]) -> None:
    """The generated comparison raises an error for tensors with more than one value."""
    tensors = re.compile(r"(?<!Callable\[\[)(?<!Callable\[\[\], )\b(Tensor|Image|Features|np\.ndarray)\b")
    wrong = [
        f"{path} {node.name}"
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        for decorator in map(ast.unparse, node.decorator_list)
        if "dataclass" in decorator and "eq=False" not in decorator
        if any(
            tensors.search(ast.unparse(each.annotation)) and "compare=False" not in ast.unparse(each)
            for each in node.body
            if isinstance(each, ast.AnnAssign)
        )
    ]
    assert wrong == []

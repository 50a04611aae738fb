"""Write the diagram of the package into ARCHITECTURE.md: `python tools/docs/architecture.py`; `--check` only compares.

The diagram lists the folders of impasto from the top to the bottom. A folder imports only folders below it; the order
follows from the imports alone. The description of a folder is the first line of its docstring.
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "impasto"
PAGE = ROOT / "ARCHITECTURE.md"
BLOCK = re.compile(r"(<!-- diagram -->\n).*?(<!-- end -->)", re.DOTALL)
LEFT_OUT = {"assets", "__main__", "__init__"}
WIDTH = 110


def imported_names(source: str) -> list[str]:
    """Return the dotted names that a module imports from the package, without `impasto.`."""
    names: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return [name.removeprefix("impasto.") for name in names if name.startswith("impasto.")]


def import_edges() -> dict[str, set[str]]:
    """Return the top-level folders and modules of the package with those that each one imports."""
    paths = {path.relative_to(PACKAGE).with_suffix("").parts[0]: path for path in PACKAGE.rglob("*.py")}
    edges: dict[str, set[str]] = {name: set() for name in paths if name not in LEFT_OUT}
    for path in PACKAGE.rglob("*.py"):
        own = path.relative_to(PACKAGE).with_suffix("").parts[0]
        if own in edges:
            targets = {name.split(".")[0] for name in imported_names(path.read_text(encoding="utf-8"))}
            edges[own] |= targets & edges.keys() - {own}
    return edges


def from_top_to_bottom(edges: dict[str, set[str]]) -> list[str]:
    """Return the names in an order in which each one imports only later ones.

    Raises:
        ValueError: if the imports contain a cycle.
    """
    order: list[str] = []
    left = {name: set(targets) for name, targets in edges.items()}
    while left:
        lowest = sorted(name for name, targets in left.items() if not targets)
        if not lowest:
            raise ValueError(f"the imports of these folders contain a cycle: {', '.join(sorted(left))}")
        order += lowest
        left = {name: targets - set(lowest) for name, targets in left.items() if name not in lowest}
    return order[::-1]


def summary(name: str) -> str:
    """Return the first line of the docstring of a folder or a module."""
    path = PACKAGE / name / "__init__.py" if (PACKAGE / name).is_dir() else PACKAGE / f"{name}.py"
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n")[0]


def contents(name: str) -> str:
    """Return the modules and subfolders of a folder in one line."""
    folder = PACKAGE / name
    modules = sorted(path.stem for path in folder.glob("*.py") if path.stem not in LEFT_OUT)
    folders = sorted(f"{path.parent.name}/" for path in folder.glob("*/__init__.py"))
    return " ".join([*modules, *folders])


def diagram() -> str:
    """Return the diagram as Markdown, with the number of folders and imports."""
    edges = import_edges()
    lines: list[str] = []
    for name in from_top_to_bottom(edges):
        is_folder = (PACKAGE / name).is_dir()
        lines.append(f"{name + '/' if is_folder else name + '.py':<14}{summary(name)}")
        words, line = contents(name).split() if is_folder else [], " " * 13
        for word in words:
            if len(line) + 1 + len(word) > WIDTH:
                lines.append(line)
                line = " " * 13
            line += f" {word}"
        lines += [line] if words else []
    count = sum(map(len, edges.values()))
    return "\n".join(
        ["```text", *lines, "```", "", f"{len(edges)} folders and files, {count} imports between them.", ""]
    )


def main(only_check: bool) -> int:
    """Write the diagram, or return 1 if the one in ARCHITECTURE.md is out of date."""
    text = PAGE.read_text(encoding="utf-8")
    fresh, count = BLOCK.subn(lambda found: found[1] + diagram() + found[2], text)
    if count != 1:
        raise SystemExit(f"ARCHITECTURE.md has {count} places for the diagram; it needs exactly one")
    if fresh != text and not only_check:
        PAGE.write_text(fresh, encoding="utf-8")
    print(f"ARCHITECTURE.md: {'up to date' if fresh == text else 'out of date' if only_check else 'written'}")
    return 1 if only_check and fresh != text else 0


if __name__ == "__main__":
    sys.exit(main(only_check="--check" in sys.argv[1:]))

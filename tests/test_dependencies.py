"""Tests of the declared dependencies: pyproject.toml declares every imported package, constraints.txt pins it."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from support import TIMEOUT, ForkedProcess

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# Modules of the package that may import the packages of an extra.
MODULES_OF_EXTRAS = {
    "report": ["curves.py", "experiments/statistics.py", "experiments/findings/"],
    "hires": ["images/hires.py"],
    "studio": ["studio/"],
    "track": ["experiments/tracking.py"],
    "video": ["video/"],
    "scale": ["executors/ray_cluster.py"],
    "export": ["pipeline/onnx.py"],
}
# The extra `docs` is not installed with the tests.
DISTRIBUTIONS = {"griffe": ["griffelib"], **packages_distributions()}
LOCAL = {path.stem for folder in ("benchmarks", "tests", "tools") for path in (ROOT / folder).glob("*")} | {"impasto"}


def normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(*extras: str) -> set[str]:
    """Return the names of the core dependencies and of those of some extras."""
    lists = [PROJECT["dependencies"], *(PROJECT["optional-dependencies"][extra] for extra in extras)]
    names = {normalized(re.split(r"[^\w.-]", requirement)[0]) for requirements in lists for requirement in requirements}
    return names - {"impasto"}


def imported(file: Path) -> set[str]:
    """Return the top-level packages that a file imports, also inside functions, without the standard library."""
    modules: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module is not None:
            modules.add(node.module)
    return {module.partition(".")[0] for module in modules} - set(sys.stdlib_module_names) - LOCAL


def distributions(package: str) -> set[str]:
    """Return the names of the distributions that contain a package, such as mlflow and mlflow-skinny."""
    return {normalized(name) for name in DISTRIBUTIONS.get(package, [package])}


def undeclared(file: Path, names: set[str]) -> set[str]:
    """Return the imported packages whose distributions are not among `names`."""
    return {package for package in imported(file) if not distributions(package) & names}


def files(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def test_the_package_imports_only_declared_packages_and_those_of_an_extra_only_in_its_modules() -> None:
    missing = {}
    for file in files("impasto"):
        name = file.relative_to(ROOT / "impasto").as_posix()
        extras = [extra for extra, modules in MODULES_OF_EXTRAS.items() if name.startswith(tuple(modules))]
        missing[name] = undeclared(file, declared(*extras))
    assert {name: packages for name, packages in missing.items() if packages} == {}


@pytest.mark.parametrize("folder", ["tests", "benchmarks", "tools", "docs", "examples"])
def test_scripts_and_tests_import_only_declared_packages(folder: str) -> None:
    names = declared(*PROJECT["optional-dependencies"])
    missing = {str(file.relative_to(ROOT)): undeclared(file, names) for file in files(folder)}
    assert {name: packages for name, packages in missing.items() if packages} == {}


def test_every_core_dependency_is_imported() -> None:
    packages = {package for file in files("impasto") for package in imported(file)}
    assert declared() - {name for package in packages for name in distributions(package)} == set()


def test_every_dependency_is_pinned() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {normalized(line.partition("==")[0]) for line in lines if "==" in line}
    assert declared(*PROJECT["optional-dependencies"]) - pinned == set()


def test_a_stylization_does_not_import_the_compiler_of_pytorch(tmp_path: Path) -> None:
    """It takes almost 2 s to import, as long as a whole draft of 256 pixels."""
    run = (
        "import sys, impasto\n"
        "for method in ('gatys', 'strotss', 'micro', 'wct'):\n"
        "    optimizes = method in ('gatys', 'strotss')\n"
        "    settings = {'backbone': 'tiny', 'steps': 1} if optimizes else {}\n"
        "    impasto.stylize('woodcut', 'mosaic', method=method, size=48, **settings)\n"
        "for optimizer in ('adam', 'rmsprop'):\n"
        "    impasto.stylize('woodcut', 'mosaic', backbone='tiny', size=32, steps=1, optimizer=optimizer)\n"
        "print(sorted({'torch._dynamo', 'impasto.optim.first_order'} & {*sys.modules}))\n"
    )
    assert ForkedProcess(tmp_path, run).communicate(TIMEOUT) == ("['impasto.optim.first_order']\n", "")

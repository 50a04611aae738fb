"""The order of the rooms: imports point down only, and parts of one kind do not know each other."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "impasto"
# From the bottom up. A module may import only what stands before it; a new one is given its place here.
ROWS = (
    "assets types config registry",
    "files images weights samples devices thumbnail",
    "curves sheet datasets subject guidance oklab ciede2000 colour labels regions",
    "places hypercolumns neighbours ranks chain correlation normalisation networks",
    "backbones losses",
    "metrics",
    "grading",
    "objective",
    "lbfgs pyramid first_order optimize transport scales patches nearest columns octaves strength matching",
    "tiles feed_forward",
    "methods",
    "exporting",
    "augmentation perceptual distillation recipes training",
    "result inputs paint replaying folders batch",
    "experiments",
    "studio",
    "__init__",
    "cli __main__",
)
ORDER = [name for row in ROWS for name in row.split()]
PARTS = ("backbones", "losses", "methods", "metrics", "recipes")  # one file each; what two of them share moves down
MODULES = {path.relative_to(PACKAGE).with_suffix("").parts: path for path in PACKAGE.rglob("*.py")}
ROOMS = {module[0] for module in MODULES}


def imported(source: str) -> list[tuple[str, ...]]:
    """Everything of impasto that a source imports, at its head or inside a function: `("images", "load_image")`."""
    names = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "write imports in full: from impasto.x import y"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return [tuple(name.split(".")[1:]) for name in names if name.split(".")[0] == "impasto"]


def wrong_arrows(module: tuple[str, ...], source: str) -> list[str]:
    """What is wrong with the imports of `module`, given as the parts of its path."""
    wrong = []
    for target in imported(source):
        room = target[0] if target and target[0] in ROOMS else "__init__"  # else a public name, or all of impasto
        if room != module[0]:
            if room not in ORDER or ORDER.index(room) > ORDER.index(module[0]):
                wrong.append(f"{'.'.join(module)} imports {'.'.join(target)}, which stands above it")
        elif room in PARTS and module[1:] != ("__init__",) and target[:2] in MODULES:
            wrong.append(f"{'.'.join(module)} imports its sibling {'.'.join(target)}")
    return wrong


@pytest.mark.parametrize("module", MODULES, ids=".".join)
def test_a_module_has_its_place_and_imports_only_what_stands_below(module: tuple[str, ...]) -> None:
    assert module[0] in ORDER
    assert wrong_arrows(module, MODULES[module].read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("module", "planted"),
    [
        ("optimize", "from impasto.paint import stylize"),
        ("optimize", "import impasto.methods.gatys"),
        ("weights", "def late():\n    from impasto import backbones"),
        ("losses/gram", "from impasto.methods import METHODS"),
        ("losses/gram", "from impasto.losses.content import ContentLoss"),
        ("losses/gram", "from impasto.losses import content"),
        ("paint", "import impasto"),
    ],
)
def test_a_planted_arrow_is_caught(module: str, planted: str) -> None:
    assert len(wrong_arrows(tuple(module.split("/")), planted)) == 1


@pytest.mark.parametrize(
    ("module", "allowed"),
    [
        ("losses/gram", "from impasto.losses import LOSSES, FeatureLoss"),
        ("paint", "from impasto.methods import METHODS"),
        ("paint", "import torch"),
    ],
)
def test_an_arrow_that_points_down_is_let_through(module: str, allowed: str) -> None:
    assert wrong_arrows(tuple(module.split("/")), allowed) == []

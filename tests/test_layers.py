"""The order of the folders: imports point down only, and parts of one kind do not import each other."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "impasto"
# From the bottom up. A module may import only from its own folder and from those listed before it.
ORDER = [
    "assets",
    "types",
    "config",
    "registry",
    "files",
    "allocator",
    "devices",
    "executors",
    "cost",
    "images",
    "weights",
    "samples",
    "curves",
    "features",
    "color",
    "regions",
    "losses",
    "backbones",
    "networks",
    "optim",
    "objectives",
    "methods",
    "metrics",
    "pipeline",
    "video",
    "training",
    "experiments",
    "studio",
    "web",
    "__init__",
    "cli",
    "__main__",
]
# Folders with one file per part, which do not import each other. What two parts share moves to a lower folder, or to
# one of the shared files of the folder.
PARTS = {
    "losses": {"base"},
    "backbones": {
        "base",
        "chain",
        "distilled",
        "normalization",
        "narrow_vgg",
        "receptive_field",
        "tiling",
        "tile_workers",
    },
    "methods": {"base", "optimizing", "matching", "feed_forward", "tiles"},
    "metrics": {"base", "loss_metric", "evaluate", "reference"},
    "training/recipes": {"base", "distilled"},
}
MODULES = {path.relative_to(PACKAGE).with_suffix("").as_posix(): path for path in PACKAGE.rglob("*.py")}
FOLDERS = {module.split("/")[0] for module in MODULES}


def imported(source: str) -> list[str]:
    """Everything of impasto that a source imports, at its head or inside a function: `images/load_image`."""
    names = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "write imports in full: from impasto.x import y"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return ["/".join(name.split(".")[1:]) for name in names if name.split(".")[0] == "impasto"]


def module_of(target: str) -> str:
    """The module that an imported name belongs to: `losses/gram/GramLoss` is in `losses/gram`."""
    while target and target not in MODULES and f"{target}/__init__" not in MODULES:
        target = target.rpartition("/")[0]
    return target if target in MODULES else f"{target}/__init__".lstrip("/")


def wrong_imports(module: str, source: str) -> list[str]:
    """What is wrong with the imports of `module`, given as its path without suffix."""
    wrong = []
    kind, _, name = module.rpartition("/")
    for target in map(module_of, imported(source)):
        folder, own = target.split("/")[0], module.split("/")[0]
        if folder != own:
            if folder not in ORDER or ORDER.index(folder) > ORDER.index(own):
                wrong.append(f"{module} imports {target}, which is above it")
            continue
        target_kind, _, target_name = target.rpartition("/")
        shared = PARTS.get(kind, set()) | {"__init__"}
        if kind in PARTS and target_kind == kind and target_name not in shared and name not in shared:
            wrong.append(f"{module} imports its sibling {target}")
    return wrong


@pytest.mark.parametrize("module", MODULES)
def test_a_module_belongs_to_a_known_folder_and_imports_only_from_lower_ones(module: str) -> None:
    assert module.split("/")[0] in ORDER
    assert wrong_imports(module, MODULES[module].read_text(encoding="utf-8")) == []


def test_the_package_has_few_modules_outside_folders() -> None:
    assert len([module for module in MODULES if "/" not in module]) <= 11


@pytest.mark.parametrize(
    ("module", "planted"),
    [
        ("optim/descent", "from impasto.pipeline.stylizer import stylize"),
        ("optim/descent", "import impasto.methods.gatys"),
        ("weights/store", "def late():\n    from impasto import backbones"),
        ("losses/gram", "from impasto.methods import METHODS"),
        ("losses/gram", "from impasto.losses.content import ContentLoss"),
        ("losses/gram", "from impasto.losses import content"),
        ("training/recipes/micro", "from impasto.training.recipes.adain import AdaINRecipe"),
        ("pipeline/stylizer", "import impasto"),
    ],
)
def test_a_planted_upward_or_sideward_import_is_found(module: str, planted: str) -> None:
    assert len(wrong_imports(module, planted)) == 1


@pytest.mark.parametrize(
    ("module", "allowed"),
    [
        ("losses/gram", "from impasto.losses.base import LOSSES, FeatureLoss"),
        ("methods/gatys", "from impasto.methods.matching import MatchingConfig"),
        ("pipeline/stylizer", "from impasto.methods import METHODS"),
        ("pipeline/stylizer", "import torch"),
    ],
)
def test_a_downward_import_is_accepted(module: str, allowed: str) -> None:
    assert wrong_imports(module, allowed) == []

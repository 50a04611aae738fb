"""Registries: parts are found by folder, and nothing that is wrong with one is kept quiet."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from impasto.backbones import BACKBONES, Backbone
from impasto.losses import LOSSES, FeatureLoss
from impasto.methods import METHODS, Method
from impasto.registry import Registry
from impasto.samples import resolve

NUMBERS = count()
CIRCLE = """
from {package} import SHAPES

@SHAPES.add("circle")
class Circle:
    pass
"""


@pytest.fixture
def shapes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Registry[object]]]:
    """Makes a package of the given modules, and the registry in it that discovers them."""
    name = f"shapes_{next(NUMBERS)}"
    monkeypatch.syspath_prepend(tmp_path)

    def make(**modules: str) -> Registry[object]:
        folder = tmp_path / name
        folder.mkdir()
        head = f"from impasto.registry import Registry\nSHAPES = Registry('shape', '{name}')\n"
        (folder / "__init__.py").write_text(head)
        for module, source in modules.items():
            (folder / f"{module}.py").write_text(source.format(package=name))
        return __import__(name).SHAPES

    yield make
    for module in [module for module in sys.modules if module.split(".")[0] == name]:
        del sys.modules[module]


def test_a_part_is_found_because_its_file_is_there(shapes) -> None:
    registry = shapes(circle=CIRCLE, square=CIRCLE.replace("ircle", "quare").replace('"c', '"s'))
    assert list(registry) == ["circle", "square"]
    assert registry["circle"].__name__ == "Circle"
    assert "circle" in registry
    assert "triangle" not in registry


def test_nothing_is_imported_before_a_part_is_asked_for(shapes) -> None:
    registry = shapes(circle=CIRCLE)
    assert f"{registry.__class__.__module__}" == "impasto.registry"
    assert not [module for module in sys.modules if module.endswith(".circle") and module.startswith("shapes_")]
    assert registry["circle"]
    assert [module for module in sys.modules if module.endswith(".circle") and module.startswith("shapes_")]


def test_an_unknown_name_is_refused_with_the_choices(shapes) -> None:
    registry = shapes(circle=CIRCLE)
    with pytest.raises(ValueError, match=r"^unknown shape 'oval'; choose from circle$"):
        registry["oval"]


@pytest.mark.parametrize("ask", [list, lambda shapes: shapes["circle"], lambda shapes: "circle" in shapes])
@pytest.mark.parametrize("fault", ["import a_package_that_is_not_there", "raise ImportError('broken')", "1 / 0"])
def test_a_part_that_fails_to_import_is_an_error_every_time(shapes, fault: str, ask) -> None:
    registry = shapes(circle=CIRCLE, square=fault)
    for _ in range(2):
        with pytest.raises((ImportError, ZeroDivisionError)):
            ask(registry)


def test_two_parts_of_one_name_are_refused(shapes) -> None:
    registry = shapes(circle=CIRCLE, ring=CIRCLE)
    with pytest.raises(ValueError, match=r"^the shape 'circle' is registered twice; rename one of them$"):
        list(registry)


@pytest.mark.parametrize(
    ("registry", "contract", "known"),
    [
        (BACKBONES, Backbone, {"lite", "tiny", "vgg16", "vgg19", "vgg19-caffe", "squeezenet1_1", "resnet50"}),
        (LOSSES, FeatureLoss, {"content", "gram", "moments", "total_variation"}),
        (METHODS, Method, {"gatys", "gpdm", "nnst"}),
    ],
    ids=["backbones", "losses", "methods"],
)
def test_the_parts_of_the_house_are_there_and_keep_their_contract(registry, contract: type, known: set[str]) -> None:
    assert known <= set(registry)
    assert all(issubclass(registry[name], contract) for name in registry)


PLUG_IN = '''
from impasto.metrics import METRICS, PIXELS, Metric

@METRICS.add("brightness")
class Brightness(Metric):
    """How much lighter or darker the painting is than the style."""

    summary = "difference of mean brightness"
    measures = "style"

    def layers(self, backbone):
        return PIXELS

    def compare(self, output, reference):
        return abs(output.mean() - reference.mean()).item()
'''


def graded(folder: Path, source: str) -> subprocess.CompletedProcess[str]:
    """What `impasto metrics` says in a process that has a package with a metric installed."""
    (folder / "lightmeter.py").write_text(source)
    facts = folder / "lightmeter-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: lightmeter\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[impasto.metrics]\nbrightness = lightmeter\n")
    pictures = ["woodcut", "mosaic", str(resolve("woodcut"))]
    words = ["metrics", *pictures, "--backbone", "tiny", "--metrics", "brightness", "--json"]
    where = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.run([sys.executable, "-m", "impasto", *words], capture_output=True, text=True, env=where)


def test_a_metric_of_another_package_is_found_by_its_entry_point(tmp_path: Path) -> None:
    said = graded(tmp_path, PLUG_IN)
    assert said.returncode == 0, said.stderr
    rows = json.loads(said.stdout)
    assert rows["style_copy"]["brightness"] < 0.01 < rows["metrics"]["brightness"] == rows["identity"]["brightness"]


def test_a_package_that_fails_is_named_in_one_line(tmp_path: Path) -> None:
    said = graded(tmp_path, "import lpips_that_is_not_there")
    assert said.returncode == 2
    assert said.stderr.startswith("impasto: the metric 'brightness' of the package lightmeter: No module named")
    assert said.stderr.count("\n") == 1

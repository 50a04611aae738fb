"""Test registries: parts are found by folder or entry point, and their errors are reported."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from support import TIMEOUT, ForkedProcess

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
    """Return a function that creates a package of modules and returns its registry."""
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


def test_a_part_is_found_by_its_file(shapes) -> None:
    registry = shapes(circle=CIRCLE, square=CIRCLE.replace("ircle", "quare").replace('"c', '"s'))
    assert list(registry) == ["circle", "square"]
    assert registry["circle"].__name__ == "Circle"
    assert "circle" in registry
    assert "triangle" not in registry


def test_no_module_is_imported_before_the_first_lookup(shapes) -> None:
    registry = shapes(circle=CIRCLE)
    assert f"{registry.__class__.__module__}" == "impasto.registry"
    assert not [module for module in sys.modules if module.endswith(".circle") and module.startswith("shapes_")]
    assert registry["circle"]
    assert [module for module in sys.modules if module.endswith(".circle") and module.startswith("shapes_")]


def test_an_unknown_name_is_refused_with_all_choices(shapes) -> None:
    registry = shapes(circle=CIRCLE)
    with pytest.raises(ValueError, match=r"^unknown shape 'oval'; choose from circle$"):
        registry["oval"]


@pytest.mark.parametrize("look_up", [list, lambda shapes: shapes["circle"], lambda shapes: "circle" in shapes])
@pytest.mark.parametrize("fault", ["import a_package_that_is_not_there", "raise ImportError('broken')", "1 / 0"])
def test_a_part_that_fails_to_import_raises_at_every_lookup(shapes, fault: str, look_up) -> None:
    registry = shapes(circle=CIRCLE, square=fault)
    for _ in range(2):
        with pytest.raises((ImportError, ZeroDivisionError)):
            look_up(registry)


def test_two_parts_with_one_name_are_refused(shapes) -> None:
    registry = shapes(circle=CIRCLE, ring=CIRCLE)
    with pytest.raises(ValueError, match=r"^the shape 'circle' is registered twice; rename one of them$"):
        list(registry)


@pytest.mark.parametrize(
    ("registry", "contract", "known"),
    [
        (
            BACKBONES,
            Backbone,
            {"lite", "lowrank", "tiny", "vgg16", "vgg19", "vgg19-caffe", "squeezenet1_1", "resnet50"},
        ),
        (LOSSES, FeatureLoss, {"content", "gram", "moments", "total_variation"}),
        (METHODS, Method, {"gatys", "gpdm", "nnst"}),
    ],
    ids=["backbones", "losses", "methods"],
)
def test_the_parts_of_the_package_have_their_base_class(registry, contract: type, known: set[str]) -> None:
    assert known <= set(registry)
    assert all(issubclass(registry[name], contract) for name in registry)


def test_entry_points_of_another_group_are_loaded(shapes, tmp_path: Path) -> None:
    (tmp_path / "oval_plug_in.py").write_text("LOADED = True\n")
    metadata = tmp_path / "oval-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: oval\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[shapes.plug_ins]\noval = oval_plug_in\n")
    list(shapes(circle=CIRCLE))
    assert "oval_plug_in" not in sys.modules
    package = f"shapes_{next(NUMBERS) - 1}"
    assert list(Registry("shape", package, group="shapes.plug_ins")) == []
    assert sys.modules.pop("oval_plug_in").LOADED


PLUG_IN = '''
from impasto.metrics import METRICS, PIXELS, Metric

@METRICS.add("brightness")
class Brightness(Metric):
    """Return the difference of the mean brightness of the output and the style."""

    summary = "difference of mean brightness"
    measures = "style"

    def layers(self, backbone):
        return PIXELS

    def compare(self, output, reference):
        return abs(output.mean() - reference.mean()).item()
'''


def run_metrics(folder: Path, source: str) -> tuple[int | None, str, str]:
    """Run `impasto metrics` in a process where a package with a metric is installed."""
    (folder / "lightmeter.py").write_text(source)
    metadata = folder / "lightmeter-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: lightmeter\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[impasto.metrics]\nbrightness = lightmeter\n")
    pictures = ["woodcut", "mosaic", str(resolve("woodcut"))]
    arguments = ["metrics", *pictures, "--backbone", "tiny", "--metrics", "brightness", "--json"]
    code = "import sys; from impasto.cli import main; sys.path.insert(0, sys.argv[1]); sys.exit(main(sys.argv[2:]))"
    process = ForkedProcess(folder, code, folder, *arguments)
    out, err = process.communicate(TIMEOUT)
    return process.returncode, out, err


def test_a_metric_of_another_package_is_found_by_its_entry_point(tmp_path: Path) -> None:
    status, out, err = run_metrics(tmp_path, PLUG_IN)
    assert status == 0, err
    rows = json.loads(out)
    assert rows["style_copy"]["brightness"] < 0.01 < rows["metrics"]["brightness"] == rows["identity"]["brightness"]


def test_a_package_that_fails_to_import_is_named_in_one_line(tmp_path: Path) -> None:
    status, _, err = run_metrics(tmp_path, "import lpips_that_is_not_there")
    assert status == 2
    assert err.startswith("impasto: the metric 'brightness' of the package lightmeter: No module named")
    assert err.count("\n") == 1

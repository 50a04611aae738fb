"""Test the Python interface: `stylize`, its callbacks, results, records and errors."""

import doctest
import importlib
import json
import re
import runpy
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch

import impasto
from impasto import Result, Step, stylize
from impasto.images import resize
from impasto.methods import METHODS, configure
from impasto.methods.gatys import Gatys
from impasto.pipeline.start_methods import details_method
from impasto.samples import resolve

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "impasto").rglob("*.py"))
WITH_DOCTESTS = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in SOURCES
    if ">>> " in path.read_text(encoding="utf-8")
]
QUICK = ["--backbone", "tiny", "--size", "64", "--steps", "3"]


def stylize_quickly(content: Any = "woodcut", style: Any = "mosaic", **settings: Any) -> Result:
    return stylize(content, style, **{"backbone": "tiny", "size": 48, "steps": 3, **settings})


@pytest.fixture
def content_file(tmp_path: Path) -> Path:
    """Return a file of 64x48 pixels."""
    generator = torch.Generator().manual_seed(3)
    pixels = torch.rand(48, 64, 3, generator=generator).mul(255).to(torch.uint8).numpy()
    PIL.Image.fromarray(pixels).save(tmp_path / "content.png")
    return tmp_path / "content.png"


@pytest.mark.parametrize("name", WITH_DOCTESTS)
def test_the_examples_in_the_docstrings_print_the_documented_output(name: str) -> None:
    outcome = doctest.testmod(importlib.import_module(name))
    assert outcome.attempted > 0
    assert outcome.failed == 0


def test_importing_prints_nothing_and_loads_no_large_package() -> None:
    code = "import sys, impasto; print({'torch', 'numpy', 'PIL', 'pydantic'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert (run.stdout, run.stderr) == ("set()\n", "")


def test_every_public_name_exists_and_another_is_an_error() -> None:
    assert all(getattr(impasto, name) is not None for name in impasto.__all__)
    with pytest.raises(AttributeError, match="no attribute 'unknown'"):
        _ = impasto.unknown


def test_a_path_a_pil_image_and_a_tensor_give_the_same_image(content_file: Path) -> None:
    with PIL.Image.open(content_file) as opened:
        picture = opened.copy()
    tensor = impasto.load_image(content_file)
    first, *others = [
        stylize_quickly(source).image for source in (content_file, str(content_file), picture, tensor, tensor[0])
    ]
    assert all(torch.equal(first, other) for other in others)


def test_a_tensor_argument_is_not_changed(content_file: Path) -> None:
    tensor = impasto.load_image(content_file)
    before = tensor.clone()
    stylize_quickly(tensor, tensor)
    assert torch.equal(tensor, before)


def test_the_image_has_the_requested_size_and_is_in_range() -> None:
    image = stylize_quickly(size=64).image
    assert image.shape == (1, 3, 51, 64)
    assert image.dtype is torch.float32
    assert 0 <= image.min() < image.max() <= 1


def test_the_same_seed_gives_the_same_image_and_another_seed_another_image() -> None:
    first, second = stylize_quickly(start="noise"), stylize_quickly(start="noise")
    assert torch.equal(first.image, second.image)
    assert first.losses == second.losses
    assert not torch.equal(first.image, stylize_quickly(start="noise", seed=1).image)


def test_every_step_is_reported_with_its_losses_and_its_image() -> None:
    steps: list[Step] = []
    result = stylize_quickly(steps=5, on_step=steps.append)
    assert [step.index for step in steps] == [1, 2, 3, 4, 5]
    assert all(step.image().shape == result.image.shape for step in steps)
    assert all(step.loss == sum(step.losses.values()) > 0 for step in steps)
    assert set(steps[0].by_kind()) == {"content", "style", "total"}
    assert steps[-1].loss < steps[0].loss
    assert result.stopped == "steps"


def test_returning_false_stops_and_keeps_the_best_image() -> None:
    seen: list[Step] = []

    def until_the_fourth(step: Step) -> bool:
        seen.append(step)
        return step.index < 4

    result = stylize_quickly(steps=50, on_step=until_the_fourth)
    assert (result.stopped, result.steps) == ("cancelled", 4)
    best = min(seen, key=lambda step: step.loss)
    assert result.best == best.index
    assert torch.equal(result.image, best.image())


def test_a_run_stopped_at_a_coarser_size_has_the_requested_size() -> None:
    result = stylize_quickly(steps=10, sizes=(32, 64), on_step=lambda step: False)
    assert result.image.shape[-1] == 64


@pytest.mark.parametrize("value", [False, np.False_, torch.tensor(False)])
def test_every_false_value_of_a_listener_stops(value: object) -> None:
    result = stylize_quickly(on_step=lambda step: value)
    assert (result.stopped, result.steps) == ("cancelled", 1)


@pytest.mark.parametrize("value", [None, True, np.True_, torch.tensor(True)])
def test_none_and_every_true_value_of_a_listener_do_not_stop(value: object) -> None:
    assert stylize_quickly(on_step=lambda step: value).stopped == "steps"


def test_a_replay_stops_at_a_boolean_of_numpy(tmp_path: Path) -> None:
    picture = stylize_quickly("woodcut", "mosaic").save(tmp_path / "out.png")
    assert impasto.replay(picture, on_step=lambda step: np.less(step.index, 2)).steps == 2


def test_a_style_of_weight_0_has_no_effect_and_equal_weights_are_the_default() -> None:
    alone = stylize_quickly(style="mosaic").image
    weightless = stylize_quickly(style=["mosaic", "brushstrokes"], style_mix=(2, 0)).image
    blend = stylize_quickly(style=["mosaic", "brushstrokes"], style_mix=(1, 1)).image
    assert torch.equal(alone, weightless)
    assert not torch.equal(alone, blend)
    assert torch.equal(blend, stylize_quickly(style=["mosaic", "brushstrokes"]).image)


def test_alpha_is_written_to_the_file(content_file: Path, tmp_path: Path) -> None:
    with PIL.Image.open(content_file) as opened:
        picture = opened.convert("RGBA")
    picture.putalpha(PIL.Image.linear_gradient("L").resize(picture.size))
    result = stylize_quickly(picture, size=0)
    assert result.alpha is not None
    assert result.alpha.shape == (1, 1, 48, 64)
    with PIL.Image.open(result.save(tmp_path / "out.png")) as saved:
        assert saved.getchannel("A").tobytes() == picture.getchannel("A").tobytes()


def test_an_opaque_image_has_no_alpha(content_file: Path, tmp_path: Path) -> None:
    result = stylize_quickly(content_file)
    assert result.alpha is None
    with PIL.Image.open(result.save(tmp_path / "out.png")) as saved:
        assert saved.mode == "RGB"


def test_saving_writes_the_record_into_the_image_and_beside_it(tmp_path: Path) -> None:
    result = stylize_quickly()
    path = result.save(tmp_path / "new" / "out.png")
    assert {file.name for file in path.parent.iterdir()} == {"out.png", "out.json"}
    with PIL.Image.open(path) as saved:
        inside = json.loads(saved.text["impasto"])
    beside = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    assert len(beside.pop("curve")) == result.steps
    assert inside == beside == {key: value for key, value in result.record(picture=path.name).items() if key != "curve"}
    assert inside["settings"]["seed"] == 0
    assert [entry["path"] for entry in inside["inputs"]] == ["woodcut", "mosaic"]


def test_the_saved_image_is_the_result_and_its_losses_sum_to_the_total(tmp_path: Path) -> None:
    result = stylize_quickly(steps=8)
    saved = impasto.load_image(result.save(tmp_path / "out.png"))
    assert torch.allclose(saved, result.image, atol=0.5 / 255 + 1e-6)
    summary = result.summary()["losses"]
    assert summary["total"] == pytest.approx(summary["content"] + summary["style"])


def test_a_replay_of_a_record_gives_the_same_image(tmp_path: Path) -> None:
    result = stylize_quickly(start="noise", seed=7)
    path = result.save(tmp_path / "out.png")
    with warnings.catch_warnings(action="error"):
        again = impasto.replay(path)
    assert torch.equal(result.image, again.image)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"method": "oils"}, "unknown method 'oils'; choose from adain, bures, gatys"),
        ({"backbone": "vgg99"}, "unknown backbone 'vgg99'; choose from"),
        ({"brush": 3}, "no setting 'brush'; it has: size"),
        ({"style_weight": -1}, "style_weight: input should be greater than or equal to 0, not -1"),
        ({"style_layers": ("relu9_1",)}, "no layer 'relu9_1'; it has: relu1_1"),
        ({"style_mix": (1, 2)}, "2 weights, but 1 style image"),
        ({"content": torch.full((3, 32, 32), torch.nan)}, "NaN"),
        ({"content": torch.rand(3, 8, 64)}, "64x8 pixels"),
        ({"content": "no/such.jpg"}, "'no/such.jpg' is not a file"),
        ({"style": []}, "give at least one"),
        ({"device": "abacus"}, "abacus"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_an_invalid_argument_is_a_value_error_of_one_line(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        stylize_quickly(**wrong)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "arguments",
    [
        ["stylize_one.py", "woodcut", "mosaic", "out.png", *QUICK],
        ["stop_early.py", "out.png"],
        ["interpolate.py", "woodcut", "mosaic", "brushstrokes", "out.png", *QUICK],
    ],
    ids=lambda arguments: arguments[0],
)
def test_an_example_runs(arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", arguments)
    runpy.run_path(str(ROOT / "examples" / arguments[0]), run_name="__main__")
    assert (tmp_path / "out.png").is_file()
    assert (tmp_path / "out.json").is_file() == (arguments[0] != "interpolate.py")  # a contact sheet has no record


def test_settings_replace_those_of_the_preset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Gatys, "paper", {"pooling": "average", "start": "noise"})
    quick = {"backbone": "tiny", "size": 40, "steps": 1}
    of_paper = impasto.stylize("woodcut", "mosaic", preset="paper", start="style", **quick).settings
    ours = impasto.stylize("woodcut", "mosaic", **quick).settings
    assert (of_paper["preset"], of_paper["pooling"], of_paper["start"]) == ("paper", "average", "style")
    assert (ours["preset"], ours["pooling"], ours["start"]) == ("impasto", "max", "content")


# Start


def first_image(**settings: Any) -> torch.Tensor:
    """Return the image of the first step."""
    steps: list[Step] = []
    stylize_quickly(steps=1, on_step=steps.append, **settings)
    return steps[0].image()


def test_a_file_or_a_sample_can_be_the_start(content_file: Path) -> None:
    for start in (str(content_file), f"file:{content_file}"):
        assert torch.equal(first_image(start=start), resize(impasto.load_image(content_file), (38, 48)))
    assert torch.equal(first_image(start="mosaic"), resize(impasto.load_image(resolve("mosaic")), (38, 48)))


def test_a_feed_forward_method_can_compute_the_start() -> None:
    expected = impasto.stylize("woodcut", "mosaic", "micro", weights="micro", size=48).image
    for start in ("micro", "method:micro"):
        assert torch.equal(first_image(start=start), expected)


def test_a_draft_begins_its_finer_size_with_the_strokes_of_a_feed_forward_method() -> None:
    settings: dict[str, Any] = {"size": 128, "precision": "fp32", "device": "cpu"}
    steps: list[Step] = []
    stylize_quickly(steps=None, quality="draft", loss_scales=2, on_step=steps.append, **settings)
    coarse = min((step for step in steps if step.stage == 0), key=lambda step: step.loss).image()
    fine = next(step for step in steps if step.stage == 1).image()
    size, reduced = ((image.shape[-2], image.shape[-1]) for image in (fine, coarse))
    micro = stylize("woodcut", "mosaic", "micro", weights="micro", **settings).image
    strokes = micro - resize(resize(micro, reduced), size)
    assert strokes.abs().max() > 0.05
    assert torch.allclose(fine, (resize(coarse, size) + strokes).clamp(0, 1), atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"quality": "draft"}, "micro"),
        ({}, None),
        ({"quality": "best"}, None),
        ({"quality": "draft", "steps": 5}, None),
        ({"quality": "draft", "tolerance": 0.1}, None),
        ({"quality": "draft", "start": "noise"}, None),
        ({"quality": "draft", "start": "mosaic"}, None),
    ],
)
def test_only_drafts_by_quality_from_the_content_need_foreign_strokes(
    settings: dict[str, Any], expected: str | None
) -> None:
    assert Gatys.details(configure("gatys", settings)) == expected
    method = details_method(Gatys(configure("gatys", {"size": 80, **settings})))
    assert (method is None) == (expected is None)
    assert method is None or (isinstance(method, METHODS["micro"]) and method.config.size == 80)


def test_a_file_with_the_name_of_a_start_is_found_by_its_tag(
    content_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "noise").write_bytes(content_file.read_bytes())
    monkeypatch.chdir(tmp_path)
    assert torch.equal(first_image(start="file:noise"), resize(impasto.load_image(content_file), (38, 48)))
    assert not torch.equal(first_image(start="noise"), first_image(start="file:noise"))


@pytest.mark.parametrize("start", ["nowhere.png", "contents", "", "file:", "file:nowhere.png"])
def test_an_unknown_start_is_an_error_of_one_line_with_the_choices(start: str) -> None:
    with pytest.raises(
        ValueError, match=r"^start: give content, style, noise, a feed-forward method or an image: .+$"
    ) as caught:
        first_image(start=start)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("start", ["gatys", "method:gatys", "method:nothing"])
def test_a_start_by_a_method_that_is_not_feed_forward_is_an_error_of_one_line(start: str) -> None:
    with pytest.raises(ValueError, match=r"^start: '\w+' is not a feed-forward method; choose from adain, .*micro"):
        first_image(start=start)

"""Experiment files: the tasks they expand to, and one-line errors with the location of the mistake."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from impasto.backbones import BACKBONES
from impasto.experiments.bundled import FOLDER, bundled, find_experiment
from impasto.experiments.expand import Experiment, read_experiment
from impasto.images import save_image
from impasto.methods import METHODS

GRID = """\
name: trial
summary: a trial
settings: {size: 48, backbone: tiny}
variants:
  - method: gatys
  - name: free
    method: nnst
    settings:
      alpha: 0.5
pairs:
  - [woodcut, mosaic]
"""
Read = Callable[..., Experiment]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Read an experiment file, with `old` replaced by `new`."""

    def read(text: str = GRID, old: str = "", new: str = "", *, quick: bool = False) -> Experiment:
        assert old in text
        path = tmp_path / "grid.yaml"
        path.write_text(text.replace(old, new, 1) if old else text)
        return read_experiment(path, quick=quick)

    return read


def test_tasks_are_every_variant_of_every_pair_with_every_seed(read: Read) -> None:
    tasks = read(old="pairs:\n", new="seeds: [3, 4]\npairs:\n  - [geometric, inkwash]\n").tasks
    assert [(task.content, task.variant, task.settings["seed"]) for task in tasks] == [
        (content, variant, seed)
        for content in ("geometric", "woodcut")
        for variant in ("gatys", "free")
        for seed in (3, 4)
    ]
    assert tasks[0].settings == {"size": 48, "backbone": "tiny", "seed": 3}
    assert tasks[2].settings == {"size": 48, "backbone": "tiny", "alpha": 0.5, "seed": 3}


def test_a_product_combines_every_method_with_every_setting(read: Read) -> None:
    product = "product:\n  methods: [gatys, bures]\n  settings: {lr: [0.1, 1], start: [noise, content]}\npairs:\n"
    tasks = read(old="pairs:\n", new=product).tasks
    assert [task.variant for task in tasks[2:6]] == [
        f"gatys, lr {lr}, start {start}" for lr in ("0.1", "1") for start in ("noise", "content")
    ]
    assert [task.method for task in tasks[2:]] == ["gatys"] * 4 + ["bures"] * 4


def test_common_settings_apply_to_the_methods_that_have_them(read: Read) -> None:
    with_network, without = read(old="method: nnst\n    settings:\n      alpha: 0.5", new="method: gpdm").tasks
    assert with_network.settings["backbone"] == "tiny"
    assert "backbone" not in without.settings


def test_runs_are_excluded_and_included(read: Read) -> None:
    more = "exclude:\n  - {method: gatys, style: mosaic}\n"
    more += "include:\n  - {method: bures, content: inkwash, style: mosaic}\n"
    tasks = read(GRID.replace("[woodcut, mosaic]", "[woodcut, mosaic]\n  - [woodcut, inkwash]") + more).tasks
    cells = [(task.variant, task.content, task.style) for task in tasks]
    assert cells == [
        ("free", "woodcut", "mosaic"),
        ("gatys", "woodcut", "inkwash"),
        ("free", "woodcut", "inkwash"),
        ("bures", "inkwash", "mosaic"),
    ]


def test_the_key_does_not_depend_on_the_notation_of_the_settings(read: Read) -> None:
    plain = read(old="      alpha: 0.5", new="      alpha: 1").tasks[1]
    other = read(old="      alpha: 0.5", new="      alpha: 1.0").tasks[1]
    renamed = read(GRID.replace("alpha: 0.5", "alpha: 1e+0"), old="name: free", new="name: bold").tasks[1]
    different = read(old="      alpha: 0.5", new="      alpha: 0.9").tasks[1]
    assert plain.key == other.key == renamed.key != different.key


def test_an_image_beside_the_file_takes_precedence_over_a_sample(read: Read, tmp_path: Path) -> None:
    save_image(torch.rand(1, 3, 32, 32), tmp_path / "own.png")
    task = read(old="[woodcut, mosaic]", new="[own.png, mosaic]").tasks[0]
    assert (task.content, task.style) == (str(tmp_path / "own.png"), "mosaic")


def test_a_folder_in_place_of_an_image_is_an_error_with_the_path_of_one_of_its_images(
    read: Read, tmp_path: Path
) -> None:
    folder = tmp_path / "My Photos"
    folder.mkdir()
    with pytest.raises(ValueError, match=r"pairs.0.0: '.*/My Photos' is a folder; .* such as 'My Photos/photo.jpg'$"):
        read(old="[woodcut, mosaic]", new="[My Photos, mosaic]")
    for name in ("notes.txt", "b.png", "a.JPG"):
        (folder / name).touch()
    with pytest.raises(ValueError, match=r"grid.yaml:11: pairs.0.1: .*, such as 'My Photos/a.JPG'$"):
        read(old="[woodcut, mosaic]", new="[woodcut, My Photos]")


def test_a_folder_among_contents_or_styles_stands_for_its_images_each_once(read: Read, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    for name in ("b.png", "rome/a.png", "a.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        save_image(torch.rand(1, 3, 32, 32), folder / name)
    (folder / "notes.txt").write_text("no image")
    grid = "contents: [woodcut, photos, photos/b.png]\nstyles: [photos/rome]"
    tasks = read(old="pairs:\n  - [woodcut, mosaic]", new=grid).tasks
    images = [str(folder / name) for name in ("a.png", "b.png", "rome/a.png")]
    assert list(dict.fromkeys((task.content, task.style) for task in tasks)) == [
        (content, images[2]) for content in ("woodcut", *images)
    ]


def test_a_folder_without_images_is_an_error_with_its_line(read: Read, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"grid.yaml:12: styles.0: '.*/empty': it contains no images; give a folder"):
        read(old="pairs:\n  - [woodcut, mosaic]", new="contents: [woodcut]\n\nstyles: [empty]")


def test_a_start_image_beside_the_file_is_found_with_and_without_a_tag(read: Read, tmp_path: Path) -> None:
    save_image(torch.rand(1, 3, 32, 32), tmp_path / "own.png")
    for name in ("noise", "micro"):  # a start of this name is not a file, unless it is tagged
        (tmp_path / name).write_bytes((tmp_path / "own.png").read_bytes())
    files = {"own.png": "own.png", "file:own.png": "own.png", "file:micro": "micro"}
    expected = {start: str(tmp_path / name) for start, name in files.items()} | {"noise": "noise", "micro": "micro"}
    for start, value in expected.items():
        task = read(old="backbone: tiny}", new=f"backbone: tiny, start: '{start}'}}").tasks[0]
        assert task.settings["start"] == value


QUICK = GRID + "quick:\n  contents: [geometric, inkwash]\n  styles: [mosaic]\n  settings: {size: 32, alpha: 0.25}\n"


def test_the_quick_version_replaces_fields_and_its_settings_take_precedence(read: Read) -> None:
    assert read(QUICK).tasks == read(GRID).tasks
    tasks = read(QUICK, quick=True).tasks
    assert [(task.content, task.variant) for task in tasks] == [
        (content, variant) for content in ("geometric", "inkwash") for variant in ("gatys", "free")
    ]
    assert tasks[1].settings == {"size": 32, "backbone": "tiny", "alpha": 0.25, "seed": 0}


GRID_OF_STEPS = """\
name: trial
settings: {size: 48, backbone: tiny}
product:
  methods: [gatys]
  settings: {optimizer: [adam, lbfgs], steps: [4, 8]}
exclude: [{settings: {optimizer: adam, steps: 4}}, {variant: "gatys, optimizer adam, steps 8"}]
pairs: [[woodcut, mosaic]]
quick: {settings: {steps: 2}}
"""


def test_the_quick_version_names_its_own_settings_and_excludes_by_those_of_the_file(read: Read) -> None:
    full = [task.variant for task in read(GRID_OF_STEPS).tasks]
    assert full == ["gatys, optimizer lbfgs, steps 4", "gatys, optimizer lbfgs, steps 8"]
    (task,) = read(GRID_OF_STEPS, quick=True).tasks
    assert (task.variant, task.settings["steps"]) == ("gatys, optimizer lbfgs, steps 2", 2)
    one_excluded = GRID_OF_STEPS.replace(', {variant: "gatys, optimizer adam, steps 8"}', "")
    assert [task.variant for task in read(one_excluded, quick=True).tasks] == [
        f"gatys, optimizer {optimizer}, steps 2" for optimizer in ("adam", "lbfgs")
    ]


def test_variants_that_the_quick_version_makes_equal_are_one_with_the_seeds_of_all(read: Read) -> None:
    variants = """\
  - {name: few, method: gatys, settings: {steps: 4}}
  - {name: many, method: gatys, settings: {steps: 8}, seeds: [0, 1]}
  - {name: few again, method: gatys, settings: {steps: 4}}
"""
    text = GRID.replace("  - method: gatys\n", variants) + "quick: {settings: {steps: 2}}\n"
    cells = [(task.variant, task.settings["seed"]) for task in read(text).tasks]
    assert cells == [("few", 0), ("many", 0), ("many", 1), ("few again", 0), ("free", 0)]
    cells = [(task.variant, task.settings["seed"]) for task in read(text, quick=True).tasks]
    assert cells == [("few", 0), ("few", 1), ("few again", 0), ("free", 0)]


@pytest.mark.parametrize(
    ("old", "new", "line", "field", "message"),
    [
        ("summary", "sumary", 2, "sumary", "unknown field; choose from variants, product"),
        ("    settings:\n", "    setings:\n", 8, "variants.1.setings", "choose from method, settings, name, seeds"),
        ("name: trial\n", "", 1, "name", "missing"),
        ("name: trial", "name: a trial", 1, "name", "of letters, digits, _ and -, without spaces, not 'a trial'"),
        ("name: trial", "name: ''", 1, "name", "give a name of letters, digits, _ and -, without spaces, not ''"),
        (
            "method: gatys",
            "method: gaty",
            5,
            "variants.0.method",
            "unknown method 'gaty'; choose from adain, bures, gatys",
        ),
        ("alpha: 0.5", "alpa: 0.5", 9, "variants.1.settings.alpa", "no setting 'alpa'; it has: size"),
        ("alpha: 0.5", "alpha: 1.5", 9, "variants.1.settings.alpha", "less than or equal to 1, not 1.5"),
        ("size: 48", "size: -1", 3, "settings.size", "greater than or equal to 0, not -1"),
        ("backbone: tiny", "backbone: tin", 3, "settings.backbone", "unknown backbone 'tin'; choose from lite"),
        ("backbone: tiny", "backbon: tiny", 3, "settings.backbon", "no method here has this setting; choose from size"),
        ("backbone: tiny", "seed: 1", 3, "settings.seed", "give seeds"),
        ("alpha: 0.5", "optimizer: sgd", 9, "variants.1.settings.optimizer", "'lbfgs', 'adam' or 'rmsprop', not 'sgd'"),
        (
            "[woodcut, mosaic]",
            "[woodcut, gone.png]",
            11,
            "pairs.0.1",
            "no sample 'gone.png'; samples: contents",
        ),
        ("- [woodcut, mosaic]", "- [woodcut]", 11, "pairs.0.1", "missing"),
        (
            "pairs:",
            "evaluation_network: vgg\npairs:",
            10,
            "evaluation_network",
            "unknown backbone 'vgg'; choose from lite",
        ),
        ("pairs:", "metrics: [ssim, lpips]\npairs:", 10, "metrics.1", "unknown metric 'lpips'; choose from cfsd"),
        ("pairs:", "metrics: [ssim, gram@x]\npairs:", 10, "metrics.1", "size must be a positive integer, not 'x'"),
        ("pairs:", "metrics: [gram@64]\npairs:", 10, "metrics.0", "longest output has only 48 pixels; give a smaller"),
        ("pairs:", "seeds: [-1]\npairs:", 10, "seeds.0", "greater than or equal to 0, not -1"),
        ("pairs:", "contents: [woodcut]\npairs:", 11, "pairs", "either pairs, or contents and styles"),
        ("pairs:", "exclude: [{method: mrf}]\npairs:", 10, "exclude.0", "this pattern excludes nothing"),
        ("pairs:", "name: again\npairs:", 10, "name", "duplicate key"),
        ("pairs:", "product: {methods: [gatys], settings: {lr: [1, 200]}}\npairs:", 10, "product.settings.lr.1", "200"),
        ("method: gatys", "method: gatys\n   x", 6, "", "not valid YAML"),
    ],
)
def test_an_error_names_the_line_the_field_and_the_choices(
    read: Read, old: str, new: str, line: int, field: str, message: str
) -> None:
    with pytest.raises(ValueError, match=r"grid\.yaml") as caught:
        read(old=old, new=new)
    text = str(caught.value)
    assert re.search(rf"grid\.yaml:{line}: {re.escape(field)}{': ' if field else ''}", text), text
    assert message in text
    assert "\n" not in text


def test_an_error_in_the_quick_version_names_its_line(read: Read) -> None:
    with pytest.raises(ValueError, match=r"grid.yaml:15: quick.settings.alpha: .*, not 7"):
        read(QUICK.replace("alpha: 0.25", "alpha: 7"), quick=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("- 1\n", ":1: an experiment is a mapping of fields"),
        ("&a [*a]\n", "refers to itself"),
        ("[" * 3000, "grid.yaml: its values are nested too deeply"),
    ],
)
def test_a_file_without_fields_is_an_error(read: Read, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        read(text)


def test_a_value_that_aliases_make_long_is_shortened_in_the_error(read: Read) -> None:
    lines = ["a0: &a0 [x, x, x]", *(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 8)}]" for i in range(1, 6)), "name: *a5"]
    with pytest.raises(ValueError, match="name: ") as caught:
        read("\n".join(lines))
    assert len(str(caught.value)) < 1000


def test_content_and_style_share_are_graded_at_the_sizes_below_the_largest_output(read: Read) -> None:
    assert read().metrics == ("content", "ssim", "style_share", "frechet")
    larger = read(old="alpha: 0.5", new="size: 300").metrics
    shares = ("style_share", "style_share@256", "style_share@128")
    assert larger == ("content", "content@256", "content@128", "ssim", *shares, "frechet")
    assert "style_share@512" in read(old="alpha: 0.5", new="size: 0").metrics  # the size of the content image


def test_the_quick_version_may_have_smaller_outputs_than_the_size_of_a_metric(read: Read) -> None:
    metrics = "metrics: [ssim, gram@48]\nquick:\n"
    assert read(QUICK, old="quick:\n", new=metrics, quick=True).metrics == ("ssim", "gram@48")
    with pytest.raises(ValueError, match=r"grid.yaml:13: quick.metrics.0: metric 'gram@48': .* has only 32 pixels"):
        read(QUICK, old="quick:\n", new="quick:\n  metrics: [gram@48]\n", quick=True)


def test_different_tasks_of_one_cell_need_different_names(read: Read) -> None:
    twice = textwrap.indent("- {name: gatys, method: gatys, settings: {steps: 3}}\n", "  ")
    with pytest.raises(ValueError, match="two variants are called 'gatys'"):
        read(old="  - name: free\n", new=f"{twice}  - name: free\n")


def test_ten_experiments_are_bundled() -> None:
    expected = "backbones convergence layers normalization optimizers pooling resolution scenes speed-quality texture"
    assert list(bundled()) == expected.split()
    with pytest.raises(ValueError, match="choose from backbones, convergence"):
        find_experiment("backbone")


def test_speed_quality_compares_every_method_for_any_style() -> None:
    experiment = read_experiment(find_experiment("speed-quality"))
    assert {task.method for task in experiment.tasks} == set(METHODS) - {"johnson"}


@pytest.mark.parametrize("name", [path.stem for path in sorted(FOLDER.glob("*.yaml"))])
def test_a_bundled_experiment_has_six_pairs_or_more_and_a_quick_version(name: str) -> None:
    experiment = read_experiment(find_experiment(name))
    quick = read_experiment(find_experiment(name), quick=True)
    assert experiment.name == quick.name == name
    assert len({(task.content, task.style) for task in experiment.tasks}) >= 6
    sides = [side for task in quick.tasks for side in task.settings.get("sizes", [task.settings.get("size", 0)])]
    assert max(sides) < 100
    assert len(quick.tasks) < len(experiment.tasks)


def test_the_nightly_experiment_has_every_network_whose_weights_are_downloaded() -> None:
    experiment = read_experiment(Path(__file__).parents[2] / "tools" / "nightly.yaml")
    downloaded = {name for name in BACKBONES if BACKBONES[name].weights is not None}
    assert {task.settings["backbone"] for task in experiment.tasks} == downloaded

"""The report of an experiment: a self-contained HTML page, a CSV file and a JSON file."""

from __future__ import annotations

import csv
import json
import math
import re
import shlex
import shutil
import time
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from small_experiment import PAIRS, VARIANTS, synthetic

from impasto.cli import main
from impasto.experiments.report import write
from impasto.experiments.report.commands import command_of
from impasto.experiments.report.curves import thinned
from impasto.experiments.report.pictures import BYTES, LARGEST, SMALLEST, Thumbnail, side_for
from impasto.experiments.report.tables import SANITY, quantities
from impasto.experiments.run import Run, Task
from impasto.types import Step


class Page(HTMLParser):
    """The parsed page: its elements with their attributes, its text, and the data of its script."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self._open = ""
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        found = re.search(r'<script type="application/json" id="data">(.*?)</script>', self.source, re.DOTALL)
        assert found is not None
        self.data = json.loads(found[1])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        self._open = tag

    def handle_data(self, data: str) -> None:
        if self._open not in ("script", "style"):
            self.text += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def experiment(small: tuple[Path, list[Run]], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Run]]:
    """A copy of the small experiment, in which the report is written."""
    folder = tmp_path_factory.mktemp("experiment") / "copy"
    shutil.copytree(small[0], folder)
    return folder, small[1]


@pytest.fixture(scope="module")
def page(experiment: tuple[Path, list[Run]]) -> Page:
    return Page(write(*experiment, "A trial", "Three variants.\n\nSecond paragraph."))


def test_every_output_image_is_in_the_page_with_a_description(experiment: tuple[Path, list[Run]], page: Page) -> None:
    alts = [image["alt"] for image in page.all("img") if image.get("id", "").startswith("run-")]
    assert Counter(alts) == Counter(
        f"{variant}: {content} with {style}{', seed 1' if seed else ''}"
        for content, style in PAIRS
        for variant in VARIANTS
        for seed in ((0, 1) if variant == "noise" else (0,))
    )
    assert "steps: input should be greater than 0, not -1" in page.text
    assert page.text.count("Not part of the experiment") == 1  # the broken variant has one pair only


def test_the_page_loads_nothing_from_outside(page: Page) -> None:
    attributes = [
        a for _, each in page.elements for name, a in each.items() if name in ("src", "href", "data", "poster")
    ]
    local = ("data:", "#", "report.")
    assert attributes
    assert [a for a in attributes if not a.startswith(local)] == []
    assert [url for url in re.findall(r"url\(([^)]{0,40})", page.source) if not url.startswith(("data:", "${"))] == []
    assert "@import" not in page.source
    assert any("default-src 'none'" in meta.get("content", "") for meta in page.all("meta"))


def test_medians_are_those_of_the_runs(experiment: tuple[Path, list[Run]], page: Page) -> None:
    folder, runs = experiment
    table = {row["name"]: row for row in json.loads((folder / "report.json").read_bytes())["variants"]}
    assert list(table) == [*VARIANTS, "broken", *SANITY]
    for name in ("gram", "ssim"):
        values = [run.metrics[name] for run in runs if run.task.variant == "few steps"]
        assert table["few steps"]["figures"][name]["median"] == pytest.approx(np.mean(values))
        per_pair = [
            np.median(
                [run.metrics[name] for run in runs if run.task.variant == "noise" and run.task.content == content]
            )
            for content, _ in PAIRS
        ]
        assert table["noise"]["figures"][name]["median"] == pytest.approx(np.median(per_pair))
        assert table["noise"]["figures"][name]["low"] < table["noise"]["figures"][name]["high"]
    assert table["identity"]["figures"]["ssim"]["median"] == 1
    assert table["broken"]["figures"]["gram"] is None
    assert (table["broken"]["done"], table["broken"]["tasks"]) == (0, 1)
    assert (table["noise"]["done"], table["noise"]["tasks"]) == (4, 4)


def test_the_pareto_front_contains_the_best_of_each_metric_and_no_sanity_check(page: Page) -> None:
    rows, tradeoffs = page.data["rows"], page.data["tradeoffs"]
    assert len(tradeoffs["fronts"]) == len(tradeoffs["structure"]) * len(tradeoffs["style"]) > 10
    variants = [i for i, row in enumerate(rows) if not row["sanity"] and row["figures"]]
    for x in tradeoffs["structure"]:
        best = max if x["better"] > 0 else min
        value = best(rows[i]["figures"][x["name"]][0] for i in variants)
        for y in tradeoffs["style"]:
            front = tradeoffs["fronts"][f"{x['name']}|{y['name']}"]
            assert any(rows[i]["figures"][x["name"]][0] == value for i in front)
            assert set(front) <= set(variants)


def test_settings_that_differ_between_variants_are_listed_separately(page: Page) -> None:
    different, common = page.source.split("Settings that differ between variants")[1].split(
        "Settings that all variants share:"
    )
    heads = re.findall(r'<th scope="col">(\w+)</th>', different)
    assert set(heads) == {"variant", "steps", "start", "seed"}
    assert "content (default)" in different  # the start of the variants that give none
    assert "backbone <b>tiny</b>" in common.split("</section>")[0]


def test_the_sizes_of_a_metric_are_columns_beside_it_from_large_to_small(experiment: tuple[Path, list[Run]]) -> None:
    names = [
        "style_share@128",
        "ssim",
        "gone@9",
        "content@512",
        "style_share@1024",
        "content",
        "style_share",
        "frechet",
    ]
    run = replace(experiment[1][0], metrics=dict.fromkeys(names, 0.5))
    columns = [column for column in quantities([run]) if column.group in ("structure", "style", "other")]
    assert [column.name for column in columns] == [
        *("content", "content@512", "ssim", "frechet", "style_share", "style_share@1024", "style_share@128", "gone@9"),
    ]
    assert columns[1].help.endswith("with all images reduced to 512 pixels")
    assert [column.better for column in columns] == [-1, -1, 1, -1, -1, -1, -1, None]


def test_the_csv_file_has_a_row_for_every_run(experiment: tuple[Path, list[Run]], page: Page) -> None:
    folder, runs = experiment
    with (folder / "report.csv").open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
    assert reader.fieldnames is not None
    assert len(set(reader.fieldnames)) == len(reader.fieldnames)
    assert [row["variant"] for row in rows] == [run.task.variant for run in runs]
    assert [row["status"] for row in rows] == [run.status for run in runs]
    for row, run in zip(rows, runs, strict=True):
        assert json.loads(row["settings"]) == run.task.settings
        assert (row["content"], row["style"]) == (run.task.content, run.task.style)
        for name, value in run.metrics.items():
            assert float(row[f"metric/{name}"]) == value
        for name, value in run.sanity.get("style_copy", {}).items():
            assert float(row[f"style_copy/{name}"]) == value


def test_the_command_of_a_run_reproduces_its_image(
    experiment: tuple[Path, list[Run]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: Page
) -> None:
    folder, runs = experiment
    run = next(run for run in runs if run.task.variant == "noise" and run.task.settings["seed"] == 1)
    assert run.picture is not None
    command = command_of(run)
    assert command in page.text
    monkeypatch.chdir(tmp_path)
    program, *words = shlex.split(command)
    assert program == "impasto"
    assert main(words) == 0
    with PIL.Image.open(tmp_path / f"{run.task.key}.png") as again, PIL.Image.open(folder / run.picture) as before:
        assert np.array_equal(np.asarray(again), np.asarray(before))


def test_a_command_is_quoted_for_the_shell() -> None:
    settings = {"style_mix": [0.5, 2], "mask": [], "strength": None, "device": "a b; rm $HOME", "lr": -1, "fast": False}
    command = command_of(Run(Task("v", "gatys", settings, "-odd name.jpg", "it's.png"), "waiting"))
    words = shlex.split(command)
    assert words[2:4] == ["./-odd name.jpg", "it's.png"]
    assert words[words.index("--method") :] == [
        *("--method", "gatys", "--style-mix", "0.5", "2", "--device", "a b; rm $HOME", "--lr=-1", "--no-fast")
    ]


def test_hostile_names_are_escaped(experiment: tuple[Path, list[Run]], tmp_path: Path) -> None:
    folder, runs = experiment
    evil = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'"
    task = Task(evil, evil, {evil: evil}, evil, evil)
    good = runs[0].picture
    hostile = [
        Run(task, "failed", error=evil),
        Run(replace(task, content="c"), "done", picture="javascript:alert(1)", stopped=evil, metrics={evil: 1.0}),
        Run(replace(task, content="d"), "done", picture=good, metrics={evil: math.nan}, losses={"total": math.inf}),
    ]
    page = Page(write(folder, hostile, evil, evil))
    assert page.source.count("<script") == 2
    assert page.source.count("</script") == 2
    assert all("onerror" not in attributes for _, attributes in page.elements)
    assert evil in page.text
    assert page.data["variants"] == [evil]
    assert page.data["runs"][1]["file"] == "./javascript%3Aalert%281%29"


def test_images_that_cannot_be_read_are_reported_as_missing(tmp_path: Path) -> None:
    (tmp_path / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n torn")
    task = Task("v", "gatys", {}, "nowhere.jpg", "mosaic")
    runs = [Run(task, "done", picture="torn.png"), Run(replace(task, variant="w"), "done", picture="gone.png")]
    runs += [Run(replace(task, variant="x"), "waiting"), Run(replace(task, variant="y"), "running")]
    page = Page(write(tmp_path, runs, "Missing"))
    assert page.text.count("Image not found") == 2
    assert page.text.count("content not found") == 1
    assert page.text.count("Waiting") == page.text.count("Running") == 1


def test_images_are_smaller_if_there_are_more_or_if_they_compress_worse() -> None:
    flat, busy = (Thumbnail("x" * length, 100, 80, (100, 80)) for length in (1_000, 8_000))
    assert side_for([flat], 5) == LARGEST
    assert LARGEST > side_for([busy], 200) > side_for([busy], 1000) > side_for([busy], 9_000_000) == SMALLEST
    assert side_for([flat], 1000) > side_for([busy, None], 1000)
    assert side_for([busy], 1000) ** 2 == pytest.approx(BYTES / 1000 / (6_000 / 100**2), rel=0.02)


def test_a_report_without_runs_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'Nothing' has no runs to report"):
        write(tmp_path, [], "Nothing")
    assert list(tmp_path.iterdir()) == []


def test_a_thinned_curve_keeps_its_ends_and_many_points_of_its_start() -> None:
    curve = [Step(k, {"style/a": 1.0}, k, k, (1, 1)) for k in range(1, 1001)]
    for count in (2, 16, 100, 999):
        steps = [point.index for point in thinned(curve, count)]
        assert len(steps) <= count
        assert (steps[0], steps[-1]) == (1, 1000)
        assert steps == sorted(set(steps))
    sixteen = [point.index for point in thinned(curve, 16)]
    assert sum(step <= 100 for step in sixteen) > 8
    assert thinned(curve, 1000) == curve


def test_the_page_is_accessible_to_screen_readers(page: Page) -> None:
    tags = Counter(tag for tag, _ in page.elements)
    assert tags["main"] == tags["h1"] == tags["header"] == tags["footer"] == tags["nav"] == 1
    assert tags["caption"] == tags["table"]
    assert all(th.get("scope") in ("col", "row", "colgroup") for th in page.all("th"))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    named = [a["aria-labelledby"] for _, a in page.elements if "aria-labelledby" in a]
    assert named
    assert set(named) <= set(ids)
    assert page.all("html")[0]["lang"] == "en"
    assert all("alt" in image for image in page.all("img"))
    labels = {a["aria-label"] for a in page.all("span") if a.get("role") == "img"}
    assert labels == {f"content: {pair[0]}" for pair in PAIRS} | {f"style: {pair[1]}" for pair in PAIRS}


@pytest.mark.slow
def test_a_thousand_runs_take_less_than_20_mb_and_10_seconds(tmp_path: Path) -> None:
    runs = synthetic(1000, tmp_path)
    started = time.process_time()
    html = write(tmp_path, runs, "A thousand")
    seconds = time.process_time() - started
    assert html.stat().st_size < 20_000_000
    assert sum(image.get("id", "").startswith("run-") for image in Page(html).all("img")) == 1000
    assert seconds < 10


def test_time_and_bytes_grow_at_most_linearly_with_the_runs(tmp_path: Path) -> None:
    costs, sizes = [], []
    for count in (20, 200):
        runs = synthetic(count, tmp_path / str(count), points=40)
        started = time.process_time()
        html = write(tmp_path / str(count), runs, "Many")
        costs.append((time.process_time() - started) / count)
        sizes.append(html.stat().st_size / count)
    assert costs[1] < 1.5 * costs[0]
    assert sizes[1] < 1.1 * sizes[0]

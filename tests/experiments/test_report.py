"""The report of an experiment: one page that needs nothing but a browser, with CSV and JSON beside it."""

from __future__ import annotations

import csv
import json
import math
import re
import shlex
import time
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from small_experiment import PAIRS, VARIANTS, made_up, paint

from impasto.cli import main
from impasto.experiments.report import write
from impasto.experiments.report.commands import command_of
from impasto.experiments.report.losses import thinned
from impasto.experiments.report.pictures import BYTES, LARGEST, SMALLEST, Thumbnail, side_for
from impasto.experiments.report.tables import SANITY
from impasto.experiments.run import Run, Task
from impasto.types import Step


class Page(HTMLParser):
    """What is asked of the page: its elements with their attributes, its text, and the data of its script."""

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
def painted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Run]]:
    folder = tmp_path_factory.mktemp("experiment")
    return folder, paint(folder)


@pytest.fixture(scope="module")
def page(painted: tuple[Path, list[Run]]) -> Page:
    return Page(write(*painted, "A trial", "Three ways.\n\nSecond paragraph."))


def test_every_painting_is_in_the_page_and_said_what_it_is(painted: tuple[Path, list[Run]], page: Page) -> None:
    alts = [image["alt"] for image in page.all("img") if image.get("id", "").startswith("run-")]
    assert Counter(alts) == Counter(
        f"{variant}: {content} after {style}{', seed 1' if seed else ''}"
        for content, style in PAIRS
        for variant in VARIANTS
        for seed in ((0, 1) if variant == "noise" else (0,))
    )
    assert "steps: input should be greater than 0, not -1" in page.text
    assert page.text.count("Not asked for") == 1  # the broken variant was asked for with one pair only


def test_the_page_asks_for_nothing_from_outside(page: Page) -> None:
    attributes = [
        a for _, each in page.elements for name, a in each.items() if name in ("src", "href", "data", "poster")
    ]
    local = ("data:", "#", "report.")
    assert attributes
    assert [a for a in attributes if not a.startswith(local)] == []
    assert [url for url in re.findall(r"url\(([^)]{0,40})", page.source) if not url.startswith(("data:", "${"))] == []
    assert "@import" not in page.source
    assert any("default-src 'none'" in meta.get("content", "") for meta in page.all("meta"))


def test_medians_are_those_of_the_runs(painted: tuple[Path, list[Run]], page: Page) -> None:
    folder, runs = painted
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
    assert (table["broken"]["done"], table["broken"]["asked"]) == (0, 1)
    assert (table["noise"]["done"], table["noise"]["asked"]) == (4, 4)


def test_the_front_holds_the_best_of_each_metric_and_no_sanity_check(page: Page) -> None:
    rows, trades = page.data["rows"], page.data["trades"]
    assert len(trades["fronts"]) == len(trades["structure"]) * len(trades["style"]) > 10
    painted = [i for i, row in enumerate(rows) if not row["sanity"] and row["figures"]]
    for x in trades["structure"]:
        best = max if x["better"] > 0 else min
        value = best(rows[i]["figures"][x["name"]][0] for i in painted)
        for y in trades["style"]:
            front = trades["fronts"][f"{x['name']}|{y['name']}"]
            assert any(rows[i]["figures"][x["name"]][0] == value for i in front)
            assert set(front) <= set(painted)


def test_settings_in_which_variants_differ_are_set_apart(page: Page) -> None:
    different, common = page.source.split("In what the variants differ")[1].split("The same for all:")
    heads = re.findall(r'<th scope="col">(\w+)</th>', different)
    assert set(heads) == {"variant", "steps", "start", "seed"}
    assert "content (default)" in different  # what the variants without a start begin with
    assert "backbone <b>tiny</b>" in common.split("</section>")[0]


def test_the_csv_has_a_row_for_every_run(painted: tuple[Path, list[Run]], page: Page) -> None:
    folder, runs = painted
    with (folder / "report.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["variant"] for row in rows] == [run.task.variant for run in runs]
    assert [row["status"] for row in rows] == [run.status for run in runs]
    for row, run in zip(rows, runs, strict=True):
        assert json.loads(row["settings"]) == run.task.settings
        for name, value in run.metrics.items():
            assert float(row[name]) == value
        for name, value in run.sanity.get("style_copy", {}).items():
            assert float(row[f"style_copy/{name}"]) == value


def test_a_command_paints_its_cell_again(
    painted: tuple[Path, list[Run]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: Page
) -> None:
    folder, runs = painted
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


def test_hostile_names_are_text(painted: tuple[Path, list[Run]], tmp_path: Path) -> None:
    folder, runs = painted
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


def test_pictures_that_cannot_be_read_are_said_to_be_missing(tmp_path: Path) -> None:
    (tmp_path / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n torn")
    task = Task("v", "gatys", {}, "nowhere.jpg", "mosaic")
    runs = [Run(task, "done", picture="torn.png"), Run(replace(task, variant="w"), "done", picture="gone.png")]
    runs += [Run(replace(task, variant="x"), "waiting"), Run(replace(task, variant="y"), "running")]
    page = Page(write(tmp_path, runs, "Missing"))
    assert page.text.count("Picture missing") == 2
    assert page.text.count("photograph not found") == 1
    assert page.text.count("Not painted yet") == page.text.count("Being painted") == 1


def test_the_more_pictures_and_the_busier_the_smaller_each() -> None:
    flat, busy = (Thumbnail("x" * length, 100, 80, (100, 80)) for length in (1_000, 8_000))
    assert side_for([flat], 5) == LARGEST
    assert LARGEST > side_for([busy], 200) > side_for([busy], 1000) > side_for([busy], 9_000_000) == SMALLEST
    assert side_for([flat], 1000) > side_for([busy, None], 1000)
    assert side_for([busy], 1000) ** 2 == pytest.approx(BYTES / 1000 / (6_000 / 100**2), rel=0.02)


def test_no_runs_are_no_report(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'Nothing' has no runs to report"):
        write(tmp_path, [], "Nothing")
    assert list(tmp_path.iterdir()) == []


def test_a_thinned_curve_keeps_its_ends_and_its_steep_start() -> None:
    curve = [Step(k, {"style/a": 1.0}, k, k, (1, 1)) for k in range(1, 1001)]
    for count in (2, 16, 100, 999):
        steps = [point.index for point in thinned(curve, count)]
        assert len(steps) <= count
        assert (steps[0], steps[-1]) == (1, 1000)
        assert steps == sorted(set(steps))
    sixteen = [point.index for point in thinned(curve, 16)]
    assert sum(step <= 100 for step in sixteen) > 8
    assert thinned(curve, 1000) == curve


def test_a_page_can_be_read_without_seeing_it(page: Page) -> None:
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
    spoken = {a["aria-label"] for a in page.all("span") if a.get("role") == "img"}
    assert spoken == {f"photograph: {pair[0]}" for pair in PAIRS} | {f"style: {pair[1]}" for pair in PAIRS}


@pytest.mark.slow
def test_a_thousand_runs_fit_into_twenty_megabytes_and_ten_seconds(tmp_path: Path) -> None:
    runs = made_up(1000, tmp_path)
    started = time.process_time()
    html = write(tmp_path, runs, "A thousand")
    seconds = time.process_time() - started
    assert html.stat().st_size < 20_000_000
    assert sum(image.get("id", "").startswith("run-") for image in Page(html).all("img")) == 1000
    assert seconds < 10


def test_ten_times_the_runs_cost_no_more_each_and_are_no_heavier(tmp_path: Path) -> None:
    costs, sizes = [], []
    for count in (20, 200):
        runs = made_up(count, tmp_path / str(count), points=40)
        started = time.process_time()
        html = write(tmp_path / str(count), runs, "Many")
        costs.append((time.process_time() - started) / count)
        sizes.append(html.stat().st_size / count)
    assert costs[1] < 1.5 * costs[0]
    assert sizes[1] < 1.1 * sizes[0]

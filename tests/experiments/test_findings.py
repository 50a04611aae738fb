"""The three findings, the color difference and the rank correlation."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from impasto.cli import main
from impasto.experiments.findings import FINDINGS
from impasto.experiments.findings.convergence import color_difference
from impasto.experiments.findings.texture import texture_energy
from impasto.experiments.run import Run, Task
from impasto.experiments.statistics import bootstrap_correlation
from impasto.experiments.store import Store
from impasto.images import blur, load_image, save_image
from impasto.samples import resolve
from impasto.types import Step


def test_the_color_difference_is_0_for_equal_images_and_100_between_black_and_white() -> None:
    generator = torch.Generator().manual_seed(0)
    one, other = torch.rand(2, 1, 3, 48, 48, generator=generator)
    assert color_difference(one, one) == 0
    assert 0 < color_difference(one, (one + 0.02).clamp(0, 1)) < color_difference(one, other) < 100
    assert color_difference(one, other) == pytest.approx(color_difference(other, one))
    black, white = torch.zeros(1, 3, 4, 4), torch.ones(1, 3, 4, 4)
    assert color_difference(black, white) == pytest.approx(100, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "package", "module"),
    [
        ("convergence", "scikit-image", "skimage.color"),
        ("texture", "SciPy", "scipy.stats"),
    ],
)
def test_without_a_package_the_finding_names_the_extra(
    name: str, package: str, module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    save_image(torch.rand(1, 3, 32, 32), tmp_path / "a.png")
    runs = []
    for i, style in enumerate(("mosaic", "inkwash", "geometric")):
        run = finished_run("v", {"steps": i + 1}, [1.0], "a.png")
        scores = {"style_share": 0.1 * (i + 1)}
        sanity = {"identity": {"style_share": 1.0}}
        runs.append(replace(run, task=replace(run.task, style=style), metrics=scores, sanity=sanity))
    finding = FINDINGS[name](runs, tmp_path)
    assert finding.sentences == (f"No answer: {package} is not installed: pip install impasto[report].",)


def test_the_rank_correlation_averages_ties_and_resamples_whole_groups() -> None:
    rising = bootstrap_correlation([[(1.0, 1.0)], [(2.0, 5.0)], [(3.0, 9.0)], [(3.0, 9.0)]])
    assert rising is not None
    assert rising.value == pytest.approx(1)
    pairs = [(0.0, 0.3), (1.0, 0.1), (2.0, 0.9), (3.0, 0.4), (4.0, 0.8), (5.0, 0.2)]
    apart = bootstrap_correlation([[pair] for pair in pairs])
    together = bootstrap_correlation([pairs])
    assert apart is not None
    assert together is not None
    assert apart.value == together.value == pytest.approx(1 - 6 * 30 / 210)
    assert apart.low < apart.value < apart.high
    assert together.low == together.high == together.value
    assert bootstrap_correlation([[(1.0, 2.0)], [(2.0, 2.0)]]) is None


def test_texture_energy_measures_high_frequencies_only() -> None:
    column = torch.arange(256) % 2
    fine = column.float().expand(1, 3, 256, 256)
    coarse = (torch.arange(256) // 128 % 2).float().expand(1, 3, 256, 256)
    assert texture_energy(fine) == pytest.approx(0.25, rel=0.02)
    assert texture_energy(coarse) < 0.02
    assert texture_energy(torch.full((1, 3, 64, 64), 0.7)) == pytest.approx(0, abs=1e-9)


def test_a_sample_name_with_a_tilde_is_a_blurred_copy() -> None:
    sharp = load_image(resolve("mosaic"))
    expected = blur(sharp, 0.02 * max(sharp.shape[-2:]))
    assert torch.equal((load_image(resolve("mosaic~20")) * 255).round(), (expected * 255).round())
    assert resolve("mosaic~20") == resolve("mosaic~20") != resolve("mosaic~5")
    with pytest.raises(ValueError, match="'mosaik' is not a file and not the name of a sample"):
        resolve("mosaik~5")


def finished_run(variant: str, settings: dict[str, object], totals: list[float], picture: str | None = None) -> Run:
    """Return a finished run with the losses `totals`."""
    curve = tuple(Step(i, {"content/a": total}, float(i), i, (32, 32)) for i, total in enumerate(totals, 1))
    return Run(Task(variant, "gatys", settings, "a", "b"), "done", None, picture, 1.0, len(totals), curve=curve)


def test_convergence_reports_the_number_of_steps_and_the_savings(tmp_path: Path) -> None:
    runs = []
    for steps, level in ((10, 0.2), (20, 0.49), (30, 0.5), (None, 0.495)):
        save_image(torch.full((1, 3, 32, 32), level), tmp_path / f"{steps}.png")
        settings: dict[str, object] = {} if steps is None else {"steps": steps}
        runs.append(finished_run(str(steps), settings, [1.0] * (steps or 15), f"{steps}.png"))
    found = FINDINGS["convergence"](runs, tmp_path)
    assert [row[0] for row in found.rows] == ["10", "20", "30", "None"]
    assert [row[3] for row in found.rows][2] == 0
    assert [row[6] for row in found.rows] == [0, 1, 1, 1]
    assert "from 20 steps on" in found.sentences[0]
    assert "ended after 15 steps" in found.sentences[1]
    assert "saves 50% of 30 steps" in found.sentences[1]
    assert FINDINGS["convergence"](runs[:1], tmp_path).rows == ()


def test_convergence_counts_runs_and_pairs_separately(tmp_path: Path) -> None:
    runs = []
    for steps, level in ((4, 0.2), (8, 0.5), (None, 0.49)):
        save_image(torch.full((1, 3, 32, 32), level), tmp_path / f"{steps}.png")
        for start, seed in (("noise", 0), ("noise", 1), ("content", 0), ("content", 1)):
            settings: dict[str, object] = {"start": start, "seed": seed} | ({} if steps is None else {"steps": steps})
            run = finished_run(str(steps), settings, [1.0] * (steps or 6), f"{steps}.png")
            runs += [replace(run, task=replace(run.task, content=content)) for content in "abcd"]
    found = FINDINGS["convergence"](runs, tmp_path)
    assert "(median of 16 series of runs on 4 pairs; 8)" in found.sentences[0]
    assert "(16 of 16 runs below 2.3)" in found.sentences[1]
    assert found.columns[-2:] == ("runs below 2.3", "runs")
    assert [row[-2:] for row in found.rows] == [(0, 16), (16, 16), (16, 16)]


def test_the_interval_of_convergence_is_one_over_pairs(tmp_path: Path) -> None:
    runs = []
    for content, level in (("a", 0.2), ("b", 0.4)):
        for steps, value in ((4, level), (8, 0.5)):
            save_image(torch.full((1, 3, 32, 32), value), tmp_path / f"{content}{steps}.png")
            for seed in range(3 if content == "a" else 1):  # the pair with more seeds does not count more
                run = finished_run(str(steps), {"steps": steps, "seed": seed}, [1.0], f"{content}{steps}.png")
                runs.append(replace(run, task=replace(run.task, content=content)))
    row = FINDINGS["convergence"](runs, tmp_path).rows[0]
    assert isinstance(row[3], float)
    assert isinstance(row[4], float)
    assert isinstance(row[5], float)
    assert row[3] == pytest.approx((row[4] + row[5]) / 2)


def test_descent_counts_increases_and_steps_until_the_lowest_loss_is_near(tmp_path: Path) -> None:
    runs = [finished_run("steady", {}, [8, 4, 2, 1]), finished_run("jumpy", {}, [8, 16, 2, 4])]
    steady, jumpy = FINDINGS["descent"](runs, tmp_path).rows
    assert (steady[1], steady[4], steady[6], steady[8]) == (1, 0, 1, 4)
    assert (jumpy[1], jumpy[4], jumpy[5], jumpy[6], jumpy[8]) == (4, 0.5, 2, 0, None)


def test_texture_is_correlated_and_reported_by_page_and_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    styles = ["mosaic", "mosaic~20", "inkwash", "geometric"]
    grid = {"name": "t", "evaluation_network": "tiny", "findings": ["texture"], "settings": {"size": 48, "steps": 2}}
    grid |= {"variants": [{"method": "gatys", "settings": {"backbone": "tiny"}}]}
    Path("grid.yaml").write_text(json.dumps(grid | {"contents": ["woodcut"], "styles": styles}), encoding="utf-8")
    assert main(["experiment", "run", "grid.yaml", "-o", "out"]) == 0
    output = capsys.readouterr().out
    assert "By style_share: rank correlation" in output
    assert "4 styles in 3 families" in output
    (finding,) = json.loads(Path("out/report.json").read_text(encoding="utf-8"))["findings"]
    rows = {row[0]: row for row in finding["rows"]}
    assert set(rows) == set(styles)
    assert rows["mosaic~20"][1] < rows["mosaic"][1]
    store = Store("out")
    run = store.runs()[0]
    strength = 1 - run.metrics["style_share"] / run.sanity["identity"]["style_share"]
    assert rows["mosaic"][2] == pytest.approx(strength)
    assert store.experiment().findings == ("texture",)
    store.close()
    assert 'id="findings"' in Path("out/report.html").read_text(encoding="utf-8")

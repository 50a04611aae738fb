"""Running experiments: finished runs are kept however a process ends, and processes share one folder."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from functools import partial
from math import isnan
from pathlib import Path
from typing import Any

import pytest
import torch
from support import TIMEOUT, ForkedProcess, workers_of

from impasto.cli import main
from impasto.experiments.expand import Experiment, experiment_of, read_experiment
from impasto.experiments.locking import ATTEMPTS, Claim, Runner
from impasto.experiments.rows import VERSION
from impasto.experiments.run import Run
from impasto.experiments.runner import ClaimedRun, RunWorker, run_experiment
from impasto.experiments.store import Store, _setting_files
from impasto.experiments.yaml_source import Document
from impasto.images import load_image, read_record, save_image
from impasto.methods import METHODS
from impasto.metrics.evaluate import evaluate_with_baselines
from impasto.networks.sample_networks import sample_networks
from impasto.pipeline.stylizer import stylize

SMALL = {"size": 48, "steps": 2, "backbone": "tiny"}
PAUSE = 0.1
"""Seconds after every step in a process that is interrupted or shares its experiment; a pause takes no CPU time."""
SLOW_COMMAND = """
import functools, sys, time
from impasto.cli import main
from impasto.experiments import runner
pause = float(sys.argv.pop())
runner.stylize = functools.partial(runner.stylize, on_step=lambda step: time.sleep(pause))
sys.exit(main(sys.argv[1:]))
"""


def grid(folder: Path, **fields: Any) -> Experiment:
    """Return an experiment of six tiny runs, with `fields` replaced."""
    defaults = {
        "name": "trial",
        "evaluation_network": "tiny",
        "metrics": ["ssim", "content"],
        "settings": SMALL,
        "variants": [{"method": "gatys"}],
        "pairs": [["woodcut", "mosaic"], ["geometric", "inkwash"]],
        "seeds": [0, 1, 2],
    }
    return experiment_of(Document({**defaults, **fields}, folder))


def registered(folder: Path, experiment: Experiment) -> Store:
    store = Store(folder, create=True)
    store.register(experiment)
    return store


def run(folder: Path, experiment: Experiment) -> list[Run]:
    """Run what is missing and return the runs that were computed."""
    registered(folder, experiment).close()
    ran: list[Run] = []
    run_experiment(folder, experiment, on_run=ran.append)
    return ran


def start_slow(folder: Path, file: Path) -> ForkedProcess:
    """Start `impasto experiment run` in a new process and a new session, with a pause after every step."""
    return ForkedProcess(file.parent, SLOW_COMMAND, "experiment", "run", file, "-o", folder, str(PAUSE))


def start(folder: Path, file: Path, *words: str) -> subprocess.Popen[str]:
    """Start `impasto experiment run` in a new process and a new session."""
    return subprocess.Popen(
        [sys.executable, "-m", "impasto", "experiment", "run", str(file), "-o", str(folder), *words],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_until_done(folder: Path, count: int, process: subprocess.Popen[str] | ForkedProcess) -> None:
    """Wait until `count` runs are done."""
    deadline = time.monotonic() + TIMEOUT
    while True:
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate(timeout=TIMEOUT)
        if (folder / "experiment.sqlite").is_file():
            try:
                store = Store(folder)
            except ValueError:
                continue
            done = store.counts()["done"]
            store.close()
            if done >= count:
                return
        time.sleep(0.02)


def file_of(folder: Path, seeds: int, steps: int) -> Path:
    """Write an experiment with a number of seeds to a file."""
    text = {
        "name": "trial",
        "evaluation_network": "tiny",
        "metrics": ["ssim"],
        "settings": {**SMALL, "steps": steps, "start": "noise"},
        "variants": [{"method": "gatys"}],
        "pairs": [["woodcut", "mosaic"]],
        "seeds": list(range(seeds)),
    }
    path = folder / "grid.yaml"
    path.write_text(json.dumps(text))  # JSON is valid YAML
    return path


def test_a_run_has_image_record_metrics_and_curve(tmp_path: Path) -> None:
    experiment = grid(tmp_path)
    assert len(run(tmp_path, experiment)) == 6
    store = Store(tmp_path)
    runs = store.runs()
    assert [each.task for each in runs] == list(experiment.tasks)
    first = runs[0]
    assert (first.status, first.error, first.stopped, first.steps) == ("done", None, "steps", 2)
    picture = tmp_path / str(first.picture)
    record = json.loads(read_record(picture) or "")
    assert first.losses == record["losses"]
    assert (first.seconds, first.peak_memory_mib) == (
        pytest.approx(record["seconds"], abs=1e-3),
        pytest.approx(record["peak_memory_mib"], abs=0.1),
    )
    saved = json.loads(picture.with_suffix(".json").read_text())
    assert [sum(point.losses.values()) for point in first.curve] == [
        sum(point["losses"].values()) for point in saved["curve"]
    ]
    assert first.curve[0].size == (38, 48)
    rows = evaluate_with_baselines(
        "woodcut", "mosaic", load_image(picture), backbone="tiny", metrics=experiment.metrics
    )
    assert list(first.metrics) == ["ssim", "content"]
    assert first.metrics == pytest.approx(rows["output"])
    assert first.sanity == {role: pytest.approx(rows[role]) for role in ("identity", "style_copy")}
    store.close()


def test_cached_references_do_not_change_the_scores(tmp_path: Path) -> None:
    run(tmp_path / "together", grid(tmp_path))
    run(tmp_path / "alone", grid(tmp_path, seeds=[2]))
    together, alone = Store(tmp_path / "together"), Store(tmp_path / "alone")
    scores = {each.task.key: (each.metrics, each.sanity) for each in together.runs()}
    assert all(scores[each.task.key] == (each.metrics, each.sanity) for each in alone.runs())
    together.close()
    alone.close()


def test_an_extended_experiment_runs_only_what_is_missing(tmp_path: Path) -> None:
    run(tmp_path, grid(tmp_path))
    assert run(tmp_path, grid(tmp_path)) == []
    ran = run(tmp_path, grid(tmp_path, seeds=[0, 1, 2, 3]))
    assert [each.task.settings["seed"] for each in ran] == [3, 3]
    renamed = run(tmp_path, grid(tmp_path, variants=[{"method": "gatys", "name": "another name"}]))
    assert renamed == []
    store = Store(tmp_path)
    assert {each.task.variant for each in store.runs()} == {"another name"}
    assert len(store.runs()) == 6
    store.close()


def test_equal_tasks_with_two_names_share_one_run(tmp_path: Path) -> None:
    names = [{"method": "gatys", "name": "one"}, {"method": "gatys", "name": "other"}]
    assert len(run(tmp_path, grid(tmp_path, variants=names, seeds=[0]))) == 2
    store = Store(tmp_path)
    assert [each.task.variant for each in store.runs()] == ["one", "other"] * 2
    assert {each.status for each in store.runs()} == {"done"}
    store.close()


def test_other_metrics_evaluate_again_without_stylizing(tmp_path: Path) -> None:
    before = {each.task.key: each for each in run(tmp_path, grid(tmp_path))}
    before_times = {path: path.stat().st_mtime_ns for path in tmp_path.glob("pictures/*")}
    ran = run(tmp_path, grid(tmp_path, metrics=["gram"]))
    assert [list(each.metrics) for each in ran] == [["gram"]] * 6
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("pictures/*")} == before_times
    assert all(each.curve == before[each.task.key].curve for each in ran)
    assert all(each.seconds == before[each.task.key].seconds for each in ran)


def test_a_run_whose_input_changed_is_computed_again(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    for name in ("a.png", "b.png"):
        save_image(torch.rand(1, 3, 40, 40, generator=generator), tmp_path / name)
    experiment = grid(tmp_path, pairs=[["a.png", "mosaic"], ["b.png", "mosaic"]], seeds=[0])
    before = {each.task.content: each.metrics for each in run(tmp_path / "out", experiment)}
    save_image(torch.rand(1, 3, 40, 40, generator=generator), tmp_path / "b.png")
    (ran,) = run(tmp_path / "out", experiment)
    assert ran.task.content == str(tmp_path / "b.png")
    assert ran.metrics != before[ran.task.content]


def test_a_run_whose_mask_start_image_or_weights_changed_is_computed_again(tmp_path: Path) -> None:
    files = {name: tmp_path / name for name in ("mask.png", "start.png", "adain.safetensors")}
    for name in ("mask.png", "start.png"):
        save_image(torch.rand(1, 3, 40, 52), files[name])
    shutil.copy(METHODS["adain"].bundled or "", files["adain.safetensors"])
    variants = [
        {"method": "gatys", "settings": {"mask": ["mask.png", "mask.png"]}},
        {"method": "gatys", "settings": {"start": "start.png"}},
        {"method": "adain", "settings": {"weights": str(files["adain.safetensors"])}},
        {"method": "adain"},
    ]
    experiment = grid(tmp_path, variants=variants, pairs=[["woodcut", "mosaic"]], seeds=[0])
    store = registered(tmp_path / "out", experiment)
    for changed, file in enumerate(files.values()):
        with store.transaction() as connection:
            connection.execute("UPDATE runs SET status = 'done'")
        file.write_bytes(file.read_bytes() + b" ")
        store.register(experiment)
        waiting = [task for task in experiment.tasks if task.key not in store.finished()]
        assert waiting == [experiment.tasks[changed]]
    store.close()


def test_the_name_of_the_network_of_a_sample_stands_for_its_file(tmp_path: Path) -> None:
    variants = [{"method": "gatys"}, {"method": "micro", "settings": {"weights": "mosaic"}}]
    _, task = grid(tmp_path, variants=variants, pairs=[["woodcut", "mosaic"]], seeds=[0]).tasks
    assert _setting_files(task) == [sample_networks()["mosaic"]]


def test_a_failure_ends_no_other_run_and_is_retried_only_on_request(tmp_path: Path) -> None:
    save_image(torch.rand(1, 3, 40, 40), tmp_path / "a.png")
    experiment = grid(tmp_path, pairs=[["a.png", "mosaic"], ["woodcut", "mosaic"]], seeds=[0, 1])
    store = registered(tmp_path / "out", experiment)
    (tmp_path / "a.png").unlink()
    run_experiment(tmp_path / "out", experiment)
    assert [each.status for each in store.runs()] == ["failed", "failed", "done", "done"]
    failed = store.runs()[0]
    assert failed.error is not None
    assert "a.png" in failed.error
    assert "\n" not in failed.error
    assert (failed.picture, failed.metrics, failed.curve) == (None, {}, ())

    save_image(torch.rand(1, 3, 40, 40), tmp_path / "a.png")
    ran: list[Run] = []
    run_experiment(tmp_path / "out", experiment, on_run=ran.append)
    assert ran == []
    store.retry()
    run_experiment(tmp_path / "out", experiment, on_run=ran.append)
    assert [each.status for each in ran] == ["done", "done"]
    store.close()


def test_an_output_smaller_than_the_size_of_a_metric_has_no_value_of_it(tmp_path: Path) -> None:
    variants = [{"method": "gatys", "settings": {"size": size}, "name": f"{size}"} for size in (48, 64)]
    metrics = ["style_share", "style_share@64", "content@48"]
    ran = run(tmp_path, grid(tmp_path, metrics=metrics, variants=variants, seeds=[0]))
    for each in ran:
        expected = metrics if each.task.variant == "64" else ["style_share", "content@48"]
        assert list(each.metrics) == list(each.sanity["identity"]) == expected
    assert main(["experiment", "report", str(tmp_path)]) == 0
    table = {row["name"]: row["figures"] for row in json.loads((tmp_path / "report.json").read_bytes())["variants"]}
    assert table["48"]["style_share@64"] is None
    assert table["64"]["style_share@64"] == table["64"]["style_share"]


def test_an_undefined_score_stays_nan(tmp_path: Path) -> None:
    run(tmp_path, grid(tmp_path, metrics=["style_share"], pairs=[["woodcut", "woodcut"]], seeds=[0]))
    store = Store(tmp_path)
    assert isnan(store.runs()[0].metrics["style_share"])
    store.close()


def test_an_interrupt_releases_the_current_run(tmp_path: Path) -> None:
    experiment = grid(tmp_path)
    store = registered(tmp_path, experiment)

    def interrupt(_run: Run) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_experiment(tmp_path, experiment, on_run=interrupt)
    with Runner(store) as runner:
        assert runner.claim() is not None
    assert store.counts() == {"waiting": 5, "running": 0, "done": 1, "failed": 0}
    assert list((tmp_path / "runners").iterdir()) == []
    store.close()


def test_runs_of_dead_runners_are_reclaimed_and_those_of_live_ones_are_not(tmp_path: Path) -> None:
    store = registered(tmp_path, grid(tmp_path))
    with Runner(store) as alive, Runner(store) as other:
        claimed = alive.claim()
        taken = [claim.task.key for _ in range(5) if (claim := other.claim())]
        assert claimed is not None
        assert claimed.task.key not in taken
        assert len(set(taken)) == 5
        assert other.claim() is None
        alive._lock.release()  # as the operating system does when a process dies
        again = other.claim()
        assert again is not None
        assert again.task.key == claimed.task.key
    store.close()


def test_a_run_whose_process_died_three_times_has_failed(tmp_path: Path) -> None:
    store = registered(tmp_path, grid(tmp_path, pairs=[["woodcut", "mosaic"]], seeds=[0]))
    for _ in range(ATTEMPTS):
        runner = Runner(store)
        runner.__enter__()
        assert runner.claim() is not None
        runner._lock.release()
    with Runner(store) as runner:
        assert runner.claim() is None
    (failed,) = store.runs()
    assert failed.status == "failed"
    assert f"the process died while computing this run, {ATTEMPTS} times" in str(failed.error)
    store.close()


def test_a_folder_contains_one_experiment(tmp_path: Path) -> None:
    store = registered(tmp_path, grid(tmp_path))
    with pytest.raises(ValueError, match="contains the experiment 'trial', not 'other': give another folder"):
        store.register(replace(grid(tmp_path), name="other"))
    assert len(store.runs()) == 6
    store.close()


def test_a_file_that_is_no_database_is_a_one_line_error(tmp_path: Path) -> None:
    (tmp_path / "experiment.sqlite").write_text("this is not a database, and long enough to be checked " * 40)
    with pytest.raises(ValueError, match=r"experiment.sqlite': file is not a database"):
        Store(tmp_path)


def test_a_file_of_another_format_version_is_a_one_line_error(tmp_path: Path) -> None:
    registered(tmp_path, grid(tmp_path)).close()
    with sqlite3.connect(tmp_path / "experiment.sqlite") as connection:
        connection.execute(f"PRAGMA user_version = {VERSION - 1}")
    connection.close()
    message = rf"has format version {VERSION - 1}, but this impasto reads version {VERSION}: run .* in a new folder$"
    with pytest.raises(ValueError, match=message):
        Store(tmp_path)


@pytest.mark.slow
def test_two_workers_give_the_results_of_one_process_and_a_killed_one_is_replaced(tmp_path: Path) -> None:
    experiment = grid(tmp_path, settings={**SMALL, "steps": 20})
    run(tmp_path / "one", experiment)
    registered(tmp_path / "two", experiment).close()
    reported: list[Run] = []
    killed: list[int] = []
    started: set[int] = set()

    def kill_first(finished: Run) -> None:
        reported.append(finished)
        workers = [child for child in multiprocessing.active_children() if child.pid is not None]
        started.update(int(child.pid or 0) for child in workers)
        if not killed:
            assert len(workers) == 2
            killed.append(int(workers[0].pid or 0))
            os.kill(killed[0], signal.SIGKILL)

    run_experiment(tmp_path / "two", experiment, workers=2, on_run=kill_first)
    one, two = Store(tmp_path / "one"), Store(tmp_path / "two")
    assert len(killed) == 1
    assert len(started) == 3
    assert sorted(each.task.key for each in reported) == sorted(task.key for task in experiment.tasks)
    assert {each.status for each in two.runs()} == {"done"}
    for ours, theirs in zip(one.runs(), two.runs(), strict=True):
        assert (ours.task, ours.losses) == (theirs.task, pytest.approx(theirs.losses, rel=1e-4))
        assert ours.metrics == pytest.approx(theirs.metrics, rel=1e-3, abs=1e-6)
    one.close()
    two.close()


def test_a_worker_writes_no_file_that_would_stay_when_it_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    task, *_ = grid(tmp_path, settings=SMALL).tasks
    worker = RunWorker("tiny", ("ssim",))
    [(finished, files)] = worker(ClaimedRun(Claim(task, None), None), lambda: False)
    assert finished.status == "done"
    assert sorted(files) == [f"pictures/{task.key}.json", f"pictures/{task.key}.png"]
    png = files[f"pictures/{task.key}.png"]
    [(scored, files)] = worker(ClaimedRun(Claim(task, replace(finished, metrics=None)), png), lambda: False)
    assert (scored.metrics, files) == (finished.metrics, {})


def test_after_kill_9_the_same_command_runs_only_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, folder = file_of(tmp_path, seeds=6, steps=4), tmp_path / "out"
    process = start_slow(folder, file)
    wait_until_done(folder, 2, process)
    process.kill()
    process.communicate(timeout=TIMEOUT)
    store = Store(folder)
    done = {each.task.key for each in store.runs() if each.status == "done"}
    assert 2 <= len(done) < 6
    assert store.connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    for each in store.runs():
        if each.picture:
            load_image(folder / each.picture)
    times = {key: (folder / "pictures" / f"{key}.png").stat().st_mtime_ns for key in done}

    assert main(["experiment", "run", str(file), "-o", str(folder), "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out.splitlines()[-1])["done"] == 6
    assert {each.status for each in store.runs()} == {"done"}
    assert len([line for line in err.splitlines() if " gatys: " in line]) == 6 - len(done)
    assert {key: (folder / "pictures" / f"{key}.png").stat().st_mtime_ns for key in done} == times
    store.close()


def test_two_processes_share_an_experiment_and_no_run_is_computed_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, folder = file_of(tmp_path, seeds=12, steps=2), tmp_path / "out"
    slow = partial(stylize, on_step=lambda step: time.sleep(PAUSE))
    monkeypatch.setattr("impasto.experiments.runner.stylize", slow)
    process = start_slow(folder, file)
    wait_until_done(folder, 1, process)
    own: list[Run] = []
    run_experiment(folder, read_experiment(file), on_run=own.append)
    _, err = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 0, err
    other = [line for line in err.splitlines() if " gatys: " in line]
    assert len(own) + len(other) == 12
    assert min(len(own), len(other)) > 0
    with sqlite3.connect(folder / "experiment.sqlite") as connection:
        attempts = Counter(count for (count,) in connection.execute("SELECT attempts FROM runs WHERE status = 'done'"))
    connection.close()
    assert attempts == {1: 12}


@pytest.mark.slow
def test_a_worker_that_is_killed_is_replaced_and_the_command_succeeds(tmp_path: Path) -> None:
    file, folder = file_of(tmp_path, seeds=8, steps=100), tmp_path / "out"
    process = start(folder, file, "--workers", "2", "--json")
    wait_until_done(folder, 1, process)
    workers = workers_of(process.pid)
    assert len(workers) == 2
    os.kill(workers[0], signal.SIGKILL)
    out, err = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 0, err
    assert json.loads(out.splitlines()[-1])["done"] == 8


def test_ctrl_c_keeps_finished_runs_and_the_same_command_continues(tmp_path: Path) -> None:
    file, folder = file_of(tmp_path, seeds=6, steps=4), tmp_path / "out"
    check_that_ctrl_c_keeps_finished_runs(start_slow(folder, file), folder, seeds=6)


@pytest.mark.slow
def test_ctrl_c_keeps_the_finished_runs_of_two_workers_and_the_same_command_continues(tmp_path: Path) -> None:
    file, folder = file_of(tmp_path, seeds=8, steps=60), tmp_path / "out"
    check_that_ctrl_c_keeps_finished_runs(start(folder, file, "--workers", "2"), folder, seeds=8)


def check_that_ctrl_c_keeps_finished_runs(
    process: subprocess.Popen[str] | ForkedProcess, folder: Path, seeds: int
) -> None:
    """Interrupt a process and run the rest of its experiment in this one."""
    wait_until_done(folder, 1, process)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, err = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 130
    assert err.splitlines()[-1] == "impasto: stopped; the same command continues"
    assert "Traceback" not in err
    store = Store(folder)
    left = seeds - store.counts()["done"]
    assert 0 < left < seeds
    ran: list[Run] = []
    run_experiment(folder, store.experiment(), on_run=ran.append)
    assert len(ran) == left
    assert store.counts()["done"] == seeds
    store.close()

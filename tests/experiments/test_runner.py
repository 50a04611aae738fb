"""Running an experiment: what is done stays done, whatever ends the process and however many share the folder."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from math import isnan
from pathlib import Path
from typing import Any

import pytest
import torch

from impasto.experiments.expand import Experiment, experiment_of
from impasto.experiments.locking import ATTEMPTS, Runner
from impasto.experiments.run import Run
from impasto.experiments.runner import work, work_together
from impasto.experiments.store import Store
from impasto.experiments.yaml_source import Document
from impasto.images import load_image, read_record, save_image
from impasto.metrics.evaluate import evaluate_with_baselines

SMALL = {"size": 48, "steps": 2, "backbone": "tiny"}


def grid(folder: Path, **fields: Any) -> Experiment:
    """Six tiny paintings, unless `fields` say otherwise."""
    usual = {
        "name": "trial",
        "judge": "tiny",
        "metrics": ["ssim", "content"],
        "settings": SMALL,
        "variants": [{"method": "gatys"}],
        "pairs": [["woodcut", "mosaic"], ["geometric", "inkwash"]],
        "seeds": [0, 1, 2],
    }
    return experiment_of(Document({**usual, **fields}, folder))


def enrolled(folder: Path, experiment: Experiment) -> Store:
    store = Store(folder, create=True)
    store.enrol(experiment)
    return store


def run(folder: Path, experiment: Experiment) -> list[Run]:
    """Runs what is missing; returns what was run."""
    enrolled(folder, experiment).close()
    ran: list[Run] = []
    work(folder, experiment, on_run=ran.append)
    return ran


def start(folder: Path, file: Path, *words: str) -> subprocess.Popen[str]:
    """`impasto experiment run`, in a process and a session of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "impasto", "experiment", "run", str(file), "-o", str(folder), *words],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_until_done(folder: Path, count: int, *processes: subprocess.Popen[str]) -> None:
    """Waits until `count` runs are done."""
    deadline = time.monotonic() + 60
    while True:
        assert time.monotonic() < deadline
        assert all(process.poll() is None for process in processes), [p.communicate() for p in processes]
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
    """A grid of `seeds` paintings as a file."""
    text = {
        "name": "trial",
        "judge": "tiny",
        "metrics": ["ssim"],
        "settings": {**SMALL, "steps": steps, "start": "noise"},
        "variants": [{"method": "gatys"}],
        "pairs": [["woodcut", "mosaic"]],
        "seeds": list(range(seeds)),
    }
    path = folder / "grid.yaml"
    path.write_text(json.dumps(text))  # which is YAML
    return path


def test_a_run_has_its_picture_record_figures_scores_and_curve(tmp_path: Path) -> None:
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
    told = json.loads(picture.with_suffix(".json").read_text())
    assert [sum(point.losses.values()) for point in first.curve] == [
        sum(point["losses"].values()) for point in told["curve"]
    ]
    assert first.curve[0].size == (38, 48)
    rows = evaluate_with_baselines(
        "woodcut", "mosaic", load_image(picture), backbone="tiny", metrics=experiment.metrics
    )
    assert list(first.metrics) == ["ssim", "content"]
    assert first.metrics == pytest.approx(rows["output"])
    assert first.sanity == {role: pytest.approx(rows[role]) for role in ("identity", "style_copy")}
    store.close()


def test_the_same_scores_whether_or_not_the_judge_saw_the_pair_before(tmp_path: Path) -> None:
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


def test_one_painting_under_two_names_is_painted_once_and_told_twice(tmp_path: Path) -> None:
    names = [{"method": "gatys", "name": "one"}, {"method": "gatys", "name": "other"}]
    assert len(run(tmp_path, grid(tmp_path, variants=names, seeds=[0]))) == 2
    store = Store(tmp_path)
    assert [each.task.variant for each in store.runs()] == ["one", "other"] * 2
    assert {each.status for each in store.runs()} == {"done"}
    store.close()


def test_other_metrics_judge_again_and_paint_nothing(tmp_path: Path) -> None:
    before = {each.task.key: each for each in run(tmp_path, grid(tmp_path))}
    painted = {path: path.stat().st_mtime_ns for path in tmp_path.glob("pictures/*")}
    ran = run(tmp_path, grid(tmp_path, metrics=["gram"]))
    assert [list(each.metrics) for each in ran] == [["gram"]] * 6
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("pictures/*")} == painted
    assert all(each.curve == before[each.task.key].curve for each in ran)
    assert all(each.seconds == before[each.task.key].seconds for each in ran)


def test_a_picture_that_changed_is_painted_again(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    for name in ("a.png", "b.png"):
        save_image(torch.rand(1, 3, 40, 40, generator=generator), tmp_path / name)
    experiment = grid(tmp_path, pairs=[["a.png", "mosaic"], ["b.png", "mosaic"]], seeds=[0])
    before = {each.task.content: each.metrics for each in run(tmp_path / "out", experiment)}
    save_image(torch.rand(1, 3, 40, 40, generator=generator), tmp_path / "b.png")
    (ran,) = run(tmp_path / "out", experiment)
    assert ran.task.content == str(tmp_path / "b.png")
    assert ran.metrics != before[ran.task.content]


def test_a_failure_is_a_row_and_no_stop_and_is_tried_again_only_if_asked(tmp_path: Path) -> None:
    save_image(torch.rand(1, 3, 40, 40), tmp_path / "a.png")
    experiment = grid(tmp_path, pairs=[["a.png", "mosaic"], ["woodcut", "mosaic"]], seeds=[0, 1])
    store = enrolled(tmp_path / "out", experiment)
    (tmp_path / "a.png").unlink()
    work(tmp_path / "out", experiment)
    assert [each.status for each in store.runs()] == ["failed", "failed", "done", "done"]
    failed = store.runs()[0]
    assert failed.error is not None
    assert "a.png" in failed.error
    assert "\n" not in failed.error
    assert (failed.picture, failed.metrics, failed.curve) == (None, {}, ())

    save_image(torch.rand(1, 3, 40, 40), tmp_path / "a.png")
    ran: list[Run] = []
    work(tmp_path / "out", experiment, on_run=ran.append)
    assert ran == []
    store.retry()
    work(tmp_path / "out", experiment, on_run=ran.append)
    assert [each.status for each in ran] == ["done", "done"]
    store.close()


def test_a_score_without_meaning_stays_without_meaning(tmp_path: Path) -> None:
    run(tmp_path, grid(tmp_path, metrics=["style_share"], pairs=[["woodcut", "woodcut"]], seeds=[0]))
    store = Store(tmp_path)
    assert isnan(store.runs()[0].metrics["style_share"])
    store.close()


def test_an_exception_that_is_no_failure_gives_the_run_back(tmp_path: Path) -> None:
    experiment = grid(tmp_path)
    store = enrolled(tmp_path, experiment)

    def interrupt(_run: Run) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work(tmp_path, experiment, on_run=interrupt)
    with Runner(store) as runner:
        assert runner.claim() is not None
    assert store.counts() == {"waiting": 5, "running": 0, "done": 1, "failed": 0}
    assert list((tmp_path / "runners").iterdir()) == []
    store.close()


def test_what_a_live_runner_holds_is_not_taken_and_what_a_dead_one_held_is(tmp_path: Path) -> None:
    store = enrolled(tmp_path, grid(tmp_path))
    with Runner(store) as alive, Runner(store) as other:
        held = alive.claim()
        taken = [claim.task.key for _ in range(5) if (claim := other.claim())]
        assert held is not None
        assert held.task.key not in taken
        assert len(set(taken)) == 5
        assert other.claim() is None
        alive._lock.release()  # as the system does when a process dies
        again = other.claim()
        assert again is not None
        assert again.task.key == held.task.key
    store.close()


def test_what_takes_its_runner_down_again_and_again_has_failed(tmp_path: Path) -> None:
    store = enrolled(tmp_path, grid(tmp_path, pairs=[["woodcut", "mosaic"]], seeds=[0]))
    for _ in range(ATTEMPTS):
        runner = Runner(store)
        runner.__enter__()
        assert runner.claim() is not None
        runner._lock.release()
    with Runner(store) as runner:
        assert runner.claim() is None
    (failed,) = store.runs()
    assert failed.status == "failed"
    assert f"the process died while painting it, {ATTEMPTS} times" in str(failed.error)
    store.close()


def test_a_folder_holds_one_experiment(tmp_path: Path) -> None:
    store = enrolled(tmp_path, grid(tmp_path))
    with pytest.raises(ValueError, match="holds the experiment 'trial': give another folder"):
        store.enrol(replace(grid(tmp_path), name="other"))
    assert len(store.runs()) == 6
    store.close()


def test_a_file_that_is_no_store_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "experiment.sqlite").write_text("this is no database, and long enough to be looked at " * 40)
    with pytest.raises(ValueError, match=r"experiment.sqlite': file is not a database"):
        Store(tmp_path)


def test_workers_paint_what_one_process_paints(tmp_path: Path) -> None:
    experiment = grid(tmp_path)
    run(tmp_path / "one", experiment)
    enrolled(tmp_path / "two", experiment).close()
    told: list[Run] = []
    work_together(tmp_path / "two", experiment, workers=2, on_run=told.append)
    one, two = Store(tmp_path / "one"), Store(tmp_path / "two")
    assert sorted(each.task.key for each in told) == sorted(task.key for task in experiment.tasks)
    for ours, theirs in zip(one.runs(), two.runs(), strict=True):
        assert (ours.task, ours.losses) == (theirs.task, pytest.approx(theirs.losses, rel=1e-4))
        assert ours.metrics == pytest.approx(theirs.metrics, rel=1e-3, abs=1e-6)
    one.close()
    two.close()


def test_kill_9_and_run_again_runs_only_what_is_missing(tmp_path: Path) -> None:
    file, folder = file_of(tmp_path, seeds=8, steps=60), tmp_path / "out"
    process = start(folder, file)
    wait_until_done(folder, 2, process)
    process.kill()
    process.communicate(timeout=60)
    store = Store(folder)
    done = {each.task.key for each in store.runs() if each.status == "done"}
    assert 2 <= len(done) < 8
    assert store.base.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    for each in store.runs():
        if each.picture:
            load_image(folder / each.picture)
    painted = {key: (folder / "pictures" / f"{key}.png").stat().st_mtime_ns for key in done}

    again = start(folder, file, "--json")
    out, err = again.communicate(timeout=120)
    assert again.returncode == 0, err
    assert json.loads(out.splitlines()[-1])["done"] == 8
    assert {each.status for each in store.runs()} == {"done"}
    assert len([line for line in err.splitlines() if " gatys: " in line]) == 8 - len(done)
    assert {key: (folder / "pictures" / f"{key}.png").stat().st_mtime_ns for key in done} == painted
    store.close()


def test_two_processes_share_an_experiment_and_no_run_is_done_twice(tmp_path: Path) -> None:
    file, folder = file_of(tmp_path, seeds=16, steps=60), tmp_path / "out"
    processes = [start(folder, file) for _ in range(2)]
    told = [process.communicate(timeout=180)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], told
    each = [len([line for line in err.splitlines() if " gatys: " in line]) for err in told]
    assert sum(each) == 16
    assert min(each) > 0
    with sqlite3.connect(folder / "experiment.sqlite") as base:
        attempts = Counter(count for (count,) in base.execute("SELECT attempts FROM runs WHERE status = 'done'"))
    base.close()
    assert attempts == {1: 16}


def test_a_worker_that_is_killed_is_replaced_and_its_run_is_done(tmp_path: Path) -> None:
    file, folder = file_of(tmp_path, seeds=8, steps=100), tmp_path / "out"
    process = start(folder, file, "--workers", "2", "--json")
    wait_until_done(folder, 1, process)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    workers = [pid for pid in children if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text()]
    assert len(workers) == 2
    os.kill(int(workers[0]), signal.SIGKILL)
    out, err = process.communicate(timeout=180)
    assert process.returncode == 0, err
    assert json.loads(out.splitlines()[-1])["done"] == 8


@pytest.mark.parametrize("workers", ["1", "2"])
def test_ctrl_c_keeps_what_is_done_and_the_same_command_goes_on(tmp_path: Path, workers: str) -> None:
    file, folder = file_of(tmp_path, seeds=12, steps=100), tmp_path / "out"
    process = start(folder, file, "--workers", workers)
    wait_until_done(folder, 1, process)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.splitlines()[-1] == "impasto: stopped; the same command continues"
    assert "Traceback" not in err
    store = Store(folder)
    left = 12 - store.counts()["done"]
    assert 0 < left < 12
    ran: list[Run] = []
    work(folder, store.experiment(), on_run=ran.append)
    assert len(ran) == left
    assert store.counts()["done"] == 12
    store.close()

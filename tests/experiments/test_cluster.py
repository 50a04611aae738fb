"""An experiment on Ray: same results as in one process, replaced workers, and access by token only."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from support import TIMEOUT, descendants, title

from impasto.cli import main
from impasto.experiments.expand import Experiment, experiment_of
from impasto.experiments.run import Run
from impasto.experiments.runner import run_experiment
from impasto.experiments.store import Store
from impasto.experiments.yaml_source import Document

HELP = "; see impasto experiment run --help"
GRID = {
    "name": "trial",
    "evaluation_network": "tiny",
    "metrics": ["ssim", "content"],
    "settings": {"size": 48, "backbone": "tiny"},
    "variants": [
        {"name": "short", "method": "gatys", "settings": {"steps": 150}, "seeds": [0, 1, 2, 3]},
        {"name": "endless", "method": "gatys", "settings": {"steps": 1_000_000}},
        {"name": "without weights", "method": "gatys", "settings": {"backbone": "vgg19", "steps": 2}},
    ],
    "pairs": [["woodcut", "mosaic"]],
}


@dataclass(frozen=True)
class Observed:
    """Observations of an experiment with two workers: one was killed once, then one was killed three times."""

    status: int
    summary: dict[str, object]
    stderr: str
    listeners: dict[str, set[str]]
    """Addresses at which processes of the cluster listened, by process title."""
    intruder: subprocess.CompletedProcess[str]
    """A program that connected with a wrong token."""
    folder: Path
    runs: dict[tuple[str, int], Run]


def busy_workers(pid: int) -> list[int]:
    """Return the workers of a program that are running a task."""
    return [each for each in descendants(pid) if title(each).startswith("ray::ImpastoWorker.work")]


def addresses(pid: int) -> set[str]:
    """Return the addresses at which a process listens, in the hexadecimal notation of /proc/net."""
    rows = [
        line.split()
        for name in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{name}").read_text(encoding="utf-8").splitlines()[1:]
    ]
    listening = {f"socket:[{row[9]}]": row[1].partition(":")[0] for row in rows if row[3] == "0A"}
    open_ones = {os.readlink(file) for file in Path(f"/proc/{pid}/fd").iterdir() if file.is_symlink()}
    return {listening[each] for each in open_ones if each in listening}


def wait_for(condition: Callable[[], object], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def ended(folder: Path) -> int:
    try:
        store = Store(folder)
    except ValueError:
        return 0
    counts = store.counts()
    store.close()
    return counts["done"] + counts["failed"]


def connect_with_wrong_token(cluster: str) -> subprocess.CompletedProcess[str]:
    """Ask a cluster for its machines, with a wrong token."""
    code = f"import ray; ray.init({cluster!r}, logging_level='ERROR'); print('connected', len(ray.nodes()))"
    wrong = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64, "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=os.environ | wrong, capture_output=True, text=True, timeout=TIMEOUT)


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Observed:
    """Run one cluster for all tests, because its start takes long."""
    pytest.importorskip("ray", reason="needs the extra `scale`: pip install impasto[scale]")
    place = tmp_path_factory.mktemp("ray")
    file, folder = place / "grid.yaml", place / "out"
    file.write_text(json.dumps(GRID))
    words = ["experiment", "run", str(file), "-o", str(folder), "--json", "--runner", "ray", "--workers", "2"]
    environment = {name: value for name, value in os.environ.items() if name != "IMPASTO_WEIGHTS"}
    environment |= {"IMPASTO_OFFLINE": "1", "IMPASTO_CACHE": str(place), "RAY_OVERRIDE_RESOURCES": '{"GPU": 1}'}
    process = subprocess.Popen(
        [sys.executable, "-m", "impasto", *words, "--gpus", "0.5"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_for(lambda: busy_workers(process.pid), process)
        os.kill(busy_workers(process.pid)[0], signal.SIGKILL)
        wait_for(lambda: ended(folder) == 5, process)
        family = [process.pid, *descendants(process.pid)]
        listeners = {title(pid)[-40:]: addresses(pid) for pid in family if title(pid)}
        cluster = next(found[1] for pid in family if (found := re.search(r"--gcs-address=(\S+)", title(pid))))
        intruder = connect_with_wrong_token(cluster)
        for _ in range(3):  # only the endless run is left
            wait_for(lambda: busy_workers(process.pid), process)
            (victim,) = busy_workers(process.pid)
            os.kill(victim, signal.SIGKILL)
            wait_for(lambda victim=victim: victim not in busy_workers(process.pid), process)  # type: ignore[misc]
        out, err = process.communicate(timeout=TIMEOUT)
    finally:
        process.kill()
        process.communicate()
    store = Store(folder)
    runs = {(run.task.variant, run.task.settings["seed"]): run for run in store.runs()}
    store.close()
    return Observed(process.returncode, json.loads(out.splitlines()[-1]), err, listeners, intruder, folder, runs)


def in_this_process(folder: Path) -> dict[tuple[str, int], Run]:
    """Return the runs of the experiment without Ray, except the endless one."""
    variants = [each for each in GRID["variants"] if each["name"] != "endless"]  # type: ignore[index]
    experiment: Experiment = experiment_of(Document({**GRID, "variants": variants}, folder))
    store = Store(folder, create=True)
    store.register(experiment)
    run_experiment(folder, experiment)
    runs = {(run.task.variant, run.task.settings["seed"]): run for run in store.runs()}
    store.close()
    return runs


@pytest.mark.slow
def test_two_workers_give_the_results_of_one_process_although_one_was_killed(
    observed: Observed, tmp_path: Path
) -> None:
    ours = in_this_process(tmp_path)
    assert [status.status for status in ours.values()] == ["done"] * 4 + ["failed"]
    for cell, mine in ours.items():
        theirs = observed.runs[cell]
        assert (theirs.task, theirs.status, theirs.steps) == (mine.task, mine.status, mine.steps)
        assert theirs.losses == pytest.approx(mine.losses, rel=1e-3)
        assert theirs.metrics == pytest.approx(mine.metrics, rel=1e-2, abs=1e-4)
        assert len(theirs.curve) == len(mine.curve)
        if theirs.picture:
            assert (observed.folder / theirs.picture).is_file()
            assert (observed.folder / theirs.picture).with_suffix(".json").is_file()
    assert "IMPASTO_OFFLINE is set" in str(observed.runs["without weights", 0].error)


@pytest.mark.slow
def test_a_run_whose_workers_died_three_times_has_failed_and_the_status_is_0(observed: Observed) -> None:
    endless = observed.runs["endless", 0]
    assert endless.status == "failed"
    assert "the process died while computing this run, 3 times" in str(endless.error)
    assert observed.status == 0, observed.stderr
    assert (observed.summary["done"], observed.summary["failed"]) == (4, 2)
    assert len(re.findall(r"^\d/6  ", observed.stderr, re.MULTILINE)) == 6
    assert "Traceback" not in observed.stderr


@pytest.mark.slow
def test_the_cluster_listens_on_the_local_host_only(observed: Observed) -> None:
    everywhere = set().union(*observed.listeners.values())
    assert any("ray::ImpastoWorker" in name for name in observed.listeners)
    assert len([each for each in observed.listeners.values() if each]) >= 4
    assert everywhere <= {"0100007F", "0000000000000000FFFF00000100007F"}


@pytest.mark.slow
def test_the_cluster_refuses_connections_without_its_token(observed: Observed) -> None:
    assert observed.intruder.returncode != 0
    assert "connected" not in observed.intruder.stdout
    assert "token" in observed.intruder.stderr.lower()


@pytest.mark.slow
def test_more_workers_than_gpus_are_a_one_line_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ray", reason="needs the extra `scale`: pip install impasto[scale]")
    file = tmp_path / "grid.yaml"
    file.write_text(json.dumps(GRID))
    words = [sys.executable, "-m", "impasto", "experiment", "run", str(file), "-o", str(tmp_path / "out")]
    environment = os.environ | {"RAY_OVERRIDE_RESOURCES": '{"GPU": 1}'}
    ray = ["--runner", "ray", "--workers", "2"]
    result = subprocess.run([*words, *ray], env=environment, capture_output=True, text=True, timeout=TIMEOUT)
    assert result.returncode == 2
    message = "--workers: 2 workers need 1 GPU each, but the cluster has 1: give a fraction with --gpus"
    assert result.stderr == f"impasto: {message}\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--runner", "raj"], f"--runner: invalid choice: 'raj' (choose from 'processes', 'ray'){HELP}"),
        (["--gpus", "1"], "--gpus is for --runner ray; add it, or leave --gpus out"),
        (["--ray-address", "auto"], "--ray-address is for --runner ray; add it, or leave --ray-address out"),
        (["--runner", "ray", "--gpus", "-1"], f"--gpus: expected a number from 0 to 16, not '-1'{HELP}"),
        (["--runner", "ray"], "Ray is not installed: pip install impasto[scale]"),
    ],
)
def test_an_error_is_one_line_and_leaves_the_environment(
    words: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    before = dict(os.environ)
    assert main(["experiment", "run", "pooling", "--quick", "-o", str(tmp_path / "out"), *words]) == 2
    printed = capsys.readouterr().err.replace("'", "")  # some versions of Python quote the choices
    assert printed == f"impasto: {message}\n".replace("'", "")
    assert dict(os.environ) == before

"""An experiment on Ray: the same paintings as in this process, whoever dies meanwhile, and nobody else let in."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from impasto.cli import main
from impasto.experiments.expand import Experiment, experiment_of
from impasto.experiments.run import Run
from impasto.experiments.runner import work
from impasto.experiments.store import Store
from impasto.experiments.yaml_source import Document

PATIENCE = 600
HELP = "; see impasto experiment run --help"
"""Seconds: Ray alone takes five to start, and fifty on a busy machine."""
GRID = {
    "name": "trial",
    "judge": "tiny",
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
class Story:
    """What was seen of an experiment of two workers, one of which was killed, and another three times."""

    status: int
    told: dict[str, object]
    stderr: str
    listeners: dict[str, set[str]]
    """Addresses at which processes of the cluster listened, by their names."""
    stranger: subprocess.CompletedProcess[str]
    """A program that connected with another token."""
    folder: Path
    runs: dict[tuple[str, int], Run]


def descendants(pid: int) -> Iterator[int]:
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, task.read_text().split()):
            yield child
            yield from descendants(child)


def title(pid: int) -> str:
    """What `ps` calls a process."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").strip()
    except OSError:
        return ""


def painting(pid: int) -> list[int]:
    """The workers of a program that are painting right now."""
    return [each for each in descendants(pid) if title(each).startswith("ray::Painter.paint")]


def addresses(pid: int) -> set[str]:
    """The addresses at which a process listens, in the hex of /proc/net."""
    rows = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
    listening = {f"socket:[{row[9]}]": row[1].partition(":")[0] for row in rows if row[3] == "0A"}
    open_ones = {os.readlink(file) for file in Path(f"/proc/{pid}/fd").iterdir() if file.is_symlink()}
    return {listening[each] for each in open_ones if each in listening}


def wait_for(seen: Callable[[], object], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not seen():
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


def a_stranger(cluster: str) -> subprocess.CompletedProcess[str]:
    """Asks a cluster for its machines, with a token that is not its own."""
    code = f"import ray; ray.init({cluster!r}, logging_level='ERROR'); print('let in', len(ray.nodes()))"
    wrong = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64, "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=os.environ | wrong, capture_output=True, text=True, timeout=PATIENCE)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """One cluster for all that is asked of it: to start one takes long."""
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
        wait_for(lambda: painting(process.pid), process)
        os.kill(painting(process.pid)[0], signal.SIGKILL)
        wait_for(lambda: ended(folder) == 5, process)
        family = [process.pid, *descendants(process.pid)]
        listeners = {title(pid)[-40:]: addresses(pid) for pid in family if title(pid)}
        cluster = next(found[1] for pid in family if (found := re.search(r"--gcs-address=(\S+)", title(pid))))
        stranger = a_stranger(cluster)
        for _ in range(3):  # only the endless one is left
            wait_for(lambda: painting(process.pid), process)
            (victim,) = painting(process.pid)
            os.kill(victim, signal.SIGKILL)
            wait_for(lambda victim=victim: victim not in painting(process.pid), process)  # type: ignore[misc]
        out, err = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    store = Store(folder)
    runs = {(run.task.variant, run.task.settings["seed"]): run for run in store.runs()}
    store.close()
    return Story(process.returncode, json.loads(out.splitlines()[-1]), err, listeners, stranger, folder, runs)


def in_this_process(folder: Path) -> dict[tuple[str, int], Run]:
    """The runs of the experiment that end, as they come out without Ray."""
    variants = [each for each in GRID["variants"] if each["name"] != "endless"]  # type: ignore[index]
    experiment: Experiment = experiment_of(Document({**GRID, "variants": variants}, folder))
    store = Store(folder, create=True)
    store.enrol(experiment)
    work(folder, experiment)
    runs = {(run.task.variant, run.task.settings["seed"]): run for run in store.runs()}
    store.close()
    return runs


@pytest.mark.slow
def test_two_workers_on_ray_give_the_table_of_one_process_though_one_was_killed(story: Story, tmp_path: Path) -> None:
    ours = in_this_process(tmp_path)
    assert [status.status for status in ours.values()] == ["done"] * 4 + ["failed"]
    for cell, mine in ours.items():
        theirs = story.runs[cell]
        assert (theirs.task, theirs.status, theirs.steps) == (mine.task, mine.status, mine.steps)
        assert theirs.losses == pytest.approx(mine.losses, rel=1e-3)
        assert theirs.metrics == pytest.approx(mine.metrics, rel=1e-2, abs=1e-4)
        assert len(theirs.curve) == len(mine.curve)
        if theirs.picture:
            assert (story.folder / theirs.picture).is_file()
            assert (story.folder / theirs.picture).with_suffix(".json").is_file()
    assert "IMPASTO_OFFLINE is set" in str(story.runs["without weights", 0].error)


@pytest.mark.slow
def test_what_takes_three_workers_down_has_failed_and_the_status_is_0(story: Story) -> None:
    endless = story.runs["endless", 0]
    assert endless.status == "failed"
    assert "the process died while painting it, 3 times" in str(endless.error)
    assert story.status == 0, story.stderr
    assert (story.told["done"], story.told["failed"]) == (4, 2)
    assert len(re.findall(r"^\d/6  ", story.stderr, re.MULTILINE)) == 6
    assert "Traceback" not in story.stderr


@pytest.mark.slow
def test_the_cluster_listens_to_this_machine_only(story: Story) -> None:
    everywhere = set().union(*story.listeners.values())
    assert any("ray::Painter" in name for name in story.listeners)
    assert len([each for each in story.listeners.values() if each]) >= 4
    assert everywhere <= {"0100007F", "0000000000000000FFFF00000100007F"}


@pytest.mark.slow
def test_the_cluster_lets_nobody_in_without_its_token(story: Story) -> None:
    assert story.stranger.returncode != 0
    assert "let in" not in story.stranger.stdout
    assert "token" in story.stranger.stderr.lower()


@pytest.mark.slow
def test_more_workers_than_gpus_are_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ray", reason="needs the extra `scale`: pip install impasto[scale]")
    file = tmp_path / "grid.yaml"
    file.write_text(json.dumps(GRID))
    words = [sys.executable, "-m", "impasto", "experiment", "run", str(file), "-o", str(tmp_path / "out")]
    environment = os.environ | {"RAY_OVERRIDE_RESOURCES": '{"GPU": 1}'}
    ray = ["--runner", "ray", "--workers", "2"]
    said = subprocess.run([*words, *ray], env=environment, capture_output=True, text=True, timeout=PATIENCE)
    assert said.returncode == 2
    told = "--workers: 2 workers of 1 GPU each, but the cluster has 1: give --gpus, a share of one"
    assert said.stderr == f"impasto: {told}\n"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--runner", "raj"], f"--runner: invalid choice: 'raj' (choose from 'processes', 'ray'){HELP}"),
        (["--gpus", "1"], "--gpus is for --runner ray"),
        (["--ray-address", "auto"], "--ray-address is for --runner ray"),
        (["--runner", "ray", "--gpus", "-1"], f"--gpus: expected a number from 0 to 16, not '-1'{HELP}"),
        (["--runner", "ray"], "Ray is not installed: pip install impasto[scale]"),
    ],
)
def test_a_mistake_is_one_line(
    words: list[str],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    before = dict(os.environ)
    assert main(["experiment", "run", "pooling", "--quick", "-o", str(tmp_path / "out"), *words]) == 2
    message = capsys.readouterr().err.replace("'", "")  # some versions of Python quote the choices
    assert message == f"impasto: {told}\n".replace("'", "")
    assert dict(os.environ) == before

"""A folder in several processes: the pixels of one process, every picture once, nothing lost when a process dies."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from support import TIMEOUT, ForkedProcess, start_forks

import impasto
from impasto.cli import main
from impasto.cli.folders import _Tally
from impasto.executors import Executor, Outcome
from impasto.executors.base import Start, WorkerPool
from impasto.files import check_shared, shared_marker
from impasto.pipeline.folder import FolderResult

QUICK = ["--backbone", "tiny", "--size", "32", "--steps", "3", "--precision", "fp32"]
STYLIZE = ["stylize", "photos", "style.png", "-o", "out", *QUICK, "--workers", "2"]
SETTINGS: dict[str, Any] = {"backbone": "tiny", "size": 32, "steps": 3, "precision": "fp32"}
NAMES = [f"{i}.png" for i in range(6)]
# Runs a command in a process that kills itself when the second picture is reported.
KILLED = """
import os, signal, sys
from impasto.cli import main
from impasto.cli import folders
def kill(tally, result, total, *, as_json):
    tally.done += 1
    if tally.done == 2:
        os.kill(os.getpid(), signal.SIGKILL)
folders._Tally.add = kill
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to a folder with a style image and six content images."""
    start_forks()
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    for seed, name in enumerate(("style.png", *(f"photos/{name}" for name in NAMES))):
        levels = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), dtype=np.uint8)
        PIL.Image.fromarray(levels).resize((48, 36), PIL.Image.Resampling.BICUBIC).save(name)
    return tmp_path


def pixels(folder: str) -> dict[str, bytes]:
    found = {}
    for path in sorted(Path(folder).glob("*.png")):
        with PIL.Image.open(path) as picture:
            found[path.name] = picture.tobytes()
    return found


def times() -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in Path("out").iterdir()}


def objects(out: str) -> dict[str, dict[str, Any]]:
    found = [json.loads(line) for line in out.splitlines()]
    assert len({each["content"] for each in found}) == len(found)
    return {Path(each["content"]).name: each for each in found}


def test_two_workers_write_the_pixels_of_one_process_and_the_command_resumes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    impasto.stylize_folder("photos", "style.png", "one", **SETTINGS)
    capsys.readouterr()
    assert main([*STYLIZE, "--json"]) == 0
    out, err = capsys.readouterr()
    assert {each["status"] for each in objects(out).values()} == {"stylized"}
    assert pixels("out") == pixels("one")
    assert sorted(times()) == sorted([*NAMES, *(name.replace(".png", ".json") for name in NAMES)])
    assert "impasto: stylized 6 pictures in " in err
    assert " pictures/s)" in err
    Path("out/3.png").unlink()
    before = times()
    assert main([*STYLIZE, "--json"]) == 0
    out, err = capsys.readouterr()
    assert err.startswith("impasto: 5 of 6 pictures are already stylized and are skipped\n")
    assert "impasto: stylized 1 picture in " in err
    assert {name for name, each in objects(out).items() if each["status"] == "stylized"} == {"3.png"}
    assert {name for name, time in times().items() if time != before.get(name)} == {"3.png", "3.json"}
    assert pixels("out") == pixels("one")


def test_failures_are_listed_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    Path("photos/0.png").write_bytes(Path("photos/0.png").read_bytes()[:300])
    assert main([*STYLIZE, "--json"]) == 2
    out, err = capsys.readouterr()
    assert [name for name, each in objects(out).items() if each["status"] == "failed"] == ["0.png"]
    *_, failure, total = err.splitlines()
    assert failure.startswith("impasto: 'photos/0.png': it is corrupt or truncated")
    assert total == "impasto: 1 of 6 pictures could not be stylized"
    assert sorted(pixels("out")) == NAMES[1:]


def test_a_wrong_setting_is_one_line_and_leaves_no_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*STYLIZE, "--sizes", "16", "24", "32", "--steps", "2"]) == 2
    assert capsys.readouterr().err.startswith("impasto: --steps: 2 is less than the n")
    assert not Path("out").exists()


def test_a_killed_worker_is_replaced_and_its_picture_is_stylized_again() -> None:
    seen: list[FolderResult] = []
    workers: set[int] = set()

    def kill_once(result: FolderResult) -> None:
        seen.append(result)
        pids = [child.pid for child in multiprocessing.active_children() if child.pid is not None]
        workers.update(pids)
        if len(seen) == 1:
            for pid in pids:
                os.kill(pid, signal.SIGKILL)

    done = impasto.stylize_folder("photos", "style.png", "out", workers=2, on_picture=kill_once, **SETTINGS)
    assert done == seen
    assert {result.status for result in done} == {"stylized"}
    assert sorted(result.content.name for result in done) == NAMES
    assert len(workers) >= 3
    impasto.stylize_folder("photos", "style.png", "one", **SETTINGS)
    assert pixels("out") == pixels("one")


def test_a_killed_command_resumes_and_stylizes_no_picture_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    process = ForkedProcess(tmp_path, KILLED, *STYLIZE)
    process.communicate(timeout=TIMEOUT)
    assert process.returncode == -signal.SIGKILL
    before = times()
    finished = [name for name in NAMES if name in before]
    assert 2 <= len(finished) < 6
    assert main([*STYLIZE, "--json"]) == 0
    out, _ = capsys.readouterr()
    assert sorted(name for name, each in objects(out).items() if each["status"] == "skipped") == finished
    assert {name: time for name, time in times().items() if name in finished} == {
        name: before[name] for name in finished
    }
    assert sorted(pixels("out")) == NAMES


def test_ctrl_c_keeps_the_states_of_the_pictures_in_progress_and_the_command_repeats_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    add = _Tally.add

    def interrupt(tally: _Tally, result: FolderResult, total: int, *, as_json: bool) -> None:
        add(tally, result, total, as_json=as_json)
        if tally.done == 1:
            for pid in (os.getpid(), *(child.pid or 0 for child in multiprocessing.active_children())):
                os.kill(pid, signal.SIGINT)  # as a terminal does

    monkeypatch.setattr(_Tally, "add", interrupt)
    words = [*STYLIZE, "--steps", "40"]
    assert main(words) == 130
    err = capsys.readouterr().err
    assert "of 6 pictures finished; the same command continues" in err.splitlines()[-1]
    stopped = {path.stem: json.loads(path.read_text())["stopped"] for path in Path("out").glob("*.json")}
    assert 1 <= len(stopped) < len(NAMES)
    assert set(stopped.values()) <= {"steps", "cancelled"}
    assert list(stopped.values()).count("cancelled") <= 2  # one per worker; others may end before the signal arrives
    finished = [name for name, reason in stopped.items() if reason == "steps"]
    monkeypatch.setattr(_Tally, "add", add)
    assert main([*words, "--json"]) == 0
    skipped = [
        Path(name).stem for name, each in objects(capsys.readouterr().out).items() if each["status"] == "skipped"
    ]
    assert sorted(skipped) == sorted(finished)
    assert {json.loads(path.read_text())["stopped"] for path in Path("out").glob("*.json")} == {"steps"}


def test_a_picture_that_ends_two_workers_is_a_failure() -> None:
    class Deadly(Executor):
        """Reports that the workers died."""

        def pool(self, start: Start, workers: int) -> AbstractContextManager[WorkerPool]:
            raise NotImplementedError

        def run(self, start: Start, tasks: Any, **_: Any) -> Iterator[Outcome]:
            yield from (Outcome(task, died=True) for task in tasks)

    done = impasto.stylize_folder("photos", "style.png", "out", runner=Deadly(), **SETTINGS)
    assert {result.status for result in done} == {"failed"}
    text = "two processes died while they stylized this picture; there may be too little memory"
    assert done[0].error == f"'photos/0.png': {text}"


def test_on_picture_stops_the_workers_and_on_step_needs_one_process() -> None:
    done = impasto.stylize_folder("photos", "style.png", "out", workers=2, on_picture=lambda _: False, **SETTINGS)
    assert len(done) == 1
    assert multiprocessing.active_children() == []
    with pytest.raises(ValueError, match="on_step: workers cannot call it"):
        impasto.stylize_folder("photos", "style.png", "out", workers=2, on_step=print, **SETTINGS)


def test_another_machine_must_see_the_folder_of_the_outputs(tmp_path: Path) -> None:
    with shared_marker(tmp_path) as marker:
        check_shared(marker)
    with pytest.raises(ValueError, match="use a folder that all machines share"):
        check_shared(marker)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--method", "nnst", "--workers", "2"],
            "--workers: several processes, or Ray, compute one image with bures, gatys, mrf,",
        ),
        (
            ["--method", "micro", "--runner", "ray"],
            "--workers: several processes, or Ray, compute one image with bures, gatys, mrf",
        ),
        (
            ["--tile", "0", "--workers", "2"],
            "--workers: several processes compute tiles, but tile is 0; give another tile, or",
        ),
    ],
)
def test_workers_without_tiles_of_one_image_are_a_one_line_error(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["stylize", "style.png", "style.png", "-o", "out.png", *words]) == 2
    assert capsys.readouterr().err.startswith(f"impasto: {message}")
    assert not Path("out.png").exists()


def test_flags_of_ray_need_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*STYLIZE, "--gpus", "1"]) == 2
    assert capsys.readouterr().err == "impasto: --gpus is for --runner ray; add it, or leave --gpus out\n"

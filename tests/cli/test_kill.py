"""Tests of interrupted runs: Ctrl-C keeps the best image, and no output is incomplete after the process is killed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from support import TIMEOUT

from impasto.cli import main

STYLIZE = ["content.png", "style.png", "--backbone", "tiny", "--size", "64"]
# One process imports PyTorch, which takes longer than a run; each run is a fork of it.
KILLED_RUNS = """
import os, random, signal, sys, time
from pathlib import Path
from impasto.cli import main
import impasto.cli.stylize
chance, timeout = random.Random(0), float(sys.argv.pop())
for i in range(8):
    preview = Path(f"p{i}.png")
    words = [*sys.argv[1:], "--steps", "40", "-o", f"out{i}.png", "--preview", preview.name]
    child = os.fork()
    if child == 0:
        os._exit(main(["stylize", *words]))
    deadline = time.monotonic() + timeout
    while not preview.exists():
        assert time.monotonic() < deadline, f"{preview} was not written"
        time.sleep(0.01)
    time.sleep(chance.uniform(0, 0.6))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    generator = np.random.default_rng(0)
    for name in ("content.png", "style.png"):
        PIL.Image.fromarray(generator.integers(0, 256, (48, 64, 3), dtype=np.uint8)).save(folder / name)
    return folder


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, f"{path} was not written"
        time.sleep(0.02)


def check_complete(path: Path) -> None:
    """Fail unless a file is a complete image or JSON document."""
    if path.suffix == ".json":
        json.loads(path.read_text(encoding="utf-8"))
        return
    with PIL.Image.open(path) as image:
        image.load()


def test_ctrl_c_saves_the_best_image_and_a_record_that_can_be_replayed(folder: Path) -> None:
    words = [*STYLIZE, "--steps", "1000000", "-o", "out.png", "--json", "--preview", "p.png"]
    process = subprocess.Popen(
        [sys.executable, "-m", "impasto", "stylize", *words],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(folder / "p.png", process)
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert "stopping after this step" in err
    check_complete(folder / "out.png")
    record = json.loads(Path("out.json").read_text(encoding="utf-8"))
    assert record["stopped"] == "cancelled"
    assert json.loads(out)["steps"] == record["steps"] == len(record["curve"]) < 1_000_000
    totals = [sum(point["losses"].values()) for point in record["curve"]]
    assert totals[record["best"] - 1] == min(totals)

    assert main(["replay", "out.png", "-o", "again.png"]) == 0
    with PIL.Image.open("out.png") as first, PIL.Image.open("again.png") as second:
        assert first.tobytes() == second.tobytes()


def test_ctrl_c_before_the_first_step_writes_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr("impasto.pipeline.stylizer.stylize", interrupt)
    assert main(["stylize", *STYLIZE, "-o", "new/out.png", "--json"]) == 130
    assert capsys.readouterr() == ("", "impasto: stopped; nothing was written\n")
    assert {path.name for path in folder.iterdir()} == {"content.png", "style.png"}


def test_a_second_ctrl_c_stops_at_once_and_writes_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def interrupt_twice(*_: object) -> None:  # within one step
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr("impasto.cli.progress.Bar.__call__", interrupt_twice)
    assert main(["stylize", *STYLIZE, "-o", "out.png"]) == 130
    lines = capfd.readouterr().err.splitlines()
    assert lines[0] == "impasto: stopping after this step; Ctrl-C again stops immediately"
    assert lines[-1] == "impasto: stopped; nothing was written"
    assert {path.name for path in folder.iterdir()} == {"content.png", "style.png"}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs fork")
def test_a_process_killed_at_any_moment_leaves_no_incomplete_output(folder: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", KILLED_RUNS, *STYLIZE, str(TIMEOUT)]
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=TIMEOUT)
    for i in range(8):
        check_complete(folder / f"p{i}.png")
        outputs = [folder / f"out{i}.png", folder / f"out{i}.json"]
        for output in outputs:
            if output.exists():
                check_complete(output)
        assert outputs[1].exists() or not outputs[0].exists()

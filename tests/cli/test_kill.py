"""Stopped on the way: Ctrl-C keeps the best picture, and whatever kills the process, no output is half written."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

PAINT = ["content.png", "style.png", "--backbone", "tiny", "--steps", "1000000"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    generator = np.random.default_rng(0)
    for name in ("content.png", "style.png"):
        PIL.Image.fromarray(generator.integers(0, 256, (48, 64, 3), dtype=np.uint8)).save(folder / name)
    return folder


def start(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "impasto", *words],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, f"{path} never came"
        time.sleep(0.02)


def check_whole(path: Path) -> None:
    with PIL.Image.open(path) as picture:
        picture.load()


def test_ctrl_c_saves_the_best_picture_and_its_record_and_it_can_be_replayed(folder: Path) -> None:
    process = start("stylize", *PAINT, "--size", "64", "-o", "out.png", "--json", "--preview", "p.png")
    wait_for(folder / "p.png", process)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert "stopping after this step" in err
    check_whole(folder / "out.png")
    record = json.loads(Path("out.json").read_text())
    assert record["stopped"] == "cancelled"
    assert json.loads(out)["steps"] == record["steps"] == len(record["curve"]) < 1_000_000
    totals = [sum(point["losses"].values()) for point in record["curve"]]
    assert totals[record["best"] - 1] == min(totals)

    again = start("replay", "out.png", "-o", "again.png")
    _, err = again.communicate(timeout=120)
    assert again.returncode == 0, err
    with PIL.Image.open("out.png") as first, PIL.Image.open("again.png") as second:
        assert first.tobytes() == second.tobytes()


def test_ctrl_c_before_the_first_step_writes_nothing(folder: Path) -> None:
    code = (
        "import os, signal, sys, impasto.pipeline.stylizer as paint\n"
        "def early(*_, **__): os.kill(os.getpid(), signal.SIGINT)\n"
        "paint.stylize = early\n"
        "from impasto.cli import main\n"
        "sys.exit(main(['stylize', 'content.png', 'style.png', '--backbone', 'tiny', '-o', 'new/out.png', '--json']))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (said.returncode, said.stdout, said.stderr) == (130, "", "impasto: stopped; nothing was written\n")
    assert {path.name for path in folder.iterdir()} == {"content.png", "style.png"}


def test_a_second_ctrl_c_stops_at_once_and_writes_nothing(folder: Path) -> None:
    code = (
        "import os, signal, sys, impasto.cli.progress as progress\n"
        "def twice(*_):\n"  # within one step
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "progress.Bar.__call__ = twice\n"
        "from impasto.cli import main\n"
        "words = ['stylize', 'content.png', 'style.png', '--backbone', 'tiny', '--size', '32', '-o', 'out.png']\n"
        "sys.exit(main(words))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert said.returncode == 130
    assert said.stderr.splitlines()[-1] == "impasto: stopped; nothing was written"
    assert {path.name for path in folder.iterdir()} == {"content.png", "style.png"}


def test_kill_at_any_moment_leaves_no_half_written_output(folder: Path) -> None:
    chance = random.Random(0)
    for i in range(4):
        preview = folder / f"p{i}.png"
        process = start("stylize", *PAINT[:-1], "40", "--size", "64", "-o", f"out{i}.png", "--preview", preview.name)
        wait_for(preview, process)
        time.sleep(chance.uniform(0, 0.6))
        process.kill()
        process.communicate(timeout=60)
        check_whole(preview)
        for suffix in (".png", ".json"):
            output = folder / f"out{i}{suffix}"
            if output.exists():
                check_whole(output) if suffix == ".png" else json.loads(output.read_text())
        assert not (folder / f"out{i}.png").exists() or (folder / f"out{i}.json").exists()

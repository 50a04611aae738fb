"""Test that SIGTERM and SIGHUP, which schedulers and lost terminals send, keep as much as Ctrl-C does."""

from __future__ import annotations

import json
import os
import pty
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from small_studio import run_small_experiment
from support import TIMEOUT, ForkedProcess

import impasto.pipeline.stylizer
from impasto.cli import main
from impasto.cli.interrupts import Interrupts
from impasto.cli.progress import Bar
from impasto.experiments.store import Store
from impasto.types import Step

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
TINY = ["--backbone", "tiny", "--size", "48"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to a folder with content/a.png, content/b.png and style.png."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "content").mkdir()
    generator = np.random.default_rng(0)
    for name in ("content/a.png", "content/b.png", "style.png"):
        PIL.Image.fromarray(generator.integers(0, 256, (36, 48, 3), np.uint8)).save(tmp_path / name)
    return tmp_path


@pytest.fixture
def send_at_step(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that lets this process send itself signals at the third step."""

    def prepare(*numbers: int) -> None:
        def send(bar: Bar, step: Step) -> None:
            for number in numbers if step.index == 3 else ():
                os.kill(os.getpid(), number)

        monkeypatch.setattr(Bar, "__call__", send)

    return prepare


def handlers() -> list[object]:
    return [signal.getsignal(number) for number in SIGNALS]


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_saves_the_best_image_and_its_record(
    number: int, send_at_step: Callable[..., None], capfd: pytest.CaptureFixture[str]
) -> None:
    before = handlers()
    send_at_step(number)
    assert main(["stylize", "content/a.png", "style.png", *TINY, "-o", "out.png", "--json"]) == 128 + number
    assert handlers() == before
    out, err = capfd.readouterr()
    assert "impasto: stopping after this step" in err
    record = json.loads(Path("out.json").read_text(encoding="utf-8"))
    assert (record["stopped"], record["steps"]) == ("cancelled", 3)
    assert json.loads(out)["steps"] == 3
    with PIL.Image.open("out.png") as image:
        image.load()


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_stops_a_folder_after_the_step_and_the_same_command_repeats_the_image(
    number: int, send_at_step: Callable[..., None], capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["stylize", "content", "style.png", *TINY, "--steps", "5", "-o", "out"]
    send_at_step(number)
    assert main(words) == 128 + number
    assert sorted(path.name for path in Path("out").iterdir()) == ["a.json", "a.png"]
    record = json.loads(Path("out/a.json").read_text(encoding="utf-8"))
    assert (record["stopped"], record["steps"]) == ("cancelled", 3)
    assert "impasto: stopped with 0 of 2 pictures finished; the same command continues" in capfd.readouterr().err
    send_at_step()  # nothing
    assert main(words) == 0
    assert [json.loads(Path(f"out/{name}.json").read_text(encoding="utf-8"))["steps"] for name in "ab"] == [5, 5]


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_while_an_image_of_a_folder_is_loaded_keeps_only_the_finished_ones(
    number: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    load = impasto.pipeline.stylizer.open_input

    def interrupted(role: str, source: str | Path, *limits: int | None) -> object:
        if Path(source).name == "b.png":
            os.kill(os.getpid(), number)
        return load(role, source, *limits)

    monkeypatch.setattr("impasto.pipeline.stylizer.open_input", interrupted)
    assert main(["stylize", "content", "style.png", *TINY, "--steps", "2", "-o", "out"]) == 128 + number
    assert sorted(path.name for path in Path("out").iterdir()) == ["a.json", "a.png"]
    assert "stopped with 1 of 2 pictures finished" in capfd.readouterr().err


def test_several_signals_of_a_scheduler_do_not_discard_the_image(send_at_step: Callable[..., None]) -> None:
    send_at_step(signal.SIGTERM, signal.SIGHUP, signal.SIGTERM)
    assert main(["stylize", "content/a.png", "style.png", *TINY, "-o", "out.png"]) == 128 + signal.SIGTERM
    assert Path("out.png").exists()


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_before_the_first_step_writes_nothing(
    number: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("impasto.pipeline.stylizer.stylize", lambda *_, **__: os.kill(os.getpid(), number))
    assert main(["stylize", "content/a.png", "style.png", *TINY, "-o", "out.png"]) == 128 + number
    assert capsys.readouterr().err == "impasto: stopped; nothing was written\n"
    assert not Path("out.png").exists()


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_keeps_the_finished_runs_of_an_experiment(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_small_experiment(tmp_path / "out")
    store = Store(tmp_path / "out")
    experiment = store.experiment()
    store.close()
    monkeypatch.setattr("impasto.experiments.expand.read_experiment", lambda *_, **__: experiment)
    monkeypatch.setattr("impasto.experiments.bundled.find_experiment", lambda _: tmp_path)
    monkeypatch.setattr("impasto.experiments.runner.run_experiment", lambda *_, **__: os.kill(os.getpid(), number))
    assert main(["experiment", "run", "small", "-o", "out"]) == 128 + number
    assert capsys.readouterr().err == "impasto: stopped; the same command continues\n"


def test_an_ignored_signal_remains_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with Interrupts() as interrupts:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not interrupts.requested
    finally:
        signal.signal(signal.SIGHUP, before)


# Runs a command in a terminal that only this process has.
IN_TERMINAL = """
import os, sys
from impasto.cli import main
terminal = os.open(sys.argv[1], os.O_RDWR)
for descriptor in (1, 2):
    os.dup2(terminal, descriptor)
sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
sys.exit(main(sys.argv[2:]))
"""


def test_a_lost_terminal_does_not_lose_the_image(tmp_path: Path) -> None:
    """The terminal is closed while the command stylizes: SIGHUP, and neither stdout nor stderr any more."""
    words = ["stylize", "content/a.png", "style.png", *TINY, "-o", "out.png", "--preview", "preview.png"]
    terminal, other_end = pty.openpty()
    process = ForkedProcess(tmp_path, IN_TERMINAL, os.ttyname(other_end), *words)
    os.close(other_end)
    deadline = time.monotonic() + TIMEOUT
    while not Path("preview.png").exists():
        assert process.poll() is None, process.communicate(1)
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.close(terminal)
    process.communicate(TIMEOUT)
    assert process.returncode == 128 + signal.SIGHUP
    assert json.loads(Path("out.json").read_text(encoding="utf-8"))["stopped"] == "cancelled"
    with PIL.Image.open("out.png") as image:
        image.load()

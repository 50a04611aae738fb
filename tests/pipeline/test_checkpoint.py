"""Test checkpoints: a run that was interrupted or killed continues with the same result, and nothing is lost."""

from __future__ import annotations

import json
import math
import multiprocessing
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from support import TIMEOUT, ForkedProcess, start_forks

import impasto
from impasto.cli import main
from impasto.images import load_image
from impasto.methods import METHODS
from impasto.pipeline import checkpoint, memory
from impasto.pipeline.checkpoint import difference
from impasto.pipeline.state_file import read_state, state_size, write_state
from impasto.types import Step

OPTIMIZING = [name for name in METHODS if "optimizer" in METHODS[name].Config.__dataclass_fields__]
SETTINGS: dict[str, Any] = {"sizes": (24, 32), "steps": 8, "device": "cpu"}
FILE = "out.png.checkpoint"
WORDS = ["stylize", "woodcut", "mosaic", "--backbone", "tiny", "--size", "32", "--steps", "20", "-o", "out.png"]
KILLED = """
import os, signal, sys, torch
import impasto.cli.progress
import impasto.pipeline.checkpoint as checkpoint
from impasto.cli import main
checkpoint.INTERVAL, checkpoint.WRITING_FRACTION = 0.0, 1e9
show = impasto.cli.progress.Bar.__call__
def kill(bar, step):
    show(bar, step)
    if step.index == 15:
        os.kill(os.getpid(), signal.SIGKILL)
impasto.cli.progress.Bar.__call__ = kill
torch.set_num_threads(int(sys.argv[1]))
main(sys.argv[2:])
"""


class Killed(BaseException):
    """Ends a run at some step, as a signal would."""


@pytest.fixture(autouse=True)
def at_every_step(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Write a checkpoint after each step, into the current folder."""
    monkeypatch.setattr(checkpoint, "INTERVAL", 0.0)
    monkeypatch.setattr(checkpoint, "WRITING_FRACTION", 1e9)
    monkeypatch.chdir(tmp_path)


def stylize(method: str = "gatys", **settings: Any) -> impasto.Result:
    names = METHODS[method].Config.__dataclass_fields__
    given = {"backbone": "tiny", **SETTINGS, "positions": 16, **settings}
    used = {
        name: value for name, value in given.items() if name in names or name in ("on_step", "checkpoint", "workers")
    }
    return impasto.stylize("woodcut", "mosaic", method, **used)


def interrupted_at(index: int, method: str = "gatys", **settings: Any) -> None:
    """Run to a step and leave the checkpoint of the step before."""

    def stop(step: Step) -> None:
        if step.index == index:
            raise Killed

    with pytest.raises(Killed):
        stylize(method, on_step=stop, checkpoint=FILE, **settings)


def check_equal(one: impasto.Result, other: impasto.Result) -> None:
    assert torch.equal(one.image, other.image)
    without_time = [[{**step.to_json(), "seconds": 0} for step in result.curve] for result in (one, other)]
    assert without_time[0] == without_time[1]
    assert (one.best, one.stopped, one.losses, one.settings) == (
        other.best,
        other.stopped,
        other.losses,
        other.settings,
    )


@pytest.mark.parametrize("method", OPTIMIZING)
def test_every_method_continues_in_each_stage_bit_for_bit(method: str) -> None:
    uninterrupted = stylize(method)
    for index in (3, 7):  # of the first and of the second stage
        interrupted_at(index, method)
        steps: list[Step] = []
        check_equal(stylize(method, checkpoint=FILE, on_step=steps.append), uninterrupted)
        assert (steps[0].index, steps[0].stage) == (index - 1, index // 4)
        Path(FILE).unlink()


@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": "adam"},
        {"optimizer": "rmsprop", "pyramid": 3},
        {"pyramid": 3},
        {"lr": 40.0},  # the loss diverges, and the best step is an earlier one
        {"tile": 24, "style_layers": ["relu1_1"], "content_layers": ["relu2_1"]},
        {"strength": 60.0, "start": "noise", "color": "luminance"},
        {"steps": None, "tolerance": 0.3},
    ],
)
def test_every_optimizer_continues_bit_for_bit(settings: dict[str, Any]) -> None:
    interrupted_at(7, **settings)
    check_equal(stylize(checkpoint=FILE, **settings), stylize(**settings))


def test_a_run_continues_with_the_tiles_that_it_began_with(monkeypatch: pytest.MonkeyPatch) -> None:
    layers = {"style_layers": ["relu1_1"], "content_layers": ["relu2_1"]}
    with monkeypatch.context() as little_memory:
        little_memory.setattr("impasto.methods.optimizing.free_memory", lambda device: 10**5)
        little_memory.setattr("impasto.methods.optimizing.SMALLEST_TILE", 24)
        interrupted_at(7, **layers)
    check_equal(stylize(checkpoint=FILE, **layers), stylize(tile=24, **layers))


def test_a_run_without_tiles_continues_in_one_process_and_says_so() -> None:
    interrupted_at(7)
    problem = "^workers: the interrupted run computes 32x25 pixels without tiles, in one process$"
    with pytest.warns(UserWarning, match=problem):
        found = stylize(checkpoint=FILE, workers=2)
    check_equal(found, stylize())


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Compute with one thread, as each of the workers does."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("one_thread")
def test_a_run_continues_with_workers() -> None:
    tiles: dict[str, Any] = {"tile": 24, "style_layers": ["relu1_1"], "content_layers": ["relu2_1"]}
    processes: set[int] = set()
    interrupted_at(7, **tiles)
    start_forks()

    def count(step: Step) -> None:
        processes.add(len(multiprocessing.active_children()))

    check_equal(stylize(checkpoint=FILE, workers=2, on_step=count, **tiles), stylize(**tiles))
    assert processes == {2}


def test_a_run_that_continues_is_refused_where_the_memory_no_longer_suffices(monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted_at(7)
    before = Path(FILE).read_bytes()
    monkeypatch.setattr(memory, "free_memory", lambda device: 101 * memory.MIB)
    with pytest.raises(
        ValueError, match=r"^32x25 pixels with gatys need \S+ [MG]iB of memory, and \S+ [MG]iB are available; "
    ):
        stylize(checkpoint=FILE)
    assert Path(FILE).read_bytes() == before


def test_the_state_of_a_run_that_continues_is_not_counted_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    stylizer = impasto.Stylizer("mosaic", backbone="tiny", **SETTINGS)
    interrupted_at(7)
    size = state_size(read_state(Path(FILE))["state"])
    assert 0.9 * Path(FILE).stat().st_size < size < Path(FILE).stat().st_size
    found = []
    monkeypatch.setattr(memory, "memory_in_use_mib", lambda device: 300.0)
    monkeypatch.setattr(memory, "free_memory", lambda device: 200 * memory.MIB)
    monkeypatch.setattr(memory.Memory, "largest", lambda each: found.append(each) or math.inf)
    stylizer.stylize("woodcut")
    stylizer.stylize("woodcut", checkpoint=FILE)
    cpu = torch.device("cpu")
    assert found == [memory.Memory(cpu, 300, 200), memory.Memory(cpu, 300 - size / memory.MIB, 200 + size / memory.MIB)]


def test_the_command_continues_after_the_process_was_killed(
    tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    killed = ForkedProcess(tmp_path_factory.mktemp("printed"), KILLED, str(torch.get_num_threads()), *WORDS)
    killed.communicate(TIMEOUT)
    assert killed.returncode == -signal.SIGKILL
    assert [path.name for path in Path().iterdir()] == [FILE]
    Path(f"{FILE}.part").write_bytes(b"a checkpoint that was not completed")

    assert main(WORDS) == 0
    assert f"impasto: continuing from '{FILE}' at step 14\n" in capsys.readouterr().err
    assert sorted(path.name for path in Path().iterdir()) == ["out.json", "out.png"]
    assert main([*WORDS[:-1], "whole.png"]) == 0
    assert torch.equal(load_image("out.png"), load_image("whole.png"))
    records = [json.loads(Path(name).read_text(encoding="utf-8")) for name in ("out.json", "whole.json")]
    first, second = ([point["losses"] for point in record["curve"]] for record in records)
    assert first == second


def test_a_short_run_writes_no_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "INTERVAL", 300.0)
    stylize(checkpoint=FILE, on_step=lambda step: Path(FILE).exists() and pytest.fail("it was written"))
    assert not Path(FILE).exists()


ADVICE = "give another output, or remove the file"


@pytest.mark.parametrize(
    ("changed", "name"), [({"style_weight": 7.0}, "settings style_weight"), ({"seed": 3}, "settings seed")]
)
def test_the_checkpoint_of_another_run_is_refused_and_kept(changed: dict[str, Any], name: str) -> None:
    interrupted_at(7)
    before = Path(FILE).read_bytes()
    problem = re.escape(f"{FILE!r} is the checkpoint of another run (its {name} differs); {ADVICE}")
    with pytest.raises(ValueError, match=f"^{problem}$"):
        stylize(checkpoint=FILE, **changed)
    assert Path(FILE).read_bytes() == before
    check_equal(stylize(checkpoint=FILE), stylize())


def test_the_checkpoint_of_other_inputs_is_refused() -> None:
    interrupted_at(7)
    with pytest.raises(ValueError, match=r"its inputs 2 \(style\) differs"):
        impasto.stylize("woodcut", "brushstrokes", backbone="tiny", checkpoint=FILE, **SETTINGS)


def test_the_checkpoint_of_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as older:
        older.setattr("impasto.pipeline.stylizer._own_version", lambda: "0.0.1")
        interrupted_at(7)
    with pytest.raises(ValueError, match=r"another run \(its versions impasto differs\)"):
        stylize(checkpoint=FILE)


def test_the_checkpoint_of_another_format_is_refused_and_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*WORDS[:-3], "8", *WORDS[-2:]]
    with monkeypatch.context() as older:
        older.setattr(checkpoint, "FORMAT", 1)  # the image was not yet part of the state of the safeguard
        interrupted_at(7)
    before = Path(FILE).read_bytes()
    capsys.readouterr()
    assert main(words) == 2
    problem = f"impasto: {FILE!r} is the checkpoint of another run (its format differs); {ADVICE}\n"
    assert capsys.readouterr().err == problem
    assert {path.name: path.read_bytes() for path in Path().iterdir()} == {FILE: before}


def test_the_format_is_that_of_the_state() -> None:
    """Increase `checkpoint.FORMAT` together with a change here."""
    interrupted_at(7)
    descent = read_state(Path(FILE))["state"]["descent"]
    safeguard = descent["_safeguard"]
    assert set(descent) == {"_index", "_best", "_safeguard", "_convergence"}
    assert set(safeguard) == {"image", "update", "restarts", "best", "_best_loss", "_floor", "_lr"}
    assert set(safeguard["update"]) == {"_hessian", "_last_step", "_last_gradient", "_lr", "_first_step"}
    assert set(safeguard["update"]["_hessian"]) == {"_pairs", "_step_change", "_change_change", "_rows"}
    assert checkpoint.FORMAT == 2


@pytest.mark.parametrize("cut", [0, 4, 100, -1])
def test_a_corrupt_checkpoint_is_refused(cut: int) -> None:
    interrupted_at(7)
    Path(FILE).write_bytes(Path(FILE).read_bytes()[:cut])
    with pytest.raises(ValueError, match=f"^{re.escape(repr(FILE))} is not a checkpoint; {ADVICE}$"):
        stylize(checkpoint=FILE)


OTHER_COMMANDS = [
    WORDS,
    ["stylize", "woodcut", "mosaic", "--method", "micro", "--size", "48", "-o", "out.png"],  # of one pass
    ["replay", "first.png", "-o", "out.png"],
]


@pytest.mark.parametrize("words", OTHER_COMMANDS)
def test_commands_refuse_the_file_of_another_run_before_they_begin_and_change_nothing(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*WORDS[:-1], "first.png"]) == 0
    interrupted_at(7)
    Path("out.png").write_bytes(b"an earlier picture")
    Path(f"{FILE}.part").write_bytes(b"a checkpoint that was not completed")
    before = {path.name: path.read_bytes() for path in Path().iterdir()}
    monkeypatch.setattr("impasto.pipeline.stylizer.run_to_end", lambda *_, **__: pytest.fail("the run began"))
    capsys.readouterr()

    assert main(words) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"impasto: {FILE!r} is the checkpoint of another run (its ")
    assert err.endswith(f" differs); {ADVICE}\n")
    assert err.count("\n") == 1
    assert {path.name: path.read_bytes() for path in Path().iterdir()} == before


def test_other_files_in_place_of_a_checkpoint_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    negative = json.dumps({"__metadata__": {"state": "{}"}, "0": {"dtype": "BOOL", "shape": [-1, -8]}}).encode()
    header = len(negative).to_bytes(8, "little")
    pictures = (b"\x89PNG\r\n\x1a\n" + bytes(100), b"\x02" + bytes(7) + b"{}", b"\x02" + bytes(7) + b"[]")
    for content in (*pictures, header + negative + bytes(8)):
        Path(FILE).write_bytes(content)
        assert main(WORDS) == 2
        assert capsys.readouterr().err == f"impasto: {FILE!r} is not a checkpoint; {ADVICE}\n"
        assert [path.name for path in Path().iterdir()] == [FILE]
        assert Path(FILE).read_bytes() == content


def test_a_folder_in_place_of_a_checkpoint_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    Path(FILE).mkdir()
    assert main(WORDS) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"impasto: {FILE!r} cannot be read: ")
    assert err.endswith(f"; {ADVICE}\n")
    assert err.count("\n") == 1
    assert [path.name for path in Path().iterdir()] == [FILE]


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """Let the system refuse to write more than some bytes to a file."""
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.filterwarnings("default")
def test_a_full_disk_ends_the_checkpoints_but_not_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    with full_disk(50_000):  # the checkpoint takes more, the picture less
        assert main(WORDS) == 0
    err = capsys.readouterr().err
    assert err.startswith(f"impasto: warning: no further checkpoints: cannot write '{FILE}': ")
    assert err.count("\n") == 2  # with the note on the network
    assert sorted(path.name for path in Path().iterdir()) == ["out.json", "out.png"]


def test_an_output_that_does_not_fit_on_the_disk_keeps_the_checkpoint_and_all_earlier_files(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*WORDS, "--seed", "1"]) == 0
    before = {path.name: path.read_bytes() for path in Path().iterdir()}
    capsys.readouterr()
    written = write_state

    def full(*arguments: Any) -> None:
        with full_disk(2**40):
            written(*arguments)

    monkeypatch.setattr(checkpoint, "write_state", full)
    with full_disk(2_000):
        assert main(WORDS) == 2
    err = capsys.readouterr().err
    assert err.startswith("impasto: cannot write 'out.png': ")
    assert err.endswith(f"or free some space and repeat the command, which continues from '{FILE}'\n")
    assert err.count("\n") == 1
    assert {path.name: path.read_bytes() for path in Path().iterdir() if path.name != FILE} == before
    assert main(WORDS) == 0
    assert f"continuing from '{FILE}' at step 20" in capsys.readouterr().err


@pytest.mark.filterwarnings("default")
def test_the_output_remains_where_the_checkpoint_cannot_be_removed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(path: Path, missing_ok: bool = False) -> None:
        if path.name.startswith(FILE):
            raise PermissionError(13, "Permission denied")  # as on Windows, while another program has it open
        unlink(path, missing_ok)

    unlink = Path.unlink
    monkeypatch.setattr(Path, "unlink", refuse)
    assert main(WORDS) == 0
    out, err = capsys.readouterr()
    assert out.startswith("out.png: 20 steps")
    assert err.count("warning") == 1
    assert f"impasto: warning: cannot remove {FILE!r}: Permission denied; remove it later\n" in err
    assert sorted(path.name for path in Path().iterdir()) == ["out.json", "out.png", FILE]


def test_nested_values_are_read_as_they_were_written() -> None:
    shared = torch.randn(3, 2, 5)
    tensors = {"a": shared, "b": [shared.bfloat16(), shared.double()], "c": shared, "empty": torch.empty(0)}
    values = {"number": 0.1 + 0.2, "nothing": None, "list": [1, {"text": "ä"}], "flag": torch.tensor([True])}
    write_state(Path("state"), {"tensors": tensors, **values})
    found = read_state(Path("state"))
    assert difference({**found, "tensors": 0, "flag": 0}, {**values, "tensors": 0, "flag": 0}) is None
    assert found["tensors"]["a"] is found["tensors"]["c"]  # written once
    for one, other in ((found["tensors"]["a"], shared), *zip(found["tensors"]["b"], tensors["b"], strict=True)):
        assert torch.equal(one, other)
        assert one.dtype is other.dtype
    assert len(found["tensors"]["empty"]) == 0
    assert found["flag"].item() is True

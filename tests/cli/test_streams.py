"""Test that a process without stdin, stdout or stderr does its work."""

from __future__ import annotations

from pathlib import Path

import PIL.Image
import pytest
from support import TIMEOUT, ForkedProcess

# Closes streams as `>&-` does and runs a command.
WITHOUT_STREAMS = """
import os, sys
for descriptor in map(int, sys.argv.pop(1)):
    os.close(descriptor)
    setattr(sys, ("stdin", "stdout", "stderr")[descriptor], None)
from impasto.cli import run
run()
"""
FULL_STDERR = """
import os, sys
os.dup2(os.open("/dev/full", os.O_WRONLY), 2)
from impasto.cli import run
run()
"""
STYLIZE = ["stylize", "woodcut", "mosaic", "--backbone", "tiny", "--size", "32", "--steps", "2", "-o", "out.png"]


@pytest.mark.parametrize("closed", ["1", "2", "12", "012"])
def test_an_image_is_written_without_streams(closed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    process = ForkedProcess(tmp_path, f"import os\nos.chdir({str(tmp_path)!r})" + WITHOUT_STREAMS, closed, *STYLIZE)
    out, err = process.communicate(TIMEOUT)
    assert process.returncode == 0
    assert out.startswith("out.png: 2 steps") or "1" in closed
    assert "Traceback" not in err
    with PIL.Image.open(tmp_path / "out.png") as image:
        image.load()
    assert (tmp_path / "out.json").read_bytes().startswith(b"{")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_messages_that_cannot_be_written_do_not_stop_a_run(tmp_path: Path) -> None:
    process = ForkedProcess(tmp_path, f"import os\nos.chdir({str(tmp_path)!r})" + FULL_STDERR, *STYLIZE)
    out, _ = process.communicate(TIMEOUT)
    assert (process.returncode, out.startswith("out.png: 2 steps")) == (0, True)


@pytest.mark.parametrize("words", [["methods"], ["--help"], ["stylize", "--help"]])
def test_what_is_printed_is_discarded_without_stdout(words: list[str], tmp_path: Path) -> None:
    process = ForkedProcess(tmp_path, WITHOUT_STREAMS, "1", *words)
    assert process.communicate(TIMEOUT) == ("", "")
    assert process.returncode == 0


def test_an_image_from_a_closed_stdin_is_an_error_of_one_line(tmp_path: Path) -> None:
    process = ForkedProcess(tmp_path, WITHOUT_STREAMS, "0", "stylize", "-", "mosaic", "-o", str(tmp_path / "out.png"))
    out, err = process.communicate(TIMEOUT)
    assert (process.returncode, out) == (2, "")
    assert err.startswith("impasto: -: stdin is empty; pipe an image into it")
    assert err.count("\n") == 1


def test_an_error_without_stderr_has_its_exit_status(tmp_path: Path) -> None:
    process = ForkedProcess(tmp_path, WITHOUT_STREAMS, "2", "stylize", "nowhere.png", "mosaic", "-o", "out.png")
    assert process.communicate(TIMEOUT) == ("", "")
    assert process.returncode == 2

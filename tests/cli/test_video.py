"""The command `impasto video`: outputs, errors in one line, and runs that are stopped or killed."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from small_clip import duration_of, moving_square, write_sound, write_video
from support import TIMEOUT, ForkedProcess

from impasto.cli import main
from impasto.video import open_clip

GATYS = ["--method", "gatys", "--backbone", "tiny", "--steps", "6", "--frame-steps", "4"]
# Runs a command that sends a signal to itself when it shows the progress of a frame.
STOPPED_RUN = """
import os, sys
from impasto.cli import main
from impasto.cli.progress import Bar
number, frame = map(int, sys.argv[1:3])
show = Bar.__call__
def stop(bar, step):
    show(bar, step)
    if step.index == frame:
        os.kill(os.getpid(), number)
Bar.__call__ = stop
sys.exit(main(["video", *sys.argv[3:]]))
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def error_of(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Return the one line on stderr of a command that fails with status 2."""
    assert main(["video", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_a_clip_is_stylized_with_its_sound_and_described_as_json(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_video(folder / "in.mp4", moving_square(25), sound="aac")
    words = ["in.mp4", "woodcut", "-o", "out.mp4", "--size", "64", "--preview", "preview.png", "--json"]
    assert main(["video", *words]) == 0
    facts = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (facts["output"], facts["method"], facts["frames"], facts["size"]) == ("out.mp4", "micro", 25, [48, 64])
    assert duration_of(folder / "out.mp4", "video") == pytest.approx(1.0, abs=0.001)
    assert duration_of(folder / "out.mp4", "audio") == pytest.approx(1.0, abs=0.05)
    assert {path.name for path in folder.iterdir()} == {"in.mp4", "out.mp4", "out.json", "preview.png"}


def test_a_run_that_is_killed_or_interrupted_continues_to_the_same_output(folder: Path) -> None:
    write_video(folder / "in.mkv", moving_square(12), codec="ffv1", pixels="bgr0")
    words = ["in.mkv", "woodcut", "--size", "64", *GATYS]
    for number, frame, status in ((signal.SIGKILL, 3, -signal.SIGKILL), (signal.SIGINT, 5, 130)):
        process = ForkedProcess(folder, STOPPED_RUN, str(int(number)), str(frame), *words, "-o", "out.mkv")
        _, err = process.communicate(TIMEOUT)
        assert process.returncode == status, err
        assert (folder / "out.mkv.work").is_dir()
        assert not (folder / "out.mkv").exists()
    assert err.endswith("\nimpasto: stopped after 5 of 12 frames; the same command continues\n")
    assert main(["video", *words, "-o", "out.mkv"]) == 0
    assert main(["video", *words, "-o", "whole.mkv"]) == 0
    out, whole = (list(open_clip(folder / name).frames()) for name in ("out.mkv", "whole.mkv"))
    assert all((a.pixels == b.pixels).all() for a, b in zip(out, whole, strict=True))
    assert not (folder / "out.mkv.work").exists()


def test_a_mistake_gives_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_video(folder / "in.mp4", moving_square(3))
    write_sound(folder / "sound.m4a")
    (folder / "empty.mp4").touch()
    before = {path.name for path in folder.iterdir()}
    texts = {
        "give a CLIP and at least one STYLE": ["in.mp4"],
        "the output is missing": ["in.mp4", "woodcut"],
        "no video, only sound": ["sound.m4a", "woodcut", "-o", "out.mp4"],
        "it is empty": ["empty.mp4", "woodcut", "-o", "out.mp4"],
        "is an input and would be overwritten": ["in.mp4", "woodcut", "-o", "in.mp4"],
        "--blend: input should be": ["in.mp4", "woodcut", "-o", "out.mp4", "--blend", "2"],
        "--passes: micro": ["in.mp4", "woodcut", "-o", "out.mp4", "--passes", "3"],
        "unknown flag --flow": ["in.mp4", "woodcut", "-o", "out.mp4", "--flow"],
        "choose .mp4": ["in.mp4", "woodcut", "-o", "out.png"],
        "absent.jpg": ["in.mp4", "absent.jpg", "-o", "out.mp4"],
    }
    for text, words in texts.items():
        assert text in error_of(capsys, *words)
    assert {path.name for path in folder.iterdir()} == before


@pytest.mark.parametrize("written", ["-o", "--preview"])
@pytest.mark.parametrize("flag", ["--mask", "--style-mask"])
def test_a_mask_is_not_overwritten(folder: Path, capsys: pytest.CaptureFixture[str], flag: str, written: str) -> None:
    write_video(folder / "in.mp4", moving_square(3))
    name = "mask.mkv" if written == "-o" else "mask.png"
    (folder / name).write_bytes(b"a mask")
    output = [] if written == "-o" else ["-o", "out.mkv"]
    text = error_of(capsys, "in.mp4", "woodcut", *output, flag, name, written, name)
    assert text == f"impasto: {name} is an input and would be overwritten: give another name"
    assert (folder / name).read_bytes() == b"a mask"
    assert {path.name for path in folder.iterdir()} == {"in.mp4", name}


def test_frames_of_another_run_are_kept_unless_restart_is_given(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_video(folder / "in.mp4", moving_square(3))
    words = ["in.mp4", "woodcut", "-o", "out.mp4", "--size", "64"]
    work = folder / "out.mp4.work"
    work.mkdir()
    (work / "note.txt").write_text("mine")
    assert "is not the work folder of a clip" in error_of(capsys, *words)
    (work / "note.txt").unlink()
    (work / "run.json").write_text("{}")
    assert "--restart: 0 frames" in error_of(capsys, *words)
    assert main(["video", *words, "--restart"]) == 0
    assert open_clip("out.mp4").size == (48, 64)


def test_a_folder_of_frames_is_a_clip_and_an_output(folder: Path) -> None:
    write_video(folder / "in.mp4", moving_square(3))
    assert main(["video", "in.mp4", "woodcut", "-o", "frames", "--size", "64"]) == 0
    assert sorted(os.listdir("frames")) == ["000001.png", "000002.png", "000003.png"]
    assert main(["video", "frames", "mosaic", "-o", "again.gif", "--fps", "10", "--size", "64"]) == 0
    frames = list(open_clip("again.gif").frames())
    assert [float(frame.time) for frame in frames] == [0, 0.1, 0.2]
    assert np.ptp(frames[0].pixels) > 50

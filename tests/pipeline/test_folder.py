"""Test folders of content images: every picture once, nothing overwritten, and the same command resumes."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from support import TIMEOUT, ForkedProcess

import impasto
from impasto.backbones.tiny import Tiny
from impasto.cli import main
from impasto.cli.progress import Bar
from impasto.images import read_depth_and_location, replace_record
from impasto.pipeline.folder import FolderResult
from impasto.pipeline.folder_plan import output_names
from impasto.types import Step

QUICK = ["--backbone", "tiny", "--size", "32", "--steps", "2", "--precision", "fp32"]
STYLIZE = ["stylize", "photos", "style.png", "-o", "out", *QUICK]
SETTINGS: dict[str, Any] = {"backbone": "tiny", "size": 32, "steps": 2, "precision": "fp32"}
OUTPUTS = ["out/a.png", "out/b.png", "out/sub/c.png"]

Run = Callable[..., tuple[int, str, str]]


def draw(path: str, seed: int) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    levels = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    PIL.Image.fromarray(levels).resize((48, 36), PIL.Image.Resampling.BICUBIC).save(path)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to a folder with a style image, and three content images among other files."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    names = ("style.png", "photos/a.jpg", "photos/b.png", "photos/sub/c.tif", "photos/.trash/d.jpg", "photos/.e.jpg")
    for seed, name in enumerate(names):
        draw(name, seed)
    Path("photos/notes.txt").write_text("no picture", encoding="utf-8")
    return folder


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run commands in this process; each returns its exit status, stdout and stderr."""

    def run(*words: str) -> tuple[int, str, str]:
        status = main(words)
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


def interrupt(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """Let this process send itself Ctrl-C at the third step of the second picture."""

    def send(bar: Bar, step: Step) -> None:
        if bar._title.startswith("2/") and step.index == 3:
            for _ in range(times):
                os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Bar, "__call__", send)


# Runs a command in a process that kills itself at the third step of the second picture.
KILLED = """
import os, signal, sys
from impasto.cli import main
from impasto.cli.progress import Bar
def kill(bar, step):
    if bar._title.startswith("2/") and step.index == 3:
        os.kill(os.getpid(), signal.SIGKILL)
Bar.__call__ = kill
sys.exit(main(sys.argv[1:]))
"""


def files(folder: str = "out") -> list[str]:
    return sorted(str(path) for path in Path(folder).rglob("*") if path.is_file())


def state(folder: str = ".") -> dict[str, tuple[int, bytes]]:
    """Return the time and the bytes of every file; a file that is written again differs in its time."""
    return {name: (Path(name).stat().st_mtime_ns, Path(name).read_bytes()) for name in files(folder)}


def pixels(path: str) -> bytes:
    with PIL.Image.open(path) as picture:
        return picture.tobytes()


# ------------------------------------------------------------------------------------------------ outputs


def test_every_picture_keeps_its_path_and_gets_a_json_object_and_the_network_is_loaded_once(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[Tiny] = []
    convolutions = Tiny.convolutions
    monkeypatch.setattr(Tiny, "convolutions", lambda self: loaded.append(self) or convolutions(self))  # type: ignore[func-returns-value]
    status, out, err = run(*STYLIZE, "--json")
    assert status == 0
    assert len(loaded) == 1
    assert files() == sorted([*OUTPUTS, *(path.replace(".png", ".json") for path in OUTPUTS)])
    objects = [json.loads(line) for line in out.splitlines()]
    assert [each["output"] for each in objects] == OUTPUTS
    assert [each["content"] for each in objects] == ["photos/a.jpg", "photos/b.png", "photos/sub/c.tif"]
    assert {each["status"] for each in objects} == {"stylized"}
    single = run("stylize", "photos/a.jpg", "style.png", "-o", "a.png", "--json", *QUICK)[1]
    assert set(objects[0]) == set(json.loads(single)) | {"content", "status"}
    assert pixels("out/a.png") == pixels("a.png")
    lines = err.splitlines()
    assert lines[0] == f"impasto: {Tiny.note}"
    assert [line.split(":")[0] for line in lines[1:]] == [f"{i}/3  {path}" for i, path in enumerate(OUTPUTS, 1)]


def test_without_json_every_picture_has_a_numbered_line(run: Run) -> None:
    out = run(*STYLIZE)[1]
    assert [line.split(":")[0] for line in out.splitlines()] == [f"{i}/3  {path}" for i, path in enumerate(OUTPUTS, 1)]


def test_a_corrupt_picture_is_reported_at_the_end_and_does_not_stop_the_others(run: Run) -> None:
    Path("photos/a.jpg").write_bytes(Path("photos/a.jpg").read_bytes()[:300])
    PIL.Image.new("RGB", (4, 4)).save("photos/b.png")
    status, out, err = run(*STYLIZE, "--json")
    assert status == 2
    assert [path for path in files() if path.endswith(".png")] == ["out/sub/c.png"]
    first, second, third = (json.loads(line) for line in out.splitlines())
    assert (first["status"], first["output"], third["status"]) == ("failed", None, "stylized")
    assert "4x4 pixels" in second["error"]
    *_, damaged, small, total = err.splitlines()
    assert damaged.startswith("impasto: 'photos/a.jpg': it is corrupt or truncated")
    assert small.startswith("impasto: 'photos/b.png': content 'b.png' is 4x4 pixels")
    assert total == "impasto: 2 of 3 pictures could not be stylized"


def test_without_any_output_no_folder_is_left(run: Run) -> None:
    for name in files("photos"):
        Path(name).write_bytes(b"")
    assert run(*STYLIZE)[::2][0] == 2
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("names", "outputs"),
    [
        (["a.jpg", "b/a.jpg"], ["a.png", "b/a.png"]),
        (["a.jpg", "a.tif", "b.v2.png"], ["a.jpg.png", "a.tif.png", "b.v2.png"]),
        (["a.jpg", "a.jpg.tif", "a.tif"], ["a.jpg.png", "a.jpg.tif.png", "a.tif.png"]),
        (["A.JPG", "a.png"], ["A.JPG.png", "a.png.png"]),
    ],
)
def test_pictures_whose_outputs_would_collide_keep_their_suffix(names: list[str], outputs: list[str]) -> None:
    assert [str(name) for name in output_names([Path(name) for name in names], ".png")] == outputs


def test_pictures_of_one_stem_are_both_stylized_and_then_skipped(run: Run) -> None:
    draw("photos/b.jpg", 9)
    assert run(*STYLIZE, "--suffix", "jpg")[0] == 0
    assert [path for path in files() if path.endswith(".jpg")] == [
        *("out/a.jpg", "out/b.jpg.jpg", "out/b.png.jpg", "out/sub/c.jpg")
    ]
    before = state("out")
    status, out, err = run(*STYLIZE, "--suffix", ".jpg")
    assert (status, out, err) == (0, "", "impasto: 4 of 4 pictures are already stylized and are skipped\n")
    assert state("out") == before


def test_outputs_inside_the_folder_of_content_images_are_not_stylized(run: Run) -> None:
    words = ["stylize", "photos", "style.png", "-o", "photos/out", *QUICK]
    assert run(*words)[0] == 0
    assert run(*words)[2] == "impasto: 3 of 3 pictures are already stylized and are skipped\n"


def test_the_name_of_a_sample_takes_precedence_over_a_folder(run: Run) -> None:
    Path("woodcut").mkdir()
    assert run("stylize", "woodcut", "style.png", "-o", "w.png", *QUICK)[0] == 0
    assert run("stylize", "woodcut/", "style.png", "-o", "w", *QUICK)[0] == 2


# ------------------------------------------------------------------------------------------------ existing outputs


def test_a_killed_process_resumes_without_stylizing_anything_twice(run: Run, tmp_path: Path) -> None:
    words = [*STYLIZE, "--steps", "5"]
    process = ForkedProcess(tmp_path, KILLED, *words)
    process.communicate(timeout=TIMEOUT)
    assert process.returncode == -signal.SIGKILL
    assert files() == ["out/a.json", "out/a.png"]
    before = state("out")
    status, out, err = run(*words, "--json")
    assert status == 0, err
    objects = [json.loads(line) for line in out.splitlines()]
    assert [(each["output"], each["status"], each["steps"]) for each in objects] == [
        (path, status, 5) for path, status in zip(OUTPUTS, ("skipped", "stylized", "stylized"), strict=True)
    ]
    assert err.startswith("impasto: 1 of 3 pictures are already stylized and are skipped\n")
    after = state("out")
    assert [name for name in after if name.endswith(".png")] == OUTPUTS
    assert {name: after[name] for name in before} == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--steps", "3"], "'out/a.png' was stylized with another steps"),
        (["--method", "nnst"], "'out/a.png' was stylized with gatys"),
        (["mosaic"], "'out/a.png' was stylized with other style images"),
    ],
)
def test_outputs_of_other_settings_are_replaced_only_with_overwrite(run: Run, words: list[str], message: str) -> None:
    assert run(*STYLIZE)[0] == 0
    before = state()
    status, out, err = run(*STYLIZE, *words)
    assert (status, out) == (2, "")
    assert f"--overwrite: 3 of 3 outputs would replace another file: {message}" in err
    assert err.count("\n") == 1
    assert state() == before
    assert run(*STYLIZE, *words, "--overwrite")[0] == 0
    assert not set(state("out").values()) & set(before.values())
    assert run(*STYLIZE, *words)[2].endswith("3 of 3 pictures are already stylized and are skipped\n")


def test_only_the_content_image_that_changed_is_stylized_again(run: Run) -> None:
    assert run(*STYLIZE)[0] == 0
    draw("photos/b.png", 77)
    before = state("out")
    assert "1 of 3 outputs would replace another file: 'out/b.png' was stylized from an" in run(*STYLIZE)[2]
    assert run(*STYLIZE, "--overwrite")[0] == 0
    after = state("out")
    assert {name for name in after if after[name] != before[name]} == {"out/b.png", "out/b.json"}


def test_outputs_of_another_device_are_skipped(run: Run) -> None:
    assert run(*STYLIZE)[0] == 0
    assert run(*STYLIZE, "--device", "cpu")[2] == "impasto: 3 of 3 pictures are already stylized and are skipped\n"


@pytest.mark.parametrize("name", ["a.png", "a.json"])
def test_files_of_the_user_are_not_overwritten(run: Run, name: str) -> None:
    Path("out").mkdir()
    mine = Path("out", name)
    mine.write_bytes(Path("style.png").read_bytes() if name == "a.png" else b'{"title": "Holiday"}')
    before = state()
    status, _, err = run(*STYLIZE)
    assert status == 2
    assert "1 of 3 outputs would replace another file: 'out/a.png'" in err
    assert state() == before


def test_a_record_without_its_output_counts_as_interrupted(run: Run) -> None:
    assert run(*STYLIZE)[0] == 0
    Path("out/b.png").unlink()
    assert run(*STYLIZE)[0] == 0
    assert Path("out/b.png").exists()


def test_the_output_of_a_cancelled_run_is_stylized_again(run: Run) -> None:
    impasto.stylize("photos/a.jpg", "style.png", on_step=lambda step: False, **SETTINGS).save("out/a.png")
    assert json.loads(Path("out/a.json").read_text(encoding="utf-8"))["stopped"] == "cancelled"
    assert run(*STYLIZE)[0] == 0
    assert json.loads(Path("out/a.json").read_text(encoding="utf-8"))["stopped"] == "steps"


def test_the_output_of_a_cancelled_run_with_other_settings_is_not_replaced(run: Run) -> None:
    settings = {**SETTINGS, "steps": 7}
    impasto.stylize("photos/a.jpg", "style.png", on_step=lambda step: False, **settings).save("out/a.png")
    assert "'out/a.png' was stylized with another steps" in run(*STYLIZE)[2]


def older_record(path: str) -> None:
    """Remove what older records do not have from the record in and beside an output."""
    file = Path(path).with_suffix(".json")
    record = json.loads(file.read_text(encoding="utf-8"))
    del record["bits"], record["keep_location"]
    file.write_text(json.dumps(record), encoding="utf-8")
    if path.endswith(".png"):
        Path(path).write_bytes(replace_record(Path(path).read_bytes(), json.dumps(record)))


def locate(path: str) -> None:
    """Add a location to a photograph."""
    exif = PIL.Image.Exif()
    exif[PIL.ExifTags.IFD.GPSInfo] = {1: "N", 2: (48.0, 8.0, 13.2)}
    with PIL.Image.open(path) as picture:
        picture.save(path, exif=exif)


@pytest.mark.parametrize("is_older", [False, True])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_outputs_with_other_bits_per_channel_are_replaced_on_request_only(
    run: Run, suffix: str, *, is_older: bool
) -> None:
    words = [*STYLIZE, "--suffix", suffix]
    outputs = [output.replace(".png", suffix) for output in OUTPUTS]
    assert run(*words)[0] == 0
    for bits, other in (("16", "8"), ("8", "16")):
        if is_older:
            for output in outputs:
                older_record(output)
        status, _, err = run(*words, "--bits", bits)
        assert (status, f"'out/a{suffix}' was saved with {other} bits per channel" in err) == (2, True)
        status, _, err = run(*words, "--bits", bits, "--overwrite")
        assert (status, "skipped" in err) == (0, False)
        assert [str(read_depth_and_location(output)[0]) for output in outputs] == [bits] * 3
        assert "3 of 3 pictures are already stylized" in run(*words, "--bits", bits)[2]


def test_workers_replace_outputs_with_other_bits_per_channel() -> None:
    for bits in (8, 16):
        done = impasto.stylize_folder("photos", "style.png", "out", workers=2, bits=bits, overwrite=True, **SETTINGS)
        assert {result.status for result in done} == {"stylized"}
        assert [read_depth_and_location(output)[0] for output in OUTPUTS] == [bits] * 3


@pytest.mark.parametrize("is_older", [False, True])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_the_location_counts_for_photographs_that_have_one(run: Run, suffix: str, *, is_older: bool) -> None:
    locate("photos/a.jpg")
    words = [*STYLIZE, "--suffix", suffix]
    assert run(*words)[0] == 0
    for flags, kept in (["--keep-location"], "without"), ([], "with"):
        if is_older:
            older_record(f"out/a{suffix}")
        err = run(*words, *flags)[2]
        assert f"1 of 3 outputs would replace another file: 'out/a{suffix}' was saved {kept} the location of" in err
        assert "2 of 3 pictures are already stylized" in run(*words, *flags, "--overwrite")[2]
        assert read_depth_and_location(f"out/a{suffix}")[1] == bool(flags)
        assert "3 of 3 pictures are already stylized" in run(*words, *flags)[2]


class UserError(Exception):
    """An exception of the caller."""


@pytest.mark.parametrize("error", [UserError("mine"), KeyError("mine"), ValueError("mine")])
def test_an_exception_of_a_listener_is_not_a_failure_of_the_picture(error: Exception) -> None:
    def fail(_: object) -> None:
        raise error

    for listener in ("on_step", "on_picture"):
        with pytest.raises(type(error), match="mine"):
            impasto.stylize_folder("photos", "style.png", "out", **{listener: fail}, **SETTINGS)


def test_an_output_of_other_weights_counts_as_different(run: Run) -> None:
    words = [*STYLIZE, "--suffix", "jpg"]
    assert run(*words)[0] == 0
    record = json.loads(Path("out/a.json").read_text(encoding="utf-8"))
    Path("out/a.json").write_text(
        json.dumps(record | {"weights": {"name": "tiny.safetensors", "sha256": "0"}}), encoding="utf-8"
    )
    assert "1 of 3 outputs would replace another file: 'out/a.jpg' was stylized with other w" in run(*words)[2]


def test_an_output_that_cannot_be_saved_leaves_no_record(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(path: str | Path) -> None:
        raise ValueError("the disk is full")

    monkeypatch.setattr("impasto.pipeline.result.replaced_file", fill)
    status, _, err = run(*STYLIZE)
    assert (status, err.count("the disk is full")) == (2, 3)
    assert not Path("out").exists()


# -------------------------------------------------------------------------------------------------------- Ctrl-C


@pytest.mark.parametrize(
    ("times", "kept"),
    [(1, ["out/a.json", "out/a.png", "out/b.json", "out/b.png"]), (2, ["out/a.json", "out/a.png"])],
)
def test_ctrl_c_keeps_the_best_state_of_the_current_picture_and_a_second_one_discards_it(
    times: int, kept: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    interrupt(monkeypatch, times)
    assert main([*STYLIZE, "--steps", "5"]) == 130
    err = capfd.readouterr().err
    assert "impasto: stopping after this step; Ctrl-C again stops immediately\n" in err
    assert err.endswith("impasto: stopped with 1 of 3 pictures finished; the same command continues\n")
    assert files() == kept
    steps = [json.loads(Path(name).read_text(encoding="utf-8"))["steps"] for name in kept if name.endswith(".json")]
    assert steps == [5, 3][: len(steps)]
    with PIL.Image.open(kept[-1]) as picture:
        picture.load()


# ------------------------------------------------------------------------------------------------ errors

ERRORS = {
    "no output": (["photos", "style.png"], "the output is missing; give -o FOLDER"),
    "output is a picture": (["photos", "style.png", "-o", "x.png"], "'photos' is a folder, and the output must be one"),
    "output is the folder": (["photos", "style.png", "-o", "photos/"], "'photos' is the folder of the content images"),
    "output is a file": (["photos", "style.png", "-o", "photos/notes.txt"], "cannot write 'photos/notes.txt/a.png'"),
    "output is the style": (["photos", "sub/a.png", "-o", "sub"], "'sub/a.png' is an input and would be overwritten"),
    "suffix": (["photos", "style.png", "-o", "out", "--suffix", "gif"], "cannot write 'out/a.gif': its suffix must"),
    "bits": (["photos", "style.png", "-o", "out", "--suffix", "jpg", "--bits", "16"], "cannot write 'out/a.jpg' with"),
    "suffix of one": (["style.png", "style.png", "-o", "x.png", "--suffix", "jpg"], "--suffix is for a folder"),
    "curves": (["photos", "style.png", "-o", "out", "--curves", "c.svg"], "--curves is for a single image"),
    "preview": (["photos", "style.png", "-o", "out", "--preview", "p.png"], "--preview is for a single image"),
    "mask": (
        ["photos", "style.png", "-o", "out", "--mask", "style.png"],
        "--mask: a mask belongs to one content",
    ),
    "no pictures": (["nothing", "style.png", "-o", "out"], "'nothing': it contains no images"),
    "style": (["photos", "photos/notes.txt", "-o", "out"], "'photos/notes.txt': it is not an image"),
    "start": (
        ["photos", "style.png", "-o", "out", "--start", "no"],
        "--start: give content, style, noise, a feed",
    ),
    "setting": (["photos", "style.png", "-o", "out", "--steps", "0"], "--steps: input should be greater"),
    "first picture": (
        ["photos", "style.png", "-o", "out", "--sizes", "16", "24", "32"],
        "--steps: 2 is less than the n",
    ),
    "no weights": (["photos", "style.png", "-o", "out", "--backbone", "vgg19"], "IMPASTO_OFFLINE is set; searched for"),
}


@pytest.mark.parametrize(("words", "message"), ERRORS.values(), ids=ERRORS)
def test_an_error_is_one_line_and_leaves_no_file(run: Run, folder: Path, words: list[str], message: str) -> None:
    Path("nothing").mkdir()
    draw("sub/a.png", 3)
    before, paths = state(), list(folder.rglob("*"))
    status, out, err = run("stylize", *QUICK, *words)
    assert (status, out) == (2, "")
    assert err.startswith(f"impasto: {message}")
    assert err.count("\n") == 1
    assert (state(), list(folder.rglob("*"))) == (before, paths)


# -------------------------------------------------------------------------------------------------------- Python


def test_in_python_every_result_is_reported_and_false_stops() -> None:
    seen: list[FolderResult] = []

    def until_the_second(result: FolderResult) -> object:
        seen.append(result)
        return np.less(len(seen), 2)  # a boolean of NumPy

    done = impasto.stylize_folder("photos", "style.png", "out", on_picture=until_the_second, **SETTINGS)
    assert done == seen
    assert [str(result.output) for result in done] == OUTPUTS[:2]
    again = impasto.stylize_folder("photos", "style.png", "out", **SETTINGS)
    assert [result.status for result in again] == ["skipped", "skipped", "stylized"]
    for result in again:
        assert result.record is not None
        beside = json.loads(result.output.with_suffix(".json").read_text())
        assert result.record == {name: value for name, value in beside.items() if name != "curve"}

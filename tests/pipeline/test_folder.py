"""A folder as CONTENT: every picture once, nothing lost, and the same command goes on where it was stopped."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

import impasto
from impasto.backbones.tiny import Tiny
from impasto.cli import main
from impasto.pipeline.folder import Painting
from impasto.pipeline.folder_plan import output_names

QUICK = ["--backbone", "tiny", "--size", "32", "--steps", "2", "--precision", "fp32"]
PAINT = ["stylize", "photos", "style.png", "-o", "out", *QUICK]
SETTINGS: dict[str, Any] = {"backbone": "tiny", "size": 32, "steps": 2, "precision": "fp32"}
PLACES = ["out/a.png", "out/b.png", "out/sub/c.png"]

Run = Callable[..., tuple[int, str, str]]


def draw(path: str, seed: int) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    levels = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    PIL.Image.fromarray(levels).resize((48, 36), PIL.Image.Resampling.BICUBIC).save(path)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: a style, and three photographs among things that are none."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    names = ("style.png", "photos/a.jpg", "photos/b.png", "photos/sub/c.tif", "photos/.trash/d.jpg", "photos/.e.jpg")
    for seed, name in enumerate(names):
        draw(name, seed)
    Path("photos/notes.txt").write_text("no picture")
    return folder


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command in this process; returns its exit status, stdout and stderr."""

    def run(*words: str) -> tuple[int, str, str]:
        status = main(words)
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


def press(name: str, times: int, *words: str) -> subprocess.CompletedProcess[str]:
    """Runs a command in a process that sends itself a signal so many times, at the third step of the second picture."""
    code = (
        "import os, signal, sys, impasto.cli.progress as progress\n"
        "def press(bar, step):\n"
        "    if bar._title.startswith('2/') and step.index == 3:\n"
        f"        for _ in range({times}):\n"
        f"            os.kill(os.getpid(), signal.{name})\n"
        "progress.Bar.__call__ = press\n"
        "from impasto.cli import main\n"
        f"sys.exit(main({words!r}))"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)


def files(place: str = "out") -> list[str]:
    return sorted(str(path) for path in Path(place).rglob("*") if path.is_file())


def state(place: str = ".") -> dict[str, tuple[int, bytes]]:
    """Every file with its time and its bytes: what was written again differs in its time at least."""
    return {name: (Path(name).stat().st_mtime_ns, Path(name).read_bytes()) for name in files(place)}


def pixels(path: str) -> bytes:
    with PIL.Image.open(path) as picture:
        return picture.tobytes()


# ------------------------------------------------------------------------------------------------ what is painted


def test_every_picture_keeps_its_path_and_gets_an_object_and_the_network_is_read_once(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Tiny] = []
    convolutions = Tiny.convolutions
    monkeypatch.setattr(Tiny, "convolutions", lambda self: read.append(self) or convolutions(self))  # type: ignore[func-returns-value]
    status, out, err = run(*PAINT, "--json")
    assert status == 0
    assert len(read) == 1
    assert files() == sorted([*PLACES, *(place.replace(".png", ".json") for place in PLACES)])
    objects = [json.loads(line) for line in out.splitlines()]
    assert [each["output"] for each in objects] == PLACES
    assert [each["content"] for each in objects] == ["photos/a.jpg", "photos/b.png", "photos/sub/c.tif"]
    assert {each["status"] for each in objects} == {"painted"}
    single = run("stylize", "photos/a.jpg", "style.png", "-o", "a.png", "--json", *QUICK)[1]
    assert set(objects[0]) == set(json.loads(single)) | {"content", "status"}
    assert pixels("out/a.png") == pixels("a.png")
    lines = err.splitlines()
    assert lines[0] == f"impasto: {Tiny.note}"
    assert [line.split(":")[0] for line in lines[1:]] == [f"{i}/3  {place}" for i, place in enumerate(PLACES, 1)]


def test_without_json_a_line_tells_which_of_how_many(run: Run) -> None:
    out = run(*PAINT)[1]
    assert [line.split(":")[0] for line in out.splitlines()] == [f"{i}/3  {place}" for i, place in enumerate(PLACES, 1)]


def test_a_corrupt_picture_is_told_at_the_end_and_stops_nothing(run: Run) -> None:
    Path("photos/a.jpg").write_bytes(Path("photos/a.jpg").read_bytes()[:300])
    PIL.Image.new("RGB", (4, 4)).save("photos/b.png")
    status, out, err = run(*PAINT, "--json")
    assert status == 2
    assert [path for path in files() if path.endswith(".png")] == ["out/sub/c.png"]
    first, second, third = (json.loads(line) for line in out.splitlines())
    assert (first["status"], first["output"], third["status"]) == ("failed", None, "painted")
    assert "4x4 pixels" in second["error"]
    *_, damaged, small, total = err.splitlines()
    assert damaged.startswith("impasto: 'photos/a.jpg': it is damaged or cut short")
    assert small.startswith("impasto: 'photos/b.png': content 'b.png' is 4x4 pixels")
    assert total == "impasto: 2 of 3 pictures could not be painted"


def test_where_nothing_can_be_painted_no_folder_is_left(run: Run) -> None:
    for name in files("photos"):
        Path(name).write_bytes(b"")
    assert run(*PAINT)[::2][0] == 2
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("names", "places"),
    [
        (["a.jpg", "b/a.jpg"], ["a.png", "b/a.png"]),
        (["a.jpg", "a.tif", "b.v2.png"], ["a.jpg.png", "a.tif.png", "b.v2.png"]),
        (["a.jpg", "a.jpg.tif", "a.tif"], ["a.jpg.png", "a.jpg.tif.png", "a.tif.png"]),
        (["A.JPG", "a.png"], ["A.JPG.png", "a.png.png"]),
    ],
)
def test_pictures_that_would_meet_under_one_name_keep_their_whole_names(names: list[str], places: list[str]) -> None:
    assert [str(name) for name in output_names([Path(name) for name in names], ".png")] == places


def test_pictures_of_one_stem_are_both_painted_and_skipped_the_next_time(run: Run) -> None:
    draw("photos/b.jpg", 9)
    assert run(*PAINT, "--suffix", "jpg")[0] == 0
    assert [path for path in files() if path.endswith(".jpg")] == [
        *("out/a.jpg", "out/b.jpg.jpg", "out/b.png.jpg", "out/sub/c.jpg")
    ]
    before = state("out")
    status, out, err = run(*PAINT, "--suffix", ".jpg")
    assert (status, out, err) == (0, "", "impasto: 4 of 4 pictures are painted already, and skipped\n")
    assert state("out") == before


def test_a_folder_of_paintings_inside_the_photographs_is_not_painted_itself(run: Run) -> None:
    words = ["stylize", "photos", "style.png", "-o", "photos/out", *QUICK]
    assert run(*words)[0] == 0
    assert run(*words)[2] == "impasto: 3 of 3 pictures are painted already, and skipped\n"


def test_a_sample_is_meant_by_its_name_even_where_a_folder_is_called_so(run: Run) -> None:
    Path("woodcut").mkdir()
    assert run("stylize", "woodcut", "style.png", "-o", "w.png", *QUICK)[0] == 0
    assert run("stylize", "woodcut/", "style.png", "-o", "w", *QUICK)[0] == 2


# ------------------------------------------------------------------------------------------ what lies there already


def test_a_process_killed_on_the_way_goes_on_without_painting_anything_twice() -> None:
    words = [*PAINT, "--steps", "5"]
    assert press("SIGKILL", 1, *words).returncode == -signal.SIGKILL
    assert files() == ["out/a.json", "out/a.png"]
    before = state("out")
    command = [sys.executable, "-m", "impasto", *words, "--json"]
    again = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert again.returncode == 0, again.stderr
    objects = [json.loads(line) for line in again.stdout.splitlines()]
    assert [(each["output"], each["status"], each["steps"]) for each in objects] == [
        (place, status, 5) for place, status in zip(PLACES, ("skipped", "painted", "painted"), strict=True)
    ]
    assert again.stderr.startswith("impasto: 1 of 3 pictures are painted already, and skipped\n")
    after = state("out")
    assert [name for name in after if name.endswith(".png")] == PLACES
    assert {name: after[name] for name in before} == before


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--steps", "3"], "'out/a.png' was painted with another steps"),
        (["--method", "nnst"], "'out/a.png' was painted by gatys"),
        (["mosaic"], "'out/a.png' was painted after other styles"),
    ],
)
def test_paintings_of_another_kind_are_lost_only_where_that_is_allowed(run: Run, words: list[str], told: str) -> None:
    assert run(*PAINT)[0] == 0
    before = state()
    status, out, err = run(*PAINT, *words)
    assert (status, out) == (2, "")
    assert f"--overwrite: 3 of 3 paintings would take the place of something else: {told}" in err
    assert err.count("\n") == 1
    assert state() == before
    assert run(*PAINT, *words, "--overwrite")[0] == 0
    assert not set(state("out").values()) & set(before.values())
    assert run(*PAINT, *words)[2].endswith("3 of 3 pictures are painted already, and skipped\n")


def test_only_the_photograph_that_changed_is_painted_anew(run: Run) -> None:
    assert run(*PAINT)[0] == 0
    draw("photos/b.png", 77)
    before = state("out")
    assert "1 of 3 paintings would take the place of something else: 'out/b.png' was painted from an" in run(*PAINT)[2]
    assert run(*PAINT, "--overwrite")[0] == 0
    after = state("out")
    assert {name for name in after if after[name] != before[name]} == {"out/b.png", "out/b.json"}


def test_where_it_was_painted_makes_no_other_painting(run: Run) -> None:
    assert run(*PAINT)[0] == 0
    assert run(*PAINT, "--device", "cpu")[2] == "impasto: 3 of 3 pictures are painted already, and skipped\n"


@pytest.mark.parametrize("name", ["a.png", "a.json"])
def test_files_of_the_user_are_not_written_over(run: Run, name: str) -> None:
    Path("out").mkdir()
    mine = Path("out", name)
    mine.write_bytes(Path("style.png").read_bytes() if name == "a.png" else b'{"title": "Holiday"}')
    before = state()
    status, _, err = run(*PAINT)
    assert status == 2
    assert "1 of 3 paintings would take the place of something else: 'out/a.png'" in err
    assert state() == before


def test_a_record_without_its_picture_is_that_of_a_painting_cut_off(run: Run) -> None:
    assert run(*PAINT)[0] == 0
    Path("out/b.png").unlink()
    assert run(*PAINT)[0] == 0
    assert Path("out/b.png").exists()


def test_a_picture_that_was_stopped_on_the_way_is_not_taken_for_finished(run: Run) -> None:
    impasto.stylize("photos/a.jpg", "style.png", on_step=lambda step: False, **SETTINGS).save("out/a.png")
    assert "'out/a.png' was stopped on the way" in run(*PAINT)[2]


def test_a_picture_that_other_weights_judged_is_another(run: Run) -> None:
    words = [*PAINT, "--suffix", "jpg"]
    assert run(*words)[0] == 0
    record = json.loads(Path("out/a.json").read_text())
    Path("out/a.json").write_text(json.dumps(record | {"weights": {"name": "tiny.safetensors", "sha256": "0"}}))
    assert "1 of 3 paintings would take the place of something else: 'out/a.jpg' was judged by" in run(*words)[2]


def test_where_a_picture_cannot_be_saved_no_record_is_left(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise ValueError("the disk is full")

    monkeypatch.setattr("impasto.pipeline.result.save_image", full)
    status, _, err = run(*PAINT)
    assert (status, err.count("the disk is full")) == (2, 3)
    assert not Path("out").exists()


# -------------------------------------------------------------------------------------------------------- Ctrl-C


@pytest.mark.parametrize(
    ("times", "kept", "last"),
    [
        (1, ["out/a.json", "out/a.png", "out/b.json", "out/b.png"], "2 of 3"),
        (2, ["out/a.json", "out/a.png"], "1 of 3"),
    ],
)
def test_ctrl_c_finishes_the_picture_at_hand_and_a_second_one_does_not(times: int, kept: list[str], last: str) -> None:
    said = press("SIGINT", times, *PAINT, "--steps", "5")
    assert said.returncode == 130
    assert "impasto: stopping after this picture; Ctrl-C again stops at once\n" in said.stderr
    assert said.stderr.endswith(f"impasto: stopped after {last} pictures; the same command goes on\n")
    assert files() == kept
    assert {json.loads(Path(name).read_text())["steps"] for name in kept if name.endswith(".json")} == {5}
    with PIL.Image.open(kept[-1]) as picture:
        picture.load()


# ------------------------------------------------------------------------------------------------------ mistakes

MISTAKES = {
    "no output": (["photos", "style.png"], "say where the pictures go: -o FOLDER"),
    "output is a picture": (["photos", "style.png", "-o", "x.png"], "'photos' is a folder, and its paintings need one"),
    "output is the folder": (["photos", "style.png", "-o", "photos/"], "the paintings of 'photos' would lie among"),
    "output is a file": (["photos", "style.png", "-o", "photos/notes.txt"], "cannot write 'photos/notes.txt/a.png'"),
    "output is the style": (["photos", "sub/a.png", "-o", "sub"], "sub/a.png is an input and would be overwritten"),
    "suffix": (["photos", "style.png", "-o", "out", "--suffix", "gif"], "cannot write 'out/a.gif': its suffix must"),
    "bits": (["photos", "style.png", "-o", "out", "--suffix", "jpg", "--bits", "16"], "cannot write 'out/a.jpg' with"),
    "suffix of one": (["style.png", "style.png", "-o", "x.png", "--suffix", "jpg"], "--suffix is for a folder"),
    "curves": (["photos", "style.png", "-o", "out", "--curves", "c.svg"], "--curves is for a single picture"),
    "preview": (["photos", "style.png", "-o", "out", "--preview", "p.png"], "--preview is for a single picture"),
    "mask": (["photos", "style.png", "-o", "out", "--mask", "style.png"], "--mask: a mask belongs to one photograph"),
    "no pictures": (["nothing", "style.png", "-o", "out"], "'nothing': no picture lies in it"),
    "bad style": (["photos", "photos/notes.txt", "-o", "out"], "'photos/notes.txt': it is not a picture"),
    "bad start": (
        ["photos", "style.png", "-o", "out", "--start", "no"],
        "--start: choose content, style, noise, a method",
    ),
    "bad setting": (["photos", "style.png", "-o", "out", "--steps", "0"], "--steps: input should be greater"),
    "painting tells": (["photos", "style.png", "-o", "out", "--sizes", "16", "24", "32"], "--steps: 2 cannot be shar"),
    "no weights": (["photos", "style.png", "-o", "out", "--backbone", "vgg19"], "IMPASTO_OFFLINE is set; looked for"),
}


@pytest.mark.parametrize(("words", "told"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_line_and_leaves_nothing(run: Run, folder: Path, words: list[str], told: str) -> None:
    Path("nothing").mkdir()
    draw("sub/a.png", 3)
    before, places = state(), list(folder.rglob("*"))
    status, out, err = run("stylize", *QUICK, *words)
    assert (status, out) == (2, "")
    assert err.startswith(f"impasto: {told}")
    assert err.count("\n") == 1
    assert (state(), list(folder.rglob("*"))) == (before, places)


# -------------------------------------------------------------------------------------------------------- Python


def test_from_python_each_picture_is_told_and_false_ends_the_work() -> None:
    seen: list[Painting] = []

    def until_the_second(painting: Painting) -> bool:
        seen.append(painting)
        return len(seen) < 2

    done = impasto.stylize_folder("photos", "style.png", "out", on_picture=until_the_second, **SETTINGS)
    assert done == seen
    assert [str(painting.output) for painting in done] == PLACES[:2]
    again = impasto.stylize_folder("photos", "style.png", "out", **SETTINGS)
    assert [painting.status for painting in again] == ["skipped", "skipped", "painted"]
    for painting in again:
        assert painting.record is not None
        beside = json.loads(painting.output.with_suffix(".json").read_text())
        assert painting.record == {name: value for name, value in beside.items() if name != "curve"}

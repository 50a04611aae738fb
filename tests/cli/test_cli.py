"""Tests of the command line: outputs that scripts rely on, one line for every error, and no files after a failure."""

import csv
import io
import json
import os
import re
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from support import TIMEOUT

from impasto.cli import COMMANDS, main
from impasto.cli.styles import style_sheet
from impasto.cli.tables import print_rows
from impasto.images import load_image, open_picture, read_depth_and_location, save_image
from impasto.losses import LOSSES
from impasto.samples import STYLES

KEYS = {
    *("output", "method", "backbone", "seconds", "steps", "evaluations"),
    *("losses", "peak_memory_mib", "seed", "device", "precision"),
}
QUICK = ["--backbone", "tiny", "--size", "48", "--steps", "2", "--precision", "fp32"]

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Create the current folder, with a content image and two style images."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    generator = np.random.default_rng(0)
    for name, size in {"content.png": (48, 36), "style.png": (40, 40), "other.png": (30, 50)}.items():
        levels = generator.integers(0, 256, (size[1] // 4, size[0] // 4, 3), dtype=np.uint8)
        PIL.Image.fromarray(levels).resize(size, PIL.Image.Resampling.BICUBIC).save(folder / name)
    return folder


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs a command in this process; it returns exit status, stdout and stderr."""

    def run(*words: str) -> tuple[int, str, str]:
        status = main(words)
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


def impasto(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a process."""
    return subprocess.run(
        [sys.executable, "-m", "impasto", *words],
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )


def listing(folder: Path) -> dict[str, bytes | None]:
    return {str(path): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def pixels(path: Path | str) -> np.ndarray:
    with PIL.Image.open(path) as picture:
        return np.asarray(picture)


# ----------------------------------------------------------------------------------------- contract with scripts


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["weights", "list"], ["stylise"]], ids=" ".join)
def test_a_command_that_needs_no_torch_does_not_import_it(words: list[str]) -> None:
    code = f"import sys; from impasto.cli import main; main({words!r}); sys.exit(3 if 'torch' in sys.modules else 0)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=TIMEOUT).returncode == 0


def test_importing_impasto_prints_nothing_and_warns_of_nothing() -> None:
    done = subprocess.run([sys.executable, "-W", "error", "-c", "import impasto"], capture_output=True, timeout=TIMEOUT)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_the_help_lists_every_command_and_is_printed_with_status_2_without_a_command(run: Run) -> None:
    status, out, _ = run("--help")
    assert status == 0
    assert all(f"impasto {name} {usage}" in out for name, (usage, _, _) in COMMANDS.items())
    assert run() == (2, out, "")


def test_json_is_one_object_on_the_last_line_of_a_clean_stdout(folder: Path) -> None:
    done = impasto("stylize", "content.png", "style.png", "-o", "new/folder/out.png", "--json", *QUICK)
    assert done.returncode == 0
    (line,) = done.stdout.splitlines()
    figures = json.loads(line)
    assert set(figures) == KEYS
    assert set(figures["losses"]) == {"content", "style", "total"}
    assert figures["output"] == "new/folder/out.png"
    assert (figures["method"], figures["backbone"], figures["steps"], figures["seed"]) == ("gatys", "tiny", 2, 0)
    assert figures["losses"]["total"] == pytest.approx(figures["losses"]["content"] + figures["losses"]["style"])
    assert done.stderr.count("\n") == 1
    assert "random features" in done.stderr
    assert pixels("new/folder/out.png").shape == (36, 48, 3)
    assert json.loads(Path("new/folder/out.json").read_text(encoding="utf-8"))["steps"] == 2


def test_without_json_one_line_summarizes_the_run(run: Run, folder: Path) -> None:
    status, out, _ = run("stylize", "content.png", "style.png", "-o", "out.jpg", *QUICK)
    assert status == 0
    assert out.startswith("out.jpg: 2 steps in ")
    assert out.count("\n") == 1


def test_flags_and_images_are_accepted_in_any_order_and_samples_by_name(run: Run, folder: Path) -> None:
    status, _, _ = run(
        *("stylize", "content.png", "-o", "a.png", "mosaic", "--json", "other.png", "--style-mix", "0.7", "0.3", *QUICK)
    )
    assert status == 0
    record = json.loads(Path("a.json").read_text(encoding="utf-8"))
    assert [entry["name"] for entry in record["inputs"]] == ["content.png", "mosaic.jpg", "other.png"]
    assert record["settings"]["style_mix"] == [0.7, 0.3]


def test_settings_of_every_type_are_in_the_record(run: Run, folder: Path) -> None:
    words = ["--style-weight", "3e2", "--steps", "3", "--sizes", "32", "48", "--optimizer", "adam", "--lr=0.05"]
    words += ["--content-layers", "relu3_1", "relu4_2", "--seed", "7", "--start", "noise", "--pooling", "average"]
    status, _, _ = run("stylize", "content.png", "style.png", "-o", "a.png", "--backbone", "tiny", *words)
    assert status == 0
    settings = json.loads(Path("a.json").read_text(encoding="utf-8"))["settings"]
    assert settings["style_weight"] == 300.0
    assert settings["sizes"] == [32, 48]
    assert settings["content_layers"] == ["relu3_1", "relu4_2"]
    assert (settings["optimizer"], settings["lr"], settings["seed"]) == ("adam", 0.05, 7)
    assert (settings["start"], settings["pooling"]) == ("noise", "average")


def test_curves_are_written_in_three_formats(run: Run, folder: Path) -> None:
    for suffix in ("svg", "csv", "json"):
        words = ["-o", f"{suffix}.png", "--curves", f"curves/c.{suffix}", *QUICK]
        assert run("stylize", "content.png", "style.png", *words)[0] == 0
    points = json.loads(Path("curves/c.json").read_text(encoding="utf-8"))
    rows = list(csv.DictReader(Path("curves/c.csv").read_text(encoding="utf-8").splitlines()))
    assert [int(row["step"]) for row in rows] == [point["step"] for point in points] == [1, 2]
    assert float(rows[1]["total"]) == pytest.approx(sum(points[1]["losses"].values()))
    assert Path("curves/c.svg").read_text(encoding="utf-8").startswith("<?xml")


def test_the_preview_changes_during_the_run_and_ends_as_the_output(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from impasto.cli import progress

    previews: list[bytes] = []
    save = progress.save_preview

    def spy(image: object, path: str, *more: object) -> None:
        save(image, path, *more)
        previews.append(Path(path).read_bytes())

    monkeypatch.setattr(progress, "save_preview", spy)
    monkeypatch.setattr(progress, "PREVIEW_INTERVAL", 0.0)
    words = ["--backbone", "tiny", "--size", "48", "--steps", "200"]
    assert run("stylize", "content.png", "style.png", "-o", "a.png", "--preview", "p.png", *words)[0] == 0
    assert len(previews) > 3
    assert len(set(previews)) == len(previews)
    assert (pixels("p.png") == pixels("a.png")).all()


@pytest.mark.filterwarnings("default")
def test_the_run_continues_after_a_preview_that_fails(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from impasto.cli import progress

    def fail(*_: object) -> None:
        raise ValueError("the disk is full")

    monkeypatch.setattr(progress, "save_preview", fail)
    status, _, err = run("stylize", "content.png", "style.png", "-o", "a.png", "--preview", "p.png", *QUICK)
    assert status == 0
    assert err.startswith("impasto: warning: no further previews: the disk is full\n")
    assert pixels("a.png").shape == (36, 48, 3)


def test_a_replay_has_the_same_pixels(run: Run, folder: Path) -> None:
    run("stylize", "content.png", "style.png", "other.png", "-o", "a.png", "--style-mix", "1", "3", *QUICK)
    status, out, _ = run("replay", "a.png", "-o", "b.png", "--json")
    assert status == 0
    assert set(json.loads(out)) == KEYS
    assert (pixels("a.png") == pixels("b.png")).all()


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_a_replay_has_the_bits_per_channel_of_the_record(run: Run, folder: Path, suffix: str) -> None:
    run("stylize", "content.png", "style.png", "-o", f"a{suffix}", "--bits", "16", *QUICK)
    assert run("replay", f"a{suffix}", "-o", f"b{suffix}")[0] == 0
    assert (open_picture(f"a{suffix}").image == open_picture(f"b{suffix}").image).all()
    assert run("replay", "a.json", "-o", "c.tif")[0] == 0
    assert run("replay", f"a{suffix}", "-o", "d.png", "--bits", "8")[0] == 0
    depths = [read_depth_and_location(name)[0] for name in (f"b{suffix}", "c.tif", "d.png")]
    assert depths == [16, 16, 8]
    status, _, err = run("replay", f"a{suffix}", "-o", "e.jpg")
    assert (status, err.endswith("its suffix must be one of .png, .tif, .tiff; or write 8 bits\n")) == (2, True)


def test_a_replay_of_an_older_record_has_the_bits_per_channel_of_the_file(run: Run, folder: Path) -> None:
    run("stylize", "content.png", "style.png", "-o", "a.tif", "--bits", "16", *QUICK)
    record = json.loads(Path("a.json").read_text(encoding="utf-8"))
    assert (record.pop("bits"), record.pop("keep_location")) == (16, False)
    Path("a.json").write_text(json.dumps(record), encoding="utf-8")
    assert run("replay", "a.tif", "-o", "b.tif")[0] == 0
    assert run("replay", "a.json", "-o", "c.tif")[0] == 0
    assert [read_depth_and_location(name)[0] for name in ("b.tif", "c.tif")] == [16, 8]


def test_an_output_of_another_device_is_replayed_on_one_that_this_machine_has(run: Run, folder: Path) -> None:
    run("stylize", "content.png", "style.png", "-o", "a.png", *QUICK)
    record = json.loads(Path("a.json").read_text(encoding="utf-8"))
    record["settings"]["device"] = "xpu:7"
    Path("other.json").write_text(json.dumps(record), encoding="utf-8")
    assert run("replay", "other.json", "-o", "b.png")[0] == 2
    assert run("replay", "other.json", "-o", "b.png", "--device", "cpu")[0] == 0
    assert (pixels("a.png") == pixels("b.png")).all()


def test_replay_finds_masks_that_were_moved(run: Run, folder: Path) -> None:
    for name, picture in (("map.png", "content.png"), ("style map.png", "style.png")):
        height, width, _ = pixels(picture).shape
        halves = PIL.Image.new("L", (width, height), 0)
        halves.paste(255, (width // 2, 0, width, height))
        halves.save(name)
    words = ["--mask", "map.png", "--style-mask", "style map.png", *QUICK]
    assert run("stylize", "content.png", "style.png", "-o", "a.png", *words)[0] == 0
    assert run("replay", "a.png", "-o", "b.png")[0] == 0
    (folder / "map.png").rename("m.png")
    (folder / "style map.png").rename("s.png")
    error = run("replay", "a.png", "-o", "c.png")[2]
    assert error.startswith("impasto: --mask: ")
    assert error.endswith("is missing; give its new path\n")
    assert run("replay", "a.png", "-o", "c.png", "--mask", "m.png", "--style-mask", "s.png")[0] == 0
    assert (pixels("a.png") == pixels("b.png")).all()
    assert (pixels("a.png") == pixels("c.png")).all()


def test_replay_finds_inputs_that_were_moved(run: Run, folder: Path) -> None:
    run("stylize", "content.png", "style.png", "-o", "a.png", *QUICK)
    (folder / "content.png").rename("c.png")
    (folder / "style.png").rename("s.png")
    assert run("replay", "a.png", "-o", "b.png")[0] == 2
    assert run("replay", "a.png", "-o", "b.png", "--content", "c.png", "--style", "s.png")[0] == 0
    assert (pixels("a.png") == pixels("b.png")).all()


def test_replay_finds_a_start_image_that_was_moved(run: Run, folder: Path) -> None:
    run("stylize", "content.png", "style.png", "-o", "a.png", "--start", "other.png", *QUICK)
    (folder / "other.png").rename("micro")  # the name of a method
    error = run("replay", "a.png", "-o", "b.png")[2]
    assert error.startswith("impasto: --start: ")
    assert error.endswith("is missing; give its new path\n")
    assert run("replay", "a.png", "-o", "b.png", "--start", "micro")[0] == 0
    assert (pixels("a.png") == pixels("b.png")).all()


@pytest.mark.parametrize("name", ["content.png", "style.png", "other.png"])
def test_replay_does_not_overwrite_an_input_of_the_record(run: Run, folder: Path, name: str) -> None:
    run("stylize", "content.png", "style.png", "-o", "a.png", "--start", "file:other.png", *QUICK)
    before = (folder / name).read_bytes()
    assert run("replay", "a.png", "-o", name)[2] == (
        f"impasto: {name} is an input and would be overwritten: give another name\n"
    )
    assert (folder / name).read_bytes() == before


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not allow such a name")
def test_file_names_that_are_not_valid_text_are_read_written_and_replayed(run: Run, folder: Path) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    (folder / "style.png").rename(name)
    assert run("stylize", "content.png", name, "-o", f"out-{name}", *QUICK)[0] == 0
    assert run("replay", f"out-{name}", "-o", "again.png")[0] == 0
    assert (pixels(f"out-{name}") == pixels("again.png")).all()


def test_a_terminal_without_unicode_causes_no_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    assert main(["losses"]) == 0
    sys.stdout.seek(0)
    assert "\\u" in sys.stdout.read()  # in place of letters that are not ASCII
    assert capsys.readouterr().err == ""


# ----------------------------------------------------------------------------------------------------- user errors


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def make_bad_files(folder: Path) -> None:
    complete = (folder / "content.png").read_bytes()
    (folder / "truncated.png").write_bytes(complete[: len(complete) // 2])
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.jpg").write_text("this is not an image")
    PIL.Image.new("RGB", (1, 1)).save(folder / "dot.png")
    PIL.Image.new("RGB", (1, 5000)).save(folder / "thread.png")
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    huge = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")
    (folder / "huge.png").write_bytes(huge)
    (folder / "holiday").mkdir()
    (folder / "clip.mp4").write_bytes(b"\0\0\0 ftypisom")
    (folder / "corrupt.json").write_text('{"method": "gatys", ')
    (folder / "list.json").write_text("[]")
    (folder / "strange.json").write_text('{"method": 1, "settings": [], "inputs": 3, "steps": 1, "stopped": "steps"}')


STYLIZE = ["stylize", "content.png", "style.png", "-o", "out.png"]
USER_ERRORS = {
    "truncated content": ["stylize", "truncated.png", "style.png", "-o", "out.png"],
    "truncated style": ["stylize", "content.png", "truncated.png", "-o", "out.png"],
    "zero bytes": ["stylize", "empty.png", "style.png", "-o", "out.png"],
    "text called jpg": ["stylize", "content.png", "text.jpg", "-o", "out.png"],
    "one pixel": ["stylize", "dot.png", "style.png", "-o", "out.png"],
    "one pixel wide": ["stylize", "content.png", "thread.png", "-o", "out.png"],
    "900 megapixels": ["stylize", "huge.png", "style.png", "-o", "out.png"],
    "folder as content": ["stylize", "holiday", "style.png", "-o", "out.png"],
    "missing content": ["stylize", "nowhere.png", "style.png", "-o", "out.png"],
    "no style": ["stylize", "content.png", "-o", "out.png"],
    "no pictures": ["stylize", "-o", "out.png"],
    "no output": ["stylize", "content.png", "style.png"],
    "output without value": ["stylize", "content.png", "style.png", "-o"],
    "output suffix": ["stylize", "content.png", "style.png", "-o", "new/out.xyz"],
    "output without suffix": ["stylize", "content.png", "style.png", "-o", "new/out"],
    "output is a folder": ["stylize", "content.png", "style.png", "-o", "holiday"],
    "output under a file": ["stylize", "content.png", "style.png", "-o", "content.png/out.png"],
    "output is the content": ["stylize", "content.png", "style.png", "-o", "./content.png"],
    "bad content, new folder": ["stylize", "empty.png", "style.png", "-o", "a/b/out.png", "--preview", "c/p.png"],
    "16 bits jpg": ["stylize", "content.png", "style.png", "-o", "out.jpg", "--bits", "16"],
    "12 bits": [*STYLIZE, "--bits", "12"],
    "max pixels": [*STYLIZE, "--max-pixels", "100"],
    "max pixels text": [*STYLIZE, "--max-pixels", "many"],
    "unknown method": [*STYLIZE, "--method", "gattis"],
    "unknown backbone": [*STYLIZE, "--backbone", "vgg20"],
    "backbone without weights": [*STYLIZE, "--backbone", "vgg19"],
    "unknown layer": [*STYLIZE, "--backbone", "tiny", "--style-layers", "relu9_1"],
    "negative weight": [*STYLIZE, "--style-weight", "-1"],
    "weight nan": [*STYLIZE, "--content-weight", "nan"],
    "weight text": [*STYLIZE, "--content-weight", "much"],
    "all weights 0": [*STYLIZE, "--content-weight", "0", "--style-weight", "0"],
    "steps 0": [*STYLIZE, "--steps", "0"],
    "steps without value": [*STYLIZE, "--steps"],
    "sizes without value": [*STYLIZE, "--sizes", "--steps", "3"],
    "strength and weight": [*STYLIZE, "--strength", "50", "--style-weight", "7"],
    "strength 101": [*STYLIZE, "--strength", "101"],
    "style scale 0": [*STYLIZE, "--style-scale", "0"],
    "size -1": [*STYLIZE, "--size", "-1"],
    "size abc": [*STYLIZE, "--size", "abc"],
    "sizes": [*STYLIZE, "--sizes", "32", "0"],
    "more sizes than steps": [*STYLIZE, "--steps", "1", "--sizes", "32", "48"],
    "style mix count": [*STYLIZE, "--style-mix", "0.5", "0.5"],
    "style mix 0": [*STYLIZE, "--style-mix", "0"],
    "optimizer": [*STYLIZE, "--optimizer", "sgd"],
    "lr 0": [*STYLIZE, "--lr", "0"],
    "device": [*STYLIZE, "--device", "toaster"],
    "device not here": [*STYLIZE, "--device", "cuda:99"],
    "precision": [*STYLIZE, "--precision", "fp8"],
    "mask missing": [*STYLIZE, "--mask", "nowhere.png"],
    "mask broken": [*STYLIZE, "--mask", "truncated.png"],
    "mask of a shape": [*STYLIZE, "--mask", "thread.png"],
    "masks": [*STYLIZE, "--mask", "content.png", "content.png"],
    "style mask alone": [*STYLIZE, "--style-mask", "style.png"],
    "region strength alone": [*STYLIZE, "--region-strength", "1"],
    "feather": [*STYLIZE, "--feather", "2"],
    "output is the mask": ["stylize", "content.png", "style.png", "-o", "other.png", "--mask", "other.png"],
    "output is the start": ["stylize", "content.png", "style.png", "-o", "other.png", "--start", "file:other.png"],
    "color": [*STYLIZE, "--color", "sepia"],
    "start missing": [*STYLIZE, "--start", "nowhere.png"],
    "start broken": [*STYLIZE, "--start", "truncated.png"],
    "seed": [*STYLIZE, "--seed", "-3"],
    "curves suffix": [*STYLIZE, "--curves", "c.pdf"],
    "content is a clip": ["stylize", "clip.mp4", "style.png", "-o", "out.png"],
    "curves without losses": [
        "stylize",
        "content.png",
        "style.png",
        "-o",
        "out.png",
        "--method=adain",
        "--curves=c.svg",
    ],
    "curves over the record": [*STYLIZE, "--curves", "out.json"],
    "preview suffix": [*STYLIZE, "--preview", "p.xyz"],
    "preview over the output": [*STYLIZE, "--preview", "out.png"],
    "unknown flag": [*STYLIZE, "--stlye-weight", "3"],
    "unknown short flag": [*STYLIZE, "-x"],
    "unknown command": ["stylise", "content.png", "style.png"],
    "unknown weights command": ["weights", "drop"],
    "unknown weights": ["weights", "fetch", "vgg20"],
    "weights to fetch unnamed": ["weights", "fetch"],
    "weights fetched offline": ["weights", "fetch", "vgg19"],
    "weights to verify unknown": ["weights", "verify", "vgg20"],
    "list with words": ["methods", "gatys"],
    "replay without record": ["replay", "content.png", "-o", "out.png"],
    "replay of nothing": ["replay", "nowhere.png", "-o", "out.png"],
    "replay of two": ["replay", "content.png", "style.png", "-o", "out.png"],
    "replay of a corrupt record": ["replay", "corrupt.json", "-o", "out.png"],
    "replay of a list": ["replay", "list.json", "-o", "out.png"],
    "replay of a strange record": ["replay", "strange.json", "-o", "out.png"],
    "replay without output": ["replay", "content.png"],
    "demo size": ["demo", "-o", "new", "--size", "big"],
    "output empty": ["stylize", "content.png", "style.png", "-o", ""],
    "output is here": ["stylize", "content.png", "style.png", "-o", "."],
    "content empty": ["stylize", "", "style.png", "-o", "out.png"],
    "mask empty": [*STYLIZE, "--mask", ""],
    "compare into nothing": ["compare", "content.png", "style.png", "-o", ""],
    "demo into nothing": ["demo", "-o", ""],
    "train from nothing": ["train", "micro", "--photos", "", "-o", "new"],
    "replay of a folder": ["replay", ".", "-o", "out.png"],
    "weights are a folder": ["stylize", "content.png", "style.png", "-o", "out.png", "--method=adain", "--weights=."],
    "name too long": ["stylize", "content.png", "style.png", "-o", f"{'x' * 300}.png"],
    "record too long": ["stylize", "content.png", "style.png", "-o", f"{'x' * 251}.png"],
}


@pytest.mark.parametrize("words", USER_ERRORS.values(), ids=USER_ERRORS)
def test_a_user_error_is_one_line_and_leaves_no_files(run: Run, folder: Path, words: list[str]) -> None:
    make_bad_files(folder)
    before = listing(folder)
    if words[:1] == ["stylize"] and not {"--backbone", "--method=adain"} & set(words):
        words = [*words[:3], "--backbone", "tiny", *words[3:]]
    status, out, err = run(*words)
    assert (status, out) == (2, "")
    assert err.startswith("impasto: ")
    assert err.count("\n") == 1
    assert err.endswith("\n")
    assert "Traceback" not in err
    assert listing(folder) == before


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("unknown flag", "unknown flag --stlye-weight; did you mean --style-weight?"),
        ("unknown command", "unknown command 'stylise'; did you mean stylize?"),
        ("steps 0", "--steps: input should be greater than or equal to 1, not '0'"),
        ("optimizer", "--optimizer: input should be 'lbfgs', 'adam' or 'rmsprop', not 'sgd'"),
        ("size abc", "--size: input should be a valid integer"),
        ("style mix count", "--style-mix: 2 weights, but 1 style image(s)"),
        ("max pixels text", "--max-pixels: expected a whole number of at least 1, not 'many'"),
        ("steps without value", "--steps: expected one argument; see impasto stylize --help"),
        ("sizes without value", "--sizes: expected at least one argument; see impasto stylize --help"),
        ("strength and weight", "--strength: it replaces style_weight, which is given too"),
        ("unknown method", "unknown method 'gattis'; choose from adain, bures, gatys"),
        ("no output", "the output is missing; give -o FILE"),
        ("mask missing", "--mask: 'nowhere.png': it cannot be read"),
        ("mask of a shape", "--mask: 'thread.png' is 1x5000 pixels and the content "),
        ("style mask alone", "--style-mask: there are no regions; give mask too"),
        ("output is the content", "content.png is an input and would be overwritten"),
        ("output is the mask", "other.png is an input and would be overwritten"),
        ("output is the start", "other.png is an input and would be overwritten"),
        ("output empty", "--output: the value is empty; give a name or a number, or leave it out"),
        ("content is a clip", "'clip.mp4': it is a clip; give an image, or stylize the clip with `impasto video`"),
        ("curves without losses", "--curves: adain is a single pass of a network without losses; leave --curves out"),
        ("output is here", "cannot write '.': it is a folder; add a file name"),
        ("compare into nothing", "--output: the value is empty"),
        ("content empty", "CONTENT STYLE: the value is empty"),
        ("replay of a folder", "'.': it is a folder; give an output of impasto"),
        ("weights are a folder", "--weights: '.' cannot be read (it is a folder)"),
        ("name too long", "cannot use 'xxx"),
    ],
)
def test_an_error_names_the_flag_the_value_and_the_valid_values(
    run: Run, folder: Path, name: str, message: str
) -> None:
    make_bad_files(folder)
    assert run(*USER_ERRORS[name])[2].startswith(f"impasto: {message}")


def test_a_removed_current_folder_is_an_error_of_one_line(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "gone").mkdir()
    monkeypatch.chdir(folder / "gone")
    (folder / "gone").rmdir()
    for words in (["methods"], ["stylize", str(folder / "content.png"), "mosaic", "-o", str(folder / "out.png")]):
        assert run(*words) == (2, "", "impasto: the current folder was removed; change to another one, as with cd\n")


def test_user_errors_are_one_line_each_in_a_process_of_their_own(folder: Path) -> None:
    make_bad_files(folder)
    before = listing(folder)
    first, second = (USER_ERRORS[name] for name in ("replay of a corrupt record", "zero bytes"))
    code = f"import sys; from impasto.cli import main, run; assert main({first!r}) == 2; run()"
    done = subprocess.run([sys.executable, "-c", code, *second], capture_output=True, text=True, timeout=TIMEOUT)
    assert (done.returncode, done.stdout) == (2, "")
    assert [line[:9] for line in done.stderr.splitlines()] == ["impasto: "] * 2
    assert listing(folder) == before


def test_a_warning_is_one_line(folder: Path) -> None:
    run = "import warnings; warnings.warn('one\\n  two')"
    code = f"from impasto.cli import dispatch; dispatch._run_command = lambda words: exec({run!r}) or 0; "
    code += "raise SystemExit(dispatch.main([]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=TIMEOUT)
    assert (done.returncode, done.stderr) == (0, "impasto: warning: one two\n")


def test_lack_of_memory_is_one_line_and_a_bug_keeps_its_traceback(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from impasto.cli import dispatch

    def fail(error: Exception) -> Callable[[list[str]], int]:
        def run_command(_: list[str]) -> int:
            raise error

        return run_command

    for error in (MemoryError(), RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9 bytes")):
        monkeypatch.setattr(dispatch, "_run_command", fail(error))
        assert run("methods")[::2] == (
            2,
            "impasto: not enough memory: choose a smaller --size, or free some memory\n",
        )
    monkeypatch.setattr(dispatch, "_run_command", fail(RuntimeError("sizes of tensors must match")))
    with pytest.raises(RuntimeError, match="sizes of tensors"):
        main(["methods"])


def test_the_process_ends_with_its_status_after_all_output_and_all_threads() -> None:
    code = """
import atexit, sys, threading, time
from impasto.cli import dispatch
def late():
    time.sleep(0.3)
    print("thread")
def command(words):
    threading.Thread(target=late).start()
    atexit.register(print, "atexit")
    print("command")
    return 3
dispatch._run_command = command
dispatch.run()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=TIMEOUT)
    assert (done.returncode, done.stdout, done.stderr) == (3, "command\nthread\natexit\n", "")


def test_a_closed_pipe_causes_no_traceback(folder: Path) -> None:
    command = f"{sys.executable} -m impasto weights list --json | true"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=TIMEOUT)
    assert done.stderr == ""


# ------------------------------------------------------------------------------------------------------ lists


@pytest.mark.parametrize(
    ("command", "keys"),
    [
        ("methods", {"name", "summary", "any_style"}),
        ("losses", {"name", "role", "summary", "is_spatial_mean"}),
        ("styles", {"name", "summary", "license", "networks", "path"}),
        (
            "backbones",
            {"name", "layers", "style_layers", "content_layers", "weights", "available", "license"},
        ),
        ("weights list", {"name", "summary", "license", "size_mib", "path"}),
    ],
)
def test_a_list_is_printed_as_json_or_as_plain_columns_in_a_pipe(run: Run, command: str, keys: set[str]) -> None:
    _, out, _ = run(*command.split(), "--json")
    rows = json.loads(out)
    assert rows
    assert all(keys <= set(row) for row in rows)
    assert all(row["name"] and row["summary"] for row in rows)
    status, out, _ = run(*command.split())
    assert status == 0
    assert [line.split()[0] for line in out.splitlines()] == ["name", *(row["name"] for row in rows)]
    assert "\x1b" not in out


def test_the_list_of_styles_names_their_own_networks_and_draws_all_of_them(run: Run, tmp_path: Path) -> None:
    status, out, _ = run("styles", "--json", "-o", str(tmp_path / "styles.png"))
    assert status == 0
    rows = json.loads(out)
    assert {row["name"] for row in rows if "johnson" in row["networks"]} == {"brushstrokes", "mosaic"}
    sheet = load_image(tmp_path / "styles.png")
    height, width = sheet.shape[-2:]
    assert (width, len(rows)) == (8 + 4 * 264, 12)
    cells = sheet.unfold(2, height // 3, height // 3).unfold(3, 264, 264)[..., 60:220, 40:240]  # (1, 3, 3, 4, h, w)
    assert (cells.std((1, 4, 5)) > 0.03).all()


def test_the_styles_are_the_installed_ones_also_beside_a_file_of_their_name(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save_image(torch.full((1, 3, 24, 24), 0.5), "gray.png")
    Path("gray.png").rename("mosaic")
    status, out, _ = run("styles", "--json")
    assert status == 0
    paths = [Path(row["path"]) for row in json.loads(out)]
    assert all(path.is_absolute() and path.name == f"{row}.jpg" for path, row in zip(paths, STYLES, strict=True))
    sheet = style_sheet(32)
    Path("mosaic").unlink()
    assert torch.equal(sheet, style_sheet(32))


def test_a_sheet_of_styles_that_cannot_be_written_is_refused(run: Run, tmp_path: Path) -> None:
    status, out, err = run("styles", "-o", str(tmp_path / "styles.txt"))
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "suffix must be one of" in err
    assert list(tmp_path.iterdir()) == []


def test_a_loss_without_docstring_has_no_summary(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LOSSES["gram"], "__doc__", None)  # as with `python -OO`
    rows = json.loads(run("losses", "--json")[1])
    assert [row["summary"] for row in rows if row["name"] == "gram"] == [""]


def test_rows_are_a_table_on_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    print_rows([{"name": "gram", "good": True, "path": None}], as_json=False, columns=("name", "good", "path"))
    heads, row = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out).splitlines()
    assert (heads.split(), row.split()) == (["name", "good", "path"], ["gram", "yes", "-"])


def test_verify_fails_for_a_corrupt_file_and_for_a_named_file_that_is_missing(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("weights", "verify")[0] == 0
    assert run("weights", "verify", "vgg16")[0] == 2
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "vgg16-397923af.pth").write_bytes(b"damaged")
    monkeypatch.setenv("IMPASTO_WEIGHTS", str(mine))
    status, out, err = run("weights", "verify", "--json")
    assert status == 2
    assert {check["name"]: check["state"] for check in json.loads(out)}["vgg16"] == "wrong"
    assert err.startswith("impasto: vgg16 is wrong")


def test_an_existing_folder_as_output_is_an_error_about_the_folder(run: Run, folder: Path) -> None:
    (folder / "there").mkdir()
    for words in (
        ["stylize", "woodcut", "mosaic", "-o", "there"],
        ["stylize", "woodcut", "mosaic", "-o", "out.png", "--preview", "there"],
        ["stylize", "woodcut", "mosaic", "-o", "out.png", "--curves", "there"],
        ["export", "micro", "-o", "there"],
    ):
        status, _, err = run(*words)
        assert (status, err) == (2, "impasto: cannot write 'there': it is a folder; add a file name\n")


def test_a_read_only_output_is_not_replaced(run: Run, folder: Path) -> None:
    image = PIL.Image.new("RGB", (20, 20))
    (folder / "photos").mkdir()
    (folder / "out").mkdir()
    for name in ("photos/a.png", "out/a.png", "out.png"):
        image.save(folder / name)
        (folder / name).chmod(0o444)
    before = (folder / "out.png").read_bytes()
    quick = ["--backbone", "tiny", "--size", "32", "--steps", "1"]
    for words, name in (
        (["stylize", "photos/a.png", "mosaic", "-o", "out.png"], "out.png"),
        (["stylize", "photos/a.png", "mosaic", "-o", "new.png", "--preview", "out.png"], "out.png"),
        (["stylize", "photos", "mosaic", "-o", "out", "--overwrite"], "out/a.png"),
    ):
        status, _, err = run(*words, *quick)
        assert (status, err) == (2, f"impasto: cannot write '{name}': it is read-only; give another path\n")
        assert (folder / name).read_bytes() == before


def test_a_table_that_does_not_fit_a_narrow_terminal_is_printed_as_plain_columns(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "20")
    assert "small network distilled from VGG-19" in run("backbones")[1]


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="the system has no /proc")
def test_doctor_reports_a_cache_that_nobody_can_write(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("impasto.cli.doctor._gflops", lambda *_: 1.0)
    for cache in ("/proc/cache", "/dev/null/cache"):
        monkeypatch.setenv("IMPASTO_CACHE", cache)
        assert json.loads(run("doctor", "--json")[1])["cache"]["writable"] is False


def test_doctor_prints_the_facts_about_the_machine(run: Run) -> None:
    status, out, _ = run("doctor", "--json")
    assert status == 0
    facts = json.loads(out)
    assert set(facts) >= {"versions", "device", "native_bf16", "threads", "gflops", "weights", "extras", "offline"}
    assert facts["gflops"]["fp32"] > 0
    assert facts["offline"] is True
    assert facts["cache"]["writable"] is True
    assert all(line == "installed" or line.startswith("pip install impasto[") for line in facts["extras"].values())
    assert "dev" not in facts["extras"]

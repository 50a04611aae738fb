"""The command line: its contract with scripts, one line for every mistake, and nothing left behind by a failure."""

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

from impasto.cli import COMMANDS, main
from impasto.cli.flags import form_of, parse
from impasto.cli.listing import show
from impasto.methods.gatys import GatysConfig

KEYS = {
    *("output", "method", "backbone", "seconds", "steps", "evaluations"),
    *("losses", "peak_memory_mib", "seed", "device", "precision"),
}
QUICK = ["--backbone", "tiny", "--size", "48", "--steps", "2", "--precision", "fp32"]

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a content and two styles."""
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
    """Runs a command in this process; returns its exit status, stdout and stderr."""

    def run(*words: str) -> tuple[int, str, str]:
        status = main(words)
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


def impasto(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a command as a user does."""
    return subprocess.run(
        [sys.executable, "-m", "impasto", *words],
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def listing(folder: Path) -> dict[str, bytes | None]:
    return {str(path): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def pixels(path: Path | str) -> np.ndarray:
    with PIL.Image.open(path) as picture:
        return np.asarray(picture)


# ----------------------------------------------------------------------------------------- what scripts rely on


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["weights", "list"], ["stylise"]], ids=" ".join)
def test_what_needs_no_torch_does_not_wait_for_it(words: list[str]) -> None:
    code = f"import sys; from impasto.cli import main; main({words!r}); sys.exit(3 if 'torch' in sys.modules else 0)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60).returncode == 0


def test_importing_impasto_is_free_of_warnings() -> None:
    said = subprocess.run([sys.executable, "-W", "error", "-c", "import impasto"], capture_output=True, timeout=60)
    assert (said.returncode, said.stdout, said.stderr) == (0, b"", b"")


def test_help_names_every_command_and_without_a_command_the_status_is_2(run: Run) -> None:
    status, out, _ = run("--help")
    assert status == 0
    assert all(f"impasto {name} {usage}" in out for name, (usage, _, _) in COMMANDS.items())
    assert run() == (2, out, "")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(run: Run, command: str) -> None:
    status, out, err = run(*command.split(), "--help")
    assert (status, err) == (0, "")
    assert out.startswith(f"usage: impasto {command}")


def test_the_help_of_stylize_shows_every_setting_with_its_words_and_limits(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "500")
    _, out, _ = run("stylize", "--help")
    flags = [f"--{name.replace('_', '-')}" for name in GatysConfig.__dataclass_fields__]
    assert [flag for flag in flags if f" {flag} " not in out] == []
    assert "Pull of the style: 10 is mild" in out
    length = "Length of a step; 1 for lbfgs, of the pixel range 0.02 for adam and 0.01 for rmsprop unless given."
    assert f"{length} (above 0, at most 100)" in out
    assert "`impasto methods` lists the methods" in out
    assert out.index("--output") < out.index("--size ") < out.index("--style-weight")


def test_every_setting_has_help() -> None:
    form = form_of(GatysConfig, names=list(GatysConfig.__dataclass_fields__), title="settings")
    assert all(field.type.__metadata__[0].help for field in form.__dataclass_fields__.values())


def test_json_is_one_object_on_the_last_line_of_a_clean_stdout(folder: Path) -> None:
    said = impasto("stylize", "content.png", "style.png", "-o", "new/folder/out.png", "--json", *QUICK)
    assert said.returncode == 0
    (line,) = said.stdout.splitlines()
    figures = json.loads(line)
    assert set(figures) == KEYS
    assert set(figures["losses"]) == {"content", "style", "total"}
    assert figures["output"] == "new/folder/out.png"
    assert (figures["method"], figures["backbone"], figures["steps"], figures["seed"]) == ("gatys", "tiny", 2, 0)
    assert figures["losses"]["total"] == pytest.approx(figures["losses"]["content"] + figures["losses"]["style"])
    assert said.stderr.count("\n") == 1
    assert "random features" in said.stderr
    assert pixels("new/folder/out.png").shape == (36, 48, 3)
    assert json.loads(Path("new/folder/out.json").read_text())["steps"] == 2


def test_without_json_one_line_tells_people_what_was_done(run: Run, folder: Path) -> None:
    status, out, _ = run("stylize", "content.png", "style.png", "-o", "out.jpg", *QUICK)
    assert status == 0
    assert out.startswith("out.jpg: 2 steps in ")
    assert out.count("\n") == 1


def test_flags_and_pictures_may_stand_in_any_order_and_samples_go_by_name(run: Run, folder: Path) -> None:
    status, _, _ = run(
        *("stylize", "content.png", "-o", "a.png", "mosaic", "--json", "other.png", "--style-mix", "0.7", "0.3", *QUICK)
    )
    assert status == 0
    record = json.loads(Path("a.json").read_text())
    assert [entry["name"] for entry in record["inputs"]] == ["content.png", "mosaic.jpg", "other.png"]
    assert record["settings"]["style_mix"] == [0.7, 0.3]


def test_every_kind_of_setting_reaches_the_record(run: Run, folder: Path) -> None:
    words = ["--style-weight", "3e2", "--steps", "3", "--sizes", "32", "48", "--optimizer", "adam", "--lr=0.05"]
    words += ["--content-layers", "relu3_1", "relu4_2", "--seed", "7", "--start", "noise", "--pooling", "average"]
    status, _, _ = run("stylize", "content.png", "style.png", "-o", "a.png", "--backbone", "tiny", *words)
    assert status == 0
    settings = json.loads(Path("a.json").read_text())["settings"]
    assert settings["style_weight"] == 300.0
    assert settings["sizes"] == [32, 48]
    assert settings["content_layers"] == ["relu3_1", "relu4_2"]
    assert (settings["optimizer"], settings["lr"], settings["seed"]) == ("adam", 0.05, 7)
    assert (settings["start"], settings["pooling"]) == ("noise", "average")


def test_curves_are_written_in_three_formats(run: Run, folder: Path) -> None:
    for suffix in ("svg", "csv", "json"):
        words = ["-o", f"{suffix}.png", "--curves", f"curves/c.{suffix}", *QUICK]
        assert run("stylize", "content.png", "style.png", *words)[0] == 0
    points = json.loads(Path("curves/c.json").read_text())
    rows = list(csv.DictReader(Path("curves/c.csv").read_text().splitlines()))
    assert [int(row["step"]) for row in rows] == [point["step"] for point in points] == [1, 2]
    assert float(rows[1]["total"]) == pytest.approx(sum(points[1]["losses"].values()))
    assert Path("curves/c.svg").read_text().startswith("<?xml")


def test_the_preview_changes_while_it_paints_and_ends_as_the_picture(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from impasto.cli import progress

    seen: list[bytes] = []
    save = progress.save_image

    def spy(image: object, path: str) -> None:
        save(image, path)
        seen.append(Path(path).read_bytes())

    monkeypatch.setattr(progress, "save_image", spy)
    monkeypatch.setattr(progress, "REFRESH", 0.0)
    words = ["--backbone", "tiny", "--size", "48", "--steps", "200"]
    assert run("stylize", "content.png", "style.png", "-o", "a.png", "--preview", "p.png", *words)[0] == 0
    assert len(seen) > 3
    assert len(set(seen)) == len(seen)
    assert (pixels("p.png") == pixels("a.png")).all()


@pytest.mark.filterwarnings("default")
def test_a_preview_that_fails_on_the_way_stops_nothing(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from impasto.cli import progress

    def fail(*_: object) -> None:
        raise ValueError("the disk is full")

    monkeypatch.setattr(progress, "save_image", fail)
    status, _, err = run("stylize", "content.png", "style.png", "-o", "a.png", "--preview", "p.png", *QUICK)
    assert status == 0
    assert err.startswith("impasto: warning: the preview stops here: the disk is full\n")
    assert pixels("a.png").shape == (36, 48, 3)


def test_replay_paints_the_same_pixels_again(run: Run, folder: Path) -> None:
    run("stylize", "content.png", "style.png", "other.png", "-o", "a.png", "--style-mix", "1", "3", *QUICK)
    status, out, _ = run("replay", "a.png", "-o", "b.png", "--json")
    assert status == 0
    assert set(json.loads(out)) == KEYS
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
    assert run("replay", "a.png", "-o", "c.png")[2].endswith("give the place where it lies now as --mask\n")
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


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere such a name cannot exist")
def test_a_file_name_that_is_no_text_is_painted_from_and_to_and_replayed(run: Run, folder: Path) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    (folder / "style.png").rename(name)
    assert run("stylize", "content.png", name, "-o", f"out-{name}", *QUICK)[0] == 0
    assert run("replay", f"out-{name}", "-o", "again.png")[0] == 0
    assert (pixels(f"out-{name}") == pixels("again.png")).all()


def test_a_terminal_without_unicode_is_no_failure() -> None:
    said = impasto("losses", PYTHONIOENCODING="ascii")
    assert (said.returncode, said.stderr) == (0, "")


# ----------------------------------------------------------------------------------------------------- mistakes


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def make_bad_files(folder: Path) -> None:
    whole = (folder / "content.png").read_bytes()
    (folder / "truncated.png").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.jpg").write_text("this is no picture")
    PIL.Image.new("RGB", (1, 1)).save(folder / "dot.png")
    PIL.Image.new("RGB", (1, 5000)).save(folder / "thread.png")
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    huge = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")
    (folder / "huge.png").write_bytes(huge)
    (folder / "holiday").mkdir()
    (folder / "corrupt.json").write_text('{"method": "gatys", ')
    (folder / "list.json").write_text("[]")
    (folder / "strange.json").write_text('{"method": 1, "settings": [], "inputs": 3, "steps": 1, "stopped": "steps"}')


PAINT = ["stylize", "content.png", "style.png", "-o", "out.png"]
MISTAKES = {
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
    "12 bits": [*PAINT, "--bits", "12"],
    "max pixels": [*PAINT, "--max-pixels", "100"],
    "max pixels text": [*PAINT, "--max-pixels", "many"],
    "unknown method": [*PAINT, "--method", "gattis"],
    "unknown backbone": [*PAINT, "--backbone", "vgg20"],
    "backbone without weights": [*PAINT, "--backbone", "vgg19"],
    "unknown layer": [*PAINT, "--backbone", "tiny", "--style-layers", "relu9_1"],
    "negative weight": [*PAINT, "--style-weight", "-1"],
    "weight nan": [*PAINT, "--content-weight", "nan"],
    "weight text": [*PAINT, "--content-weight", "much"],
    "all weights 0": [*PAINT, "--content-weight", "0", "--style-weight", "0"],
    "steps 0": [*PAINT, "--steps", "0"],
    "steps without value": [*PAINT, "--steps"],
    "sizes without value": [*PAINT, "--sizes", "--steps", "3"],
    "strength and weight": [*PAINT, "--strength", "50", "--style-weight", "7"],
    "strength 101": [*PAINT, "--strength", "101"],
    "stroke 0": [*PAINT, "--style-scale", "0"],
    "size -1": [*PAINT, "--size", "-1"],
    "size abc": [*PAINT, "--size", "abc"],
    "sizes": [*PAINT, "--sizes", "32", "0"],
    "more sizes than steps": [*PAINT, "--steps", "1", "--sizes", "32", "48"],
    "style mix count": [*PAINT, "--style-mix", "0.5", "0.5"],
    "style mix 0": [*PAINT, "--style-mix", "0"],
    "optimizer": [*PAINT, "--optimizer", "sgd"],
    "lr 0": [*PAINT, "--lr", "0"],
    "device": [*PAINT, "--device", "toaster"],
    "device not here": [*PAINT, "--device", "cuda:99"],
    "precision": [*PAINT, "--precision", "fp8"],
    "mask missing": [*PAINT, "--mask", "nowhere.png"],
    "mask broken": [*PAINT, "--mask", "truncated.png"],
    "mask of a shape": [*PAINT, "--mask", "thread.png"],
    "masks": [*PAINT, "--mask", "content.png", "content.png"],
    "style mask alone": [*PAINT, "--style-mask", "style.png"],
    "region strength alone": [*PAINT, "--region-strength", "1"],
    "feather": [*PAINT, "--feather", "2"],
    "output is the mask": ["stylize", "content.png", "style.png", "-o", "other.png", "--mask", "other.png"],
    "color": [*PAINT, "--color", "sepia"],
    "start missing": [*PAINT, "--start", "nowhere.png"],
    "start broken": [*PAINT, "--start", "truncated.png"],
    "seed": [*PAINT, "--seed", "-3"],
    "curves suffix": [*PAINT, "--curves", "c.pdf"],
    "curves over the record": [*PAINT, "--curves", "out.json"],
    "preview suffix": [*PAINT, "--preview", "p.xyz"],
    "preview over the output": [*PAINT, "--preview", "out.png"],
    "unknown flag": [*PAINT, "--stlye-weight", "3"],
    "unknown short flag": [*PAINT, "-x"],
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
}


@pytest.mark.parametrize("words", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_line_and_leaves_nothing(run: Run, folder: Path, words: list[str]) -> None:
    make_bad_files(folder)
    before = listing(folder)
    if words[:1] == ["stylize"] and "--backbone" not in words:
        words = [*words[:3], "--backbone", "tiny", *words[3:]]
    status, out, err = run(*words)
    assert (status, out) == (2, "")
    assert err.startswith("impasto: ")
    assert err.count("\n") == 1
    assert err.endswith("\n")
    assert "Traceback" not in err
    assert listing(folder) == before


@pytest.mark.parametrize(
    ("mistake", "told"),
    [
        ("unknown flag", "unknown flag --stlye-weight; did you mean --style-weight?"),
        ("unknown command", "unknown command 'stylise'; did you mean stylize?"),
        ("steps 0", "--steps: input should be greater than or equal to 1, not '0'"),
        ("optimizer", "--optimizer: input should be 'lbfgs', 'adam' or 'rmsprop', not 'sgd'"),
        ("size abc", "--size: input should be a valid integer"),
        ("style mix count", "--style-mix: 2 weights, but 1 style picture"),
        ("max pixels text", "--max-pixels: give a whole number, not 'many'"),
        ("steps without value", "--steps needs a value"),
        ("sizes without value", "--sizes needs a value"),
        ("strength and weight", "--strength: it sets the weight of the style, and style_weight is given too"),
        ("unknown method", "unknown method 'gattis'; choose from adain, bures, gatys"),
        ("no output", "say where the picture goes: -o FILE"),
        ("mask missing", "--mask: 'nowhere.png': it cannot be read"),
        ("mask of a shape", "--mask: 'thread.png' is 1x5000 pixels and the content "),
        ("style mask alone", "--style-mask: there are no regions; give mask too"),
        ("output is the content", "content.png is an input and would be overwritten"),
    ],
)
def test_the_line_names_the_flag_the_value_and_what_would_be_right(
    run: Run, folder: Path, mistake: str, told: str
) -> None:
    make_bad_files(folder)
    assert run(*MISTAKES[mistake])[2].startswith(f"impasto: {told}")


@pytest.mark.parametrize("mistake", ["zero bytes", "16 bits jpg", "unknown flag", "replay of a corrupt record"])
def test_a_mistake_is_one_line_for_a_real_process(folder: Path, mistake: str) -> None:
    make_bad_files(folder)
    before = listing(folder)
    said = impasto(*MISTAKES[mistake])
    assert (said.returncode, said.stdout) == (2, "")
    assert said.stderr.startswith("impasto: ")
    assert said.stderr.count("\n") == 1
    assert listing(folder) == before


def test_a_warning_is_one_line(folder: Path) -> None:
    run = "import warnings; warnings.warn('one\\n  two')"
    code = f"from impasto import cli; cli._dispatch = lambda words: exec({run!r}) or 0; raise SystemExit(cli.main([]))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (said.returncode, said.stderr) == (0, "impasto: warning: one two\n")


def test_no_memory_is_one_line_and_a_bug_keeps_its_traceback(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from impasto import cli

    def fail(error: Exception) -> Callable[[list[str]], int]:
        def dispatch(_: list[str]) -> int:
            raise error

        return dispatch

    for error in (MemoryError(), RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9 bytes")):
        monkeypatch.setattr(cli, "_dispatch", fail(error))
        assert run("methods")[::2] == (
            2,
            "impasto: not enough memory: paint a smaller picture (--size), or free some\n",
        )
    monkeypatch.setattr(cli, "_dispatch", fail(RuntimeError("sizes of tensors must match")))
    with pytest.raises(RuntimeError, match="sizes of tensors"):
        main(["methods"])


def test_the_process_ends_with_its_status_after_all_was_said_and_all_threads_are_done() -> None:
    code = """
import atexit, sys, threading, time
from impasto import cli
def late():
    time.sleep(0.3)
    print("thread")
def command(words):
    threading.Thread(target=late).start()
    atexit.register(print, "atexit")
    print("command")
    return 3
cli._dispatch = command
cli.run()
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (said.returncode, said.stdout, said.stderr) == (3, "command\nthread\natexit\n", "")


def test_a_closed_pipe_is_no_traceback(folder: Path) -> None:
    command = f"{sys.executable} -m impasto backbones --json | true"
    said = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60)
    assert said.stderr == ""


# ------------------------------------------------------------------------------------------------------ listings


@pytest.mark.parametrize(
    ("command", "keys"),
    [
        ("methods", {"name", "summary", "any_style"}),
        ("losses", {"name", "summary", "is_spatial_mean"}),
        ("backbones", {"name", "summary", "layers", "style_layers", "content_layers", "weights", "at_hand", "license"}),
        ("weights list", {"name", "summary", "license", "size_mib", "path"}),
    ],
)
def test_a_list_is_json_for_programs_and_plain_columns_in_a_pipe(run: Run, command: str, keys: set[str]) -> None:
    _, out, _ = run(*command.split(), "--json")
    rows = json.loads(out)
    assert rows
    assert all(keys <= set(row) for row in rows)
    assert all(row["name"] and row["summary"] for row in rows)
    status, out, _ = run(*command.split())
    assert status == 0
    assert [line.split()[0] for line in out.splitlines()] == ["name", *(row["name"] for row in rows)]
    assert "\x1b" not in out


def test_a_terminal_gets_a_table(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    show([{"name": "gram", "good": True, "path": None}], as_json=False, columns=("name", "good", "path"))
    heads, row = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out).splitlines()
    assert (heads.split(), row.split()) == (["name", "good", "path"], ["gram", "yes", "-"])


def test_verify_fails_for_a_damaged_file_and_for_a_missing_one_that_is_named(
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


def test_doctor_tells_what_there_is(run: Run) -> None:
    status, out, _ = run("doctor", "--json")
    assert status == 0
    facts = json.loads(out)
    assert set(facts) >= {"versions", "device", "native_bf16", "threads", "gflops", "weights", "extras", "offline"}
    assert facts["gflops"]["fp32"] > 0
    assert facts["offline"] is True
    assert facts["cache"]["writable"] is True
    assert all(line == "installed" or line.startswith("pip install impasto[") for line in facts["extras"].values())
    assert "dev" not in facts["extras"]


def test_parse_returns_what_comes_after_a_flag_and_suggests_the_flag_that_was_meant() -> None:
    form = form_of(GatysConfig, names=["style_weight", "sizes"], title="settings")
    filled, rest = parse(form, ["--sizes", "1", "2", "--style-weight", "-3e1", "x"], command="test")
    assert (filled.sizes, filled.style_weight, rest) == (("1", "2"), "-3e1", ["x"])
    with pytest.raises(ValueError, match="unknown flag --size; did you mean --sizes"):
        parse(form, ["--size", "1"], command="test")


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_the_box_of_tyro_is_opened_whatever_it_is_drawn_with(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    form = form_of(GatysConfig, names=["style_weight"], title="settings")
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding=encoding))
    with pytest.raises(ValueError, match=r"^--style-weight needs a value; see impasto test --help$"):
        parse(form, ["--style-weight"], command="test")

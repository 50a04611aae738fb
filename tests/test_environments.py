"""Test impasto in second processes where a user's environment lacks what a developer's has.

Each process stylizes into a folder whose name has spaces and letters beyond ASCII, and replays the output.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import PIL.Image
import pytest

from impasto.cli import main
from impasto.cli.progress import _rich_bar
from impasto.devices import _field
from impasto.files import same_file
from impasto.images import load_image
from impasto.pipeline.folder_plan import folder_tasks
from impasto.pipeline.stylizer import Stylizer
from impasto.studio.portable import without_paths

NAME = os.fsdecode("bild mit é und ü.png".encode())  # in the C locale, with escapes
CODE = """
import os, sys
from impasto.cli import main
name = os.fsdecode(bytes.fromhex({name!r}))
micro = ["--method", "micro", "--size", "32", "--json"]
status = main(["stylize", name, "mosaic", *micro, "-o", os.path.join("aus gabe", name)])
status = status or main(["replay", os.path.join("aus gabe", name), "-o", "again.png"])
status = status or main(["stylize", name, "missing " + name, *micro, "-o", "no.png"])
sys.exit(status)
"""
C_LOCALE = {"PYTHONUTF8": "0", "LC_ALL": "C", "LANG": ""}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / os.fsdecode("räume mit leer zeichen".encode())
    folder.mkdir()
    monkeypatch.chdir(folder)
    PIL.Image.radial_gradient("L").convert("RGB").resize((48, 36)).save(NAME)
    return folder


@pytest.mark.parametrize(
    "variables",
    [
        pytest.param(
            {**C_LOCALE, "HOME": None, "USERPROFILE": None, "XDG_CACHE_HOME": None}, id="C locale and no home"
        ),
        pytest.param({"HOME": NAME, "XDG_CACHE_HOME": f"{NAME}/cache"}, id="home that cannot be written"),
    ],
)
def test_a_picture_is_stylized_and_replayed(folder: Path, variables: dict[str, str | None]) -> None:
    changed = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), **variables, "IMPASTO_CACHE": None}
    environment = {name: value for name, value in changed.items() if value is not None}
    code = CODE.format(name=os.fsencode(NAME).hex())
    process = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False)
    errors = process.stderr.decode("ascii", "backslashreplace").splitlines()
    assert process.returncode == 2, errors  # of the last command, whose style image is missing
    assert "Traceback" not in "".join(errors)
    assert errors[-1].startswith("impasto: 'missing bild mit ")
    assert errors[-1].isascii() or not variables.get("LC_ALL")
    first = json.loads(process.stdout.splitlines()[0])
    output = os.path.join("aus gabe", NAME)
    assert first["output"].encode("utf-8", "surrogateescape") == output.encode("utf-8", "surrogateescape")
    assert (load_image(Path("aus gabe", NAME)) == load_image("again.png")).all()
    assert sorted(os.listdir()) == sorted([NAME, "again.json", "again.png", "aus gabe"])


def test_an_input_under_another_name_is_not_overwritten(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # A hard link is what a name in another case is on a file system that ignores the case: another name of the file.
    (folder / "in").mkdir()
    (folder / "out").mkdir()
    os.rename(NAME, "in/a.png")
    os.link("in/a.png", "out/a.png")
    os.link("in/a.png", "A.PNG")
    assert same_file("A.PNG", "in/a.png")
    assert not same_file("A.PNG", "missing.png")
    assert main(["stylize", "in/a.png", "mosaic", "--method", "micro", "--size", "32", "-o", "A.PNG"]) == 2
    assert capsys.readouterr().err == "impasto: A.PNG is an input and would be overwritten: give another name\n"
    with pytest.raises(ValueError, match=r"a\.png' is an input and would be overwritten; give another folder"):
        folder_tasks("in", "out", Stylizer("mosaic", "micro", size=32), overwrite=True)


def test_a_record_in_stdin_is_read_from_a_closed_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["stylize", NAME, "mosaic", "--method", "micro", "--size", "32", "-o", "out.png"]) == 0
    monkeypatch.setattr("tempfile.NamedTemporaryFile", None)  # Windows cannot open one again
    with open("out.png", "rb") as file:
        monkeypatch.setattr(sys, "stdin", file)
        if not hasattr(file, "buffer"):
            monkeypatch.setattr(sys.stdin, "buffer", file, raising=False)
        assert main(["replay", "-", "-o", "again.png"]) == 0
    assert (load_image("out.png") == load_image("again.png")).all()


def test_a_record_is_json_where_the_system_does_not_tell_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resource", None)  # as on Windows
    monkeypatch.setattr("impasto.devices._field", Mock(side_effect=OSError))
    assert main(["stylize", NAME, "mosaic", "--method", "micro", "--size", "32", "-o", "out.png"]) == 0
    record = json.loads(Path("out.json").read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert record["peak_memory_mib"] is None


def test_the_progress_bar_of_an_ascii_terminal_is_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    bar = _rich_bar()
    bar.console._force_terminal = True
    bar.add_task("gatys", figures="loading")
    bar.console.print(bar.get_renderable())  # raises UnicodeEncodeError otherwise


def test_the_name_of_a_process_may_have_any_bytes(tmp_path: Path) -> None:
    (tmp_path / "status").write_bytes("Name:\tpythön\n".encode("latin-1") + b"VmRSS:\t   7 kB\n")
    assert _field(str(tmp_path / "status"), "VmRSS") == 7 * 1024


def test_a_record_of_windows_leaves_the_studio_without_its_paths() -> None:
    entry = {"path": "C:\\Users\\ana\\photo.jpg", "name": "photo.jpg"}
    assert without_paths({"inputs": [entry]}) == {"inputs": [{"path": "photo.jpg", "name": "photo.jpg"}]}


def test_a_blurred_sample_names_the_cache_that_cannot_be_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("IMPASTO_CACHE", f"{NAME}/cache")
    assert main(["stylize", NAME, "mosaic~20", "--method", "micro", "--size", "32", "-o", "out.png"]) == 2
    assert "set IMPASTO_CACHE to a folder that can be written" in capsys.readouterr().err

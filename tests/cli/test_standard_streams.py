"""Test `-` as stdin and stdout, and the numbered images of a run."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from impasto.cli import main

REFUSED = "- (stdin or stdout) is not supported here; give a name, and ./- for a file or folder named -"
TINY = ["--backbone", "tiny", "--size", "48", "--steps", "4"]


class Standard(io.TextIOWrapper):
    """A stdin or stdout of bytes that is no terminal."""

    def __init__(self, data: bytes = b"") -> None:
        super().__init__(io.BytesIO(data), encoding="utf-8")

    @property
    def data(self) -> bytes:
        self.flush()
        return self.buffer.getvalue()  # type: ignore[attr-defined, no-any-return]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to a folder with content.png, regions.png and a folder of images."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    levels = np.random.default_rng(0).integers(0, 256, (36, 48, 3), np.uint8)
    for name in ("content.png", "photos/a.png"):
        PIL.Image.fromarray(levels).save(tmp_path / name)
    levels[:, :24], levels[:, 24:] = 0, 255
    PIL.Image.fromarray(levels).save(tmp_path / "regions.png")
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, *words: str, stdin: bytes = b"") -> tuple[int, bytes]:
    """Run a command with some bytes as stdin; return its status and the bytes that it wrote to stdout."""
    out = Standard()
    monkeypatch.setattr(sys, "stdin", Standard(stdin))
    monkeypatch.setattr(sys, "stdout", out)
    return main(list(words)), out.data


def pixels(picture: Any) -> bytes:
    with PIL.Image.open(picture) as image:
        return image.tobytes()


@pytest.mark.parametrize(
    "words",
    [
        ["{}", "mosaic"],
        ["woodcut", "{}"],
        ["content.png", "mosaic", "--start", "{}"],
        ["content.png", "mosaic", "woodcut", "--mask", "{}"],
        [*["content.png"] * 3, "--mask", "regions.png", "--style-mask", "{}", "regions.png"],
    ],
    ids=["content", "style", "start", "mask", "style mask"],
)
def test_stdin_and_stdout_give_the_image_of_files(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    file = "regions.png" if "mask" in " ".join(words) else "content.png"
    assert run(monkeypatch, "stylize", *[word.format(file) for word in words], *TINY, "-o", "out.png")[0] == 0
    piped = [word.format("-") for word in words]
    status, out = run(monkeypatch, "stylize", *piped, *TINY, "-o", "-", stdin=Path(file).read_bytes())
    assert status == 0
    assert pixels(io.BytesIO(out)) == pixels("out.png")


def test_the_image_on_stdout_has_its_record_and_a_format(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, png = run(monkeypatch, "stylize", "content.png", "mosaic", *TINY, "-o", "-")
    assert status == 0
    assert "-: 4 steps in " in capsys.readouterr().err
    assert run(monkeypatch, "replay", "-", "-o", "again.png", stdin=png)[0] == 0
    assert pixels("again.png") == pixels(io.BytesIO(png))
    status, jpeg = run(monkeypatch, "replay", "again.png", "-o", "-")
    assert (status, jpeg[:4]) == (0, b"\x89PNG")
    status, jpeg = run(monkeypatch, "stylize", "content.png", "mosaic", *TINY, "-o", "-", "--suffix", ".jpg")
    assert (status, jpeg[:3]) == (0, b"\xff\xd8\xff")
    record = Path("again.json").read_bytes()
    assert run(monkeypatch, "replay", "-", "-o", "third.png", stdin=record)[0] == 0


def test_a_folder_named_like_stdin_is_a_folder_only_with_its_path(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("photos").rename("-")
    data = Path("content.png").read_bytes()
    assert run(monkeypatch, "stylize", "-", "mosaic", "-o", "out.png", *TINY, stdin=data)[0] == 0
    assert run(monkeypatch, "stylize", "./-", "mosaic", "-o", "out", *TINY)[0] == 0
    assert pixels("out.png") == pixels("out/a.png")


def test_metrics_read_an_output_from_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["metrics", "content.png", "mosaic", "-", "--metrics", "ssim", "--json"]
    status, out = run(monkeypatch, *words, stdin=Path("content.png").read_bytes())
    assert status == 0
    assert json.loads(out)["metrics"] == {"ssim": 1.0}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["stylize", "-", "-", "-o", "out.png"], "only one input can be - (stdin)"),
        (["stylize", "-", "mosaic", "-o", "out.png"], "-: stdin is empty; pipe an image into it"),
        (["stylize", "woodcut", "mosaic", "-o", "-", "--json"], "--json: stdout takes the image (-o -)"),
        (["stylize", "woodcut", "mosaic", "-o", "-", "--save-every", "2"], "--save-every: stdout takes the image"),
        (["stylize", "woodcut", "mosaic", "-o", "-", "--suffix", ".xyz"], "cannot write 'stdout.xyz': its suffix"),
        (["stylize", "photos", "mosaic", "-o", "-"], "-o -: stdout takes one image, and 'photos' is a folder"),
        (["stylize", "photos", "mosaic", "-o", "out", "--save-every", "2"], "--save-every is for a single image"),
        (
            ["stylize", "woodcut", "mosaic", "-o", "out.png", "--save-every", "0"],
            "--save-every: expected a whole number",
        ),
        (
            ["stylize", "out-000002.png", "mosaic", "-o", "out.png", "--save-every", "2"],
            "out-000002.png is an input and",
        ),
        (["compare", "-", "mosaic", "-o", "out"], f"CONTENT STYLE: {REFUSED}"),
        (["compare", "woodcut", "mosaic", "-o", "-"], f"--output: {REFUSED}"),
        (["experiment", "run", "-", "-o", "out"], f"FILE|NAME: {REFUSED}"),
        (["experiment", "report", "-"], f"FOLDER: {REFUSED}"),
        (["export", "micro", "-o", "-"], f"--output: {REFUSED}"),
        (["demo", "-o", "-"], f"--output: {REFUSED}"),
        (["studio", "--folder", "-", "--host", "nowhere"], f"--folder: {REFUSED}"),
        (["train", "micro", "--photos", "-", "-o", "out"], f"--photos: {REFUSED}"),
        (["stylize", "woodcut", "mosaic", "-o", "out.png", "--curves", "-"], f"--curves: {REFUSED}"),
        (["replay", "out-000002.png", "-o", "out.png", "--content", "-"], f"--content: {REFUSED}"),
    ],
)
def test_what_stdin_and_stdout_cannot_do_is_an_error_of_one_line(
    words: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    PIL.Image.new("RGB", (20, 20)).save("out-000002.png")
    before = sorted(Path().iterdir())
    assert run(monkeypatch, *words) == (2, b"")
    err = capsys.readouterr().err
    assert err.startswith(f"impasto: {message}")
    assert err.count("\n") == 1
    assert sorted(Path().iterdir()) == before


def test_a_terminal_is_neither_a_source_nor_a_destination(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Standard, "isatty", lambda _: True)
    assert run(monkeypatch, "stylize", "-", "mosaic", "-o", "out.png")[0] == 2
    assert capsys.readouterr().err.startswith("impasto: -: stdin is a terminal; pipe an image into it")
    assert run(monkeypatch, "stylize", "woodcut", "mosaic", "-o", "-") == (2, b"")
    assert capsys.readouterr().err.startswith("impasto: -o -: stdout is a terminal")


def test_save_every_writes_numbered_images_at_the_size_of_the_output(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["stylize", "content.png", "mosaic", "--backbone", "tiny", "--sizes", "24", "48", "--steps", "7"]
    assert run(monkeypatch, *words, "-o", "out.jpg", "--save-every", "3", "--color", "luminance")[0] == 0
    assert sorted(path.name for path in Path().glob("out-*")) == ["out-000003.jpg", "out-000006.jpg"]
    sizes = set()
    for name in ("out-000003.jpg", "out-000006.jpg", "out.jpg"):
        with PIL.Image.open(name) as image:
            sizes.add(image.size)
    assert sizes == {(48, 36)}
    assert pixels("out-000003.jpg") != pixels("out-000006.jpg")


@pytest.mark.filterwarnings("default")
def test_a_numbered_image_that_cannot_be_written_does_not_stop_the_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("out-000001.png").mkdir()
    assert run(monkeypatch, "stylize", "content.png", "mosaic", *TINY, "-o", "out.png", "--save-every", "1")[0] == 0
    assert (
        "warning: no further numbered images: cannot write 'out-000001.png': it is a folder" in capsys.readouterr().err
    )
    assert Path("out.png").exists()

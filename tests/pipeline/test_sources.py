"""Test that every usual kind of picture and path is accepted where a picture is expected."""

from __future__ import annotations

import io
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageOps
import pytest
import torch

import impasto
from impasto.images import load_image, open_picture
from impasto.metrics.evaluate import evaluate
from impasto.pipeline.result import Result
from impasto.samples import resolve

TINY: dict[str, Any] = {"backbone": "tiny", "size": 32, "steps": 2}
KINDS = ("text", "path", "os_path", "open_file", "stream", "pipe", "pil", "array", "floats", "uint16", "tensor")


@dataclass(frozen=True)
class OsPath:
    """A path that is no `pathlib.Path`."""

    text: str

    def __fspath__(self) -> str:
        return self.text


class Pipe(io.BytesIO):
    """A stream that cannot return to its start."""

    def seekable(self) -> bool:
        return False

    def seek(self, *_: object) -> int:
        raise io.UnsupportedOperation


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    levels = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    path = tmp_path_factory.mktemp("pictures") / "content.png"
    PIL.Image.fromarray(levels).save(path)
    return path


def picture(file: Path, kind: str) -> Any:
    """Return the picture of a file as a source of another kind."""
    levels = np.asarray(PIL.Image.open(file))
    stream = io.BytesIO(file.read_bytes())
    stream.seek(7)  # wherever it was read last
    return {
        "text": lambda: str(file),
        "path": lambda: file,
        "os_path": lambda: OsPath(str(file)),
        "open_file": lambda: file.open("rb"),
        "stream": lambda: stream,
        "pipe": lambda: Pipe(file.read_bytes()),
        "pil": lambda: PIL.Image.fromarray(levels),
        "array": lambda: levels,
        "floats": lambda: levels / 255,
        "uint16": lambda: levels.astype(np.uint16) * 257,
        "tensor": lambda: load_image(file)[0],
    }[kind]()


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_picture_is_content_style_start_mask_and_output_of_a_metric(kind: str, file: Path) -> None:
    def source(file: Path = file) -> Any:
        return picture(file, kind)

    regions = file.with_name("regions.png")
    PIL.Image.new("RGB", (32, 24)).save(regions)
    with PIL.Image.open(regions) as image:
        image.paste((255, 255, 255), (0, 0, 16, 24))
        image.save(regions)
    expected = impasto.stylize(file, ["mosaic", file], start=f"file:{file}", mask=str(regions), **TINY)
    moved = {"start": source(), "mask": [source(regions)], "device": torch.device("cpu")}
    result = impasto.stylize(source(), ["mosaic", source()], **moved, **TINY)
    assert torch.allclose(result.image, expected.image, atol=1e-6)
    assert [each.role for each in result.inputs] == [each.role for each in expected.inputs]
    result.record()
    metric: dict[str, Any] = {"backbone": "tiny", "metrics": ["ssim"], "device": torch.device("cpu")}
    assert evaluate(source(), source(), source(), **metric) == {"ssim": 1.0}


def test_channels_of_an_array_are_gray_alpha_or_color() -> None:
    rgba = np.random.default_rng(1).integers(0, 256, (20, 30, 4), np.uint8)
    for array, mode in ((rgba, "RGBA"), (rgba[..., :3], "RGB"), (rgba[..., :2], "LA"), (rgba[..., 0], "L")):
        actual, expected = open_picture(array), open_picture(PIL.Image.fromarray(array, mode))
        assert torch.equal(actual.image, expected.image)
        assert (actual.alpha is None) == (expected.alpha is None)
        assert actual.alpha is None or expected.alpha is None or torch.equal(actual.alpha, expected.alpha)
    assert torch.equal(open_picture(rgba[..., :1]).image, open_picture(rgba[..., 0]).image)


def test_the_byte_order_of_an_array_has_no_effect_and_booleans_are_black_and_white() -> None:
    levels = np.random.default_rng(1).integers(0, 65536, (20, 30, 3), np.uint16)
    for array in (levels, (levels / 65535).astype(np.float32)):
        expected = open_picture(array).image
        assert torch.equal(open_picture(array.astype(array.dtype.newbyteorder(">"))).image, expected)
        assert torch.equal(open_picture(array.astype(array.dtype.newbyteorder("<"))).image, expected)
    inside = levels[..., 0] > 30000
    assert torch.equal(open_picture(inside).image, open_picture(inside.astype(np.uint8) * 255).image)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (np.zeros((3, 20, 30)), "not of shape (3, 20, 30)"),
        (np.zeros(20), "it is 0 x 0 pixels"),
        (np.zeros((20, 30, 3), np.int64), "not int64"),
        (np.full((20, 30, 3), 2.0), "not 2 to 2"),
        (np.full((20, 30), np.nan), "not nan to nan"),
        (io.StringIO("text"), "must be opened in binary mode"),
        (io.BytesIO(b"text"), "stream: it is not an image"),
        (42, "must be a path, an open file, a PIL image, an array or a tensor, not int"),
        (None, "not NoneType"),
    ],
    ids=["shape", "vector", "int64", "above 1", "nan", "text stream", "no image", "number", "none"],
)
def test_another_source_is_an_error_of_one_line(source: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        impasto.stylize(source, "mosaic", **TINY)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("setting", ["size", "color", "layer_weights"])
def test_a_picture_as_another_setting_is_an_error_of_one_line(setting: str) -> None:
    with pytest.raises(ValueError, match=f"^{setting}") as caught:
        impasto.stylize("woodcut", "mosaic", **{setting: torch.zeros(3, 20, 20)})
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_replay_asks_for_a_start_that_was_a_picture_in_memory(file: Path, tmp_path: Path) -> None:
    result = impasto.stylize(file, "mosaic", start=load_image(file), **TINY)
    result.save(tmp_path / "out.png")
    with pytest.raises(ValueError, match=r"^start: it was a picture in memory"):
        impasto.replay(tmp_path / "out.png")
    assert torch.equal(impasto.replay(tmp_path / "out.png", start=file).image, result.image)


def test_a_replay_takes_the_pictures_that_were_in_memory(file: Path, tmp_path: Path) -> None:
    """It asked for the flag of a path, and an array as content was a TypeError."""
    content, style = np.array(PIL.Image.open(file)), PIL.Image.open(resolve("mosaic"))
    mask = np.zeros(content.shape[:2])
    mask[:, mask.shape[1] // 2 :] = 1
    given: dict[str, Any] = {"content": content, "styles": style, "masks": mask}
    result = impasto.stylize(content, style, mask=mask, outside="keep", **TINY)
    result.save(tmp_path / "out.png")
    assert torch.equal(impasto.replay(tmp_path / "out.png", **given).image, result.image)
    for name, picture in given.items():
        others = {other: given[other] for other in given if other != name}
        with pytest.raises(ValueError, match=f"^{name}: it was a picture in memory .*; give this picture$"):
            impasto.replay(tmp_path / "out.png", **others)
        changed = PIL.ImageOps.mirror(picture) if name == "styles" else picture[::-1, ::-1].copy()
        with pytest.raises(ValueError, match=f"^{name}: the picture has changed since the record; give the original$"):
            impasto.replay(tmp_path / "out.png", **others, **{name: changed})


def test_a_path_of_any_kind_names_an_output_and_a_folder(file: Path, tmp_path: Path) -> None:
    output = OsPath(str(tmp_path / "out.png"))
    impasto.stylize(file, "mosaic", **TINY).save(output)
    assert impasto.replay(output).steps == 2
    assert os.path.isfile(output)
    folder = OsPath(str(file.parent))
    assert len(impasto.stylize_folder(folder, "mosaic", OsPath(str(tmp_path / "folder")), **TINY)) >= 1


def test_a_file_named_like_a_start_is_found_by_its_path(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "noise").write_bytes(file.read_bytes())
    result: Result = impasto.stylize(file, "mosaic", start=Path("noise"), **TINY)
    assert [each.path for each in result.inputs if each.role == "start"] == [str(tmp_path / "noise")]

"""Test that HEIC and JPEG XL pictures are read as other formats are, and named where the extra `heic` is missing."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import PIL.Image
import pillow_heif
import pytest
from pillow_jxl import JpegXLImagePlugin

from impasto.cli import main
from impasto.images import load_image, open_picture, plugins, read_size
from impasto.images.folders import pictures_in
from impasto.images.plugins import jxl_size
from impasto.studio.uploads import Uploads

TURNED = 6  # EXIF orientation: to be rotated clockwise
MICRO = ["--method", "micro", "--size", "32"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def picture(width: int = 48, height: int = 32) -> PIL.Image.Image:
    """Return an image with a red upper half and a gray ramp below."""
    levels = np.full((height, width, 3), np.linspace(0, 255, width)[None, :, None], np.uint8)
    levels[: height // 2] = (255, 0, 0)
    return PIL.Image.fromarray(levels)


def exif() -> bytes:
    tags = PIL.Image.Exif()
    tags[0x0112] = TURNED
    return tags.tobytes()


def heic(path: Path, image: PIL.Image.Image | None = None, **options: object) -> Path:
    pillow_heif.from_pillow(image or picture()).save(path, quality=95, **options)
    return path


def jxl(path: Path, image: PIL.Image.Image | None = None, **options: object) -> Path:
    (image or picture()).save(path, "JXL", lossless=True, **options)
    return path


def without_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("pillow_heif", "pillow_jxl", "pillow_jxl.JpegXLImagePlugin"):
        monkeypatch.setitem(sys.modules, module, None)


def levels_of(path: Path) -> np.ndarray:
    return (load_image(path)[0].permute(1, 2, 0).numpy() * 255).round()


def test_a_heic_picture_is_read_upright_with_its_transparency(folder: Path) -> None:
    assert levels_of(heic(folder / "a.heic")) == pytest.approx(np.asarray(picture(), np.float32), abs=25)
    upright = picture().transpose(PIL.Image.Transpose.ROTATE_270)
    turned = heic(folder / "turned.heic", exif=exif())
    assert levels_of(turned) == pytest.approx(np.asarray(upright, np.float32), abs=25)
    assert read_size(turned, 10**6) == (48, 32)
    cut = picture().convert("RGBA")
    cut.putalpha(PIL.Image.linear_gradient("L").resize(cut.size))
    alpha = open_picture(heic(folder / "cut.heic", cut)).alpha
    assert alpha is not None
    assert alpha.mean().item() == pytest.approx(0.5, abs=0.05)


def test_a_jpeg_xl_picture_is_read_upright_once(folder: Path) -> None:
    assert (levels_of(jxl(folder / "a.jxl")) == np.asarray(picture())).all()
    # The decoder applies the orientation in the image data, and the EXIF one is only a copy of it.
    assert (levels_of(jxl(folder / "b.jxl", exif=exif())) == np.asarray(picture())).all()
    picture().save("photo.jpg", exif=exif())
    with PIL.Image.open("photo.jpg") as photo:
        photo.save("photo.jxl", "JXL", lossless_jpeg=True)
    assert (levels_of(folder / "photo.jxl") == levels_of(folder / "photo.jpg")).all()
    assert read_size("photo.jxl", 10**6) == read_size("photo.jpg", 10**6) == (48, 32)
    with pytest.raises(ValueError, match="over the limit of 1000 pixels"):  # it is not decoded for its size
        read_size("photo.jxl", 1000)


@pytest.mark.parametrize("use_container", [False, True])
@pytest.mark.parametrize("size", [(8, 8), (48, 32), (256, 8), (17, 400), (1200, 1000), (600, 513), (3, 9000)])
def test_the_header_of_a_jpeg_xl_has_its_size(size: tuple[int, int], use_container: bool) -> None:
    file = io.BytesIO()
    PIL.Image.new("L", size).save(file, "JXL", use_container=use_container, effort=1)
    assert jxl_size(file.getvalue()) == size


def test_a_picture_that_is_needed_at_a_smaller_size_is_opened_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    open_file = plugins.open_file

    def counted(file: BinaryIO, name: str, check: Any) -> Any:
        opened.append(name)
        return open_file(file, name, check)

    monkeypatch.setattr(plugins, "open_file", counted)
    open_picture(jxl(folder / "a.jxl"), longer_side=16)
    assert len(opened) == 1  # to open it is to decode it


def test_a_large_picture_is_refused_before_it_is_decoded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(JpegXLImagePlugin, "JXLImageFile", None)
    monkeypatch.setattr(pillow_heif.HeifImageFile, "load", None)
    for path in (jxl(folder / "a.jxl"), heic(folder / "a.heic")):
        with pytest.raises(ValueError, match=rf"'{path}': it is 48 x 32 pixels, over the limit of 100 pixels"):
            open_picture(path, max_pixels=100)


@pytest.mark.parametrize(("name", "write"), [("a.heic", heic), ("a.jxl", jxl)])
def test_a_corrupt_picture_is_refused(folder: Path, name: str, write: object) -> None:
    assert callable(write)
    path: Path = write(folder / name)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match=f"'{path}': it is corrupt or truncated"):
        open_picture(path)


def test_hdr_colors_without_a_profile_are_named(folder: Path) -> None:
    path = heic(folder / "a.heic", save_nclx_profile=True, transfer_characteristics=16)
    with pytest.warns(UserWarning, match=r"its HDR colors \(PQ\) are read as sRGB and look pale; export it as JPEG"):
        open_picture(path)


def test_without_the_extra_the_error_names_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    heic(folder / "a.heic")
    jxl(folder / "b.jxl")
    without_extra(monkeypatch)
    for name, kind in (("a.heic", "HEIC"), ("b.jxl", "JPEG XL")):
        advice = f"'{name}': {kind} images need an extra; pip install 'impasto[heic]', or export it as JPEG"
        with pytest.raises(ValueError, match=advice.replace("[", r"\[")):
            open_picture(name)
        for inputs in ([name, "mosaic"], ["woodcut", name]):
            assert main(["stylize", *inputs, *MICRO, "-o", "out.png"]) == 2
            assert capsys.readouterr().err == f"impasto: {advice}\n"
    uploads = Uploads(folder / "uploads")
    with pytest.raises(ValueError, match=r"'IMG_1.HEIC': HEIC images need an extra; pip install 'impasto\[heic\]'"):
        uploads.add(Path("a.heic").read_bytes(), "IMG_1.HEIC")


def test_a_folder_lists_pictures_without_their_extra_as_failures(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "in").mkdir()
    picture().save("in/a.jpg")
    heic(folder / "in/b.HEIC")
    heic(folder / "in/without suffix")
    jxl(folder / "in/c.jxl")
    command = ["stylize", "in", "mosaic", *MICRO, "-o", "out"]
    with monkeypatch.context() as patch:
        without_extra(patch)
        assert len(pictures_in(folder / "in")) == 4
        assert main(command) == 2
    errors = capsys.readouterr().err
    assert errors.count("images need an extra; pip install 'impasto[heic]'") == 3
    assert "impasto: 3 of 4 pictures could not be stylized" in errors
    assert [path.name for path in (folder / "out").glob("*.png")] == ["a.png"]
    assert main(command) == 0
    assert sorted(path.stem for path in (folder / "out").glob("*.png")) == ["a", "b", "c", "without suffix"]


def test_the_studio_accepts_pictures_of_phones(folder: Path) -> None:
    uploads = Uploads(folder / "uploads")
    for path in (heic(folder / "a.heic", exif=exif()), jxl(folder / "a.jxl")):
        key = uploads.add(path.read_bytes(), path.name)
        assert uploads.path(key).read_bytes() == path.read_bytes()

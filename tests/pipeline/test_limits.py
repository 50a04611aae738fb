"""Test that limits of sizes and formats are reported before a run, with the picture and the remedy."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import PIL.Image
import pytest
import torch
from support import noise

import impasto
from impasto.cli import main
from impasto.images import check_shape, save_image
from impasto.images.folders import pictures_in
from impasto.regions.subject import Region, Style, Subject, single_region

LONG = ["--backbone", "tiny", "--steps", "1000000"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "shape", "limit"),
    [
        ("a.webp", (16, 16384), "16383 pixels a side"),
        ("a.jpg", (65501, 16), "65500 pixels a side"),
        ("a.avif", (16, 32769), "32768 pixels a side"),
        ("a.bmp", (40000, 40000), "4 GiB"),
        ("a.tif", (40000, 40000), "4 GiB"),
    ],
)
def test_a_size_that_the_format_cannot_store_is_refused(
    name: str, shape: tuple[int, int], limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("impasto.images.hires.find_vips", lambda: None)  # which writes BigTIFF
    size = f"cannot write {shape[1]} x {shape[0]} pixels as {Path(name).suffix}"
    with pytest.raises(ValueError, match=re.escape(f"{size}: its limit is {limit}; give a smaller --size, or .png")):
        check_shape(name, shape)
    check_shape(name, (16, 16383))
    check_shape("a.png", shape)


@pytest.mark.parametrize("method", ["gatys", "micro"])
@pytest.mark.parametrize("command", ["stylize", "folder", "replay", "python"])
def test_the_limit_of_the_format_is_checked_before_the_run(
    method: str, command: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("in").mkdir()
    save_image(noise(1, 3, 16, 60), "in/a.png")
    settings = {"steps": 1, "backbone": "tiny"} if method == "gatys" else {}
    impasto.stylize("in/a.png", "mosaic", method, size=60, **settings).save("first.png")
    monkeypatch.setattr(
        f"impasto.methods.{'matching.Matching' if method == 'gatys' else 'micro.MicroMethod'}.run", None
    )
    limit = {"stylize": 20000, "folder": 20000, "replay": 60, "python": 20000}[command]
    if command == "replay":
        monkeypatch.setattr("impasto.images.encoding._FORMATS", {".webp": _short(59)})
    words = ["in/a.png" if command == "stylize" else "in", "mosaic", "--method", method, "--size", str(limit)]
    if command == "python":
        with pytest.raises(ValueError, match="cannot write 20000 x"):
            impasto.stylize("in/a.png", "mosaic", method, size=limit, output="out.webp", **settings)
        return
    words = ["replay", "first.png", "-o", "out.webp"] if command == "replay" else ["stylize", *words, "-o", "out.webp"]
    words = [*words[:-1], "out", "--suffix", ".webp"] if command == "folder" else words
    assert main(words) == 2
    assert f"cannot write {limit} x " in capsys.readouterr().err
    assert not Path("out.webp").exists()


def _short(side: int) -> object:
    from impasto.images.encoding import _Format

    return _Format("WEBP", lossy=True, max_side=side)


@pytest.mark.parametrize(
    ("content", "style", "role"), [("pano.png", "mosaic", "content"), ("woodcut", "pano.png", "style")]
)
def test_an_image_too_small_for_a_layer_is_named_with_the_smallest_size(
    content: str, style: str, role: str, capsys: pytest.CaptureFixture[str]
) -> None:
    save_image(noise(1, 3, 63, 500), "pano.png")
    words = ["stylize", content, style, "-o", "out.png", "--backbone", "tiny", "--steps", "1"]
    assert main([*words, "--size", "64"]) == 2
    error = capsys.readouterr().err
    assert re.search(rf"^impasto: {role} 'pano.png' has 64x8 pixels at size 64, too few for layer relu5_1", error)
    (smallest,) = re.findall(r"give --size (\d+) or more", error)
    assert main([*words, "--size", smallest]) == 0
    assert main([*words, "--size", str(int(smallest) - 1)]) == 2


@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_the_style_of_a_panorama_has_at_most_four_times_its_pixels(scale: float) -> None:
    panorama, wide = torch.zeros(1, 3, 60, 2000), torch.zeros(1, 3, 60, 240)
    style = torch.zeros(1, 3, 100, 160)
    resized = single_region(panorama, [style]).resized((60, 2000), style_scale=scale).regions[0].styles[0].image
    assert resized.shape[-2] * resized.shape[-1] == pytest.approx(4 * 60 * 2000 * scale**2, rel=0.02)
    assert resized.shape[-2] / resized.shape[-1] == pytest.approx(100 / 160, rel=0.02)
    usual = single_region(wide, [style]).resized((60, 240), style_scale=scale).regions[0].styles[0].image
    assert usual.shape[-1] == 240 * scale
    subject = Subject(panorama, (Region((Style(torch.zeros(1, 3, 20, 1000)),)),))
    assert subject.shortest_side() == pytest.approx(min(0.03, 0.02))


def test_the_limit_of_pixels_applies_to_every_input_and_can_be_raised() -> None:
    save_image(noise(1, 3, 60, 80), "big.png")
    small = ["woodcut", "mosaic", "--size", "32", "--backbone", "tiny", "--steps", "1", "-o", "out.png"]
    assert main(["stylize", *small, "--start", "big.png", "--max-pixels", "4000"]) == 2
    limit = ["--max-pixels", "1000000"]
    assert main(["stylize", *small, "--start", "big.png", *limit]) == 0


def test_a_folder_contains_every_file_that_is_read_and_names_the_others(folder: Path) -> None:
    picture = PIL.Image.new("RGB", (32, 32), "red")
    names = {
        "a.jfif": "JPEG",
        "b.mpo": "JPEG",
        "no suffix": "PNG",
        "d.JPE": "JPEG",
        "e.picture": "WEBP",
        "f.jpg": "PNG",
    }
    for name, image_format in names.items():
        picture.save(folder / name, image_format)
    picture.save(folder / "raw.dng", "TIFF")
    (folder / "g.psd").write_bytes(b"8BPS")
    (folder / "notes.txt").write_text("BM is how a bitmap begins")
    (folder / "empty").write_bytes(b"")
    picture.save(folder / ".hidden", "PNG")
    text = r"2 file\(s\) in formats that are not read are left out: g\.psd, raw\.dng; convert them"
    with pytest.warns(UserWarning, match=text):
        assert [path.name for path in pictures_in(folder)] == sorted(names)
    (folder / "g.psd").unlink()
    (folder / "raw.dng").unlink()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pictures_in(folder)


@pytest.mark.filterwarnings("default")
def test_the_command_line_stylizes_every_picture_of_a_folder_that_is_read(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "in").mkdir()
    PIL.Image.new("RGB", (32, 32), "red").save(folder / "in/scan", "PNG")
    PIL.Image.new("RGB", (32, 32), "red").save(folder / "in/photo.jfif", "JPEG")
    (folder / "in/layers.psd").write_bytes(b"8BPS")
    assert main(["stylize", "in", "mosaic", "--method", "micro", "--size", "32", "-o", "out"]) == 0
    assert sorted(path.name for path in (folder / "out").glob("*.png")) == ["photo.png", "scan.png"]
    assert "formats that are not read are left out: layers.psd" in capsys.readouterr().err

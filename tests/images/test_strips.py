"""Test that very large files are read in strips, with the pixels that they have when they are decoded as a whole."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from profile_of_display import DISPLAY_P3, matrix_profile
from torch import Tensor

from impasto.images import Picture, decoding, open_picture, read_size, resize, save_image, strips
from impasto.images.pixels import bicubic
from impasto.images.transparency import fill_hidden
from impasto.pipeline.stylizer import stylize

pyvips = pytest.importorskip("pyvips")
HEIGHT, WIDTH = 211, 301
SIDE = 96
KINDS = (
    *("png", "jpg", "tif", "png-gray", "jpg-gray", "tif-gray", "png-16", "tif-16", "tif-big", "tif-tiled"),
    *("png-p3", "jpg-p3", "tif-p3", "tif-p3-16", "png-gamma", "png-alpha", "tif-alpha", "png-alpha-16", "jpg-broken"),
)


@pytest.fixture
def in_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read files of any size in strips of 13 rows, and decode none as a whole."""
    monkeypatch.setattr(strips, "REDUCED_PIXELS", 0)
    monkeypatch.setattr(strips, "STRIP_PIXELS", 13 * WIDTH)
    monkeypatch.setattr(decoding, "read", None)


def content(channels: int = 3, shape: tuple[int, int] = (HEIGHT, WIDTH)) -> Tensor:
    """Return a smooth random image `(1, channels, *shape)`."""
    coarse = torch.rand(1, channels, shape[0] // 4, shape[1] // 4, generator=torch.Generator().manual_seed(0))
    return resize(coarse, shape)


def written(folder: Path, kind: str) -> Path:
    """Write an image file of a kind: a suffix and properties."""
    suffix, *properties = kind.split("-")
    path = folder / f"image.{suffix}"
    channels = 1 if "gray" in properties else 4 if "alpha" in properties else 3
    deep = "16" in properties
    levels = (content(channels)[0].permute(1, 2, 0) * (65535 if deep else 255)).round().numpy()
    if channels == 4:
        levels[20:60, 20:60] = 0  # transparent black
    levels = levels.astype(np.uint16 if deep else np.uint8)
    image = pyvips.Image.new_from_array(levels)
    if deep:
        image = image.copy(interpretation="rgb16")
    if "p3" in properties or "broken" in properties:
        profile = b"broken" if "broken" in properties else matrix_profile(DISPLAY_P3, 1.8)
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    options = {"bigtiff": True, "compression": "lzw"} if "big" in properties else {}
    options |= {"tile": True, "compression": "deflate"} if "tiled" in properties else {}
    image.write_to_file(str(path), **options)
    if "gamma" in properties:
        data = path.read_bytes()
        path.write_bytes(data[:33] + bytes.fromhex("0000000467414d41000186a031e8965f") + data[33:])  # gAMA: 1.0
    return path


def reduced(picture: Picture) -> Tensor:
    """Return an image as `open_input` and `resize` do."""
    image = fill_hidden(picture.image, picture.alpha)
    return resize(image, (round(SIDE * HEIGHT / WIDTH), SIDE))


@pytest.mark.filterwarnings("ignore:.* its color profile is ignored")
@pytest.mark.parametrize("kind", KINDS)
def test_a_large_file_is_reduced_while_it_is_read(tmp_path: Path, kind: str, request: pytest.FixtureRequest) -> None:
    path = written(tmp_path, kind)
    whole = open_picture(path, longer_side=SIDE)
    assert whole.image.shape == (1, 3, HEIGHT, WIDTH)
    request.getfixturevalue("in_strips")

    found = open_picture(path, longer_side=SIDE)

    is_transparent = "alpha" in kind
    visible = resize(torch.ones(1, 1, HEIGHT, WIDTH) if whole.alpha is None else whole.alpha, found.image.shape[-2:])
    difference = (fill_hidden(found.image, found.alpha) - reduced(whole)).abs()
    assert difference[..., (visible > 0.3)[0, 0]].max() < (0.1 if is_transparent else 2e-6)
    assert (found.sha256, found.name, found.metadata) == (whole.sha256, whole.name, whole.metadata)
    assert (found.alpha is not None) == is_transparent
    if found.alpha is not None:
        assert (found.alpha - visible).abs().max() < 2e-6


def test_a_large_file_with_opaque_alpha_has_no_alpha(tmp_path: Path, in_strips: None) -> None:
    levels = (content(4)[0].permute(1, 2, 0) * 255).byte().numpy()
    levels[..., 3] = 255
    PIL.Image.fromarray(levels).save(tmp_path / "opaque.png")
    assert open_picture(tmp_path / "opaque.png", longer_side=SIDE).alpha is None


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg"])
def test_a_large_file_is_reduced_upright(
    tmp_path: Path, suffix: str, orientation: int, request: pytest.FixtureRequest
) -> None:
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    levels = (content()[0].permute(1, 2, 0) * 255).byte().numpy()
    PIL.Image.fromarray(levels).save(tmp_path / f"turned{suffix}", exif=exif)
    whole = open_picture(tmp_path / f"turned{suffix}")
    request.getfixturevalue("in_strips")

    found = open_picture(tmp_path / f"turned{suffix}", longer_side=SIDE)

    assert tuple(whole.image.shape[-2:]) == read_size(tmp_path / f"turned{suffix}", 10**6)
    torch.testing.assert_close(found.image, resize(whole.image, found.image.shape[-2:]), rtol=0, atol=2e-5)


@pytest.mark.parametrize("kind", ["png", "jpg", "tif-tiled", "tif-16", "png-16"])
def test_a_large_file_that_is_truncated_is_refused_in_one_line(tmp_path: Path, in_strips: None, kind: str) -> None:
    path = written(tmp_path, kind)
    data = path.read_bytes()
    for part in (0.5, 0.97):
        path.write_bytes(data[: int(part * len(data))])
        with pytest.raises(ValueError, match=r"it is (a )?corrupt .*; give a complete file") as error:
            open_picture(path, longer_side=SIDE)
        assert "\n" not in str(error.value)


def test_a_file_that_strips_cannot_express_is_decoded_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strips, "REDUCED_PIXELS", 0)
    picture = PIL.Image.fromarray((content()[0].permute(1, 2, 0) * 255).byte().numpy())
    picture.quantize(16).save(tmp_path / "palette.png")
    picture.convert("CMYK").save(tmp_path / "print.jpg")
    picture.save(tmp_path / "transparent.png", transparency=(0, 0, 0))
    for name in ("palette.png", "print.jpg", "transparent.png"):
        assert open_picture(tmp_path / name, longer_side=SIDE).image.shape == (1, 3, HEIGHT, WIDTH)


def test_a_large_file_is_refused_by_its_number_of_pixels(tmp_path: Path, in_strips: None) -> None:
    save_image(content(), tmp_path / "a.tif")
    with pytest.raises(ValueError, match=r"allow it with --max-pixels 63511"):
        open_picture(tmp_path / "a.tif", max_pixels=1000, longer_side=SIDE)


def test_a_run_reads_large_content_and_style_at_the_size_of_the_output(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    content, style = written(tmp_path, "tif-big"), written(tmp_path, "jpg")
    run = partial(stylize, content, style, "micro", size=64, style_scale=0.5, precision="fp32")
    expected = run()
    request.getfixturevalue("in_strips")

    result = run()

    assert result.inputs == expected.inputs
    torch.testing.assert_close(result.image, expected.image, rtol=0, atol=1e-4)


def test_a_style_that_is_also_the_start_is_not_reduced_by_the_style_scale(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    run = partial(
        stylize,
        *("woodcut", written(tmp_path, "png"), "gatys"),
        **{"backbone": "tiny", "size": 96, "steps": 1, "start": "style", "style_scale": 0.5, "precision": "fp32"},
    )
    expected = run()
    request.getfixturevalue("in_strips")
    assert (run().image - expected.image).abs().mean() < 0.005


def test_the_smallest_side_is_that_of_the_file(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    save_image(content(shape=(20, 300)), tmp_path / "panorama.png")
    save_image(content(shape=(15, 300)), tmp_path / "narrow.png")
    run = partial(stylize, style=written(tmp_path, "png"), method="micro", size=96, style_scale=0.1, precision="fp32")
    expected = run("woodcut")
    request.getfixturevalue("in_strips")

    torch.testing.assert_close(run("woodcut").image, expected.image, rtol=0, atol=1e-4)
    assert run(tmp_path / "panorama.png").image.shape == (1, 3, 6, 96)
    with pytest.raises(ValueError, match=r"'narrow.png' is 300x15 pixels; give an image of at least 16"):
        run(tmp_path / "narrow.png")


@pytest.mark.parametrize(("top", "rows", "new_height"), [(0, 400, 100), (30, 70, 77), (399, 1, 399), (120, 1, 7)])
def test_the_weights_of_rows_are_those_of_the_filter(top: int, rows: int, new_height: int) -> None:
    expected = bicubic(torch.eye(400)[None, None], (new_height, 400))[0, 0, :, top : top + rows]
    found = torch.zeros(new_height, rows)
    first, weights = strips._row_weights(top, rows, 400, new_height)
    found[first : first + len(weights)] = weights
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-6)


def test_the_weights_of_rows_do_not_grow_with_the_height_of_the_image() -> None:
    _, weights = strips._row_weights(50_000, 512, 100_000, 256)
    assert weights.numel() < 5000


def test_a_folder_may_have_any_name(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    try:
        folder = tmp_path / os.fsdecode(b"caf\xe9")
        folder.mkdir()
    except (OSError, UnicodeError):
        pytest.skip("the file system stores names in UTF-8 only")
    expected = reduced(open_picture(written(tmp_path, "png")))
    written(tmp_path, "png").rename(folder / "image.png")
    request.getfixturevalue("in_strips")
    found = open_picture(folder / "image.png", longer_side=SIDE)
    torch.testing.assert_close(found.image, expected, rtol=0, atol=2e-6)

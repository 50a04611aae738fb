"""Test image files: they are read exactly, and they are never read or written in part."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import random
import signal
import stat
import struct
import sys
import threading
import time
import warnings
import zlib
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ImageCms
from profile_of_display import DISPLAY_P3, matrix_profile
from support import TIMEOUT, ForkedProcess, without_root

from impasto import files
from impasto.files import write_atomically
from impasto.images import (
    check_output,
    fit,
    load_image,
    open_picture,
    pixels,
    quantize,
    read_record,
    resize,
    save_image,
)

FORMATS = [".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".avif", ".bmp"]
LOSSLESS = [".png", ".tif", ".bmp"]


def noise(height: int, width: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    """Return random uint8 `(H, W, C)`."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def smooth(height: int, width: int) -> np.ndarray:
    """Return an image without fine detail, uint8 `(H, W, 3)`, which lossy formats preserve."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    return np.stack([255 * x, 255 * y, 255 * (1 - x) * y], axis=-1).round().astype(np.uint8)


def tensor(levels: np.ndarray, white: float = 255) -> torch.Tensor:
    """Convert `(H, W, C)` to float32 `(1, C, H, W)`."""
    return torch.from_numpy(levels.astype(np.float32) / np.float32(white)).permute(2, 0, 1)[None]


def deep_noise(height: int, width: int, channels: int = 3) -> torch.Tensor:
    """Return random float32 `(1, C, H, W)` with 16-bit values."""
    levels = np.random.default_rng(1).integers(0, 65536, (height, width, channels))
    return tensor(levels, 65535)


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_header(width: int, height: int, depth: int = 8, color: int = 2) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header)


def profile_of(path: Path) -> str:
    with PIL.Image.open(path) as picture:
        profile = picture.info.get("icc_profile")
    return ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(profile))) if profile else ""


def encoded(fmt: str, levels: np.ndarray | None = None, **options: object) -> bytes:
    file = io.BytesIO()
    PIL.Image.fromarray(noise(40, 50) if levels is None else levels).save(file, fmt, **options)
    return file.getvalue()


# Reading: file formats and pixel formats


@pytest.mark.parametrize("suffix", [*FORMATS, ".gif"])
def test_every_format_opens_as_the_stored_image(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"picture{suffix}"
    PIL.Image.fromarray(smooth(48, 64)).save(path)

    picture = open_picture(path)

    assert picture.image.shape == (1, 3, 48, 64)
    assert picture.image.dtype == torch.float32
    assert picture.image.is_contiguous()
    assert (picture.image - tensor(smooth(48, 64))).abs().mean() < (0.05 if suffix == ".gif" else 0.012)
    assert picture.alpha is None
    assert picture.name == path.name
    assert picture.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_first_frame_of_an_animation_is_opened(tmp_path: Path) -> None:
    red, blue = (PIL.Image.new("RGB", (6, 5), color) for color in ("red", "blue"))
    red.save(tmp_path / "two.gif", save_all=True, append_images=[blue])
    image = load_image(tmp_path / "two.gif")
    assert torch.equal(image, torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1).expand(1, 3, 5, 6))


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1)])
def test_a_single_row_column_or_pixel_opens(tmp_path: Path, size: tuple[int, int]) -> None:
    PIL.Image.new("RGB", size, "white").save(tmp_path / "thin.png")
    assert load_image(tmp_path / "thin.png").shape == (1, 3, size[1], size[0])


def test_gray_and_one_bit_images_become_three_equal_channels(tmp_path: Path) -> None:
    levels = noise(7, 9)[..., 0]
    PIL.Image.fromarray(levels).save(tmp_path / "gray.png")
    PIL.Image.fromarray(levels > 127).save(tmp_path / "bit.png")
    gray, bit = load_image(tmp_path / "gray.png"), load_image(tmp_path / "bit.png")
    assert torch.equal(gray, tensor(np.repeat(levels[..., None], 3, axis=2)))
    assert torch.equal(bit, tensor(np.repeat((levels > 127)[..., None], 3, axis=2), 1))


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_alpha_is_returned_separately_and_colors_are_not_premultiplied(tmp_path: Path, mode: str) -> None:
    levels = noise(7, 9, len(mode))
    PIL.Image.fromarray(levels, mode=None).save(tmp_path / "clear.png")
    picture = open_picture(tmp_path / "clear.png")
    assert torch.equal(picture.image, tensor(levels[..., :-1]).expand(1, 3, 7, 9))
    assert picture.alpha is not None
    assert torch.equal(picture.alpha, tensor(levels[..., -1:]))


def test_alpha_is_none_for_an_opaque_image(tmp_path: Path) -> None:
    levels = noise(5, 5, 4)
    levels[..., 3] = 255
    PIL.Image.fromarray(levels).save(tmp_path / "opaque.png")
    assert open_picture(tmp_path / "opaque.png").alpha is None


@pytest.mark.parametrize(("suffix", "transparency"), [(".png", 1), (".gif", 1), (".png", bytes([255, 0, 128]))])
def test_a_transparent_palette_entry_becomes_alpha(tmp_path: Path, suffix: str, transparency: int | bytes) -> None:
    picture = PIL.Image.new("P", (3, 1))
    picture.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    picture.putdata([0, 1, 2])
    picture.save(tmp_path / f"palette{suffix}", transparency=transparency)

    opened = open_picture(tmp_path / f"palette{suffix}")

    expected = [1, 0, 1] if isinstance(transparency, int) else [1, 0, 128 / 255]
    assert opened.alpha is not None
    assert opened.alpha.flatten().tolist() == pytest.approx(expected)
    assert opened.image[0, :, 0, 0].tolist() == [1, 0, 0]
    assert opened.image[0, :, 0, 2].tolist() == [0, 0, 1]


def test_a_transparent_color_of_rgb_and_gray_becomes_alpha(tmp_path: Path) -> None:
    PIL.Image.fromarray(np.array([[[1, 2, 3], [9, 9, 9]]], np.uint8)).save(tmp_path / "rgb.png", transparency=(1, 2, 3))
    PIL.Image.fromarray(np.array([[7, 9]], np.uint8)).save(tmp_path / "gray.png", transparency=7)
    PIL.Image.fromarray(np.array([[700, 900]], np.uint16)).save(tmp_path / "deep.png", transparency=700)
    for name in ("rgb", "gray", "deep"):
        alpha = open_picture(tmp_path / f"{name}.png").alpha
        assert alpha is not None
        assert alpha.flatten().tolist() == [0, 1]


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bit_gray_is_exact(tmp_path: Path, suffix: str) -> None:
    levels = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    PIL.Image.fromarray(levels).save(tmp_path / f"deep{suffix}")
    image = load_image(tmp_path / f"deep{suffix}")
    assert torch.equal(image, tensor(levels[..., None], 65535).expand(1, 3, 256, 256))


def test_big_endian_and_white_is_zero_gray_tiffs_are_read_correctly(tmp_path: Path) -> None:
    levels = np.arange(0, 65536, 257, dtype=np.uint16).reshape(16, 16)
    PIL.Image.fromarray(levels.astype(">u2")).save(tmp_path / "big.tif")
    PIL.Image.fromarray(levels).save(tmp_path / "negative.tif", tiffinfo={262: 0})
    expected = tensor(levels[..., None], 65535).expand(1, 3, 16, 16)
    assert torch.equal(load_image(tmp_path / "big.tif"), expected)
    assert torch.allclose(load_image(tmp_path / "negative.tif"), 1 - expected)


def test_pixels_without_a_defined_white_are_refused_with_a_solution(tmp_path: Path) -> None:
    PIL.Image.fromarray(np.ones((4, 4), np.float32)).save(tmp_path / "float.tif")
    PIL.Image.fromarray(np.ones((4, 4), np.int32)).save(tmp_path / "int.tif")
    for name in ("float.tif", "int.tif"):
        with pytest.raises(ValueError, match=r"save it with 8 or 16 bits"):
            open_picture(tmp_path / name)


# Reading: orientation


def stored_for(upright: np.ndarray, orientation: int) -> np.ndarray:
    """Return the pixels that a camera stores for an orientation: Exif 2.32, 0th row and column."""
    return {
        1: upright,  # row 0 is the top, column 0 the left
        2: upright[:, ::-1],  # top, right
        3: upright[::-1, ::-1],  # bottom, right
        4: upright[::-1],  # bottom, left
        5: upright.swapaxes(0, 1),  # left, top
        6: upright.swapaxes(0, 1)[::-1],  # right, top
        7: upright.swapaxes(0, 1)[::-1, ::-1],  # right, bottom
        8: upright.swapaxes(0, 1)[:, ::-1],  # left, bottom
    }[orientation]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg", ".webp"])
def test_every_exif_orientation_is_applied(tmp_path: Path, suffix: str, orientation: int) -> None:
    upright = noise(3, 5).repeat(16, axis=0).repeat(16, axis=1)
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    stored = np.ascontiguousarray(stored_for(upright, orientation))
    options = {".webp": {"lossless": True}, ".jpg": {"quality": 100, "subsampling": 0}}.get(suffix, {})
    PIL.Image.fromarray(stored).save(tmp_path / f"turned{suffix}", exif=exif, **options)

    image = load_image(tmp_path / f"turned{suffix}")

    assert image.shape == (1, 3, 48, 80)
    assert (image - tensor(upright)).abs().max() < (0.05 if suffix == ".jpg" else 1e-7)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_the_orientation_of_sixteen_bit_images_is_applied(tmp_path: Path, suffix: str, orientation: int) -> None:
    pyvips = pytest.importorskip("pyvips")
    upright = np.random.default_rng(2).integers(0, 65536, (3, 5, 4)).astype(np.uint16)
    stored = np.ascontiguousarray(stored_for(upright, orientation))
    image = pyvips.Image.new_from_memory(stored.tobytes(), stored.shape[1], stored.shape[0], 4, "ushort")
    image = image.copy(interpretation="rgb16")
    image.set_type(pyvips.GValue.gint_type, "orientation", orientation)
    image.write_to_file(str(tmp_path / f"turned{suffix}"))

    picture = open_picture(tmp_path / f"turned{suffix}")

    assert torch.equal(picture.image, tensor(upright[..., :3], 65535))
    assert picture.alpha is not None
    assert torch.equal(picture.alpha, tensor(upright[..., 3:], 65535))


def test_corrupt_exif_data_does_not_prevent_reading(tmp_path: Path) -> None:
    levels = smooth(16, 16)
    (tmp_path / "odd.jpg").write_bytes(encoded("JPEG", levels, exif=b"Exif\0\0MM\0*garbage"))
    assert (load_image(tmp_path / "odd.jpg") - tensor(levels)).abs().mean() < 0.02


# Reading: color profiles


SRGB = [(0.64, 0.33), (0.30, 0.60), (0.15, 0.06)]


def wide_to_srgb(rgb: np.ndarray, gamma: float) -> np.ndarray:
    """Convert Display P3 with a gamma to sRGB in [0, 1] with the textbook formula, as a reference."""

    def to_xyz(primaries: list[tuple[float, float]]) -> np.ndarray:
        xyz = np.array([[x / y, 1, (1 - x - y) / y] for x, y in [*primaries, (0.3127, 0.3290)]]).T
        return xyz[:, :3] * np.linalg.solve(xyz[:, :3], xyz[:, 3])

    linear = rgb**gamma @ (np.linalg.inv(to_xyz(SRGB)) @ to_xyz(DISPLAY_P3)).T
    linear = linear.clip(0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif", ".avif"])
def test_a_wide_gamut_profile_is_converted_according_to_colorimetry(tmp_path: Path, suffix: str) -> None:
    colors = np.array([[200, 60, 60], [60, 180, 60], [70, 80, 200], [128, 128, 128], [230, 200, 150]], np.uint8)
    levels = colors[None].repeat(16, axis=0).repeat(16, axis=1)  # blocks, for the lossy formats
    options = {
        ".jpg": {"quality": 100, "subsampling": 0},
        ".webp": {"lossless": True},
        ".avif": {"quality": 100},
    }
    PIL.Image.fromarray(levels).save(
        tmp_path / f"wide{suffix}", icc_profile=matrix_profile(DISPLAY_P3, 1.8), **options.get(suffix, {})
    )

    image = load_image(tmp_path / f"wide{suffix}")

    middles = image[0, :, 8, 8::16].T.numpy()
    expected = wide_to_srgb(colors / 255, 1.8)
    assert np.abs(middles - expected).max() < (0.03 if suffix in (".jpg", ".avif") else 0.01)
    assert np.abs(colors / 255 - expected).max() > 0.06  # without conversion the test would fail


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bit_colors_are_converted_with_their_profile(tmp_path: Path, suffix: str) -> None:
    pyvips = pytest.importorskip("pyvips")
    colors = np.random.default_rng(3).integers(15000, 50000, (4, 4, 3)).astype(np.uint16)
    image = pyvips.Image.new_from_memory(colors.tobytes(), 4, 4, 3, "ushort").copy(interpretation="rgb16")
    image.set_type(pyvips.GValue.blob_type, "icc-profile-data", matrix_profile(DISPLAY_P3, 1.8))
    image.write_to_file(str(tmp_path / f"wide{suffix}"))

    opened = load_image(tmp_path / f"wide{suffix}")[0].permute(1, 2, 0).numpy()

    assert np.abs(opened - wide_to_srgb(colors / 65535, 1.8)).max() < 0.002


def with_chunks(png: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """Return a PNG with more chunks after its header."""
    parts = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    ]
    return png[:33] + b"".join(parts) + png[33:]


@pytest.mark.parametrize("kind", ["gray", "gray16", "rgb", "rgb16"])
def test_the_gamma_of_a_png_is_applied_unless_the_file_is_srgb(kind: str, tmp_path: Path) -> None:
    ramp = np.arange(0, 256, 5, dtype=np.uint8)[None]
    levels = ramp.astype(np.uint16) * 257 if kind.endswith("16") else ramp
    if kind == "rgb16":
        pyvips = pytest.importorskip("pyvips")
        plain = pyvips.Image.new_from_array(np.repeat(levels[..., None], 3, 2), interpretation="rgb16").pngsave_buffer()
    else:
        file = io.BytesIO()
        PIL.Image.fromarray(np.repeat(levels[..., None], 3, 2) if kind == "rgb" else levels).save(file, "PNG")
        plain = file.getvalue()
    value = ramp[0] / 255
    encoded = np.where(value <= 0.0031308, 12.92 * value, 1.055 * value ** (1 / 2.4) - 0.055)
    linear, usual = ((b"gAMA", struct.pack(">I", number)) for number in (100000, 45455))
    for chunks, expected in (
        ([linear], encoded),
        ([usual], value),
        ([(b"gAMA", bytes(4))], value),
        ([(b"sRGB", b"\0"), linear], value),
    ):
        (tmp_path / "ramp.png").write_bytes(with_chunks(plain, *chunks))
        assert np.abs(load_image(tmp_path / "ramp.png")[0, 0, 0].numpy() - expected).max() < 0.002


def test_a_tiff_of_floating_point_colors_is_named_as_such(tmp_path: Path) -> None:
    pyvips = pytest.importorskip("pyvips")
    pyvips.Image.black(20, 20, bands=3).cast("float").write_to_file(str(tmp_path / "float.tif"))
    with pytest.raises(ValueError, match=r"TIFF, or its pixels are not integers, .* give a complete file"):
        open_picture(tmp_path / "float.tif")


def test_gray_is_converted_with_its_profile_at_both_bit_depths(tmp_path: Path) -> None:
    linear = matrix_profile(SRGB, 1.0)
    ramp = np.arange(0, 256, 5, dtype=np.uint8)[None]
    PIL.Image.fromarray(ramp).save(tmp_path / "gray.tif", icc_profile=linear)
    PIL.Image.fromarray(ramp.astype(np.uint16) * 257).save(tmp_path / "deep.tif", icc_profile=linear)
    value = ramp[0] / 255
    expected = np.where(value <= 0.0031308, 12.92 * value, 1.055 * value ** (1 / 2.4) - 0.055)
    for name in ("gray.tif", "deep.tif"):
        assert np.abs(load_image(tmp_path / name)[0, 0, 0].numpy() - expected).max() < 0.006


def test_alpha_is_not_changed_by_a_color_profile(tmp_path: Path) -> None:
    levels = noise(6, 6, 4)
    PIL.Image.fromarray(levels).save(tmp_path / "clear.png", icc_profile=matrix_profile(DISPLAY_P3, 1.8))
    alpha = open_picture(tmp_path / "clear.png").alpha
    assert alpha is not None
    assert torch.equal(alpha, tensor(levels[..., 3:]))


def test_lab_pixels_are_converted_to_srgb(tmp_path: Path) -> None:
    lab = PIL.Image.merge("LAB", [PIL.Image.new("L", (2, 2), value) for value in (round(53.24 * 2.55), 208, 195)])
    lab.save(tmp_path / "red.tif")  # L*a*b* 53, 80, 67 is sRGB's red
    red = load_image(tmp_path / "red.tif")[0, :, 0, 0]
    assert red[0] > 0.95
    assert red[1:].max() < 0.15


def test_cmyk_without_a_profile_is_inverted_and_a_wrong_profile_causes_a_warning(tmp_path: Path) -> None:
    cyan = PIL.Image.new("CMYK", (8, 8), (255, 0, 0, 0))
    cyan.save(tmp_path / "plain.tif")
    cyan.save(tmp_path / "wrong.tif", icc_profile=matrix_profile(SRGB, 2.2))
    assert load_image(tmp_path / "plain.tif")[0, :, 0, 0].tolist() == [0, 1, 1]
    with pytest.warns(UserWarning, match="wrong.tif.*describes RGB and the pixels are CMYK"):
        image = load_image(tmp_path / "wrong.tif")
    assert image[0, :, 0, 0].tolist() == [0, 1, 1]


def test_cmyk_is_converted_with_its_profile(tmp_path: Path) -> None:
    pyvips = pytest.importorskip("pyvips")  # it contains a CMYK profile
    path = tmp_path / "ink.tif"
    rgb = pyvips.Image.black(8, 8).new_from_image([180, 90, 60]).cast("uchar").copy(interpretation="srgb")
    rgb.icc_transform("cmyk", input_profile="srgb", intent="relative").write_to_file(str(path))
    ink = pyvips.Image.new_from_file(str(path))
    assert ink.interpretation == "cmyk"
    options = {"embedded": True, "intent": "relative", "black_point_compensation": True}
    expected = torch.tensor(ink.icc_transform("srgb", **options).getpoint(4, 4))

    color = load_image(path)[0, :, 4, 4] * 255

    assert (color - expected).abs().max() <= 2
    with PIL.Image.open(path) as plain:
        naive = torch.tensor(plain.convert("RGB").getpixel((4, 4)))
    assert (naive - expected).abs().max() > 10  # without the profile the test would fail


@pytest.mark.parametrize("broken", [b"garbage", matrix_profile(SRGB, 2.2)[:300], bytes(2000)])
def test_a_broken_profile_is_ignored_with_a_warning_of_one_line(tmp_path: Path, broken: bytes) -> None:
    levels = noise(6, 6)
    PIL.Image.fromarray(levels).save(tmp_path / "odd.png", icc_profile=broken)
    with pytest.warns(UserWarning, match=r"odd\.png.*color profile is ignored") as caught:
        image = load_image(tmp_path / "odd.png")
    assert len(caught) == 1
    assert "\n" not in str(caught[0].message)
    assert torch.equal(image, tensor(levels))


def test_srgb_profiles_do_not_change_any_pixel(tmp_path: Path) -> None:
    levels = noise(64, 64)
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    nearly = bytearray(srgb)  # other rounding: the X of the green primary differs by 0.0001
    offset = struct.unpack(">I", srgb[srgb.index(b"gXYZ") + 4 :][:4])[0] + 8
    nearly[offset : offset + 4] = struct.pack(">i", struct.unpack(">i", srgb[offset : offset + 4])[0] + 8)
    for profile in (srgb, bytes(nearly)):
        PIL.Image.fromarray(levels).save(tmp_path / "plain.png", icc_profile=profile)
        assert torch.equal(load_image(tmp_path / "plain.png"), tensor(levels))


# Reading: PIL images and tensors


def test_a_pil_image_gives_the_same_result_as_its_file(tmp_path: Path) -> None:
    levels = noise(6, 9, 4)
    PIL.Image.fromarray(levels).save(tmp_path / "a.png")
    from_file = open_picture(tmp_path / "a.png")
    with PIL.Image.open(tmp_path / "a.png") as source:
        from_pil = open_picture(source)
    assert torch.equal(from_file.image, from_pil.image)
    assert from_file.alpha is not None
    assert from_pil.alpha is not None
    assert torch.equal(from_file.alpha, from_pil.alpha)
    assert from_pil.name == "PIL image"
    assert from_pil.sha256 == hashlib.sha256(levels.tobytes()).hexdigest()


def test_a_tensor_is_copied_unchanged() -> None:
    source = torch.rand(3, 5, 7)
    picture = open_picture(source)
    assert torch.equal(picture.image, source[None])
    assert (picture.name, picture.alpha) == ("tensor", None)
    assert picture.sha256 == hashlib.sha256(source.numpy().tobytes()).hexdigest()
    before = picture.image.clone()
    source.zero_()
    assert torch.equal(picture.image, before)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (torch.rand(5, 7), "of shape"),
        (torch.rand(1, 5, 7), "of shape"),
        (torch.rand(2, 3, 5, 7), "of shape"),
        (torch.rand(3, 0, 7), "of shape"),
        (torch.zeros(3, 5, 7, dtype=torch.uint8), "divide 8-bit values by 255"),
        (torch.rand(3, 5, 7) * 255, r"\[0, 1\]"),
        (torch.rand(3, 5, 7) - 2, r"\[0, 1\]"),
        (torch.full((3, 5, 7), torch.nan), "NaN"),
        (torch.full((3, 5, 7), torch.inf), "infinity"),
        (torch.rand(3, 5, 7).to_sparse(), "torch.sparse_coo on device cpu; convert it to a dense float32 tensor"),
        (torch.rand(3, 5, 7, device="meta"), "on device meta; convert it"),
        (torch.rand(3, 5, 7).to(torch.float8_e4m3fn), "torch.float8_e4m3fn with layout"),
        (PIL.Image.fromarray(np.ones((4, 4), np.float32)), "8 or 16 bits"),
        (PIL.Image.new("RGB", (0, 4)), "at least 1 x 1"),
        (42, "must be a path"),
        (None, "must be a path"),
    ],
)
def test_wrong_tensors_and_objects_are_refused(source: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        open_picture(source)  # type: ignore[arg-type]


def test_load_image_resizes_the_longer_side(tmp_path: Path) -> None:
    PIL.Image.fromarray(smooth(30, 60)).save(tmp_path / "a.png")
    assert load_image(tmp_path / "a.png", size=20).shape == (1, 3, 10, 20)
    assert load_image(tmp_path / "a.png", size=120).shape == (1, 3, 60, 120)
    with pytest.raises(ValueError, match="at least 1"):
        load_image(tmp_path / "a.png", size=0)


# Reading: invalid files


def flipped(data: bytes, index: int) -> bytes:
    return data[:index] + bytes([data[index] ^ 0xFF]) + data[index + 1 :]


def truncated(fmt: str, part: float, **options: object) -> Callable[[], bytes]:
    def make() -> bytes:
        data = encoded(fmt, **options)
        return data[: int(len(data) * part)]

    return make


SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"></svg>'
MALFORMED: dict[str, bytes | Callable[[], bytes]] = {
    "empty.png": b"",
    "one-byte.jpg": b"\xff",
    "text.jpg": b"this is not an image\n" * 50,
    "vector.svg": SVG,
    "vector.png": SVG,
    "paper.pdf": b"%PDF-1.7\n1 0 obj\n",
    "script.eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    "portable.ppm": b"P6 1 1 255 abc",
    "zeros.png": bytes(4096),
    "signature.png": b"\x89PNG\r\n\x1a\n",
    "header.png": png_header(4, 4),
    "no-end.png": lambda: encoded("PNG")[:-12],
    "no-width.png": png_header(0, 5) + png_chunk(b"IDAT", zlib.compress(b"")) + png_chunk(b"IEND", b""),
    "no-height.gif": b"GIF89a\x05\0\0\0\0\0\0,\0\0\0\0\x05\0\0\0\0\x02\x02\x44\x01\0;",
    "no-height.bmp": lambda: encoded("BMP")[:22] + bytes(4) + encoded("BMP")[26:],
    "checksum.png": lambda: flipped(encoded("PNG"), 29),
    "pixels.png": lambda: flipped(encoded("PNG"), len(encoded("PNG")) // 2),
    "short-pixels.png": png_header(9, 9) + png_chunk(b"IDAT", zlib.compress(bytes(20))) + png_chunk(b"IEND", b""),
    "no-deflate.png": png_header(9, 9) + png_chunk(b"IDAT", b"nonsense") + png_chunk(b"IEND", b""),
    "odd-depth.png": png_header(9, 9, depth=3) + png_chunk(b"IEND", b""),
    "directory.tif": b"II*\0\xff\xff\xff\x7f",
    "strips.tif": lambda: flipped(encoded("TIFF", compression="tiff_adobe_deflate"), 20),
    "marker.jpg": b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0\xff\xd9",
    "riff.webp": b"RIFF\x20\0\0\0WEBPVP8 " + bytes(20),
    "box.avif": b"\0\0\0\x20ftypavif" + bytes(20),
    **{
        f"cut-{part}.{fmt.lower()}": truncated(fmt, part)
        for fmt in ("JPEG", "PNG", "WEBP", "TIFF", "AVIF", "BMP", "GIF")
        for part in (0.1, 0.6, 0.97)
    },
    "cut-deflate.tif": truncated("TIFF", 0.7, compression="tiff_adobe_deflate"),
}


def refusal(source: object) -> str:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(ValueError) as refused:  # noqa: PT011 - the caller checks the message
            open_picture(source)  # type: ignore[arg-type]
    assert caught == []
    assert type(refused.value) is ValueError
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_file_is_refused_in_one_line_with_its_name(tmp_path: Path, name: str) -> None:
    data = MALFORMED[name]
    (tmp_path / name).write_bytes(data() if callable(data) else data)
    message = refusal(tmp_path / name)
    assert name in message
    assert "give" in message or "at least" in message


def test_missing_files_folders_and_pipes_are_refused_in_one_line(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    assert "No such file" in refusal(tmp_path / "none.png")
    assert "it is a folder" in refusal(tmp_path)
    assert "not a regular file" in refusal(tmp_path / "pipe.png")
    assert "too long" in refusal(tmp_path / ("a" * 300 + ".png"))
    assert "null" in refusal("a\0b.png")


def test_a_line_break_in_a_name_is_escaped_in_the_message(tmp_path: Path) -> None:
    refusal(tmp_path / "two\nlines.png")


def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "secret.png"
    PIL.Image.new("RGB", (4, 4)).save(path)
    path.chmod(0)
    with without_root():
        assert "Permission denied" in refusal(path)


def test_too_many_pixels_are_refused_from_the_header_alone(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png_header(30000, 30000) + png_chunk(b"IDAT", zlib.compress(bytes(999))))
    start = time.perf_counter()
    message = refusal(path)
    assert time.perf_counter() - start < 1
    for part in ("bomb.png", "30000 x 30000", "200000000", "--max-pixels 900000000"):
        assert part in message


def test_max_pixels_replaces_the_limit_of_pillow_and_restores_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 10)
    for suffix in (".png", ".tif", ".gif"):
        path = tmp_path / f"a{suffix}"
        PIL.Image.fromarray(smooth(20, 20)).save(path)
        assert load_image(path).shape == (1, 3, 20, 20)
        assert load_image(path, max_pixels=400).shape == (1, 3, 20, 20)
        with pytest.raises(ValueError, match="--max-pixels 400"):
            load_image(path, max_pixels=399)
    assert PIL.Image.MAX_IMAGE_PIXELS == 10


# Size


@given(st.integers(1, 10000), st.integers(1, 10000), st.integers(1, 5000))
def test_fit_keeps_the_aspect_ratio_to_half_a_pixel(height: int, width: int, longer: int) -> None:
    new = fit((height, width), longer)
    assert max(new) == longer
    assert min(new) >= 1
    exact = min(height, width) * longer / max(height, width)
    assert abs(min(new) - exact) <= 0.5 or (min(new) == 1 and exact < 1)
    assert (new[0] >= new[1]) == (height >= width) or new[0] == new[1]


def test_fit_keeps_an_image_of_the_same_size_and_refuses_invalid_sides() -> None:
    assert fit((480, 640), 640) == (480, 640)
    assert fit((1, 5000), 100) == (1, 100)
    for sides, longer in [((0, 5), 5), ((5, 5), 0), ((5, 5), -3)]:
        with pytest.raises(ValueError, match="at least 1"):
            fit(sides, longer)


@settings(max_examples=30, deadline=None)
@given(st.tuples(st.integers(1, 40), st.integers(1, 40)), st.tuples(st.integers(1, 40), st.integers(1, 40)))
def test_resize_stays_in_range_and_keeps_a_flat_color(old: tuple[int, int], new: tuple[int, int]) -> None:
    color = torch.tensor([0.2, 0.5, 1.0]).view(1, 3, 1, 1)
    flat = resize(color.expand(1, 3, *old), new)
    busy = resize(torch.randint(0, 2, (1, 1, *old)).float(), new)
    assert flat.shape == (1, 3, *new)
    assert torch.allclose(flat, color.expand_as(flat), atol=1e-5)
    assert busy.shape == (1, 1, *new)
    assert busy.min() >= 0
    assert busy.max() <= 1


def test_resize_to_the_same_size_returns_the_same_tensor() -> None:
    image = torch.rand(1, 3, 8, 9)
    assert resize(image, (8, 9)) is image


def test_resize_keeps_the_mean_color() -> None:
    image = tensor(smooth(96, 128))
    for size in [(48, 64), (31, 43), (200, 300)]:
        assert (resize(image, size).mean(dim=(2, 3)) - image.mean(dim=(2, 3))).abs().max() < 0.005


def test_a_reduced_checkerboard_is_gray_without_aliasing() -> None:
    board = (torch.arange(64).view(-1, 1) + torch.arange(64)).remainder(2).float().expand(1, 3, 64, 64)
    small = resize(board, (23, 23))[..., 2:-2, 2:-2]
    assert (small - 0.5).abs().max() < 0.05


@pytest.mark.parametrize(("old", "new"), [((96, 1024), (4, 16)), ((4096, 40), (8, 40)), ((64, 64), (4, 200))])
def test_a_gpu_reduces_a_large_image_in_steps_of_a_limited_factor_with_the_same_result(
    old: tuple[int, int], new: tuple[int, int]
) -> None:
    """PyTorch fails on a GPU above a factor; the steps are computed here on the CPU."""
    image = torch.linspace(0, 0.7, old[1]) + 0.3 * torch.rand(1, 3, *old, generator=torch.Generator().manual_seed(0))
    reduced = pixels._reduced_for_gpu(image, new)
    factors = [before / after for before, after in zip(reduced.shape[-2:], new, strict=True)]
    assert max(factors) <= pixels.MAX_GPU_REDUCTION
    assert (pixels.bicubic(reduced, new) - pixels.bicubic(image, new)).abs().max() < 2e-3


@pytest.mark.parametrize("size", [(20, 30), (37, 51), (90, 140)])
def test_resize_agrees_with_the_bicubic_filter_of_pillow(size: tuple[int, int]) -> None:
    levels = noise(60, 80) // 2 + 64  # away from black and white: Pillow clips between its two passes
    expected = PIL.Image.fromarray(levels).resize((size[1], size[0]), PIL.Image.Resampling.BICUBIC)
    assert (resize(tensor(levels), size) - tensor(np.array(expected))).abs().max() < 2 / 255


# Writing


@pytest.mark.parametrize("suffix", LOSSLESS)
def test_eight_bit_files_contain_the_values_of_quantize(tmp_path: Path, suffix: str) -> None:
    torch.manual_seed(0)
    image = torch.rand(1, 3, 33, 47) * 1.2 - 0.1
    save_image(image, tmp_path / f"a{suffix}")
    assert torch.equal(load_image(tmp_path / f"a{suffix}"), quantize(image))
    assert torch.equal(quantize(image), (image.clamp(0, 1) * 255).round() / 255)


def test_saving_a_loaded_image_gives_the_same_file(tmp_path: Path) -> None:
    save_image(torch.rand(3, 20, 30), tmp_path / "a.png")
    save_image(load_image(tmp_path / "a.png"), tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_is_written_accurately_with_the_srgb_profile(tmp_path: Path, suffix: str) -> None:
    image = tensor(smooth(48, 64))
    path = tmp_path / f"a{suffix.upper()}"
    save_image(image, path)
    assert (load_image(path) - image).abs().max() < 0.05
    assert ("sRGB" in profile_of(path)) == (suffix != ".bmp")


def test_a_higher_quality_makes_the_file_larger(tmp_path: Path) -> None:
    for suffix in (".jpg", ".webp", ".avif"):
        sizes = []
        for quality in (20, 95):
            save_image(tensor(noise(40, 40)), tmp_path / f"a{suffix}", quality=quality)
            sizes.append((tmp_path / f"a{suffix}").stat().st_size)
        assert sizes[0] < sizes[1]
    with pytest.raises(ValueError, match="1 to 100"):
        save_image(torch.rand(3, 4, 4), tmp_path / "b.jpg", quality=0)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp", ".avif"])
def test_alpha_is_stored(tmp_path: Path, suffix: str) -> None:
    image, alpha = tensor(smooth(32, 32)), tensor(smooth(32, 32)[..., :1])
    save_image(image, tmp_path / f"a{suffix}", alpha=alpha)
    opened = open_picture(tmp_path / f"a{suffix}").alpha
    assert opened is not None
    assert (opened - alpha).abs().max() < (0.02 if suffix == ".avif" else 1e-7)


@pytest.mark.parametrize("suffix", [".jpg", ".bmp"])
def test_formats_without_alpha_show_the_image_on_white(tmp_path: Path, suffix: str) -> None:
    image, alpha = torch.zeros(1, 3, 16, 16), torch.zeros(1, 1, 16, 16)
    alpha[..., :8] = 0.5
    with pytest.warns(UserWarning, match="on white"):
        save_image(image, tmp_path / f"a{suffix}", alpha=alpha)
    opened = load_image(tmp_path / f"a{suffix}")
    assert (opened[..., :8] - 0.5).abs().max() < 0.02
    assert (opened[..., 8:] - 1).abs().max() < 0.02
    save_image(image, tmp_path / f"b{suffix}", alpha=torch.ones(1, 1, 16, 16))  # no warning
    assert load_image(tmp_path / f"b{suffix}").max() == 0


@pytest.mark.parametrize("suffix", [".png", ".tif", ".tiff"])
def test_sixteen_bits_round_trip_exactly_with_alpha(tmp_path: Path, suffix: str) -> None:
    pytest.importorskip("pyvips")
    image, alpha = deep_noise(13, 17), deep_noise(13, 17, 1)
    save_image(image, tmp_path / f"a{suffix}", alpha=alpha, bits=16)
    save_image(image, tmp_path / f"b{suffix}", bits=16)
    first, second = open_picture(tmp_path / f"a{suffix}"), open_picture(tmp_path / f"b{suffix}")
    assert torch.equal(first.image, image)
    assert first.alpha is not None
    assert torch.equal(first.alpha, alpha)
    assert torch.equal(second.image, image)
    assert second.alpha is None
    assert "sRGB" in profile_of(tmp_path / f"a{suffix}")


def test_sixteen_bit_files_contain_the_values_of_quantize(tmp_path: Path) -> None:
    pytest.importorskip("pyvips")
    image = torch.rand(1, 3, 13, 17)
    save_image(image, tmp_path / "a.png", bits=16)
    assert torch.equal(load_image(tmp_path / "a.png"), quantize(image, bits=16))
    assert not torch.equal(quantize(image), quantize(image, bits=16))


def test_a_premultiplied_tiff_is_divided_by_its_alpha(tmp_path: Path) -> None:
    pyvips = pytest.importorskip("pyvips")
    levels = np.random.default_rng(4).integers(20000, 65536, (5, 6, 4)).astype(np.uint16)
    image = pyvips.Image.new_from_memory(levels.tobytes(), 6, 5, 4, "ushort").copy(interpretation="rgb16")
    image.tiffsave(str(tmp_path / "premultiplied.tif"), premultiply=True)
    opened = open_picture(tmp_path / "premultiplied.tif")
    assert (opened.image - tensor(levels[..., :3], 65535)).abs().max() < 1e-4


def test_truncated_or_corrupt_sixteen_bit_files_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("pyvips")
    for suffix in (".png", ".tif"):
        save_image(deep_noise(64, 64), tmp_path / f"a{suffix}", bits=16)
        data = (tmp_path / f"a{suffix}").read_bytes()
        for part in (0.3, 0.6, 0.95):
            (tmp_path / f"cut{suffix}").write_bytes(data[: int(part * len(data))])
            refusal(tmp_path / f"cut{suffix}")
    (tmp_path / "corrupt.tif").write_bytes(flipped(data, len(data) // 3))
    assert "corrupt" in refusal(tmp_path / "corrupt.tif")


def test_without_pyvips_writing_sixteen_bits_is_refused_and_reading_them_causes_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pyvips")
    image = deep_noise(8, 8)
    save_image(image, tmp_path / "deep.png", bits=16)
    monkeypatch.setitem(sys.modules, "pyvips", None)
    with pytest.warns(UserWarning, match=r"deep\.png.*pip install impasto\[hires\]") as caught:
        opened = load_image(tmp_path / "deep.png")
    assert len(caught) == 1
    assert (opened - image).abs().max() < 1 / 255
    for refuse in (check_output, lambda path, bits: save_image(image, path, bits=bits)):
        with pytest.raises(ValueError, match=r"pip install impasto\[hires\]"):
            refuse(tmp_path / "b.png", 16)
    assert not (tmp_path / "b.png").exists()


def test_a_record_is_stored_in_a_png_of_both_bit_depths(tmp_path: Path) -> None:
    pytest.importorskip("pyvips")
    record = '{"method": "gatys", "title": "Sternennacht über der Rhône ☆"}'
    for bits in (8, 16):
        save_image(deep_noise(8, 8), tmp_path / "a.png", bits=bits, record=record)  # type: ignore[arg-type]
        assert read_record(tmp_path / "a.png") == record
        assert open_picture(tmp_path / "a.png").image.shape == (1, 3, 8, 8)


def test_read_record_returns_none_without_a_record_and_refuses_other_files(tmp_path: Path) -> None:
    save_image(torch.rand(3, 4, 4), tmp_path / "plain.png")
    save_image(torch.rand(3, 4, 4), tmp_path / "a.jpg", record="{}")
    (tmp_path / "text.png").write_text("not an image")
    assert read_record(tmp_path / "plain.png") is None
    assert read_record(tmp_path / "a.jpg") is None
    for name in ("text.png", "missing.png"):
        with pytest.raises(ValueError, match=name):
            read_record(tmp_path / name)


def test_a_record_after_the_pixels_is_found(tmp_path: Path) -> None:
    data = encoded("PNG")
    text = png_chunk(b"iTXt", b"impasto" + bytes(5) + b'{"seed": 1}')
    (tmp_path / "moved.png").write_bytes(data[:-12] + text + data[-12:])
    assert read_record(tmp_path / "moved.png") == '{"seed": 1}'


@pytest.mark.parametrize("image", [torch.rand(3, 4), torch.rand(2, 3, 4, 4), torch.full((3, 4, 4), torch.nan)])
def test_save_image_refuses_tensors_that_are_not_images(tmp_path: Path, image: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="an image must be"):
        save_image(image, tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []


def test_an_alpha_of_another_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="same height and width"):
        save_image(torch.rand(3, 4, 4), tmp_path / "a.png", alpha=torch.rand(1, 1, 4, 5))


def test_an_image_too_long_for_its_format_is_refused_and_no_file_is_left(tmp_path: Path) -> None:
    for suffix in (".jpg", ".webp"):
        with pytest.raises(ValueError, match=f"70000 x 1 pixels as {suffix}.*try .tif"):
            save_image(torch.zeros(3, 1, 70000), tmp_path / f"a{suffix}")
    assert list(tmp_path.iterdir()) == []


# Writing: checks and atomic replacement


def test_check_output_creates_the_folder_and_no_file(tmp_path: Path) -> None:
    check_output(tmp_path / "a" / "b" / "c.png")
    assert (tmp_path / "a" / "b").is_dir()
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_check_output_keeps_an_existing_file(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"old")
    check_output(tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() == b"old"


def test_check_output_refuses_what_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file").write_bytes(b"")
    os.mkfifo(tmp_path / "pipe.png")
    for path, bits, message in [
        (tmp_path / "a.psd", 8, "must be one of .png, .jpg, .jpeg, .webp, .tif, .tiff, .avif, .bmp"),
        (tmp_path / "a", 8, "must be one of"),
        ("", 8, "must be one of"),
        (tmp_path / "a.jpg", 16, "must be one of .png, .tif, .tiff; or write 8 bits$"),
        (tmp_path / "a.png", 12, "8 or 16"),
        (tmp_path / "folder.png", 8, "it is a folder"),
        (tmp_path / "pipe.png", 8, "not a regular file"),
        (tmp_path / "file" / "a.png", 8, "cannot write"),
        (tmp_path / ("a" * 300 + ".png"), 8, "too long"),
        ("/proc/none/a.png", 8, "cannot write"),
    ]:
        with pytest.raises(ValueError, match=message) as refused:
            check_output(path, bits)
        assert "\n" not in str(refused.value)
        with pytest.raises(ValueError, match=message):
            save_image(torch.rand(3, 4, 4), path, bits=bits)  # type: ignore[arg-type]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.png", "pipe.png"]


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failed_save_keeps_the_old_file_and_leaves_no_temporary_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException, step: str
) -> None:
    save_image(torch.zeros(3, 4, 4), tmp_path / "a.png")
    old = (tmp_path / "a.png").read_bytes()

    def fail(*_: object) -> None:
        raise failure

    monkeypatch.setattr(files.os, step, fail)
    expected = ValueError if isinstance(failure, OSError) else KeyboardInterrupt
    with pytest.raises(expected):
        save_image(torch.ones(3, 4, 4), tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() == old
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_a_replaced_file_keeps_its_permissions(tmp_path: Path) -> None:
    write_atomically(tmp_path / "private.png", b"one")
    (tmp_path / "private.png").chmod(0o600)
    write_atomically(tmp_path / "private.png", b"two")
    assert (tmp_path / "private.png").read_bytes() == b"two"
    assert (tmp_path / "private.png").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(("number", "is_written"), [(errno.EINVAL, True), (errno.ENOTSUP, True), (errno.EIO, False)])
def test_a_file_system_without_flushing_is_no_error_and_a_broken_disk_is(
    number: int, is_written: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with nullcontext() if is_written else pytest.raises(ValueError, match=r"cannot write .*Input/output error"):
        write_atomically(tmp_path / "a.png", b"one")
    assert [path.name for path in tmp_path.iterdir()] == (["a.png"] if is_written else [])


def test_write_atomically_replaces_creates_folders_and_follows_links(tmp_path: Path) -> None:
    write_atomically(tmp_path / "new" / "a.json", b"one")
    write_atomically(tmp_path / "new" / "a.json", b"two")
    (tmp_path / "link.json").symlink_to(tmp_path / "new" / "a.json")
    write_atomically(tmp_path / "link.json", b"three")
    assert (tmp_path / "new" / "a.json").read_bytes() == b"three"
    assert (tmp_path / "link.json").is_symlink()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.json"]


def test_a_new_file_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    write_atomically(tmp_path / "ours", b"")
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "ours")]
    assert modes[0] == modes[1]


WRITER = """
import sys, torch
from impasto.images import save_image
while True:
    for shade in (0.0, 1.0):
        save_image(torch.full((3, 200, 300), shade), sys.argv[1])
"""


def test_a_killed_process_leaves_a_complete_image(tmp_path: Path) -> None:
    path = tmp_path / "a.bmp"  # uncompressed, so that most of the time is spent on writing
    save_image(torch.zeros(3, 200, 300), path)
    delay = random.Random(0)
    for _ in range(3):
        before = path.stat().st_mtime_ns
        writer = ForkedProcess(tmp_path, WRITER, path)
        try:
            while path.stat().st_mtime_ns == before:
                assert writer.poll() is None
                time.sleep(0.01)
            time.sleep(delay.uniform(0.02, 0.2))
        finally:
            writer.kill()
        assert writer.communicate(TIMEOUT) == ("", "")
        assert writer.returncode == -signal.SIGKILL
        image = load_image(path)
        assert image.shape == (1, 3, 200, 300)
        assert image.min() == image.max()


def test_a_concurrent_reader_always_sees_a_complete_image(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    save_image(torch.zeros(3, 60, 60), path)
    done = threading.Event()

    def write() -> None:
        for index in range(40):
            save_image(torch.full((3, 60, 60), float(index % 2)), path)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen = 0
    while not done.is_set():
        image = load_image(path)
        assert image.min() == image.max()
        seen += 1
    writer.join()
    assert seen > 0


def test_the_embedded_profile_does_not_contain_the_current_time(tmp_path: Path) -> None:
    save_image(torch.rand(3, 4, 4), tmp_path / "a.png")
    with PIL.Image.open(tmp_path / "a.png") as picture:
        assert struct.unpack(">6H", picture.info["icc_profile"][24:36]) == (2024, 1, 1, 0, 0, 0)


@pytest.mark.parametrize("kind", ["zTXt", "iTXt", "iCCP"])
def test_a_png_with_large_texts_and_profiles_is_read(tmp_path: Path, kind: str) -> None:
    text = zlib.compress(bytes(3_000_000))
    bodies = {"zTXt": b"a\0\0", "iTXt": b"a\0\1\0\0\0", "iCCP": b"a\0\0"}
    plain = encoded("PNG")
    (tmp_path / "plain.png").write_bytes(plain)
    (tmp_path / "large.png").write_bytes(plain[:33] + png_chunk(kind.encode(), bodies[kind] + text) + plain[33:])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a profile of zeros is ignored with a warning
        assert torch.equal(load_image(tmp_path / "large.png"), load_image(tmp_path / "plain.png"))

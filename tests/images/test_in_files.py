"""Test that very large images are kept in temporary files and written in strips, as small ones are in memory."""

from __future__ import annotations

import _thread
import errno
import io
import mmap
import os
import shutil
import signal
import sys
import weakref
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import PIL.Image
import pytest
import torch
from profile_of_display import DISPLAY_P3, matrix_profile
from torch import Tensor

from impasto.images import (
    check_shape,
    decoding,
    encoding,
    in_files,
    large_images_in,
    load_image,
    open_picture,
    quantize,
    read_record,
    resize,
    save_image,
    strip_writer,
    strips,
)
from impasto.images.transparency import flatten
from impasto.methods import METHODS, configure
from impasto.pipeline.stylizer import plan, stylize
from impasto.pipeline.trial import count_trial
from impasto.regions.subject import single_region
from impasto.types import Step

pyvips = pytest.importorskip("pyvips")
HEIGHT, WIDTH = 117, 155
SETTINGS: dict[str, dict[str, Any]] = {
    "micro": {},
    "adain": {"strength": 40},
    "wct": {"layers": ["relu2_1", "relu1_1"]},
    "unrolled": {"reductions": [2, 1]},
    "johnson": {"style_scale": 1.2, "strength": 30},
}


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Treat all images of more than 5000 pixels as very large ones."""
    monkeypatch.setattr(in_files, "LARGE_PIXELS", 5000)
    monkeypatch.setattr(strips, "REDUCED_PIXELS", 5000)
    monkeypatch.setattr(strips, "STRIP_PIXELS", 13 * WIDTH)


def photograph() -> Tensor:
    """Return a smooth random image `(1, 3, HEIGHT, WIDTH)`."""
    coarse = torch.rand(1, 3, HEIGHT // 4, WIDTH // 4, generator=torch.Generator().manual_seed(0))
    return resize(coarse, (HEIGHT, WIDTH))


def saved(path: Path, **options: Any) -> Path:
    """Write the photograph with Pillow."""
    levels = (photograph()[0].permute(1, 2, 0) * 255).round().byte().numpy()
    PIL.Image.fromarray(levels).save(path, **options)
    return path


def in_file(tensor: Tensor) -> bool:
    """Return whether a tensor is in one of the maps."""
    start = tensor.data_ptr()
    maps = [np.frombuffer(each, np.uint8) for each in in_files._maps]
    return any(each.ctypes.data <= start < each.ctypes.data + each.nbytes for each in maps)


def content_kinds(folder: Path) -> dict[str, Path]:
    """Write content images of several kinds."""
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    exif[0x013B] = "A. Painter"
    save_image(photograph(), folder / "deep.tif", bits=16)
    return {
        "plain": saved(folder / "plain.png"),
        "wide": saved(folder / "wide.tif", icc_profile=matrix_profile(DISPLAY_P3, 1.8)),
        "turned": saved(folder / "turned.jpg", exif=exif, quality=95, dpi=(300, 300)),
        "deep": folder / "deep.tif",
    }


@pytest.mark.parametrize("kind", ["plain", "wide", "turned", "deep"])
def test_a_large_file_is_read_into_a_temporary_file_bit_for_bit(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    path = content_kinds(tmp_path)[kind]
    expected = open_picture(path)
    files = set(tmp_path.iterdir())
    request.getfixturevalue("large")
    monkeypatch.setattr(decoding, "read", None)

    with large_images_in(tmp_path):
        picture = open_picture(path)

    assert in_file(picture.image)
    assert not in_file(expected.image)
    assert torch.equal(picture.image, expected.image)
    assert (picture.alpha, picture.sha256, picture.metadata) == (None, expected.sha256, expected.metadata)
    assert set(tmp_path.iterdir()) == files


@pytest.mark.parametrize("method", SETTINGS)
def test_a_feed_forward_method_stylizes_a_large_file_bit_for_bit(
    tmp_path: Path, method: str, request: pytest.FixtureRequest
) -> None:
    path = saved(tmp_path / "content.png")
    settings = {"method": method, "size": 0, "tile": 96, **SETTINGS[method]}
    expected = stylize(path, "mosaic", **settings)
    request.getfixturevalue("large")
    before: list[set[str]] = []

    def on_step(step: Step) -> None:
        before.append({each.name for each in tmp_path.iterdir()})

    result = stylize(path, "mosaic", output=tmp_path / "out.tif", on_step=on_step, **settings)

    assert in_file(result.image)
    assert torch.equal(result.image, expected.image)
    if sys.platform != "win32":  # where a file that is open has a name
        assert before == [{"content.png"}]  # nothing of the temporary files remains after a kill


@pytest.mark.parametrize(("precision", "most"), [("bf16", 0.0), ("fp32", 1e-5)])
def test_without_tiles_in_the_settings_and_with_a_large_style_scale_nothing_changes(
    tmp_path: Path, request: pytest.FixtureRequest, precision: str, most: float
) -> None:
    path = saved(tmp_path / "content.png")
    settings = {"style_scale": 1.5, "precision": precision}
    expected = [stylize(path, "mosaic", "micro", size=size, **settings) for size in (0, 200)]
    request.getfixturevalue("large")
    results = [stylize(path, "mosaic", "micro", size=size, **settings) for size in (0, 200)]
    assert torch.equal(results[0].image, expected[0].image)
    assert (results[1].image - expected[1].image).abs().max() <= most  # it is resized in strips


def profile_of(path: Path) -> bytes:
    """Return the color profile of a file."""
    with PIL.Image.open(path) as picture:
        return bytes(picture.info["icc_profile"])


@pytest.mark.parametrize(("suffix", "bits"), [(".png", 8), (".png", 16), (".tif", 8), (".tif", 16), (".jpg", 8)])
def test_a_large_image_is_written_in_strips_with_the_same_content(
    tmp_path: Path, suffix: str, bits: Any, request: pytest.FixtureRequest
) -> None:
    content = content_kinds(tmp_path)["turned"]
    expected = stylize(content, "mosaic", "micro", size=0)
    request.getfixturevalue("large")
    result = stylize(content, "mosaic", "micro", size=0)
    (tmp_path / "whole").mkdir()
    (tmp_path / "strips").mkdir()
    result.save(tmp_path / "strips" / f"a{suffix}", bits=bits)
    request.getfixturevalue("monkeypatch").undo()
    expected.save(tmp_path / "whole" / f"a{suffix}", bits=bits)

    one, other = (open_picture(tmp_path / folder / f"a{suffix}") for folder in ("whole", "strips"))

    assert (one.image - other.image).abs().max() <= (0.02 if suffix == ".jpg" else 0)
    assert one.metadata == other.metadata
    assert other.metadata.dpi == pytest.approx((300, 300), abs=0.01)
    assert [each.data for each in other.metadata.main] == [b"A. Painter\0"]
    assert profile_of(tmp_path / "whole" / f"a{suffix}") == profile_of(tmp_path / "strips" / f"a{suffix}")
    assert {each.name for each in (tmp_path / "strips").iterdir()} == {f"a{suffix}", "a.json"}
    if suffix == ".png":
        assert read_record(tmp_path / "strips" / "a.png") is not None


def test_a_large_image_becomes_a_big_tiff_without_exif_data(
    tmp_path: Path, large: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = open_picture(content_kinds(tmp_path)["turned"])
    monkeypatch.setattr(strip_writer, "LARGEST_TIFF", 0)
    save_image(picture.image, tmp_path / "big.tif", metadata=picture.metadata)
    assert (tmp_path / "big.tif").read_bytes()[:4] == b"II+\0"
    assert torch.equal(open_picture(tmp_path / "big.tif").image, quantize(picture.image))
    check_shape("big.tif", (100_000, 100_000))  # 40 GB are no error then


def test_transparency_of_a_small_content_image_is_written_in_strips(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    alpha = torch.linspace(0, 1, 60 * 40).view(1, 1, 40, 60)
    save_image(resize(photograph(), (40, 60)), tmp_path / "a.png", alpha=alpha)
    expected = stylize(tmp_path / "a.png", "mosaic", "micro", size=120, precision="fp32")
    request.getfixturevalue("large")
    result = stylize(tmp_path / "a.png", "mosaic", "micro", size=120, precision="fp32")
    torch.testing.assert_close(result.image, expected.image, rtol=0, atol=1e-4)
    result.save(tmp_path / "out.tif")
    opened = open_picture(tmp_path / "out.tif")
    assert opened.alpha is not None
    assert expected.alpha is not None
    assert (opened.alpha - expected.alpha).abs().max() <= 0.5 / 255 + 1e-6
    with pytest.warns(UserWarning, match="shown on white"):
        result.save(tmp_path / "out.jpg")
    assert load_image(tmp_path / "out.jpg")[..., 0, 0].min() > 0.9


@pytest.mark.parametrize(
    ("image", "options", "message"),
    [
        (torch.zeros(2, 3, HEIGHT, WIDTH), {}, "of shape"),
        (torch.zeros(3, HEIGHT, WIDTH), {"quality": 0}, "quality must be 1 to 100"),
        (torch.zeros(3, HEIGHT, WIDTH), {"alpha": torch.full((1, 1, HEIGHT, WIDTH), torch.nan)}, "NaN"),
        (torch.full((3, HEIGHT, WIDTH), torch.nan), {}, "NaN"),
        (torch.zeros(3, HEIGHT, WIDTH), {"alpha": torch.zeros(1, 1, 5, 5)}, "same height and width"),
    ],
)
def test_wrong_large_images_are_refused_as_small_ones_are(
    tmp_path: Path, large: None, image: Tensor, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        save_image(image, tmp_path / "out.png", **options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_large_images_of_any_type_and_with_alpha_are_written(tmp_path: Path, large: None, dtype: torch.dtype) -> None:
    image, alpha = photograph().to(dtype), torch.linspace(0, 1, HEIGHT * WIDTH).view(1, 1, HEIGHT, WIDTH)
    save_image(image[0], tmp_path / "out.png", alpha=alpha.to(dtype))
    found = decoding.decode(PIL.Image.open(tmp_path / "out.png"), "", HEIGHT * WIDTH)
    expected = torch.cat([image, alpha], 1)[0].permute(1, 2, 0).float() * 255
    assert np.abs(np.concatenate(found, 2) - expected.numpy()).max() < 0.7


def test_a_transparent_large_image_is_written_on_white_without_a_copy(
    tmp_path: Path, large: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "cat", None)
    monkeypatch.setattr(encoding, "flatten", None)
    alpha = torch.linspace(0, 1, HEIGHT * WIDTH).view(1, 1, HEIGHT, WIDTH)
    save_image(photograph(), tmp_path / "out.png", alpha=alpha)
    with pytest.warns(UserWarning, match="shown on white"):
        save_image(photograph(), tmp_path / "out.jpg", alpha=alpha)
    with PIL.Image.open(tmp_path / "out.jpg") as found:
        levels = np.asarray(found)
    assert np.abs(levels - 255 * flatten(photograph(), alpha)[0].permute(1, 2, 0).numpy()).max() < 12


def test_an_image_is_written_into_a_folder_of_any_name(tmp_path: Path, large: None) -> None:
    try:
        folder = tmp_path / os.fsdecode(b"caf\xe9")
        folder.mkdir()
    except (OSError, UnicodeError):
        pytest.skip("the file system stores names in UTF-8 only")
    save_image(photograph(), folder / "out.tif")
    with PIL.Image.open(folder / "out.tif") as found:
        assert found.size == (WIDTH, HEIGHT)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_an_interrupt_while_a_large_image_is_written_leaves_nothing(
    tmp_path: Path, large: None, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = photograph()
    connect = strip_writer._releasing_pages

    def interrupted(image: Any) -> Any:
        image = connect(image)
        image.signal_connect("preeval", lambda *_: _thread.interrupt_main())
        return image

    monkeypatch.setattr(strip_writer, "_releasing_pages", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_image(image, tmp_path / f"out{suffix}")
    assert list(tmp_path.iterdir()) == []


def test_a_target_that_is_freed_late_writes_nothing() -> None:
    file = io.BytesIO()
    target = strip_writer._Target(file, 0, bytes)
    target.save(lambda _: None)
    file.close()
    assert target._write(b"rest") == -1


class Growing(mmap.mmap):
    """A map whose release adds another one, as another thread may."""

    def madvise(self, *_: int) -> None:
        others.append(mmap.mmap(-1, mmap.PAGESIZE))
        in_files._maps.add(others[-1])


others: list[mmap.mmap] = []


@pytest.mark.skipif(not hasattr(mmap, "MADV_DONTNEED"), reason="the system cannot release pages")
def test_pages_are_released_while_another_image_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_files, "_maps", weakref.WeakSet())
    maps = [Growing(-1, mmap.PAGESIZE) for _ in range(2)]
    in_files._maps.update(maps)
    in_files.release_pages()
    assert len(others) == len(maps)
    others.clear()


def test_an_image_of_another_type_is_resized_in_memory(large: None) -> None:
    with large_images_in(None):
        found = resize(photograph().double(), (2 * HEIGHT, 2 * WIDTH))
    assert found.dtype == torch.float64


def test_a_large_file_with_transparent_pixels_is_refused_in_one_line(tmp_path: Path, large: None) -> None:
    save_image(photograph(), tmp_path / "a.png", alpha=torch.full((1, 1, HEIGHT, WIDTH), 0.5))
    with pytest.raises(ValueError, match=r"transparent pixels.*give a smaller --size, or remove its alpha channel$"):
        stylize(tmp_path / "a.png", "mosaic", "micro", size=0)


@pytest.mark.parametrize("settings", [{"color": "luminance"}, {"mask": ["mask.png"]}])
def test_settings_that_need_copies_of_a_large_image_are_refused(
    tmp_path: Path, large: None, settings: dict[str, Any]
) -> None:
    path = saved(tmp_path / "content.png")
    with pytest.raises(ValueError, match=r"not available for a content image of more than .* pixels at its own size"):
        stylize(path, "mosaic", "micro", size=0, **settings)


@pytest.mark.parametrize("suffix", [".tif", ".png"])
def test_a_truncated_large_file_is_refused_and_nothing_is_written(tmp_path: Path, large: None, suffix: str) -> None:
    path = saved(tmp_path / f"content{suffix}")
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(ValueError, match=r"it is (a )?corrupt"):
        stylize(path, "mosaic", "micro", size=0, output=tmp_path / "out.tif")
    assert list(tmp_path.iterdir()) == [path]


class Usage(NamedTuple):
    """What `shutil.disk_usage` returns."""

    total: int
    used: int
    free: int


def test_a_disk_that_is_too_small_is_noticed_before_the_run(
    tmp_path: Path, large: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path / "content.png")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(2**30, 2**30, 0))
    with pytest.raises(ValueError, match=r"temporary files of the images need .* and 0 MiB are free; free some space"):
        stylize(path, "mosaic", "micro", size=0, output=tmp_path / "out.tif")
    found = plan(path, "mosaic", "micro", size=0)
    assert str(found.problem).endswith("free some space, or set TMPDIR to a folder on another disk")
    assert found.disk_mib > 0


def test_a_plan_reserves_no_space_and_judges_the_disk_of_the_output(
    tmp_path: Path, large: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path / "content.png")
    full = tmp_path / "full"
    full.mkdir()
    monkeypatch.setattr(strips, "PLANNED_SIDE", 64)
    monkeypatch.setattr(in_files, "_reserve", None)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(2**30, 0, 0 if folder == full else 2**30))

    found = [plan(path, "mosaic", "micro", size=0, output=each / "out.tif") for each in (tmp_path, full)]

    assert found[0].problem is None
    assert str(found[1].problem).endswith("0 MiB are free; free some space, or write the output to another disk")
    assert [each.size for each in found] == [(HEIGHT, WIDTH)] * 2
    assert found[0].disk_mib > 2 * 12 * HEIGHT * WIDTH / 2**20
    with pytest.raises(ValueError, match="not available for a content image of more than"):
        plan(path, "mosaic", "micro", size=0, color="luminance")
    save_image(photograph(), tmp_path / "a.png", alpha=torch.full((1, 1, HEIGHT, WIDTH), 0.5))
    with pytest.raises(ValueError, match="transparent pixels"):
        plan(tmp_path / "a.png", "mosaic", "micro", size=0)


def test_a_file_that_cannot_be_reserved_is_one_line(
    tmp_path: Path, large: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path / "content.png")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(in_files, "_reserve", full)
    with pytest.raises(ValueError, match=r"^cannot write a temporary file of .*: No space left on device; free some"):
        stylize(path, "mosaic", "micro", size=0, output=tmp_path / "out.tif")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg"])
def test_an_output_that_does_not_fit_on_the_disk_leaves_nothing(
    tmp_path: Path, large: None, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    resource = pytest.importorskip("resource")  # absent on Windows
    result = stylize(saved(tmp_path / "content.png"), "mosaic", "micro", size=0)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(ValueError, match=r"^cannot write '.*out.*'.*; give another path$"):
            result.save(tmp_path / f"out{suffix}", bits=8 if suffix == ".jpg" else 16)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert [each.name for each in tmp_path.iterdir()] == ["content.png"]


def test_memory_does_not_count_large_images(request: pytest.FixtureRequest) -> None:
    method = METHODS["micro"](configure("micro", {"size": 0, "tile": 96, "device": "cpu"}))
    subject = single_region(photograph(), [photograph()])
    before = count_trial(method, subject, 1)
    request.getfixturevalue("large")
    with large_images_in(None):
        found = count_trial(method, subject, 1)
    assert before is not None
    assert found is not None
    image = 3 * 4 * HEIGHT * WIDTH
    assert before.in_files == 0
    assert found.in_files == image
    assert found.peak <= before.peak - 2 * image

"""Uploads of the studio: images are stored unchanged, hostile files are rejected, and polyglots are encoded again."""

from __future__ import annotations

import io
import re
import struct
import sys
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from small_studio import random_picture
from support import TIMEOUT

from impasto.images import load_image, open_picture
from impasto.samples import resolve
from impasto.studio import previews
from impasto.studio.clips import Clips
from impasto.studio.previews import ReducedImages
from impasto.studio.requests import display_name
from impasto.studio.service import StudioService
from impasto.studio.uploads import Uploads, frame_count, printable_name

MAX_BYTES = 2**20
MAX_PIXELS = 1_000_000


@pytest.fixture
def uploads(tmp_path: Path) -> Uploads:
    return Uploads(tmp_path / "uploads", max_bytes=MAX_BYTES, max_pixels=MAX_PIXELS)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StudioService]:
    service = StudioService.open(tmp_path_factory.mktemp("studio"), max_bytes=MAX_BYTES, max_pixels=MAX_PIXELS)
    yield service
    service.queue.close()


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png_with_chunk(name: bytes, body: bytes) -> bytes:
    """A PNG with one more chunk after its header."""
    data = random_picture()
    return data[:33] + chunk(name, body) + data[33:]


def archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as zipped:
        zipped.writestr("evil.class", b"\xca\xfe\xba\xbe")
    return file.getvalue()


def bomb(width: int, height: int) -> bytes:
    """A small PNG whose header announces many pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(10_000_000), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def huge_bmp() -> bytes:
    data = random_picture("BMP")
    return data[:18] + struct.pack("<ii", 50_000, 50_000) + data[26:]


SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
PHP = b"<?php system($_GET['c']); ?>"
SCRIPT = b"<ScRiPt>alert(1)</script>"
NOT_AN_IMAGE, CORRUPT = "not an image", "corrupt"
# Content of a file and a regular expression of the message.
HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "nothing.png": (lambda: b"", "is empty"),
    "many bytes.bmp": (lambda: random_picture("BMP", (900, 900)), "over the limit of 1"),
    "bomb.png": (lambda: bomb(60_000, 60_000), "over the limit of"),
    "wide bomb.png": (lambda: bomb(2**31 - 1, 16), "over the limit of"),
    "just over.png": (lambda: bomb(1001, 1000), "over the limit of"),
    "bomb.gif": (
        lambda: b"GIF89a" + struct.pack("<HH", 65535, 65535) + random_picture("GIF")[10:],
        "over the limit of",
    ),
    "bomb.bmp": (huge_bmp, "over the"),
    "text bomb.png": (lambda: png_with_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(70_000_000), 1)), "64 MiB"),
    "profile bomb.png": (lambda: png_with_chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(70_000_000), 1)), "64 MiB"),
    "no width.png": (lambda: bomb(0, 100), NOT_AN_IMAGE),
    "sliver.png": (lambda: random_picture(size=(200, 3)), "at least 16"),
    "pixel.png": (lambda: random_picture(size=(1, 1)), "at least 16"),
    "script.svg": (lambda: SVG, NOT_AN_IMAGE),
    "script.png": (lambda: SVG, NOT_AN_IMAGE),
    "page.jpg": (lambda: b"<!DOCTYPE html><script>alert(1)</script>", NOT_AN_IMAGE),
    "shell.png": (lambda: b"#!/bin/sh\nrm -rf /\n", NOT_AN_IMAGE),
    "pickle.png": (lambda: b"\x80\x04cos\nsystem\n(S'true'\ntR.", NOT_AN_IMAGE),
    "program.png": (lambda: b"\x7fELF" + bytes(100), NOT_AN_IMAGE),
    "vectors.eps": (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 40 30\n", NOT_AN_IMAGE),
    "paper.pdf": (lambda: b"%PDF-1.7\n1 0 obj\n", NOT_AN_IMAGE),
    "archive.zip": (archive, NOT_AN_IMAGE),
    "noise.png": (lambda: np.random.default_rng(1).bytes(5000), NOT_AN_IMAGE),
    "signature.png": (lambda: b"\x89PNG\r\n\x1a\n", NOT_AN_IMAGE),
    "half.png": (lambda: random_picture()[:900], CORRUPT),
    "half.jpg": (lambda: random_picture("JPEG")[:900], CORRUPT),
    "changed.png": (lambda: random_picture()[:500] + b"\0\1\2\3" + random_picture()[504:], CORRUPT),
    "../../../../etc/cron.d/job\n": (lambda: b"* * * * * root true", f"^'job': .*{NOT_AN_IMAGE}"),
    "C:\\windows\\\x1b[2Jsystem.ini\0.png": (lambda: b"[boot]", rf"^'\[2Jsystem.ini.png': .*{NOT_AN_IMAGE}"),
}
# An image, the same image with another file behind it or inside, and bytes of the other file.
POLYGLOTS: dict[str, tuple[bytes, bytes, bytes]] = {
    **{
        f"{name} and zip": (random_picture(name), random_picture(name) + archive(), b"PK\3\4")
        for name in ("PNG", "GIF", "JPEG", "BMP", "WEBP", "AVIF")
    },
    "PNG and page": (random_picture(), random_picture() + SVG, b"<svg"),
    "script in a comment of a PNG": (random_picture(), png_with_chunk(b"tEXt", b"Comment\0" + SCRIPT), SCRIPT),
    "PHP in a comment of a JPEG": (random_picture("JPEG"), random_picture("JPEG", comment=PHP), PHP),
}


def test_at_least_thirty_hostile_files_are_tested() -> None:
    assert len(HOSTILE) + len(POLYGLOTS) >= 30


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_upload_is_rejected_in_one_line_and_no_file_remains(uploads: Uploads, name: str) -> None:
    make, message = HOSTILE[name]
    with pytest.raises(ValueError, match=r"^[^\n]+$") as caught:
        uploads.add(make(), name)
    assert re.search(message, str(caught.value))
    assert str(caught.value).isprintable()
    assert str(uploads.folder) not in str(caught.value)
    assert list(uploads.folder.glob("*")) == []


@pytest.mark.parametrize("name", POLYGLOTS)
def test_a_polyglot_is_shown_as_the_same_jpeg_as_the_image_alone(service: StudioService, name: str) -> None:
    image, polyglot, payload = POLYGLOTS[name]
    assert payload in polyglot
    jpeg = service.source_preview(service.uploads.add(polyglot, "polyglot"))
    assert jpeg == service.source_preview(service.uploads.add(image, "image"))
    assert (jpeg[:3], jpeg[-2:]) == (b"\xff\xd8\xff", b"\xff\xd9")
    assert payload not in jpeg


def stereo_picture() -> bytes:
    """A JPEG with a second picture inside (MPO), as phones and stereo cameras write it."""
    second = PIL.Image.open(io.BytesIO(random_picture(seed=1)))
    return random_picture("MPO", save_all=True, append_images=[second])


# Bytes of files that the command line reads, in every mode of Pillow that their format can store.
READABLE: dict[str, Callable[[], bytes]] = {
    **{name: partial(random_picture, name) for name in ("PNG", "JPEG", "WEBP", "TIFF", "AVIF", "BMP", "GIF")},
    "MPO": stereo_picture,
    **{f"TIFF {mode}": partial(random_picture, "TIFF", mode=mode) for mode in ("1", "L", "LA", "P", "PA", "RGBA")},
    **{f"TIFF {mode}": partial(random_picture, "TIFF", mode=mode) for mode in ("CMYK", "LAB", "I;16")},
    **{f"PNG {mode}": partial(random_picture, mode=mode) for mode in ("1", "L", "LA", "P", "RGBA", "I;16")},
    **{f"JPEG {mode}": partial(random_picture, "JPEG", mode=mode) for mode in ("L", "CMYK", "YCbCr")},
}


@pytest.mark.parametrize("name", READABLE)
def test_every_file_that_the_command_line_reads_is_stored_byte_by_byte_under_its_hash(
    uploads: Uploads, name: str
) -> None:
    data = READABLE[name]()
    key = uploads.add(data, f"../{name}.exe")
    assert uploads.path(key).parent == uploads.folder
    assert uploads.path(key).read_bytes() == data
    assert load_image(uploads.path(key)).shape == (1, 3, 30, 40)
    assert uploads.add(data, "again") == key


@pytest.mark.parametrize("name", READABLE)
def test_the_page_shows_every_upload(service: StudioService, name: str) -> None:
    key = service.uploads.add(READABLE[name](), name)
    shown = PIL.Image.open(io.BytesIO(service.source_preview(key)))
    colors = np.asarray(shown.convert("RGB")) / 255
    expected = load_image(service.uploads.path(key))[0].permute(1, 2, 0).numpy()
    assert np.abs(colors.mean((0, 1)) - expected.mean((0, 1))).max() < 0.02


@pytest.mark.parametrize("options", [{"progressive": True}, {"optimize": True, "quality": 100}, {"subsampling": 0}])
def test_a_jpeg_of_a_phone_with_another_file_behind_it_is_accepted(
    uploads: Uploads, options: dict[str, object]
) -> None:
    plain = random_picture("JPEG", **options)
    film = struct.pack(">I", 24) + b"ftypmp42" + bytes(12)
    pixels = load_image(uploads.path(uploads.add(plain, "IMG_0001.jpg")))
    for rest in (bytes(64), random_picture("JPEG"), film, b"something"):
        assert (load_image(uploads.path(uploads.add(plain + rest, "IMG_0001.jpg"))) == pixels).all()


@pytest.mark.parametrize(
    "key", ["../secret.png", "/etc/passwd", "", "x", "a" * 64, "a" * 64 + ".png", "../" + "a" * 61]
)
def test_the_key_of_an_upload_is_never_used_as_a_path(uploads: Uploads, key: str) -> None:
    with pytest.raises(ValueError, match="neither a sample nor an upload"):
        uploads.path(key)


def test_uploads_are_kept_as_a_library_with_their_names(uploads: Uploads) -> None:
    lion = uploads.add(random_picture(), "C:\\pictures\\lion at rest.png")
    sea = uploads.add(random_picture(size=(50, 50)), "sea.png")
    uploads.delete_unused(set())
    reopened = Uploads(uploads.folder)
    assert reopened.library() == [sea, lion]
    assert [display_name(str(reopened.path(key))) for key in (lion, sea)] == ["lion at rest", "sea"]


def test_an_upload_can_be_both_a_photo_and_a_style(uploads: Uploads) -> None:
    key = uploads.add(random_picture(), "a.png", kinds=["style"])
    assert uploads.kinds(key) == ["style"]
    uploads.add(random_picture(), "a.png", kinds=["content"])
    assert uploads.kinds(key) == ["content", "style"]


def test_masks_that_no_result_refers_to_are_deleted(uploads: Uploads) -> None:
    used, unused = (uploads.add(random_picture(size=(50, side)), "m", kinds=()) for side in (40, 50))
    assert uploads.library() == []
    uploads.delete_unused({str(uploads.path(used))})
    assert uploads.path(used).is_file()
    with pytest.raises(ValueError, match="neither a sample nor an upload"):
        uploads.path(unused)


def test_an_upload_that_a_result_refers_to_is_only_removed_from_the_library(uploads: Uploads) -> None:
    used, unused = uploads.add(random_picture(), "a.png"), uploads.add(random_picture(size=(50, 50)), "b.png")
    for key in (used, unused):
        uploads.remove(key, {str(uploads.path(used))})
    assert uploads.library() == []
    assert display_name(str(uploads.path(used))) == "a"
    assert not (uploads.folder / unused).exists()


def test_a_cut_out_is_shown_with_its_transparency_and_without_what_it_hides(service: StudioService) -> None:
    pixels = np.full((40, 60, 4), (250, 220, 0, 255), np.uint8)
    pixels[:, 30:] = (0, 0, 255, 0)  # blue, but invisible
    file = io.BytesIO()
    PIL.Image.fromarray(pixels).save(file, "PNG")
    shown = PIL.Image.open(io.BytesIO(service.source_preview(service.uploads.add(file.getvalue(), "cut-out.png"))))
    levels = np.asarray(shown.convert("RGBA")).astype(int)
    assert shown.mode == "RGBA"
    assert levels[:, 34:, 3].max() == 0
    assert levels[:, :26, 3].min() == 255
    assert levels[..., 2].max() < 90


def test_a_picture_of_a_phone_is_refused_with_advice_where_its_decoder_is_missing(
    uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(ValueError, match=r"^'IMG_1.HEIC': [^\n]*pip install 'impasto\[heic\]'[^\n]*$"):
        uploads.add(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64), "IMG_1.HEIC")
    assert not any(uploads.folder.glob("*.trial"))


def test_a_new_photo_is_decoded_once_for_everything_that_the_page_shows(
    service: StudioService, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    def open_and_count(path: str, **options: Any) -> Any:
        opened.append(path)
        return open_picture(path, **options)

    monkeypatch.setattr(previews, "open_picture", open_and_count)
    key = service.uploads.add(random_picture(size=(64, 48), seed=91), "new.png")
    service.uploads.reduced._images.clear()
    with ThreadPoolExecutor(4) as pool:
        shown = [pool.submit(service.source_preview, key, size) for size in (192, 1024)]
        shown += [pool.submit(service.instant, key, ["mosaic"], size) for size in (192, 768)]
    assert len({each.result() for each in shown}) == 3  # the photo is smaller than its tile
    assert opened.count(str(service.uploads.path(key))) == 1  # it was not there any more
    other = service.uploads.add(random_picture(size=(64, 48), seed=92), "newer.png")
    service.source_preview(other)
    assert str(service.uploads.path(other)) not in opened


def test_an_image_in_memory_is_shown_while_another_one_is_decoded(
    service: StudioService, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = ReducedImages(10**6)
    known, slow = (str(resolve(name)) for name in ("coffee", "rocket"))
    images.open(known)
    decoding, may_end = threading.Event(), threading.Event()

    def wait_and_open(path: str, **options: Any) -> Any:
        decoding.set()
        assert may_end.wait(TIMEOUT)
        return open_picture(path, **options)

    monkeypatch.setattr(previews, "open_picture", wait_and_open)
    with ThreadPoolExecutor(2) as pool:
        decoded = [pool.submit(images.open, slow) for _ in range(2)]
        assert decoding.wait(TIMEOUT)
        assert images.open(known)[0].shape[-1] > 0
        may_end.set()
        assert decoded[0].result()[0] is decoded[1].result()[0]
    with pytest.raises(ValueError, match="missing"):
        images.open("missing")
    with pytest.raises(ValueError, match="missing"):  # it is not kept
        images.open("missing")


def test_the_frames_of_an_animation_are_counted(uploads: Uploads) -> None:
    second = PIL.Image.open(io.BytesIO(random_picture(seed=1)))
    animation = random_picture("GIF", save_all=True, append_images=[second])
    paths = [uploads.path(uploads.add(data, "a.gif")) for data in (animation, random_picture())]
    assert [frame_count(path) for path in paths] == [2, 1]


def test_a_file_name_is_reduced_to_one_printable_line() -> None:
    assert printable_name("/tmp/\x1b]0;x\x07a\u202eb.png") == "]0;xab.png"
    assert printable_name("/") == "picture"
    assert len(printable_name("x" * 500)) == 60


def test_an_upload_that_a_job_needs_is_kept_until_its_end(service: StudioService) -> None:
    key = service.uploads.add(random_picture(size=(48, 48), seed=5), "mine.png")
    halves = PIL.Image.new("RGB", (48, 48))
    halves.paste((255, 255, 255), (0, 0, 24, 48))
    file = io.BytesIO()
    halves.save(file, "PNG")
    mask = service.uploads.add(file.getvalue(), "mask.png", kinds=())
    tiny = {"backbone": "tiny", "size": 48}
    first = service.queue.submit(service.make_request("woodcut", ["mosaic"], "gatys", {**tiny, "steps": 100_000}))
    masks = {"mask": [mask]}
    waiting = service.make_request(key, ["mosaic"], "gatys", {**tiny, "steps": 2, "outside": "keep"}, masks=masks)
    second = service.queue.submit(waiting)
    for each in (key, mask):
        service.remove_upload(each)
    assert key not in service.uploads.library()
    service.queue.stop(first)
    assert service.queue.wait(second, TIMEOUT).error is None


def test_a_start_deletes_only_files_that_the_studio_made(tmp_path: Path) -> None:
    folders = ("clips", "uploads", "history", "history/trash", "videos", "temporary", "clips/old.part")
    names = ("family.mp4", "b.png", "c.part", "d.trial", ".e", "0123456789abcdef.png", f"{'f' * 64}.txt", "notes.json")
    mine = {tmp_path / folder / name for folder in folders for name in names}
    for file in mine:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"mine")
    key = "20261126-120000-0123456789abcdef"
    left = {tmp_path / "history" / key / "start.png", tmp_path / "history" / "trash" / key / "entry.json"}
    left |= {tmp_path / "uploads" / ("a" * 64), tmp_path / "uploads" / ".0123456789abcdef.trial"}
    left |= {Clips(tmp_path / "clips", 1, 1).begin().with_suffix(suffix) for suffix in (".part", ".trial", ".gif")}
    for file in left:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"of a process that was killed")
    StudioService.open(tmp_path).queue.close()
    assert {file for file in tmp_path.rglob("*") if file.is_file()} == mine

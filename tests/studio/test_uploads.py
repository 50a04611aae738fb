"""What visitors bring to the studio: sound pictures are kept as they are, thirty others refused in one line each."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from impasto.images import load_image
from impasto.studio.uploads import Uploads, shown_name

LIMIT = 2**20
PIXELS = 1_000_000


@pytest.fixture
def uploads(tmp_path: Path) -> Uploads:
    return Uploads(tmp_path / "uploads", max_bytes=LIMIT, max_pixels=PIXELS)


def picture(form: str = "PNG", size: tuple[int, int] = (40, 30), **options: object) -> bytes:
    rng = np.random.default_rng(0)
    file = io.BytesIO()
    levels = rng.integers(0, 256, (size[1], size[0], 3), np.uint8)
    PIL.Image.fromarray(levels).save(file, form, **options)
    return file.getvalue()


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def with_chunk(name: bytes, body: bytes) -> bytes:
    """A PNG with one more chunk behind its header."""
    data = picture()
    return data[:33] + chunk(name, body) + data[33:]


def archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as zipped:
        zipped.writestr("evil.class", b"\xca\xfe\xba\xbe")
    return file.getvalue()


def bomb(width: int, height: int) -> bytes:
    """A PNG of few bytes that says it has many pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(10_000_000), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "nothing.png": (lambda: b"", "it is empty"),
    "many bytes.bmp": (lambda: picture("BMP", (900, 900)), "over the limit of 1"),
    "bomb.png": (lambda: bomb(60_000, 60_000), "over the limit of"),
    "wide bomb.png": (lambda: bomb(2**31 - 1, 16), "over the limit of"),
    "just over.png": (lambda: bomb(1001, 1000), "over the limit of"),
    "bomb.gif": (lambda: b"GIF89a" + struct.pack("<HH", 65535, 65535) + picture("GIF")[10:], "over the limit of"),
    "bomb.bmp": (lambda: picture("BMP")[:18] + struct.pack("<ii", 50_000, 50_000) + picture("BMP")[26:], "over the"),
    "text bomb.png": (lambda: with_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(8_000_000), 9)), "corrupt"),
    "no width.png": (lambda: bomb(0, 100), "not an image"),
    "sliver.png": (lambda: picture(size=(200, 3)), "at least 16"),
    "pixel.png": (lambda: picture(size=(1, 1)), "at least 16"),
    "script.svg": (lambda: SVG, "not an image"),
    "script.png": (lambda: SVG, "not an image"),
    "page.jpg": (lambda: b"<!DOCTYPE html><script>alert(1)</script>", "not an image"),
    "shell.png": (lambda: b"#!/bin/sh\nrm -rf /\n", "not an image"),
    "pickle.png": (lambda: b"\x80\x04cos\nsystem\n(S'true'\ntR.", "not an image"),
    "program.png": (lambda: b"\x7fELF" + bytes(100), "not an image"),
    "vectors.eps": (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 40 30\n", "not an image"),
    "paper.pdf": (lambda: b"%PDF-1.7\n1 0 obj\n", "not an image"),
    "archive.zip": (archive, "not an image"),
    "noise.png": (lambda: np.random.default_rng(1).bytes(5000), "not an image"),
    "signature.png": (lambda: b"\x89PNG\r\n\x1a\n", "not an image"),
    "half.png": (lambda: picture()[:900], "corrupt"),
    "half.jpg": (lambda: picture("JPEG")[:900], "corrupt"),
    "changed.png": (lambda: picture()[:500] + b"\0\1\2\3" + picture()[504:], "corrupt"),
    "png and zip.png": (lambda: picture() + archive(), "another file of"),
    "gif and zip.gif": (lambda: picture("GIF") + archive(), "another file of"),
    "jpeg and zip.jpg": (lambda: picture("JPEG") + archive(), "another file of"),
    "bmp and zip.bmp": (lambda: picture("BMP") + archive(), "another file of"),
    "webp and zip.webp": (lambda: picture("WEBP") + archive(), "another file of"),
    "avif and zip.avif": (lambda: picture("AVIF") + archive(), "another file of"),
    "script in a comment.png": (lambda: with_chunk(b"tEXt", b"Comment\0<ScRiPt>alert(1)</script>"), "'<script'"),
    "php in a comment.jpg": (lambda: picture("JPEG", comment=b"<?php system($_GET['c']); ?>"), "'<?php'"),
    "../../../../etc/cron.d/job\n": (lambda: b"* * * * * root true", "'job': it is not an image"),
    "C:\\windows\\\x1b[2Jsystem.ini\0.png": (lambda: b"[boot]", "'[2Jsystem.ini.png': it is not"),
}


def test_there_are_thirty_of_them() -> None:
    assert len(HOSTILE) >= 30


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_upload_is_refused_in_one_line_and_leaves_nothing(uploads: Uploads, name: str) -> None:
    make, said = HOSTILE[name]
    with pytest.raises(ValueError, match=r"^[^\n]+$") as caught:
        uploads.keep(make(), name)
    assert said in str(caught.value)
    assert str(caught.value).isprintable()
    assert str(uploads.folder) not in str(caught.value)
    assert list(uploads.folder.glob("*")) == []


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "TIFF", "AVIF", "BMP", "GIF"])
def test_a_sound_picture_is_kept_byte_by_byte_under_its_hash(uploads: Uploads, form: str) -> None:
    data = picture(form)
    key = uploads.keep(data, f"../{form}.exe")
    assert uploads.path(key).parent == uploads.folder
    assert uploads.path(key).read_bytes() == data
    assert load_image(uploads.path(key)).shape == (1, 3, 30, 40)
    assert uploads.keep(data, "again") == key


@pytest.mark.parametrize("options", [{"progressive": True}, {"optimize": True, "quality": 100}, {"subsampling": 0}])
def test_what_telephones_put_behind_a_jpeg_is_let_through(uploads: Uploads, options: dict[str, object]) -> None:
    plain = picture("JPEG", **options)
    film = struct.pack(">I", 24) + b"ftypmp42" + bytes(12)
    for rest in (b"", bytes(64), picture("JPEG"), film):
        uploads.keep(plain + rest, "IMG_0001.jpg")
    with pytest.raises(ValueError, match="another file of 9 bytes"):
        uploads.keep(plain + b"something", "IMG_0001.jpg")


@pytest.mark.parametrize("key", ["../secret.png", "/etc/passwd", "", "x", "a" * 64 + ".png", "a" * 64 + ".svg"])
def test_a_key_is_never_a_path(uploads: Uploads, key: str) -> None:
    with pytest.raises(ValueError, match="no upload"):
        uploads.path(key)


def test_what_no_painting_used_is_swept(uploads: Uploads) -> None:
    used, unused = uploads.keep(picture(), "a"), uploads.keep(picture(size=(50, 50)), "b")
    uploads.sweep({str(uploads.path(used))})
    assert uploads.path(used).is_file()
    with pytest.raises(ValueError, match="no upload"):
        uploads.path(unused)


def test_a_name_is_shown_in_one_line() -> None:
    assert shown_name("/tmp/\x1b]0;x\x07a\u202eb.png") == "]0;xab.png"
    assert shown_name("/") == "picture"
    assert len(shown_name("x" * 500)) == 60

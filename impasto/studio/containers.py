"""Where a picture ends in its file: what stands behind it may be another file (a polyglot)."""

from __future__ import annotations

SUFFIXES = {
    "JPEG": ".jpg",
    "PNG": ".png",
    "WEBP": ".webp",
    "TIFF": ".tif",
    "AVIF": ".avif",
    "BMP": ".bmp",
    "GIF": ".gif",
}
"""Of every format that is read."""
ACTIVE = (b"<script", b"<?php", b"<!doctype html", b"%pdf-1", b"javascript:")
"""What no picture needs, in lower case, and long enough not to be there by chance."""
AVIF_BOXES = {b"ftyp", b"meta", b"mdat", b"moov", b"free", b"skip", b"uuid"}


def check_container(data: bytes, form: str) -> None:
    """Raises `ValueError`, in one line, for a picture file that is also something else.

    Telephones put a second JPEG (gain maps, depth) or a film behind a JPEG; these are let through.

    Args:
        data: the whole file, which has been decoded as a picture.
        form: its format as Pillow calls it.
    """
    lower = data.lower()
    if found := [mark for mark in ACTIVE if mark in lower]:
        raise ValueError(f"it holds {found[0].decode()!r}, which no picture needs; save it again with an image editor")
    end = {"PNG": _png, "GIF": _gif, "JPEG": _jpeg, "WEBP": _webp, "BMP": _bmp, "AVIF": _avif}.get(form, len)(data)
    rest = data[end:]
    is_known = not rest.strip(b"\0\r\n ") or rest[:2] == b"\xff\xd8" or rest[4:8] == b"ftyp" or rest[-4:] == b"SEFT"
    if not (is_known if form == "JPEG" else not rest.strip(b"\0\r\n ")):
        raise ValueError(
            f"another file of {len(rest)} bytes hangs behind the picture; save it again with an image editor"
        )


def _png(data: bytes) -> int:
    """Chunks: length, name, content, check sum (PNG specification, 5.3)."""
    at = 8
    while at + 8 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        name, at = data[at + 4 : at + 8], at + 12 + length
        if name == b"IEND":
            break
    return at


def _gif(data: bytes) -> int:
    """Blocks until the trailer 0x3b (GIF89a, appendix B)."""
    at = 13 + _colors(data[10])
    while at < len(data) and data[at] != 0x3B:
        if data[at] == 0x2C:  # an image: descriptor, colors, code size
            at += 11 + _colors(data[at + 9]) if at + 9 < len(data) else 11
        else:  # an extension: its label
            at += 2
        while at < len(data) and data[at]:
            at += 1 + data[at]
        at += 1
    return at + 1


def _colors(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _jpeg(data: bytes) -> int:
    """Segments, and between them the coded pixels, in which 0xff is followed by 0 or a restart (ITU T.81, annex B)."""
    at = 2
    while at + 4 <= len(data):
        at = data.find(b"\xff", at)
        if at < 0 or at + 2 > len(data):
            return len(data)
        mark = data[at + 1]
        if mark == 0xD9:
            return at + 2
        if mark in (0, 1, 0xFF) or 0xD0 <= mark <= 0xD8:
            at += 1 if mark == 0xFF else 2
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return len(data)


def _webp(data: bytes) -> int:
    length = int.from_bytes(data[4:8], "little")
    return 8 + length + length % 2


def _bmp(data: bytes) -> int:
    return int.from_bytes(data[2:6], "little") or len(data)


def _avif(data: bytes) -> int:
    """Boxes: length with itself, name (ISO 14496-12, 4.2)."""
    at = 0
    while at + 8 <= len(data) and data[at + 4 : at + 8] in AVIF_BOXES:
        length = int.from_bytes(data[at : at + 4], "big")
        if length < 8:  # to the end of the file, or of 64 bits
            return len(data) if length == 0 else at + int.from_bytes(data[at + 8 : at + 16], "big")
        at += length
    return at

"""Open HEIC and JPEG XL images with the packages of the extra `heic`, imported when the first such image is read."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib import import_module
from typing import Any, BinaryIO

import PIL.ImageFile

INSTALL = "pip install 'impasto[heic]'"
SUFFIXES = (".heic", ".heif", ".hif", ".jxl")
"""Suffixes of the formats that need the extra."""
SIGNATURE = 64
"""Bytes from the start of a file that determine its format."""
HEIC_BRANDS = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"))
"""Brands of files with HEVC images (ISO/IEC 23008-12, annex B)."""
HEIF_BRANDS = (b"mif1", b"msf1")
"""Brands of files with images in any codec; with the brand `avif` it is AV1, which Pillow reads."""
JXL_CODESTREAM = b"\xff\x0a"
JXL_CONTAINER = b"\0\0\0\x0cJXL \r\n\x87\n"
"""First bytes of a JPEG XL file without and with boxes (ISO/IEC 18181-2, clause 4)."""
HDR_TRANSFERS = {16: "PQ", 18: "HLG"}
"""Transfer functions of HDR images by number (ITU-T H.273, table 3)."""
RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
"""Aspect ratios, from 1, of the size in a JPEG XL header (ISO/IEC 18181-1, D.2)."""
SIZE_BITS = (9, 13, 18, 30)
"""Bits of a side in the header, by the selector before it."""


def format_of(start: bytes) -> str | None:
    """Return `HEIC` or `JPEG XL` for the first `SIGNATURE` bytes of such a file, None for other files."""
    if start.startswith((JXL_CODESTREAM, JXL_CONTAINER)):
        return "JPEG XL"
    if start[4:8] != b"ftyp":
        return None
    box = start[: int.from_bytes(start[:4], "big")]
    brands = [box[8:12], *(box[i : i + 4] for i in range(16, len(box), 4))]  # the major brand, and compatible ones
    if HEIC_BRANDS & set(brands) or (brands[0] in HEIF_BRANDS and not {b"avif", b"avis"} & set(brands)):
        return "HEIC"
    return None


def open_file(file: BinaryIO, name: str, check_size: Callable[[tuple[int, int]], None]) -> PIL.ImageFile.ImageFile:
    """Open a HEIC or JPEG XL image.

    Args:
        file: the open file, at its start.
        name: name of the file in messages.
        check_size: called with width and height before the pixels are decoded; raises `ValueError` if they are too
            large.

    Raises:
        ValueError: if the extra `heic` is not installed.
        Exception: whatever the packages raise for a corrupt file.
    """
    start = file.read(SIGNATURE)
    file.seek(0)
    kind = format_of(start)
    if kind == "HEIC":
        image_file = _imported("pillow_heif", kind, name).HeifImageFile
    else:
        image_file = _imported("pillow_jxl.JpegXLImagePlugin", str(kind), name).JXLImageFile
        check_size(jxl_size(file.read()))  # the plug-in decodes all pixels when it opens a file
        file.seek(0)
    picture: PIL.ImageFile.ImageFile = image_file(file)
    return picture


def warn_of_hdr(picture: PIL.ImageFile.ImageFile, name: str) -> None:
    """Warn where a HEIC image stores HDR colors without a color profile, which are read as if they were sRGB."""
    number: int = (picture.info.get("nclx_profile") or {}).get("transfer_characteristics", 0)
    transfer = HDR_TRANSFERS.get(number)
    if transfer is not None and not picture.info.get("icc_profile"):
        text = f"its HDR colors ({transfer}) are read as sRGB and look pale; export it as JPEG"
        warnings.warn(f"{name}: {text}", stacklevel=3)


def is_turned(picture: Any) -> bool:
    """Return whether an image was opened upright, so that its EXIF orientation must be ignored.

    HEIC and JPEG XL files store an orientation of their own, which the decoders apply. A JPEG XL file that contains
    a complete JPEG is decoded as this JPEG.
    """
    return picture.format == "HEIF" or (picture.format == "JXL" and not picture.jpeg)


def jxl_size(data: bytes) -> tuple[int, int]:
    """Return the width and height of a JPEG XL image in pixels, before its orientation is applied, from its header.

    Raises:
        ValueError: if the file has no header.

    >>> jxl_size(bytes.fromhex("ff0a0707"))
    (48, 32)
    """
    bits = _Bits(_codestream(data)[2:18])
    if bits.read(1):
        height = 8 * (bits.read(5) + 1)
        ratio = bits.read(3)
        width = 0 if ratio else 8 * (bits.read(5) + 1)
    else:
        height = bits.read(SIZE_BITS[bits.read(2)]) + 1
        ratio = bits.read(3)
        width = 0 if ratio else bits.read(SIZE_BITS[bits.read(2)]) + 1
    if ratio:
        numerator, denominator = RATIOS[ratio - 1]
        width = height * numerator // denominator
    return width, height


class _Bits:
    """Numbers in a row of bits, the lowest bit of a byte first."""

    def __init__(self, data: bytes) -> None:
        self._rest = int.from_bytes(data, "little")

    def read(self, count: int) -> int:
        """Return the number in the next bits."""
        value = self._rest & ((1 << count) - 1)
        self._rest >>= count
        return value


def _codestream(data: bytes) -> bytes:
    """Return the data from the start of the image data, which a box may contain."""
    if data.startswith(JXL_CODESTREAM):
        return data
    offset = 0
    while offset + 16 <= len(data):
        size, kind = int.from_bytes(data[offset : offset + 4], "big"), data[offset + 4 : offset + 8]
        header = 16 if size == 1 else 8  # a size of 1: 64 bits after the type
        size = int.from_bytes(data[offset + 8 : offset + 16], "big") if size == 1 else size or len(data)
        if kind in (b"jxlc", b"jxlp"):
            return data[offset + header + (4 if kind == b"jxlp" else 0) :]  # a part begins with its number
        offset += max(size, header)
    raise ValueError("it has no image data")


def _imported(module: str, kind: str, name: str) -> Any:
    try:
        return import_module(module)
    except ImportError:
        text = f"{kind} images need an extra; {INSTALL}, or export it as JPEG"
        raise ValueError(f"{name}: {text}") from None

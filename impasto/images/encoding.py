"""Write tensors to image files."""

from __future__ import annotations

import io
import os
import struct
import warnings
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import PIL.Image
import torch
from torch import Tensor

from impasto.files import check_replaceable, check_writable, reason, replaced_file
from impasto.images import hires, profiles, strip_writer
from impasto.images.metadata import NO_METADATA, Metadata, add_to_tiff, exif_block
from impasto.images.pixels import Bits, as_single_image, check_layout, quantize, white_level
from impasto.images.strip_writer import PNG_HEADER
from impasto.images.transparency import flatten
from impasto.types import Image

RECORD = "impasto"
"""Keyword of the PNG text chunk that contains the record of an image."""


@dataclass(frozen=True)
class _Format:
    name: str  # in Pillow
    alpha: bool = True
    deep: bool = False  # can store 16 bits per channel
    lossy: bool = False  # has a setting `quality`
    max_side: int = 2**31 - 1  # in pixels, as far as Pillow reads it again
    max_bytes: int | None = None  # of the pixels
    options: dict[str, Any] = field(default_factory=dict)


# Chroma at full resolution ("4:4:4") preserves thin colored strokes.
_JPEG = _Format("JPEG", alpha=False, lossy=True, max_side=65500, options={"subsampling": "4:4:4"})
_TIFF = _Format("TIFF", deep=True, max_bytes=2**32 - 2**20, options={"compression": "tiff_adobe_deflate"})
_FORMATS = {
    ".png": _Format("PNG", deep=True),
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".webp": _Format("WEBP", lossy=True, max_side=16383),
    ".tif": _TIFF,
    ".tiff": _TIFF,
    ".avif": _Format("AVIF", lossy=True, max_side=32768, options={"subsampling": "4:4:4"}),
    ".bmp": _Format("BMP", alpha=False, max_bytes=2**32 - 2**20),
}


def check_output(path: str | Path, bits: int = 8) -> None:
    """Check that `save_image` can write a file, before a long computation.

    Checks the suffix, the bit depth and the extra that it needs; creates the folder and a temporary file in it.

    Args:
        path: the image file.
        bits: bits per channel, 8 or 16.

    Raises:
        ValueError: if the file cannot be written.
    """
    check_replaceable(path)
    check_format(path, bits)
    check_writable(path)


def check_format(path: str | os.PathLike[str], bits: int = 8) -> None:
    """Check that images can be written as the format of a path; arguments and errors are those of `check_output`."""
    deep = white_level(bits) > 255
    supported = [suffix for suffix, each in _FORMATS.items() if each.deep or not deep]
    what = f"{str(path)!r} with {bits} bits per channel" if deep else repr(str(path))
    if Path(path).suffix.lower() not in supported:
        remedy = "; or write 8 bits" if deep else ""
        raise ValueError(f"cannot write {what}: its suffix must be one of {', '.join(supported)}{remedy}")
    if deep and hires.find_vips() is None:
        raise ValueError(f"cannot write {what} without pyvips: {hires.INSTALL}")


def check_shape(path: str | os.PathLike[str], shape: tuple[int, int], bits: int = 8) -> None:
    """Check that the format of a file can store an image of some size, before the image is computed.

    Args:
        path: the image file.
        shape: height and width in pixels.
        bits: bits per channel.

    Raises:
        ValueError: if a side is too long for the format, or the pixels take too many bytes.
    """
    check_format(path, bits)
    suffix = Path(path).suffix.lower()
    file_format = _FORMATS[suffix]
    size = f"cannot write {shape[1]} x {shape[0]} pixels as {suffix}"
    if max(shape) > file_format.max_side:
        raise ValueError(f"{size}: its limit is {file_format.max_side} pixels a side; give a smaller --size, or .png")
    max_bytes = None if strip_writer.writes(shape, suffix) else file_format.max_bytes  # no limit of a BigTIFF
    if max_bytes is not None and shape[0] * shape[1] * 4 * bits // 8 > max_bytes:
        raise ValueError(f"{size}: its limit is 4 GiB; give a smaller --size, or .png")


def save_image(
    image: Image,
    path: str | os.PathLike[str],
    *,
    alpha: Tensor | None = None,
    bits: Bits = 8,
    record: str | None = None,
    quality: int = 95,
    metadata: Metadata = NO_METADATA,
) -> None:
    """Write an image as PNG, JPEG, WebP, TIFF, AVIF or BMP, depending on the suffix.

    The file is written atomically. All formats except BMP carry the sRGB profile.

    Args:
        image: `(1, 3, H, W)` or `(3, H, W)`; clamped to [0, 1] and rounded to `bits`.
        path: the file.
        alpha: opacity `(1, 1, H, W)` in [0, 1]; JPEG and BMP cannot store it and show the image on white, with a
            warning.
        bits: bits per channel; 16 needs PNG or TIFF and the extra `hires`.
        record: JSON text that is stored in a PNG, see `read_record`; other formats omit it.
        quality: quality of JPEG, WebP and AVIF, 1 to 100.
        metadata: EXIF data and resolution; BMP stores only the resolution.

    Raises:
        ValueError: if an argument is invalid or the file cannot be written.
    """
    path = os.fspath(path)
    check_output(path, bits)
    suffix = Path(path).suffix.lower()
    options: dict[str, Any] = {"bits": bits, "record": record, "quality": quality, "metadata": metadata}
    with replaced_file(path) as file:
        write_image(file, image, suffix, alpha=alpha, **options)


def write_image(
    file: BinaryIO,
    image: Image,
    suffix: str,
    *,
    alpha: Tensor | None = None,
    bits: Bits = 8,
    record: str | None = None,
    quality: int = 95,
    metadata: Metadata = NO_METADATA,
) -> None:
    """Write an image into an open file of `replaced_file`; the other arguments and errors are those of `save_image`.

    With the extra `hires`, an image of more than `LARGE_PIXELS` pixels is written to PNG, JPEG and TIFF in strips, so
    that no copy of it is made in memory.
    """
    options: dict[str, Any] = {"bits": bits, "record": record, "quality": quality, "metadata": metadata}
    _check_quality(quality)
    check_layout(image)
    if strip_writer.writes(image.shape, suffix):
        _write_in_strips(file, image, alpha, suffix, **options)
    else:
        file.write(encode_image(image, suffix, alpha=alpha, **options))


def _write_in_strips(
    file: BinaryIO,
    image: Image,
    alpha: Tensor | None,
    suffix: str,
    *,
    bits: Bits,
    record: str | None,
    quality: int,
    metadata: Metadata,
) -> None:
    shape = (image.shape[-2], image.shape[-1])
    inserted = b""
    if suffix == ".png":
        inserted += b"" if record is None else _record_chunk(record)
        inserted += _chunk(b"eXIf", exif_block(metadata, shape)) if metadata.has_exif else b""
    elif metadata.has_exif and suffix not in strip_writer.TIFF_SUFFIXES:
        exif = b"Exif\0\0" + exif_block(metadata, shape)
        inserted = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif  # segment APP1
    opacity = _opacity(image, alpha, suffix)
    layers = [each.reshape(-1, *shape) for each in (image, opacity) if each is not None]
    strip_writer.write(file, *layers, suffix=suffix, bits=bits, quality=quality, dpi=metadata.dpi, inserted=inserted)
    if metadata.has_exif and suffix in strip_writer.TIFF_SUFFIXES:
        with open(file.name, "r+b") as written:
            add_to_tiff(written, metadata, shape)


def encode_image(
    image: Image,
    suffix: str,
    *,
    alpha: Tensor | None = None,
    bits: Bits = 8,
    record: str | None = None,
    quality: int = 95,
    metadata: Metadata = NO_METADATA,
) -> bytes:
    """Return an image as the content of a file with this suffix; arguments and errors are those of `save_image`."""
    _check_quality(quality)
    levels = _to_levels(_with_alpha(as_single_image(image), alpha, suffix), bits)  # (H, W, 3 or 4)
    try:
        data = _encode_deep(levels, suffix, metadata) if bits == 16 else _encode(levels, suffix, quality, metadata)
    except Exception as error:  # usually a side too long for the format; each library has its own exceptions
        what = f"{levels.shape[1]} x {levels.shape[0]} pixels as {suffix}"
        raise ValueError(f"cannot write {what}: {reason(error)}; try .tif") from error
    if record is not None and suffix == ".png":
        return _inserted(data, _record_chunk(record))
    return data


def _check_quality(quality: int) -> None:
    if not 1 <= quality <= 100:
        raise ValueError(f"quality must be 1 to 100, not {quality}")


def to_pil(image: Image, alpha: Tensor | None = None) -> PIL.Image.Image:
    """Return an image as an 8-bit image of Pillow, RGB, or RGBA if there is transparency.

    Args:
        image: `(1, 3, H, W)`; clamped to [0, 1].
        alpha: opacity `(1, 1, H, W)` in [0, 1].
    """
    return PIL.Image.fromarray(_to_levels(_with_alpha(image, alpha, ".png"), 8))


def _to_levels(image: Tensor, bits: Bits) -> np.ndarray:
    """Convert `(1, C, H, W)` to integers `(H, W, C)`, uint8 or uint16."""
    values = quantize(image, bits)[0].permute(1, 2, 0).contiguous().cpu().numpy()
    levels: np.ndarray = np.rint(values * white_level(bits)).astype(np.uint8 if bits == 8 else np.uint16)
    return levels


def _with_alpha(image: Image, alpha: Tensor | None, suffix: str) -> Tensor:
    """Return `(1, 4, H, W)` if there is transparency and the format of the suffix can store it, else `(1, 3, H, W)`."""
    opacity = _opacity(image, alpha, suffix)
    if opacity is None:
        return image
    opacity = as_single_image(opacity, channels=1).to(image.device).clamp(0, 1)
    return torch.cat([image, opacity], dim=1) if _FORMATS[suffix].alpha else flatten(image, opacity)


def _opacity(image: Image, alpha: Tensor | None, suffix: str) -> Tensor | None:
    """Return the opacity if there is transparency; warn if the format of the suffix cannot store it."""
    if alpha is None:
        return None
    check_layout(alpha, channels=1)
    if alpha.shape[-2:] != image.shape[-2:]:
        sizes = f"{tuple(alpha.shape)} and {tuple(image.shape)}"
        raise ValueError(f"alpha and image must have the same height and width, not {sizes}")
    if alpha.min() >= 1:
        return None
    if not _FORMATS[suffix].alpha:
        warnings.warn(f"{suffix} cannot store transparency: the image is shown on white", stacklevel=5)
    return alpha


def _encode(levels: np.ndarray, suffix: str, quality: int, metadata: Metadata) -> bytes:
    """Encode uint8 levels `(H, W, 3)`, or `(H, W, 4)` with alpha."""
    file_format, shape = _FORMATS[suffix], levels.shape[:2]
    options = file_format.options | ({"quality": quality} if file_format.lossy else {})
    if metadata.dpi is not None:
        options["dpi"] = metadata.dpi
    # WebP and AVIF have no field of their own for the resolution.
    has_exif = metadata.has_exif or (metadata.dpi is not None and file_format.name in ("WEBP", "AVIF"))
    if has_exif and file_format.name != "TIFF":
        # Pillow writes the texts of an AVIF with an orientation again, and loses their accents.
        options["exif"] = b"Exif\0\0" + exif_block(metadata, shape, with_orientation=file_format.name != "AVIF")
    file = io.BytesIO()
    PIL.Image.fromarray(levels).save(file, file_format.name, icc_profile=profiles.srgb(), **options)
    if has_exif and file_format.name == "TIFF":
        add_to_tiff(file, metadata, shape)
    return file.getvalue()


def _encode_deep(levels: np.ndarray, suffix: str, metadata: Metadata) -> bytes:
    """Encode uint16 levels `(H, W, 3)`, or `(H, W, 4)` with alpha; libvips does not write EXIF data into a TIFF."""
    data = hires.encode(levels, suffix, metadata.dpi)
    if not metadata.has_exif:
        return data
    if suffix == ".png":
        return _inserted(data, _chunk(b"eXIf", exif_block(metadata, levels.shape[:2])))
    file = io.BytesIO(data)
    add_to_tiff(file, metadata, levels.shape[:2])
    return file.getvalue()


def replace_record(png: bytes, record: str) -> bytes:
    """Return the bytes of a PNG from `encode_image` with another record."""
    rest = PNG_HEADER
    length, kind = struct.unpack(">I4s", png[rest : rest + 8])
    has_record = kind == b"iTXt" and png[rest + 8 :].startswith(RECORD.encode() + b"\0")
    return _inserted(png[:rest] + png[rest + 12 + length :] if has_record else png, _record_chunk(record))


def _record_chunk(record: str) -> bytes:
    """Return an uncompressed iTXt chunk (PNG specification, 11.3.3.4)."""
    # The five zeros: end of keyword, not compressed, compression method, no language, no translated keyword.
    return _chunk(b"iTXt", RECORD.encode() + bytes(5) + record.encode())


def _chunk(kind: bytes, body: bytes) -> bytes:
    """Return a chunk of a PNG."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _inserted(png: bytes, chunk: bytes) -> bytes:
    """Return the bytes of a PNG with a chunk after its header."""
    return png[:PNG_HEADER] + chunk + png[PNG_HEADER:]

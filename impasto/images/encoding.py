"""From a tensor to a picture file."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import torch
from torch import Tensor

from impasto.files import check_writable, reason, write_atomically
from impasto.images import hires, profiles
from impasto.images.pixels import Bits, one_picture, quantize, steps
from impasto.types import Image

RECORD = "impasto"
"""Keyword of the PNG text that holds a picture's record."""


@dataclass(frozen=True)
class _Format:
    name: str  # in Pillow
    alpha: bool = True
    deep: bool = False
    lossy: bool = False  # takes `quality`
    options: dict[str, Any] = field(default_factory=dict)


# Full-size chroma ("4:4:4") keeps thin colored strokes.
_JPEG = _Format("JPEG", alpha=False, lossy=True, options={"subsampling": "4:4:4"})
_TIFF = _Format("TIFF", deep=True, options={"compression": "tiff_adobe_deflate"})
_FORMATS = {
    ".png": _Format("PNG", deep=True),
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".webp": _Format("WEBP", lossy=True),
    ".tif": _TIFF,
    ".tiff": _TIFF,
    ".avif": _Format("AVIF", lossy=True, options={"subsampling": "4:4:4"}),
    ".bmp": _Format("BMP", alpha=False),
}


def check_output(path: str | Path, bits: int = 8) -> None:
    """Raise `ValueError` if `save_image` could not write `path`: better before hours of painting than after.

    Looks at the suffix, the depth and its extra, creates the folder and tries it.
    """
    deep = steps(bits) > 255
    able = [suffix for suffix, form in _FORMATS.items() if form.deep or not deep]
    what = f"{str(path)!r} with {bits} bits a channel" if deep else repr(str(path))
    if Path(path).suffix.lower() not in able:
        raise ValueError(f"cannot write {what}: its suffix must be one of {', '.join(able)}")
    if deep and hires.find_vips() is None:
        raise ValueError(f"cannot write {what} without pyvips: {hires.INSTALL}")
    check_writable(path)


def save_image(
    image: Image,
    path: str | Path,
    *,
    alpha: Tensor | None = None,
    bits: Bits = 8,
    record: str | None = None,
    quality: int = 95,
) -> None:
    """Write `(1, 3, H, W)` or `(3, H, W)` as PNG, JPEG, WebP, TIFF, AVIF or BMP, by the suffix of `path`.

    The file appears whole or not at all. Values are clamped to [0, 1] and rounded to `bits` (16: PNG and
    TIFF, with the extra `hires`). `alpha` is `(1, 1, H, W)`; JPEG and BMP lay the picture on white instead,
    with a warning. `record` (JSON) goes into a PNG, see `read_record`; other formats leave it out. `quality`
    (1 to 100) is that of JPEG, WebP and AVIF. All but BMP carry the sRGB profile. Raises `ValueError` for
    anything that is wrong.
    """
    check_output(path, bits)
    if not 1 <= quality <= 100:
        raise ValueError(f"quality must be 1 to 100, not {quality}")
    suffix = Path(path).suffix.lower()
    picture = _with_alpha(one_picture(image), alpha, path)
    levels = quantize(picture, bits)[0].permute(1, 2, 0).cpu().numpy() * steps(bits)  # (H, W, 3 or 4)
    levels = np.rint(levels).astype(np.uint8 if bits == 8 else np.uint16)
    try:
        data = hires.encode(levels, suffix) if bits == 16 else _encode(levels, suffix, quality)
    except Exception as error:  # mostly a side that the format cannot hold; each library has its own exceptions
        what = f"{levels.shape[1]} x {levels.shape[0]} pixels as {suffix}"
        raise ValueError(f"cannot write {what}: {reason(error)}; try .tif") from error
    if record is not None and suffix == ".png":
        data = _with_record(data, record)
    write_atomically(path, data)


def _with_alpha(picture: Image, alpha: Tensor | None, path: str | Path) -> Tensor:
    """`(1, 4, H, W)` where alpha says something and the format holds it, else `(1, 3, H, W)`."""
    if alpha is None:
        return picture
    alpha = one_picture(alpha, channels=1).to(picture.device).clamp(0, 1)
    if alpha.shape[-2:] != picture.shape[-2:]:
        sizes = f"{tuple(alpha.shape)} and {tuple(picture.shape)}"
        raise ValueError(f"alpha and picture must have the same height and width, not {sizes}")
    if bool((alpha == 1).all()):
        return picture
    if _FORMATS[Path(path).suffix.lower()].alpha:
        return torch.cat([picture, alpha], dim=1)
    warnings.warn(f"{str(path)!r} cannot hold transparency: the picture was laid on white", stacklevel=3)
    return picture * alpha + (1 - alpha)


def _encode(levels: np.ndarray, suffix: str, quality: int) -> bytes:
    """The bytes of an 8-bit file; levels `(H, W, 3)`, or `(H, W, 4)` with alpha, uint8."""
    form = _FORMATS[suffix]
    options = form.options | ({"quality": quality} if form.lossy else {})
    file = io.BytesIO()
    PIL.Image.fromarray(levels).save(file, form.name, icc_profile=profiles.srgb(), **options)
    return file.getvalue()


def _with_record(png: bytes, record: str) -> bytes:
    """`png` with an uncompressed iTXt chunk (PNG specification, 11.3.3.4) after its header."""
    # The five zeros: end of keyword, not compressed, method, no language, no translated keyword.
    body = b"iTXt" + RECORD.encode() + bytes(5) + record.encode()
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    header = 8 + 25  # signature and IHDR
    return png[:header] + chunk + png[header:]

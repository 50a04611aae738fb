"""Write large images with pyvips (the extra `hires`), strip by strip from the tensor to the file."""

from __future__ import annotations

import errno
import math
import struct
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, BinaryIO

from torch import Tensor

from impasto.files import reason
from impasto.images import hires
from impasto.images.in_files import is_large, release_pages
from impasto.images.pixels import Bits, white_level

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
TIFF_SUFFIXES = (".tif", ".tiff")
LARGEST_TIFF = 2**32 - 2**24
"""Bytes of the pixels up to which a TIFF has offsets of 32 bits; with more it is a BigTIFF."""
JPEG_HEADER = 20
"""Bytes of a JPEG before its second segment: the marker of its start, and JFIF."""
JFIF = b"\xff\xe0"
"""Marker of the segment JFIF."""
ROWS = 256
"""Rows that are checked at a time."""
PNG_HEADER = 8 + 25
"""Bytes of a PNG before its second chunk: the signature and IHDR."""


def writes(shape: Sequence[int], suffix: str) -> bool:
    """Return whether an image of a shape is written in strips as the format of a suffix."""
    return is_large(shape) and suffix in SUFFIXES and hires.find_vips() is not None


def write(
    file: BinaryIO,
    planes: Tensor,
    suffix: str,
    *,
    bits: Bits,
    quality: int,
    dpi: tuple[float, float] | None,
    inserted: bytes = b"",
) -> None:
    """Write an image into a file that is open for writing.

    Args:
        file: the file; a TIFF must have a name.
        planes: RGB, with alpha as a fourth channel if there is any, `(C, H, W)`, float32 on the CPU; clamped to [0, 1].
        suffix: one of `SUFFIXES`; JPEG has no alpha.
        bits: bits per channel, 8 with JPEG.
        quality: quality of a JPEG.
        dpi: pixels per inch, horizontally and vertically.
        inserted: chunks of a PNG after its header, or segments of a JPEG after JFIF.

    Raises:
        ValueError: if the image contains NaN or infinity.
        OSError: if the file cannot be written.
    """
    _check_finite(planes)
    vips = hires.find_vips()
    image = _releasing_pages(hires.described(_levels(planes, bits, vips), dpi))
    try:
        if suffix in TIFF_SUFFIXES:
            _save_tiff(image, file.name, planes.numel() * bits // 8)
        elif suffix == ".png":
            target = _Target(file, PNG_HEADER, partial(_png_head, inserted))
            target.save(image.pngsave_target, bitdepth=bits, keep="icc", filter="all")
        else:
            target = _Target(file, JPEG_HEADER, partial(_jpeg_head, inserted, dpi))
            target.save(image.jpegsave_target, Q=quality, subsample_mode="off", keep="icc")
    except vips.Error as error:
        number = errno.ENOSPC if "No space" in str(error) else errno.EIO
        raise OSError(number, reason(error)) from error


def _releasing_pages(image: Any) -> Any:
    """Return an image of pyvips that releases the pages of all large images while it is written."""
    image.set_progress(True)
    image.signal_connect("eval", lambda *_: release_pages())
    return image


def _save_tiff(image: Any, path: str, size: int) -> None:
    """Write an image of pyvips, whose pixels take `size` bytes, as a TIFF of tiles."""
    options = {"compression": "deflate", "predictor": "horizontal", "tile": True, "tile_width": 256, "tile_height": 256}
    image.tiffsave(path, bigtiff=size > LARGEST_TIFF, **options)


class _Target:
    """A file as the target of pyvips that replaces the first bytes."""

    def __init__(self, file: BinaryIO, length: int, replace: Callable[[bytes], bytes]) -> None:
        self._file, self._length, self._replace = file, length, replace
        self._head: bytes | None = b""
        self._error: OSError | None = None

    def save(self, save: Any, **options: Any) -> None:
        """Save an image with a function of pyvips that takes a target."""
        target = hires.find_vips().TargetCustom()
        target.on_write(self._write)
        try:
            save(target, **options)
        finally:
            if self._error is not None:
                raise self._error

    def _write(self, data: Any) -> int:
        """Write some bytes; an error must not leave this function, which a library calls."""
        try:
            if self._head is None:
                self._file.write(data)
            else:
                self._head += bytes(data)
                if len(self._head) >= self._length:
                    self._file.write(self._replace(self._head))
                    self._head = None
        except OSError as error:
            self._error = error
            return -1
        return len(data)


def _png_head(chunks: bytes, head: bytes) -> bytes:
    """Return the first bytes of a PNG with more chunks after its header."""
    return head[:PNG_HEADER] + chunks + head[PNG_HEADER:]


def _jpeg_head(segments: bytes, dpi: tuple[float, float] | None, head: bytes) -> bytes:
    """Return the first bytes of a JPEG with the segment JFIF, which libvips does not always write, and more of them."""
    rest = head[JPEG_HEADER:] if head[2:4] == JFIF else head[2:]
    x, y = (round(each) for each in dpi or (1, 1))
    jfif = JFIF + struct.pack(">H5s2sBHHBB", 16, b"JFIF\0", b"\1\1", 0 if dpi is None else 1, x, y, 0, 0)
    return head[:2] + jfif + segments + rest


def _check_finite(planes: Tensor) -> None:
    """Raise `ValueError` for NaN or infinity, without a copy of the planes."""
    for top in range(0, planes.shape[1], ROWS):
        if not all(math.isfinite(each) for each in planes[:, top : top + ROWS].aminmax()):
            raise ValueError("the image contains NaN or infinity, which no file can store")
        release_pages()


def _levels(planes: Tensor, bits: Bits, vips: Any) -> Any:
    """Return an image of pyvips that quantizes planes when it is read, as `quantize` does."""
    bands = [_plane(each, vips) for each in planes]
    joined = bands[0].bandjoin(bands[1:]) * white_level(bits)
    kind, name = ("uchar", "srgb") if bits == 8 else ("ushort", "rgb16")
    return joined.rint().cast(kind).copy(interpretation=name)


def _plane(plane: Tensor, vips: Any) -> Any:
    height, width = plane.shape
    return vips.Image.new_from_memory(plane.contiguous().numpy().data, width, height, 1, "float")

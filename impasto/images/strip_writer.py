"""Write large images with pyvips (the extra `hires`), strip by strip from the tensor to the file."""

from __future__ import annotations

import errno
import math
import os
import struct
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from typing import Any, BinaryIO

import torch
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
INTERVAL = 0.2
"""Seconds after which Ctrl-C ends the writing; on Windows, it ends no wait without a limit."""
PNG_HEADER = 8 + 25
"""Bytes of a PNG before its second chunk: the signature and IHDR."""


def writes(shape: Sequence[int], suffix: str) -> bool:
    """Return whether an image of a shape is written in strips as the format of a suffix."""
    return is_large(shape) and suffix in SUFFIXES and hires.find_vips() is not None


def write(
    file: BinaryIO,
    colors: Tensor,
    alpha: Tensor | None = None,
    *,
    suffix: str,
    bits: Bits,
    quality: int,
    dpi: tuple[float, float] | None,
    inserted: bytes = b"",
) -> None:
    """Write an image into a file that is open for writing.

    Args:
        file: the file; a TIFF must have a name.
        colors: RGB `(3, H, W)`, floating point; clamped to [0, 1].
        alpha: opacity `(1, H, W)` in [0, 1]; a JPEG shows the image on white.
        suffix: one of `SUFFIXES`.
        bits: bits per channel, 8 with JPEG.
        quality: quality of a JPEG.
        dpi: pixels per inch, horizontally and vertically.
        inserted: chunks of a PNG after its header, or segments of a JPEG after JFIF.

    Raises:
        ValueError: if the image contains NaN or infinity.
        OSError: if the file cannot be written.
    """
    vips = hires.find_vips()
    image = _levels(colors, alpha, bits, vips, on_white=suffix not in (*TIFF_SUFFIXES, ".png"))
    image = _releasing_pages(hires.described(image, dpi))
    if suffix in TIFF_SUFFIXES:
        save = partial(_save_tiff, image, file.name, image.width * image.height * image.bands * bits // 8)
    elif suffix == ".png":
        target = _Target(file, PNG_HEADER, partial(_png_head, inserted))
        save = partial(target.save, image.pngsave_target, bitdepth=bits, keep="icc", filter="all")
    else:
        target = _Target(file, JPEG_HEADER, partial(_jpeg_head, inserted, dpi))
        save = partial(target.save, image.jpegsave_target, Q=quality, subsample_mode="off", keep="icc")
    _save_in_thread(save, image)


def _releasing_pages(image: Any) -> Any:
    """Return an image of pyvips that releases the pages of all large images while it is written."""
    image.set_progress(True)
    image.signal_connect("eval", lambda *_: release_pages())
    return image


def _save_in_thread(save: Callable[[], None], image: Any) -> None:
    """Save an image of pyvips in a thread: Ctrl-C would be lost in a function that the library calls."""
    with ThreadPoolExecutor(1) as executor:
        executor.submit(int).result()  # an executor does not wait for a thread during whose start Ctrl-C was pressed
        try:
            saved = executor.submit(save)
            while not wait([saved], INTERVAL).done:
                pass
        except BaseException:
            image.set_kill(True)
            raise
    try:
        saved.result()
    except hires.find_vips().Error as error:
        number = errno.ENOSPC if "No space" in str(error) else errno.EIO
        raise OSError(number, reason(error)) from error


def _save_tiff(image: Any, path: str, size: int) -> None:
    """Write an image of pyvips, whose pixels take `size` bytes, as a TIFF of tiles."""
    options = {"compression": "deflate", "predictor": "horizontal", "tile": True, "tile_width": 256, "tile_height": 256}
    # The path as bytes: its name may have no encoding.
    image.tiffsave(os.fsencode(path), bigtiff=size > LARGEST_TIFF, **options)


class _Target:
    """A file as the target of pyvips that replaces the first bytes."""

    def __init__(self, file: BinaryIO, length: int, replace: Callable[[bytes], bytes]) -> None:
        self._file, self._length, self._replace = file, length, replace
        self._head: bytes | None = b""
        self._error: OSError | None = None
        self._is_open = True

    def save(self, save: Any, **options: Any) -> None:
        """Save an image with a function of pyvips that takes a target."""
        target = hires.find_vips().TargetCustom()
        target.on_write(self._write)
        try:
            save(target, **options)
        finally:
            self._is_open = False
            if self._error is not None:
                raise self._error

    def _write(self, data: Any) -> int:
        """Write some bytes; an error must not leave this function, which a library calls."""
        if not self._is_open:  # the library writes the rest of its buffer when a target is freed
            return -1
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


def _levels(colors: Tensor, alpha: Tensor | None, bits: Bits, vips: Any, *, on_white: bool) -> Any:
    """Return an image of pyvips that quantizes an image when it is read, as `quantize` does."""
    red, green, blue = (_plane(each, vips) for each in colors)
    image = red.bandjoin([green, blue])
    if alpha is not None:
        opacity = _plane(alpha[0], vips)
        image = image * opacity + (1 - opacity) if on_white else image.bandjoin(opacity)
    kind, name = ("uchar", "srgb") if bits == 8 else ("ushort", "rgb16")
    return (image * white_level(bits)).rint().cast(kind).copy(interpretation=name)


def _plane(plane: Tensor, vips: Any) -> Any:
    """Return a plane `(H, W)` as an image of pyvips, float32; raise `ValueError` for NaN or infinity."""
    plane = plane.detach().to("cpu", torch.float32).contiguous()  # no copy of a large image, which is so already
    for rows in torch.split(plane, ROWS):
        if not all(math.isfinite(each) for each in rows.aminmax()):
            raise ValueError("the image contains NaN or infinity, which no file can store")
        release_pages()
    height, width = plane.shape
    return vips.Image.new_from_memory(plane.numpy().data, width, height, 1, "float")

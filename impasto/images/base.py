"""Read image files into tensors.

Only this package reads and writes image files: `decoding` turns the bytes of a file into pixels, `encoding` a tensor
into a file, `profiles` converts colors to sRGB, `hires` handles 16 bits per channel and `pixels` images in memory.
"""

from __future__ import annotations

import hashlib
import io
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import PIL.Image
from torch import Tensor

from impasto.files import reason
from impasto.images import decoding
from impasto.images.arrays import array_pixels, levels_to_tensor
from impasto.images.encoding import RECORD
from impasto.images.in_files import folder_of_large_images, is_large, is_planned
from impasto.images.metadata import NO_METADATA, Metadata, read_metadata
from impasto.images.pixels import Bits, as_single_image, check_range, fit, resize
from impasto.images.strips import StripReader
from impasto.images.transparency import fill_hidden
from impasto.types import Image

MIN_SIDE = 16
"""Smallest side in pixels that is stylized or graded: deep layers have no positions left below it."""
MAX_PIXELS = 200_000_000
"""Largest number of pixels that is decoded by default; as float32 this takes 2.4 GB."""

Source = str | os.PathLike[str] | BinaryIO | PIL.Image.Image | np.ndarray | Tensor
"""A file, or a picture in memory."""


@dataclass(frozen=True, eq=False)
class Picture:
    """An image at its original size, upright and in sRGB, with its identity."""

    image: Image
    """Colors `(1, 3, H, W)`, not multiplied by alpha."""
    alpha: Tensor | None
    """Opacity `(1, 1, H, W)` in [0, 1], or None if the image is fully opaque."""
    name: str
    """File name, or "PIL image", "array", "tensor" or "stream"."""
    sha256: str
    """SHA-256 of the file, or of the pixel data of a PIL image, array or tensor."""
    metadata: Metadata = NO_METADATA
    """EXIF data and resolution of the file or of the PIL image."""
    reduced_from: tuple[int, int] | None = None
    """Height and width in pixels of a very large file that was reduced while it was read; None: the image has them."""

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels, of the file if there is one."""
        return self.reduced_from or (self.image.shape[-2], self.image.shape[-1])


def open_picture(source: Source, *, max_pixels: int = MAX_PIXELS, longer_side: int | None = None) -> Picture:
    """Open an image file, or convert a PIL image, an array or a tensor.

    Applies the EXIF orientation and the color profile, keeps 16 bits per channel (RGB needs the extra `hires`;
    without it a warning is issued) and uses the first frame of an animation.

    With the extra `hires`, a file of more than `strips.REDUCED_PIXELS` pixels is reduced to the size that is needed
    while it is read, so that it never is in memory as a whole. In a block of `large_images_in`, one of more than
    `LARGE_PIXELS` that is needed at its own size is an image in a temporary file, or reduced if it is only planned.

    Args:
        source: a path; an open binary file or stream; a PIL image; an array `(H, W)` or `(H, W, C)`, as for
            `array_pixels`; or a float tensor `(3, H, W)` or `(1, 3, H, W)` in [0, 1].
        max_pixels: largest accepted number of pixels; checked before the image is decoded.
        longer_side: longer side in pixels that is needed of a very large file. Default: its own size.

    Raises:
        ValueError: if the source cannot be read, is too large or has the wrong shape, type or range.
    """
    if isinstance(source, Tensor):
        image = as_single_image(source).clone()
        check_range(image)
        digest = hashlib.sha256(image.cpu().contiguous().numpy().data)
        return Picture(image, None, "tensor", digest.hexdigest())
    if isinstance(source, PIL.Image.Image):
        pixels = decoding.decode(source, "PIL image", max_pixels)
        return _picture(pixels, "PIL image", source.tobytes(), _metadata_of(source))
    if isinstance(source, np.ndarray):
        decoding.check_size(source.shape[1::-1] if source.ndim > 1 else (0, 0), "array", max_pixels)
        return _picture(array_pixels(source), "array", source.tobytes())
    if isinstance(source, str | os.PathLike):
        path = Path(os.fsdecode(source))
        return _open_in_strips(path, longer_side, max_pixels) or _open_whole(path, max_pixels)
    if hasattr(source, "read"):
        name = _stream_name(source)
        data, pixels, metadata = decoding.read(_seekable(source), name, max_pixels)
        return _picture(pixels, name, data, metadata)
    kinds = "a path, an open file, a PIL image, an array or a tensor"
    raise ValueError(f"an image must be {kinds}, not {type(source).__name__}")


def load_image(source: Source, *, size: int | None = None, max_pixels: int = MAX_PIXELS) -> Image:
    """Return the colors of an image as `(1, 3, H, W)`, float32 in [0, 1].

    Transparent pixels have the colors of the visible pixels around them (`fill_hidden`), whatever the file stores for
    them. `open_picture` returns the stored colors, and the opacity.

    Args:
        source: as for `open_picture`.
        size: length of the longer side in pixels after resizing. Default: the original size.
        max_pixels: as for `open_picture`.

    Raises:
        ValueError: as for `open_picture`.
    """
    picture = open_picture(source, max_pixels=max_pixels, longer_side=size)
    image = fill_hidden(picture.image, picture.alpha)
    height, width = image.shape[-2:]
    return image if size is None else resize(image, fit((height, width), size))


def read_record(path: str | Path) -> str | None:
    """Return the record that `save_image` stored in a PNG file, or None if it has none.

    Raises:
        ValueError: as for `open_picture`.
    """
    with _opened(path) as file:
        return decoding.read_text(file, repr(str(path)), RECORD, MAX_PIXELS)


def read_depth_and_location(path: str | Path, max_pixels: int = MAX_PIXELS) -> tuple[Bits, bool]:
    """Return the bits per channel of an image file, and whether its EXIF data have a location; its pixels are not read.

    Args:
        path: the file.
        max_pixels: as for `open_picture`.

    Raises:
        ValueError: as for `open_picture`.
    """
    with _opened(path) as file:
        header = decoding.read_header(file, repr(str(path)), max_pixels)
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            metadata = read_metadata(header.info, data)
    return 16 if decoding.loses_depth(header) else 8, bool(metadata.location)


def _open_whole(path: Path, max_pixels: int) -> Picture:
    with _opened(path) as file:
        data, pixels, metadata = decoding.read(file, repr(str(path)), max_pixels)
    return _picture(pixels, path.name, data, metadata)


def _open_in_strips(path: Path, longer_side: int | None, max_pixels: int) -> Picture | None:
    """Return a large file, reduced or in a temporary file; None where `open_picture` reads it into memory."""
    if longer_side is None and folder_of_large_images() is None:
        return None
    with _opened(path) as file:
        reader = StripReader.open(path, file, repr(str(path)), max_pixels)
        if reader is None:
            return None
        if longer_side is not None and longer_side < max(reader.shape):
            (image, alpha), reduced_from = reader.read(longer_side), reader.shape
        elif is_large(reader.shape) and is_planned():
            image, alpha, reduced_from = reader.read_planned(), None, reader.shape
        elif is_large(reader.shape) and folder_of_large_images() is not None:
            image, alpha, reduced_from = reader.read_large(), None, None
        else:
            return None
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            metadata, digest = read_metadata(reader.header.info, data), hashlib.sha256(data)
    return Picture(image, _unless_opaque(alpha), path.name, digest.hexdigest(), metadata, reduced_from)


@contextmanager
def _opened(path: str | Path) -> Iterator[BinaryIO]:
    """Open a regular file for reading; raise `ValueError` instead of `OSError`."""
    name = repr(str(path))
    try:
        if Path(path).is_dir():
            raise ValueError(f"{name}: it is a folder; give {decoding.READABLE} file")
        if Path(path).exists() and not Path(path).is_file():
            raise ValueError(f"{name}: it is not a regular file; give {decoding.READABLE} file")
        with open(path, "rb") as file:
            if Path(path).suffix.lower() in decoding.CLIP_SUFFIXES and not decoding.is_image(Path(path)):
                raise ValueError(f"{name}: it is a clip; give an image, or stylize the clip with `impasto video`")
            yield file
    except OSError as error:
        text = f"it cannot be read: {reason(error)}"
        raise ValueError(f"{name}: {text}; give {decoding.READABLE} file") from error


def _stream_name(stream: BinaryIO) -> str:
    """Return the file name of an open file, or `stream`."""
    return Path(stream.name).name if hasattr(stream, "name") and isinstance(stream.name, str) else "stream"


def _seekable(stream: BinaryIO) -> BinaryIO:
    """Return a stream that can be read again from its start, which Pillow needs; raise `ValueError` for text."""
    if not isinstance(stream.read(0), bytes):
        raise ValueError('an image file must be opened in binary mode, as in open(path, "rb")')
    file = stream if stream.seekable() else io.BytesIO(stream.read())
    file.seek(0)
    return file


def _metadata_of(image: PIL.Image.Image) -> Metadata:
    """Return the metadata of a PIL image; one that comes from a TIFF has no EXIF data in `info`."""
    info = dict(image.info)
    if not info.get("exif"):
        with suppress(Exception):  # corrupt EXIF data are left out
            info["exif"] = image.getexif().tobytes()
    return read_metadata(info)


def _picture(pixels: decoding.Pixels, name: str, data: bytes, metadata: Metadata = NO_METADATA) -> Picture:
    image, alpha = (None if levels is None else levels_to_tensor(levels) for levels in pixels)
    assert image is not None
    return Picture(image, _unless_opaque(alpha), name, hashlib.sha256(data).hexdigest(), metadata)


def _unless_opaque(alpha: Tensor | None) -> Tensor | None:
    return None if alpha is None or bool((alpha == 1).all()) else alpha

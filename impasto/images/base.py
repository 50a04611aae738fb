"""Picture files to tensors and back: the only place that knows them.

Around it: `decoding` (a file's bytes to pixels), `encoding` (a tensor to a file), `profiles` (colors to
sRGB), `hires` (16 bits a channel), `pixels` (arithmetic of pictures in memory) and `files` (a file appears
whole or not at all).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import PIL.Image
import torch
from torch import Tensor

from impasto.files import reason
from impasto.images import decoding
from impasto.images.encoding import RECORD
from impasto.images.pixels import check_range, fit, one_picture, resize
from impasto.types import Image

MIN_SIDE = 16
"""Pictures with a shorter side, in pixels, are neither painted nor graded: deep layers would see nothing."""
MAX_PIXELS = 200_000_000
"""Pictures with more pixels are refused before they are decoded; this many take 2.4 GB as float32."""

Source = str | Path | PIL.Image.Image | Tensor


@dataclass(frozen=True)
class Picture:
    """A picture as it was given: full size, upright, in sRGB."""

    image: Image
    """Colors `(1, 3, H, W)`, not multiplied by alpha."""
    alpha: Tensor | None
    """Opacity `(1, 1, H, W)` in [0, 1], or None where the picture is opaque everywhere."""
    name: str
    """The file's name, or "PIL image" or "tensor"."""
    sha256: str
    """Of the file's bytes; of the pixels' bytes for what was no file."""


def open_picture(source: Source, *, max_pixels: int = MAX_PIXELS) -> Picture:
    """Open a picture file, or take a PIL image or a float tensor `(3, H, W)` or `(1, 3, H, W)` in [0, 1].

    Applies the EXIF orientation and the color profile, keeps 16 bits a channel (RGB needs the extra `hires`,
    else it warns) and takes the first frame of several. Raises `ValueError`, in one line, for anything that
    is wrong.
    """
    if isinstance(source, Tensor):
        image = one_picture(source).clone()
        check_range(image)
        digest = hashlib.sha256(image.cpu().contiguous().numpy().data)
        return Picture(image, None, "tensor", digest.hexdigest())
    if isinstance(source, PIL.Image.Image):
        pixels = decoding.decode(source, "PIL image", max_pixels)
        return _picture(pixels, "PIL image", source.tobytes())
    if not isinstance(source, str | Path):
        raise ValueError(f"a picture must be a path, a PIL image or a tensor, not {type(source).__name__}")
    with _opened(source) as file:
        data, pixels = decoding.read(file, repr(str(source)), max_pixels)
    return _picture(pixels, Path(source).name, data)


def load_image(source: Source, *, size: int | None = None, max_pixels: int = MAX_PIXELS) -> Image:
    """The colors of a picture as `(1, 3, H, W)`, its longer side resized to `size` pixels.

    Takes, refuses and converts what `open_picture` does; transparent places keep the colors stored there.
    """
    image = open_picture(source, max_pixels=max_pixels).image
    height, width = image.shape[-2:]
    return image if size is None else resize(image, fit((height, width), size))


def read_record(path: str | Path) -> str | None:
    """The record that `save_image` put into a PNG, or None. Raises `ValueError` as `open_picture` does."""
    with _opened(path) as file:
        return decoding.read_text(file, repr(str(path)), RECORD, MAX_PIXELS)


@contextmanager
def _opened(path: str | Path) -> Iterator[BinaryIO]:
    name = repr(str(path))
    try:
        if Path(path).is_dir():
            raise ValueError(f"{name}: it is a folder; give {decoding.READABLE} file")
        if Path(path).exists() and not Path(path).is_file():
            raise ValueError(f"{name}: it is not a regular file; give {decoding.READABLE} file")
        with open(path, "rb") as file:
            yield file
    except OSError as error:
        text = f"it cannot be read: {reason(error)}"
        raise ValueError(f"{name}: {text}; give {decoding.READABLE} file") from error


def _picture(pixels: decoding.Pixels, name: str, content: bytes) -> Picture:
    image, alpha = (None if levels is None else _tensor(levels) for levels in pixels)
    assert image is not None
    if alpha is not None and bool((alpha == 1).all()):
        alpha = None
    return Picture(image, alpha, name, hashlib.sha256(content).hexdigest())


def _tensor(levels: np.ndarray) -> Tensor:
    """`(H, W, C)`, integers over their full range or floats in [0, 1], as float32 `(1, C, H, W)`."""
    top = np.iinfo(levels.dtype).max if levels.dtype.kind == "u" else 1
    planes = np.ascontiguousarray(levels.transpose(2, 0, 1)).astype(np.float32)[None]
    return torch.from_numpy(np.divide(planes, np.float32(top), out=planes))

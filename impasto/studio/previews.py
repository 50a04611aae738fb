"""Encode small versions of images for the page."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict

import PIL.Image
from torch import Tensor

from impasto.images import Picture, fill_hidden, fit, flatten, open_picture, resize, to_pil
from impasto.types import Image

PREVIEW_SIZE, THUMBNAIL_SIZE, TILE_SIZE = 1024, 320, 192
"""Largest longer sides in pixels: on the canvas, in lists of results, and in lists of images to choose from."""


MAX_REDUCED = 16
"""Number of reduced images that are kept: 12 MB each at most."""
_lock = threading.Lock()
_reduced: OrderedDict[str, tuple[Image, Tensor | None]] = OrderedDict()


def open_reduced(path: str, max_pixels: int) -> tuple[Image, Tensor | None]:
    """Return the colors and the opacity of an image, reduced to `PREVIEW_SIZE`.

    A photo of a phone takes 0.2 s to decode, and the page requests it for the canvas, its tile and every instant
    preview at once.

    Args:
        path: path of the image, whose content never changes.
        max_pixels: largest image in pixels.

    Raises:
        ValueError: if the image cannot be read.
    """
    with _lock:
        if path not in _reduced:
            _keep(path, open_picture(path, max_pixels=max_pixels))
        _reduced.move_to_end(path)
        return _reduced[path]


def keep_reduced(path: str, picture: Picture) -> None:
    """Keep an image for `open_reduced` that was decoded for another reason."""
    with _lock:
        _keep(path, picture)


def _keep(path: str, picture: Picture) -> None:
    _reduced[path] = _reduce(picture.image, PREVIEW_SIZE, picture.alpha)
    if len(_reduced) > MAX_REDUCED:
        _reduced.popitem(last=False)


def encode_jpeg(image: Image, max_size: int, alpha: Tensor | None = None) -> bytes:
    """Return an image as the bytes of a JPEG, transparent parts in white.

    Args:
        image: `(1, 3, H, W)`, values in [0, 1].
        max_size: largest longer side in pixels; a larger image is reduced, a smaller one keeps its size.
        alpha: opacity `(1, 1, h, w)` in [0, 1], of any size; None: opaque.
    """
    image, alpha = _reduce(image, max_size, alpha)
    return _encode(to_pil(flatten(image, alpha)), "JPEG")


def encode_preview(image: Image, max_size: int, alpha: Tensor | None = None) -> bytes:
    """Return an image as the bytes of a JPEG, or of a WebP that keeps its transparency; arguments as `encode_jpeg`."""
    if alpha is None:
        return encode_jpeg(image, max_size)
    image, alpha = _reduce(image, max_size, alpha)
    return _encode(to_pil(fill_hidden(image, alpha), alpha), "WEBP")


def media_type(data: bytes) -> str:
    """Return the media type of an encoded preview."""
    return "image/jpeg" if data.startswith(b"\xff\xd8") else "image/webp"


def _reduce(image: Image, max_size: int, alpha: Tensor | None) -> tuple[Image, Tensor | None]:
    height, width = image.shape[-2:]
    shape = fit((height, width), min(max_size, max(height, width)))
    image = fill_hidden(image, None if alpha is None else resize(alpha, (height, width)))
    return resize(image, shape), None if alpha is None else resize(alpha, shape)


def _encode(picture: PIL.Image.Image, kind: str) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, quality=85)
    return file.getvalue()

"""Encode small versions of images for the page."""

from __future__ import annotations

import functools
import io
import threading
from collections import OrderedDict
from concurrent.futures import Future

import PIL.Image
from torch import Tensor

from impasto.images import Picture, fill_hidden, fit, flatten, open_picture, resize, to_pil
from impasto.types import Image

PREVIEW_SIZE, THUMBNAIL_SIZE, TILE_SIZE = 1024, 320, 192
"""Largest longer sides in pixels: on the canvas, in lists of results, and in lists of images to choose from."""
MAX_REDUCED, MAX_PREVIEWS = 16, 128
"""Number of reduced images that are kept, 12 MB each at most, and of encoded previews."""
Reduced = tuple[Image, Tensor | None]
"""Colors and opacity of an image, reduced to `PREVIEW_SIZE`."""


class ReducedImages:
    """Decode images for previews, and keep the last ones.

    A photo of a phone takes 0.2 s to decode, and the page requests it for the canvas, its tile and every instant
    preview at once. While an image is decoded, others are available.

    Args:
        max_pixels: largest image in pixels.
    """

    def __init__(self, max_pixels: int) -> None:
        self._max_pixels = max_pixels
        self._lock = threading.Lock()
        self._images: OrderedDict[str, Future[Reduced]] = OrderedDict()
        self.encoded = functools.lru_cache(maxsize=MAX_PREVIEWS)(self._encoded)

    def open(self, path: str) -> Reduced:
        """Return an image.

        Args:
            path: path of the image, whose content never changes.

        Raises:
            ValueError: if the image cannot be read.
        """
        with self._lock:
            image = self._images.get(path)
            is_new = image is None
            if image is None:
                image = self._add(path)
            self._images.move_to_end(path)
        if is_new:
            try:
                image.set_result(_reduced(open_picture(path, max_pixels=self._max_pixels)))
            except BaseException as error:
                with self._lock:
                    self._images.pop(path, None)
                image.set_exception(error)
        return image.result()

    def keep(self, path: str, picture: Picture) -> None:
        """Keep an image that was decoded for another reason."""
        reduced = _reduced(picture)
        with self._lock:
            if path not in self._images:
                self._add(path).set_result(reduced)

    def _add(self, path: str) -> Future[Reduced]:
        self._images[path] = Future()
        if len(self._images) > MAX_REDUCED:
            self._images.popitem(last=False)
        return self._images[path]

    def _encoded(self, path: str, size: int) -> bytes:
        """Return an image as `encode_preview` does."""
        image, alpha = self.open(path)
        return encode_preview(image, size, alpha)


def _reduced(picture: Picture) -> Reduced:
    return _reduce(picture.image, PREVIEW_SIZE, picture.alpha)


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

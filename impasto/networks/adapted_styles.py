"""Describe in a weights file the styles that its network was adapted to: their names and reduced style images.

The descriptions are the entry `styles` of the metadata. The network therefore has the same tensors as any other network
of its method, and stylizes without a style image from outside the file.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from impasto.images import encode_image, load_image
from impasto.images.fingerprint import SAME_IMAGE, fingerprint, fingerprint_distance
from impasto.networks.weights_io import read_metadata
from impasto.samples import STYLES, installed_file
from impasto.types import Image

KEY = "styles"
"""Name of the entry in the metadata."""
STYLE_SIZE = 512
"""Longer side of the style image during the training, in pixels; an exported network has the code of this size."""


class StyleImage(io.BytesIO):
    """An image file in memory with a name, which the record of a picture shows."""

    def __init__(self, name: str, data: bytes) -> None:
        super().__init__(data)
        self.name = name


@dataclass(frozen=True)
class AdaptedStyle:
    """A style that a network was adapted to."""

    name: str
    """Name of the style image without its folder and suffix."""
    data: bytes
    """The style image as it was used, as a JPEG or PNG file."""

    @cached_property
    def image(self) -> Image:
        """Return the style image `(1, 3, H, W)`."""
        return load_image(io.BytesIO(self.data))

    def source(self) -> StyleImage:
        """Return the style image as an open file."""
        return StyleImage(self.name, self.data)


def encode_style(name: str, image: Image) -> AdaptedStyle:
    """Return a style with its image `(1, 3, H, W)` as a JPEG file."""
    return AdaptedStyle(name, encode_image(image, ".jpg"))


def styles_metadata(styles: Sequence[AdaptedStyle]) -> dict[str, str]:
    """Return the entry of the metadata that `adapted_styles` reads."""
    entries = [{"name": style.name, "image": base64.b64encode(style.data).decode()} for style in styles]
    return {KEY: json.dumps(entries)}


def sample_metadata(name: str) -> str:
    """Return the value of the entry for the network of a sample style, whose image the package contains anyway."""
    return json.dumps([{"name": name}])


def adapted_styles(file: Path) -> tuple[AdaptedStyle, ...]:
    """Return the styles that the network of a weights file was adapted to; empty where it takes any style.

    Raises:
        ValueError: in one line, for a file that cannot be read or whose entry is corrupt.
    """
    text = read_metadata(file).get(KEY)
    if text is None:
        return ()
    try:
        return tuple(_decoded(entry) for entry in json.loads(text))
    except (ValueError, KeyError, TypeError, binascii.Error, RecursionError):
        raise ValueError(f"weights: the styles in {str(file)!r} are corrupt; adapt the network again") from None


def _decoded(entry: dict[str, str]) -> AdaptedStyle:
    """Return a style from its entry, which has no image if it is a sample."""
    name = str(entry["name"])
    if "image" not in entry:
        return AdaptedStyle(name, installed_file(STYLES[name]).read_bytes())
    return AdaptedStyle(name, base64.b64decode(entry["image"], validate=True))


def check_adapted(style: Image, styles: Sequence[AdaptedStyle], *, gray: bool = False) -> None:
    """Check that a network was adapted to a style image.

    Args:
        style: the style image `(1, 3, H, W)`.
        styles: the styles of the network; empty where it takes any style.
        gray: compare luminance only.

    Raises:
        ValueError: in one line, if it is another image.
    """
    own = fingerprint(style)
    distances = [fingerprint_distance(own, fingerprint(each.image), gray=gray) for each in styles]
    if styles and min(distances) > SAME_IMAGE:
        names = ", ".join(each.name for each in styles)
        raise ValueError(
            f"style: these weights were adapted to {names}, and the style image is another one; leave it out, or use "
            "weights for any style"
        )

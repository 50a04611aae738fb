"""Find the available networks of the method `johnson` and select one by its style image.

Each network is a file `johnson-*.safetensors`, whose metadata contain the name and the fingerprint of its style image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from impasto.images.fingerprint import SAME_IMAGE, fingerprint, fingerprint_distance, parse_fingerprint
from impasto.networks.johnson import WIDTHS, Johnson, Width, to_channels_last
from impasto.networks.weights_io import load_weights, read_metadata
from impasto.types import Image
from impasto.weights import local_folders


@dataclass(frozen=True)
class StyleModel:
    """A weights file of a network for one style."""

    file: Path
    style: str
    """Name of the style image that the network was trained for."""
    fingerprint: str
    """Fingerprint of that image, as `impasto.images.fingerprint.fingerprint_json` writes it."""
    width: Width


def find_style_models(weights: Path | None, bundled: Path) -> list[StyleModel]:
    """Return the available networks.

    Args:
        weights: a file to use alone; None searches the folders of IMPASTO_WEIGHTS and then `bundled`.
        bundled: the folder of the files that come with the package.

    Raises:
        ValueError: in one line, for a file that cannot be read or that contains something else.
    """
    if weights is not None:
        return [_read_model(weights)]
    folders = (*local_folders(), bundled)
    return [_read_model(file) for folder in folders for file in sorted(folder.glob("johnson-*.safetensors"))]


def select_style_model(style: Image, models: Sequence[StyleModel], *, gray: bool = False) -> StyleModel:
    """Return the network that was trained for a style image.

    Args:
        style: the style image `(1, 3, H, W)`.
        models: the networks to choose from.
        gray: compare luminance only.

    Raises:
        ValueError: in one line, when no network was trained for this image.
    """
    own = fingerprint(style)
    distances = [fingerprint_distance(own, parse_fingerprint(model.fingerprint), gray=gray) for model in models]
    distance, nearest = min(zip(distances, range(len(models)), strict=True), default=(1.0, 0))
    if distance <= SAME_IMAGE:
        return models[nearest]
    names = ", ".join(dict.fromkeys(model.style for model in models)) or "none"
    raise ValueError(
        f"style: johnson has no network for this style image; it has: {names}; train one with "
        "`impasto train johnson --style PICTURE`, or choose a method for any style"
    )


def load_johnson(model: StyleModel) -> Johnson:
    """Return the network on the CPU. Raises the errors of `load_weights`."""
    network = Johnson(model.width)
    load_weights(network, model.file)
    return to_channels_last(network)


def _read_model(file: Path) -> StyleModel:
    metadata = read_metadata(file)
    try:
        model = StyleModel(file, metadata["style"], metadata["thumbnail"], cast(Width, metadata["width"]))
        parse_fingerprint(model.fingerprint)
        if model.width in WIDTHS:
            return model
    except (KeyError, ValueError, RuntimeError):
        pass
    raise ValueError(
        f"weights: {str(file)!r} does not contain a network for one style; give a file of `impasto train johnson`"
    )

"""Which styles there are networks for: files `johnson-*.safetensors`, that say so themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from impasto.images.fingerprint import SAME_IMAGE, fingerprint, fingerprint_distance, parse_fingerprint
from impasto.networks.johnson import WIDTHS, Johnson, Width, channels_last
from impasto.networks.weights_io import facts_of, load_weights
from impasto.types import Image
from impasto.weights import local_folders


@dataclass(frozen=True)
class Model:
    """A network of one style, on disk."""

    file: Path
    style: str
    """Name of the picture that it was trained for."""
    thumbnail: str
    """Of that picture, as `impasto.images.fingerprint.fingerprint_json` writes it."""
    width: Width


def known_styles(weights: Path | None, bundled: Path) -> list[Model]:
    """The networks at hand: the one of a file, if given, or those in your folders (IMPASTO_WEIGHTS) and in `bundled`.

    Raises `ValueError`, in one line, for a file that cannot be read or holds something else.
    """
    if weights is not None:
        return [_model(weights)]
    folders = (*local_folders(), bundled)
    return [_model(file) for folder in folders for file in sorted(folder.glob("johnson-*.safetensors"))]


def model_for(style: Image, models: Sequence[Model], *, gray: bool = False) -> Model:
    """The network that was trained for a style `(1, 3, H, W)`; `gray` overlooks its colors.

    Raises `ValueError`, in one line, where there is none.
    """
    here = fingerprint(style)
    distance, nearest = min(
        (
            (fingerprint_distance(here, parse_fingerprint(model.thumbnail), gray=gray), i)
            for i, model in enumerate(models)
        ),
        default=(1.0, 0),
    )
    if distance <= SAME_IMAGE:
        return models[nearest]
    names = ", ".join(dict.fromkeys(model.style for model in models)) or "none"
    raise ValueError(
        f"style: johnson has no network for this picture; it has: {names}; train one with "
        "`impasto train johnson --style PICTURE`, or take a method for any style"
    )


def load_johnson(model: Model) -> Johnson:
    """The network, on the CPU. Errors as for `load_weights`."""
    network = Johnson(model.width)
    load_weights(network, model.file)
    return channels_last(network)


def _model(file: Path) -> Model:
    facts = facts_of(file)
    try:
        model = Model(file, facts["style"], facts["thumbnail"], cast(Width, facts["width"]))
        parse_fingerprint(model.thumbnail)
        if model.width in WIDTHS:
            return model
    except (KeyError, ValueError, RuntimeError):
        pass
    raise ValueError(f"weights: {str(file)!r} holds no network of one style; give a file of `impasto train johnson`")

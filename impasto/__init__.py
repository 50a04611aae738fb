"""impasto: paint a photograph in the manner of a picture.

>>> import impasto
>>> result = impasto.stylize("woodcut", "mosaic", backbone="tiny", size=48, steps=2, seed=1)
>>> result.steps
2
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from impasto.batch import stylize_folder
    from impasto.images import load_image, save_image
    from impasto.paint import Painter, stylize
    from impasto.replaying import replay
    from impasto.result import Result
    from impasto.types import Image, Step

__all__ = ["Image", "Painter", "Result", "Step", "load_image", "replay", "save_image", "stylize", "stylize_folder"]

_HOMES = {
    "Image": "impasto.types",
    "Painter": "impasto.paint",
    "Result": "impasto.result",
    "Step": "impasto.types",
    "load_image": "impasto.images",
    "replay": "impasto.replaying",
    "save_image": "impasto.images",
    "stylize": "impasto.paint",
    "stylize_folder": "impasto.batch",
}


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first used: `import impasto` alone stays instant."""
    if name not in _HOMES:
        raise AttributeError(f"module 'impasto' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)

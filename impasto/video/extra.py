"""Import the packages of the extra `video` where they are used."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

HINT = "clips need the extra: pip install 'impasto[video]'"


def missing() -> str | None:
    """Return what to install if a package of the extra is missing, without importing one; None if there are all."""
    return None if find_spec("av") and find_spec("cv2") else HINT


def import_av() -> Any:
    """Return the module `av`; raise `ValueError` if it is not installed."""
    return _imported("av")


def import_cv2() -> Any:
    """Return the module `cv2`; raise `ValueError` if it is not installed."""
    return _imported("cv2")


def file_url(path: Path) -> str:
    """Return the name of a file for FFmpeg, to which `12:30.mp4` alone is a protocol named 12."""
    return f"file:{path}"


def _imported(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise ValueError(f"{error}; {HINT}") from None

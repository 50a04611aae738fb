"""Find the bundled networks of the method `micro` that are adapted to one sample style each.

Their files have only the tensors that differ from those of `micro`, and the name of the sample in place of its image.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path

from impasto.samples import STYLES, installed_file
from impasto.weights import sha256_of

BASE = "base"
"""Entry of the metadata: name of the weights file with the tensors that are not in the file."""
FOLDER = Path(str(files("impasto"))) / "assets" / "weights"
"""Folder of the bundled weights."""


@cache
def sample_networks() -> dict[str, Path]:
    """Return the weights files by the name of the sample style."""
    found = {name: FOLDER / f"micro-{name}.safetensors" for name in STYLES}
    return {name: file for name, file in found.items() if file.is_file()}


def sample_network_of(sha256: str) -> str | None:
    """Return the name of the sample style whose image has a SHA-256 and that has a network; None where there is none.

    >>> sample_network_of("0" * 64)
    """
    hashes = {sha256_of(installed_file(STYLES[name])): name for name in sample_networks()}
    return hashes.get(sha256)

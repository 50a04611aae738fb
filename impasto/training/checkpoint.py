"""A training on disk: everything that a run needs to go on as if it had never stopped."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch

from impasto.config import settings_of
from impasto.files import reason, write_atomically
from impasto.training.recipes import Dataset, TrainingConfig

FORMAT = 1
FREE = frozenset(("device",))
"""Settings that may change from leg to leg."""


def identity(recipe: str, config: TrainingConfig, data: Dataset) -> dict[str, Any]:
    """What must be the same for a run to go on: recipe, settings and pictures, as plain values."""
    settings = {name: value for name, value in settings_of(config).items() if name not in FREE}
    return {"format": FORMAT, "recipe": recipe, "settings": settings, "pictures": data.fingerprints()}


def write_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Writes tensors and plain values, whole or not at all. Raises `ValueError` where it cannot be written."""
    box = io.BytesIO()
    torch.save(state, box)
    write_atomically(path, box.getvalue())


def read_checkpoint(path: Path, expected: dict[str, Any]) -> dict[str, Any] | None:
    """What `write_checkpoint` wrote, on the CPU, or None where there is none.

    Raises `ValueError`, in one line, for a file that is no checkpoint and for one whose identity is not `expected`.
    """
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        found = state["identity"]
    except Exception as error:  # unpickling raises whatever it likes
        raise ValueError(f"{str(path)!r} is no checkpoint: {reason(error)}; give another folder") from error
    _compare(found, expected, path)
    return state


def _compare(found: dict[str, Any], expected: dict[str, Any], path: Path) -> None:
    where = f"the run in {str(path.parent)!r}"
    for name in ("format", "recipe"):
        if found.get(name) != expected[name]:
            raise ValueError(f"{where} has {name} {found.get(name)!r}, not {expected[name]!r}; give another folder")
    for name in sorted({*found["settings"], *expected["settings"]}):
        old, new = (each["settings"].get(name) for each in (found, expected))
        if old != new:
            raise ValueError(f"{name}: {where} has {old!r}, not {new!r}; give that, or another folder")
    for kind in sorted({*found["pictures"], *expected["pictures"]}):
        old, new = (each["pictures"].get(kind, "none") for each in (found, expected))
        if old != new:
            raise ValueError(f"{where} saw other {kind}s ({old}, now {new}); give those, or another folder")

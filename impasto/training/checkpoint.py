"""Write and read checkpoints, which contain everything that a training needs to resume."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch

from impasto.config import settings_of
from impasto.files import reason, write_atomically
from impasto.training.recipes import Dataset, TrainingConfig

FORMAT = 1
FREE_SETTINGS = frozenset(("device",))
"""Settings that may change from session to session."""


def run_identity(recipe: str, config: TrainingConfig, data: Dataset) -> dict[str, Any]:
    """Return what must be the same for a training to resume: recipe, settings and pictures, as plain values."""
    settings = {name: value for name, value in settings_of(config).items() if name not in FREE_SETTINGS}
    return {"format": FORMAT, "recipe": recipe, "settings": settings, "pictures": data.fingerprints()}


def write_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write tensors and plain values, completely or not at all.

    Raises:
        ValueError: if the file cannot be written.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomically(path, buffer.getvalue())


def read_checkpoint(path: Path, expected: dict[str, Any]) -> dict[str, Any] | None:
    """Return what `write_checkpoint` wrote, on the CPU, or None if the file does not exist.

    Args:
        path: the file.
        expected: the identity of the training that is to be resumed.

    Raises:
        ValueError: in one line, if the file is not a checkpoint or belongs to another training.
    """
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        found = state["identity"]
    except Exception as error:  # unpickling raises exceptions of many types
        raise ValueError(f"{str(path)!r} is not a checkpoint: {reason(error)}; give another folder") from error
    _compare(found, expected, path)
    return state


def _compare(found: dict[str, Any], expected: dict[str, Any], path: Path) -> None:
    """Raise `ValueError` with the first difference between two identities."""
    run = f"the training in {str(path.parent)!r}"
    for name in ("format", "recipe"):
        if found.get(name) != expected[name]:
            raise ValueError(f"{run} has {name} {found.get(name)!r}, not {expected[name]!r}; give another folder")
    for name in sorted({*found["settings"], *expected["settings"]}):
        old, new = (each["settings"].get(name) for each in (found, expected))
        if old != new:
            raise ValueError(f"{name}: {run} has {old!r}, not {new!r}; give {old!r}, or another folder")
    for kind in sorted({*found["pictures"], *expected["pictures"]}):
        old, new = (each["pictures"].get(kind, "none") for each in (found, expected))
        if old != new:
            raise ValueError(f"{run} used other {kind}s ({old}, now {new}); give those, or another folder")

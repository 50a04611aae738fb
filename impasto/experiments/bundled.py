"""The experiments that come with the package."""

from __future__ import annotations

from pathlib import Path

import yaml

FOLDER = Path(__file__).parents[1] / "assets" / "experiments"


def bundled() -> dict[str, str]:
    """What each bundled experiment is about, by name."""
    files = sorted(FOLDER.glob("*.yaml"))
    return {file.stem: " ".join(yaml.safe_load(file.read_text(encoding="utf-8"))["summary"].split()) for file in files}


def find_experiment(name: str) -> Path:
    """The file behind a path or the name of a bundled experiment; a file wins.

    Raises `ValueError`, in one line, for what is neither.
    """
    path = Path(name)
    if path.is_file():
        return path
    file = FOLDER / f"{name}.yaml"
    if "/" not in name and file.is_file():
        return file
    raise ValueError(f"no file {name!r}, and no experiment of that name: choose from {', '.join(bundled())}")

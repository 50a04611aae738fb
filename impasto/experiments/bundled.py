"""Find the experiments that are distributed with the package."""

from __future__ import annotations

from pathlib import Path

import yaml

FOLDER = Path(__file__).parents[1] / "assets" / "experiments"


def bundled() -> dict[str, str]:
    """Return the summary of every bundled experiment by name."""
    files = sorted(FOLDER.glob("*.yaml"))
    return {file.stem: " ".join(yaml.safe_load(file.read_text(encoding="utf-8"))["summary"].split()) for file in files}


def find_experiment(name: str) -> Path:
    """Return the YAML file of an experiment.

    Args:
        name: path of a file, or name of a bundled experiment; an existing file takes precedence.

    Raises:
        ValueError: if `name` is neither.
    """
    path = Path(name)
    if path.is_file():
        return path
    file = FOLDER / f"{name}.yaml"
    if "/" not in name and file.is_file():
        return file
    problem = f"{name!r} is a folder" if path.is_dir() else f"no file {name!r}"
    raise ValueError(f"{problem}, and no experiment of that name: choose from {', '.join(bundled())}")

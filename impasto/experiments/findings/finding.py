"""What an experiment found out, beyond the medians of its figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from impasto.experiments.run import Run
from impasto.images import load_image
from impasto.types import Image


@dataclass(frozen=True)
class Finding:
    """An answer in words, and the table that it is drawn from."""

    title: str
    sentences: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str | float | None, ...], ...]
    """A name, then numbers; None where there is none."""


Find = Callable[[Sequence[Run], Path], Finding]
"""Of runs in the order of the grid, and the experiment's folder."""


def painted(run: Run, folder: Path) -> Image:
    """The painting of a run that is done."""
    assert run.picture is not None
    return load_image(folder / run.picture)


def nothing(title: str, why: str) -> Finding:
    """Where the runs give no answer (yet)."""
    return Finding(title, (f"No answer: {why}.",), (), ())

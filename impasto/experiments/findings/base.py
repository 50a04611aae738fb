"""Define the result of an analysis over all runs of an experiment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from impasto.experiments.run import Run
from impasto.experiments.statistics import Estimate, bootstrap_median
from impasto.images import load_image
from impasto.types import Image

Cells = tuple[str | float | None, ...]
"""A row of a table: a name, then numbers; None for a missing value."""


@dataclass(frozen=True)
class Finding:
    """Conclusions in sentences, and the table they are drawn from."""

    title: str
    sentences: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[Cells, ...]


Find = Callable[[Sequence[Run], Path], Finding]
"""An analysis: takes the runs in the order of the tasks and the folder of the experiment."""


def output_image(run: Run, folder: Path) -> Image:
    """Return the output image of a run that is done, `(1, 3, H, W)`."""
    assert run.picture is not None
    return load_image(folder / run.picture)


def median_over_pairs(values: Sequence[tuple[Run, float]]) -> Estimate:
    """Return the median over the pairs of images with its interval; a pair with several runs counts once.

    Args:
        values: runs with a value of each; at least one.
    """
    groups: dict[tuple[str, str], list[float]] = {}
    for run, value in values:
        groups.setdefault((run.task.content, run.task.style), []).append(value)
    found = bootstrap_median(list(groups.values()))
    assert found is not None
    return found


def no_answer(title: str, reason: str) -> Finding:
    """Return a finding without a table, which gives the reason."""
    return Finding(title, (f"No answer: {reason}.",), (), ())

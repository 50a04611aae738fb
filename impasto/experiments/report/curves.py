"""Thin out loss curves, so that a page contains a few hundred points of each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from impasto.experiments.run import Run
from impasto.types import Step

KINDS = ("total", "content", "style")
MAX_POINTS = 48_000
"""Points of all curves together; each takes about 40 bytes in the page."""
FEWEST, MOST = 16, 200
"""Bounds of the number of points of one curve."""


def points_each(curves: int) -> int:
    """Return the number of points to show of each curve, for a number of curves."""
    return max(FEWEST, min(MOST, MAX_POINTS // max(curves, 1)))


def thinned(curve: Sequence[Step], count: int) -> list[Step]:
    """Return at most `count` points of a curve, with the first and the last, spaced evenly in the log of the index.

    Losses fall fast at first and slowly later; points spaced evenly in the index would miss the start.
    """
    if len(curve) <= count:
        return list(curve)
    last = len(curve) - 1
    spaced = [round(math.expm1(math.log1p(last) * k / (count - 1))) for k in range(count)]
    indices: list[int] = []
    for index in spaced:  # the first indices would repeat
        indices.append(max(index, indices[-1] + 1) if indices else index)
    return [curve[index] for index in indices if index <= last]


def columns(run: Run, count: int) -> dict[str, list[Any]] | None:
    """Return the curve of a run as columns for the page.

    Args:
        run: the run.
        count: maximum number of points.

    Returns:
        Columns of equal length, or None if the run has no curve; a negative or non-finite number is None.
    """
    steps = thinned(run.curve, count)
    if not steps:
        return None
    found: dict[str, list[Any]] = {
        "steps": [step.index for step in steps],
        "evaluations": [step.evaluations for step in steps],
        "seconds": [_rounded(step.seconds) for step in steps],
    }
    for kind in KINDS:
        found[kind] = [_rounded(step.by_kind().get(kind, 0.0)) for step in steps]
    return found


def _rounded(value: float) -> float | None:
    """Round to four digits, more than a plot shows, to make the page smaller."""
    return float(f"{value:.4g}") if math.isfinite(value) and value >= 0 else None

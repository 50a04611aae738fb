"""Loss curves, thinned out: a page shows a few hundred points of a line, not a thousand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from impasto.experiments.run import Run
from impasto.types import Step

KINDS = ("total", "content", "style")
POINTS = 48_000
"""Of all curves together; the numbers of one take about 40 bytes."""
FEWEST, MOST = 16, 200
"""Of one curve."""


def points_each(curves: int) -> int:
    """How many points of each of so many curves are shown."""
    return max(FEWEST, min(MOST, POINTS // max(curves, 1)))


def thinned(curve: Sequence[Step], count: int) -> list[Step]:
    """At most `count` points, the first and the last among them, evenly spread over the logarithm of the index.

    Losses fall fast at first and slowly later. Evenly spread points would lose the fall.
    """
    if len(curve) <= count:
        return list(curve)
    last = len(curve) - 1
    even = [round(math.expm1(math.log1p(last) * k / (count - 1))) for k in range(count)]
    filled: list[int] = []
    for index in even:  # at the head, the logarithm asks for the same points again and again
        filled.append(max(index, filled[-1] + 1) if filled else index)
    return [curve[index] for index in filled if index <= last]


def columns(run: Run, count: int) -> dict[str, list[Any]] | None:
    """The curve of a run as columns, for the page; None where it has none. A loss that is not positive is None."""
    points = thinned(run.curve, count)
    if not points:
        return None
    found: dict[str, list[Any]] = {
        "steps": [point.index for point in points],
        "evaluations": [point.evaluations for point in points],
        "seconds": [_short(point.seconds) for point in points],
    }
    for kind in KINDS:
        found[kind] = [_short(point.by_kind().get(kind, 0.0)) for point in points]
    return found


def _short(value: float) -> float | None:
    """Four digits are more than a line shows."""
    return float(f"{value:.4g}") if math.isfinite(value) and value >= 0 else None

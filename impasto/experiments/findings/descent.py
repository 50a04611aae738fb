"""How steadily, and how soon, each variant came down to the least loss of all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from impasto.experiments.findings.finding import Finding, nothing
from impasto.experiments.run import Run
from impasto.experiments.statistics import Estimate, bootstrap_median
from impasto.types import Step

NEAR = 1.1
"""Near the least loss: at most a tenth above it."""
TITLE = "Descent of the loss"
COLUMNS = (
    *("variant", "loss, of the least", "from", "to", "steps that rose", "worst rise", "runs that came near"),
    *("runs", "steps until near", "evaluations until near", "seconds until near"),
)


def descent(runs: Sequence[Run], folder: Path) -> Finding:
    """For each variant: its last loss against the least of its pair, steps that made it worse, and when it came near.

    Only for variants that minimize one and the same loss: one method, one network, one weighting.
    """
    done = [run for run in runs if run.status == "done" and run.curve]
    if not done:
        return nothing(TITLE, "nothing is painted yet")
    least: dict[tuple[str, str], float] = {}
    for run in done:
        pair = (run.task.content, run.task.style)
        least[pair] = min(least.get(pair, float("inf")), *(point.loss for point in run.curve))
    variants: dict[str, list[tuple[Run, float]]] = {}
    for run in done:
        variants.setdefault(run.task.variant, []).append((run, least[run.task.content, run.task.style]))
    rows = tuple(_row(variant, own) for variant, own in variants.items())
    return Finding(TITLE, tuple(_told(row) for row in rows), COLUMNS, rows)


def _row(variant: str, own: Sequence[tuple[Run, float]]) -> tuple[str | float | None, ...]:
    last = _over_pairs(own, lambda run, least: run.curve[-1].loss / least)
    rose = [_rises(run.curve) for run, _ in own]
    share = median(len(rises) / len(run.curve) for (run, _), rises in zip(own, rose, strict=True))
    worst = max((max(rises) for rises in rose if rises), default=1.0)
    first = [next((point for point in run.curve if point.loss <= NEAR * least), None) for run, least in own]
    near = [point for point in first if point is not None]
    until = [median([getattr(p, name) for p in near]) if near else None for name in ("index", "evaluations", "seconds")]
    reached = (float(len(near)), float(len(own)))
    return variant, last.median, last.low, last.high, share, worst, *reached, *until


def _told(row: Sequence[Any]) -> str:
    name, last, low, high, share, worst, near, count, steps, _, seconds = row
    interval = "" if low is None else f" (95 % interval {low:.3g} to {high:.3g})"
    when = f", after {steps:g} steps and {seconds:.1f} s (medians)" if near else ""
    return (
        f"{name}: ends at {last:.3g} times the least loss of its pair{interval}; {near:g} of {count:g} runs came within"
        f" a tenth of the least{when}; {share:.1%} of steps rose, the worst {worst:.3g}-fold."
    )


def _over_pairs(own: Sequence[tuple[Run, float]], value: Callable[[Run, float], float]) -> Estimate:
    groups: dict[tuple[str, str], list[float]] = {}
    for run, least in own:
        groups.setdefault((run.task.content, run.task.style), []).append(value(run, least))
    found = bootstrap_median(list(groups.values()))
    assert found is not None
    return found


def _rises(curve: Sequence[Step]) -> list[float]:
    """By how much each step that made the loss larger did so; steps to another size do not count."""
    return [b.loss / a.loss for a, b in pairwise(curve) if a.size == b.size and b.loss > a.loss > 0]

"""Measure how steadily and how fast each variant reduces the loss."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from impasto.experiments.findings.base import Cells, Finding, median_over_pairs, no_answer
from impasto.experiments.run import Run
from impasto.types import Step

NEAR = 1.1
"""A loss is near the lowest loss of its pair if it is at most this multiple of it."""
TITLE = "Descent of the loss"
COLUMNS = (
    *("variant", "final loss / lowest loss", "lower bound", "upper bound", "fraction of increasing steps"),
    *("largest increase", "runs within 10 %", "runs"),
    *("steps to 10 %", "evaluations to 10 %", "seconds to 10 %"),
)


def descent(runs: Sequence[Run], folder: Path) -> Finding:
    """Compare the final loss of each variant with the lowest loss of its pair, and count steps that increased the loss.

    The comparison is meaningful only for variants that minimize the same loss: one method, one network, one weighting.

    Args:
        runs: all runs of the experiment.
        folder: folder of the experiment.
    """
    done = [run for run in runs if run.status == "done" and run.curve]
    if not done:
        return no_answer(TITLE, "no run is done")
    lowest: dict[tuple[str, str], float] = {}
    for run in done:
        pair = (run.task.content, run.task.style)
        lowest[pair] = min(lowest.get(pair, float("inf")), *(step.loss for step in run.curve))
    variants: dict[str, list[tuple[Run, float]]] = {}
    for run in done:
        variants.setdefault(run.task.variant, []).append((run, lowest[run.task.content, run.task.style]))
    rows = tuple(_row(variant, own) for variant, own in variants.items())
    return Finding(TITLE, tuple(_sentence(row) for row in rows), COLUMNS, rows)


def _row(variant: str, own: Sequence[tuple[Run, float]]) -> Cells:
    final = median_over_pairs([(run, run.curve[-1].loss / lowest) for run, lowest in own])
    increases = [_increases(run.curve) for run, _ in own]
    fraction = median(len(each) / len(run.curve) for (run, _), each in zip(own, increases, strict=True))
    largest = max((max(each) for each in increases if each), default=1.0)
    first = [next((step for step in run.curve if step.loss <= NEAR * lowest), None) for run, lowest in own]
    near = [step for step in first if step is not None]
    cost = [median([getattr(p, name) for p in near]) if near else None for name in ("index", "evaluations", "seconds")]
    reached = (float(len(near)), float(len(own)))
    return variant, final.median, final.low, final.high, fraction, largest, *reached, *cost


def _sentence(row: Sequence[Any]) -> str:
    name, final, low, high, fraction, largest, near, count, steps, _, seconds = row
    interval = "" if low is None else f" (95 % interval {low:.3g} to {high:.3g})"
    when = f", after {steps:g} steps and {seconds:.1f} s (medians)" if near else ""
    return (
        f"{name}: the final loss is {final:.3g} times the lowest loss of its pair{interval}; {near:g} of {count:g} runs"
        f" came within 10 % of the lowest loss{when}; {fraction:.1%} of the steps increased the loss, at most by a"
        f" factor of {largest:.3g}."
    )


def _increases(curve: Sequence[Step]) -> list[float]:
    """Return the factor of each step that increased the loss; steps to another image size do not count."""
    return [b.loss / a.loss for a, b in pairwise(curve) if a.size == b.size and b.loss > a.loss > 0]

"""After how many steps nothing visible changes, and what a stopping rule saves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median

from impasto.color.ciede2000 import color_difference
from impasto.experiments.findings.finding import Finding, nothing, painted
from impasto.experiments.run import Run
from impasto.experiments.statistics import bootstrap_median

VISIBLE = 2.3
"""Mean CIEDE2000 below which two paintings count as the same.

Just noticeable side by side, by Mahy, Van Eycken & Oosterlinck 1994, who measured with the older Euclidean distance.
"""
TITLE = "Steps until nothing visible changes"
Differences = list[tuple[Run, float]]


def convergence(runs: Sequence[Run], folder: Path) -> Finding:
    """The mean color difference of each painting to that of most steps, pair by pair.

    Paintings of one pair that differ in nothing but `steps` are one painting on its way, if its optimizer leaves
    nothing to chance. One without `steps` ended by the stopping rule.
    """
    done = [run for run in runs if run.status == "done" and run.picture]
    found = [_differences(group, folder) for group in _pairs(done)]
    found = [differences for differences in found if len(differences) > 1]
    if not found:
        return nothing(TITLE, "no pair was painted with several numbers of steps")
    variants = dict.fromkeys(run.task.variant for differences in found for run, _ in differences)
    rows = tuple(_row(variant, found) for variant in variants)
    return Finding(TITLE, (*_settled(found), *_saved(found)), COLUMNS, rows)


COLUMNS = ("variant", "steps", "seconds", "CIEDE2000 to the last", "from", "to", "pairs under 2.3", "pairs")


def _row(variant: str, found: Sequence[Differences]) -> tuple[str | float | None, ...]:
    own = [(run, value) for differences in found for run, value in differences if run.task.variant == variant]
    estimate = bootstrap_median([[value] for _, value in own])
    assert estimate is not None
    cost = (median(run.steps or 0 for run, _ in own), median(run.seconds or 0 for run, _ in own))
    under = sum(value < VISIBLE for _, value in own)
    return variant, *cost, estimate.median, estimate.low, estimate.high, float(under), float(len(own))


def _settled(found: Sequence[Differences]) -> list[str]:
    """From how many steps on the paintings of each pair look like the last."""
    settled = []
    for differences in found:
        counted = sorted((run.task.settings["steps"], value) for run, value in differences if _is_counted(run))
        later = [steps for steps, value in counted if value >= VISIBLE]
        settled.append(next(steps for steps, _ in counted if not later or steps > max(later)))
    spread = f"{min(settled)} to {max(settled)}" if min(settled) < max(settled) else f"{settled[0]}"
    last = max(run.task.settings["steps"] for differences in found for run, _ in differences if _is_counted(run))
    return [
        f"Of the numbers of steps that were tried, a painting looks like that of {last} (mean CIEDE2000 under"
        f" {VISIBLE}) from {median(settled):g} on (median of {len(found)} pairs; {spread})."
    ]


def _saved(found: Sequence[Differences]) -> list[str]:
    """What the stopping rule saved, and at which price."""
    ruled = [(run, value, differences) for differences in found for run, value in differences if not _is_counted(run)]
    if not ruled:
        return []
    steps = [run.steps or 0 for run, _, _ in ruled]
    last = [max(other.task.settings["steps"] for other, _ in all_ if _is_counted(other)) for _, _, all_ in ruled]
    saved = median(1 - mine / most for mine, most in zip(steps, last, strict=True))
    off = bootstrap_median([[value] for _, value, _ in ruled])
    assert off is not None
    return [
        f"The stopping rule ended after {median(steps):g} steps (median; {min(steps)} to {max(steps)}), which saves"
        f" {saved:.0%} of {max(last)}, at a difference of {off.median:.2f} to the last"
        f" ({sum(value < VISIBLE for _, value, _ in ruled)} of {len(ruled)} under {VISIBLE})."
    ]


def _differences(group: Sequence[Run], folder: Path) -> Differences:
    """The runs of one pair, each with its difference to that of most steps; nothing where none is counted."""
    counted = [run for run in group if _is_counted(run)]
    if not counted:
        return []
    last = painted(max(counted, key=lambda run: int(run.task.settings["steps"])), folder)
    others = [(run, painted(run, folder)) for run in group]
    return [(run, color_difference(image, last)) for run, image in others if image.shape == last.shape]


def _pairs(runs: Sequence[Run]) -> list[list[Run]]:
    """Runs that are alike but for their number of steps."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        rest = {name: value for name, value in run.task.settings.items() if name != "steps"}
        groups.setdefault(repr((run.task.content, run.task.style, run.task.method, rest)), []).append(run)
    return list(groups.values())


def _is_counted(run: Run) -> bool:
    """Whether the number of steps was given, so that no rule ended it."""
    return run.task.settings.get("steps") is not None

"""Measure after how many steps the image changes no longer visibly, and what the stopping rule saves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np

from impasto.experiments.findings.base import Cells, Finding, median_over_pairs, no_answer, output_image
from impasto.experiments.run import Run
from impasto.types import Image

VISIBLE = 2.3
"""Mean CIEDE2000 below which two images count as equal.

Just noticeable side by side, by Mahy, Van Eycken and Oosterlinck 1994, who measured with the older Euclidean distance.
"""
TITLE = "Steps to visual convergence"
COLUMNS = (
    *("variant", "steps", "seconds", "CIEDE2000 to the longest run", "lower bound", "upper bound"),
    *("runs below 2.3", "runs"),
)
Differences = list[tuple[Run, float]]


def convergence(runs: Sequence[Run], folder: Path) -> Finding:
    """Compare each output with the output of the run with most steps of the same pair.

    Runs that differ only in `steps` are a series: they show the same optimization at different times if the optimizer
    is deterministic. A pair has a series for each seed and for each combination of the other settings. A run without
    `steps` ended by the stopping rule. Needs scikit-image.

    Args:
        runs: all runs of the experiment.
        folder: folder of the experiment.
    """
    done = [run for run in runs if run.status == "done" and run.picture]
    try:
        differences = [_differences(group, folder) for group in _groups(done)]
    except ImportError:
        return no_answer(TITLE, "scikit-image is not installed: pip install impasto[report]")
    found = [each for each in differences if len(each) > 1]
    if not found:
        return no_answer(TITLE, "no pair has runs with several numbers of steps")
    variants = dict.fromkeys(run.task.variant for each in found for run, _ in each)
    rows = tuple(_row(variant, found) for variant in variants)
    return Finding(TITLE, (*_visual_convergence(found), *_savings(found)), COLUMNS, rows)


def color_difference(image: Image, other: Image) -> float:
    """Return the mean CIEDE2000 color difference over the pixels of two images.

    Reference: Sharma, Wu and Dalal, "The CIEDE2000 color-difference formula", 2005.

    Args:
        image: the first image, `(1, 3, H, W)`, sRGB in [0, 1].
        other: the second image, of the same shape.

    Returns:
        0 for equal images, 100 between black and white; 2.3 is just noticeable side by side.

    Raises:
        ImportError: if scikit-image is not installed.
    """
    from skimage.color import deltaE_ciede2000, rgb2lab

    first, second = (rgb2lab(each[0].permute(1, 2, 0).double().numpy()) for each in (image, other))  # (H, W, 3)
    return float(np.mean(deltaE_ciede2000(first, second)))


def _row(variant: str, found: Sequence[Differences]) -> Cells:
    own = [(run, value) for differences in found for run, value in differences if run.task.variant == variant]
    estimate = median_over_pairs(own)
    cost = (median(run.steps or 0 for run, _ in own), median(run.seconds or 0 for run, _ in own))
    below = sum(value < VISIBLE for _, value in own)
    return variant, *cost, estimate.median, estimate.low, estimate.high, float(below), float(len(own))


def _visual_convergence(found: Sequence[Differences]) -> list[str]:
    """Return a sentence: from how many steps on an output is visually equal to that of the longest run."""
    converged = []
    for differences in found:
        fixed = sorted((run.task.settings["steps"], value) for run, value in differences if _has_steps(run))
        visible = [steps for steps, value in fixed if value >= VISIBLE]
        converged.append(next(steps for steps, _ in fixed if not visible or steps > max(visible)))
    spread = f"{min(converged)} to {max(converged)}" if min(converged) < max(converged) else f"{converged[0]}"
    last = max(run.task.settings["steps"] for differences in found for run, _ in differences if _has_steps(run))
    pairs = len({(run.task.content, run.task.style) for differences in found for run, _ in differences})
    return [
        f"The output is visually equal to that of {last} steps (mean CIEDE2000 below {VISIBLE}) from"
        f" {median(converged):g} steps on, among the numbers of steps that were run (median of {len(found)} series of"
        f" runs on {pairs} pair{'' if pairs == 1 else 's'}; {spread})."
    ]


def _savings(found: Sequence[Differences]) -> list[str]:
    """Return a sentence: how many steps the stopping rule saved, and the difference that it caused."""
    stopped = [(run, value, differences) for differences in found for run, value in differences if not _has_steps(run)]
    if not stopped:
        return []
    steps = [run.steps or 0 for run, _, _ in stopped]
    longest = [max(other.task.settings["steps"] for other, _ in group if _has_steps(other)) for _, _, group in stopped]
    saved = median(1 - own / most for own, most in zip(steps, longest, strict=True))
    difference = median_over_pairs([(run, value) for run, value, _ in stopped])
    return [
        f"The stopping rule ended after {median(steps):g} steps (median; {min(steps)} to {max(steps)}), which saves"
        f" {saved:.0%} of {max(longest)} steps, at a CIEDE2000 difference of {difference.median:.2f} to the longest run"
        f" ({sum(value < VISIBLE for _, value, _ in stopped)} of {len(stopped)} runs below {VISIBLE})."
    ]


def _differences(group: Sequence[Run], folder: Path) -> Differences:
    """Return the color difference of each run of one series to the run with most steps."""
    fixed = [run for run in group if _has_steps(run)]
    if not fixed:
        return []
    longest = output_image(max(fixed, key=lambda run: int(run.task.settings["steps"])), folder)
    images = [(run, output_image(run, folder)) for run in group]
    return [(run, color_difference(image, longest)) for run, image in images if image.shape == longest.shape]


def _groups(runs: Sequence[Run]) -> list[list[Run]]:
    """Return the series: groups of runs that differ only in their number of steps."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        others = {name: value for name, value in run.task.settings.items() if name != "steps"}
        groups.setdefault(repr((run.task.content, run.task.style, run.task.method, others)), []).append(run)
    return list(groups.values())


def _has_steps(run: Run) -> bool:
    """Return whether the number of steps was given, so that no stopping rule applied."""
    return run.task.settings.get("steps") is not None

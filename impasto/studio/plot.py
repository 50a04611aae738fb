"""Draw loss curves as a small SVG for a page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from impasto.types import Step

WIDTH, HEIGHT = 320, 96
"""Size of the SVG in its own units; the page scales it to the available width."""
MAX_POINTS = 160
"""Largest number of points of one curve."""


def curves_svg(curve: Sequence[Step]) -> str:
    """Return an SVG of every kind of loss over the steps on a logarithmic axis, with a description for screen readers.

    Args:
        curve: the steps; a loss that is not positive and finite is left out.

    Returns:
        The SVG and its legend as HTML, or nothing for fewer than two points.
    """
    steps = [curve[i * len(curve) // MAX_POINTS] for i in range(MAX_POINTS)] if len(curve) > MAX_POINTS else [*curve]
    if steps and steps[-1] is not curve[-1]:
        steps.append(curve[-1])
    points = [(step.index, step.by_kind()) for step in steps]
    kinds = list(dict.fromkeys(kind for _, losses in points for kind in losses))
    values = [loss for _, losses in points for loss in losses.values() if 0 < loss < math.inf]
    if len(points) < 2 or not values:
        return ""
    low, high = math.log10(min(values)), math.log10(max(values))
    first, last = points[0][0], points[-1][0]

    def coordinates(step: int, loss: float) -> str:
        x = (step - first) / max(1, last - first) * WIDTH
        y = (high - math.log10(loss)) / max(high - low, 1e-9) * (HEIGHT - 8) + 4
        return f"{x:.1f},{y:.1f}"

    lines = "".join(
        f'<polyline class="curve-{escape(kind)}" points="'
        + " ".join(coordinates(step, losses[kind]) for step, losses in points if 0 < losses.get(kind, 0) < math.inf)
        + '"/>'
        for kind in kinds
    )
    ranges = ", ".join(f"{kind} {first_and_last(curve, kind)}" for kind in kinds)
    legend = "".join(f'<li class="curve-{escape(kind)}">{escape(kind)}</li>' for kind in kinds)
    description = f"losses from step {first} to {last}: {escape(ranges)}"
    view_box = f'viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none"'
    return f'<svg {view_box} role="img" aria-label="{description}">{lines}</svg><ul class="legend">{legend}</ul>'


def first_and_last(curve: Sequence[Step], kind: str) -> str:
    """Return the first and the last value of a loss as text: `4.2 to 0.3`."""
    values = [losses[kind] for losses in (step.by_kind() for step in curve) if kind in losses]
    return f"{values[0]:.3g} to {values[-1]:.3g}"

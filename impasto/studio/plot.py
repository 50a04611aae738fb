"""Loss curves as a small SVG to stand in a page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from impasto.types import Step

WIDTH, HEIGHT = 320, 96
"""In units of the SVG, which is as wide as its place in the page."""
POINTS = 160
"""So many of a curve are drawn."""


def curves_svg(curve: Sequence[Step]) -> str:
    """Every kind of loss against steps, on a logarithmic scale; a word of it for who cannot see it."""
    thinned = [curve[i * len(curve) // POINTS] for i in range(POINTS)] if len(curve) > POINTS else list(curve)
    if thinned and thinned[-1] is not curve[-1]:
        thinned.append(curve[-1])
    sums = [(step.index, step.by_kind()) for step in thinned]
    kinds = list(dict.fromkeys(kind for _, losses in sums for kind in losses))
    values = [loss for _, losses in sums for loss in losses.values() if 0 < loss < math.inf]
    if len(thinned) < 2 or not values:
        return ""
    low, high = math.log10(min(values)), math.log10(max(values))
    first, last = sums[0][0], sums[-1][0]

    def place(step: int, loss: float) -> str:
        x = (step - first) / max(1, last - first) * WIDTH
        y = (high - math.log10(loss)) / max(high - low, 1e-9) * (HEIGHT - 8) + 4
        return f"{x:.1f},{y:.1f}"

    lines = "".join(
        f'<polyline class="curve-{escape(kind)}" points="'
        + " ".join(place(step, losses[kind]) for step, losses in sums if 0 < losses.get(kind, 0) < math.inf)
        + '"/>'
        for kind in kinds
    )
    words = ", ".join(f"{kind} {losses_end(curve, kind)}" for kind in kinds)
    legend = "".join(f'<li class="curve-{escape(kind)}">{escape(kind)}</li>' for kind in kinds)
    said = f"losses from step {first} to {last}: {escape(words)}"
    size = f'viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none"'
    return f'<svg {size} role="img" aria-label="{said}">{lines}</svg><ul class="legend">{legend}</ul>'


def losses_end(curve: Sequence[Step], kind: str) -> str:
    """From where to where a loss went: `4.2 to 0.3`."""
    sums = (step.by_kind() for step in curve)
    own = [losses[kind] for losses in sums if kind in losses]
    return f"{own[0]:.3g} to {own[-1]:.3g}"

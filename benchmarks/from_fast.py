"""Measure how many steps a feed-forward model saves as the start of `gatys`, compared with the content image.

Six pairs at 512 pixels with the default settings. The run from the content image stops when converged, the others after
the same number of steps. Printed is the number of steps until the best loss so far reaches that of the content start.

    IMPASTO_TEST_IMAGES=... python benchmarks/from_fast.py [--backbone lite] [--size 512]
"""

from __future__ import annotations

import argparse
import itertools
import statistics
from collections.abc import Sequence

from common import SIX, machine, picture, table

from impasto import stylize
from impasto.allocator import keep_freed_memory
from impasto.types import Step

STARTS = ("micro", "adain", "wct")
FRACTIONS = (0.1, 0.25, 0.5, 1.0)


def curve(content: str, style: str, start: str, backbone: str, size: int, steps: int | None) -> list[float]:
    """Return the best loss so far after each step."""
    losses: list[float] = []

    def record(step: Step) -> None:
        losses.append(step.loss)

    until = {"tolerance": 0.01} if steps is None else {"steps": steps}
    settings = {"backbone": backbone, "size": size, "start": start, "loss_scales": 1, **until}
    stylize(picture(content), picture(style), on_step=record, **settings)
    return list(itertools.accumulate(losses, min))


def relative_steps(losses: Sequence[float], reference: Sequence[float], fraction: float) -> float:
    """Return the steps to the loss of the reference after a fraction of its steps, relative to those."""
    steps = max(1, round(fraction * len(reference)))
    goal = reference[steps - 1]
    return next((i / steps for i, loss in enumerate(losses, 1) if loss <= goal), float("inf"))


def main() -> None:
    """Print the relative numbers of steps for each pair, and their medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="lite")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--pairs", type=int, default=len(SIX), help="number of pairs")
    options = parser.parse_args()
    keep_freed_memory(of_any_size=True)  # as the command does
    print(machine(), f"; {options.backbone}, {options.size} pixels", sep="", flush=True)
    found: dict[str, list[list[float]]] = {start: [] for start in STARTS}
    ends: dict[str, list[float]] = {start: [] for start in STARTS}
    lengths = []
    for content, style in SIX[: options.pairs]:
        reference = curve(content, style, "content", options.backbone, options.size, None)
        lengths.append(len(reference))
        for start in STARTS:
            other = curve(content, style, start, options.backbone, options.size, len(reference))
            found[start].append([relative_steps(other, reference, fraction) for fraction in FRACTIONS])
            ends[start].append(other[-1] / reference[-1])
        summary = ", ".join(f"{start} {found[start][-1]}, {ends[start][-1]:.3f}" for start in STARTS)
        print(f"{content} x {style}, {lengths[-1]} steps: {summary}", flush=True)
    print(f"from the content image: {statistics.median(lengths):.0f} steps until converged (median)")
    rows = []
    for start in STARTS:
        medians = [statistics.median(column) for column in zip(*found[start], strict=True)]
        cells = ["never" if value == float("inf") else f"{value:.2f}" for value in medians]
        rows.append([start, *cells, f"{statistics.median(ends[start]):.3f}"])
    print(table(["start", *(f"steps to the loss after {fraction:.0%}" for fraction in FRACTIONS), "final loss"], rows))


if __name__ == "__main__":
    main()

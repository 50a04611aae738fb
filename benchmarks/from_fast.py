"""What a fast model saves as the start of an optimization: `gatys` from what it painted, against from the photograph.

Six pairs at 512 pixels by default settings, from the photograph until converged, from the others in as many steps.
Printed are the steps after which the loss (the best so far) is the one that the photograph leads to after so many.

    IMPASTO_TEST_IMAGES=... python benchmarks/from_fast.py [--backbone lite] [--size 512]
"""

from __future__ import annotations

import argparse
import itertools
import statistics
from collections.abc import Sequence

from common import SIX, machine, picture, table

from impasto import stylize
from impasto.cli.memory import keep_freed_memory
from impasto.types import Step

STARTS = ("micro", "adain", "wct")
SHARES = (0.1, 0.25, 0.5, 1.0)


def curve(content: str, style: str, start: str, backbone: str, size: int, steps: int | None) -> list[float]:
    """The least loss so far, step by step."""
    losses: list[float] = []

    def listen(step: Step) -> bool:
        losses.append(sum(step.losses.values()))
        return True

    until = {"tolerance": 0.01} if steps is None else {"steps": steps}
    settings = {"backbone": backbone, "size": size, "start": start, **until}
    stylize(picture(content), picture(style), on_step=listen, **settings)
    return list(itertools.accumulate(losses, min))


def sooner(start: Sequence[float], photograph: Sequence[float], share: float) -> float:
    """Steps from another start as a share of those from the photograph to the same loss; infinite if never."""
    steps = max(1, round(share * len(photograph)))
    goal = photograph[steps - 1]
    return next((i / steps for i, loss in enumerate(start, 1) if loss <= goal), float("inf"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="lite")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--pairs", type=int, default=len(SIX))
    options = parser.parse_args()
    keep_freed_memory(of_any_size=True)  # as the command does
    print(machine(), f"; {options.backbone}, {options.size} pixels", sep="", flush=True)
    found: dict[str, list[list[float]]] = {start: [] for start in STARTS}
    ends: dict[str, list[float]] = {start: [] for start in STARTS}
    lengths = []
    for content, style in SIX[: options.pairs]:
        photograph = curve(content, style, "content", options.backbone, options.size, None)
        lengths.append(len(photograph))
        for start in STARTS:
            other = curve(content, style, start, options.backbone, options.size, len(photograph))
            found[start].append([sooner(other, photograph, share) for share in SHARES])
            ends[start].append(other[-1] / photograph[-1])
        told = ", ".join(f"{start} {found[start][-1]}, {ends[start][-1]:.3f}" for start in STARTS)
        print(f"{content} x {style}, {lengths[-1]} steps: {told}", flush=True)
    print(f"from the photograph: {statistics.median(lengths):.0f} steps until converged (median)")
    rows = []
    for start in STARTS:
        medians = [statistics.median(column) for column in zip(*found[start], strict=True)]
        cells = ["never" if value == float("inf") else f"{value:.2f}" for value in medians]
        rows.append([start, *cells, f"{statistics.median(ends[start]):.3f}"])
    print(table(["start", *(f"steps to the loss after {share:.0%}" for share in SHARES), "loss at the end"], rows))


if __name__ == "__main__":
    main()

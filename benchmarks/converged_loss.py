"""Compare the loss that the schedule from coarse to fine reaches with that of plain L-BFGS on the same objective.

    IMPASTO_TEST_IMAGES=... python benchmarks/converged_loss.py [--method gatys] [--size 256] [--pairs 3]

Plain L-BFGS takes 500 steps at the size of the output, from the content image. Its objective has all loss scales, as
that of the default. Prints the lowest loss at that size after the steps of `--quality normal` and `best`, and as
fractions of that of plain L-BFGS.
"""

from __future__ import annotations

import argparse
from typing import Any

from common import machine, picture, table
from time_to_picture import TEN

from impasto.allocator import keep_freed_memory
from impasto.images import load_image
from impasto.methods import METHODS, configure
from impasto.regions.subject import single_region

STEPS = 500


def lowest_loss(method: str, content: str, style: str, **settings: Any) -> tuple[float, int]:
    """Return the lowest loss of the last stage of a run, and its evaluations."""
    subject = single_region(load_image(picture(content)), [load_image(picture(style))])
    steps = list(METHODS[method](configure(method, settings)).run(subject))
    return min(step.loss for step in steps if step.stage == steps[-1].stage), steps[-1].evaluations


def main() -> None:
    """Run the schedules, and print their losses."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", default="gatys")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--pairs", type=int, default=3)
    options = parser.parse_args()
    keep_freed_memory(of_any_size=True)
    print(f"{machine()}; {options.method}, lite, {options.size} px")
    rows = []
    for content, style in TEN[: options.pairs]:
        plain, _ = lowest_loss(
            options.method, content, style, size=options.size, sizes=(options.size,), steps=STEPS, device="cpu"
        )
        row = [f"{content} x {style}", f"{plain:.3f}"]
        for quality in ("normal", "best"):
            loss, evaluations = lowest_loss(
                options.method, content, style, size=options.size, quality=quality, device="cpu"
            )
            row.append(f"{loss:.3f} ({loss / plain:.3f}; {evaluations})")
        rows.append(row)
        print(row, flush=True)
    header = ["loss (fraction of plain; evaluations)", f"plain L-BFGS, {STEPS} evaluations", "normal", "best"]
    print(table(header, rows))


if __name__ == "__main__":
    main()

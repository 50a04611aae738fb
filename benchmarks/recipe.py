"""Check whether a recipe is reproducible: compare the first steps of a new training with the recorded curve.

    IMPASTO_WEIGHTS=... python benchmarks/recipe.py lite --photos DIR --paintings DIR -o FOLDER [--steps 200]

Trains with the settings of the first session into FOLDER for a number of steps, and compares the losses with those of
`docs/measurements/NAME-curve.json`. On the same machine with the same number of processes (one process with one thread;
two for `lite`: `torchrun --nproc-per-node 2`) they are identical. On another machine they differ by rounding, which
grows.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from common import machine, table

from impasto.training import this_process, train
from impasto.types import Step

DOCS = Path(__file__).parents[1] / "docs" / "measurements"


def main() -> None:
    """Train, and print the recorded and the repeated losses."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", choices=["lite", "micro", "unrolled", "adain", "wct", "johnson"])
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--paintings", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=200)
    options = parser.parse_args()

    def continues(step: Step) -> bool:
        return step.index < options.steps

    reference = json.loads((DOCS / f"{options.recipe}-curve.json").read_text())
    folders = {"output": options.output, "photos": options.photos, "paintings": options.paintings}
    train(options.recipe, on_step=continues, **folders, **reference["settings"])
    if not this_process().is_first:
        return
    print(machine())
    recorded, repeated = (
        {point["step"]: point["losses"] for point in points}
        for points in (reference["points"], json.loads((options.output / "curve.json").read_text()))
    )
    shared = [step for step in recorded if step in repeated and step <= options.steps]
    if not shared:
        raise SystemExit(f"no recorded step within --steps {options.steps}; the first one is {min(recorded)}")
    rows, worst = [], 0.0
    for step in shared:
        a, b = sum(recorded[step].values()), sum(repeated[step].values())
        worst = max(worst, abs(a - b) / a)
        rows.append([step, f"{a:.5f}", f"{b:.5f}"])
    print(table(["step", "recorded loss", "this run"], rows[:: max(1, len(rows) // 12)]))
    print(f"largest difference over {len(shared)} points: {worst:.2%}")


if __name__ == "__main__":
    main()

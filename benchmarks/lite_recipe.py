"""Whether the recipe of `lite` can be run again: the first steps of a new run against the curve of the shipped one.

    IMPASTO_WEIGHTS=... python benchmarks/lite_recipe.py --photos DIR --paintings DIR -o FOLDER [--steps 200]

Trains with the default settings into FOLDER until so many steps are done, and compares the losses with those of
`docs/lite-curve.json`. On the same machine with as many processes (`torchrun --nproc-per-node 2`, one thread each) they
are the same; elsewhere they differ by rounding, which grows.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from common import machine, table

from impasto.training import TrainingStep, this_process, train

CURVE = Path(__file__).parents[1] / "docs" / "lite-curve.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--paintings", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=200)
    options = parser.parse_args()

    def listen(step: TrainingStep) -> bool:
        return step.index < options.steps

    train("lite", output=options.output, photos=options.photos, paintings=options.paintings, on_step=listen)
    if not this_process().is_first:
        return
    print(machine())
    recorded, again = (
        {point["step"]: point["losses"] for point in json.loads(path.read_text())}
        for path in (CURVE, options.output / "curve.json")
    )
    shared = [step for step in recorded if step in again and step <= options.steps]
    rows, worst = [], 0.0
    for step in shared:
        a, b = sum(recorded[step].values()), sum(again[step].values())
        worst = max(worst, abs(a - b) / a)
        rows.append([step, f"{a:.5f}", f"{b:.5f}"])
    print(table(["step", "recorded loss", "this run"], rows[:: max(1, len(rows) // 12)]))
    print(f"largest difference over {len(shared)} points: {worst:.2%}")


if __name__ == "__main__":
    main()

"""Grade the intermediate images of `gatys` with `lite` by VGG-19, for different numbers of steps and tolerances.

The loss of a small network can decrease while the loss of VGG-19 does not. Each of six pairs is stylized once with the
default settings except for the number of steps. Printed are the medians of the loss (relative to the final one), and of
the style share and the content loss of VGG-19 at the size of the output and at the smaller ones of 512, 256 and 128
pixels, after several numbers of steps, and at the step at which each tolerance would have stopped the run.

    IMPASTO_WEIGHTS=... IMPASTO_TEST_IMAGES=... python benchmarks/lite_steps.py [--size 512] [--start noise]
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence

import torch
from common import SIX, Grader, Grades, load_chain, machine, median_grades, picture, table

from impasto import stylize
from impasto.allocator import keep_freed_memory
from impasto.optim.descent import Convergence
from impasto.types import Image, Step

STEPS = (60, 80, 100, 150, 200, 300, 400)
TOLERANCES = (0.03, 0.02, 0.01)

Mark = tuple[int, float, Grades]
"""Steps, loss, and the grades by VGG-19."""


def watch(content: str, style: str, size: int, start: str) -> tuple[list[float], dict[int, Image], dict[float, int]]:
    """Return the losses of all steps, the images of some, and the step at which each tolerance would have stopped."""
    losses: list[float] = []
    pictures: dict[int, Image] = {}
    rules = {tolerance: Convergence(tolerance=tolerance) for tolerance in TOLERANCES}
    ends = dict.fromkeys(TOLERANCES, STEPS[-1])

    def record(step: Step) -> None:
        losses.append(step.loss)
        reached = [tolerance for tolerance, rule in rules.items() if rule.reached(step.loss)]
        for tolerance in reached:
            ends[tolerance] = step.index
            del rules[tolerance]
        if step.index in STEPS or reached:
            pictures[step.index] = step.image()

    pictures_of_pair = picture(content), picture(style)
    stylize(*pictures_of_pair, size=size, start=start, loss_scales=1, steps=STEPS[-1], on_step=record)
    return losses, pictures, ends


def medians(marks: Sequence[Mark]) -> list[str]:
    steps, loss, grades = zip(*marks, strict=True)
    middle = median_grades(grades)
    return [f"{statistics.median(steps):.0f}", f"{statistics.median(loss):.3f}", middle.shares(2), middle.contents(3)]


def main() -> None:
    """Print the medians for each number of steps and each tolerance."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--start", default="content")
    parser.add_argument("--pairs", type=int, default=len(SIX), help="number of pairs")
    options = parser.parse_args()
    keep_freed_memory(of_any_size=True)  # as the command does
    plain = load_chain("vgg19-caffe", torch.float32)
    print(machine(), f"; {options.size} pixels, start {options.start}", sep="", flush=True)
    rows: dict[str, list[Mark]] = {}
    for content, style in SIX[: options.pairs]:
        grader = Grader(content, style, options.size, plain)
        losses, pictures, ends = watch(content, style, options.size, options.start)
        marks = {
            steps: (steps, losses[steps - 1] / losses[-1], grader.grade(image)) for steps, image in pictures.items()
        }
        for steps in STEPS:
            rows.setdefault(f"{steps} steps", []).append(marks[steps])
        for tolerance in TOLERANCES:
            rows.setdefault(f"tolerance {tolerance}", []).append(marks[ends[tolerance]])
        print(
            f"{content} x {style}: best style share after {min(STEPS, key=lambda each: marks[each][2].style_share)}",
            flush=True,
        )
    print(table(["until", "steps", "loss", "style share", "content loss"], [[k, *medians(v)] for k, v in rows.items()]))


if __name__ == "__main__":
    main()

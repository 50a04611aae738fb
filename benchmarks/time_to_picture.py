"""Compare schedules and objectives of `gatys` by their time and by the grades of their outputs at three sizes.

The first candidate is one size, until converged: the classical way, and the reference of all ratios. The second is the
default. Each other candidate differs from the default in one thing.

    IMPASTO_WEIGHTS=... IMPASTO_TEST_IMAGES=... python benchmarks/time_to_picture.py [--candidates NAME ...]
        [--method gatys] [--backbone lite] [--size 512] [--pairs 10] [--sheet sheet.png]

The evaluation network is VGG-19 in fp32, which sees the output as saved with 8 bits. Prints for each pair the style
share and the content loss (metric `content`) at the size of the output and at the smaller ones of 512, 256 and 128
pixels, evaluations in units of one at the size of the output alone, and seconds of processor time. Then the median over
the pairs of the ratio to the reference, with the quartiles.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from common import SIX, Grader, Grades, machine, picture, table

from impasto.allocator import keep_freed_memory
from impasto.backbones import load_backbone
from impasto.images import load_image, save_image
from impasto.images.contact_sheet import contact_sheet
from impasto.methods import METHODS, configure
from impasto.methods.matching import Matching
from impasto.optim.schedule import Schedule
from impasto.pipeline.start_methods import details_method
from impasto.regions.subject import Subject, single_region
from impasto.types import Image, Step

TEN = (
    *(*SIX, ("chelsea", "brushstrokes"), ("rocket", "woodcut")),
    *(("coffee", "pointillism"), ("astronaut", "starry_night")),
)
"""The six pairs of most benchmarks, and four with bundled samples."""


@dataclass(frozen=True)
class Candidate:
    """Settings of a method, and what its schedule has beside them."""

    settings: dict[str, Any] = field(default_factory=dict)
    keep_details: bool | None = None
    """None keeps what the method does."""
    preconditioned: bool | None = None
    """At every size; None preconditions the coarsest of several."""

    def change(self, schedule: Schedule) -> Schedule:
        """Return the schedule of the candidate, from that of the method."""
        stages = schedule.stages
        if self.preconditioned is not None:
            stages = tuple(replace(stage, preconditioned=self.preconditioned) for stage in stages)
        return Schedule(stages, schedule.keep_details if self.keep_details is None else self.keep_details)


REFERENCE = "one size, converged"
CANDIDATES: dict[str, Candidate] = {
    REFERENCE: Candidate({"loss_scales": 1, "tolerance": 0.02}),
    "default": Candidate(),
    "draft": Candidate({"quality": "draft"}),
    "best": Candidate({"quality": "best"}),
    "one size, preconditioned, 60 steps": Candidate({"loss_scales": 1, "steps": 60}, preconditioned=True),
    "one loss scale, from coarse to fine": Candidate({"loss_scales": 1, "sizes": (128, 256, 512), "steps": 130}),
    "without details": Candidate(keep_details=False),
    "without preconditioner": Candidate(preconditioned=False),
    "preconditioned at every size": Candidate(preconditioned=True),
    "coarse_style 0.5": Candidate({"coarse_style": 0.5}),
    "coarse_style 2": Candidate({"coarse_style": 2.0}),
    "history 30": Candidate({"history": 30}),
}


@dataclass(frozen=True)
class Outcome:
    """What a candidate needed for one pair, and how its output is graded."""

    grades: Grades
    evaluations: float
    """In units of one evaluation of the loss at the size of the output alone."""
    seconds: float
    """Processor time."""

    def ratios(self, reference: Outcome) -> list[float]:
        """Return style shares, content losses, evaluations and seconds as fractions of another outcome's."""
        return [mine / its for mine, its in zip(self._values(), reference._values(), strict=True)]

    def _values(self) -> list[float]:
        return [*self.grades.style_share, *self.grades.content, self.evaluations, self.seconds]


def stylize(
    subject: Subject, method: str, candidate: Candidate, settings: dict[str, Any]
) -> tuple[Image, float, float]:
    """Return the output of a candidate, its evaluations and its processor time in seconds."""
    kind = METHODS[method]
    assert issubclass(kind, Matching)

    class Variant(kind):  # type: ignore[misc, valid-type]
        def schedule(self, subject: Subject) -> Schedule:
            return candidate.change(super().schedule(subject))

    began, evaluations, before = time.process_time(), 0.0, 0
    best: Step | None = None
    variant = Variant(configure(method, {**settings, **candidate.settings}))
    details = details_method(variant)
    if details is not None:
        *_, step = details.run(subject)
        subject = replace(subject, details=step.image())
    for step in variant.run(subject):
        sides = {max(step.size), *(int(name.partition("@")[2]) for name in step.losses if "@" in name)}
        evaluations += (step.evaluations - before) * sum((side / settings["size"]) ** 2 for side in sides)
        before = step.evaluations
        if best is None or step.stage != best.stage or step.loss < best.loss:
            best = step
    assert best is not None
    return best.image(), evaluations, time.process_time() - began


def summary(ratios: Sequence[Sequence[float]]) -> list[str]:
    """Return the median and the quartiles of each ratio over the pairs."""
    cells = []
    for each in zip(*ratios, strict=True):
        low, median, high = statistics.quantiles(each, n=4) if len(each) > 1 else (each[0],) * 3
        cells.append(f"{median:.2f} ({low:.2f} to {high:.2f})")
    return cells


def main() -> None:
    """Run the candidates, print their grades, and write a sheet of the outputs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candidates", nargs="*", default=list(CANDIDATES), choices=list(CANDIDATES))
    parser.add_argument("--method", default="gatys")
    parser.add_argument("--backbone", default="lite")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--pairs", type=int, default=len(TEN))
    parser.add_argument("--sheet", type=Path)
    options = parser.parse_args()
    keep_freed_memory(of_any_size=True)
    evaluator = load_backbone("vgg19-caffe")
    settings = {"size": options.size, "backbone": options.backbone, "device": "cpu"}
    names = list(dict.fromkeys([REFERENCE, *options.candidates]))
    outcomes: dict[str, list[Outcome]] = {name: [] for name in names}
    sheet: list[list[Image]] = []
    print(f"{machine()}; {options.method}, {options.backbone}, {options.size} px")
    for content, style in TEN[: options.pairs]:
        grader = Grader(content, style, options.size, evaluator, content_metric="content")
        subject = single_region(load_image(picture(content)), [load_image(picture(style))])
        sheet.append([])
        for name in names:
            image, evaluations, seconds = stylize(subject, options.method, CANDIDATES[name], settings)
            grades = grader.grade(image)
            outcomes[name].append(Outcome(grades, evaluations, seconds))
            sheet[-1].append(image)
            print(
                f"{content} x {style}, {name}: {grades}, {evaluations:.0f}, {seconds:.1f} s",
                flush=True,
            )
    sizes = grader.sizes
    header = ["median ratio (quartiles)", *(f"style share @{size}" for size in sizes)]
    header += [*(f"content @{size}" for size in sizes), "evaluations", "seconds"]
    rows = []
    for name in names[1:]:
        pairs = zip(outcomes[name], outcomes[REFERENCE], strict=True)
        rows.append([name, *summary([mine.ratios(its) for mine, its in pairs])])
    print(table(header, rows))
    if options.sheet:
        save_image(contact_sheet(sheet, column_names=names, cell=512), options.sheet)


if __name__ == "__main__":
    main()

"""Which run stands where: pairs of pictures down, variants across."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from impasto.experiments.run import Run

Pair = tuple[str, str]
"""A content and a style."""


@dataclass(frozen=True)
class Arrangement:
    """All runs of an experiment, in the order in which they were asked for."""

    runs: tuple[Run, ...]

    @cached_property
    def variants(self) -> tuple[str, ...]:
        """The columns."""
        return tuple(dict.fromkeys(run.task.variant for run in self.runs))

    @cached_property
    def pairs(self) -> tuple[Pair, ...]:
        """The rows."""
        return tuple(dict.fromkeys(pair_of(run) for run in self.runs))

    @cached_property
    def cells(self) -> dict[tuple[Pair, str], tuple[int, ...]]:
        """The runs of a pair and a variant, one for every seed, as indices into `runs`."""
        cells: dict[tuple[Pair, str], list[int]] = {}
        for i, run in enumerate(self.runs):
            cells.setdefault((pair_of(run), run.task.variant), []).append(i)
        return {place: tuple(found) for place, found in cells.items()}

    @cached_property
    def by_variant(self) -> dict[str, tuple[Run, ...]]:
        """The runs of each column."""
        columns: dict[str, list[Run]] = {variant: [] for variant in self.variants}
        for run in self.runs:
            columns[run.task.variant].append(run)
        return {variant: tuple(column) for variant, column in columns.items()}


def pair_of(run: Run) -> Pair:
    """What a run paints."""
    return run.task.content, run.task.style


def by_pair(runs: Sequence[Run]) -> list[list[Run]]:
    """Runs grouped by what they paint: the seeds of a pair stand together."""
    groups: dict[Pair, list[Run]] = {}
    for run in runs:
        groups.setdefault(pair_of(run), []).append(run)
    return list(groups.values())

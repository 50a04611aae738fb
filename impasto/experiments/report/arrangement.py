"""Arrange runs as a table: pairs of images as rows, variants as columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from impasto.experiments.run import Run

Pair = tuple[str, str]
"""Content image and style image."""


@dataclass(frozen=True)
class Arrangement:
    """All runs of an experiment, in the order of its tasks."""

    runs: tuple[Run, ...]

    @cached_property
    def variants(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(dict.fromkeys(run.task.variant for run in self.runs))

    @cached_property
    def pairs(self) -> tuple[Pair, ...]:
        """Pairs of the rows."""
        return tuple(dict.fromkeys(pair_of(run) for run in self.runs))

    @cached_property
    def cells(self) -> dict[tuple[Pair, str], tuple[int, ...]]:
        """Indices into `runs` of each pair and variant, one for each seed."""
        cells: dict[tuple[Pair, str], list[int]] = {}
        for i, run in enumerate(self.runs):
            cells.setdefault((pair_of(run), run.task.variant), []).append(i)
        return {cell: tuple(indices) for cell, indices in cells.items()}

    @cached_property
    def by_variant(self) -> dict[str, tuple[Run, ...]]:
        """Runs of each column."""
        columns: dict[str, list[Run]] = {variant: [] for variant in self.variants}
        for run in self.runs:
            columns[run.task.variant].append(run)
        return {variant: tuple(column) for variant, column in columns.items()}


def pair_of(run: Run) -> Pair:
    """Return the content image and the style image of a run."""
    return run.task.content, run.task.style


def by_pair(runs: Sequence[Run]) -> list[list[Run]]:
    """Group runs by their pair of images, so that the seeds of a pair are in one group."""
    groups: dict[Pair, list[Run]] = {}
    for run in runs:
        groups.setdefault(pair_of(run), []).append(run)
    return list(groups.values())

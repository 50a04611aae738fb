"""What a table says of many paintings: medians, how sure they are, and which points nothing beats."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 2000


@dataclass(frozen=True)
class Estimate:
    """A median, and where it would lie for other pictures of the same kind."""

    median: float
    low: float | None
    """Bounds of the interval; None where there is nothing to resample: a single number."""
    high: float | None
    count: int
    """Groups that the median is of."""


def bootstrap_median(
    groups: Sequence[Sequence[float]], *, level: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> Estimate | None:
    """Median over groups of the median in each group, with a percentile interval (Efron & Tibshirani 1993, 13.3).

    A group is a pair of pictures, its numbers those of several seeds. Groups are drawn with replacement, then numbers
    within each drawn group: pictures and chance both count. Numbers that are not finite are left out, and None is
    returned where none is left.

    Args:
        groups: numbers, group by group.
        level: how often the interval should hold the median, in (0, 1).
        resamples: how many times to draw.
        seed: of the draws: the same numbers give the same interval.

    >>> bootstrap_median([[1.0], [2.0], [3.0]])
    Estimate(median=2.0, low=1.0, high=3.0, count=3)
    """
    if not 0 < level < 1:
        raise ValueError(f"level: {level} is not between 0 and 1")
    finite = [[value for value in group if math.isfinite(value)] for group in groups]
    kept = [group for group in finite if group]
    if not kept:
        return None
    median = float(np.median([np.median(group) for group in kept]))
    if sum(map(len, kept)) == 1:
        return Estimate(median, None, None, 1)
    drawn = _draw(kept, resamples, np.random.default_rng(seed))  # (R, G)
    tail = 50 * (1 - level)
    low, high = np.percentile(np.median(drawn, axis=1), [tail, 100 - tail])
    return Estimate(median, float(low), float(high), len(kept))


@dataclass(frozen=True)
class Correlation:
    """A rank correlation from -1 to 1, and where it would lie for other groups of the same kind."""

    value: float
    low: float
    high: float


def bootstrap_correlation(
    groups: Sequence[Sequence[tuple[float, float]]],
    *,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Correlation | None:
    """Spearman's rank correlation of pairs of numbers, with a percentile interval over groups.

    Whole groups are drawn with replacement: pairs within one are no independent witnesses. None where the numbers of
    one kind are all equal. Draws in which they are say nothing and are left out.

    >>> bootstrap_correlation([[(1.0, 2.0)], [(2.0, 3.0)], [(3.0, 9.0)]])
    Correlation(value=1.0, low=1.0, high=1.0)
    """
    arrays = [np.asarray(group, float) for group in groups]  # (n, 2) each
    value = _spearman(np.concatenate(arrays))
    if math.isnan(value):
        return None
    rng = np.random.default_rng(seed)
    picked = rng.integers(len(arrays), size=(resamples, len(arrays)))
    drawn = [_spearman(np.concatenate([arrays[g] for g in row])) for row in picked]
    tail = 50 * (1 - level)
    low, high = np.nanpercentile(drawn, [tail, 100 - tail])
    return Correlation(value, float(low), float(high))


def _spearman(pairs: np.ndarray) -> float:
    """Of `(n, 2)`: the correlation of ranks, equal numbers sharing the mean of theirs; NaN where all are equal."""
    ranks = np.stack([_ranks(column) for column in pairs.T])  # (2, n)
    centered = ranks - ranks.mean(axis=1, keepdims=True)
    size = math.sqrt(float((centered[0] ** 2).sum() * (centered[1] ** 2).sum()))
    return float((centered[0] * centered[1]).sum()) / size if size else math.nan


def _ranks(values: np.ndarray) -> np.ndarray:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: np.ndarray = (counts.cumsum() - (counts - 1) / 2)[place]
    return ranks


def _draw(groups: Sequence[Sequence[float]], resamples: int, rng: np.random.Generator) -> np.ndarray:
    """The medians of resampled groups, `(resamples, groups)`."""
    count, longest = len(groups), max(map(len, groups))
    picked = rng.integers(count, size=(resamples, count))
    if longest == 1:
        return np.array([group[0] for group in groups])[picked]
    medians = np.empty(picked.shape)
    for g, group in enumerate(groups):  # one draw of numbers for every time the group was drawn
        times = np.nonzero(picked == g)
        within = rng.integers(len(group), size=(len(times[0]), len(group)))
        medians[times] = np.median(np.asarray(group)[within], axis=1)
    return medians


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Which points no other one beats, less being better on both axes; equal points are on the front together.

    A point is beaten by one that is nowhere worse and somewhere better. Points with a NaN are on no front.

    >>> pareto_front([(1, 3), (2, 2), (3, 3), (3, 1)])
    [0, 1, 3]
    """
    known = [i for i, point in enumerate(points) if not any(map(math.isnan, point))]
    front: list[int] = []
    best, column = math.inf, math.nan
    for i in sorted(known, key=lambda i: points[i]):
        x, y = points[i]
        if y < best or (y == best and x == column):
            front.append(i)
            best, column = y, x
    return sorted(front)

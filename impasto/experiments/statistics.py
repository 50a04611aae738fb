"""Compute medians and rank correlations with bootstrap intervals, and Pareto fronts."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 2000


@dataclass(frozen=True)
class Estimate:
    """A median with its bootstrap interval."""

    median: float
    low: float | None
    """Lower bound of the interval; None for a single number, which cannot be resampled."""
    high: float | None
    """Upper bound of the interval; None for a single number."""
    count: int
    """Number of groups."""


def bootstrap_median(
    groups: Sequence[Sequence[float]], *, level: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> Estimate | None:
    """Return the median over groups of the median within each group, with a percentile bootstrap interval.

    A group is a pair of images, and its numbers belong to different seeds. Groups are drawn with replacement, then
    numbers within each drawn group, so that the interval reflects both sources of variation. `scipy.stats.bootstrap`
    resamples one level only; for groups of one number each, this function draws the same samples.

    Reference: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, section 13.3.

    Args:
        groups: the numbers of each group; numbers that are not finite are left out.
        level: confidence level of the interval, in (0, 1).
        resamples: number of bootstrap samples.
        seed: seed of the random generator.

    Returns:
        The estimate, or None if no number is finite.

    Raises:
        ValueError: if `level` is not between 0 and 1.

    >>> bootstrap_median([[1.0], [2.0], [3.0]])
    Estimate(median=2.0, low=1.0, high=3.0, count=3)
    """
    if not 0 < level < 1:
        raise ValueError(f"level: {level} is not between 0 and 1")
    finite = [[value for value in group if math.isfinite(value)] for group in groups]
    nonempty = [group for group in finite if group]
    if not nonempty:
        return None
    median = float(np.median([np.median(group) for group in nonempty]))
    if sum(map(len, nonempty)) == 1:
        return Estimate(median, None, None, 1)
    medians = _resampled_medians(nonempty, resamples, np.random.default_rng(seed))  # (R, G)
    tail = 50 * (1 - level)
    low, high = np.percentile(np.median(medians, axis=1), [tail, 100 - tail])
    return Estimate(median, float(low), float(high), len(nonempty))


@dataclass(frozen=True)
class Correlation:
    """A rank correlation in [-1, 1] with its bootstrap interval."""

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
    """Return Spearman's rank correlation of pairs of numbers, with a percentile interval over groups.

    Whole groups are drawn with replacement, because the pairs within a group are not independent. Samples in which all
    numbers of one kind are equal are left out. Needs SciPy.

    Args:
        groups: the pairs of each group.
        level: confidence level of the interval, in (0, 1).
        resamples: number of bootstrap samples.
        seed: seed of the random generator.

    Returns:
        The correlation, or None if all numbers of one kind are equal.

    Raises:
        ImportError: if SciPy is not installed.

    >>> bootstrap_correlation([[(1.0, 2.0)], [(2.0, 3.0)], [(3.0, 9.0)]])
    Correlation(value=1.0, low=1.0, high=1.0)
    """
    arrays = [np.asarray(group, float) for group in groups]  # (n, 2) each
    value = _spearman(np.concatenate(arrays))
    if math.isnan(value):
        return None
    if len(arrays) == 1:
        return Correlation(value, value, value)
    tail = 50 * (1 - level)
    low, high = np.nanpercentile(_resampled_correlations(arrays, resamples, seed), [tail, 100 - tail])
    return Correlation(value, float(low), float(high))


def _resampled_correlations(groups: Sequence[np.ndarray], resamples: int, seed: int) -> np.ndarray:
    """Return the correlations of samples of whole groups, `(resamples,)`."""
    from scipy.stats import DegenerateDataWarning, bootstrap

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DegenerateDataWarning)  # of samples without a correlation, which are NaN
        result = bootstrap(
            (np.arange(len(groups)),),
            lambda drawn: _spearman(np.concatenate([groups[g] for g in drawn])),
            n_resamples=resamples,
            vectorized=False,
            method="percentile",
            rng=np.random.default_rng(seed),
        )
    correlations: np.ndarray = result.bootstrap_distribution
    return correlations


def _spearman(pairs: np.ndarray) -> float:
    """Return Spearman's correlation of pairs `(n, 2)`, NaN if all numbers of one kind are equal.

    Pearson's correlation of the ranks: `scipy.stats.spearmanr` also computes p-values, and warns of equal numbers.
    """
    from scipy.stats import rankdata

    ranks = rankdata(pairs, axis=0)  # (n, 2); equal numbers share their mean rank
    centered = ranks - ranks.mean(axis=0)
    norm = math.sqrt(float((centered[:, 0] ** 2).sum() * (centered[:, 1] ** 2).sum()))
    return float((centered[:, 0] * centered[:, 1]).sum()) / norm if norm else math.nan


def _resampled_medians(groups: Sequence[Sequence[float]], resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Return the medians of the drawn groups, `(resamples, groups)`."""
    count, longest = len(groups), max(map(len, groups))
    drawn = rng.integers(count, size=(resamples, count))
    if longest == 1:
        return np.array([group[0] for group in groups])[drawn]
    medians = np.empty(drawn.shape)
    for g, group in enumerate(groups):  # numbers are drawn again each time the group is drawn
        positions = np.nonzero(drawn == g)
        within = rng.integers(len(group), size=(len(positions[0]), len(group)))
        medians[positions] = np.median(np.asarray(group)[within], axis=1)
    return medians


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Return the indices of the points that no other point dominates, if lower is better on both axes.

    A point is dominated by another that is not worse on any axis and better on at least one, so that equal points are
    on the front together. Points with NaN are on no front.

    >>> pareto_front([(1, 3), (2, 2), (3, 3), (3, 1)])
    [0, 1, 3]
    """
    known = [i for i, point in enumerate(points) if not any(map(math.isnan, point))]
    front: list[int] = []
    best, best_x = math.inf, math.nan
    for i in sorted(known, key=lambda i: points[i]):
        x, y = points[i]
        if y < best or (y == best and x == best_x):
            front.append(i)
            best, best_x = y, x
    return sorted(front)

"""Bootstrap intervals and Pareto fronts in known cases."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.stats

from impasto.experiments.statistics import bootstrap_median, pareto_front


def test_the_interval_equals_that_of_scipy() -> None:
    numbers = np.random.default_rng(1).lognormal(size=40)
    ours = bootstrap_median([[value] for value in numbers], resamples=20_000)
    theirs = scipy.stats.bootstrap((numbers,), np.median, n_resamples=20_000, method="percentile", rng=2)
    assert ours is not None
    assert ours.median == np.median(numbers)
    assert ours.low == pytest.approx(theirs.confidence_interval.low, rel=0.03)
    assert ours.high == pytest.approx(theirs.confidence_interval.high, rel=0.03)


def test_the_coverage_of_the_interval_is_near_its_level() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(300):
        estimate = bootstrap_median([[value] for value in rng.normal(size=25)], level=0.8, resamples=400)
        assert estimate is not None
        assert estimate.low is not None
        assert estimate.high is not None
        hits += estimate.low <= 0 <= estimate.high
    assert 0.72 < hits / 300 < 0.9


def test_the_interval_of_three_numbers_is_exact() -> None:
    """The median of three draws is the smallest number in 7 of 27 cases, which is more than 2.5 %."""
    estimate = bootstrap_median([[1.0], [2.0], [30.0]])
    assert estimate is not None
    assert (estimate.median, estimate.low, estimate.high, estimate.count) == (2, 1, 30, 3)


def test_the_interval_is_deterministic_and_depends_on_the_seed() -> None:
    numbers = [[value] for value in np.random.default_rng(3).normal(size=12)]
    assert bootstrap_median(numbers, resamples=50) == bootstrap_median(numbers, resamples=50)
    assert bootstrap_median(numbers, resamples=50, seed=1) != bootstrap_median(numbers, resamples=50)


def test_the_spread_over_seeds_widens_the_interval() -> None:
    steady = bootstrap_median([[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]])
    varying = bootstrap_median([[0.0, 1.0, 2.0], [0.0, 1.0, 2.0]])
    assert steady is not None
    assert varying is not None
    assert (steady.low, steady.high) == (1, 1)
    assert varying.low is not None
    assert varying.high is not None
    assert varying.median == 1
    assert varying.low < 0.6
    assert varying.high > 1.4


def test_a_pair_counts_once_whatever_its_number_of_seeds() -> None:
    estimate = bootstrap_median([[5.0] * 9, [1.0], [1.0]])
    assert estimate is not None
    assert estimate.median == 1


def test_one_number_has_no_interval_and_no_number_has_no_median() -> None:
    single = bootstrap_median([[4.0], [float("nan")], []])
    assert single is not None
    assert (single.median, single.low, single.high, single.count) == (4, None, None, 1)
    assert bootstrap_median([[], [float("inf")]]) is None


@pytest.mark.parametrize("level", [0, 1, 95])
def test_a_level_outside_0_to_1_is_an_error(level: float) -> None:
    with pytest.raises(ValueError, match=f"level: {level} is not between 0 and 1"):
        bootstrap_median([[1.0]], level=level)


@pytest.mark.parametrize(
    ("points", "front"),
    [
        ([], []),
        ([(1, 1)], [0]),
        ([(1, 3), (2, 2), (3, 1)], [0, 1, 2]),
        ([(1, 1), (2, 2)], [0]),
        ([(2, 2), (1, 1), (1, 1)], [1, 2]),
        ([(1, 2), (1, 1)], [1]),
        ([(2, 1), (1, 1)], [1]),
        ([(float("nan"), 0), (1, 1)], [1]),
    ],
)
def test_known_pareto_fronts(points: list[tuple[float, float]], front: list[int]) -> None:
    assert pareto_front(points) == front


def test_a_front_is_the_set_of_points_that_no_point_dominates() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        points = [(float(x), float(y)) for x, y in rng.integers(0, 6, (12, 2))]  # few values: many ties

        def dominated(i: int, points: list[tuple[float, float]] = points) -> bool:
            (x, y) = points[i]
            return any(a <= x and b <= y and (a, b) != (x, y) for a, b in points)

        assert pareto_front(points) == [i for i in range(12) if not dominated(i)]


def test_the_front_does_not_depend_on_the_order_of_the_points() -> None:
    points = [(1.0, 3.0), (2.0, 2.0), (2.0, 2.0), (3.0, 3.0)]
    for order in itertools.permutations(range(4)):
        front = pareto_front([points[i] for i in order])
        assert sorted(order[i] for i in front) == [0, 1, 2]

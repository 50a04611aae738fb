"""Compare methods: one job for every combination of method, strength and style scale."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from impasto.methods import METHODS

MAX_JOBS = 40
"""Largest number of jobs of one comparison."""


def combinations(
    methods: Sequence[str], axes: Mapping[str, Sequence[float]], shared: Mapping[str, Any]
) -> list[tuple[str, dict[str, Any]]]:
    """Return method and settings of each job of a comparison.

    Args:
        methods: names of methods.
        axes: values of each setting that varies, such as `{"strength": [30, 70]}`.
        shared: settings of all jobs. A method without such a setting, like the steps of a single pass, ignores it.

    Raises:
        ValueError: for an unknown method, or no or more than `MAX_JOBS` combinations.

    >>> combinations(["gatys", "micro"], {"strength": [30]}, {"steps": 9})
    [('gatys', {'steps': 9, 'strength': 30}), ('micro', {'strength': 30})]
    """
    if not methods:
        raise ValueError("methods: choose at least one")
    jobs = [
        (method, {**shared, **dict(zip(axes, values, strict=True))})
        for method in methods
        for values in itertools.product(*axes.values())
    ]
    if not jobs:
        raise ValueError("every row of the comparison needs at least one value")
    if len(jobs) > MAX_JOBS:
        raise ValueError(f"the comparison has {len(jobs)} pictures; choose at most {MAX_JOBS} combinations")
    return [(method, _known(method, settings)) for method, settings in jobs]


def _known(method: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    fields = METHODS[method].Config.__dataclass_fields__
    return {name: value for name, value in settings.items() if name in fields}

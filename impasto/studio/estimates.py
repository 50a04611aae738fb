"""Estimate how long a method takes on this machine, from the results in the history."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from impasto.methods import METHODS
from impasto.methods.matching import MatchingConfig
from impasto.optim.schedule import FACTOR, FINER_SIZE
from impasto.studio.history import HistoryEntry

REFERENCE = {
    "gatys": 107.0,
    "bures": 174.0,
    "sliced": 183.0,
    "strotss": 857.0,
    "nnst": 188.0,
    "mrf": 160.0,
    "gpdm": 79.0,
    "micro": 0.4,
    "unrolled": 1.5,
    "adain": 0.5,
    "wct": 1.9,
    "johnson": 0.5,
}
"""Seconds per megapixel with default settings: the table of docs/guide/choose-a-method.md, divided by 0.0655."""
DRAFT = 1 / 7
"""Time of a draft of a method that matches statistics; its smallest size has most of the steps."""
MAX_ENTRIES = 60
"""Number of newest results that an estimate uses."""
MIN_SECONDS = 1.0
"""Results in less time tell little about larger ones, because reading the images and the network dominates."""


def seconds_per_megapixel(entries: Sequence[HistoryEntry]) -> dict[str, float]:
    """Return the expected seconds per megapixel of each method with default settings.

    A method with results gets the median of their speeds; the others get the reference times the median ratio between
    this machine and the reference.

    Args:
        entries: results of the history, the newest first.
    """
    measured: dict[str, list[float]] = {}
    for entry in entries[:MAX_ENTRIES]:
        figures = entry.summary
        if figures.get("is_typical") and figures.get("stopped") != "cancelled" and figures["seconds"] >= MIN_SECONDS:
            pixels = figures["width"] * figures["height"] / 1e6
            measured.setdefault(figures["method"], []).append(figures["seconds"] / pixels)
    medians = {method: statistics.median(speeds) for method, speeds in measured.items()}
    ratios = [speed / REFERENCE[method] for method, speed in medians.items() if method in REFERENCE]
    factor = statistics.median(ratios) if ratios else 1.0
    return {**{method: seconds * factor for method, seconds in REFERENCE.items()}, **medians}


def quality_factors(method: str) -> dict[str, float]:
    """Return the expected time with each quality, relative to that with normal quality; empty if a method has none."""
    config = METHODS[method].Config
    if "quality" not in config.__dataclass_fields__:
        return {}
    if issubclass(config, MatchingConfig):
        return {"draft": DRAFT, "normal": 1.0, "best": FINER_SIZE["best"] / FINER_SIZE["normal"]}
    return {str(quality): factor for quality, factor in FACTOR.items()}

"""Grades one painting after the other; what they have in common is opened, loaded and graded once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeVar

from impasto.backbones import BACKBONES, Backbone, load_backbone
from impasto.devices import pick_device
from impasto.experiments.run import Task
from impasto.metrics import PIXELS
from impasto.metrics.evaluate import Reference, compared_layers, load_reference
from impasto.types import Image

Scores = dict[str, float]
Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")
Cell = tuple[str, str, int, int]
"""Content, style, and the height and width of the painting."""
REFERENCES, ROWS = 4, 1000
"""How many references, and how many sanity rows, are kept in memory: the latest."""


class Judge:
    """A network and metrics."""

    def __init__(self, backbone: str, metrics: Sequence[str], *, device: str = "auto") -> None:
        self._backbone, self._metrics, self._device = backbone, tuple(metrics), device
        self._networks: dict[str, Backbone | str] = {}
        self._references: dict[Cell, Reference] = {}
        self._sanity: dict[Cell, dict[str, Scores]] = {}

    def __call__(self, task: Task, painting: Image) -> tuple[Scores, dict[str, Scores]]:
        """The scores of a painting `(1, 3, H, W)`, and those of the content and the style as if they were it.

        Raises:
            ValueError: in one line, for anything that the caller can mend.
        """
        height, width = painting.shape[-2:]
        cell = (task.content, task.style, height, width)
        seen = _kept(self._references, cell, lambda: self._reference(cell), most=REFERENCES)
        return seen.evaluate(painting), _kept(self._sanity, cell, seen.baselines, most=ROWS)

    def _reference(self, cell: Cell) -> Reference:
        content, style, *shape = cell
        network = _kept(self._networks, self._backbone, self._load, most=1)
        how: dict[str, Any] = {"backbone": network, "metrics": self._metrics, "device": self._device}
        return load_reference(content, style, (shape[0], shape[1]), **how)

    def _load(self) -> Backbone | str:
        """The network, or its name where every metric looks at pixels."""
        layers = compared_layers(BACKBONES[self._backbone], (), self._metrics)
        if all(names == PIXELS for names in layers.values()):
            return self._backbone
        return load_backbone(self._backbone, device=pick_device(self._device))


def _kept(cache: dict[Key, Value], key: Key, make: Callable[[], Value], *, most: int) -> Value:
    """The value under a key, made when first asked for; of more than `most`, the oldest is forgotten."""
    if key not in cache:
        cache[key] = make()
        while len(cache) > most:
            del cache[next(iter(cache))]
    return cache[key]

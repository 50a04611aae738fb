"""Evaluate output images with the metrics of an experiment and share what images of one pair have in common."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeVar

from impasto.backbones import BACKBONES, Backbone, load_backbone
from impasto.devices import pick_device
from impasto.experiments.run import Task
from impasto.metrics import PIXELS
from impasto.metrics.reference import Reference, compared_layers, load_reference
from impasto.types import Image

Scores = dict[str, float]
Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")
Cell = tuple[str, str, int, int]
"""Content, style, and the height and width of the output in pixels."""
MAX_REFERENCES, MAX_SANITY_SCORES = 4, 1000
"""Entries that the caches keep in memory; the oldest are dropped first."""


class Scorer:
    """Compute metrics of output images with one evaluation network.

    Args:
        evaluation_network: name of the backbone whose features the metrics compare.
        metrics: names of the metrics; those at a size that does not fit an image are left out for this image.
        device: device of the network.
    """

    def __init__(self, evaluation_network: str, metrics: Sequence[str], *, device: str = "auto") -> None:
        self._network, self._metrics, self._device = evaluation_network, tuple(metrics), device
        self._networks: dict[str, Backbone | str] = {}
        self._references: dict[Cell, Reference] = {}
        self._sanity: dict[Cell, dict[str, Scores]] = {}

    def score(self, task: Task, output: Image) -> tuple[Scores, dict[str, Scores]]:
        """Return the metrics of an output image and of its sanity checks.

        Args:
            task: the task that produced the image.
            output: the image, `(1, 3, H, W)`.

        Returns:
            The value of each metric, and the same for `identity` (the content image) and `style_copy` (the resized
            style image).

        Raises:
            ValueError: if an image or the network cannot be loaded.
        """
        height, width = output.shape[-2:]
        cell = (task.content, task.style, height, width)
        target = _cached(self._references, cell, lambda: self._reference(cell), limit=MAX_REFERENCES)
        return target.evaluate(output), _cached(self._sanity, cell, target.baselines, limit=MAX_SANITY_SCORES)

    def _reference(self, cell: Cell) -> Reference:
        content, style, *shape = cell
        network = _cached(self._networks, self._network, self._load, limit=1)
        options: dict[str, Any] = {"backbone": network, "metrics": self._metrics, "device": self._device}
        return load_reference(content, style, (shape[0], shape[1]), leave_out=True, **options)

    def _load(self) -> Backbone | str:
        """Return the network, or only its name if every metric compares pixels."""
        layers = compared_layers(BACKBONES[self._network], (), self._metrics)
        if all(names == PIXELS for names in layers.values()):
            return self._network
        return load_backbone(self._network, device=pick_device(self._device))


def _cached(cache: dict[Key, Value], key: Key, compute: Callable[[], Value], *, limit: int) -> Value:
    """Return the cached value of a key, computed at first use; above `limit` entries, drop the oldest."""
    if key not in cache:
        cache[key] = compute()
        while len(cache) > limit:
            del cache[next(iter(cache))]
    return cache[key]

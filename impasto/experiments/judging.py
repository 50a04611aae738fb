"""Grades one painting after the other; what they have in common is opened, loaded and graded once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import TypeVar

from impasto.backbones import BACKBONES, Backbone, load_backbone
from impasto.devices import pick_device
from impasto.experiments.run import Task
from impasto.grading import SANITY, grade, grade_with_sanity, graded_layers
from impasto.images import load_image
from impasto.metrics import PIXELS
from impasto.samples import resolve
from impasto.types import Image

Scores = dict[str, float]
Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")
PICTURES, ROWS = 8, 1000
"""How many pictures and how many sanity rows are kept in memory: the latest."""


class Judge:
    """A network and metrics."""

    def __init__(self, backbone: str, metrics: Sequence[str], *, device: str = "auto") -> None:
        self._backbone, self._metrics, self._device = backbone, tuple(metrics), device
        self._networks: dict[str, Backbone | str] = {}
        self._pictures: dict[str, Image] = {}
        self._sanity: dict[tuple[object, ...], dict[str, Scores]] = {}

    def __call__(self, task: Task, painting: Image) -> tuple[Scores, dict[str, Scores]]:
        """The scores of a painting `(1, 3, H, W)`, and those of the content and the style as if they were it.

        Raises:
            ValueError: in one line, for anything that the caller can mend.
        """
        content, style = (
            _kept(self._pictures, name, partial(_opened, name), most=PICTURES) for name in (task.content, task.style)
        )
        network = _kept(self._networks, self._backbone, self._load, most=1)
        how = partial(grade_with_sanity, content, style, painting, backbone=network, metrics=self._metrics)
        place = (task.content, task.style, tuple(painting.shape))
        sanity = _kept(self._sanity, place, lambda: _sanity(how(device=self._device)), most=ROWS)
        return grade(content, style, painting, backbone=network, metrics=self._metrics, device=self._device), sanity

    def _load(self) -> Backbone | str:
        """The network, or its name where every metric looks at pixels."""
        layers = graded_layers(BACKBONES[self._backbone], (), self._metrics)
        if all(names == PIXELS for names in layers.values()):
            return self._backbone
        return load_backbone(self._backbone, device=pick_device(self._device))


def _opened(name: str) -> Image:
    return load_image(resolve(name))


def _sanity(rows: dict[str, Scores]) -> dict[str, Scores]:
    return {role: rows[role] for role in SANITY}


def _kept(cache: dict[Key, Value], key: Key, make: Callable[[], Value], *, most: int) -> Value:
    """The value under a key, made when first asked for; of more than `most`, the oldest is forgotten."""
    if key not in cache:
        cache[key] = make()
        while len(cache) > most:
            del cache[next(iter(cache))]
    return cache[key]

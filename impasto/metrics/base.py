"""Metrics: how near a painting is to its content, or to its style, in one number.

To add one, write a file here with a class under `@METRICS.add("name")`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from impasto.backbones import Backbone
from impasto.registry import Registry
from impasto.types import Features

PIXELS = ("image",)
"""The layers of a metric that looks at the pictures themselves, and at no network."""


@dataclass(frozen=True)
class Trio:
    """What a metric is given: the float32 features of three pictures, on the CPU.

    Content and output have one height and width, and the style their longer side.
    """

    content: Features
    style: Features
    output: Features


class Metric(ABC):
    """Stateless: which layers are compared, and how."""

    summary: ClassVar[str]
    measures: ClassVar[Literal["structure", "style"]]
    """What it judges: "structure" compares with the content, "style" with the style."""
    lower_is_better: ClassVar[bool] = True

    @abstractmethod
    def layers(self, backbone: type[Backbone]) -> tuple[str, ...]:
        """The layers to compare unless others are chosen; `PIXELS` for the pictures themselves."""

    @abstractmethod
    def compare(self, output: Tensor, reference: Tensor) -> float:
        """The number for one layer: `(1, C, H, W)` against `(1, C, h, w)`, which for structure are of one size."""

    def score(self, trio: Trio, layers: Sequence[str]) -> float:
        """Mean of `compare` over `layers`."""
        reference = trio.content if self.measures == "structure" else trio.style
        return sum(self.compare(trio.output[layer], reference[layer]) for layer in layers) / len(layers)


METRICS: Registry[Metric] = Registry("metric", "impasto.metrics")


def known_layers(backbone: type[Backbone], preferred: Sequence[str], otherwise: Sequence[str]) -> tuple[str, ...]:
    """Those of `preferred` that a network has, or, where it has none of them, `otherwise`."""
    return tuple(layer for layer in preferred if layer in backbone.layers) or tuple(otherwise)

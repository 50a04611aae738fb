"""Define the contract of a metric: the distance of a stylized image from its content or style image, as one number.

To add a metric, write a file in this folder with a class under `@METRICS.add("name")`.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from impasto.backbones import Backbone
from impasto.registry import Registry
from impasto.types import Features

PIXELS = ("image",)
"""The layers of a metric that compares pixels and needs no network."""


@dataclass(frozen=True, eq=False)
class MetricInputs:
    """Features of the three images that a metric compares: float32, on the CPU.

    Content and output have the same height and width; the style has the same longer side.
    """

    content: Features
    style: Features
    output: Features


class Metric(ABC):
    """Stateless metric: the layers to compare and the comparison of one layer."""

    summary: ClassVar[str]
    """One phrase for tables: what is computed."""
    measures: ClassVar[Literal["structure", "style"]]
    """Reference of the comparison: `structure` compares with the content image, `style` with the style image."""
    lower_is_better: ClassVar[bool] = True

    @abstractmethod
    def layers(self, backbone: type[Backbone]) -> tuple[str, ...]:
        """Return the layers that are compared by default, or `PIXELS`."""

    @abstractmethod
    def compare(self, output: Tensor, reference: Tensor) -> float:
        """Compare the features of one layer.

        Args:
            output: features of the stylized image, `(1, C, H, W)`.
            reference: features of the content or style image, `(1, C, h, w)`; for structure h = H and w = W.

        Returns:
            The value of the metric for this layer.
        """

    def score(self, inputs: MetricInputs, layers: Sequence[str]) -> float:
        """Return the mean of `compare` over the layers."""
        reference = inputs.content if self.measures == "structure" else inputs.style
        return sum(self.compare(inputs.output[layer], reference[layer]) for layer in layers) / len(layers)


def split_size(name: str) -> tuple[str, int | None]:
    """Split the name of a metric at a size, `NAME@SIZE`.

    Args:
        name: name of a metric, with or without a size in pixels.

    Returns:
        The name without the size, and the size; None for the full size of the output.

    Raises:
        ValueError: for a size that is not a positive integer.

    >>> split_size("style_share@256"), split_size("ssim")
    (('style_share', 256), ('ssim', None))
    """
    metric, separator, size = name.partition("@")
    if not separator:
        return metric, None
    if not re.fullmatch(r"[1-9][0-9]{0,5}", size):
        raise ValueError(f"metric {name!r}: the size must be a positive integer, not {size!r}; give for example @256")
    return metric, int(size)


class MetricRegistry(Registry[Metric]):
    """The metrics by name; a name with a size, such as `style_share@256`, is that of the same metric."""

    def __getitem__(self, name: str) -> type[Metric]:
        return super().__getitem__(split_size(name)[0])

    def __contains__(self, name: object) -> bool:
        try:
            return isinstance(name, str) and super().__contains__(split_size(name)[0])
        except ValueError:
            return False


METRICS = MetricRegistry("metric", "impasto.metrics")


def available_layers(backbone: type[Backbone], preferred: Sequence[str], fallback: Sequence[str]) -> tuple[str, ...]:
    """Return the preferred layers that a backbone has, or the fallback if it has none of them."""
    return tuple(layer for layer in preferred if layer in backbone.layers) or tuple(fallback)

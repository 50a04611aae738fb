"""Methods: ways to paint a photograph in the manner of a picture.

To add one, write a file here with a configuration and a class under `@METHODS.add("name")`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from impasto.registry import Registry
from impasto.types import Image, Step


class Method(ABC):
    """A way to paint. An instance holds one checked configuration and paints as often as asked."""

    summary: ClassVar[str]
    any_style: ClassVar[bool] = True
    """False where one network is one style."""
    Config: ClassVar[type[Any]]
    """Its settings: a subclass of `PaintingConfig`."""

    def __init__(self, config: Any) -> None:
        self.config = config

    @abstractmethod
    def paint(self, content: Image, styles: Sequence[Image], mix: Sequence[float]) -> Iterator[Step]:
        """Paints `content` in the manner of `styles`, all `(1, 3, H, W)` at their own size, on the CPU.

        `mix` holds the weight of each style; the weights sum to 1. Yields a step for every picture on the
        way. Closing the iterator stops the painting.
        """


METHODS: Registry[Method] = Registry("method", "impasto.methods")

"""Methods: ways to paint a photograph in the manner of a picture.

To add one, write a file here with a configuration and a class under `@METHODS.add("name")`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from impasto.regions.subject import Subject
from impasto.registry import Registry
from impasto.types import Step


class Method(ABC):
    """A way to paint. An instance holds one checked configuration and paints as often as asked.

    Making it checks the settings and reads no network. Painting reads those it needs, the first time only, and changes
    nothing else of the instance: each picture comes out as if it were the only one.
    """

    summary: ClassVar[str]
    any_style: ClassVar[bool] = True
    """False where one network is one style."""
    Config: ClassVar[type[Any]]
    """Its settings: a subclass of `MethodConfig`."""
    bundled: ClassVar[Path | None] = None
    """The weights of its own network, where it has one."""
    paper: ClassVar[dict[str, Any]] = {}
    """Settings that make it what its paper describes, where they differ from the defaults: the preset `paper`."""

    def __init__(self, config: Any) -> None:
        self.config = config

    @abstractmethod
    def run(self, subject: Subject) -> Iterator[Step]:
        """Paints the subject, whose pictures come at their own size, on the CPU.

        Yields a step for every picture on the way. Closing the iterator stops the painting.
        """


METHODS: Registry[Method] = Registry("method", "impasto.methods")

"""Named parts, discovered by folder: a part is one file, and a file that fails to import is an error.

Parts of other packages are found by their entry points, in a group called as the folder is: `impasto.metrics`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from typing import Generic, TypeVar

T = TypeVar("T")


class Registry(Generic[T]):
    """A lookup from name to class, filled by importing every module of one package, and plug-ins, when first asked.

    >>> shapes = Registry[type]("shape", "impasto.losses")
    >>> shapes.name
    'shape'
    """

    def __init__(self, name: str, package: str) -> None:
        self.name = name
        self._package = package
        self._parts: dict[str, type[T]] = {}
        self._discovered = False

    def add(self, name: str) -> Callable[[type[T]], type[T]]:
        """Class decorator that files a part under `name`. Raises `ValueError` if the name is taken."""

        def register(part: type[T]) -> type[T]:
            if name in self._parts:
                raise ValueError(f"two {self.name} parts are called {name!r}")
            self._parts[name] = part
            return part

        return register

    def __getitem__(self, name: str) -> type[T]:
        self._discover()
        if name not in self._parts:
            raise ValueError(f"unknown {self.name} {name!r}; choose from {', '.join(self)}")
        return self._parts[name]

    def __iter__(self) -> Iterator[str]:
        self._discover()
        return iter(sorted(self._parts))

    def __contains__(self, name: object) -> bool:
        self._discover()
        return name in self._parts

    def _discover(self) -> None:
        if self._discovered:
            return
        package = importlib.import_module(self._package)
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{self._package}.{module.name}")
        for plug_in in entry_points(group=self._package):
            try:
                plug_in.load()
            except Exception as error:
                whose = plug_in.dist.name if plug_in.dist else plug_in.value
                raise ValueError(f"the {self.name} {plug_in.name!r} of the package {whose}: {error}") from error
        self._discovered = True

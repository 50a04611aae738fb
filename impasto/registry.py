"""Register the parts of a package by name and find them by importing its modules.

A part (a loss, a backbone, a method, ...) is one file in the folder of its kind. A file that fails to import raises an
error. Other packages add parts through entry points, in the group of the kind, for example `impasto.metrics`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from typing import Generic, TypeVar

T = TypeVar("T")


class Registry(Generic[T]):
    """Map names to classes; import all modules of a package and its plug-ins at the first lookup.

    Args:
        name: what one part is called in messages, for example `"metric"`.
        package: full name of the package whose modules are the parts.
        group: entry-point group of the plug-ins. Default: the name of the package.

    >>> shapes = Registry[type]("shape", "impasto.losses")
    >>> shapes.name
    'shape'
    """

    def __init__(self, name: str, package: str, *, group: str | None = None) -> None:
        self.name = name
        self._package = package
        self._group = group or package
        self._parts: dict[str, type[T]] = {}
        self._discovered = False

    def add(self, name: str) -> Callable[[type[T]], type[T]]:
        """Return a class decorator that registers a part under a name.

        Args:
            name: the name that users select the part by.

        Raises:
            ValueError: if the name is already taken.
        """

        def register(part: type[T]) -> type[T]:
            if name in self._parts:
                raise ValueError(f"the {self.name} {name!r} is registered twice; rename one of them")
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
        """Import every module of the package and every plug-in of the group, once."""
        if self._discovered:
            return
        package = importlib.import_module(self._package)
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{self._package}.{module.name}")
        for plug_in in entry_points(group=self._group):
            try:
                plug_in.load()
            except Exception as error:
                distribution = plug_in.dist.name if plug_in.dist else plug_in.value
                message = f"the {self.name} {plug_in.name!r} of the package {distribution}: {error}"
                raise ValueError(message) from error
        self._discovered = True

"""Feed-forward methods whose output an optimization starts with, or whose details it adds."""

from __future__ import annotations

from impasto.config import MethodConfig, check_settings, settings_of
from impasto.methods import METHODS, Method


def start_method(method: Method) -> Method | None:
    """Return the feed-forward method that computes the start image, if the setting `start` names one.

    Raises:
        ValueError: if the method is not feed-forward.
    """
    start = method.start(method.config)
    return None if start is None or start.kind != "method" else _feed_forward(start.name, method)


def details_method(method: Method) -> Method | None:
    """Return the feed-forward method whose details the finer sizes start with, if the method has one."""
    name = method.details(method.config)
    return None if name is None else _feed_forward(name, method)


def _feed_forward(name: str, method: Method) -> Method:
    """Return a method with the shared settings of another one, the size of its output and no strength."""
    config = method.config
    shared = {name: value for name, value in settings_of(config).items() if name in MethodConfig.__dataclass_fields__}
    settings = {**shared, "size": method.final_size(config), "strength": None, "preset": "impasto"}
    kind = METHODS[name]
    return kind(check_settings(kind.Config, name, settings))

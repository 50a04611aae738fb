"""Style transfer methods: one file per method."""

from impasto.methods.base import METHODS, Method, configure

__all__ = ["METHODS", "Method", "configure"]

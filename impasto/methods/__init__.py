"""Style transfer methods: one file per method."""

from impasto.methods.base import METHODS, Method

__all__ = ["METHODS", "Method"]

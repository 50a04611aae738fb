"""Metrics that grade a stylized picture."""

from impasto.metrics.base import METRICS, PIXELS, Trio

__all__ = ["METRICS", "PIXELS", "Trio"]

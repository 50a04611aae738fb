"""Metrics that evaluate a stylized image."""

from impasto.metrics.base import METRICS, PIXELS, Metric, MetricInputs, available_layers

__all__ = ["METRICS", "PIXELS", "Metric", "MetricInputs", "available_layers"]

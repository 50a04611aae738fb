"""Losses of features: a statistic and a distance."""

from impasto.losses.base import LOSSES, FeatureLoss

__all__ = ["LOSSES", "FeatureLoss"]

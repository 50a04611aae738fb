"""Define the loss `histogram`."""

from __future__ import annotations

from torch import Tensor

from impasto.features.positions import guided_columns
from impasto.features.sorting import sorted_distance, sorted_rows
from impasto.losses.base import LOSSES, FeatureLoss


@LOSSES.add("histogram")
class HistogramLoss(FeatureLoss):
    """Histogram of each channel, compared by |O - R(O)|² (Risser, Wilmot & Barnes, 2017; arXiv 1701.08893).

    R is histogram matching: it replaces the value of rank r by the target's value of rank r, without gradient. The
    statistic contains the sorted values of each channel, `(B, C, N)`. From 65536 positions on a channel uses only every
    s-th position, see `impasto.features.sorting`. A guide selects the positions where it is at least half of its
    maximum.

    Departs from the paper: sorted values instead of bins, and the mean instead of the sum.
    """

    def statistic(self, features: Tensor, guide: Tensor | None = None) -> Tensor:
        """Return the sorted values of each channel, `(B, C, N)`."""
        return sorted_rows(guided_columns(guide, features))  # (B, C, N)

    def distance(self, statistic: Tensor, target: Tensor) -> Tensor:
        """Return the mean squared difference; the target is interpolated to N values and has no gradient."""
        return sorted_distance(statistic, target.detach())

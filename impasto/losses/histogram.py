from __future__ import annotations

from torch import Tensor

from impasto.features.positions import guided_columns
from impasto.features.sorting import sorted_distance, sorted_rows
from impasto.losses.base import LOSSES, FeatureLoss


@LOSSES.add("histogram")
class HistogramLoss(FeatureLoss):
    """Each channel against itself with the target's histogram, |O - R(O)|² (Risser, Wilmot & Barnes, 2017; 1701.08893).

    R gives the value of rank r the target's value of rank r; the gradient does not pass through it. From 65536 places
    on a channel sees only every s-th, see
    `impasto.features.sorting`. A guide selects the places where it is at least half of its
    largest.

    Departs from the paper: sorted values instead of bins, and the mean instead of the sum.
    """

    def statistic(self, features: Tensor, guide: Tensor | None = None) -> Tensor:
        return sorted_rows(guided_columns(guide, features))  # (B, C, N)

    def distance(self, statistic: Tensor, target: Tensor) -> Tensor:
        return sorted_distance(statistic, target.detach())

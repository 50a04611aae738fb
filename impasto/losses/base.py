"""Losses: a statistic of features, and a distance between two of them.

To add one, write a file here with a class under `@LOSSES.add("name")`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor

from impasto.registry import Registry


class FeatureLoss(ABC):
    """Stateless: what is compared (`statistic`) and how (`distance`).

    Features may be of any float type; statistics and distances are fp32 (float64 for float64).
    """

    is_spatial_mean: ClassVar[bool] = False
    """Whether the statistic is a mean over places. Such statistics of tiles, of masked places and of several pictures
    combine by (weighted) averaging."""

    @abstractmethod
    def statistic(self, features: Tensor, guide: Tensor | None = None) -> Tensor:
        """What is compared, for features `(B, C, H, W)`.

        Args:
            guide: how much each place counts: `(1, 1, H, W)`, float, >= 0, with a mean of 1 over the places. None: all
                the same. A spatial mean is weighted by it; what another statistic makes of it is said in its docstring.
        """

    @abstractmethod
    def distance(self, statistic: Tensor, target: Tensor) -> Tensor:
        """Scalar >= 0; 0 where the statistics are equal."""


LOSSES: Registry[FeatureLoss] = Registry("loss", "impasto.losses")

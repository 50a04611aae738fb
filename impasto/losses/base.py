"""Define the contract of a loss: a statistic of features and a distance between two statistics.

To add a loss, write a file in this folder with a class under `@LOSSES.add("name")`. The first line of its docstring is
the summary that lists show.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

from torch import Tensor

from impasto.registry import Registry


class FeatureLoss(ABC):
    """Stateless loss of the features of one layer.

    Features may have any floating-point type; statistics and distances are float32 (float64 for float64).
    """

    role: ClassVar[Literal["style", "content", "smoothness"]] = "style"
    """Use of the loss: any image may be compared with a `style`, an image of the same size with a `content`, and a
    `smoothness` loss is applied to the image alone. The setting `style_loss` takes the first, `tv_loss` the last."""
    is_spatial_mean: ClassVar[bool] = False
    """Whether the statistic is a mean over positions. The statistics of tiles, of masked positions and of several
    images then combine by a (weighted) average."""
    is_pointwise: ClassVar[bool] = False
    """Whether the statistic is the features in float32, times a function of the guide, and the distance is a mean over
    positions of a function of them at one position. The distances of tiles then combine by an average."""

    largest_coarse: ClassVar[int] = 256
    """Longer side in pixels of the largest loss scale below the output size that `Backbone.coarse` computes; smaller
    where the loss itself takes much of the time for the many channels of that network; 0: none."""
    output_style: ClassVar[float] = 1.0
    """Factor on the style weight at the output size, as `Backbone.output_style`; the larger of both counts."""

    @abstractmethod
    def statistic(self, features: Tensor, guide: Tensor | None = None) -> Tensor:
        """Compute the statistic of features.

        Args:
            features: `(B, C, H, W)`.
            guide: weight of each position, `(1, 1, H, W)`, floating point, >= 0, with a mean of 1; None: all 1. A
                spatial mean is weighted by it; the docstring of any other loss says how the guide is used.

        Returns:
            The statistic; the first dimension is B.
        """

    @abstractmethod
    def distance(self, statistic: Tensor, target: Tensor) -> Tensor:
        """Return the distance between two statistics: a scalar >= 0 that is 0 if they are equal."""


LOSSES: Registry[FeatureLoss] = Registry("loss", "impasto.losses")

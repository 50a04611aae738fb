from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

from pydantic.dataclasses import dataclass

from impasto.config import SETTINGS
from impasto.losses import LOSSES
from impasto.methods.base import METHODS, Method
from impasto.methods.matching import Matching, MatchingConfig, Weight
from impasto.regions.subject import Subject
from impasto.types import Step


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class GatysConfig(MatchingConfig):
    """Settings of `gatys`."""

    style_weight: Weight = 100.0
    """Pull of the style: 10 is mild, 100 the classical look, 1000 all style."""
    style_loss: Literal["gram", "covariance", "moments"] = "gram"
    """Statistic of the style: Gram matrices, covariances beside means, or means and deviations of single channels."""


@METHODS.add("gatys")
class Gatys(Method):
    """Image style transfer by matching Gram matrices (Gatys, Ecker & Bethge, arXiv 1508.06576; CVPR 2016).

    The features of one deep layer are kept, the channel correlations of five layers are matched, and only the picture's
    pixels are optimized.

    Departs from the paper: max pooling, a content start, and losses that are means instead of sums.
    """

    summary = "Match Gram matrices of VGG features by optimizing the pixels (Gatys et al. 2016)"
    Config = GatysConfig
    config: GatysConfig
    paper: ClassVar[dict[str, Any]] = {"pooling": "average", "start": "noise", "style_weight": 1000.0, "history": 100}

    def __init__(self, config: GatysConfig) -> None:
        super().__init__(config)
        self._matching = Matching(config, LOSSES[config.style_loss]())

    def run(self, subject: Subject) -> Iterator[Step]:
        return self._matching.run(subject)

"""Stylize by matching Gram matrices."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic.dataclasses import dataclass

from impasto.config import SETTINGS
from impasto.methods.base import METHODS
from impasto.methods.matching import Matching, MatchingConfig
from impasto.objectives.matching import Weight


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class GatysConfig(MatchingConfig):
    """Settings of `gatys`."""

    style_weight: Weight = 100.0
    """Weight of the style loss: 10 is mild, 100 the default, 1000 removes most of the content."""


@METHODS.add("gatys")
class Gatys(Matching):
    """Neural style transfer by matching Gram matrices (Gatys, Ecker & Bethge, arXiv 1508.06576; CVPR 2016).

    Keeps the features of one deep layer, matches the Gram matrices of five layers, and optimizes the pixels.

    Departs from the paper: several loss scales, max pooling, a content start, and losses that are means instead of
    sums.
    """

    summary = "Match Gram matrices of VGG features by optimizing the pixels (Gatys et al. 2016)"
    Config = GatysConfig
    config: GatysConfig
    paper: ClassVar[dict[str, Any]] = {
        "loss_scales": 1,
        "pooling": "average",
        "start": "noise",
        "style_weight": 1000.0,
        "history": 100,
    }

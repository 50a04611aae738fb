"""Stylize by optimal transport between Gaussians of features."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from annotated_types import Gt, Le
from pydantic.dataclasses import dataclass

from impasto.config import SETTINGS, OneOf
from impasto.methods.base import METHODS
from impasto.methods.matching import Matching, MatchingConfig
from impasto.objectives.matching import Weight, style_losses


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class BuresConfig(MatchingConfig):
    """Settings of `bures`."""

    style_weight: Weight = 30.0
    """Weight of the style loss: 3 is mild, 30 the default, 300 removes most of the content."""
    style_loss: Annotated[str, OneOf(style_losses)] = "bures"
    """Loss between the style features; `impasto losses` describes them."""
    coarse_style: Annotated[float, Gt(0), Le(100)] = 0.8
    """Factor on the style weight at the coarser loss scales: a higher one gives larger forms of the style."""


@METHODS.add("bures")
class Bures(Matching):
    """Style transfer by optimal transport between Gaussians of features (crowsonkb/style-transfer-pytorch, 2021).

    As `gatys`, but means and covariances are compared by the Bures-Wasserstein distance, which is also sensitive to
    directions of small variance.

    Departs from crowsonkb: equal layer weights, one size, and L-BFGS. The preset `paper` has its layer weights, sizes
    and optimizer, without the average of the iterates.
    """

    summary = "Match means and covariances of features by optimal transport of Gaussians (crowsonkb 2021)"
    Config = BuresConfig
    config: BuresConfig
    paper: ClassVar[dict[str, Any]] = {
        "layer_weights": (256, 64, 16, 4, 1),
        "sizes": (128, 181, 256, 362, 512),
        "optimizer": "adam",
        "steps": 3000,
        "tv_weight": 2.0,
    }

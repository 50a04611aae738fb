"""Stylize by the sliced Wasserstein distance of features."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from annotated_types import Gt, Le
from pydantic.dataclasses import dataclass

from impasto.config import SETTINGS, OneOf
from impasto.methods.base import METHODS
from impasto.methods.matching import Matching, MatchingConfig
from impasto.objectives.matching import Weight, style_losses

BLOCKS_1_TO_4 = (
    *("relu1_1", "relu1_2", "relu2_1", "relu2_2", "relu3_1", "relu3_2", "relu3_3", "relu3_4"),
    *("relu4_1", "relu4_2", "relu4_3", "relu4_4"),
)


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class SlicedConfig(MatchingConfig):
    """Settings of `sliced`."""

    style_weight: Weight = 50.0
    """Weight of the style loss: 5 is mild, 50 the default, 500 removes most of the content."""
    style_loss: Annotated[str, OneOf(style_losses)] = "sliced_wasserstein"
    """Loss between the style features; `impasto losses` describes them."""
    coarse_style: Annotated[float, Gt(0), Le(100)] = 2.0
    """Factor on the style weight at the coarser loss scales: a higher one gives larger forms of the style."""


@METHODS.add("sliced")
class Sliced(Matching):
    """Style transfer by the sliced Wasserstein distance of features (Heitz, Vanhoey, Chambon & Belcour, CVPR 2021).

    As `gatys`, but the features are projected onto random directions and the sorted projections are compared. The
    distance is 0 only where the distributions are the same.

    Departs from the paper: it synthesizes textures without content; here content features are matched too, and the
    style layers are those of `gatys`. The preset `paper` has its twelve layers of VGG.
    """

    summary = "Match distributions of features by sorted random projections (Heitz et al. 2021)"
    Config = SlicedConfig
    config: SlicedConfig
    paper: ClassVar[dict[str, Any]] = {
        "loss_scales": 1,
        "style_layers": BLOCKS_1_TO_4,
        "start": "noise",
        "content_weight": 0.0,
    }

"""Stylize by matching patches of features."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic.dataclasses import dataclass

from impasto.config import SETTINGS, OneOf
from impasto.methods.base import METHODS
from impasto.methods.matching import Matching, MatchingConfig
from impasto.objectives.matching import Weight, style_losses


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class MrfConfig(MatchingConfig):
    """Settings of `mrf`."""

    style_weight: Weight = 3.0
    """Weight of the style loss: 0.3 is mild, 3 the default, 30 removes most of the content."""
    style_loss: Annotated[str, OneOf(style_losses)] = "patches"
    """Loss between the style features; `impasto losses` describes them."""
    style_layers: tuple[str, ...] = ("relu3_1", "relu4_1")
    """Layers whose patches are matched; the cost grows with the square of the number of positions."""


@METHODS.add("mrf")
class Mrf(Matching):
    """Style transfer by matching patches of features (CNNMRF; Li & Wand, CVPR 2016).

    Each patch of features is compared with the most similar patch of the style, so that local structures are copied
    as a whole. It works best where content and style show the same kind of object.
    """

    summary = "Match every patch of features to the most similar one of the style (Li & Wand 2016)"
    Config = MrfConfig
    config: MrfConfig
    paper: ClassVar[dict[str, Any]] = {"loss_scales": 1, "start": "noise", "tv_weight": 1e-3}

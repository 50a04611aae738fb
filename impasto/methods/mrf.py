from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from pydantic.dataclasses import dataclass

from impasto.config import SETTINGS
from impasto.losses.patches import PatchesLoss
from impasto.methods.base import METHODS, Method
from impasto.methods.matching import Matching, MatchingConfig, Weight
from impasto.regions.subject import Subject
from impasto.types import Step


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class MrfConfig(MatchingConfig):
    """Settings of `mrf`."""

    style_weight: Weight = 3.0
    """Pull of the style: 0.3 is mild, 3 the classical look, 30 all style."""

    style_layers: tuple[str, ...] = ("relu3_1", "relu4_1")
    """Layers whose patches are matched; the cost grows with the square of a layer's area."""


@METHODS.add("mrf")
class Mrf(Method):
    """Replaces every patch of features by the style's most alike one (CNNMRF; Li & Wand, CVPR 2016).

    Local structure is taken over whole: an eye becomes a painted eye. It is at its best where photograph and style show
    the same kind of thing.
    """

    summary = "Match every patch of features to the most alike one of the style (Li & Wand 2016)"
    Config = MrfConfig
    config: MrfConfig
    paper: ClassVar[dict[str, Any]] = {"start": "noise", "tv_weight": 1e-3}

    def __init__(self, config: MrfConfig) -> None:
        super().__init__(config)
        self._matching = Matching(config, PatchesLoss())

    def run(self, subject: Subject) -> Iterator[Step]:
        return self._matching.run(subject)

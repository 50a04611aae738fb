from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from pydantic.dataclasses import dataclass

from impasto.config import SETTINGS
from impasto.losses.bures import BuresLoss
from impasto.methods.base import METHODS, Method
from impasto.methods.matching import Matching, MatchingConfig, Weight
from impasto.regions.subject import Subject
from impasto.types import Step


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class BuresConfig(MatchingConfig):
    """Settings of `bures`."""

    style_weight: Weight = 30.0
    """Pull of the style: 3 is mild, 30 the classical look, 300 all style."""


@METHODS.add("bures")
class Bures(Method):
    """Moves the Gaussian of the features onto the style's (crowsonkb/style-transfer, 2021).

    As `gatys`, but means and covariances are compared by the least work of moving the one Gaussian onto the other,
    which also sees what varies little.

    Departs from crowsonkb: every layer weighs the same, one size, and L-BFGS; `--preset paper` has its layer weights,
    sizes and optimizer, without the mean of the iterates.
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

    def __init__(self, config: BuresConfig) -> None:
        super().__init__(config)
        self._matching = Matching(config, BuresLoss())

    def run(self, subject: Subject) -> Iterator[Step]:
        return self._matching.run(subject)

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from pydantic.dataclasses import dataclass

from impasto.config import SETTINGS
from impasto.losses.sliced_wasserstein import SlicedWassersteinLoss
from impasto.methods.base import METHODS, Method
from impasto.methods.matching import Matching, MatchingConfig, Weight
from impasto.regions.subject import Subject
from impasto.types import Step

BLOCKS_1_TO_4 = (
    *("relu1_1", "relu1_2", "relu2_1", "relu2_2", "relu3_1", "relu3_2", "relu3_3", "relu3_4"),
    *("relu4_1", "relu4_2", "relu4_3", "relu4_4"),
)


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class SlicedConfig(MatchingConfig):
    """Settings of `sliced`."""

    style_weight: Weight = 50.0
    """Pull of the style: 5 is mild, 50 the classical look, 500 all style."""


@METHODS.add("sliced")
class Sliced(Method):
    """Matches the whole distribution of the features (Heitz, Vanhoey, Chambon & Belcour, CVPR 2021).

    As `gatys`, but the features are projected onto random directions and the sorted projections compared: the sliced
    Wasserstein distance, which is 0 only where the distributions are the same.

    Departs from the paper: it makes textures, without a content; ours keeps the content's features too, and looks at
    the five style layers of `gatys`. `--preset paper` has the paper's twelve layers (of VGG).
    """

    summary = "Match distributions of features by sorted random projections (Heitz et al. 2021)"
    Config = SlicedConfig
    config: SlicedConfig
    paper: ClassVar[dict[str, Any]] = {"style_layers": BLOCKS_1_TO_4, "start": "noise", "content_weight": 0.0}

    def __init__(self, config: SlicedConfig) -> None:
        super().__init__(config)
        self._matching = Matching(config, SlicedWassersteinLoss())

    def run(self, subject: Subject) -> Iterator[Step]:
        return self._matching.run(subject)

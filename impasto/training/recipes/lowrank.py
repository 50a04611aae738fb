"""Distill the bundled backbone `lowrank` from VGG-19."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Gt, Le
from pydantic.dataclasses import dataclass

from impasto.backbones.lowrank import LowRank
from impasto.backbones.narrow_vgg import RELUS
from impasto.config import SETTINGS
from impasto.training.distillation import Student
from impasto.training.recipes.base import RECIPES
from impasto.training.recipes.distilled import DistillationConfig, DistillationRecipe, Width, check_count

Rank = Annotated[int, Ge(0), Le(512)]


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class LowRankRecipeConfig(DistillationConfig):
    """Settings of the recipe `lowrank`."""

    steps: Annotated[int, Ge(0), Le(10_000_000)] = 0
    """Optimizer steps of the whole training; 0 keeps the fitted weights."""
    crop: Annotated[int, Ge(8), Le(4096)] = 144
    """Side of the training crops in pixels."""
    lr: Annotated[float, Gt(0), Le(10)] = 5e-5
    """Maximum learning rate of AdamW; a higher one first degrades the initial weights, which are good."""
    widths: tuple[Width, ...] = (*(16, 24), *(128, 128), *(256,) * 4, *(512,) * 5)
    """Channels of the 13 convolutions up to relu5_1: those of VGG-19 where the convolution is of low rank."""
    ranks_in: tuple[Rank, ...] = (*(0, 0), *(0, 32), *(48, 64, 64, 64), *(96, 128, 128, 128), 128)
    """Channels of the input of each 3x3 convolution, which a 1x1 convolution computes; 0: those of the layer below."""
    ranks_out: tuple[Rank, ...] = (*(0, 0), *(32, 48), *(64,) * 4, *(128,) * 5)
    """Channels of its output, from which a 1x1 convolution computes those of the layer; 0: no low rank."""


@RECIPES.add("lowrank")
class LowRankRecipe(DistillationRecipe):
    """VGG-19 in convolutions of low rank for the coarse loss scales, distilled from `vgg19-caffe`.

    The weights follow in closed form from those of the teacher (`impasto.training.distillation`). Optimizer steps, if
    there are any, continue from them.
    """

    summary = "the bundled backbone lowrank for coarse loss scales, distilled from vgg19-caffe"
    Config = LowRankRecipeConfig
    config: LowRankRecipeConfig
    backbone = LowRank

    def __init__(self, config: LowRankRecipeConfig) -> None:
        """Check the widths and ranks.

        Raises:
            ValueError: if their number is not that of the convolutions, or an input without an output is of low rank.
        """
        super().__init__(config)
        check_count("ranks_in", config.ranks_in)
        check_count("ranks_out", config.ranks_out)
        for name, rank_in, rank_out in zip(RELUS, config.ranks_in, config.ranks_out, strict=True):
            if rank_in and not rank_out:
                raise ValueError(f"ranks_in: {name} has {rank_in}, but no rank of its output; give one in ranks_out")

    def network(self) -> Student:
        """Return a student of random weights."""
        return Student(self.config.widths, list(zip(self.config.ranks_in, self.config.ranks_out, strict=True)))

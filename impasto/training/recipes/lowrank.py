"""Distill the bundled backbone `lowrank` from VGG-19."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Gt, Le
from pydantic.dataclasses import dataclass

from impasto.backbones.lowrank import LowRank
from impasto.config import SETTINGS
from impasto.training.recipes.base import RECIPES
from impasto.training.recipes.distilled import DistillationConfig, DistillationRecipe, Rank, Width


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

    The weights follow in closed form from those of the teacher (`impasto.training.distillation`). Those of `--steps`
    continue from there as for `lite`.
    """

    summary = "the bundled backbone lowrank for coarse loss scales, distilled from vgg19-caffe"
    Config = LowRankRecipeConfig
    config: LowRankRecipeConfig
    backbone = LowRank

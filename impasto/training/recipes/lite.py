"""Distill the bundled backbone `lite` from VGG-19."""

from __future__ import annotations

from pydantic.dataclasses import dataclass

from impasto.backbones.lite import Lite
from impasto.config import SETTINGS
from impasto.training.recipes.base import RECIPES
from impasto.training.recipes.distilled import DistillationConfig, DistillationRecipe, Width


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class LiteRecipeConfig(DistillationConfig):
    """Settings of the recipe `lite`."""

    widths: tuple[Width, ...] = (*(16, 16), *(32, 64), *(96, 96, 96, 96), *(192, 192, 192, 192), 192)
    """Channels of the 13 convolutions up to relu5_1; VGG-19 has 64, 128, 256 and twice 512 in its blocks."""


@RECIPES.add("lite")
class LiteRecipe(DistillationRecipe):
    """A narrow VGG-19 for style transfer by optimization, distilled from `vgg19-caffe`.

    The style that the network misses costs content, and a larger scale of relu4_2 compensates for it.
    """

    summary = "the small bundled backbone lite, distilled from vgg19-caffe"
    Config = LiteRecipeConfig
    config: LiteRecipeConfig
    backbone = Lite
    content_scale = 1.18

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import torch
from annotated_types import Ge, Le
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from impasto.config import SETTINGS
from impasto.datasets import Batch
from impasto.networks.files import save_weights
from impasto.networks.micro import Micro
from impasto.perceptual import pairs
from impasto.recipes import RECIPES, PaintingConfig, PaintingRecipe
from impasto.types import Image


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class MicroConfig(PaintingConfig):
    """Settings of `micro`."""

    steps: Annotated[int, Ge(1), Le(10_000_000)] = 16000
    """Optimiser steps of the whole run."""
    crop: Annotated[int, Ge(8), Le(4096)] = 176
    """Side of the training crops in pixels, a multiple of 8."""
    pixels_weight: Annotated[float, Ge(0)] = 30.0
    """Pull of the pixels where the photograph is its own style."""


@RECIPES.add("micro")
class MicroRecipe(PaintingRecipe):
    """A small network that paints in the manner of any picture in one pass (`impasto.networks.micro`).

    Learns from pairs of a photograph and a painting, on the loss of `gatys` at its output; the photograph itself is the
    style now and then, and is to come out again.
    """

    summary = "the small network that paints after any picture in one pass: the method micro"
    Config = MicroConfig
    config: MicroConfig
    stride = Micro.stride

    def network(self) -> Micro:
        return Micro()

    def loss(self, network: nn.Module, batch: Batch, step: int) -> dict[str, Tensor]:
        assert isinstance(network, Micro)
        photos, styles, same = pairs(batch)
        painted = network(photos, network.encode(styles))
        with torch.autocast(photos.device.type, enabled=False):
            terms = self.judge(photos, styles, painted)
            return {**terms, "pixels": self.config.pixels_weight * ((painted - photos).square() * same).mean()}

    def sheet(self, network: nn.Module) -> Image:
        """A sample picture, in the manner of others."""
        assert isinstance(network, Micro)
        return self.row(lambda photo, style: network(photo, network.encode(style)))

    def export(self, network: nn.Module, folder: Path, facts: dict[str, str]) -> Path:
        return save_weights(network, folder / "micro.safetensors", {"licence": "MIT", **facts})

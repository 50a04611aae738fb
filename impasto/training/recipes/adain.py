from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Annotated

import torch
from annotated_types import Ge, Le
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from impasto.backbones import ChainBackbone, load_chain
from impasto.config import SETTINGS
from impasto.devices import pick_device, pick_dtype
from impasto.networks.adain import LAYER, AdaIN
from impasto.networks.decoder import Decoder
from impasto.networks.weights_io import save_weights
from impasto.training.datasets import Batch
from impasto.training.perceptual import pairs
from impasto.training.recipes.base import RECIPES, FeedForwardRecipe, FeedForwardTrainingConfig
from impasto.types import Image


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class AdaINConfig(FeedForwardTrainingConfig):
    """Settings of `adain`."""

    steps: Annotated[int, Ge(1), Le(10_000_000)] = 6000
    """Optimizer steps of the whole run."""
    crop: Annotated[int, Ge(8), Le(4096)] = 160
    """Side of the training crops in pixels, a multiple of 8."""
    backbone: str = "lite"
    """The network that encodes, and judges the paintings; a chain of convolutions: lite, vgg19-caffe, vgg19, vgg16."""
    pixels_weight: Annotated[float, Ge(0)] = 100.0
    """Pull of the pixels where the photograph is its own style."""


@RECIPES.add("adain")
class AdaINRecipe(FeedForwardRecipe):
    """The decoder of AdaIN (Huang & Belongie, ICCV 2017), on the loss of `gatys` at its output.

    Departs from the paper: that loss; and the photograph itself is the style now and then, and is to come out again.
    """

    summary = "the decoder of the method adain, for the encoder lite or another"
    Config = AdaINConfig
    config: AdaINConfig
    stride = AdaIN.stride

    @cached_property
    def eye(self) -> ChainBackbone:
        """The network that encodes, and judges."""
        device = pick_device(self.config.device)
        return load_chain(self.config.backbone, device=device, dtype=pick_dtype(self.config.precision, device))

    def network(self) -> Decoder:
        return Decoder(LAYER, self.eye.widths)

    def loss(self, network: nn.Module, batch: Batch, step: int) -> dict[str, Tensor]:
        assert isinstance(network, Decoder)
        photos, styles, same = pairs(batch)
        adain = AdaIN(self.eye.encoder(LAYER), network)
        painted = adain(photos, adain.encode(styles))
        with torch.autocast(photos.device.type, enabled=False):
            terms = self.judge(photos, styles, painted)
            return {**terms, "pixels": self.config.pixels_weight * ((painted - photos).square() * same).mean()}

    def sheet(self, network: nn.Module) -> Image:
        """A sample picture, as itself and in the manner of others."""
        assert isinstance(network, Decoder)
        adain = AdaIN(self.eye.encoder(LAYER), network)
        return self.row(lambda photo, style: adain(photo, adain.encode(style)), itself=True)

    def export(self, network: nn.Module, folder: Path, facts: dict[str, str]) -> Path:
        return save_weights(
            network, folder / "adain.safetensors", {"license": "MIT", "backbone": self.config.backbone, **facts}
        )

"""Train the decoder of the method `adain`."""

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
from impasto.training.perceptual import sample_pairs
from impasto.training.recipes.base import RECIPES, FeedForwardRecipe, FeedForwardTrainingConfig
from impasto.types import Image


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class AdaINRecipeConfig(FeedForwardTrainingConfig):
    """Settings of the recipe `adain`."""

    steps: Annotated[int, Ge(1), Le(10_000_000)] = 6000
    """Optimizer steps of the whole training."""
    crop: Annotated[int, Ge(8), Le(4096)] = 160
    """Side of the training crops in pixels, a multiple of 8."""
    backbone: str = "lite"
    """Encoder and loss network, a chain of convolutions: lite, vgg19-caffe, vgg19 or vgg16."""
    pixels_weight: Annotated[float, Ge(0)] = 100.0
    """Weight of the pixel loss for samples whose style image is their content image."""


@RECIPES.add("adain")
class AdaINRecipe(FeedForwardRecipe):
    """The decoder of AdaIN, trained with the loss of `gatys` on its output.

    Differences from the paper: the loss; and samples whose style image is the content image, with a pixel loss.

    Reference: Huang & Belongie, ICCV 2017.
    """

    summary = "the decoder of the method adain, for the encoder lite or another one"
    Config = AdaINRecipeConfig
    config: AdaINRecipeConfig
    stride = AdaIN.stride

    @cached_property
    def loss_network(self) -> ChainBackbone:
        """Return the encoder, which is also the loss network."""
        device = pick_device(self.config.device)
        return load_chain(self.config.backbone, device=device, dtype=pick_dtype(self.config.precision, device))

    def network(self) -> Decoder:
        """Return a decoder of random weights."""
        return Decoder(LAYER, self.loss_network.widths)

    def loss(self, network: nn.Module, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return the perceptual loss and the pixel loss."""
        assert isinstance(network, Decoder)
        contents, styles, same = sample_pairs(batch)
        adain = AdaIN(self.loss_network.encoder(LAYER), network)
        outputs = adain(contents, adain.encode(styles))
        with torch.autocast(contents.device.type, enabled=False):
            terms = self.perceptual_loss(contents, styles, outputs)
            pixels = self.config.pixels_weight * ((outputs - contents).square() * same).mean()
            return {**terms, "pixels": pixels}

    def sheet(self, network: nn.Module) -> Image:
        """Return a sample content image with itself and with the sample styles."""
        assert isinstance(network, Decoder)
        adain = AdaIN(self.loss_network.encoder(LAYER), network)
        return self.sample_sheet(lambda content, style: adain(content, adain.encode(style)), identity=True)

    def export(self, network: nn.Module, folder: Path, metadata: dict[str, str]) -> Path:
        """Write `adain.safetensors`."""
        about = {"license": "MIT", "backbone": self.config.backbone}
        return save_weights(network, folder / "adain.safetensors", {**about, **metadata})

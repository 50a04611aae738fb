"""Train the network of the method `micro`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import torch
from annotated_types import Ge, Le
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from impasto.config import SETTINGS
from impasto.networks.input_noise import NOISE_SIZE, add_input_noise, input_noise
from impasto.networks.micro import Micro
from impasto.networks.weights_io import save_weights
from impasto.training.augmentation import random_shift
from impasto.training.checkerboard import checkerboard
from impasto.training.datasets import Batch
from impasto.training.perceptual import sample_pairs
from impasto.training.recipes.base import RECIPES, FeedForwardRecipe, FeedForwardTrainingConfig
from impasto.types import Image


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class MicroRecipeConfig(FeedForwardTrainingConfig):
    """Settings of the recipe `micro`."""

    steps: Annotated[int, Ge(1), Le(10_000_000)] = 16000
    """Optimizer steps of the whole training."""
    crop: Annotated[int, Ge(24), Le(4096)] = 176
    """Side of the training crops in pixels, a multiple of 8; the loss network receives 8 pixels less."""
    pixels_weight: Annotated[float, Ge(0)] = 30.0
    """Weight of the pixel loss for samples whose style image is their content image."""
    checkerboard_weight: Annotated[float, Ge(0)] = 500.0
    """Weight of the loss of checkerboard artifacts with a period of two pixels."""


@RECIPES.add("micro")
class MicroRecipe(FeedForwardRecipe):
    """A small any-style network, trained on pairs of a photograph and a painting.

    Some samples have their content image as style image, with a pixel loss.

    The network computes 2x2 pixels per position, and the loss network pools 2x2 pixels. With both grids aligned, the
    output would contain a fixed pattern of 2x2 pixels. The loss network therefore receives every sample at a random
    offset, and checkerboard artifacts have a loss of their own.
    """

    summary = "the small network of the method micro, for any style image"
    Config = MicroRecipeConfig
    config: MicroRecipeConfig
    stride = Micro.stride

    def network(self) -> Micro:
        """Return a network of random weights."""
        return Micro()

    def loss(self, network: nn.Module, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return the perceptual loss, the pixel loss and the checkerboard loss."""
        assert isinstance(network, Micro)
        contents, styles, same = sample_pairs(batch)
        crop = self.config.crop
        noise = torch.cat([input_noise(crop, crop, seed) for seed in batch["seed"].tolist()]).to(contents.device)
        outputs = network(contents + noise, network.encode(styles))
        with torch.autocast(contents.device.type, enabled=False):
            shifted_outputs, shifted_contents = random_shift([outputs, contents], batch["seed"], Micro.stride)
            terms = self.perceptual_loss(shifted_contents, styles, shifted_outputs)
            terms["pixels"] = self.config.pixels_weight * ((outputs - contents).square() * same).mean()
            terms["checkerboard"] = self.config.checkerboard_weight * checkerboard(outputs)
            return terms

    def sheet(self, network: nn.Module) -> Image:
        """Return a sample content image with the sample styles."""
        assert isinstance(network, Micro)
        noise = input_noise(*NOISE_SIZE, 0)
        return self.sample_sheet(lambda content, style: network(add_input_noise(content, noise), network.encode(style)))

    def export(self, network: nn.Module, folder: Path, metadata: dict[str, str]) -> Path:
        """Write `micro.safetensors`."""
        return save_weights(network, folder / "micro.safetensors", {"license": "MIT", **metadata})

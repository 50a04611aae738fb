"""Train a network of the method `johnson` for one style image."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Annotated

import torch
from annotated_types import Ge, Gt, Le, Lt
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from impasto.config import SETTINGS, File
from impasto.devices import pick_device
from impasto.images import load_image
from impasto.images.contact_sheet import contact_sheet
from impasto.images.fingerprint import fingerprint_json
from impasto.losses.total_variation import TotalVariationLoss
from impasto.networks.johnson import Johnson, Width, to_channels_last
from impasto.networks.weights_io import save_weights
from impasto.samples import resolve
from impasto.training.augmentation import random_zoom
from impasto.training.datasets import Batch
from impasto.training.perceptual import StyleMoments
from impasto.training.recipes.base import RECIPES, FeedForwardRecipe, FeedForwardTrainingConfig
from impasto.types import Image

SHEET = 320
"""Longer side of the images in the contact sheet, in pixels."""
SHEET_CONTENTS = ("inkwash", "geometric")


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class JohnsonRecipeConfig(FeedForwardTrainingConfig):
    """Settings of the recipe `johnson`."""

    style: File = "brushstrokes"
    """Style image: a file, or the name of a sample."""
    style_size: Annotated[int, Ge(32), Le(8192)] = 512
    """Longer side of the style image in pixels during the training, which sets the size of the strokes."""
    width: Width = "light"
    """Channels of the network: full as in the paper, or light with half as many."""
    steps: Annotated[int, Ge(1), Le(10_000_000)] = 2000
    """Optimizer steps of the whole training."""
    crop: Annotated[int, Ge(8), Le(4096)] = 176
    """Side of the training crops in pixels, a multiple of 4."""
    lr: Annotated[float, Gt(0), Le(10)] = 2e-3
    """Maximum learning rate of AdamW."""
    warmup: Annotated[int, Ge(0)] = 50
    """Steps of linear increase of the learning rate; then it decreases to 0 along a cosine."""
    ema: Annotated[float, Ge(0), Lt(1)] = 0.99
    """Decay of the moving average of the weights, which is exported; 0 exports the last weights."""
    content_weight: Annotated[float, Ge(0)] = 0.12
    """Weight of the content loss, relative to a style share of 1."""
    tv_weight: Annotated[float, Ge(0)] = 0.3
    """Weight of the total variation loss."""


@RECIPES.add("johnson")
class JohnsonRecipe(FeedForwardRecipe):
    """A network for one style image, trained with the loss of `gatys` on its output.

    Difference from the paper: the style loss is relative to the content image (`impasto.training.perceptual`).

    Reference: Johnson, Alahi & Fei-Fei, ECCV 2016.
    """

    summary = "a network of the method johnson, for one style image"
    Config = JohnsonRecipeConfig
    config: JohnsonRecipeConfig
    stride = Johnson.stride
    kinds = ("photo",)
    data_needed = "photographs and one style image; give --photos and --style, without --paintings"

    def __init__(self, config: JohnsonRecipeConfig) -> None:
        """Find the style image.

        Raises:
            ValueError: if the image does not exist, or the crop is not a multiple of the stride.
        """
        super().__init__(config)
        try:
            self._style_file = resolve(config.style)
        except ValueError as error:
            raise ValueError(f"style: {error}") from None

    @cached_property
    def _style_moments(self) -> StyleMoments:
        style = load_image(self._style_file, size=self.config.style_size)
        return self.perceptual_loss.style_moments(style.to(pick_device(self.config.device)))

    def network(self) -> Johnson:
        """Return a network of random weights."""
        return to_channels_last(Johnson(self.config.width))

    def loss(self, network: nn.Module, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return the perceptual loss and the total variation loss."""
        assert isinstance(network, Johnson)
        generators = [torch.Generator().manual_seed(int(seed)) for seed in batch["seed"]]
        contents = torch.stack([random_zoom(each, g) for each, g in zip(batch["photo"], generators, strict=True)])
        outputs = network(contents)
        with torch.autocast(contents.device.type, enabled=False):
            variation = TotalVariationLoss().statistic(outputs).mean()
            terms = self.perceptual_loss.compare(self._style_moments, contents, outputs)
            return {**terms, "variation": self.config.tv_weight * variation}

    def sheet(self, network: nn.Module) -> Image:
        """Return the style image, and sample content images with their outputs."""
        assert isinstance(network, Johnson)
        device = pick_device(self.config.device)
        row = [load_image(self._style_file, size=SHEET)]
        for name in SHEET_CONTENTS:
            content = load_image(resolve(name), size=SHEET)
            height, width = (side // Johnson.stride * Johnson.stride for side in content.shape[-2:])
            content = content[..., :height, :width].contiguous()
            row += [content, network(content.to(device)).clamp(0, 1).cpu()]
        return contact_sheet([row], cell=SHEET)

    def export(self, network: nn.Module, folder: Path, metadata: dict[str, str]) -> Path:
        """Write `johnson-STYLE.safetensors`, with a fingerprint of the style image in the metadata."""
        name = self._style_file.stem
        about = {
            "license": "MIT",
            "style": name,
            "thumbnail": fingerprint_json(load_image(self._style_file)),
            "width": self.config.width,
        }
        return save_weights(network, folder / f"johnson-{name}.safetensors", {**about, **metadata})

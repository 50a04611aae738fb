from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Annotated

import torch
from annotated_types import Ge, Gt, Le, Lt
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from impasto.config import SETTINGS
from impasto.devices import pick_device
from impasto.images import load_image
from impasto.images.contact_sheet import contact_sheet
from impasto.images.fingerprint import fingerprint_json
from impasto.losses.total_variation import TotalVariationLoss
from impasto.networks.johnson import Johnson, Width, to_channels_last
from impasto.networks.weights_io import save_weights
from impasto.samples import resolve
from impasto.training.augmentation import zoomed
from impasto.training.datasets import Batch
from impasto.training.perceptual import Look
from impasto.training.recipes.base import RECIPES, FeedForwardRecipe, FeedForwardTrainingConfig
from impasto.types import Image

SHEET = 320
"""Longer side of the pictures in the contact sheet, in pixels."""
SHEET_PHOTOS = ("inkwash", "geometric")


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class JohnsonConfig(FeedForwardTrainingConfig):
    """Settings of `johnson`."""

    style: str = "brushstrokes"
    """The picture whose manner is learned: a file, or a sample's name."""
    style_size: Annotated[int, Ge(32), Le(8192)] = 512
    """Longer side of that picture in pixels while it is learned: strokes come out as large as they are on it."""
    width: Width = "light"
    """Channels of the network: full as in the paper, light half of them."""
    steps: Annotated[int, Ge(1), Le(10_000_000)] = 2000
    """Optimizer steps of the whole run."""
    crop: Annotated[int, Ge(8), Le(4096)] = 176
    """Side of the training crops in pixels, a multiple of 4."""
    lr: Annotated[float, Gt(0), Le(10)] = 2e-3
    """Highest learning rate of AdamW."""
    warmup: Annotated[int, Ge(0)] = 50
    """Steps in which the learning rate rises to its highest; then it falls to 0 along a cosine."""
    ema: Annotated[float, Ge(0), Lt(1)] = 0.99
    """Decay of the averaged weights, which are what is exported; 0 takes the last weights."""
    content_weight: Annotated[float, Ge(0)] = 0.12
    """Pull of the photograph, against a style share of 1."""
    tv_weight: Annotated[float, Ge(0)] = 0.3
    """Pull towards equal neighbors (total variation)."""


@RECIPES.add("johnson")
class JohnsonRecipe(FeedForwardRecipe):
    """A network that paints in one manner (`impasto.networks.johnson`), on the loss of `gatys` at its output.

    Johnson, Alahi & Fei-Fei, ECCV 2016. Departs from the paper: the style loss is a share (`impasto.training.perceptual`).
    """

    summary = "a network that paints after one picture, in one pass: the method johnson"
    Config = JohnsonConfig
    config: JohnsonConfig
    stride = Johnson.stride
    kinds = ("photo",)
    feed = "photographs and one style: give --photos and --style, no --paintings"

    def __init__(self, config: JohnsonConfig) -> None:
        super().__init__(config)
        try:
            self._style_file = resolve(config.style)
        except ValueError as error:
            raise ValueError(f"style: {error}") from None

    @cached_property
    def _wanted(self) -> Look:
        """Of the whole style, at one size: what the paintings should become like."""
        style = load_image(self._style_file, size=self.config.style_size)
        return self.judge.look(style.to(pick_device(self.config.device)))

    def network(self) -> Johnson:
        return to_channels_last(Johnson(self.config.width))

    def loss(self, network: nn.Module, batch: Batch, step: int) -> dict[str, Tensor]:
        assert isinstance(network, Johnson)
        chances = [torch.Generator().manual_seed(int(seed)) for seed in batch["seed"]]
        photos = torch.stack([zoomed(each, chance) for each, chance in zip(batch["photo"], chances, strict=True)])
        painted = network(photos)
        with torch.autocast(photos.device.type, enabled=False):
            variation = TotalVariationLoss().statistic(painted).mean()
            terms = self.judge.towards(self._wanted, photos, painted)
            return {**terms, "variation": self.config.tv_weight * variation}

    def sheet(self, network: nn.Module) -> Image:
        """The style, and sample pictures in its manner."""
        assert isinstance(network, Johnson)
        device = pick_device(self.config.device)
        row = [load_image(self._style_file, size=SHEET)]
        for name in SHEET_PHOTOS:
            photo = load_image(resolve(name), size=SHEET)
            height, width = (side // Johnson.stride * Johnson.stride for side in photo.shape[-2:])
            photo = photo[..., :height, :width].contiguous()
            row += [photo, network(photo.to(device)).clamp(0, 1).cpu()]
        return contact_sheet([row], cell=SHEET)

    def export(self, network: nn.Module, folder: Path, facts: dict[str, str]) -> Path:
        name = self._style_file.stem
        about = {
            "license": "MIT",
            "style": name,
            "thumbnail": fingerprint_json(load_image(self._style_file)),
            "width": self.config.width,
        }
        return save_weights(network, folder / f"johnson-{name}.safetensors", {**about, **facts})

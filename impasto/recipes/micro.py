from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Annotated

import torch
from annotated_types import Ge, Gt, Le, Lt
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from impasto.backbones import load_backbone
from impasto.config import SETTINGS
from impasto.datasets import Batch, Dataset
from impasto.devices import pick_device, pick_dtype
from impasto.images import load_image, resize
from impasto.networks.files import load_weights, save_weights
from impasto.networks.micro import Micro
from impasto.perceptual import PerceptualLoss, pairs
from impasto.recipes import RECIPES, Recipe, TrainingConfig
from impasto.samples import resolve
from impasto.sheet import contact_sheet
from impasto.types import Image

SHEET = 256
"""Side of the pictures in the contact sheet, in pixels."""
SHEET_PHOTO = "inkwash"
SHEET_STYLES = ("brushstrokes", "mosaic", "pointillism", "woodcut")


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class MicroConfig(TrainingConfig):
    """Settings of `micro`."""

    steps: Annotated[int, Ge(1), Le(10_000_000)] = 16000
    """Optimiser steps of the whole run."""
    batch: Annotated[int, Ge(1), Le(65536)] = 4
    """Samples a step, over all processes together: a photograph and a painting each."""
    crop: Annotated[int, Ge(8), Le(4096)] = 176
    """Side of the training crops in pixels, a multiple of 8."""
    lr: Annotated[float, Gt(0), Le(10)] = 1e-3
    """Highest learning rate of AdamW."""
    warmup: Annotated[int, Ge(0)] = 200
    """Steps in which the learning rate rises to its highest; then it falls to 0 along a cosine."""
    ema: Annotated[float, Ge(0), Lt(1)] = 0.998
    """Decay of the averaged weights, which are what is exported; 0 takes the last weights."""
    begin: str | None = None
    """Weights to begin with, of a training before; random ones unless given."""
    backbone: str = "lite"
    """The network that judges the paintings."""
    content_weight: Annotated[float, Ge(0)] = 0.04
    """Pull of the photograph, against a style share of 1."""
    layers_weight: Annotated[float, Ge(0)] = 1.0
    """Pull of the style once more, every layer alike."""
    moments_weight: Annotated[float, Ge(0)] = 1.0
    """Pull of the channels' means and deviations, a share likewise, every layer alike."""


@RECIPES.add("micro")
class MicroRecipe(Recipe):
    """A small network that paints in the manner of any picture in one pass (`impasto.networks.micro`).

    Learns from pairs of a photograph and a painting, on the loss of `gatys` at its output.
    """

    summary = "the small network that paints after any picture in one pass: the method micro"
    Config = MicroConfig
    config: MicroConfig
    autocast = True

    def __init__(self, config: MicroConfig) -> None:
        super().__init__(config)
        if config.crop % Micro.stride:
            raise ValueError(f"crop: give a multiple of {Micro.stride}, not {config.crop}")

    @cached_property
    def _loss(self) -> PerceptualLoss:
        device = pick_device(self.config.device)
        dtype = pick_dtype(self.config.precision, device)
        eye = load_backbone(self.config.backbone, device=device, dtype=dtype)
        config = self.config
        return PerceptualLoss(eye, config.content_weight, config.layers_weight, config.moments_weight)

    def network(self) -> Micro:
        return Micro()

    def prepare(self, data: Dataset) -> Micro:
        if set(data.files) != {"photo", "painting"}:
            raise ValueError("micro learns from photographs and paintings: give both, --photos and --paintings")
        network = self.network()
        if self.config.begin is not None:
            load_weights(network, Path(self.config.begin))
        return network

    def loss(self, network: nn.Module, batch: Batch, step: int) -> dict[str, Tensor]:
        assert isinstance(network, Micro)
        photos, styles, _ = pairs(batch)
        painted = network(photos, network.encode(styles))
        with torch.autocast(photos.device.type, enabled=False):
            return self._loss(photos, styles, painted)

    def sheet(self, network: nn.Module) -> Image:
        """A sample picture, in the manner of others."""
        assert isinstance(network, Micro)
        device = pick_device(self.config.device)
        photo, *styles = (
            resize(load_image(resolve(name)), (SHEET, SHEET)).to(device) for name in (SHEET_PHOTO, *SHEET_STYLES)
        )
        row = [photo]
        for style in styles:
            row += [style, network(photo, network.encode(style)).clamp(0, 1)]
        return contact_sheet([[each.cpu() for each in row]], cell=SHEET)

    def export(self, network: nn.Module, folder: Path, facts: dict[str, str]) -> Path:
        return save_weights(network, folder / "micro.safetensors", {"licence": "MIT", **facts})

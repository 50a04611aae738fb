from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Annotated

import torch
from annotated_types import Ge, Gt, Le, Lt
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from impasto.backbones import ChainBackbone, load_chain
from impasto.config import SETTINGS
from impasto.datasets import Batch, Dataset
from impasto.devices import pick_device, pick_dtype
from impasto.images import load_image, resize
from impasto.networks.adain import LAYER, AdaIN
from impasto.networks.decoder import Decoder
from impasto.networks.files import load_weights, save_weights
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
class AdaINConfig(TrainingConfig):
    """Settings of `adain`."""

    steps: Annotated[int, Ge(1), Le(10_000_000)] = 6000
    """Optimiser steps of the whole run."""
    batch: Annotated[int, Ge(1), Le(65536)] = 4
    """Samples a step, over all processes together: a photograph and a painting each."""
    crop: Annotated[int, Ge(8), Le(4096)] = 160
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
    """The network that encodes, and judges the paintings; a chain of convolutions: lite, vgg19-caffe, vgg19, vgg16."""
    content_weight: Annotated[float, Ge(0)] = 0.04
    """Pull of the photograph, against a style share of 1."""
    layers_weight: Annotated[float, Ge(0)] = 1.0
    """Pull of the style once more, every layer alike."""
    moments_weight: Annotated[float, Ge(0)] = 1.0
    """Pull of the channels' means and deviations, a share likewise, every layer alike."""
    pixels_weight: Annotated[float, Ge(0)] = 100.0
    """Pull of the pixels where the photograph is its own style."""


@RECIPES.add("adain")
class AdaINRecipe(Recipe):
    """The decoder of AdaIN (Huang & Belongie, ICCV 2017), on the loss of `gatys` at its output.

    Departs from the paper: that loss; and the photograph itself is the style now and then, and is to come out again.
    """

    summary = "the decoder of the method adain, for the encoder lite or another"
    Config = AdaINConfig
    config: AdaINConfig
    autocast = True

    def __init__(self, config: AdaINConfig) -> None:
        super().__init__(config)
        if config.crop % AdaIN.stride:
            raise ValueError(f"crop: give a multiple of {AdaIN.stride}, not {config.crop}")

    @cached_property
    def _eye(self) -> ChainBackbone:
        device = pick_device(self.config.device)
        dtype = pick_dtype(self.config.precision, device)
        return load_chain(self.config.backbone, device=device, dtype=dtype)

    def network(self) -> Decoder:
        return Decoder(LAYER, self._eye.widths)

    def prepare(self, data: Dataset) -> Decoder:
        if set(data.files) != {"photo", "painting"}:
            raise ValueError("adain learns from photographs and paintings: give both, --photos and --paintings")
        network = self.network()
        if self.config.begin is not None:
            load_weights(network, Path(self.config.begin))
        return network

    def loss(self, network: nn.Module, batch: Batch, step: int) -> dict[str, Tensor]:
        assert isinstance(network, Decoder)
        config = self.config
        photos, styles, same = pairs(batch)
        adain = AdaIN(self._eye.encoder(LAYER), network)
        painted = adain(photos, adain.encode(styles))
        with torch.autocast(photos.device.type, enabled=False):
            perceptual = PerceptualLoss(self._eye, config.content_weight, config.layers_weight, config.moments_weight)
            terms = perceptual(photos, styles, painted)
            return {**terms, "pixels": config.pixels_weight * ((painted - photos).square() * same).mean()}

    def sheet(self, network: nn.Module) -> Image:
        """A sample picture, as itself and in the manner of others."""
        assert isinstance(network, Decoder)
        device = pick_device(self.config.device)
        photo, *styles = (
            resize(load_image(resolve(name)), (SHEET, SHEET)).to(device) for name in (SHEET_PHOTO, *SHEET_STYLES)
        )
        adain = AdaIN(self._eye.encoder(LAYER), network)
        row = [photo, adain(photo, adain.encode(photo)).clamp(0, 1)]
        for style in styles:
            row += [style, adain(photo, adain.encode(style)).clamp(0, 1)]
        return contact_sheet([[each.cpu() for each in row]], cell=SHEET)

    def export(self, network: nn.Module, folder: Path, facts: dict[str, str]) -> Path:
        return save_weights(
            network, folder / "adain.safetensors", {"licence": "MIT", "backbone": self.config.backbone, **facts}
        )

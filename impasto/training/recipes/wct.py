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
from impasto.devices import pick_device, pick_dtype
from impasto.images import load_image, resize
from impasto.images.contact_sheet import contact_sheet
from impasto.networks.decoder import Decoder
from impasto.networks.wct import LAYERS
from impasto.networks.weights_io import save_weights
from impasto.samples import resolve
from impasto.training.datasets import Batch, Dataset
from impasto.training.recipes.base import RECIPES, Recipe, TrainingConfig
from impasto.types import Image

SHEET, SHEET_PHOTO = 256, "inkwash"
STRIDE = 16


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class WCTConfig(TrainingConfig):
    """Settings of `wct`."""

    steps: Annotated[int, Ge(1), Le(10_000_000)] = 3000
    """Optimizer steps of the whole run."""
    batch: Annotated[int, Ge(1), Le(65536)] = 4
    """Photographs a step, over all processes together."""
    crop: Annotated[int, Ge(8), Le(4096)] = 128
    """Side of the training crops in pixels, a multiple of 16."""
    lr: Annotated[float, Gt(0), Le(10)] = 1e-3
    """Highest learning rate of AdamW."""
    warmup: Annotated[int, Ge(0)] = 100
    """Steps in which the learning rate rises to its highest; then it falls to 0 along a cosine."""
    ema: Annotated[float, Ge(0), Lt(1)] = 0.998
    """Decay of the averaged weights, which are what is exported; 0 takes the last weights."""
    backbone: str = "lite"
    """The network that encodes; a chain of convolutions: lite, vgg19-caffe, vgg19."""
    features_weight: Annotated[float, Ge(0)] = 0.2
    """Pull of the features, in units of their variance, against that of the pixels, in units of theirs."""


@RECIPES.add("wct")
class WCTRecipe(Recipe):
    """The decoders of WCT (Li et al., NIPS 2017): each puts together a photograph from its features of one layer.

    No style is needed, and none is seen.
    """

    summary = "the decoders of the method wct, from photographs alone"
    Config = WCTConfig
    config: WCTConfig
    autocast = True

    def __init__(self, config: WCTConfig) -> None:
        super().__init__(config)
        if config.crop % STRIDE:
            raise ValueError(f"crop: give a multiple of {STRIDE}, not {config.crop}")

    @cached_property
    def _eye(self) -> ChainBackbone:
        device = pick_device(self.config.device)
        return load_chain(self.config.backbone, device=device, dtype=pick_dtype(self.config.precision, device))

    def network(self) -> nn.ModuleDict:
        return nn.ModuleDict({layer: Decoder(layer, self._eye.widths) for layer in LAYERS})

    def prepare(self, data: Dataset) -> nn.ModuleDict:
        if set(data.files) != {"photo"}:
            raise ValueError("wct learns from photographs alone: give --photos")
        return self.network()

    def loss(self, network: nn.Module, batch: Batch, step: int) -> dict[str, Tensor]:
        assert isinstance(network, nn.ModuleDict)
        photos = batch["photo"]
        with torch.no_grad():
            seen = self._eye.encode(photos, LAYERS)
        terms = {}
        for layer, decoder in network.items():
            decoded = decoder(seen[layer].float())
            with torch.autocast(photos.device.type, enabled=False):
                again = self._eye.encode(decoded, [layer])[layer]
                features = _apart(again.float(), seen[layer].float()).mean()
                terms[layer] = _apart(decoded, photos).mean() + self.config.features_weight * features
        return terms

    def sheet(self, network: nn.Module) -> Image:
        """A sample picture, decoded from every layer."""
        assert isinstance(network, nn.ModuleDict)
        photo = resize(load_image(resolve(SHEET_PHOTO)), (SHEET, SHEET)).to(pick_device(self.config.device))
        seen = self._eye.encode(photo, LAYERS)
        row = [photo, *(decoder(seen[layer].float()).clamp(0, 1) for layer, decoder in network.items())]
        return contact_sheet([[each.cpu() for each in row]], cell=SHEET)

    def export(self, network: nn.Module, folder: Path, facts: dict[str, str]) -> Path:
        about = {"license": "MIT", "backbone": self.config.backbone}
        return save_weights(network, folder / "wct.safetensors", {**about, **facts})


def _apart(here: Tensor, there: Tensor) -> Tensor:
    """Mean squared difference in units of the variance of `there`, `(B,)`, which flat pictures have little of."""
    variance = there.flatten(1).var(1).clamp_min(0.01)
    return (here - there).square().mean((1, 2, 3)) / variance

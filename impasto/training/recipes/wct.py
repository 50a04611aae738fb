"""Train the decoders of the method `wct`."""

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

SHEET, SHEET_CONTENT = 256, "inkwash"
STRIDE = 16


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class WCTRecipeConfig(TrainingConfig):
    """Settings of the recipe `wct`."""

    steps: Annotated[int, Ge(1), Le(10_000_000)] = 3000
    """Optimizer steps of the whole training."""
    batch: Annotated[int, Ge(1), Le(65536)] = 4
    """Photographs per step, over all processes together."""
    crop: Annotated[int, Ge(8), Le(4096)] = 128
    """Side of the training crops in pixels, a multiple of 16."""
    lr: Annotated[float, Gt(0), Le(10)] = 1e-3
    """Maximum learning rate of AdamW."""
    warmup: Annotated[int, Ge(0)] = 100
    """Steps of linear increase of the learning rate; then it decreases to 0 along a cosine."""
    ema: Annotated[float, Ge(0), Lt(1)] = 0.998
    """Decay of the moving average of the weights, which is exported; 0 exports the last weights."""
    backbone: str = "lite"
    """Encoder, a chain of convolutions: lite, vgg19-caffe or vgg19."""
    features_weight: Annotated[float, Ge(0)] = 0.2
    """Weight of the feature loss relative to the pixel loss, each in units of its variance."""


@RECIPES.add("wct")
class WCTRecipe(Recipe):
    """The decoders of WCT: each reconstructs a photograph from its features of one layer. No style is needed.

    Reference: Li et al., NIPS 2017.
    """

    summary = "the decoders of the method wct, from photographs alone"
    Config = WCTRecipeConfig
    config: WCTRecipeConfig
    autocast = True

    def __init__(self, config: WCTRecipeConfig) -> None:
        """Check that the crop is a multiple of the stride.

        Raises:
            ValueError: if it is not.
        """
        super().__init__(config)
        if config.crop % STRIDE:
            raise ValueError(f"crop: give a multiple of {STRIDE}, not {config.crop}")

    @cached_property
    def _encoder(self) -> ChainBackbone:
        device = pick_device(self.config.device)
        return load_chain(self.config.backbone, device=device, dtype=pick_dtype(self.config.precision, device))

    def network(self) -> nn.ModuleDict:
        """Return one decoder of random weights per layer."""
        return nn.ModuleDict({layer: Decoder(layer, self._encoder.widths) for layer in LAYERS})

    def prepare(self, data: Dataset) -> nn.ModuleDict:
        """Return new decoders.

        Raises:
            ValueError: if the training data is not photographs alone.
        """
        if set(data.files) != {"photo"}:
            raise ValueError("wct is trained on photographs alone; give --photos without --paintings")
        return self.network()

    def loss(self, network: nn.Module, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return the reconstruction loss of pixels and features for every layer."""
        assert isinstance(network, nn.ModuleDict)
        photos = batch["photo"]
        with torch.no_grad():
            features = self._encoder.encode(photos, LAYERS)
        terms = {}
        for layer, decoder in network.items():
            decoded = decoder(features[layer].float())
            with torch.autocast(photos.device.type, enabled=False):
                encoded = self._encoder.encode(decoded, [layer])[layer]
                feature_loss = _relative_mse(encoded.float(), features[layer].float()).mean()
                terms[layer] = _relative_mse(decoded, photos).mean() + self.config.features_weight * feature_loss
        return terms

    def sheet(self, network: nn.Module) -> Image:
        """Return a sample image and its reconstruction from every layer."""
        assert isinstance(network, nn.ModuleDict)
        content = resize(load_image(resolve(SHEET_CONTENT)), (SHEET, SHEET)).to(pick_device(self.config.device))
        features = self._encoder.encode(content, LAYERS)
        row = [content, *(decoder(features[layer].float()).clamp(0, 1) for layer, decoder in network.items())]
        return contact_sheet([[each.cpu() for each in row]], cell=SHEET)

    def export(self, network: nn.Module, folder: Path, metadata: dict[str, str]) -> Path:
        """Write `wct.safetensors`."""
        about = {"license": "MIT", "backbone": self.config.backbone}
        return save_weights(network, folder / "wct.safetensors", {**about, **metadata})


def _relative_mse(here: Tensor, there: Tensor) -> Tensor:
    """Return the mean squared difference in units of the variance of `there`, bounded for flat images, `(B,)`."""
    variance = there.flatten(1).var(1).clamp_min(0.01)
    return (here - there).square().mean((1, 2, 3)) / variance

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import torch
import torch.nn.functional as F
from annotated_types import Ge, Le
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from impasto.config import SETTINGS
from impasto.networks.micro import NOISE_SIZE, Micro, add_input_noise, input_noise
from impasto.networks.weights_io import save_weights
from impasto.training.augmentation import shifted
from impasto.training.datasets import Batch
from impasto.training.perceptual import pairs
from impasto.training.recipes.base import RECIPES, FeedForwardRecipe, FeedForwardTrainingConfig
from impasto.types import Image


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class MicroConfig(FeedForwardTrainingConfig):
    """Settings of `micro`."""

    steps: Annotated[int, Ge(1), Le(10_000_000)] = 16000
    """Optimizer steps of the whole run."""
    crop: Annotated[int, Ge(24), Le(4096)] = 176
    """Side of the training crops in pixels, a multiple of 8; the judge sees 8 less."""
    pixels_weight: Annotated[float, Ge(0)] = 30.0
    """Pull of the pixels where the photograph is its own style."""
    mesh_weight: Annotated[float, Ge(0)] = 500.0
    """Push against a mesh of two pixels in the painting."""


@RECIPES.add("micro")
class MicroRecipe(FeedForwardRecipe):
    """A small network that paints in the manner of any picture in one pass (`impasto.networks.micro`).

    Learns from pairs of a photograph and a painting, on the loss of `gatys` at its output; the photograph itself is the
    style now and then, and is to come out again. The network paints four pixels at a place, and the judge pools four
    into one: where the two grids always fell together, it would learn a pattern for those four. So it is judged at
    some offset, another one for every sample, and a mesh costs it.
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
        crop = self.config.crop
        noise = torch.cat([input_noise(crop, crop, seed) for seed in batch["seed"].tolist()]).to(photos.device)
        painted = network(photos + noise, network.encode(styles))
        with torch.autocast(photos.device.type, enabled=False):
            judged, of = shifted([painted, photos], batch["seed"], Micro.stride)
            terms = self.judge(of, styles, judged)
            terms["pixels"] = self.config.pixels_weight * ((painted - photos).square() * same).mean()
            terms["mesh"] = self.config.mesh_weight * mesh(painted)
            return terms

    def sheet(self, network: nn.Module) -> Image:
        """A sample picture, in the manner of others."""
        assert isinstance(network, Micro)
        noise = input_noise(*NOISE_SIZE, 0)
        return self.row(lambda photo, style: network(add_input_noise(photo, noise), network.encode(style)))

    def export(self, network: nn.Module, folder: Path, facts: dict[str, str]) -> Path:
        return save_weights(network, folder / "micro.safetensors", {"license": "MIT", **facts})


def mesh(painted: Image) -> Tensor:
    """How far the four pixels of each 2x2 differ in the same way all over a window of 16 pixels: mean squared, 0-d.

    Of what a blur of three pixels takes away, so that a slope is none. Strokes and grain change from place to place
    and average out. `(B, 3, H, W)`, at least 18 pixels a side.
    """
    rows = painted[..., :-2, :] + 2 * painted[..., 1:-1, :] + painted[..., 2:, :]
    soft = (rows[..., :-2] + 2 * rows[..., 1:-1] + rows[..., 2:]) / 16  # nothing of a mesh is left
    fine = painted[..., 1:-1, 1:-1] - soft
    height, width = (side // 2 * 2 for side in fine.shape[-2:])
    phases = F.pixel_unshuffle(fine[..., :height, :width], 2)  # (B, 12, h, w)
    return F.avg_pool2d(phases, 8).square().mean()

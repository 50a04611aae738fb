"""Train the learned steps of the method `unrolled`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, NamedTuple

import torch
import torch.nn.functional as F
from annotated_types import Ge, Gt, Le
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from impasto.backbones import ChainBackbone, load_chain
from impasto.config import SETTINGS
from impasto.devices import pick_device, pick_dtype
from impasto.networks.input_noise import NOISE_SIZE, add_input_noise, input_noise
from impasto.networks.micro import MICRO_FILE, Micro
from impasto.networks.unrolled import REDUCTIONS, LearnedSteps, advance, reduced
from impasto.networks.weights_io import load_weights, save_weights
from impasto.training.augmentation import random_shift
from impasto.training.checkerboard import checkerboard
from impasto.training.datasets import Batch
from impasto.training.perceptual import sample_pairs
from impasto.training.recipes.base import RECIPES, FeedForwardRecipe, FeedForwardTrainingConfig
from impasto.types import Image


class TrainedStep(NamedTuple):
    """Which step of which sequence is trained."""

    enlarged: int
    """Factor by which the samples are enlarged."""
    reductions: tuple[int, ...]
    """Factors by which the image is reduced: of the steps before, then of the step that is trained."""


STAGES = (
    TrainedStep(2, (4,)),
    TrainedStep(1, (4, 2, 1)),
    TrainedStep(2, (4, 2)),
    TrainedStep(2, (4, 2, 1)),
    TrainedStep(2, (4, 2, 1, 4)),
    TrainedStep(2, (4, 2, 1, 4, 2, 1)),
    TrainedStep(2, (4, 2, 1, 4, 2)),
    TrainedStep(1, (4, 2, 1, 4, 2, 1)),
)
"""Stages, one for each step of the training in turn: the beginning of the default steps of the method, at the training
crop and at twice its size."""


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class UnrolledRecipeConfig(FeedForwardTrainingConfig):
    """Settings of the recipe `unrolled`."""

    steps: Annotated[int, Ge(1), Le(10_000_000)] = 4000
    """Optimizer steps of the whole training."""
    crop: Annotated[int, Ge(48), Le(4096)] = 256
    """Side of the training crops in pixels, a multiple of 16; the loss network receives 8 pixels less."""
    lr: Annotated[float, Gt(0), Le(10)] = 3e-3
    """Maximum learning rate of AdamW."""
    warmup: Annotated[int, Ge(0)] = 100
    """Steps of linear increase of the learning rate; then it decreases to 0 along a cosine."""
    content_weight: Annotated[float, Ge(0)] = 0.07
    """Weight of the content loss, relative to a style share of 1."""
    layers_weight: Annotated[float, Ge(0)] = 0.3
    """Weight of the style share averaged over the layers with equal weights."""
    moments_weight: Annotated[float, Ge(0)] = 0.1
    """Weight of the distance of channel means and standard deviations, averaged over the layers."""
    pixels_weight: Annotated[float, Ge(0)] = 30.0
    """Weight of the pixel loss for samples whose style image is their content image."""
    checkerboard_weight: Annotated[float, Ge(0)] = 100.0
    """Weight of the loss of checkerboard artifacts with a period of two pixels."""


@RECIPES.add("unrolled")
class UnrolledRecipe(FeedForwardRecipe):
    """The learned steps of `unrolled`, trained on pairs of a photograph and a painting; `micro` stays as it is.

    Every step of the training takes one step of a sequence, with the steps before it as they are now, and compares its
    output at its own size. So no gradient passes through more than one step, and the step learns from images as it
    will meet them. At the end of the longest sequence, a quarter of the image is enough.
    """

    summary = "the learned gradient steps of the method unrolled, for any style image"
    Config = UnrolledRecipeConfig
    config: UnrolledRecipeConfig
    stride = 16

    @cached_property
    def _encoder(self) -> ChainBackbone:
        config, device = self.config, pick_device(self.config.device)
        return load_chain(config.backbone, device=device, dtype=pick_dtype(config.precision, device))

    @cached_property
    def _micro(self) -> Micro:
        micro = Micro()
        load_weights(micro, MICRO_FILE)
        return micro.to(pick_device(self.config.device)).eval().requires_grad_(False)

    def network(self) -> LearnedSteps:
        """Return steps along the exact gradient of the style loss."""
        return LearnedSteps(self._encoder)

    def loss(self, network: nn.Module, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return the perceptual loss, the pixel loss and the checkerboard loss of one step of a sequence."""
        assert isinstance(network, LearnedSteps)
        contents, styles, same = sample_pairs(batch)
        stage = STAGES[step % len(STAGES)]
        with torch.no_grad():
            image, noisy, contents, styles = self._before(network, stage, contents, styles, batch["seed"])
            learned = network.at(stage.reductions[-1])
            targets = learned.targets(styles)
        outputs = learned(image, noisy, targets)
        with torch.autocast(contents.device.type, enabled=False):
            shifted_outputs, shifted_contents = random_shift([outputs, contents], batch["seed"], 8)
            terms = self.perceptual_loss(shifted_contents, styles, shifted_outputs)
            terms["pixels"] = self.config.pixels_weight * ((outputs - contents).square() * same).mean()
            terms["range"] = 10 * (outputs - outputs.clamp(0, 1)).square().mean()
            terms["checkerboard"] = self.config.checkerboard_weight * checkerboard(outputs)
            return terms

    def _before(
        self, network: LearnedSteps, stage: TrainedStep, contents: Image, styles: Image, seeds: Tensor
    ) -> tuple[Image, Image, Image, Image]:
        """Return the image before the step, the content image with and without noise, and the style image."""
        factor = float(stage.enlarged)
        if factor > 1:
            contents, styles = (F.interpolate(each, scale_factor=factor, mode="bicubic") for each in (contents, styles))
            contents, styles = contents.clamp(0, 1), styles.clamp(0, 1)
        side = contents.shape[-1]
        noisy = contents + torch.cat([input_noise(side, side, seed) for seed in seeds.tolist()]).to(contents.device)
        image = self._advanced(network, noisy, styles, stage.reductions[:-1])
        images = image, noisy, contents, styles
        last = stage.reductions[-1]
        if last == 1 and stage.enlarged > 1:
            return tuple(_pieces(each, self.config.crop, seeds) for each in images)  # type: ignore[return-value]
        return tuple(reduced(each, last) for each in images)  # type: ignore[return-value]

    def _advanced(self, network: LearnedSteps, noisy: Image, styles: Image, reductions: Sequence[int]) -> Image:
        """Return the output of `micro` after some steps, for content images with noise."""
        image: Image = self._micro(noisy, self._micro.encode(styles)).clamp(0, 1)
        for reduction in reductions:
            learned = network.at(reduction)
            image = advance(learned, image, noisy, learned.targets(reduced(styles, reduction)), reduction)
        return image

    def sheet(self, network: nn.Module) -> Image:
        """Return a sample content image with the sample styles."""
        assert isinstance(network, LearnedSteps)
        noise = input_noise(*NOISE_SIZE, 0)
        return self.sample_sheet(
            lambda content, style: self._advanced(network, add_input_noise(content, noise), style, REDUCTIONS)
        )

    def export(self, network: nn.Module, folder: Path, metadata: dict[str, str]) -> Path:
        """Write `unrolled.safetensors`; its kernels derive from those of VGG-19."""
        about = {"license": "CC BY 4.0", "backbone": self.config.backbone}
        return save_weights(network, folder / "unrolled.safetensors", {**about, **metadata})


def _pieces(images: Image, side: int, seeds: Tensor) -> Image:
    """Return one random piece `(3, side, side)` of every image; the same for images of the same size and seeds."""
    pieces = []
    for image, seed in zip(images, seeds.tolist(), strict=True):
        generator = torch.Generator().manual_seed(int(seed) ^ 2)
        top, left = (8 * torch.randint((image.shape[-1] - side) // 8 + 1, (2,), generator=generator)).tolist()
        pieces.append(image[:, top : top + side, left : left + side])
    return torch.stack(pieces)

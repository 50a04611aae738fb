"""Define the contract of a recipe and what the recipes of feed-forward networks share.

To add a recipe, write a file in this folder with a configuration and a class under `@RECIPES.add("name")`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Gt, Le, Lt
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from impasto.backbones import Backbone, load_backbone
from impasto.config import SETTINGS, Device, File, Precision
from impasto.devices import pick_device, pick_dtype
from impasto.images import load_image, resize
from impasto.images.contact_sheet import contact_sheet
from impasto.networks.weights_io import load_weights
from impasto.registry import Registry
from impasto.samples import resolve
from impasto.training.datasets import Batch, Dataset
from impasto.training.perceptual import PerceptualLoss
from impasto.types import Image

SHEET = 256
"""Side of the images in a contact sheet, in pixels."""
SHEET_CONTENT = "inkwash"
SHEET_STYLES = ("brushstrokes", "mosaic", "pointillism", "woodcut")


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class TrainingConfig:
    """Settings of every recipe."""

    steps: Annotated[int, Ge(1), Le(10_000_000)] = 2000
    """Optimizer steps of the whole training."""
    batch: Annotated[int, Ge(1), Le(65536)] = 8
    """Samples per step, over all processes together."""
    crop: Annotated[int, Ge(8), Le(4096)] = 144
    """Side of the training crops in pixels."""
    lr: Annotated[float, Gt(0), Le(10)] = 4e-4
    """Maximum learning rate of AdamW."""
    warmup: Annotated[int, Ge(0)] = 50
    """Steps of linear increase of the learning rate; then it decreases to 0 along a cosine."""
    weight_decay: Annotated[float, Ge(0), Le(10)] = 0.0
    """Decoupled weight decay of AdamW."""
    ema: Annotated[float, Ge(0), Lt(1)] = 0.99
    """Decay of the moving average of the weights, which is exported; 0 exports the last weights."""
    clip: Annotated[float, Ge(0)] = 1.0
    """Maximum norm of the gradient over all weights; 0 disables clipping."""
    seed: Annotated[int, Ge(0), Le(2**63 - 1)] = 0
    """Seed of the random numbers: the same seed on the same machine gives the same weights."""
    device: Device = "auto"
    """Device of the computation: auto, cpu, cuda, cuda:1, mps or xpu; may change when a training resumes."""
    precision: Precision = "auto"
    """Precision of the convolutions; auto selects bf16 where the processor supports it, else fp32."""


class Recipe(ABC):
    """What is trained. An instance has one checked configuration and no state of a training."""

    summary: ClassVar[str]
    """One line for the command line and the documentation."""
    Config: ClassVar[type[TrainingConfig]]
    """Class of its settings, a subclass of `TrainingConfig`."""
    autocast: ClassVar[bool] = False
    """Whether `loss` runs under `torch.autocast` where `precision` selects bf16; otherwise it handles bf16 itself."""

    def __init__(self, config: Any) -> None:
        self.config = config

    @abstractmethod
    def prepare(self, data: Dataset) -> nn.Module:
        """Return the network before the first step, on the CPU, with fp32 parameters.

        Called once for a new training, with the global generator seeded, and not when a training resumes, so `loss`
        must not depend on it. Of several processes only the first calls it; the others receive its weights.

        Args:
            data: the training data.
        """

    @abstractmethod
    def network(self) -> nn.Module:
        """Return a network of the same shape with any weights, on the CPU; a checkpoint is loaded into it."""

    @abstractmethod
    def loss(self, network: nn.Module, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return named loss terms, each a 0-d tensor; their sum is minimized.

        Every term must be a mean over the samples of the batch, and every random number must come from
        `batch["seed"]`, so that the result does not depend on the number of processes. This excludes normalization
        over the batch.

        Args:
            network: the network, on the device of the settings.
            batch: samples, on the same device.
            step: index of the step, from 0.
        """

    def sheet(self, network: nn.Module) -> Image | None:
        """Return a contact sheet `(1, 3, H, W)` of current outputs, or None.

        Args:
            network: the averaged weights, in evaluation mode, on the device; gradients are disabled.
        """
        return None

    @abstractmethod
    def export(self, network: nn.Module, folder: Path, metadata: dict[str, str]) -> Path:
        """Write the weights, completely or not at all.

        Args:
            network: the averaged weights, on the CPU.
            folder: where to write.
            metadata: description of the training, for the metadata of the file.

        Returns:
            The path of the file.
        """


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class FeedForwardTrainingConfig(TrainingConfig):
    """Settings of every recipe of a feed-forward network."""

    batch: Annotated[int, Ge(1), Le(65536)] = 4
    """Samples per step over all processes: photographs, for any-style networks each with a painting."""
    lr: Annotated[float, Gt(0), Le(10)] = 1e-3
    """Maximum learning rate of AdamW."""
    warmup: Annotated[int, Ge(0)] = 200
    """Steps of linear increase of the learning rate; then it decreases to 0 along a cosine."""
    ema: Annotated[float, Ge(0), Lt(1)] = 0.998
    """Decay of the moving average of the weights, which is exported; 0 exports the last weights."""
    initial_weights: File | None = None
    """Weights file of an earlier training to start from. Default: random weights."""
    backbone: str = "lite"
    """Loss network; `impasto backbones` lists the choices."""
    content_weight: Annotated[float, Ge(0)] = 0.04
    """Weight of the content loss, relative to a style share of 1."""
    layers_weight: Annotated[float, Ge(0)] = 1.0
    """Weight of the style share averaged over the layers with equal weights."""
    moments_weight: Annotated[float, Ge(0)] = 1.0
    """Weight of the distance of channel means and standard deviations, averaged over the layers."""


class FeedForwardRecipe(Recipe):
    """A feed-forward network trained with the loss of `gatys` on its output (`impasto.training.perceptual`)."""

    config: FeedForwardTrainingConfig
    autocast = True
    stride: ClassVar[int]
    """Height and width of the inputs must be multiples of it."""
    kinds: ClassVar[tuple[str, ...]] = ("painting", "photo")
    """Kinds of training data that it needs, sorted."""
    data_needed: ClassVar[str] = "photographs and paintings; give both --photos and --paintings"
    """The same in words, for the error message."""

    def __init__(self, config: FeedForwardTrainingConfig) -> None:
        """Check that the crop is a multiple of the stride.

        Raises:
            ValueError: if it is not.
        """
        super().__init__(config)
        if config.crop % self.stride:
            raise ValueError(f"crop: give a multiple of {self.stride}, not {config.crop}")

    @cached_property
    def loss_network(self) -> Backbone:
        """Return the loss network, on the device of the settings."""
        device = pick_device(self.config.device)
        return load_backbone(self.config.backbone, device=device, dtype=pick_dtype(self.config.precision, device))

    @cached_property
    def perceptual_loss(self) -> PerceptualLoss:
        """Return the loss with the weights of the settings."""
        config = self.config
        return PerceptualLoss(self.loss_network, config.content_weight, config.layers_weight, config.moments_weight)

    def prepare(self, data: Dataset) -> nn.Module:
        """Return a new network, or one with the initial weights of the settings.

        Raises:
            ValueError: for missing or needless training data, or wrong weights.
        """
        if tuple(sorted(data.files)) != self.kinds:
            raise ValueError(f"{type(self).__module__.split('.')[-1]} is trained on {self.data_needed}")
        network = self.network()
        if self.config.initial_weights is not None:
            load_weights(network, Path(self.config.initial_weights))
        return network

    def sample_sheet(self, stylize: Callable[[Image, Image], Image], *, identity: bool = False) -> Image:
        """Return a contact sheet of a sample content image with each sample style.

        Args:
            stylize: returns the output for a content image and a style image.
            identity: whether to add the output with the content image as its own style image.
        """
        device = pick_device(self.config.device)
        content, *styles = (
            resize(load_image(resolve(name)), (SHEET, SHEET)).to(device) for name in (SHEET_CONTENT, *SHEET_STYLES)
        )
        cells = [content, stylize(content, content)] if identity else [content]
        for style in styles:
            cells += [style, stylize(content, style)]
        return contact_sheet([[cell.clamp(0, 1).cpu() for cell in cells]], cell=SHEET)


RECIPES: Registry[Recipe] = Registry("recipe", "impasto.training.recipes", group="impasto.recipes")

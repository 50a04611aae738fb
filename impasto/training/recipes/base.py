"""Recipes: what is trained here, on which loss, and what file comes out; `impasto.training` is the loop of all.

To add one, write a file here with a configuration and a class under `@RECIPES.add("name")`.
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
from impasto.config import SETTINGS, Precision
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
"""Side of the pictures in a contact sheet, in pixels."""
SHEET_PHOTO = "inkwash"
SHEET_STYLES = ("brushstrokes", "mosaic", "pointillism", "woodcut")


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class TrainingConfig:
    """What every recipe lets one choose."""

    steps: Annotated[int, Ge(1), Le(10_000_000)] = 2000
    """Optimizer steps of the whole run."""
    batch: Annotated[int, Ge(1), Le(65536)] = 8
    """Samples a step, over all processes together."""
    crop: Annotated[int, Ge(8), Le(4096)] = 144
    """Side of the training crops in pixels."""
    lr: Annotated[float, Gt(0), Le(10)] = 4e-4
    """Highest learning rate of AdamW."""
    warmup: Annotated[int, Ge(0)] = 50
    """Steps in which the learning rate rises to its highest; then it falls to 0 along a cosine."""
    weight_decay: Annotated[float, Ge(0), Le(10)] = 0.0
    """Decoupled weight decay of AdamW."""
    ema: Annotated[float, Ge(0), Lt(1)] = 0.99
    """Decay of the averaged weights, which are what is exported; 0 takes the last weights."""
    clip: Annotated[float, Ge(0)] = 1.0
    """Longest gradient, as a norm over all weights; 0 does not shorten it."""
    seed: Annotated[int, Ge(0), Le(2**63 - 1)] = 0
    """Seed of everything random: the same seed on the same machine gives the same weights."""
    device: str = "auto"
    """Where to compute: auto, cpu, cuda, cuda:1, mps; a run may go on elsewhere."""
    precision: Precision = "auto"
    """Arithmetic of the convolutions; auto is bf16 where the processor has it, else fp32."""


class Recipe(ABC):
    """Something that learns. An instance holds one checked configuration; it keeps nothing of a run."""

    summary: ClassVar[str]
    Config: ClassVar[type[TrainingConfig]]
    """Its settings: a subclass of `TrainingConfig`."""
    autocast: ClassVar[bool] = False
    """Whether `loss` runs under `torch.autocast` where `precision` comes out as bf16; else it sees to that itself."""

    def __init__(self, config: Any) -> None:
        self.config = config

    @abstractmethod
    def prepare(self, data: Dataset) -> nn.Module:
        """The network before the first step, on the CPU, with fp32 parameters.

        Called once for a new run, with the global generator seeded, and not when a run is resumed: `loss` must not
        lean on what happens here. Of several processes only the first is asked; the others get its weights.
        """

    @abstractmethod
    def network(self) -> nn.Module:
        """A network of the same shape, on the CPU, of any weights: a checkpoint is loaded into it."""

    @abstractmethod
    def loss(self, network: nn.Module, batch: Batch, step: int) -> dict[str, Tensor]:
        """Named terms, each a 0-d tensor; their sum is minimized. `network` and `batch` lie on the device.

        Every term must be a mean over the samples of the batch, and everything random must come from
        `batch["seed"]`: then it is the same on any number of processes. So no normalization over a batch.
        `step` counts from 0.
        """

    def sheet(self, network: nn.Module) -> Image | None:
        """A contact sheet `(1, 3, H, W)` that shows where the training stands; None: there is none.

        `network` has the averaged weights, is in evaluation mode and lies on the device; no gradients are kept.
        """
        return None

    @abstractmethod
    def export(self, network: nn.Module, folder: Path, facts: dict[str, str]) -> Path:
        """Writes what the package ships, whole or not at all, into `folder`; returns the path.

        `network` has the averaged weights, on the CPU; `facts` belong into the file's metadata.
        """


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class FeedForwardTrainingConfig(TrainingConfig):
    """What every recipe of a network that paints in one pass lets one choose besides."""

    batch: Annotated[int, Ge(1), Le(65536)] = 4
    """Samples a step, over all processes together: a photograph each, and a painting where the style is not fixed."""
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


class FeedForwardRecipe(Recipe):
    """A network that paints in one pass, on the loss of `gatys` at its output (`impasto.training.perceptual`)."""

    config: FeedForwardTrainingConfig
    autocast = True
    stride: ClassVar[int]
    """Sides of what it paints are multiples of it."""
    kinds: ClassVar[tuple[str, ...]] = ("painting", "photo")
    """What it learns from, in the order of the alphabet."""
    feed: ClassVar[str] = "photographs and paintings: give both, --photos and --paintings"
    """The same in words, after "NAME learns from"."""

    def __init__(self, config: FeedForwardTrainingConfig) -> None:
        super().__init__(config)
        if config.crop % self.stride:
            raise ValueError(f"crop: give a multiple of {self.stride}, not {config.crop}")

    @cached_property
    def eye(self) -> Backbone:
        """The network that judges."""
        device = pick_device(self.config.device)
        return load_backbone(self.config.backbone, device=device, dtype=pick_dtype(self.config.precision, device))

    @cached_property
    def judge(self) -> PerceptualLoss:
        """The loss."""
        config = self.config
        return PerceptualLoss(self.eye, config.content_weight, config.layers_weight, config.moments_weight)

    def prepare(self, data: Dataset) -> nn.Module:
        if tuple(sorted(data.files)) != self.kinds:
            raise ValueError(f"{type(self).__module__.split('.')[-1]} learns from {self.feed}")
        network = self.network()
        if self.config.begin is not None:
            load_weights(network, Path(self.config.begin))
        return network

    def row(self, paint: Callable[[Image, Image], Image], *, itself: bool = False) -> Image:
        """A contact sheet: a sample picture, if wanted in its own manner, and samples of styles with it after them."""
        device = pick_device(self.config.device)
        photo, *styles = (
            resize(load_image(resolve(name)), (SHEET, SHEET)).to(device) for name in (SHEET_PHOTO, *SHEET_STYLES)
        )
        cells = [photo, paint(photo, photo)] if itself else [photo]
        for style in styles:
            cells += [style, paint(photo, style)]
        return contact_sheet([[cell.clamp(0, 1).cpu() for cell in cells]], cell=SHEET)


RECIPES: Registry[Recipe] = Registry("recipe", "impasto.training.recipes", group="impasto.recipes")

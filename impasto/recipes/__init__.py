"""Recipes: what is trained here, on which loss, and what file comes out; `impasto.training` is the loop of all.

To add one, write a file here with a configuration and a class under `@RECIPES.add("name")`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Gt, Le, Lt
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from impasto.config import SETTINGS, Precision
from impasto.datasets import Batch, Dataset
from impasto.registry import Registry
from impasto.types import Image

__all__ = ["RECIPES", "Batch", "Dataset", "Recipe", "TrainingConfig"]


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class TrainingConfig:
    """What every recipe lets one choose."""

    steps: Annotated[int, Ge(1), Le(10_000_000)] = 2000
    """Optimiser steps of the whole run."""
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
        """Named terms, each a 0-d tensor; their sum is minimised. `network` and `batch` lie on the device.

        Every term must be a mean over the samples of the batch, and everything random must come from
        `batch["seed"]`: then it is the same on any number of processes. So no normalisation over a batch.
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


RECIPES: Registry[Recipe] = Registry("recipe", "impasto.recipes")

"""Stylize with any style image in one pass of a very small network."""

from __future__ import annotations

from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import ClassVar

from pydantic.dataclasses import dataclass

from impasto.config import SETTINGS
from impasto.devices import pick_device
from impasto.methods.base import METHODS
from impasto.methods.feed_forward import FeedForward, FeedForwardConfig, Passes, stylize_cascade
from impasto.networks.micro import NOISE_SIZE, Micro, add_input_noise, input_noise
from impasto.networks.weights_io import load_weights
from impasto.regions.subject import Subject
from impasto.types import Image


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class MicroConfig(FeedForwardConfig):
    """Settings of `micro`."""


@METHODS.add("micro")
class MicroMethod(FeedForward):
    """One pass of a network with its own style encoder and fewer than 500,000 parameters.

    Reference: after MicroAST (Wang et al., AAAI 2023); `impasto.networks.micro` lists the differences.
    """

    summary = "One pass of a very small network for any style image and any size (after Wang et al. 2023)"
    bundled: ClassVar[Path] = Path(str(files("impasto"))) / "assets" / "weights" / "micro.safetensors"
    Config = MicroConfig
    config: MicroConfig

    def stylize(self, subject: Subject, passes: Passes) -> Image:
        """Return the stylized image; the input noise follows the setting `seed`."""
        noise = input_noise(*NOISE_SIZE, self.config.seed)

        def add_noise(piece: Image, top: int, left: int) -> Image:
            return add_input_noise(piece, noise, top, left)

        return stylize_cascade(self.config, [self.network], subject, passes, add_noise)

    @cached_property
    def network(self) -> Micro:
        """Return the network with its weights, on the device of the settings."""
        network = Micro()
        load_weights(network, Path(self.config.weights or self.bundled))
        return network.to(pick_device(self.config.device)).eval()

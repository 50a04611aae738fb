"""Stylize with any style image in one pass of a very small network."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import ClassVar

from pydantic.dataclasses import dataclass

from impasto.config import SETTINGS, Colors
from impasto.devices import pick_device
from impasto.methods.base import METHODS
from impasto.methods.feed_forward import FeedForward, FeedForwardConfig, Passes, stylize_cascade
from impasto.networks.adapted_styles import AdaptedStyle, StyleImage, adapted_styles, check_adapted
from impasto.networks.micro import Micro
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
    adapted_colors: ClassVar[tuple[Colors, ...]] = ("style", "luminance", "histogram")
    """Values of the setting `color` for weights of `impasto adapt`, which have the colors of their style image."""

    @classmethod
    def own_styles(cls, config: MicroConfig) -> Sequence[StyleImage]:
        """Return the style images in weights of `impasto adapt`."""
        return [style.source() for style in adapted_styles(cls.weights(config) or cls.bundled)]

    def stylize(self, subject: Subject, passes: Passes) -> Image:
        """Return the stylized image; the input noise follows the setting `seed`.

        Raises:
            ValueError: if the weights were adapted to other styles, or for the color setting `moments` with such ones.
        """
        self._check_styles(subject)
        is_adapted = bool(self._styles)
        return stylize_cascade(self.config, [self.network], subject, passes, fade_noise=False, blend=is_adapted)

    def _check_styles(self, subject: Subject) -> None:
        """Check that the weights are for the style images of a subject."""
        styles, color = self._styles, self.config.color
        if styles and color not in self.adapted_colors:
            raise ValueError(
                "color: an adapted network has the colors of its style image; choose style, luminance or histogram, "
                "not 'moments'"
            )
        for region in subject.regions:
            for style in region.styles:
                check_adapted(style.image, styles, gray=color == "luminance")

    @cached_property
    def _styles(self) -> tuple[AdaptedStyle, ...]:
        return adapted_styles(self.weights(self.config) or self.bundled)

    @cached_property
    def network(self) -> Micro:
        """Return the network with its weights, on the device of the settings."""
        network = Micro()
        load_weights(network, Path(self.config.weights or self.bundled))
        return network.to(pick_device(self.config.device)).eval()

"""Stylize with any style image in one pass of a very small network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from pydantic.dataclasses import dataclass

from impasto.config import SETTINGS, Colors, File
from impasto.devices import pick_device
from impasto.methods.base import METHODS
from impasto.methods.feed_forward import FeedForward, FeedForwardConfig, Passes, stylize_cascade
from impasto.networks.adapted_styles import AdaptedStyle, StyleImage, adapted_styles, check_adapted
from impasto.networks.micro import MICRO_FILE, Micro
from impasto.networks.sample_networks import BASE, sample_network_of, sample_networks
from impasto.networks.weights_io import load_weights, read_metadata
from impasto.regions.subject import Subject
from impasto.types import Image

ANY_STYLE = "micro"
"""Value of the setting `weights` for the bundled network for any style."""


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class MicroConfig(FeedForwardConfig):
    """Settings of `micro`."""

    weights: File | None = None
    """Weights file of `impasto adapt` or `impasto train`; `micro` for the bundled network for any style, or the name of
    a sample style for its network. Default: the network of the sample style, where it has one, else `micro`."""


@METHODS.add("micro")
class MicroMethod(FeedForward):
    """One pass of a network with its own style encoder and fewer than 500,000 parameters.

    Reference: after MicroAST (Wang et al., AAAI 2023); `impasto.networks.micro` lists the differences.
    """

    summary = "One pass of a very small network for any style image and any size (after Wang et al. 2023)"
    bundled: ClassVar[Path] = MICRO_FILE
    Config = MicroConfig
    config: MicroConfig
    adapted_colors: ClassVar[tuple[Colors, ...]] = ("style", "luminance", "histogram")
    """Values of the setting `color` for weights of `impasto adapt`, which have the colors of their style image."""

    @classmethod
    def weights(cls, config: FeedForwardConfig) -> Path:
        """Return the weights file that the settings name, or the bundled one."""
        name = config.weights
        if name is None or (name == ANY_STYLE and not Path(name).is_file()):
            return cls.bundled
        return Path(name) if Path(name).is_file() else sample_networks().get(name, Path(name))

    @classmethod
    def note(cls, config: MicroConfig) -> str | None:
        """Return the name of the sample style whose network is used."""
        used = cls.weights(config)
        for name, file in sample_networks().items():
            if file == used:
                return f"uses the network of the sample style {name}; weights={ANY_STYLE} is the one for any style"
        return None

    @classmethod
    def own_styles(cls, config: MicroConfig) -> Sequence[StyleImage]:
        """Return the style images in weights of `impasto adapt`."""
        return [style.source() for style in adapted_styles(cls.weights(config))]

    @classmethod
    def with_styles(cls, config: MicroConfig, styles: Sequence[str]) -> MicroConfig:
        """Return the settings with the name of the network: of the sample style, if it is the only style and has one.

        Both names are recorded, so that a network that a sample gets later does not change a replay.
        """
        is_plain = len(styles) == 1 and not config.style_mask and config.color in cls.adapted_colors
        if config.weights is not None:
            return config
        return replace(config, weights=(sample_network_of(styles[0]) if is_plain else None) or ANY_STYLE)

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
        return adapted_styles(self.weights(self.config))

    @cached_property
    def network(self) -> Micro:
        """Return the network with its weights, on the device of the settings."""
        network = Micro()
        file = self.weights(self.config)
        load_weights(network, file, base=self.bundled if BASE in read_metadata(file) else None)
        return network.to(pick_device(self.config.device)).eval()

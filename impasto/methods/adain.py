"""Stylize by adaptive instance normalization of the features, in one pass."""

from __future__ import annotations

from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import ClassVar

from pydantic.dataclasses import dataclass

from impasto.backbones import load_chain
from impasto.config import SETTINGS
from impasto.devices import pick_device, pick_dtype
from impasto.methods.base import METHODS
from impasto.methods.feed_forward import FeedForward, FeedForwardConfig, Passes, stylize_cascade
from impasto.networks.adain import LAYER, AdaIN
from impasto.networks.decoder import Decoder
from impasto.networks.weights_io import backbone_of, load_weights
from impasto.regions.subject import Subject
from impasto.types import Image


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class AdaINConfig(FeedForwardConfig):
    """Settings of `adain`."""


@METHODS.add("adain")
class AdaINMethod(FeedForward):
    """Give the content features the channel means and standard deviations of the style, then decode them.

    Reference: Huang & Belongie, ICCV 2017; `impasto.networks.adain` lists the differences.
    """

    summary = "One pass: match the means and standard deviations of the features (Huang & Belongie 2017)"
    bundled: ClassVar[Path] = Path(str(files("impasto"))) / "assets" / "weights" / "adain.safetensors"
    Config = AdaINConfig
    config: AdaINConfig

    def stylize(self, subject: Subject, passes: Passes) -> Image:
        """Return the stylized image."""
        return stylize_cascade(self.config, [self.network], subject, passes)

    @cached_property
    def network(self) -> AdaIN:
        """Return the network with its weights, on the device of the settings."""
        config, device = self.config, pick_device(self.config.device)
        file = Path(config.weights or self.bundled)
        encoder = load_chain(backbone_of(file), device=device, dtype=pick_dtype(config.precision, device))
        decoder = Decoder(LAYER, encoder.widths)
        load_weights(decoder, file)
        return AdaIN(encoder.encoder(LAYER), decoder.to(device).eval())

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import ClassVar

from pydantic.dataclasses import dataclass

from impasto.backbones import load_chain
from impasto.config import SETTINGS
from impasto.devices import pick_device, pick_dtype
from impasto.methods.base import METHODS, Method
from impasto.methods.feed_forward import FeedForwardConfig, one_pass
from impasto.networks.adain import LAYER, AdaIN
from impasto.networks.decoder import Decoder
from impasto.networks.weights_io import backbone_of, load_weights
from impasto.regions.subject import Subject
from impasto.types import Step


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class AdaINConfig(FeedForwardConfig):
    """Settings of `adain`."""


@METHODS.add("adain")
class AdaINMethod(Method):
    """The photograph's features get the channel means and deviations of the style's, and are decoded (`AdaIN`)."""

    summary = "One pass: give the features the means and deviations of the style's (Huang & Belongie 2017)"
    bundled: ClassVar[Path] = Path(str(files("impasto"))) / "assets" / "weights" / "adain.safetensors"
    Config = AdaINConfig
    config: AdaINConfig

    def run(self, subject: Subject) -> Iterator[Step]:
        yield from one_pass(self.config, [self.network], subject)

    @cached_property
    def network(self) -> AdaIN:
        """The network, with its weights, on its device."""
        config, device = self.config, pick_device(self.config.device)
        file = Path(config.weights or self.bundled)
        encoder = load_chain(backbone_of(file), device=device, dtype=pick_dtype(config.precision, device))
        decoder = Decoder(LAYER, encoder.widths)
        load_weights(decoder, file)
        return AdaIN(encoder.encoder(LAYER), decoder.to(device).eval())

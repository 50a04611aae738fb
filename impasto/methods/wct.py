from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any, ClassVar

from pydantic.dataclasses import dataclass
from torch import nn

from impasto.backbones import load_chain
from impasto.config import SETTINGS
from impasto.devices import pick_device, pick_dtype
from impasto.methods.base import METHODS, Method
from impasto.methods.feed_forward import FeedForwardConfig, one_pass
from impasto.networks.decoder import Decoder
from impasto.networks.wct import LAYERS, WCT, Transform
from impasto.networks.weights_io import backbone_of, load_weights
from impasto.regions.subject import Subject
from impasto.types import Step


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class WCTConfig(FeedForwardConfig):
    """Settings of `wct`."""

    transform: Transform = "optimal"
    """How features get the style's covariance: moved as little as can be, or whitened and colored as in the paper."""
    layers: tuple[str, ...] = LAYERS[1:]
    """The layers whose features are given the style's, one after the other."""


@METHODS.add("wct")
class WCTMethod(Method):
    """The photograph's features get the style's mean and covariance, layer after layer, each decoded (`WCT`)."""

    summary = "A pass a layer: give the features the style's mean and covariance (Li et al. 2017, Lu et al. 2019)"
    bundled: ClassVar[Path] = Path(str(files("impasto"))) / "assets" / "weights" / "wct.safetensors"
    Config = WCTConfig
    config: WCTConfig
    paper: ClassVar[dict[str, Any]] = {"transform": "whitening", "layers": LAYERS}

    def __init__(self, config: WCTConfig) -> None:
        super().__init__(config)
        wrong = [layer for layer in config.layers if layer not in LAYERS]
        if wrong or not config.layers:
            raise ValueError(f"layers: choose some of {', '.join(LAYERS)}, not {', '.join(wrong) or 'none'}")

    def run(self, subject: Subject) -> Iterator[Step]:
        yield from one_pass(self.config, self._networks, subject)

    @cached_property
    def _networks(self) -> list[WCT]:
        config, device = self.config, pick_device(self.config.device)
        file = Path(config.weights or self.bundled)
        encoder = load_chain(backbone_of(file), device=device, dtype=pick_dtype(config.precision, device))
        decoders = {layer: Decoder(layer, encoder.widths).to(device).eval() for layer in LAYERS}
        load_weights(nn.ModuleDict(decoders), file)
        return [WCT(each, encoder.encoder(each), decoders[each], config.transform) for each in config.layers]

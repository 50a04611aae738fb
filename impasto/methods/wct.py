"""Stylize by matching the covariance of the features, layer by layer, with one decoder per layer."""

from __future__ import annotations

from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Le
from pydantic.dataclasses import dataclass
from torch import nn

from impasto.backbones import load_chain
from impasto.config import SETTINGS
from impasto.devices import pick_device, pick_dtype
from impasto.methods.base import METHODS
from impasto.methods.feed_forward import FeedForward, FeedForwardConfig, Passes, stylize_cascade
from impasto.networks.decoder import Decoder
from impasto.networks.wct import LAYERS, LOSSY_LAYERS, WCT, Transform
from impasto.networks.weights_io import backbone_of, load_weights
from impasto.regions.subject import Subject
from impasto.types import Image


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class WCTConfig(FeedForwardConfig):
    """Settings of `wct`."""

    transform: Transform = "optimal"
    """Transform to the style covariance: optimal (moves features least) or whitening (as in the paper)."""
    layers: tuple[str, ...] = LAYERS[1:]
    """Layers whose features are matched, from coarse to fine. Default: relu4_1 to relu1_1."""
    details: Annotated[float, Ge(0), Le(1)] = 1.0
    """Fraction of the details lost by the decoders of relu3_1 and deeper that is added again; 0 as published."""


@METHODS.add("wct")
class WCTMethod(FeedForward):
    """Give the content features of each layer in turn the mean and covariance of the style, then decode them.

    The decoders of the deeper layers blur an image: relu4_1 loses more than a third of its variance. What they lose of
    the content image is added to their output, so that windows and eyes stay sharp.

    Reference: Li et al., NIPS 2017 (whitening and coloring); Lu et al., ICCV 2019 (optimal transport).
    """

    summary = "One pass per layer: match the mean and covariance of the features (Li et al. 2017, Lu et al. 2019)"
    bundled: ClassVar[Path] = Path(str(files("impasto"))) / "assets" / "weights" / "wct.safetensors"
    Config = WCTConfig
    config: WCTConfig
    paper: ClassVar[dict[str, Any]] = {"transform": "whitening", "layers": LAYERS, "details": 0.0}

    def __init__(self, config: WCTConfig) -> None:
        """Check the layers.

        Raises:
            ValueError: if a layer has no decoder, or the list is empty.
        """
        super().__init__(config)
        wrong = [layer for layer in config.layers if layer not in LAYERS]
        if wrong or not config.layers:
            raise ValueError(f"layers: choose from {', '.join(LAYERS)}, not {', '.join(wrong) or 'none'}")

    def stylize(self, subject: Subject, passes: Passes) -> Image:
        """Return the stylized image."""
        return stylize_cascade(self.config, self.networks, subject, passes)

    @cached_property
    def networks(self) -> list[WCT]:
        """Return one network per layer with its weights, on the device of the settings."""
        config, device = self.config, pick_device(self.config.device)
        file = Path(config.weights or self.bundled)
        encoder = load_chain(backbone_of(file), device=device, dtype=pick_dtype(config.precision, device))
        decoders = {layer: Decoder(layer, encoder.widths).to(device).eval() for layer in LAYERS}
        load_weights(nn.ModuleDict(decoders), file)
        details = dict.fromkeys(LOSSY_LAYERS, config.details)
        return [
            WCT(each, encoder.encoder(each), decoders[each], config.transform, details.get(each, 0.0))
            for each in config.layers
        ]

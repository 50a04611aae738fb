"""Stylize in one pass of a network that was trained for one style image."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import ClassVar

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from impasto.config import SETTINGS
from impasto.devices import pick_device
from impasto.images import resize
from impasto.methods.base import METHODS
from impasto.methods.feed_forward import (
    FeedForward,
    FeedForwardConfig,
    Passes,
    StylizeRegion,
    blend_regions,
    style_fraction,
)
from impasto.networks.johnson import Johnson
from impasto.networks.johnson_styles import find_style_models, load_johnson, select_style_model
from impasto.regions.subject import Region, Subject
from impasto.types import Image


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class JohnsonConfig(FeedForwardConfig):
    """Settings of `johnson`."""


@METHODS.add("johnson")
class JohnsonMethod(FeedForward):
    """One pass of the network that was trained for the given style image.

    Such a network has no style code to mix. Several styles are mixed by blending the outputs of their networks. A
    strength below 50 blends the output with the content image, a strength above 50 with a second pass over the
    output. The size of the strokes depends on the size of the input only, so `style_scale` resizes the content image
    before the network and the output after it.

    Reference: Johnson et al., ECCV 2016; `impasto.networks.johnson` lists the differences.
    """

    summary = "One pass of a network trained for one style image, bundled or your own (Johnson et al. 2016)"
    any_style = False
    folder: ClassVar[Path] = Path(str(files("impasto"))) / "assets" / "weights"
    Config = JohnsonConfig
    config: JohnsonConfig

    def stylize(self, subject: Subject, passes: Passes) -> Image:
        """Return the stylized image.

        Raises:
            ValueError: if a style image has no network, or for the color setting `moments`.
        """
        config, device = self.config, pick_device(self.config.device)
        if config.color == "moments":
            raise ValueError(
                "color: johnson has fixed colors, learned from the style image; choose style, luminance or histogram, "
                "not 'moments'"
            )
        models = find_style_models(None if config.weights is None else Path(config.weights), self.folder)
        gray = config.color == "luminance"
        chosen = [
            [select_style_model(style.image, models, gray=gray) for style in region.styles]
            for region in subject.regions
        ]
        unique = dict.fromkeys(model for region in chosen for model in region)
        networks = {model: load_johnson(model).to(device).eval() for model in unique}
        stylize: list[StylizeRegion] = [
            partial(self._stylize_region, passes, [networks[model] for model in region]) for region in chosen
        ]
        return blend_regions(config, subject, stylize)

    def _stylize_region(self, passes: Passes, networks: Sequence[Johnson], content: Image, region: Region) -> Image:
        """Stylize the whole content image with the blended styles of one region."""
        shape = (content.shape[-2], content.shape[-1])
        style_scale = self.config.style_scale * region.style_scale
        height, width = (max(1, round(side / style_scale)) for side in shape)
        fraction = style_fraction(self.config.strength) * region.strength
        resized = resize(content, (height, width))
        support = None if region.support is None else resize(region.support, (height, width))
        total: Image | None = None
        for network, style in zip(networks, region.styles, strict=True):
            output = resize(self._interpolate(passes, network, resized, support, fraction), shape)
            if style.weight != 1:
                output.mul_(style.weight)
            total = output if total is None else torch.add(total, output, out=total)
        assert total is not None
        return total

    def _interpolate(
        self, passes: Passes, network: Johnson, content: Image, support: Tensor | None, fraction: float
    ) -> Image:
        """Blend the content image (0), the output (1) and the output of a second pass (2) at `fraction`."""
        before = after = content
        for remaining in (fraction, fraction - 1):
            if remaining > 0:
                before, after = after, passes.apply(network, after, tuple, support, self.config.tile)
        weight = min(fraction, 2.0) - (1 if fraction > 1 else 0)
        return after if weight == 1 else torch.lerp(before, after, weight, out=None if after is content else after)

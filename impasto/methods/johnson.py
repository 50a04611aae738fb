from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import ClassVar

import torch
from pydantic.dataclasses import dataclass

from impasto.config import SETTINGS
from impasto.devices import pick_device
from impasto.images import resize
from impasto.methods.base import METHODS, Method
from impasto.methods.feed_forward import FeedForwardConfig, Paint, applied, by_region, how_far
from impasto.networks.johnson import Johnson
from impasto.networks.johnson_styles import find_style_models, load_johnson, select_style_model
from impasto.regions.subject import Region, Subject
from impasto.types import Image, Step


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class JohnsonConfig(FeedForwardConfig):
    """Settings of `johnson`."""


@METHODS.add("johnson")
class JohnsonMethod(Method):
    """One pass of a network that knows one style (Johnson et al., ECCV 2016): the picture given says which.

    There is nothing to mix in such a network, so the paintings after several styles are blended. A strength below 50
    blends with the photograph, one above 50 with what the network makes of its own painting; strokes grow with the
    picture that is painted, and so `style_scale` paints a smaller or larger one.
    """

    summary = "One pass of a network trained for one style, one of the bundled or yours (Johnson et al. 2016)"
    any_style = False
    folder: ClassVar[Path] = Path(str(files("impasto"))) / "assets" / "weights"
    Config = JohnsonConfig
    config: JohnsonConfig

    def run(self, subject: Subject) -> Iterator[Step]:
        config, device = self.config, pick_device(self.config.device)
        if config.color == "moments":
            raise ValueError(
                "color: johnson has learned its colors; choose style, luminance or histogram, not 'moments'"
            )
        models = find_style_models(None if config.weights is None else Path(config.weights), self.folder)
        gray = config.color == "luminance"
        wanted = [
            [select_style_model(style.image, models, gray=gray) for style in region.styles]
            for region in subject.regions
        ]
        once = dict.fromkeys(model for region in wanted for model in region)
        networks = {model: load_johnson(model).to(device).eval() for model in once}
        paints: list[Paint] = [partial(self._painted, [networks[model] for model in region]) for region in wanted]
        yield from by_region(config, subject, paints)

    def _painted(self, networks: Sequence[Johnson], content: Image, region: Region) -> Image:
        """The whole photograph in the manner of one region."""
        shape = (content.shape[-2], content.shape[-1])
        style_scale = self.config.style_scale * region.style_scale
        height, width = (max(1, round(side / style_scale)) for side in shape)
        far = how_far(self.config.strength) * region.strength
        small = resize(content, (height, width))
        mask = None if region.mask is None else resize(region.mask, (height, width))
        paintings = [
            style.weight * resize(self._gone(network, small, replace(region, mask=mask), far), shape)
            for network, style in zip(networks, region.styles, strict=True)
        ]
        return torch.stack(paintings).sum(0)

    def _gone(self, network: Johnson, content: Image, region: Region, far: float) -> Image:
        """From the photograph (0) to the painting (1), and on to the painting painted again (2)."""
        before = after = content
        for left in (far, far - 1):
            if left > 0:
                before, after = after, applied(network, after, (), region.mask, self.config.tile)
        return torch.lerp(before, after, min(far, 2.0) - (1 if far > 1 else 0))

"""What is painted, and after what: a photograph, and for each of its regions the styles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from impasto.images import fit, resize
from impasto.types import Image


@dataclass(frozen=True)
class Style:
    """A picture, or a part of one, that gives the manner."""

    image: Image
    """`(1, 3, H, W)`; each style has its own size."""
    weight: float = 1.0
    """Its part in the mixture; those of a region sum to 1."""
    mask: Tensor | None = None
    """What of it counts, `(1, 1, H, W)` in [0, 1]; None means all."""


@dataclass(frozen=True)
class Region:
    """A part of the photograph, and what it is painted after."""

    styles: tuple[Style, ...]
    name: str = ""
    """What its terms are called by; empty where the whole picture is one region."""
    mask: Tensor | None = None
    """Where it lies, `(1, 1, H, W)` in [0, 1], of the content's proportions; None means everywhere."""
    strength: float = 1.0
    """Factor on the pull of its styles."""
    style_scale: float = 1.0
    """Size of its styles relative to the picture, on top of that of all."""

    @property
    def area(self) -> float:
        """Its part of the picture, 0 to 1."""
        return 1.0 if self.mask is None else self.mask.mean().item()


@dataclass(frozen=True)
class Subject:
    """A photograph `(1, 3, H, W)` and its regions, one of them if it is painted in one manner."""

    content: Image
    regions: tuple[Region, ...]
    start: Image | None = None
    """The first picture of an optimization, where another method painted it."""

    def shortest_side(self, style_scale: float = 1.0) -> float:
        """The shortest side of all pictures at one size, as a share of the content's longer side."""
        styles = [(style.image, style_scale * region.style_scale) for region in self.regions for style in region.styles]
        pictures = [(self.content, 1.0), *styles]
        return min(factor * min(image.shape[-2:]) / max(image.shape[-2:]) for image, factor in pictures)

    def resized(
        self, shape: tuple[int, int], *, style_scale: float = 1.0, device: torch.device | str = "cpu"
    ) -> Subject:
        """The content at a height and width, every style at its longer side times `style_scale`; each resized once."""

        def scaled(style: Style, factor: float) -> Style:
            image = resize_style(style.image, round(max(shape) * factor))
            mask = None if style.mask is None else resize(style.mask, (image.shape[-2], image.shape[-1])).to(device)
            return replace(style, image=image.to(device), mask=mask)

        regions = tuple(
            replace(
                region,
                styles=tuple(scaled(style, style_scale * region.style_scale) for style in region.styles),
                mask=None if region.mask is None else resize(region.mask, shape).to(device),
            )
            for region in self.regions
        )
        return Subject(resize(self.content, shape).to(device), regions, self.start)


def single_region(content: Image, styles: Sequence[Image], mix: Sequence[float] | None = None) -> Subject:
    """The whole photograph after all styles, mixed by `mix`, which sums to 1 (equal shares unless given)."""
    shares = mix or [1 / len(styles)] * len(styles)
    region = Region(tuple(Style(image, share) for image, share in zip(styles, shares, strict=True)))
    return Subject(content, (region,))


def resize_style(style: Image, longer_side: int) -> Image:
    """A style at a longer side in pixels, enlarged too: that sets how large its strokes come out."""
    return resize(style, fit((style.shape[-2], style.shape[-1]), max(longer_side, 1)))

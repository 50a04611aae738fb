"""Define what a method stylizes: a content image, its regions, and the styles of each region."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from impasto.images import fit, on_device, resize
from impasto.types import Image

MAX_AREA = 4
"""Largest number of pixels of a style image, relative to the content image, at a style scale of 1: a panorama of
20000 x 600 pixels would otherwise need a style image of 20000 x 12500."""


@dataclass(frozen=True, eq=False)
class Style:
    """A style image, or a part of one."""

    image: Image
    """Style image `(1, 3, H, W)`; each style has its own size."""
    weight: float = 1.0
    """Weight in the mixture; the weights of a region sum to 1."""
    mask: Tensor | None = None
    """Part of the image that is used, `(1, 1, H, W)` in [0, 1]; None: all of it."""


@dataclass(frozen=True, eq=False)
class Region:
    """A region of the content image and its styles."""

    styles: tuple[Style, ...]
    """Styles of the region; their weights sum to 1."""
    name: str = ""
    """Prefix of the names of its loss terms; empty if the whole image is one region."""
    mask: Tensor | None = None
    """Mask `(1, 1, H, W)` in [0, 1] with the aspect ratio of the content image; None: the whole image."""
    visible: Tensor | None = None
    """Opacity of the content image, with the size of the mask if there is one; None: opaque."""
    strength: float = 1.0
    """Factor on the style weight in this region."""
    style_scale: float = 1.0
    """Size of its style images relative to the content image, multiplied by the global style scale."""

    @property
    def support(self) -> Tensor | None:
        """Weights of the pixels in the statistics of the region: its mask, without transparent pixels; None: equal."""
        if self.mask is None or self.visible is None:
            return self.visible if self.mask is None else self.mask
        return self.mask * self.visible

    @property
    def area(self) -> float:
        """Fraction of the image that the visible part of the region covers, 0 to 1."""
        support = self.support
        return 1.0 if support is None else support.mean().item()


@dataclass(frozen=True, eq=False)
class Anchor:
    """An image that the output of an optimization stays close to, such as the warped output of the frame before."""

    image: Image
    """`(1, 3, H, W)`, with the aspect ratio of the content image."""
    mask: Tensor
    """Where it counts, `(1, 1, H, W)` in [0, 1]."""
    weight: float
    """Factor on the mean over all positions of the masked squared difference."""


@dataclass(frozen=True, eq=False)
class Subject:
    """A content image and its regions; a single region covers the whole image."""

    content: Image
    """Content image `(1, 3, H, W)`."""
    regions: tuple[Region, ...]
    """Regions of the content image."""
    start: Image | None = None
    """First image of the optimization if another method computes it; None: the setting `start` decides."""
    details: Image | None = None
    """Image whose details the start of each finer size has; None: the first image."""
    anchors: tuple[Anchor, ...] = ()
    """Images that the output of an optimization stays close to."""

    def mapped(self, transform: Callable[[Tensor], Tensor]) -> Subject:
        """Return the subject with every image and mask transformed."""
        regions = tuple(
            replace(
                region,
                styles=tuple(
                    replace(style, image=transform(style.image), mask=_mapped(style.mask, transform))
                    for style in region.styles
                ),
                mask=_mapped(region.mask, transform),
                visible=_mapped(region.visible, transform),
            )
            for region in self.regions
        )
        return Subject(
            transform(self.content), regions, _mapped(self.start, transform), _mapped(self.details, transform)
        )

    def shortest_side(self, style_scale: float = 1.0) -> float:
        """Return the shortest side of all images at one size, as a fraction of the content's longer side.

        Args:
            style_scale: size of all style images relative to the content image.
        """
        styles = [
            (style.image, style_scale * region.style_scale * _relative_side(style.image, self.content))
            for region in self.regions
            for style in region.styles
        ]
        images = [(self.content, 1.0), *styles]
        return min(factor * min(image.shape[-2:]) / max(image.shape[-2:]) for image, factor in images)

    def detailed_size(self, style_scale: float = 1.0) -> float:
        """Return the longer side of an output in pixels above which all images are enlarged.

        Args:
            style_scale: size of all style images relative to the content image.
        """
        sizes = [float(max(self.content.shape[-2:]))]
        for region in self.regions:
            for style in region.styles:
                scale = style_scale * region.style_scale * _relative_side(style.image, self.content)
                sizes.append(max(style.image.shape[-2:]) / scale)
        return max(sizes)

    def resized(
        self, shape: tuple[int, int], *, style_scale: float = 1.0, device: torch.device | str = "cpu"
    ) -> Subject:
        """Return the subject at another size; every image is resized once.

        Args:
            shape: height and width of the content image in pixels.
            style_scale: longer side of every style image relative to that of the content image; less beside a content
                image that is longer than 4:1, so that no style image has more than four times its pixels.
            device: device of the result.
        """
        side = max(shape)
        regions = tuple(
            replace(
                region,
                styles=tuple(
                    _scaled(
                        style,
                        side * (style_scale * region.style_scale) * _relative_side(style.image, self.content),
                        device,
                    )
                    for style in region.styles
                ),
                mask=None if region.mask is None else on_device(resize(region.mask, shape), device),
                visible=None if region.visible is None else on_device(resize(region.visible, shape), device),
            )
            for region in self.regions
        )
        return replace(self, content=on_device(resize(self.content, shape), device), regions=regions)


def _relative_side(style: Image, content: Image) -> float:
    """Return the longer side of a style image relative to that of the content image, at a style scale of 1."""
    of_style, of_content = (min(image.shape[-2:]) / max(image.shape[-2:]) for image in (style, content))
    return min(1.0, math.sqrt(MAX_AREA * of_content / of_style))


def single_region(content: Image, styles: Sequence[Image], mix: Sequence[float] | None = None) -> Subject:
    """Return a subject whose only region is the whole image.

    Args:
        content: content image `(1, 3, H, W)`.
        styles: style images `(1, 3, h, w)`.
        mix: weights of the styles, which sum to 1. Default: equal weights.
    """
    weights = mix or [1 / len(styles)] * len(styles)
    return Subject(content, (Region(tuple(map(Style, styles, weights))),))


def resize_style(style: Image, longer_side: int) -> Image:
    """Return a style image with a given longer side in pixels, enlarged if it is smaller.

    Its size determines the size of the brush strokes in the output.
    """
    return resize(style, fit((style.shape[-2], style.shape[-1]), max(longer_side, 1)))


def _mapped(tensor: Tensor | None, transform: Callable[[Tensor], Tensor]) -> Tensor | None:
    return None if tensor is None else transform(tensor)


def _scaled(style: Style, longer_side: float, device: torch.device | str) -> Style:
    image = resize_style(style.image, round(longer_side))
    mask = None if style.mask is None else resize(style.mask, (image.shape[-2], image.shape[-1]))
    return replace(style, image=on_device(image, device), mask=None if mask is None else on_device(mask, device))

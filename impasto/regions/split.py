"""Divide the content image into regions with masks and assign styles to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from torch import Tensor

from impasto.config import MethodConfig
from impasto.images import Picture, blur, luminance, resize
from impasto.regions.label_map import LabelMap, hex_color, read_label_map
from impasto.regions.subject import Region, Style, Subject
from impasto.types import Image

PROPORTIONS = 0.01
"""Largest relative difference between the aspect ratios of a mask and its image."""


def check_masks(config: MethodConfig, styles: int) -> None:
    """Check the settings of the masks before any file is read.

    Args:
        config: settings of the method.
        styles: number of style images.

    Raises:
        ValueError: if settings contradict each other or the number of style images.
    """
    if not config.mask:
        settings = {
            "style_mask": config.style_mask,
            "outside": config.outside == "keep",
            "region_strength": config.region_strength,
            "region_style_scale": config.region_style_scale,
        }
        for name, value in settings.items():
            if value:
                raise ValueError(f"{name}: there are no regions; give mask too")
        return
    if config.style_mask and len(config.mask) > 1:
        raise ValueError(f"style_mask: it needs one label map as mask, but mask has {len(config.mask)} files")
    if config.style_mask and len(config.style_mask) != styles:
        files = len(config.style_mask)
        raise ValueError(f"style_mask: {files} file(s), but {styles} style image(s); give one for each")
    if config.style_mix and not config.style_mask:
        raise ValueError("style_mix: each region has its own style; weight the regions with region_strength")
    if len(config.mask) > 1 and len(config.mask) != styles:
        raise ValueError(f"mask: {len(config.mask)} files, but {styles} style image(s); give one for each")


def split_regions(
    config: MethodConfig,
    content: Image,
    styles: Sequence[Style],
    masks: Sequence[Picture],
    style_masks: Sequence[Picture],
    shape: tuple[int, int],
    visible: Tensor | None = None,
    colors: np.ndarray | None = None,
) -> Subject:
    """Return the content image divided into regions, each with its styles; those that are invisible are left out.

    Args:
        config: settings of the method.
        content: content image `(1, 3, H, W)`.
        styles: style images with their weights and opacities.
        masks: one label map, or one grayscale mask for each style.
        style_masks: one label map for each style, or none.
        shape: height and width in pixels of the masks of the regions.
        visible: opacity of the content image, `(1, 1, H, W)` in [0, 1]; None: opaque.
        colors: as for `region_areas`.

    Raises:
        ValueError: if the masks do not match the images; the message starts with the name of the setting.
    """
    for mask in masks:
        _check_proportions("mask", mask, content, "the content")
    if len(masks) > 1:
        areas, sources = _gray_masks(masks, shape, may_be_empty=colors is not None), _one_each(styles)
    else:
        labels = _read("mask", masks[0], config, colors)
        areas, sources = _label_areas(labels, shape, config.feather), _styles_of(labels, styles, style_masks)
    visible = None if visible is None else resize(visible, shape)
    strengths = _per_region("region_strength", config.region_strength, len(areas))
    scales = _per_region("region_style_scale", config.region_style_scale, len(areas))
    regions = [
        Region(own, f"region{k + 1}", areas[k], visible, strength=strengths[k], style_scale=scales[k])
        for k, own in enumerate(sources)
    ]
    return Subject(content, _visible(regions))


def region_areas(
    config: MethodConfig, masks: Sequence[Picture], shape: tuple[int, int], colors: np.ndarray | None = None
) -> list[Tensor]:
    """Return the mask of each region, `(1, 1, H, W)` in [0, 1].

    Args:
        config: settings of the method.
        masks: one label map, or one grayscale mask for each style.
        shape: height and width in pixels.
        colors: colors of the label map, `(K, 3)` in 8-bit levels, for a frame of a clip, whose regions may be empty;
            empty for grayscale masks of such a frame; None: regions of a single image, which are not empty.

    Raises:
        ValueError: if a mask has no region; the message starts with the name of the setting.
    """
    if len(masks) > 1:
        return _gray_masks(masks, shape, may_be_empty=colors is not None)
    return _label_areas(_read("mask", masks[0], config, colors), shape, config.feather)


def _label_areas(labels: LabelMap, shape: tuple[int, int], feather: float) -> list[Tensor]:
    return [_feather(resize(labels.mask(k), shape), feather) for k in range(len(labels.colors))]


def _gray_masks(masks: Sequence[Picture], shape: tuple[int, int], *, may_be_empty: bool) -> list[Tensor]:
    """Return the luminance of each mask: 1 is inside the region; black and transparent pixels are outside."""
    areas = []
    for mask in masks:
        gray = luminance(mask.image) * (1 if mask.alpha is None else mask.alpha)
        area = resize(gray, shape)
        if area.max() < 0.5 and not may_be_empty:
            raise ValueError(
                f"mask: {mask.name!r} is empty: no pixel is lighter than middle gray; make the region white"
            )
        areas.append(area)
    return areas


def _visible(regions: Sequence[Region]) -> tuple[Region, ...]:
    """Return the regions without those in a transparent part of the content image."""
    found = tuple(each for each in regions if each.visible is None or each.area > 0)
    if not found:
        raise ValueError("mask: every region is in a transparent part of the content; move a region to a visible part")
    return found


def _styles_of(labels: LabelMap, styles: Sequence[Style], style_masks: Sequence[Picture]) -> list[tuple[Style, ...]]:
    """Return the styles of each region of a label map."""
    return _by_color(labels, styles, style_masks) if style_masks else _by_order(labels, styles)


def _by_order(labels: LabelMap, styles: Sequence[Style]) -> list[tuple[Style, ...]]:
    """Assign the k-th style to the k-th region, from dark to light."""
    regions = len(labels.colors)
    if regions != len(styles):
        raise ValueError(
            f"mask: {regions} region(s) ({labels.names()}), but {len(styles)} style image(s); "
            "give one for each, or style_mask"
        )
    if regions == 1 and (labels.index >= 0).all():
        raise ValueError("mask: its single color does not divide the image; add a color or make the rest transparent")
    return _one_each(styles)


def _one_each(styles: Sequence[Style]) -> list[tuple[Style, ...]]:
    return [(replace(style, weight=1.0),) for style in styles]


def _by_color(labels: LabelMap, styles: Sequence[Style], style_masks: Sequence[Picture]) -> list[tuple[Style, ...]]:
    """Assign to each region the areas of the same color in all style images."""
    maps = []
    for style, mask in zip(styles, style_masks, strict=True):
        _check_proportions("style_mask", mask, style.image, "its style")
        maps.append(_read("style_mask", mask, config=None))
    sources = []
    for color in labels.colors:
        found = [
            replace(style, mask=area)
            for style, own in zip(styles, maps, strict=True)
            if style.weight > 0 and (area := _area_of(own, color, style)) is not None
        ]
        if not found:
            available = "; ".join(own.names() for own in maps)
            raise ValueError(
                f"style_mask: it does not contain the color {hex_color(color)} of mask; it contains {available}"
            )
        total = sum(style.weight for style in found)
        sources.append(tuple(replace(style, weight=style.weight / total) for style in found))
    return sources


def _area_of(labels: LabelMap, color: np.ndarray, style: Style) -> Tensor | None:
    """Return the visible part of a style image under a color of its label map, or None if there is none."""
    label = labels.find(color)
    if label is None:
        return None
    area = resize(labels.mask(label), (style.image.shape[-2], style.image.shape[-1]))
    if style.mask is None:
        return area
    visible = area * style.mask
    return visible if visible.max() >= 0.5 else None


def _read(name: str, mask: Picture, config: MethodConfig | None, colors: np.ndarray | None = None) -> LabelMap:
    """Read a label map, without black where settings keep the content there; errors start with the setting's name."""
    try:
        labels = read_label_map(mask, colors)
        return labels.without_black() if config is not None and config.outside == "keep" else labels
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _check_proportions(name: str, mask: Picture, image: Image, owner: str) -> None:
    """Check that a mask has the aspect ratio of its image, up to rounding; their sizes may differ."""
    (height, width), (own_height, own_width) = image.shape[-2:], mask.image.shape[-2:]
    # The mask's sides that the aspect ratio of the image requires, given its other side.
    right_height, right_width = own_width * height / width, own_height * width / height
    wrong_height = abs(right_height - own_height) > max(1, PROPORTIONS * right_height)
    wrong_width = abs(right_width - own_width) > max(1, PROPORTIONS * right_width)
    if wrong_height and wrong_width:
        raise ValueError(
            f"{name}: {mask.name!r} is {own_width}x{own_height} pixels and {owner} {width}x{height}; "
            "give a mask of the same proportions"
        )


def _per_region(name: str, values: Sequence[float], regions: int) -> Sequence[float]:
    if values and len(values) != regions:
        raise ValueError(f"{name}: {len(values)} number(s), but {regions} region(s); give one for each")
    return values or [1.0] * regions


def _feather(mask: Tensor, feather: float) -> Tensor:
    """Blur the border of a mask with a Gaussian, 95 % of which spans `feather` of the longer side."""
    return blur(mask, feather * max(mask.shape[-2:]) / 4).clamp(0, 1)

"""From masks to regions: which part of the photograph is painted after which style."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from impasto.color.transfer import luminance
from impasto.config import MethodConfig
from impasto.images import Picture, blur, resize
from impasto.regions.label_map import LabelMap, hex_color, read_label_map
from impasto.regions.subject import Region, Style, Subject
from impasto.types import Image

PROPORTIONS = 0.01
"""By how much the proportions of a mask may differ from its picture's."""


def check_masks(config: MethodConfig, styles: int) -> None:
    """What is wrong with the settings about masks, before a file is read.

    Raises `ValueError`, in one line, naming the setting.
    """
    if not config.mask:
        for name in ("style_mask", "region_strength", "region_style_scale"):
            if getattr(config, name):
                raise ValueError(f"{name}: there are no regions; give mask too")
        return
    if config.style_mask and len(config.mask) > 1:
        raise ValueError(f"style_mask: its colors are those of one label map, but mask has {len(config.mask)} files")
    if config.style_mask and len(config.style_mask) != styles:
        raise ValueError(
            f"style_mask: {len(config.style_mask)} files, but {styles} style picture(s); give one for each"
        )
    if config.style_mix and not config.style_mask:
        raise ValueError("style_mix: each region has a style of its own; say how strong it is with region_strength")
    if len(config.mask) > 1 and len(config.mask) != styles:
        raise ValueError(f"mask: {len(config.mask)} files, but {styles} style picture(s); give one for each")


def split_regions(
    config: MethodConfig,
    content: Image,
    styles: Sequence[Image],
    mix: Sequence[float],
    masks: Sequence[Picture],
    style_masks: Sequence[Picture],
    shape: tuple[int, int],
) -> Subject:
    """The photograph `(1, 3, H, W)` in regions, each with what it is painted after.

    Args:
        mix: weights of the styles.
        masks: one label map, or a soft mask for each style.
        style_masks: a label map for each style, or none.
        shape: height and width in pixels that the masks of the regions come in.

    Raises:
        ValueError: in one line, naming the setting, for masks that do not fit.
    """
    for mask in masks:
        _check_proportions("mask", mask, content, "the content")
    sources: list[tuple[Style, ...]]
    if len(masks) > 1:
        areas, sources = _soft(masks, shape), [(Style(style),) for style in styles]
    else:
        labels = _labels("mask", masks[0])
        areas = [_feathered(resize(labels.mask(k), shape), config.feather) for k in range(len(labels.colors))]
        sources = _pairs(labels, styles, mix, style_masks) if style_masks else _in_order(labels, styles)
    strengths = _per_region("region_strength", config.region_strength, len(areas))
    strokes = _per_region("region_style_scale", config.region_style_scale, len(areas))
    regions = [
        Region(own, name=f"region{k + 1}", mask=areas[k], strength=strengths[k], style_scale=strokes[k])
        for k, own in enumerate(sources)
    ]
    return Subject(content, tuple(regions))


def _soft(masks: Sequence[Picture], shape: tuple[int, int]) -> list[Tensor]:
    """How much of each place a region has, by the grays of its mask: white all, black or transparent nothing."""
    areas = []
    for mask in masks:
        gray = luminance(mask.image) * (1 if mask.alpha is None else mask.alpha)
        area = resize(gray, shape)
        if area.max() < 0.5:
            raise ValueError(f"mask: {mask.name!r} is empty: nothing in it is lighter than middle gray")
        areas.append(area)
    return areas


def _in_order(labels: LabelMap, styles: Sequence[Image]) -> list[tuple[Style, ...]]:
    """The k-th region, from dark to light, after the k-th style."""
    regions = len(labels.colors)
    if regions != len(styles):
        raise ValueError(
            f"mask: {regions} region(s) ({labels.names()}), but {len(styles)} style picture(s); "
            "give one for each, or style_mask"
        )
    if regions == 1 and (labels.index >= 0).all():
        raise ValueError("mask: it has one color and so divides nothing; give a second color, or make the rest clear")
    return [(Style(style),) for style in styles]


def _pairs(
    labels: LabelMap, styles: Sequence[Image], mix: Sequence[float], style_masks: Sequence[Picture]
) -> list[tuple[Style, ...]]:
    """Each region after the places of its own color, of all styles that have any."""
    maps = []
    for style, mask in zip(styles, style_masks, strict=True):
        _check_proportions("style_mask", mask, style, "its style")
        maps.append(_labels("style_mask", mask))
    sources = []
    for color in labels.colors:
        found = [
            Style(style, share, resize(own.mask(label), (style.shape[-2], style.shape[-1])))
            for style, share, own in zip(styles, mix, maps, strict=True)
            if (label := own.find(color)) is not None and share > 0
        ]
        if not found:
            there = "; ".join(own.names() for own in maps)
            raise ValueError(f"style_mask: no place has the color {hex_color(color)} of mask; there are {there}")
        total = sum(style.weight for style in found)
        sources.append(tuple(Style(style.image, style.weight / total, style.mask) for style in found))
    return sources


def _labels(name: str, mask: Picture) -> LabelMap:
    try:
        return read_label_map(mask)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _check_proportions(name: str, mask: Picture, image: Image, whose: str) -> None:
    """A mask may be of another size than its picture, if it is of the same proportions, but for the rounding."""
    (height, width), (own_height, own_width) = image.shape[-2:], mask.image.shape[-2:]
    high, wide = own_width * height / width, own_height * width / height  # what it would be, were one side right
    if abs(high - own_height) > max(1, PROPORTIONS * high) and abs(wide - own_width) > max(1, PROPORTIONS * wide):
        raise ValueError(
            f"{name}: {mask.name!r} is {own_width}x{own_height} pixels and {whose} {width}x{height}; "
            "give a mask of the same proportions"
        )


def _per_region(name: str, values: Sequence[float], regions: int) -> Sequence[float]:
    if values and len(values) != regions:
        raise ValueError(f"{name}: {len(values)} number(s), but {regions} region(s); give one for each")
    return values or [1.0] * regions


def _feathered(mask: Tensor, feather: float) -> Tensor:
    """A mask whose border is soft: a Gaussian, 95 % of which spans `feather` of the longer side."""
    return blur(mask, feather * max(mask.shape[-2:]) / 4).clamp(0, 1)

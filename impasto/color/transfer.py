"""Apply the setting `color`: keep the colors of the style or of the content.

The pipeline transforms the images before the method runs and its output afterwards; methods do not read the setting.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache

import torch
from torch import Tensor

from impasto.color.oklab import into_gamut, to_oklab
from impasto.config import Colors
from impasto.features.matrix_power import symmetric_power
from impasto.features.sorting import sorted_values, sorting_indices
from impasto.images import luminance, resize
from impasto.types import Image, Step

NOISE = (1 / 255) ** 2
"""Variance of one 8-bit level. Smaller variances are rounding errors and are not amplified into color."""
ROTATIONS = 12
"""Rotations in which the color distributions are matched: 5 leave wrong colors, 20 give the same result as 12."""


def prepare_colors(
    choice: Colors,
    content: Image,
    styles: Sequence[Image],
    visible: Tensor | None = None,
    style_alphas: Sequence[Tensor | None] | None = None,
) -> tuple[Image, list[Image]]:
    """Return the content image and the style images that the method receives.

    Args:
        choice: value of the setting `color`.
        content: content image `(1, 3, H, W)`.
        styles: style images `(1, 3, h, w)`, of any size.
        visible: opacity of the content image, `(1, 1, H, W)`: only its visible colors count; None: opaque.
        style_alphas: the same of each style image.
    """
    if choice not in ("luminance", "moments"):
        return content, list(styles)
    match = match_luminance if choice == "luminance" else match_moments
    target = _visible_colors(content, visible)
    alphas = style_alphas or [None] * len(styles)
    matched = [match(style, target, _visible_colors(style, alpha)) for style, alpha in zip(styles, alphas, strict=True)]
    return (_gray(content) if choice == "luminance" else content), matched


def restore_colors(choice: Colors, stylized: Image, content: Image, visible: Tensor | None = None) -> Image:
    """Return the output image with the colors that the setting selects.

    Args:
        choice: value of the setting `color`.
        stylized: image `(1, 3, H, W)` from the method.
        content: content image of any size.
        visible: opacity of the content image, of any size: only its visible colors count; None: opaque.
    """
    if choice == "luminance":
        return take_chroma(stylized, resize(content, _shape(stylized)))
    if choice == "histogram":
        content = resize(content, _shape(stylized))
        if visible is None:
            return match_histogram(stylized, content)
        inside = (resize(visible, _shape(stylized)) > 0)[0, 0]
        restored = stylized.clone()
        restored[..., inside] = match_histogram(stylized[..., None, inside], content[..., None, inside])[..., 0, :]
        return restored
    return stylized


def recolor_steps(
    choice: Colors, steps: Iterator[Step], content: Image, visible: Tensor | None = None
) -> Iterator[Step]:
    """Return the steps of a run with images as `restore_colors` returns them.

    The losses remain those of the method's own image. `losses_of` accepts any image; with `luminance` it ignores the
    colors, because the method was given gray images.

    Args:
        choice: value of the setting `color`.
        steps: steps of the method.
        content: content image of any size.
        visible: opacity of the content image, of any size; None: opaque.
    """
    at_size = cache(lambda size: resize(content, size))

    def recolor(step: Step) -> Step:
        return replace(
            step,
            image=lambda: restore_colors(choice, step.image(), at_size(step.size), visible),
            losses_of=lambda image: step.losses_of(_gray(image) if choice == "luminance" else image),
        )

    return steps if choice == "style" else map(recolor, steps)


def match_luminance(style: Image, content: Image, visible: Image | None = None) -> Image:
    """Return the style in gray, with the mean and standard deviation of the content's luminance.

    Reference: Gatys, Ecker, Bethge, Hertzmann & Shechtman, CVPR 2017.

    Args:
        style: style image `(1, 3, h, w)`.
        content: content image `(1, 3, H, W)`.
        visible: colors of the style that are measured, `(1, 3, 1, N)`. Default: those of all pixels.

    Returns:
        `(1, 3, h, w)`, clamped to [0, 1].
    """
    source, target = luminance(style if visible is None else visible), luminance(content)
    gain = target.std(correction=0) / source.std(correction=0).clamp_min(NOISE**0.5)
    return ((luminance(style) - source.mean()) * gain + target.mean()).clamp(0, 1).expand_as(style).contiguous()


def take_chroma(stylized: Image, content: Image) -> Image:
    """Return the luminance of the stylized image with the chroma (I and Q of YIQ) of the content image.

    Reference: Gatys, Ecker, Bethge, Hertzmann & Shechtman, CVPR 2017. Departs from the paper: where the color is
    outside the RGB cube the chroma is reduced instead of clipping the channels, which preserves luminance and hue.

    Args:
        stylized: `(1, 3, H, W)`.
        content: `(1, 3, H, W)`.

    Returns:
        `(1, 3, H, W)` in [0, 1].
    """
    light = luminance(stylized)
    chroma = content - luminance(content)  # (1, 3, H, W); its luminance is 0, so it contains only I and Q
    headroom = torch.where(chroma > 0, 1 - light, light)
    factor = (headroom / chroma.abs().clamp_min(1e-6)).amin(1, keepdim=True).clamp(0, 1)
    return (light + factor * chroma).clamp(0, 1)


def match_moments(style: Image, content: Image, visible: Image | None = None) -> Image:
    """Return the style with its RGB colors mapped linearly to the mean and covariance of the content's colors.

    x -> Sc^(1/2) Ss^(-1/2) (x - mean s) + mean c, with symmetric square roots (Gatys et al., CVPR 2017). Departs from
    the paper: directions in which the style varies by less than one 8-bit level are not amplified.

    Args:
        style: style image `(1, 3, h, w)`.
        content: content image `(1, 3, H, W)`.
        visible: colors of the style that are measured, `(1, 3, 1, N)`. Default: those of all pixels.

    Returns:
        `(1, 3, h, w)`, clamped to [0, 1].
    """
    measured = style if visible is None else visible
    colors, source, target = (image[0].flatten(1).double() for image in (style, measured, content))  # (3, N)
    whitening = symmetric_power(torch.cov(source, correction=0), -0.5, floor=NOISE)
    change = symmetric_power(torch.cov(target, correction=0), 0.5) @ whitening
    mapped = change @ (colors - source.mean(1, keepdim=True)) + target.mean(1, keepdim=True)
    return mapped.clamp(0, 1).to(style.dtype).view_as(style)


def match_histogram(stylized: Image, content: Image) -> Image:
    """Return the lightness of the stylized image with the histograms of the content's a and b (OKLab).

    The three-dimensional color distributions are matched along randomly rotated axes (Pitie, Kokaram & Dahyot, ICCV
    2005), so that a dark pixel receives a color that is dark in the content image; then the original L is restored.

    Args:
        stylized: `(1, 3, H, W)`.
        content: `(1, 3, H, W)`.

    Returns:
        `(1, 3, H, W)` in [0, 1].
    """
    lab = to_oklab(stylized)
    colors, target = lab[0].flatten(1), to_oklab(content)[0].flatten(1)  # (3, N)
    for axes in _rotations():
        projections, targets = axes @ colors, axes @ target
        colors = axes.mT @ torch.stack([_match_values(*pair) for pair in zip(projections, targets, strict=True)])
    chroma = [_match_values(colors[i], target[i]) for i in (1, 2)]  # makes both histograms exact
    return into_gamut(torch.stack([lab[0, 0].flatten(), *chroma]).view_as(lab))


def _visible_colors(image: Image, alpha: Tensor | None) -> Image:
    """Return the pixels of at least half opacity as a row `(1, 3, 1, N)`, or the image if it is opaque."""
    return image if alpha is None else image[..., None, (alpha >= 0.5)[0, 0]]


def _gray(image: Image) -> Image:
    return luminance(image).expand_as(image).contiguous()


def _rotations() -> list[Tensor]:
    """Return random orthogonal matrices `(3, 3)`, the same ones at every call."""
    generator = torch.Generator().manual_seed(0)
    return [torch.linalg.qr(torch.randn(3, 3, generator=generator))[0] for _ in range(ROTATIONS)]


def _match_values(values: Tensor, target: Tensor) -> Tensor:
    """Map `values` `(N,)` monotonically to the distribution of `target` `(N,)`; equal values stay equal."""
    order = sorting_indices(values)
    _, run, count = torch.unique_consecutive(values[order], return_inverse=True, return_counts=True)
    rank = count.cumsum(0).sub((count + 1) / 2)  # from 0, of the middle of each run of equal values
    ordered = sorted_values(target)
    matched = (ordered[rank.floor().long()] + ordered[rank.ceil().long()]) / 2
    return torch.empty_like(values).scatter_(0, order, matched[run])


def _shape(image: Image) -> tuple[int, int]:
    return image.shape[-2], image.shape[-1]

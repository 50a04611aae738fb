"""Whose colors a painting has: the setting `color`. No method knows of it; the door applies it before and after."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import torch
from torch import Tensor

from impasto.color.oklab import into_gamut, to_oklab
from impasto.config import Colors
from impasto.images import resize
from impasto.types import Image, Step

LUMINANCE = (0.299, 0.587, 0.114)
"""Of sRGB values as encoded: the Y of YIQ."""
NOISE = (1 / 255) ** 2
"""Variance of one level of 8 bits. What varies less is rounding: it is not blown up into color."""
TURNS = 12
"""How often the clouds of colors are turned and matched: after 5 some colors are wrong, and 20 look the same."""


def prepare_colors(choice: Colors, content: Image, styles: Sequence[Image]) -> tuple[Image, list[Image]]:
    """What a method is given in place of the content and the styles, all `(1, 3, H, W)`."""
    if choice == "luminance":
        return _gray(content), [match_luminance(style, content) for style in styles]
    if choice == "moments":
        return content, [match_moments(style, content) for style in styles]
    return content, list(styles)


def restore_colors(choice: Colors, painted: Image, content: Image) -> Image:
    """What becomes of a painted picture `(1, 3, H, W)`; the content may be of another size."""
    if choice == "luminance":
        return take_chroma(painted, resize(content, _shape(painted)))
    if choice == "histogram":
        return match_histogram(painted, resize(content, _shape(painted)))
    return painted


def recolor_steps(choice: Colors, steps: Iterator[Step], content: Image) -> Iterator[Step]:
    """The steps of a painting, with pictures as they come out of `after`.

    Their losses stay those of the picture that the method painted. `losses_of` answers for any picture: of its colors
    under `luminance`, where content and styles had none, it takes no notice.
    """
    at_size = cache(lambda size: resize(content, size))

    def recolor(step: Step) -> Step:
        return replace(
            step,
            image=lambda: restore_colors(choice, step.image(), at_size(step.size)),
            losses_of=lambda picture: step.losses_of(_gray(picture) if choice == "luminance" else picture),
        )

    return steps if choice == "style" else map(recolor, steps)


def luminance(image: Image) -> Tensor:
    """Luminance `(1, 1, H, W)` of a picture, of its values as encoded."""
    return torch.einsum("c,bchw->bhw", image.new_tensor(LUMINANCE), image)[:, None]


def match_luminance(style: Image, content: Image) -> Image:
    """The style in grays, its luminance with the mean and the deviation of the content's, cut to [0, 1].

    Gatys et al., CVPR 2017.
    """
    own, wanted = luminance(style), luminance(content)
    gain = wanted.std(correction=0) / own.std(correction=0).clamp_min(NOISE**0.5)
    return ((own - own.mean()) * gain + wanted.mean()).clamp(0, 1).expand_as(style).contiguous()


def take_chroma(painted: Image, content: Image) -> Image:
    """The luminance of the painting with the chroma (I and Q of YIQ) of the content, of one size.

    Gatys, Ecker, Bethge, Hertzmann & Shechtman, CVPR 2017. Departs from the paper: where RGB has no such
    color, the chroma is shrunk instead of the channels cut, so that luminance and hue stay.
    """
    light = luminance(painted)
    chroma = content - luminance(content)  # (1, 3, H, W); of luminance 0, so it holds I and Q and nothing else
    room = torch.where(chroma > 0, 1 - light, light)
    share = (room / chroma.abs().clamp_min(1e-6)).amin(1, keepdim=True).clamp(0, 1)
    return (light + share * chroma).clamp(0, 1)


def match_moments(style: Image, content: Image) -> Image:
    """The style with its RGB colors moved linearly to the mean and the covariance of the content's, cut to [0, 1].

    x -> Sc^(1/2) Ss^(-1/2) (x - mean s) + mean c, with symmetric square roots (Gatys et al., CVPR 2017).
    Departs from the paper: directions in which the style varies by less than a level of 8 bits are not blown up.
    """
    colors, wanted = (image[0].flatten(1).double() for image in (style, content))  # (3, N)
    change = _power(_covariance(wanted), 0.5) @ _power(_covariance(colors), -0.5)
    moved = change @ (colors - colors.mean(1, keepdim=True)) + wanted.mean(1, keepdim=True)
    return moved.clamp(0, 1).to(style.dtype).view_as(style)


def match_histogram(painted: Image, content: Image) -> Image:
    """The lightness of the painting with the histograms of a and b (of OKLab) of the content, of one size.

    The clouds of colors are matched along turned axes in turn (Pitie, Kokaram & Dahyot, ICCV 2005), all three of L, a
    and b, so that a dark place gets a color that is dark in the content; then the painting's own L is put back.
    """
    lab = to_oklab(painted)
    colors, wanted = lab[0].flatten(1), to_oklab(content)[0].flatten(1)  # (3, N)
    for axes in _turned_axes():
        along, there = axes @ colors, axes @ wanted
        colors = axes.mT @ torch.stack([_match_values(*pair) for pair in zip(along, there, strict=True)])
    chroma = [_match_values(colors[i], wanted[i]) for i in (1, 2)]  # exactly, after all
    return into_gamut(torch.stack([lab[0, 0].flatten(), *chroma]).view_as(lab))


def _gray(image: Image) -> Image:
    return luminance(image).expand_as(image).contiguous()


def _covariance(colors: Tensor) -> Tensor:
    """Covariance `(3, 3)` of `(3, N)`."""
    return torch.cov(colors, correction=0)


def _power(covariance: Tensor, exponent: float) -> Tensor:
    """A symmetric power of a covariance, which may be singular."""
    values, axes = torch.linalg.eigh(covariance)
    floor = NOISE if exponent < 0 else 0
    power: Tensor = axes * values.clamp_min(floor).pow(exponent) @ axes.mT
    return power


def _turned_axes() -> list[Tensor]:
    """Orthogonal axes `(3, 3)`, turned at random but always the same."""
    generator = torch.Generator().manual_seed(0)
    return [torch.linalg.qr(torch.randn(3, 3, generator=generator))[0] for _ in range(TURNS)]


def _match_values(values: Tensor, wanted: Tensor) -> Tensor:
    """`values` put into the distribution of as many `wanted` ones, in the same order; equal values stay equal."""
    order = torch.from_numpy(np.argsort(values.numpy()))  # numpy sorts in a fifth of torch's time
    _, run, count = torch.unique_consecutive(values[order], return_inverse=True, return_counts=True)
    rank = count.cumsum(0).sub((count + 1) / 2)  # of the middle of each run of equal values, from 0
    ordered = torch.from_numpy(np.sort(wanted.numpy()))
    matched = (ordered[rank.floor().long()] + ordered[rank.ceil().long()]) / 2
    return torch.empty_like(values).scatter_(0, order, matched[run])


def _shape(image: Image) -> tuple[int, int]:
    return image.shape[-2], image.shape[-1]

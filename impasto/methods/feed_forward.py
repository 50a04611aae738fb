"""Stylize an image in one pass of a trained network: settings and functions that the feed-forward methods share."""

from __future__ import annotations

import functools
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from pydantic.dataclasses import dataclass
from torch import Tensor

from impasto.config import SETTINGS, File, MethodConfig
from impasto.cost import one_of_each
from impasto.devices import pick_device, pick_dtype
from impasto.images import empty_image, is_large, on_device, release_pages
from impasto.methods.base import Method
from impasto.methods.tiles import (
    Tile,
    TileSettings,
    collect_means,
    masked_measure,
    recording_measure,
    replay_means,
    split_into_tiles,
)
from impasto.networks.input_noise import NOISE_SIZE, add_input_noise, input_noise
from impasto.networks.statistics import Measure
from impasto.optim.schedule import fitted_shape
from impasto.regions.subject import Region, Subject
from impasto.types import Image, Step

DEFAULT_TILE = 1024
"""Side of the tiles in pixels, where the setting `tile` is not given."""

Code = tuple[Tensor, ...]
"""Encoding of a style image by a network. A weighted mean of codes is a code."""


Preprocess = Callable[[Image, int, int], Image]
"""Transforms a piece of the content image, whose top and left are given in pixels, before the network receives it."""


def _unchanged(piece: Image, top: int, left: int) -> Image:
    return piece


def _add_noise(noise: Tensor, piece: Image, top: int, left: int) -> Image:
    return add_input_noise(piece, noise, top, left)


def _add_content(content: Image, noise: Tensor, piece: Image, top: int, left: int) -> Image:
    """Return a piece of an image with the same piece of the content image, with noise, as further channels."""
    height, width = piece.shape[-2:]
    own = content[..., top : top + height, left : left + width]
    own = F.pad(own, (0, width - own.shape[-1], 0, height - own.shape[-2]), mode="replicate")
    return torch.cat([piece, add_input_noise(own, noise, top, left)], 1)


class Pass(NamedTuple):
    """What the output of one pass of a network depends on, apart from the surroundings of each pixel."""

    code: Code
    """Code of the styles."""
    means: tuple[Tensor, ...]
    """Means over the image, in the order in which the network requests them."""


class Passes:
    """The passes of one run, in order: all are recorded, and those of another run are replayed.

    A replayed pass takes its code and its means from the other run, so that the frames of a clip have the same ones.

    Args:
        replayed: the passes of a run with the same settings and masks; None computes all codes and means.
    """

    def __init__(self, replayed: Sequence[Pass] | None = None) -> None:
        self.recorded: list[Pass] = []
        self._replayed = replayed

    def apply(
        self,
        network: Network,
        content: Image,
        encode: Callable[[], Code],
        mask: Tensor | None,
        tile: int | None,
        preprocess: Preprocess = _unchanged,
    ) -> Image:
        """Run a network over a content image; arguments as for `apply_network`, with a function for the code."""
        known = None if self._replayed is None else self._replayed[len(self.recorded)]
        code = encode() if known is None else known.code
        means = None if known is None else known.means
        image, means = apply_network(network, content, code, mask, tile, preprocess, means)
        self.recorded.append(Pass(code, means))
        return image


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class FeedForwardSettings(TileSettings):
    """Feed-forward methods."""

    weights: File | None = None
    """Weights file written by `impasto train`. Default: the file bundled with impasto."""


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class FeedForwardConfig(FeedForwardSettings, MethodConfig):
    """Settings of every feed-forward method."""


class FeedForward(Method):
    """A method of one pass of a network. Its `Config` is a subclass of `FeedForwardConfig`."""

    @classmethod
    def weights(cls, config: FeedForwardConfig) -> Path | None:
        """Return the weights file that the settings name, or the bundled one; None where there is none."""
        return cls.bundled if config.weights is None else Path(config.weights)

    def run(self, subject: Subject) -> Iterator[Step]:
        """Stylize the subject."""
        began = time.perf_counter()
        output = self.stylize(subject, Passes())
        seconds = time.perf_counter() - began
        shape = (output.shape[-2], output.shape[-1])
        image = output.clone if not is_large(shape) else lambda: output  # another copy would fill the disk
        yield Step(1, {}, seconds, size=shape, total=1, image=image, losses_of=lambda _: {})

    @abstractmethod
    def stylize(self, subject: Subject, passes: Passes) -> Image:
        """Return the stylized image `(1, 3, H, W)`, on the CPU.

        Args:
            subject: images and masks at their own sizes, on the CPU.
            passes: record of the passes, which may replay those of another image.
        """


class Network(Protocol):
    """A network that stylizes a content image with the code of a style image."""

    stride: int
    """Height and width of all images must be multiples of it."""
    halo: int
    """Radius of the receptive field in pixels, apart from the means over the whole image."""
    max_untiled_pixels: int
    """Number of pixels of the largest image that is not tiled by default."""

    def encode(self, style: Image, measure: Measure) -> Code:
        """Return the code of a style image `(B, 3, H, W)`."""
        ...

    def __call__(self, content: Image, code: Code, measure: Measure) -> Image:
        """Return the stylized image `(B, 3, H, W)`, not clamped."""
        ...


StylizeRegion = Callable[[Image, Region], Image]
"""Stylizes the whole content image with the styles of one region."""


def stylize_cascade(
    config: FeedForwardConfig,
    networks: Sequence[Network],
    subject: Subject,
    passes: Passes,
    *,
    fade_noise: bool = True,
    blend: bool = False,
    refine: bool = False,
) -> Image:
    """Stylize a subject with a cascade of networks, of which the first receives noise in addition to the content image.

    Args:
        config: the settings.
        networks: each network takes the output of the one before it as its content image.
        subject: content image and regions with their style images, at their own sizes, on the CPU.
        passes: record of the passes.
        fade_noise: reduce the noise in proportion to a strength below 50; not for networks trained to remove it.
        blend: at a strength below 50, mix the output with the content image instead of their codes; for networks that
            do not reproduce an image with its own code.
        refine: later networks have the content image with noise as three more channels, and encode the given images.

    Returns:
        The stylized image `(1, 3, H, W)`, on the CPU.
    """
    noise = input_noise(*NOISE_SIZE, config.seed)

    def stylize(content: Image, region: Region) -> Image:
        fraction, image = style_fraction(config.strength) * region.strength, content
        preprocess: Preprocess = functools.partial(_add_noise, min(1.0, fraction) * noise if fade_noise else noise)
        known: dict[int, Code] = {}
        for network in networks:
            of_code, encoded = max(1.0, fraction) if blend else fraction, content if refine else image
            encode = functools.partial(_encode_region, network, encoded, region, of_code, config.tile)
            encode = functools.partial(_once, known, id(network), encode) if refine else encode
            image = passes.apply(network, image, encode, region.support, config.tile, preprocess)
            preprocess = functools.partial(_add_content, content, noise) if refine else _unchanged
        return torch.lerp(content, image, fraction, out=image) if blend and fraction < 1 else image

    return blend_regions(config, subject, [stylize] * len(subject.regions))


def blend_regions(config: FeedForwardConfig, subject: Subject, stylize: Sequence[StylizeRegion]) -> Image:
    """Stylize a subject with one function per region and blend the outputs by the masks of the regions.

    Args:
        config: the settings.
        subject: content image and regions with their style images, at their own sizes, on the CPU.
        stylize: one function per region.

    Returns:
        The stylized image `(1, 3, H, W)`, on the CPU.
    """
    device = pick_device(config.device)
    shape = fitted_shape(subject.content, config.size)
    subject = subject.resized(shape, style_scale=config.style_scale, device=device)
    parts: list[Image] = []
    autocast = pick_dtype(config.precision, device) is torch.bfloat16
    with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=autocast):
        for stylize_region, region in zip(stylize, subject.regions, strict=True):
            stylized = stylize_region(subject.content, region)
            parts.append(stylized if region.mask is None else stylized * region.mask)
        image = functools.reduce(torch.add, parts)
        covers = [region.mask for region in subject.regions if region.mask is not None]
        if covers:
            image = _keep_uncovered(image, subject.content, functools.reduce(torch.add, covers))
    return on_device(image, "cpu")


def _keep_uncovered(image: Image, content: Image, cover: Tensor) -> Image:
    """Return the sum of the regions with the content image where none is, and their mean where they overlap.

    Args:
        image: sum of the outputs of the regions, each multiplied by its mask.
        content: content image.
        cover: sum of the masks.
    """
    if (cover - 1).abs().max() < 1e-3:
        return image
    return (image + content * (1 - cover).clamp_min(0)) / cover.clamp_min(1)


def style_fraction(strength: float | None) -> float:
    """Return the weight of the style code against the code of the content image.

    Args:
        strength: the setting, 0 to 100, or None.

    Returns:
        0 (content image) at strength 0, 1 (the style as trained) at 50 or None, 1.5 (extrapolated) at 100.
    """
    return 1.0 if strength is None else min(strength / 50, 0.5 + strength / 100)


def apply_network(
    network: Network,
    content: Image,
    code: Code,
    mask: Tensor | None,
    tile: int | None,
    preprocess: Preprocess = _unchanged,
    means: Sequence[Tensor] | None = None,
) -> tuple[Image, tuple[Tensor, ...]]:
    """Run a network over a content image, in tiles if the image is large.

    Args:
        network: the network.
        content: content image `(B, 3, H, W)` of any size.
        code: code of the style.
        mask: weights of the pixels in the means over the image, `(1, 1, H, W)`; None: equal weights.
        tile: side of the tiles in pixels, 0 for no tiles, None for a choice by the size of the image.
        preprocess: what is done to the input of the network.
        means: means over the image that the network uses; None: those of this image.

    Returns:
        The stylized image `(B, 3, H, W)` in [0, 1], which tiles change by rounding errors only, and the means.
    """
    (height, width), parts = content.shape[-2:], _tiles(network, content, tile)
    if parts is None:
        content, mask = _pad_to_stride(content, network.stride), _pad_mask(mask, network.stride)
        measure, used = recording_measure(masked_measure(mask) if means is None else replay_means(means))
        return network(preprocess(content, 0, 0), code, measure)[..., :height, :width].clamp_(0, 1), tuple(used)

    def run(part: Tile, measure: Measure) -> Image:
        return network(preprocess(part.crop(content), part.top, part.left), code, measure)

    known = collect_means(run, parts, mask) if means is None else list(means)
    stylized = empty_image(content.shape, content.device)
    for part in one_of_each(parts, Tile.shapes):
        top, left, bottom, right = part.core
        core = part.crop_core(run(part, replay_means(known)))[..., : height - top, : width - left]
        stylized[..., top:bottom, left:right] = core.clamp_(0, 1)
        release_pages()
    return stylized, tuple(known)


def _once(known: dict[int, Code], key: int, encode: Callable[[], Code]) -> Code:
    """Return the known code of a network that occurs repeatedly, or compute it."""
    if key not in known:
        known[key] = encode()
    return known[key]


def _encode_region(network: Network, content: Image, region: Region, fraction: float, tile: int | None) -> Code:
    """Return the mixed code of the styles of a region, and of the content image by the fraction of the style."""
    codes = [_encode(network, style.image, style.mask, tile) for style in region.styles]
    code = _mix_codes(codes, [style.weight for style in region.styles])
    if fraction != 1:
        content_code = _encode(network, content, region.support, tile)
        code = _mix_codes([content_code, code], [1 - fraction, fraction])
    return code


def _encode(network: Network, image: Image, mask: Tensor | None, tile: int | None) -> Code:
    """Return the code of the part of an image that the mask shows."""
    parts = _tiles(network, image, tile)
    if parts is None:
        image, mask = _pad_to_stride(image, network.stride), _pad_mask(mask, network.stride)
        return network.encode(image, masked_measure(mask))
    means = collect_means(lambda part, measure: network.encode(part.crop(image), measure), parts, mask)
    return network.encode(parts[0].crop(image), replay_means(means))


def _mix_codes(codes: Sequence[Code], weights: Sequence[float]) -> Code:
    return tuple(
        torch.stack([weight * part for weight, part in zip(weights, parts, strict=True)]).sum(0)
        for parts in zip(*codes, strict=True)
    )


def _tiles(network: Network, image: Image, side: int | None) -> list[Tile] | None:
    """Return the tiles of an image, whose sides are multiples of the stride, or None if it fits in one pass."""
    height, width = (side + -side % network.stride for side in image.shape[-2:])
    if side is None:
        side = DEFAULT_TILE if height * width > network.max_untiled_pixels else 0
    return None if side == 0 or max(height, width) <= side else split_into_tiles((height, width), side, network.halo)


def _pad_to_stride(image: Tensor, stride: int) -> Tensor:
    """Repeat the last row and column until height and width are multiples of `stride`."""
    height, width = image.shape[-2:]
    missing = (0, -width % stride, 0, -height % stride)
    return F.pad(image, missing, mode="replicate") if any(missing) else image


def _pad_mask(mask: Tensor | None, stride: int) -> Tensor | None:
    return None if mask is None else _pad_to_stride(mask, stride)

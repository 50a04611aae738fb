"""Painting in one pass of a trained network: what the feed-forward methods share."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Protocol

import torch
import torch.nn.functional as F
from annotated_types import Ge, Le
from pydantic import WithJsonSchema
from pydantic.dataclasses import dataclass
from torch import Tensor

from impasto.config import SETTINGS, MethodConfig
from impasto.devices import pick_device, pick_dtype
from impasto.methods.tiles import Tile, replayed, statistics, tiles, weighted
from impasto.networks.statistics import Measure
from impasto.optim.coarse_to_fine import final_shape
from impasto.regions.subject import Region, Subject
from impasto.types import Image, Step

TILE = 1024
"""Side of a tile in pixels, unless chosen."""

Code = tuple[Tensor, ...]
"""What a network knows of a style. Codes may be mixed."""


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class FeedForwardConfig(MethodConfig):
    """What every method lets one choose that paints in one pass."""

    weights: Annotated[str, WithJsonSchema({"type": "string", "format": "path"})] | None = None
    """A file that `impasto train` wrote, in place of the one that comes with impasto."""
    tile: Annotated[int, Ge(0), Le(65536)] | None = None
    """Side of the tiles, in pixels, that a picture is painted in, to save memory; 0 paints it at once; by its size
    unless given."""


class Network(Protocol):
    """A network that paints in the manner of a picture."""

    stride: int
    """Sides of all pictures must be multiples of it."""
    halo: int
    """So many pixels off, and farther, nothing of the photograph shows in a pixel, but for means over all of it."""
    max_untiled_pixels: int
    """Pixels of the largest picture that is not tiled, unless one asks for it."""

    def encode(self, style: Image, measure: Measure) -> Code: ...
    def __call__(self, content: Image, code: Code, measure: Measure) -> Image: ...


Prime = Callable[[Image, int, int], Image]
"""From a piece of the photograph, whose top and left in the whole are given, to what is painted over."""
Paint = Callable[[Image, Region], Image]
"""From the photograph to all of it in the manner of one region."""


def one_pass(
    config: FeedForwardConfig,
    networks: Sequence[Network],
    subject: Subject,
    primed: Prime | None = None,
) -> Iterator[Step]:
    """Paints the subject; with several networks each paints what the one before it painted. Yields the one step.

    `primed` makes what is painted over of the photograph.
    """

    def paint(content: Image, region: Region) -> Image:
        for network in networks:
            content = _painted(network, content, region, config, primed)
        return content

    return by_region(config, subject, [paint] * len(subject.regions))


def by_region(config: FeedForwardConfig, subject: Subject, paints: Sequence[Paint]) -> Iterator[Step]:
    """Paints the subject, each region in its own way. Yields the one step."""
    began = time.perf_counter()
    device = pick_device(config.device)
    shape = final_shape(config, subject.content)
    subject = subject.resized(shape, style_scale=config.style_scale, device=device)
    image: Image | None = None
    autocast = pick_dtype(config.precision, device) is torch.bfloat16
    with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=autocast):
        for paint, region in zip(paints, subject.regions, strict=True):
            painted = paint(subject.content, region)
            part = painted if region.mask is None else painted * region.mask
            image = part if image is None else image + part
    assert image is not None  # there is a region at least
    finished = image.cpu()
    seconds = time.perf_counter() - began
    yield Step(1, {}, seconds, size=shape, total=1, image=finished.clone, losses_of=lambda _: {})


def how_far(strength: float | None) -> float:
    """From 0, the photograph, past 1, the network's own idea of the style, at a strength of 50, to 1.5 at 100."""
    return 1.0 if strength is None else min(strength / 50, 0.5 + strength / 100)


def _painted(
    network: Network, content: Image, region: Region, config: FeedForwardConfig, primed: Prime | None
) -> Image:
    """The whole photograph in the manner of one region."""
    codes = [_code(network, style.image, style.mask, config.tile) for style in region.styles]
    code = _mixed(codes, [style.weight for style in region.styles])
    far = how_far(config.strength) * region.strength
    if far != 1:
        code = _mixed([_code(network, content, region.mask, config.tile), code], [1 - far, far])
    return applied(network, content, code, region.mask, config.tile, primed)


def applied(
    network: Network, content: Image, code: Code, mask: Tensor | None, side: int | None, primed: Prime | None = None
) -> Image:
    """What a network makes of all of a photograph, its means those of where the mask is; in tiles of a side, if given.

    It is in [0, 1].
    """
    height, width = content.shape[-2:]
    content, mask = _filled(content, network.stride), _mask(mask, network.stride)
    parts = _tiles(network, content, side)
    if parts is None:
        content = content if primed is None else primed(content, 0, 0)
        return network(content, code, weighted(mask))[..., :height, :width].clamp_(0, 1)

    def paint(tile: Tile, measure: Measure) -> Image:
        piece = tile.of(content)
        return network(piece if primed is None else primed(piece, tile.top, tile.left), code, measure)

    known = statistics(paint, parts, mask)
    painted = torch.empty_like(content)
    for tile in parts:
        top, left, bottom, right = tile.core
        painted[..., top:bottom, left:right] = tile.inner(paint(tile, replayed(known)))
    return painted[..., :height, :width].clamp_(0, 1)


def _code(network: Network, picture: Image, mask: Tensor | None, side: int | None) -> Code:
    """The code of a picture, of the part of it that the mask shows."""
    picture, mask = _filled(picture, network.stride), _mask(mask, network.stride)
    parts = _tiles(network, picture, side)
    if parts is None:
        return network.encode(picture, weighted(mask))
    known = statistics(lambda tile, measure: network.encode(tile.of(picture), measure), parts, mask)
    return network.encode(parts[0].of(picture), replayed(known))


def _mixed(codes: Sequence[Code], shares: Sequence[float]) -> Code:
    return tuple(
        torch.stack([share * part for share, part in zip(shares, parts, strict=True)]).sum(0)
        for parts in zip(*codes, strict=True)
    )


def _tiles(network: Network, picture: Image, side: int | None) -> list[Tile] | None:
    """The tiles of a picture; None if it is looked at as a whole."""
    height, width = picture.shape[-2:]
    if side is None:
        side = TILE if height * width > network.max_untiled_pixels else 0
    return None if side == 0 or max(height, width) <= side else tiles((height, width), side, network.halo)


def _filled(picture: Tensor, stride: int) -> Tensor:
    """The picture, its last column and row repeated until the sides are multiples of `stride`."""
    height, width = picture.shape[-2:]
    missing = (0, -width % stride, 0, -height % stride)
    return F.pad(picture, missing, mode="replicate") if any(missing) else picture


def _mask(mask: Tensor | None, stride: int) -> Tensor | None:
    return None if mask is None else _filled(mask, stride)

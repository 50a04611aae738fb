"""Check what a request would cost before it runs: the memory of its output, and the download of missing weights."""

from __future__ import annotations

import os

import torch

from impasto.backbones import BACKBONES
from impasto.config import settings_of
from impasto.images import read_size
from impasto.methods import Method
from impasto.methods.optimizing import PolishSettings, loss_networks
from impasto.samples import resolve
from impasto.weights import MANIFEST, find

BYTES_PER_PIXEL, BYTES_PER_TILED_PIXEL = 1100, 400
"""Memory per output pixel of a method that compares the whole image: 740 MiB more for 1024 pixels than for 512, both on
the longer side of a 3:2 image with `lite`, rounded up. In tiles, only the image and ten pairs of L-BFGS remain."""
MEMORY_FRACTION = 0.8
"""Largest fraction of the memory of the machine that one output may need."""


def check_memory(method: Method, content: str, max_pixels: int) -> None:
    """Check that the output of a method has an acceptable size and fits into the memory of this machine.

    Args:
        method: the method with its settings.
        content: path or name of the content image.
        max_pixels: largest output in pixels.

    Raises:
        ValueError: with the largest possible size, if the output would be too large.
        OSError: if the content image cannot be read.
    """
    shape = read_size(resolve(content))
    height, width = method.final_shape(method.config, torch.empty((1, 3, *shape), device="meta"))
    is_tiled = settings_of(method.config).get("tile", 0) != 0  # None: in tiles where memory requires it
    per_pixel = BYTES_PER_TILED_PIXEL if is_tiled else BYTES_PER_PIXEL
    by_memory = int(MEMORY_FRACTION * total_memory() / per_pixel)
    limit = min(max_pixels, by_memory)
    if height * width > limit:
        side = int(max(height, width) * (limit / (height * width)) ** 0.5)
        reason = "more than this machine has memory for" if by_memory < max_pixels else f"over the limit of {limit}"
        raise ValueError(f"size: the output would have {width} x {height} pixels, {reason}; give at most {side}")


def total_memory() -> int:
    """Return the memory of this machine in bytes; 16 GiB where the system does not tell."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return 16 * 2**30


def check_downloads(method: Method) -> None:
    """Check that all weights that a method needs are on this machine.

    Raises:
        ValueError: with their name and size, if weights are missing.
    """
    config = method.config
    network = method.backbone(config)
    networks = [] if network is None else [network]
    if isinstance(config, PolishSettings):
        networks += [BACKBONES[name] for name in loss_networks(config)]
    for name in [each.weights for each in networks if each.weights]:
        if find(name) is None:
            size = MANIFEST[name].to_fetch.size / 1e6
            raise ValueError(
                f"the weights {name!r} are not on this machine; allow the download of {size:.0f} MB with download=1, "
                f"or run `impasto weights fetch {name}`"
            )

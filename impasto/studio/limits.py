"""Check what a request would cost before it runs: the memory of its output, and the download of missing weights."""

from __future__ import annotations

import os

import torch

from impasto.backbones import BACKBONES
from impasto.methods import Method
from impasto.methods.optimizing import PolishSettings, loss_networks
from impasto.networks.micro import Micro
from impasto.pipeline.trial import PEAK_STEPS, count_trial, with_size
from impasto.regions.subject import single_region
from impasto.training.adapt import AdaptSettings
from impasto.types import Image
from impasto.weights import MANIFEST, find

QUICK_BYTES_PER_PIXEL = 12 * 2**10
"""More memory per output pixel than any method needs in fp32: an output that would fit even so is not counted."""
MEMORY_FRACTION = 0.8
"""Largest fraction of the memory of the machine that one output may need."""

SMALLEST_CROP = 96
"""Smallest crop of a training that is proposed, in pixels."""
TRAINING_BYTES = 2**30
"""Memory of a training of `impasto adapt` besides that of its crops: networks, and the statistics of the style."""
TRAINING_BYTES_PER_PIXEL = 2048
"""Memory per pixel of its crops, of which a step has a batch: 1200 with `lite` in bf16, 1800 with VGG-19."""


def check_memory(method: Method, shape: tuple[int, int], styles: int, max_pixels: int) -> None:
    """Check that the output of a method has an acceptable size and fits into the memory of this machine.

    The memory of the machine counts, not what is free: jobs before this one will have ended when it runs.

    Args:
        method: the method with its settings.
        shape: height and width of the content image, in pixels.
        styles: number of style images.
        max_pixels: largest output in pixels.

    Raises:
        ValueError: with the largest possible size, if the output would be too large.
    """
    image = torch.zeros(()).expand(1, 3, *shape)  # takes no memory; only its shape matters
    height, width = method.final_shape(method.config, image)
    side, reason = int(max(height, width) * (max_pixels / (height * width)) ** 0.5), f"over the limit of {max_pixels}"
    if height * width <= max_pixels:
        memory = MEMORY_FRACTION * total_memory()
        if height * width * QUICK_BYTES_PER_PIXEL <= memory:
            return
        side, reason = _largest_side(method, image, styles, memory), "more than this machine has memory for"
    if side < max(height, width):
        raise ValueError(f"size: the output would have {width} x {height} pixels, {reason}; give at most {side}")


def check_training_memory(config: AdaptSettings) -> None:
    """Check that a training fits into the memory of this machine.

    Raises:
        ValueError: with the largest possible batch or crop, if it does not.
    """
    pixels = (MEMORY_FRACTION * total_memory() - TRAINING_BYTES) / TRAINING_BYTES_PER_PIXEL
    if config.batch * config.crop**2 <= pixels:
        return
    batch, side = int(pixels / config.crop**2), int(max(0, pixels / config.batch) ** 0.5) // Micro.stride * Micro.stride
    changes = [f"batch {batch}"] * (batch > 0) + [f"crop {side}"] * (side >= SMALLEST_CROP)
    advice = f"give at most {' or '.join(changes)}" if changes else "give smaller values of both"
    raise ValueError(
        f"batch: {config.batch} crops of {config.crop} pixels need more memory than this machine has; {advice}"
    )


def _largest_side(method: Method, image: Image, styles: int, memory: float) -> int:
    """Return the longer side of the output, or a smaller one that fits into the memory, in pixels."""
    while True:
        height, width = method.final_shape(method.config, image)
        side, needed = max(height, width), height * width * bytes_per_pixel(method, image, styles)
        if needed <= memory or side == 1:
            return side
        side = max(1, min(side - 1, int(side * (memory / needed) ** 0.5)))
        method = method.with_config(with_size(method.config, side))


def bytes_per_pixel(method: Method, content: Image, styles: int) -> float:
    """Return the memory per output pixel that `impasto stylize --dry-run` predicts for a run.

    Args:
        method: the method with its settings.
        content: image `(1, 3, H, W)` with the shape of the content image and of every style image.
        styles: number of style images.
    """
    counted = count_trial(method, single_region(content, [content] * styles), PEAK_STEPS)
    if counted is None:  # an operation that cannot be counted
        return 1.0
    height, width = method.final_shape(method.config, content)
    return counted.peak / (height * width)


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

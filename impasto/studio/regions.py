"""Convert regions that were drawn over the content image into a label map with one color per style image."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import PIL.Image

from impasto.images import open_picture
from impasto.regions.label_map import read_label_map

PALETTE = ("#1b1b3a", "#8a1c1c", "#1f7a4d", "#d9822b", "#8fb8de", "#fff2a8")
"""Colors from dark to light, the order in which a label map numbers its regions: color k belongs to style image k."""


def label_map(layers: Sequence[PIL.Image.Image], size: tuple[int, int], *, fill: bool) -> PIL.Image.Image:
    """Return the label map of drawn layers, the last layer on top.

    Args:
        layers: images with transparency; a pixel with alpha below 128 counts as not drawn.
        size: width and height of the label map in pixels.
        fill: whether pixels that are not drawn get the first color. Otherwise they are transparent, and the
            stylization keeps the content image there.

    Returns:
        An RGBA image that has only colors of the palette, with alpha 0 or 255.
    """
    drawn = PIL.Image.new("RGBA", size)
    for layer in layers:
        drawn.alpha_composite(layer.convert("RGBA").resize(size, PIL.Image.Resampling.NEAREST))
    levels = np.asarray(drawn).astype(np.int16)  # (H, W, 4)
    palette = np.array([_rgb(color) for color in PALETTE], np.int16)  # (K, 3)
    nearest = np.abs(levels[..., None, :3] - palette).sum(-1).argmin(-1)  # (H, W)
    is_drawn = levels[..., 3] >= 128
    nearest[~is_drawn] = 0
    labels = np.empty((size[1], size[0], 4), np.uint8)
    labels[..., :3] = palette[nearest]
    labels[..., 3] = np.where(is_drawn | fill, 255, 0)
    return PIL.Image.fromarray(labels)


def colors_used(mask: PIL.Image.Image) -> list[int]:
    """Return the indices of the palette colors that are regions of a label map; tiny regions are ignored.

    Raises:
        ValueError: if one color covers the whole map.
    """
    labels = read_label_map(open_picture(mask))
    palette = np.array([_rgb(color) for color in PALETTE])
    used = [int(np.abs(palette - color).sum(1).argmin()) for color in labels.colors]
    if len(used) == 1 and (labels.index >= 0).all():
        raise ValueError("the content image has no regions yet; draw over a part of it first")
    return used


def encode_png(mask: PIL.Image.Image) -> bytes:
    """Return a label map as the bytes of a PNG."""
    file = io.BytesIO()
    mask.save(file, "PNG")
    return file.getvalue()


def _rgb(color: str) -> list[int]:
    return [int(color[i : i + 2], 16) for i in (1, 3, 5)]

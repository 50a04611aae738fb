"""From what is painted over a photograph to a label map: a region for every color."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import PIL.Image

from impasto.images import open_picture
from impasto.regions.label_map import read_label_map

PALETTE = ("#1b1b3a", "#8a1c1c", "#1f7a4d", "#d9822b", "#8fb8de", "#fff2a8")
"""From dark to light: the k-th color is the k-th style's, in the order in which label maps count."""


def label_map(layers: Sequence[PIL.Image.Image], size: tuple[int, int], *, rest: bool) -> PIL.Image.Image:
    """The map `RGBA` of what was painted, one over the other.

    Args:
        layers: what was painted, clear where nothing was.
        size: width and height in pixels.
        rest: whether what was left unpainted is of the first color; else it is clear, and keeps the photograph.
    """
    painted = PIL.Image.new("RGBA", size)
    for layer in layers:
        painted.alpha_composite(layer.convert("RGBA").resize(size, PIL.Image.Resampling.NEAREST))
    levels = np.asarray(painted).astype(np.int16)  # (H, W, 4)
    colors = np.array([_levels(color) for color in PALETTE], np.int16)  # (K, 3)
    nearest = np.abs(levels[..., None, :3] - colors).sum(-1).argmin(-1)  # (H, W)
    is_painted = levels[..., 3] >= 128
    nearest[~is_painted] = 0
    flat = np.empty((size[1], size[0], 4), np.uint8)
    flat[..., :3] = colors[nearest]
    flat[..., 3] = np.where(is_painted | rest, 255, 0)
    return PIL.Image.fromarray(flat)


def colors_used(mask: PIL.Image.Image) -> list[int]:
    """Which colors of the palette are regions of a map, as masks are read: specks are none.

    Raises `ValueError`, in one line, for a map that divides nothing.
    """
    labels = read_label_map(open_picture(mask))
    palette = np.array([_levels(color) for color in PALETTE])
    used = [int(np.abs(palette - color).sum(1).argmin()) for color in labels.colors]
    if len(used) == 1 and (labels.index >= 0).all():
        raise ValueError("nothing is divided yet: paint over a part of the photograph")
    return used


def as_png(mask: PIL.Image.Image) -> bytes:
    """The bytes of a map."""
    file = io.BytesIO()
    mask.save(file, "PNG")
    return file.getvalue()


def _levels(color: str) -> list[int]:
    return [int(color[i : i + 2], 16) for i in (1, 3, 5)]

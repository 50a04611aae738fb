"""Read label maps: images in which every region has its own flat color."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.images import Picture
from impasto.images.luminance import REC601

MIN_DISTANCE = 32
"""Smallest difference of two labels, in 8-bit levels of the channel that differs most; closer colors are one label."""
FLATNESS = 8
"""Largest difference of neighboring pixels within a flat color, in 8-bit levels: the noise of JPEG."""
MIN_WIDTH = 0.01
"""Smallest width of a region as a fraction of the longer side; narrower areas are antialiased edges or specks."""
MAX_LABELS = 32
"""Largest number of labels; an image with more is assumed to be a photograph."""
MAX_SIDE = 2048
"""Larger maps are subsampled to this longer side, for speed."""
RADIUS = 3
"""Distance in pixels within which an unlabeled pixel searches for a label; antialiased edges are not wider."""
PASSES = 16
"""Number of such passes; pixels farther from every flat area are assigned by color alone."""

UNLABELED = -1


@dataclass(frozen=True, eq=False)
class LabelMap:
    """The regions of a label map, from dark to light."""

    colors: np.ndarray
    """Colors of the labels, float `(K, 3)` in 8-bit levels."""
    index: np.ndarray
    """Label of each pixel, int `(H, W)`; -1 where the map is transparent."""

    def mask(self, label: int) -> Tensor:
        """Return the mask of a label, `(1, 1, H, W)` with values 0 and 1."""
        return torch.from_numpy(self.index == label).float()[None, None]

    def find(self, color: np.ndarray) -> int | None:
        """Return the label of a color `(3,)` in 8-bit levels, or None if no label is close to it."""
        distance = np.abs(self.colors - color).max(1)
        nearest = int(distance.argmin())
        return nearest if distance[nearest] < MIN_DISTANCE else None

    def without_black(self) -> LabelMap:
        """Return the map without the label black, whose pixels then belong to no region.

        Raises:
            ValueError: if no other label is left.
        """
        black = self.find(np.zeros(3))
        if black is None:
            return self
        if len(self.colors) == 1:
            raise ValueError("it is black everywhere; make the region white")
        index = np.where(self.index > black, self.index - 1, np.where(self.index == black, UNLABELED, self.index))
        return LabelMap(np.delete(self.colors, black, 0), index)

    def names(self) -> str:
        """Return the colors as a list in hexadecimal notation: `#000000, #ffffff`."""
        return ", ".join(map(hex_color, self.colors))


def hex_color(color: np.ndarray) -> str:
    """Return a color `(3,)` in 8-bit levels in hexadecimal notation."""
    return "#" + "".join(f"{round(float(level)):02x}" for level in color)


def read_label_map(picture: Picture, colors: np.ndarray | None = None) -> LabelMap:
    """Find the labels of a map and assign every pixel to one of them.

    A label is a color that fills a flat area. All other pixels (antialiased edges, JPEG noise, small specks) are
    assigned to the neighboring label that is closest in color. By color alone, the gray edge between black and white
    would be assigned to a third, gray region.

    Args:
        picture: the map; transparent pixels belong to no region.
        colors: colors of the labels, `(K, 3)` in 8-bit levels, of which the map may lack some, for a frame of a clip;
            None: those of the map.

    Raises:
        ValueError: if the map has no label, or more than 32.
    """
    stride = -(-max(picture.image.shape[-2:]) // MAX_SIDE)
    levels = (picture.image[0, :, ::stride, ::stride] * 255).round().to(torch.int16).permute(1, 2, 0).numpy()
    opaque = np.ones(levels.shape[:2], bool)
    if picture.alpha is not None:
        opaque = picture.alpha[0, 0, ::stride, ::stride].numpy() >= 0.5
    flat = _flat(levels) & opaque
    if colors is None:
        colors = _colors_of_wide_areas(levels, flat)
    if not len(colors):
        raise ValueError(f"{picture.name!r} has no flat color; use a label map with one flat color per region")
    if len(colors) > MAX_LABELS:
        raise ValueError(
            f"{picture.name!r} has more than {MAX_LABELS} colors; use a label map with one flat color per region"
        )
    distance, index = _nearest(levels, colors)
    index[~flat | (distance >= MIN_DISTANCE)] = UNLABELED
    return LabelMap(colors, _fill(index, opaque, levels, colors))


def merge_colors(maps: Sequence[LabelMap]) -> np.ndarray:
    """Return the colors of several maps, `(K, 3)` from dark to light; those that are close to each other once."""
    found: list[np.ndarray] = []
    for color in (color for each in maps for color in each.colors):
        if all(np.abs(color - other).max() >= MIN_DISTANCE for other in found):
            found.append(color)
    return np.stack(sorted(found, key=_order))


def _order(color: Any) -> tuple[float, ...]:
    return round(float(color @ REC601)), *map(float, color)


def _colors_of_wide_areas(levels: np.ndarray, flat: np.ndarray) -> np.ndarray:
    """Return the colors `(K, 3)` that fill an area, from dark to light."""
    colors = _dominant_colors(levels[flat])
    if not len(colors):
        return colors
    distance, index = _nearest(levels, colors)
    index[~flat | (distance >= MIN_DISTANCE)] = UNLABELED
    wide = [_is_wide(index == label) for label in range(len(colors))]
    return colors[wide]


def _flat(levels: np.ndarray) -> np.ndarray:
    """Return which pixels of `(H, W, 3)` are part of a 2 x 2 square of nearly one color."""
    padded = np.pad(levels, ((1, 1), (1, 1), (0, 0)), "edge")
    corners = [padded[y : y + levels.shape[0] + 1, x : x + levels.shape[1] + 1] for y in (0, 1) for x in (0, 1)]
    spread = np.maximum.reduce(corners) - np.minimum.reduce(corners)  # (H+1, W+1, 3)
    square = spread.max(2) <= FLATNESS
    return square[1:, 1:] | square[1:, :-1] | square[:-1, 1:] | square[:-1, :-1]  # type: ignore[no-any-return]


def _dominant_colors(pixels: np.ndarray) -> np.ndarray:
    """Return the colors `(K, 3)` of pixels `(N, 3)` that cover enough area, from dark to light."""
    distinct, counts = np.unique(pixels @ np.array([65536, 256, 1]), return_counts=True)
    rest = np.stack([distinct >> 16, distinct >> 8 & 255, distinct & 255], 1)  # (D, 3)
    found: list[np.ndarray] = []
    min_count = MIN_WIDTH**2 * len(pixels) / 4  # about the area of a disc of that width
    while len(counts) and len(found) <= 4 * MAX_LABELS:
        near = np.abs(rest - rest[counts.argmax()]).max(1) < MIN_DISTANCE
        if counts[near].sum() >= min_count:
            found.append(np.average(rest[near], axis=0, weights=counts[near]))
        rest, counts = rest[~near], counts[~near]
    if not found:
        return np.empty((0, 3))
    return np.stack(sorted(found, key=_order))


def _nearest(levels: np.ndarray, colors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return each pixel's distance to the closest color, in levels, and the index of that color, `(H, W)` each."""
    distance = np.full(levels.shape[:-1], np.inf, np.float32)
    index = np.full(levels.shape[:-1], UNLABELED, np.int16)
    for label, color in enumerate(colors.astype(np.float32)):
        to_color = np.abs(levels - color).max(-1)
        closer = to_color < distance
        distance[closer], index[closer] = to_color[closer], label
    return distance, index


def _is_wide(where: np.ndarray) -> bool:
    """Return whether a square of the smallest width of a region fits into the area."""
    longer = max(where.shape)
    width = min(max(4, round(MIN_WIDTH * longer)), max(1, longer // 8))
    holes = F.pad(torch.from_numpy(~where).float()[None, None], [width // 2, (width - 1) // 2] * 2, value=0.0)
    for kernel in ((width, 1), (1, width)):
        holes = F.max_pool2d(holes, kernel, stride=1)
    return bool((holes == 0).any())


def _fill(index: np.ndarray, opaque: np.ndarray, levels: np.ndarray, colors: np.ndarray) -> np.ndarray:
    """Assign every opaque pixel without a label to the neighboring label that is closest in color, in passes."""
    index = index.copy()
    for _ in range(PASSES):
        unlabeled = opaque & (index == UNLABELED)
        if not unlabeled.any():
            break
        best = np.full(index.shape, np.inf, np.float32)
        filled = index.copy()
        for label, color in enumerate(colors.astype(np.float32)):
            labeled = torch.from_numpy(index == label).float()[None, None]
            around = F.max_pool2d(labeled, 2 * RADIUS + 1, stride=1, padding=RADIUS)[0, 0].numpy() > 0
            to_color = np.where(unlabeled & around, np.abs(levels - color).max(-1), np.inf)
            filled[to_color < best] = label
            best = np.minimum(best, to_color)
        index = filled
    left = opaque & (index == UNLABELED)
    index[left] = _nearest(levels[left], colors)[1]
    return index

"""Label maps: pictures in which every region has a flat color of its own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.color.transfer import LUMINANCE
from impasto.images import Picture

APART = 32
"""Levels of 255, in the channel that differs most, by which two labels differ; nearer colors are one label."""
FLAT = 8
"""Levels by which neighbors may differ within a flat color: JPEG noise."""
WIDE = 0.01
"""What is nowhere as wide as this share of the map's longer side is no region: an antialiased edge, a speck."""
MOST = 32
"""Labels of a map; what has more is taken for a photograph."""
LONGEST = 2048
"""Maps with a longer side are thinned out, for speed."""
REACH = 3
"""Pixels around one without a label in which it looks for labels: an antialiased edge is not wider."""
PASSES = 16
"""How often; what is farther from any flat place goes by color alone."""

NOWHERE = -1


@dataclass(frozen=True)
class LabelMap:
    """The regions of a label map, from dark to light."""

    colors: np.ndarray
    """Float `(K, 3)`, in levels of 255."""
    index: np.ndarray
    """Which region a pixel belongs to, int `(H, W)`; -1 where the map is transparent."""

    def mask(self, label: int) -> Tensor:
        """Where a label lies: `(1, 1, H, W)` of 0 and 1."""
        return torch.from_numpy(self.index == label).float()[None, None]

    def find(self, color: np.ndarray) -> int | None:
        """The label nearest to a color `(3,)`, if it is the same but for the noise of a JPEG."""
        distance = np.abs(self.colors - color).max(1)
        nearest = int(distance.argmin())
        return nearest if distance[nearest] < APART else None

    def names(self) -> str:
        """The colors as a reader knows them: `#000000, #ffffff`."""
        return ", ".join(map(hex_color, self.colors))


def hex_color(color: np.ndarray) -> str:
    """A color `(3,)` in levels of 255 as HTML writes it."""
    return "#" + "".join(f"{round(float(level)):02x}" for level in color)


def read_label_map(picture: Picture) -> LabelMap:
    """The labels of a map, and the one that every pixel belongs to.

    A label is a color that fills a flat place. Every other pixel (an antialiased edge, the noise of a JPEG, what is
    too small) takes the label around it that is nearest in color: going by color alone, the gray edge between black
    and white would be of a third, gray region.

    Raises:
        ValueError: in one line, for a map without a label, or with too many to be one.
    """
    stride = -(-max(picture.image.shape[-2:]) // LONGEST)
    levels = (picture.image[0, :, ::stride, ::stride] * 255).round().to(torch.int16).permute(1, 2, 0).numpy()
    opaque = np.ones(levels.shape[:2], bool)
    if picture.alpha is not None:
        opaque = picture.alpha[0, 0, ::stride, ::stride].numpy() >= 0.5
    flat = _flat(levels) & opaque
    colors = _colors(levels[flat])
    if len(colors):
        distance, index = _nearest(levels, colors)
        index[~flat | (distance >= APART)] = NOWHERE
        solid = [_is_wide(index == label) for label in range(len(colors))]
        colors = colors[solid]
    if not len(colors):
        raise ValueError(f"{picture.name!r} has no flat color; a label map has one for every region")
    if len(colors) > MOST:
        raise ValueError(f"{picture.name!r} has more than {MOST} colors; a label map has one for every region")
    distance, index = _nearest(levels, colors)
    index[~flat | (distance >= APART)] = NOWHERE
    return LabelMap(colors, _filled(index, opaque, levels, colors))


def _flat(levels: np.ndarray) -> np.ndarray:
    """Which pixels of `(H, W, 3)` lie in a square of 2 by 2 pixels of nearly one color."""
    padded = np.pad(levels, ((1, 1), (1, 1), (0, 0)), "edge")
    corners = [padded[y : y + levels.shape[0] + 1, x : x + levels.shape[1] + 1] for y in (0, 1) for x in (0, 1)]
    spread = np.maximum.reduce(corners) - np.minimum.reduce(corners)  # (H+1, W+1, 3)
    square = spread.max(2) <= FLAT
    return square[1:, 1:] | square[1:, :-1] | square[:-1, 1:] | square[:-1, :-1]  # type: ignore[no-any-return]


def _colors(pixels: np.ndarray) -> np.ndarray:
    """The dominant colors `(K, 3)` of pixels `(N, 3)`, from dark to light, the smallest shares left out."""
    distinct, counts = np.unique(pixels @ np.array([65536, 256, 1]), return_counts=True)
    rest = np.stack([distinct >> 16, distinct >> 8 & 255, distinct & 255], 1)  # (D, 3)
    found: list[np.ndarray] = []
    least = WIDE**2 * len(pixels) / 4  # a disc of that width is about as large
    while len(counts) and len(found) <= 4 * MOST:
        near = np.abs(rest - rest[counts.argmax()]).max(1) < APART
        if counts[near].sum() >= least:
            found.append(np.average(rest[near], axis=0, weights=counts[near]))
        rest, counts = rest[~near], counts[~near]
    if not found:
        return np.empty((0, 3))
    found.sort(key=lambda color: (round(float(color @ LUMINANCE)), *color))
    return np.stack(found)


def _nearest(levels: np.ndarray, colors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distance of every pixel to the nearest color, in levels, and which one it is, `(H, W)` each."""
    distance = np.full(levels.shape[:-1], np.inf, np.float32)
    index = np.full(levels.shape[:-1], NOWHERE, np.int16)
    for label, color in enumerate(colors.astype(np.float32)):
        own = np.abs(levels - color).max(-1)
        closer = own < distance
        distance[closer], index[closer] = own[closer], label
    return distance, index


def _is_wide(where: np.ndarray) -> bool:
    """Whether a square of the least width fits in somewhere."""
    longer = max(where.shape)
    width = min(max(4, round(WIDE * longer)), max(1, longer // 8))
    holes = F.pad(torch.from_numpy(~where).float()[None, None], [width // 2, (width - 1) // 2] * 2, value=0.0)
    for kernel in ((width, 1), (1, width)):
        holes = F.max_pool2d(holes, kernel, stride=1)
    return bool((holes == 0).any())


def _filled(index: np.ndarray, opaque: np.ndarray, levels: np.ndarray, colors: np.ndarray) -> np.ndarray:
    """Every opaque pixel without a label takes the one nearest in color of those around it, outwards step by step."""
    index = index.copy()
    for _ in range(PASSES):
        lacking = opaque & (index == NOWHERE)
        if not lacking.any():
            break
        best = np.full(index.shape, np.inf, np.float32)
        filled = index.copy()
        for label, color in enumerate(colors.astype(np.float32)):
            here = torch.from_numpy(index == label).float()[None, None]
            around = F.max_pool2d(here, 2 * REACH + 1, stride=1, padding=REACH)[0, 0].numpy() > 0
            own = np.where(lacking & around, np.abs(levels - color).max(-1), np.inf)
            filled[own < best] = label
            best = np.minimum(best, own)
        index = filled
    left = opaque & (index == NOWHERE)
    index[left] = _nearest(levels[left], colors)[1]
    return index

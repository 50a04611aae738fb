"""Draw the style `geometric`: discs, arcs, bars and triangles in a few flat, partly overprinted poster colors."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from draw_styles.fields import Field, palette

CREAM, SAND, INK, RED, BLUE, OCHRE, TEAL, ROSE, CORAL, SKY = palette(
    *("#f3e9d6", "#e2cfa8", "#1f2029", "#d7402b", "#23489e", "#efb02f", "#2b8f88", "#efb7a2", "#f28b70", "#a8c9d8")
)
SUPERSAMPLING = 4

Mask = NDArray[np.bool_]
"""Pixels of a shape, `(H, W)`."""
Point = tuple[float, float]
"""x and y in sheet units."""


@dataclass
class Sheet:
    """The poster and the coordinates of its pixels; 1 is the shorter side, except on very long sheets."""

    x: Field
    y: Field
    rgb: Field

    def cover(self, inside: Mask, color: Field) -> None:
        """Print an opaque ink."""
        self.rgb[inside] = color

    def tint(self, inside: Mask, color: Field) -> None:
        """Print a transparent ink, which multiplies the color below it."""
        self.rgb[inside] *= color

    def disc(self, middle: Point, radius: float) -> Mask:
        """Return the pixels inside a circle."""
        inside: Mask = (self.x - middle[0]) ** 2 + (self.y - middle[1]) ** 2 < radius**2
        return inside

    def side(self, point: Point, angle: float) -> Mask:
        """Return the pixels to the right of a line through `point` in the direction `angle`."""
        right: Mask = (self.y - point[1]) * np.cos(angle) > (self.x - point[0]) * np.sin(angle)
        return right

    def polygon(self, corners: Sequence[Point]) -> Mask:
        """Return the pixels inside a convex polygon; its corners are in clockwise order."""
        inside = np.ones(self.x.shape, bool)
        for (x, y), (to_x, to_y) in zip(corners, [*corners[1:], corners[0]], strict=True):
            inside &= self.side((x, y), float(np.arctan2(to_y - y, to_x - x)))
        return inside

    def bar(self, start: Point, angle: float, length: float, thick: float, end: float | None = None) -> Mask:
        """Return the pixels of a bar along a line from `start`; its thickness changes from `thick` to `end`."""
        cos, sin = float(np.cos(angle)), float(np.sin(angle))
        near, far = thick / 2, (thick if end is None else end) / 2
        tip = (start[0] + length * cos, start[1] + length * sin)
        return self.polygon(
            [
                (start[0] + near * sin, start[1] - near * cos),
                (tip[0] + far * sin, tip[1] - far * cos),
                (tip[0] - far * sin, tip[1] + far * cos),
                (start[0] - near * sin, start[1] + near * cos),
            ]
        )


def draw(height: int, width: int, seed: int) -> Image.Image:
    """Return the drawing at a size in pixels; the seed changes the positions, angles and colors of all shapes."""
    rng = np.random.default_rng(seed)
    tall, wide = height * SUPERSAMPLING, width * SUPERSAMPLING
    unit = max(min(tall, wide), 0.79 * max(tall, wide))
    y, x = np.mgrid[0:tall, 0:wide].astype(np.float32) / np.float32(unit)
    right, bottom = wide / unit, tall / unit
    sheet = Sheet(x, y, np.tile(CREAM, (tall, wide, 1)))
    _compose(sheet, right, bottom, rng)
    turned = sheet.rgb[:: rng.choice([-1, 1]), :: rng.choice([-1, 1])]
    levels = np.rint(turned * 255).astype(np.uint8)
    return Image.fromarray(levels).reduce(SUPERSAMPLING)  # a box filter causes no ringing at the edges


def _compose(sheet: Sheet, right: float, bottom: float, rng: np.random.Generator) -> None:
    """Print all shapes, from the background to the thin lines."""
    inks = rng.permutation(np.stack([RED, BLUE, OCHRE, TEAL]))
    tilt = rng.uniform(0.42, 0.72)
    great = (right * rng.uniform(0.38, 0.43), bottom * rng.uniform(0.43, 0.48))
    lesser = (right * rng.uniform(0.78, 0.85), bottom * rng.uniform(0.70, 0.76))
    sun = (right * rng.uniform(0.11, 0.16), bottom * rng.uniform(0.14, 0.19))
    tip = (right * rng.uniform(0.93, 0.97), bottom * rng.uniform(0.10, 0.16))
    slope = float(np.arctan2(great[1] + 0.10 - tip[1], tip[0] - great[0]))

    sheet.cover(sheet.side((0.60 * right, 0), tilt + np.pi / 2), SAND)
    sheet.cover(sheet.disc((right, 0.06 * bottom), 0.44), SKY)
    sheet.cover(sheet.side((0, bottom * 0.82), -0.4 * tilt), ROSE)
    _arcs(sheet, (0.0, bottom), 0.40, [inks[0], CREAM, inks[1], CREAM, inks[2]])
    sheet.cover(sheet.bar(tip, np.pi - slope, 2.2, 0.0, 0.26), INK)
    _wheel(sheet, great, rng.uniform(0.29, 0.32), tilt, inks, rng)
    _wheel(sheet, lesser, rng.uniform(0.16, 0.19), tilt + 0.6, inks[::-1], rng)
    _ladder(sheet, (right * 0.49, bottom * 0.86), -0.4 * tilt, inks)
    top = (right * rng.uniform(0.56, 0.63), bottom * rng.uniform(0.04, 0.10))
    sheet.tint(sheet.polygon([top, (right * 0.84, bottom * 0.62), (right * 0.43, bottom * 0.80)]), OCHRE)
    sheet.tint(sheet.disc((great[0] + 0.24, great[1] + 0.26), 0.14), CORAL)
    _checkerboard(sheet, (0.0, bottom * rng.uniform(0.32, 0.36)), 0.048)
    half = (right * rng.uniform(0.84, 0.88), bottom * rng.uniform(0.34, 0.38))
    next_half = (half[0] + 0.095 * np.cos(slope), half[1] - 0.095 * np.sin(slope))
    sheet.cover(sheet.disc(half, 0.095) & sheet.side(half, -slope), inks[3])
    sheet.cover(sheet.disc(next_half, 0.095) & ~sheet.side(half, -slope), INK)
    for radius, color in ((0.095, inks[2]), (0.060, CREAM), (0.036, INK)):
        sheet.cover(sheet.disc(sun, radius), color)
    for turn in (-0.05, 0.05, 0.15):
        sheet.cover(sheet.bar((right * 0.02, bottom * 0.56), turn - 0.2, 1.05, 0.007), INK)


def _arcs(sheet: Sheet, corner: Point, radius: float, colors: list[Field]) -> None:
    """Print concentric arcs around a corner, the outermost first."""
    for ring, color in enumerate(colors):
        sheet.cover(sheet.disc(corner, radius * (1 - ring / (len(colors) + 1))), color)


def _wheel(sheet: Sheet, middle: Point, radius: float, angle: float, inks: Field, rng: np.random.Generator) -> None:
    """Print concentric rings, each divided into four quarters of alternating colors."""
    colors = np.concatenate([inks, [CREAM, INK, ROSE, SKY]])
    edges = np.cumsum(rng.uniform(0.7, 1.3, 4))
    inside = sheet.disc(middle, radius)
    away = np.hypot(sheet.x[inside] - middle[0], sheet.y[inside] - middle[1])
    ring = np.minimum(np.searchsorted(edges * radius / edges[-1], away), 3)
    first, second = (sheet.side(middle, angle + turn)[inside] for turn in (0, np.pi / 2))
    quarter = np.where(first, np.where(second, 0, 1), np.where(second, 3, 2))
    sheet.rgb[inside] = colors[(3 * quarter + 2 * ring + ring // 2) % len(colors)]


def _ladder(sheet: Sheet, start: Point, angle: float, inks: Field) -> None:
    """Print upright bars of decreasing length along a line."""
    for rung in range(5):
        position = (start[0] + 0.055 * rung * np.cos(angle), start[1] + 0.055 * rung * np.sin(angle))
        sheet.cover(
            sheet.bar(position, angle + np.pi / 2, 0.30 - 0.05 * rung, 0.030), INK if rung % 2 else inks[rung // 2]
        )


def _checkerboard(sheet: Sheet, start: Point, cell: float) -> None:
    """Print a checkerboard, two squares wide."""
    column, row = (np.floor((axis - low) / cell) for axis, low in ((sheet.x, start[0]), (sheet.y, start[1])))
    block = (column >= 0) & (column < 2) & (row >= 0) & (row < 4)
    odd = (column + row) % 2 == 1
    sheet.cover(block & odd, CREAM)
    sheet.cover(block & ~odd, INK)

"""Draw the style `inkwash`: ridges in mist, a boat, and a pine on a rock in dry, black strokes."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from draw_styles.fields import (
    FIELD_SIDE,
    Field,
    noise,
    palette,
    planning_grid,
    resized,
    smeared,
    smoothstep,
    to_picture,
    unit,
)
from draw_styles.inkbrush import Ink, paint_birds, paint_boat, paint_pine
from draw_styles.scene import streaks

PAPER, SEAL = palette("#f0e6d2", "#b8321f")
ABSORPTION = np.array([2.75, 2.68, 2.50], np.float32)
"""Absorption of red, green and blue by black ink; thin ink appears bluish."""
SUPERSAMPLING = 2


@dataclass(frozen=True, kw_only=True)
class Ridge:
    """One layer of wash; heights are fractions of the image height, measured from the top."""

    level: float
    rise: float
    dark: float
    fall: float
    """Distance below the crest over which the ink fades into mist."""
    texture: float
    """Contrast of the brush texture on the slopes."""
    peaks: int


RIDGES = (
    Ridge(level=0.42, rise=0.12, dark=0.08, fall=0.10, texture=0.0, peaks=5),
    Ridge(level=0.48, rise=0.28, dark=0.17, fall=0.12, texture=0.08, peaks=4),
    Ridge(level=0.58, rise=0.42, dark=0.32, fall=0.13, texture=0.22, peaks=3),
    Ridge(level=0.70, rise=0.14, dark=0.50, fall=0.055, texture=0.20, peaks=4),
)


def draw(height: int, width: int, seed: int) -> Image.Image:
    """Return the drawing at a size in pixels; the seed changes the ridges, the boat and the pine."""
    rng = np.random.default_rng(seed)
    x, y = planning_grid(height, width)
    right, bottom = float(x.max()), float(y.max())
    size = min(right, 1.2 * bottom)
    fibers = _fibers(x, rng)
    wash = _sky(x, y, rng)
    for ridge in RIDGES:
        wash = _wash(wash, x, y, ridge, rng)
    foot = right - size * rng.uniform(0.13, 0.20)
    wash, ground = _rock(wash, x, y, size, foot, rng)
    tall, wide = height * SUPERSAMPLING, width * SUPERSAMPLING
    tooth = 0.5 * resized(fibers, tall, wide) + 0.8 * noise(rng, (tall, wide), 4, 2)
    ink = Ink(np.zeros((tall, wide), np.float32), tooth, rng)
    paint_pine(ink, (foot, ground + 0.02 * size), size * rng.uniform(0.50, 0.56), rng.uniform(-0.30, -0.18))
    paint_boat(ink, (right * rng.uniform(0.22, 0.42), bottom * rng.uniform(0.86, 0.90)), 0.11 * size)
    paint_birds(ink, (right * rng.uniform(0.24, 0.38), bottom * rng.uniform(0.11, 0.17)), 0.024 * size)
    halo = resized(resized(ink.density, tall // 8 + 1, wide // 8 + 1), tall, wide)
    density = np.clip(resized(wash, tall, wide), 0, None) + 0.14 * halo
    density = np.maximum(density * (1 + 0.09 * tooth), ink.density) + 0.0045 * tooth
    rgb = PAPER * np.exp(-ABSORPTION * density[..., None])
    stamp = _seal(tall, wide, (0.055 * size, bottom - 0.20 * size), 0.042 * size, rng)
    stamp = stamp * np.clip(0.90 + 0.12 * tooth, 0, 1)
    rgb = rgb * (1 - stamp[..., None]) + SEAL * stamp[..., None]
    turn = rng.choice([-1, 1])  # mirrored or not
    return to_picture(rgb[:, ::turn], height, width)


def _fibers(x: Field, rng: np.random.Generator) -> Field:
    """Return the long fibers of the paper, mean 0 and standard deviation 1."""
    angle = np.pi * noise(rng, x.shape, 60, 1)
    hairs = smeared(rng.normal(size=x.shape).astype(np.float32) ** 3, unit((np.cos(angle), np.sin(angle))), 6)
    scaled: Field = hairs / hairs.std()
    return scaled


def _sky(x: Field, y: Field, rng: np.random.Generator) -> Field:
    """Return a faint, uneven wash with dark rims where it dried."""
    pool = noise(rng, x.shape, 150, 4)
    rim = np.exp(-(((pool - 0.7) / 0.10) ** 2)) * (pool < 0.75)
    upper = smoothstep(0.45, 0.0, y / y.max())
    wash: Field = (0.030 + 0.022 * pool + 0.014 * rim) * upper
    return wash


def _crest(x: Field, ridge: Ridge, bottom: float, rng: np.random.Generator) -> Field:
    """Return the height of a ridge at each column, `(1, W)`: steep peaks with cracks."""
    line, right = x[:1], float(x.max())
    rise = np.zeros_like(line)
    for number in range(ridge.peaks):
        position = right * (number + rng.uniform(0.1, 0.9)) / ridge.peaks
        broad = right * rng.uniform(0.45, 0.8) / ridge.peaks
        peak = rng.uniform(0.35, 1.0) * np.exp(-(np.abs((line - position) / (0.6 * broad)) ** 1.5))
        rise = np.maximum(rise, peak) + 0.25 * np.minimum(rise, peak)
    rough = sum(noise(rng, (2, x.shape[1]), cell, 3)[:1] * fraction for cell, fraction in ((60, 0.07), (18, 0.022)))
    crest: Field = bottom * (ridge.level - ridge.rise * (rise + rough * (0.4 + rise)))
    return crest


def _wash(behind: Field, x: Field, y: Field, ridge: Ridge, rng: np.random.Generator) -> Field:
    """Add a ridge over the background: dark along its crest, partly bleeding, and fading into mist at its foot."""
    bottom = float(y.max())
    crest = _crest(x, ridge, bottom, rng)
    bleed = 0.0015 + 0.022 * smoothstep(0.2, 1.4, noise(rng, (2, x.shape[1]), 70, 2)[:1])
    ragged = noise(rng, x.shape, 10, 3)
    depth = y - crest + 0.25 * bleed * ragged
    slope = np.gradient(crest[0], 1 / FIELD_SIDE)[None]
    steep = np.hypot(1, slope)
    body = smoothstep(-1, 1, depth / (bleed * steep))
    pool = noise(rng, x.shape, 60, 3)
    thin = np.exp(-np.clip(depth, 0, None) / (bottom * ridge.fall * np.exp(0.30 * pool)))
    rim = 0.22 * np.exp(-((depth / (0.004 * steep) - 0.8) ** 2)) * smoothstep(0.012, 0.003, bleed)
    fall = unit((np.broadcast_to(0.35 * np.tanh(slope) + 0.25 * pool, x.shape), np.ones_like(x)))
    strokes = smeared(noise(rng, x.shape, 9, 3), fall, 9)
    strokes = np.clip(strokes / strokes.std(), -1.2, 2.4) * ridge.texture
    bank = 1 - 0.6 * smoothstep(-0.2, 2.2, streaks(rng, x.shape, 60, 2)) * smoothstep(0.01, 0.06, depth)
    ink = ridge.dark * (thin * (0.85 + 0.12 * pool + strokes) * bank + rim) * body
    laid: Field = behind * (1 - 0.93 * body) + np.clip(ink, 0, None)
    return laid


def _rock(behind: Field, x: Field, y: Field, size: float, foot: float, rng: np.random.Generator) -> tuple[Field, float]:
    """Add the rock in the corner, in dark strokes on bare paper, and return its height at `foot` too."""
    right, bottom = float(x.max()), float(y.max())
    line = (right - x[:1]) / size
    cracks = noise(rng, (2, x.shape[1]), 34, 4)[:1]
    crest = bottom - size * (0.215 * smoothstep(0.46, 0.06, line) + 0.016 * cracks - 0.045)
    depth = y - crest
    body = smoothstep(-0.003, 0.003, depth + 0.0015 * noise(rng, x.shape, 6, 2))
    lean = noise(rng, x.shape, 50, 2)
    strokes = smeared(noise(rng, x.shape, 8, 3), unit((0.9 + 0.3 * lean, 0.8 + 0.5 * lean)), 8)
    planes = smoothstep(-0.2, 1.4, strokes / strokes.std() + 0.6 * lean)
    ink = 0.16 + 0.72 * planes + 0.35 * np.exp(-np.clip(depth, 0, None) / 0.012)
    return behind * (1 - body) + ink * body, float(np.interp(foot, x[0], crest[0]))


def _seal(tall: int, wide: int, corner: tuple[float, float], edge: float, rng: np.random.Generator) -> Field:
    """Return an abstract mark in an unevenly printed square stamp."""
    side = max(tall, wide)
    y, x = np.mgrid[0:tall, 0:wide].astype(np.float32) / np.float32(side)
    u, v = (x - corner[0]) / edge, (y - corner[1]) / edge
    worn = resized(noise(rng, (128, 128), 3, 3), tall, wide) * 0.02
    square = smoothstep(0.54, 0.50, ((2 * u - 1) ** 6 + (2 * v - 1) ** 6) ** (1 / 6) / 2 + worn)
    cut = np.zeros_like(u)
    for position in (0.26, 0.52, 0.77):
        start, end = np.sort(rng.choice([0.12, 0.34, 0.62, 0.88], 2, replace=False))
        across = smoothstep(0.055, 0.035, np.abs(v - position) + worn) * (u > start) * (u < end)
        upright = smoothstep(0.055, 0.035, np.abs(u - position) + worn) * (v > start) * (v < end)
        cut = np.maximum(cut, np.maximum(across, upright))
    stamp: Field = square * (1 - cut)
    return stamp

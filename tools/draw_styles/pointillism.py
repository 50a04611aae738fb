"""Draw the style `pointillism`: a sunlit river bank in dabs of unmixed color on a primed canvas."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from draw_styles.fields import Field, lookup, palette, to_picture
from draw_styles.riverbank import plan_riverbank
from draw_styles.strokes import Canvas, Plan, lit

SUPERSAMPLING = 2
GROUND = palette("#ece0c4")[0]
PURE = palette(
    *("#241f66", "#2f45a8", "#3a74c9", "#3fa5d0", "#4fbfae", "#1d7a5c", "#3fa455", "#9cc843", "#f4e04f"),
    *("#f7bd2f", "#ee832b", "#db4a2c", "#b3264f", "#e27d9e", "#8350a4", "#4b2d7c"),
)
PIGMENTS = np.concatenate([PURE + (1 - PURE) * white for white in (0.0, 0.35, 0.68)]).astype(np.float32)
"""Unmixed colors and their tints with white."""
OPPONENTS = np.array([[0.60, 1.18, 0.22], [1.0, -1.0, 0.0], [0.5, 0.5, -1.0]], np.float32).T
"""Matrix from RGB to opponent colors: lightness (doubled, because it matters most), red-green, yellow-blue."""


@dataclass(frozen=True, kw_only=True)
class Dabs:
    """One pass of a brush; lengths are fractions of the image's longer side."""

    length: float
    width: float
    spacing: float
    spread: float
    """Standard deviation of the colors of neighboring dabs, in opponent units."""
    purity: float
    """Mix between the colors of the plan (0) and pure pigments (1)."""
    accents: float
    """Fraction of the dabs in the plan's second color."""


PASSES = (
    Dabs(length=0.026, width=0.014, spacing=0.0130, spread=0.06, purity=0.40, accents=0.0),
    Dabs(length=0.0140, width=0.0082, spacing=0.0082, spread=0.10, purity=0.60, accents=0.05),
    Dabs(length=0.0092, width=0.0054, spacing=0.0062, spread=0.14, purity=0.80, accents=0.09),
    Dabs(length=0.0064, width=0.0050, spacing=0.0105, spread=0.18, purity=0.95, accents=0.22),
)


def draw(height: int, width: int, seed: int) -> Image.Image:
    """Return the drawing at a size in pixels; the seed changes the trees, boats, strollers and every dab."""
    rng = np.random.default_rng(seed)
    plan = plan_riverbank(height, width, rng)
    tall, wide = height * SUPERSAMPLING, width * SUPERSAMPLING
    canvas = _primed(tall, wide, rng)
    for dabs in PASSES:
        _lay_dabs(canvas, plan, dabs, rng)
    return to_picture(lit(canvas, depth=0.0024 * max(tall, wide)), height, width)


def _primed(tall: int, wide: int, rng: np.random.Generator) -> Canvas:
    """Return a cream canvas with a visible weave."""
    y, x = np.mgrid[0:tall, 0:wide].astype(np.float32) * np.float32(2 * np.pi * 190 / max(tall, wide))
    weave = 0.16 * np.maximum(np.sin(x) * np.cos(y / 2), np.sin(y) * np.cos(x / 2))
    grain = rng.normal(0, 0.015, (tall, wide, 1)).astype(np.float32)
    paint = np.concatenate([GROUND * (1 + grain), weave[..., None]], axis=-1)
    return Canvas(paint.reshape(-1, 4).astype(np.float32), tall, wide)


def _lay_dabs(canvas: Canvas, plan: Plan, dabs: Dabs, rng: np.random.Generator) -> None:
    """Cover the canvas once, in random order, with dabs along the flow of the plan."""
    rows, columns = plan.scale.shape
    side, pixels = max(rows, columns), max(canvas.height, canvas.width)
    pitch = max(dabs.spacing * side, 2.5 * side / pixels)
    y, x = np.mgrid[0:rows:pitch, 0:columns:pitch]
    spots = np.stack([x.ravel(), y.ravel()], axis=-1) + rng.uniform(-0.6, 0.6, (x.size, 2)) * pitch
    scale = lookup(plan.scale, spots)
    repeats = rng.poisson(1 / scale**2)  # smaller dabs are closer together
    spots = np.repeat(spots, repeats, axis=0)
    spots = rng.permutation(spots + rng.normal(0, 0.3, spots.shape) * pitch)
    flow, size = lookup(plan.flow, spots), lookup(plan.scale, spots) * rng.uniform(0.75, 1.2, len(spots))
    angle = np.arctan2(flow[:, 1], flow[:, 0]) + rng.normal(0, 0.30, len(spots)).astype(np.float32)
    accent = rng.random(len(spots)) < dabs.accents
    planned = np.where(accent[:, None], lookup(plan.second, spots), lookup(plan.color, spots))
    colors = _broken(planned, dabs, rng)
    centers = (spots * [canvas.width / columns, canvas.height / rows]).astype(np.float32)
    halves = np.maximum(0.5 * pixels * np.outer(size, [dabs.length, dabs.width]), 1.2).astype(np.float32)
    for chunk in np.array_split(np.arange(len(spots)), 1 + len(spots) // 200):
        _stamp(canvas, centers[chunk], halves[chunk], angle[chunk], colors[chunk], rng)


def _broken(planned: Field, dabs: Dabs, rng: np.random.Generator) -> Field:
    """Return the colors of the dabs: moved randomly, mostly in hue, and then towards the nearest pigment."""
    stray = rng.normal(size=planned.shape) * np.array([0.9, 1.0, 1.0]) * dabs.spread
    target, pigments = planned @ OPPONENTS + stray, PIGMENTS @ OPPONENTS
    # The argument is the squared distance up to a constant.
    nearest = np.argmin((pigments**2).sum(axis=1) - 2 * target @ pigments.T, axis=1)
    mixed: Field = planned + (PIGMENTS[nearest] - planned) * dabs.purity
    return mixed.astype(np.float32)


def _stamp(
    canvas: Canvas, centers: Field, halves: Field, angle: Field, colors: Field, rng: np.random.Generator
) -> None:
    """Put dabs on the canvas, later ones over earlier ones; each is rounded with a ridge at its end."""
    reach = int(np.ceil(halves.max() * 1.05))
    down, across = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    x = np.rint(centers[:, :1]).astype(np.intp) + across.ravel()  # (N, K)
    y = np.rint(centers[:, 1:]).astype(np.intp) + down.ravel()
    dx, dy = (x - centers[:, :1]).astype(np.float32), (y - centers[:, 1:]).astype(np.float32)
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    along = (dx * cos + dy * sin) / halves[:, :1]
    aside = (dy * cos - dx * sin) / halves[:, 1:]
    bend = rng.normal(0, 0.22, (len(centers), 1)).astype(np.float32)
    edge = np.square(along**2) + np.square((aside + bend * (along**2 - 0.5)) ** 2)
    inside = (edge < 1) & (x >= 0) & (y >= 0) & (x < canvas.width) & (y < canvas.height)
    dab = np.nonzero(inside)[0]
    bristle = np.cos(9 * aside + 40 * bend)[inside]
    thick = 0.55 + 0.30 * np.sqrt(1 - edge[inside]) + 0.18 * along[inside] + 0.07 * bristle
    paint = np.column_stack([colors[dab] * (1 + 0.05 * bristle)[:, None], thick]).astype(np.float32)
    canvas.paint[y[inside] * canvas.width + x[inside]] = paint

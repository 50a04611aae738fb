"""Draw the style `woodcut`: mountains by a lake, hatched along their relief, black on cream with two accents."""

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
    smoothstep,
    to_picture,
)

PAPER, INK, RED, OCHRE = palette("#f1e6cc", "#1b1715", "#c63d22", "#dca542")
SUPERSAMPLING = 3
LINES = 120
"""Hatching lines along the longer side."""


@dataclass(frozen=True, kw_only=True)
class Blocks:
    """Ink of each printing block at each cell of the planning grid, `(H, W)` each."""

    tone: Field
    """Fraction of ink: 0 is bare paper, above 1 is solid."""
    phase: Field
    """Phase of the hatching, which increases by one per line."""
    red: Field
    ochre: Field
    sun: tuple[float, float]
    """Position of the sun, in units of the image's longer side."""


def draw(height: int, width: int, seed: int) -> Image.Image:
    """Return the drawing at a size in pixels; the seed changes the mountains, the sun and the cuts."""
    rng = np.random.default_rng(seed)
    x, y = planning_grid(height, width)
    plan = _lake(x, y, _mountains(x, y, _sky(x, y, rng), rng), rng)
    tall, wide = height * SUPERSAMPLING, width * SUPERSAMPLING
    tone, phase, red, ochre = (resized(part, tall, wide) for part in (plan.tone, plan.phase, plan.red, plan.ochre))

    swell = resized(0.07 * noise(rng, x.shape, 9, 2), tall, wide)  # the width of a cut varies along its length
    wave = 0.5 + 0.5 * np.cos(2 * np.pi * phase)
    slope_y, slope_x = np.gradient(phase)
    softness = np.clip(4.5 * np.hypot(slope_x, slope_y), 0.02, 0.5)
    ink = np.clip(0.5 + (tone + swell - wave) / softness, 0, 1)

    grain = resized(noise(rng, (x.shape[0], max(2, x.shape[1] // 24)), 3, 2), tall, wide)
    specks = resized(noise(rng, x.shape, 2.5, 2), tall, wide)
    ink = ink * (1 - 0.9 * smoothstep(2.35, 2.9, specks + 0.35 * grain))
    slip = max(1, round(0.0022 * max(tall, wide)))  # the color blocks are slightly misaligned with the key block
    rgb = PAPER * (1 + 0.012 * specks + 0.010 * grain)[..., None]
    for block, color in ((ochre, OCHRE), (red, RED)):
        cover = np.roll(block, (slip, -slip), (0, 1)) * (0.93 + 0.05 * np.clip(grain, -2, 1))
        rgb = rgb * (1 - cover[..., None]) + color * cover[..., None]
    shade = INK * (1 + 0.10 * grain)[..., None]
    return to_picture(rgb * (1 - ink[..., None]) + shade * ink[..., None], height, width)


def _sky(x: Field, y: Field, rng: np.random.Generator) -> Blocks:
    """Return rings of light around a red sun, darker at a distance, with ragged clouds."""
    right, bottom = float(x.max()), float(y.max())
    sun = (right * rng.uniform(0.3, 0.7), bottom * rng.uniform(0.22, 0.28))
    away = np.hypot(x - sun[0], y - sun[1])
    cloud = noise(rng, x.shape, 120, 3)
    ragged = 0.001 * noise(rng, x.shape, 7, 2)
    tone = np.clip(0.02 + 0.95 * away / right + 0.13 * cloud, 0.03, 0.92)
    radius = 0.11 * min(right, bottom)
    tone = np.where(away < 1.16 * radius, 0, tone)
    ochre = smoothstep(-0.006, 0.006, 0.24 - np.abs(y / bottom - 0.42) - 0.09 * cloud + 4 * ragged)
    ochre = np.where(away < 1.16 * radius, 0, ochre)
    red = smoothstep(0.001, -0.001, away - radius + ragged)
    return Blocks(tone=tone, phase=LINES * (away + 0.007 * cloud), red=red, ochre=ochre, sun=sun)


def _mountains(x: Field, y: Field, behind: Blocks, rng: np.random.Generator) -> Blocks:
    """Add three ridges, each hatched across its relief and lit from the side of the sun."""
    bottom = float(y.max())
    tone, phase, red, ochre = behind.tone, behind.phase, behind.red, behind.ochre
    for level, swell, shade, lean in (
        (0.50, 0.20, 0.34, 0.9),
        (0.63, 0.18, 0.50, -0.8),
        (0.735, 0.10, 0.72, 0.5),
    ):
        outline, height = (noise(rng, (2, x.shape[1]), cell, 2)[:1] for cell in (85, 130))
        crest = bottom * (level + swell * (0.42 + 0.30 * height - 0.85 * np.exp(-np.abs(outline))))
        relief = 0.034 * np.exp(-1.3 * np.abs(noise(rng, x.shape, 80, 2)))
        slope_y, slope_x = np.gradient(relief, 1 / FIELD_SIDE)
        light = np.tanh(1.6 * (slope_x * np.sign(x - behind.sun[0]) + 0.7 * slope_y))
        inside = y > crest
        tone = np.where(inside, np.clip(shade - 0.45 * light + 0.5 * (y - crest), 0.0, 1.15), tone)
        tone = np.maximum(tone, _outline(y, crest))
        direction = np.float32(np.hypot(lean, 0.75))
        phase = np.where(inside, LINES * ((lean * x + 0.75 * y) / direction + 1.25 * relief), phase)
        red, ochre = np.where(inside, 0, red), np.where(inside, 0, ochre)
    return Blocks(tone=tone, phase=phase, red=red, ochre=ochre, sun=behind.sun)


def _outline(y: Field, crest: Field) -> Field:
    """Return solid ink along a crest `(1, W)`, equally wide on steep and flat parts."""
    steep = np.hypot(1, np.gradient(crest[0], 1 / FIELD_SIDE))
    return 1.6 * smoothstep(0.0045, 0.002, np.abs(y - crest) / steep)


def _lake(x: Field, y: Field, behind: Blocks, rng: np.random.Generator) -> Blocks:
    """Add water in long horizontal cuts with the reflection of the sun, and a black near shore."""
    bottom = float(y.max())
    shore, near = 0.775 * bottom, bottom * (0.955 - 0.035 * noise(rng, (2, x.shape[1]), 120, 4)[:1])
    ripple = noise(rng, x.shape, 60, 3)
    depth = np.clip((y - shore) / (bottom - shore), 0, 1)
    water, land = y > shore, y > near
    path = np.exp(-(((x - behind.sun[0]) / (0.05 + 0.10 * depth)) ** 2))
    streaks = resized(noise(rng, (x.shape[0], max(2, x.shape[1] // 6)), 7, 2), *x.shape)
    tone = np.clip(0.50 + 0.14 * ripple + 0.15 * streaks - 0.55 * path + 0.18 * depth, 0, 1.1)
    tone = np.where(water, tone, behind.tone)
    tone = np.where(np.abs(y - shore) < 0.003, 1.4, tone)
    grass = 0.98 + 0.10 * noise(rng, x.shape, 16, 2)
    tone = np.maximum(np.where(land, grass, tone), _outline(y, near))
    phase = np.where(water, LINES * (y + 0.006 * ripple), behind.phase)
    phase = np.where(land, LINES * (0.9 * x + 0.25 * y + 0.02 * ripple), phase)
    dashes = smoothstep(0.485, 0.515, path + 0.22 * streaks) * water * ~land
    return Blocks(
        tone=tone,
        phase=phase,
        red=np.where(water, 0, behind.red),
        ochre=np.where(water, dashes, behind.ochre).astype(np.float32),
        sun=behind.sun,
    )

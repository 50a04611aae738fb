"""Draw the style `charcoal`: a jug, a bowl and fruit before a hanging cloth, hatched and smudged on toned paper."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from draw_styles.fields import (
    FIELD_SIDE,
    Field,
    lookup,
    noise,
    palette,
    planning_grid,
    resized,
    smeared,
    smoothstep,
    streamlines,
    to_picture,
    unit,
)
from draw_styles.inkbrush import Ink

PAPER, COAL = palette("#e9ddc8", "#1d1a19")
LIGHT = np.array([-0.62, -0.58, 0.53], np.float32)
"""Direction towards the light: x to the right, y down, z towards the viewer."""
SUPERSAMPLING = 2


@dataclass(frozen=True, kw_only=True)
class Hatching:
    """One pass of the charcoal; lengths are fractions of the image's longer side."""

    length: float
    width: float
    spacing: float
    turn: float
    """Angle between the strokes and the direction of the plan, in radians."""
    above: float
    """Tone below which there are no strokes."""
    dark: float
    dry: float


PASSES = (
    Hatching(length=0.085, width=0.0075, spacing=0.0105, turn=0.0, above=0.10, dark=0.62, dry=0.45),
    Hatching(length=0.060, width=0.0036, spacing=0.0064, turn=0.0, above=0.16, dark=0.95, dry=0.40),
    Hatching(length=0.050, width=0.0030, spacing=0.0070, turn=0.75, above=0.42, dark=1.05, dry=0.40),
    Hatching(length=0.035, width=0.0034, spacing=0.0066, turn=-0.45, above=0.66, dark=1.15, dry=0.30),
)


@dataclass
class Study:
    """Tone and direction of the strokes at each cell of the planning grid, and the outlines."""

    x: Field
    y: Field
    tone: Field
    """Darkness, 0 to 1, `(H, W)`."""
    flow: Field
    """Unit vectors `(H, W, 2)`."""
    outlines: list[tuple[int, Field]]
    """Number of the form and path `(N, 2)` in units of the image's longer side."""
    form: NDArray[np.intp]
    """Number of the last form that covers each cell, `(H, W)`."""

    def lay(self, inside: Field, tone: Field, flow: tuple[Field | float, Field | float]) -> None:
        """Cover this fraction of each cell with a new form."""
        self.form = np.where(inside > 0.5, self.form.max() + 1, self.form)
        along = unit([np.broadcast_to(np.asarray(axis, np.float32), self.x.shape) for axis in flow])
        self.tone = self.tone + (np.clip(tone, 0, 1) - self.tone) * inside
        self.flow = unit(self.flow + (along - self.flow) * inside[..., None])

    def outline(self, path: Field) -> None:
        """Remember an outline of the form that was added last."""
        self.outlines.append((int(self.form.max()), path))

    def shadow(self, middle: tuple[float, float], broad: float, high: float, dark: float) -> None:
        """Darken an ellipse with soft borders."""
        away = np.hypot((self.x - middle[0]) / broad, (self.y - middle[1]) / high)
        self.tone = np.clip(self.tone + dark * smoothstep(1.15, 0.45, away), 0, 1)

    def turned(self, middle: float, foot: float, tall: float, profile: list[float], tilt: float = 0.22) -> None:
        """Add a turned vessel; its radii are listed from bottom to top, in heights."""
        t = np.clip((foot - self.y) / tall, 0, 1)
        knots = np.linspace(0, 1, len(profile))
        smooth = np.interp(np.linspace(0, 1, 80), knots, profile)
        smooth = np.convolve(np.pad(smooth, 6, mode="edge"), np.hanning(13) / 6, mode="valid")
        radius = tall * np.interp(t, np.linspace(0, 1, len(smooth)), smooth).astype(np.float32)
        across = (self.x - middle) / np.maximum(radius, 1e-4)
        sag = tilt * radius * np.sqrt(np.clip(1 - across**2, 0, 1))  # the foot of a vessel is a circle seen from above
        inside = smoothstep(1.02, 0.98, np.abs(across)) * (self.y > foot - tall + sag) * (self.y < foot + sag)
        slope = np.interp(t, np.linspace(0, 1, len(smooth)), np.gradient(smooth, 1 / len(smooth)))
        normal = unit((np.clip(across, -1, 1), -0.6 * slope, np.sqrt(np.clip(1 - across**2, 0.02, 1))))
        self.lay(inside, _tone(normal, across), (1.0, -0.45 * across))
        edge = np.linspace(0, 1, len(smooth))
        for sense in (-1, 1):
            outline = np.stack([middle + sense * tall * smooth, foot - tall * edge], axis=-1)
            self.outline(outline)
        turn = np.linspace(0, np.pi, 24)
        rim = np.stack(
            [middle + tall * smooth[0] * np.cos(turn), foot + tilt * tall * smooth[0] * np.sin(turn)], axis=-1
        )
        self.outline(rim)

    def opening(self, middle: tuple[float, float], broad: float, tilt: float) -> None:
        """Add the dark inside of a vessel and its lit rim."""
        away = np.hypot((self.x - middle[0]) / broad, (self.y - middle[1]) / (tilt * broad))
        side = (self.x - middle[0]) / broad
        self.lay(smoothstep(1.04, 0.97, away), 0.10 + 0 * side, (1.0, 0.0))
        self.lay(smoothstep(0.92, 0.84, away), 0.92 - 0.45 * smoothstep(0.1, 0.9, side), (0.4, 1.0))
        turn = np.linspace(0, 2 * np.pi, 40)
        for scale in (1.0, 0.88):
            ring = [middle[0] + scale * broad * np.cos(turn), middle[1] + scale * tilt * broad * np.sin(turn)]
            self.outline(np.stack(ring, axis=-1))

    def fruit(self, middle: tuple[float, float], radius: float, squeeze: float = 1.0) -> None:
        """Add a round fruit with a dimple and a stem."""
        across, down = (self.x - middle[0]) / radius, (self.y - middle[1]) / (radius * squeeze)
        away = np.hypot(across, down)
        normal = unit((across, down, np.sqrt(np.clip(1 - away**2, 0.01, 1))))
        dimple = np.exp(-((across / 0.34) ** 2 + ((down + 0.78) / 0.16) ** 2))
        tone = _tone(normal, across) + 0.55 * dimple
        self.lay(smoothstep(1.02, 0.97, away), tone, (-down + 0.35, across + 0.35))
        turn = np.linspace(0.3, 2 * np.pi + 0.6, 40)
        ring = [middle[0] + radius * np.cos(turn), middle[1] + squeeze * radius * np.sin(turn)]
        self.outline(np.stack(ring, axis=-1))
        stem = [[0.0, -0.80], [0.05, -1.02], [0.16, -1.20]]
        self.outline(np.array(stem) * [radius, radius * squeeze] + middle)


def _tone(normal: Field, across: Field) -> Field:
    """Return the darkness of a form: light, core shadow, reflected light at the far edge, and a highlight."""
    light = normal @ LIGHT
    core = 0.92 - 0.95 * np.clip(light, -0.1, 0.95)
    reflected = 0.30 * smoothstep(0.55, 1.0, across)
    spark = 0.6 * smoothstep(0.955, 0.985, light)
    tone: Field = np.clip(core - reflected - spark, 0, 1)
    return tone


def draw(height: int, width: int, seed: int) -> Image.Image:
    """Return the drawing at a size in pixels; the seed changes the objects, the folds and every stroke."""
    rng = np.random.default_rng(seed)
    x, y = planning_grid(height, width)
    study = _plan(x, y, rng)
    tall, wide = height * SUPERSAMPLING, width * SUPERSAMPLING
    tooth = noise(rng, (tall, wide), 5, 2)
    laid = np.sin(np.arange(tall, dtype=np.float32) * 2 * np.pi * 150 / max(tall, wide))[:, None]
    tooth = 0.9 * tooth + 0.30 * laid
    ink = Ink(np.zeros((tall, wide), np.float32), tooth, rng)
    for hatching in PASSES:
        _hatch(ink, study, hatching)
    _contours(ink, study)
    rubbed = smeared(study.tone + 0.10 * noise(rng, x.shape, 30, 3), unit((1 + 0 * x, 0.7 + 0 * y)), 4)
    smudge = np.clip(resized(rubbed, tall, wide), 0, 1)
    density = np.maximum(0.40 * smudge, 0.93 * ink.density) + 0.10 * smudge * ink.density
    grain = density + 0.36 * tooth * np.clip(density, 0, 1) * np.clip(1.08 - density, 0, 1)
    cover = np.clip(grain, 0, 1)[..., None]
    sheet = PAPER * (1 + 0.020 * tooth + 0.012 * resized(noise(rng, x.shape, 60, 3), tall, wide))[..., None]
    rgb = sheet * (1 - cover) + COAL * cover
    return to_picture(rgb[:, :: rng.choice([-1, 1])], height, width)


def _plan(x: Field, y: Field, rng: np.random.Generator) -> Study:
    """Return the tones of a cloth, a table, and what is on it."""
    right, bottom = float(x.max()), float(y.max())
    size = min(right, 1.25 * bottom)
    study = Study(x, y, np.full_like(x, 0.4), unit((np.ones_like(x), np.ones_like(x))), [], np.zeros(x.shape, np.intp))
    table = 0.66 * bottom
    _cloth(study, right, table, rng)
    front = smoothstep(-0.002, 0.002, y - table)
    grain = noise(rng, x.shape, 40, 3)
    depth = (y - table) / (bottom - table)
    study.lay(front, 0.12 + 0.16 * depth + 0.05 * grain + 0.25 * smoothstep(0.45, 1.0, x / right), (1.0, 0.12))
    jug = right * rng.uniform(0.29, 0.34)
    bowl = right * rng.uniform(0.68, 0.73)
    foot = bottom * 0.80
    study.shadow((jug + 0.20 * size, foot + 0.010), 0.27 * size, 0.042 * size, 0.62)
    study.shadow((bowl + 0.10 * size, foot + 0.030 * size), 0.27 * size, 0.050 * size, 0.62)
    study.opening((bowl, foot - 0.13 * size), 0.19 * size, 0.24)
    for aside, lift in ((-0.105, 0.165), (0.095, 0.170), (-0.01, 0.210), (0.03, 0.135)):
        study.fruit((bowl + aside * size, foot - lift * size), size * rng.uniform(0.066, 0.078), 0.97)
    study.turned(bowl, foot, 0.13 * size, [0.50, 0.55, 1.0, 1.30, 1.45], 0.24)
    _handle(study, (jug + 0.115 * size, foot - 0.36 * size), size)
    jugs = [0.20, 0.24, 0.31, 0.335, 0.31, 0.24, 0.17, 0.145, 0.15, 0.19]
    study.turned(jug, foot, 0.50 * size, jugs, 0.26)
    study.opening((jug, foot - 0.50 * size), 0.093 * size, 0.26)
    for aside, down, radius in ((-0.10, 0.055, 0.066), (0.20, 0.085, 0.074), (0.345, 0.065, 0.058)):
        place = jug + aside * size + 0.03 * rng.normal() * size, foot + down * size
        study.shadow((place[0] + 0.9 * radius * size, place[1] + 0.80 * radius * size), 1.5 * radius, 0.3 * radius, 0.6)
        study.fruit(place, radius * size, 0.96)
    return study


def _cloth(study: Study, right: float, table: float, rng: np.random.Generator) -> None:
    """Add a cloth that hangs in folds, darker on the side away from the light."""
    x, y = study.x, study.y
    pull = 0.22 * np.sin(2.2 * y + rng.uniform(0, 6)) * (0.2 + y)
    across = x + pull + 0.010 * noise(rng, x.shape, 90, 2)
    phase = 24 * across + 2.0 * np.sin(5 * across + rng.uniform(0, 6)) + 1.2 * (y - table)
    fold = np.sin(phase) + 0.45 * np.sin(2.3 * phase + 1.0)
    tone = 0.50 + 0.24 * fold + 0.28 * (x / right - 0.5) + 0.10 * noise(rng, x.shape, 120, 2)
    lean = np.gradient(pull, 1 / FIELD_SIDE, axis=0)
    study.lay(np.ones_like(x), tone, (0.62 - lean, 1.0))
    study.tone = np.clip(study.tone + 0.35 * np.exp(-np.abs(y - table) / 0.012) * (y < table), 0, 1)


def _handle(study: Study, middle: tuple[float, float], size: float) -> None:
    """Add a handle, a bent tube."""
    across, down = (study.x - middle[0]) / (0.105 * size), (study.y - middle[1]) / (0.135 * size)
    away = np.hypot(across, down)
    beside = (away - 0.86) / 0.15
    tube = smoothstep(1.05, 0.90, np.abs(beside)) * (across > -0.35)
    study.lay(tube, 0.45 + 0.40 * beside * np.sign(across + down), (-down, across))
    turn = np.linspace(-1.9, 1.9, 30)
    for scale in (0.71, 1.01):
        ring = [middle[0] + 0.105 * size * scale * np.cos(turn), middle[1] + 0.135 * size * scale * np.sin(turn)]
        study.outline(np.stack(ring, axis=-1))


def _hatch(ink: Ink, study: Study, hatching: Hatching) -> None:
    """Draw strokes along the plan, more and darker ones where its tone is dark."""
    rng, (rows, columns) = ink.rng, study.tone.shape
    side = max(rows, columns)
    cos, sin = np.cos(hatching.turn), np.sin(hatching.turn)
    flow = study.flow @ np.array([[cos, sin], [-sin, cos]], np.float32)
    pitch = max(hatching.spacing * side, 4 * side / max(ink.density.shape))
    down, across = np.mgrid[0:rows:pitch, 0:columns:pitch]
    starts = np.stack([across.ravel(), down.ravel()], axis=-1) + rng.uniform(-0.6, 0.6, (across.size, 2)) * pitch
    starts = rng.permutation(starts).astype(np.float32)
    tone = lookup(study.tone, starts)
    starts = starts[tone > hatching.above + rng.normal(0, 0.10, len(starts))]
    lengths = (hatching.length * side * rng.uniform(0.5, 1.2, len(starts))).astype(np.float32)
    paths = streamlines(flow, starts, lengths / 8, 8)
    for path in paths:
        tones = lookup(study.tone, path)
        keep = np.abs(tones - tones[0]) < 0.22  # a stroke ends where the tone changes
        count = len(path) if keep.all() else int(np.argmin(keep))
        if count < 3:
            continue
        dark = hatching.dark * float(np.clip(tones[:count].mean(), 0, 1)) ** 0.8 * rng.uniform(0.75, 1.15)
        width = hatching.width * rng.uniform(0.7, 1.3)
        ink.stroke(path[:count] / FIELD_SIDE, width * np.array([0.6, 1.0, 0.9, 0.5]), dark, hatching.dry)


def _contours(ink: Ink, study: Study) -> None:
    """Draw each outline several times with a wandering hand, heavier where the form is dark."""
    rng = ink.rng
    for form, outline in study.outlines:
        for dark, width in ((0.55, 0.0022), (0.85, 0.0030), (1.05, 0.0042)):
            first = int(rng.integers(0, max(1, len(outline) // 3)))
            part = outline[first : first + max(3, int(len(outline) * rng.uniform(0.55, 1.0)))]
            wander = np.cumsum(rng.normal(0, 0.0004, part.shape), axis=0) + rng.normal(0, 0.0016, 2)
            shaded = float(lookup(study.tone, part * FIELD_SIDE).mean())
            widths = width * (0.5 + shaded) * rng.uniform(0.5, 1.3, 6)
            hidden = lookup(study.form, part * FIELD_SIDE) > form
            for piece in np.split(part + wander, np.flatnonzero(np.diff(hidden)) + 1):
                if len(piece) > 2 and not lookup(study.form, piece[1:2] * FIELD_SIDE)[0] > form:
                    ink.stroke(piece, widths, dark * (0.6 + 0.5 * shaded), 0.35)

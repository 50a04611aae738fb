"""Plan the style `brushstrokes`: wind in whirls around stars, over hills and a field of corn."""

from dataclasses import dataclass

import numpy as np

from draw_styles.fields import (
    Field,
    noise,
    palette,
    planning_grid,
    ramp,
    smeared,
    smoothstep,
    unit,
)
from draw_styles.strokes import Plan

SKY = palette("#0a1538", "#12296a", "#1b4596", "#2d6bb5", "#5595c6", "#93c0cc", "#dfe3c6")
HALO = palette("#4f93bd", "#8fbfc0", "#cfdcae", "#f1dc83", "#f3bd38", "#e58f2a", "#fdf0b4", "#fffbe0")
HILLS = palette("#081230", "#0f2b55", "#17496b", "#2a6a78", "#5d9490")
CORN = palette("#5c2c12", "#a8651a", "#c48b2a", "#e4b548", "#f6e3a0")


@dataclass(frozen=True)
class Whirl:
    """A whirl of air; lengths are in units of the image's longer side."""

    x: float
    y: float
    radius: float
    spin: float
    """Direction and speed of rotation."""
    glow: float
    """Fraction of its radius that shines: 0 is only air, 1 is a star."""


def plan_night(height: int, width: int, rng: np.random.Generator) -> tuple[Plan, Field]:
    """Return the plan and a field of the positions that need small strokes (contours and lights)."""
    x, y = planning_grid(height, width)
    whirls = _whirls(float(x.max()), float(y.max()), rng)
    flow = _wind(x, y, whirls, rng)
    color, second, lights = _sky(x, y, flow, whirls, rng)
    scale = 1 - 0.5 * lights
    contours = np.zeros_like(x)
    crests = ((0.64, 0.110, HILLS, 0.50), (0.71, 0.110, HILLS, 0.16), (0.82, 0.060, CORN, 0.16))
    vanishing = rng.uniform(0.25, 0.75) * float(x.max())
    for level, swell, colors, lift in crests:
        crest, slope = _crest(x, float(y.max()), level, swell, rng)
        inside = smoothstep(-0.002, 0.002, y - crest)[..., None]
        below = np.clip((y - crest) / 0.16, 0, 1)
        if colors is CORN:
            sway = 0.10 * noise(rng, x.shape, 70, 2)
            land = unit((x - vanishing + sway, 0.07 + 1.1 * np.abs(y - crest)))
        else:
            roll = 0.8 * np.sin(13 * x + rng.uniform(0, 6)) * below
            land = unit((np.ones_like(x), slope + roll))
        tone = smeared(noise(rng, x.shape, 26, 4), land, 17)
        tone = np.clip(0.42 + 0.27 * tone / tone.std() + lift * (1 - 1.4 * below), 0, 1)
        flow = unit(flow * (1 - inside) + land * inside)
        color = color * (1 - inside) + ramp(colors, tone) * inside
        other = ramp(SKY if colors is HILLS else HILLS, 0.35 + 0.5 * tone)
        second = second * (1 - inside) + other * inside
        scale = scale * (1 - inside[..., 0]) + inside[..., 0] * (0.62 + 0.25 * below)
        line = np.exp(-(((y - crest) / 0.0035) ** 2))
        contours = np.maximum(contours * (1 - inside[..., 0]), line)
        color = color + (HILLS[0] - color) * (0.8 * line[..., None])
    return Plan(flow=flow, color=color, second=second, scale=scale), np.maximum(contours, lights)


def _crest(x: Field, bottom: float, level: float, swell: float, rng: np.random.Generator) -> tuple[Field, Field]:
    """Return the height of a hill's outline at each column and its slope."""
    crest, slope = np.full_like(x, level * bottom), np.zeros_like(x)
    for wave, fraction in ((4.0, 0.6), (9.0, 0.3), (17.0, 0.1)):
        phase = np.float32(rng.uniform(0, 2 * np.pi))
        crest += swell * bottom * fraction * np.sin(wave * x + phase)
        slope += swell * bottom * fraction * wave * np.cos(wave * x + phase)
    return crest, slope


def _whirls(right: float, bottom: float, rng: np.random.Generator) -> list[Whirl]:
    """Return a moon, two large whirls of air and several stars that do not overlap."""
    sky = 0.62 * bottom
    size = min(right, sky * 1.6)
    jitter = rng.uniform(-0.03, 0.03, (3, 2)) * size
    whirls = [
        Whirl(0.80 * right + jitter[0, 0], 0.24 * sky + jitter[0, 1], 0.115 * size, 1.0, 1.0),
        Whirl(0.40 * right + jitter[1, 0], 0.50 * sky + jitter[1, 1], 0.150 * size, 1.3, 0.0),
        Whirl(0.60 * right + jitter[2, 0], 0.74 * sky + jitter[2, 1], 0.095 * size, -1.2, 0.0),
    ]
    for _ in range(400):
        radius = size * rng.uniform(0.034, 0.068)
        star = Whirl(
            rng.uniform(0.04, 0.96) * right,
            rng.uniform(0.08, 0.92) * sky,
            radius,
            float(rng.choice([-0.8, 0.8])),
            rng.uniform(0.75, 1.0),
        )
        gaps = [np.hypot(w.x - star.x, w.y - star.y) / (w.radius + star.radius) for w in whirls]
        if min(gaps) > 1.25 and len(whirls) < 12:
            whirls.append(star)
    return whirls


def _wind(x: Field, y: Field, whirls: list[Whirl], rng: np.random.Generator) -> Field:
    """Return the direction of the wind `(H, W, 2)`, which crosses the sky and rotates around each whirl."""
    sway = 0.45 * noise(rng, x.shape, 150, 2)
    stream = unit((np.ones_like(x), sway + 0.25 * np.sin(7 * x)))
    for whirl in whirls:
        across, down = x - whirl.x, y - whirl.y
        away = np.hypot(across, down) / whirl.radius
        inward = 0.22 if whirl.glow == 0 else 0.0
        turn = np.sign(whirl.spin)
        around = unit((-turn * down - inward * across, turn * across - inward * down))
        pull = np.exp(-((away / 1.45) ** 4)) + 0.35 * abs(whirl.spin) / (1 + away**2)
        pull = np.clip(pull, 0, 1)[..., None]
        stream = stream * (1 - pull) + around * pull
    return unit(stream)


def _sky(x: Field, y: Field, flow: Field, whirls: list[Whirl], rng: np.random.Generator) -> tuple[Field, Field, Field]:
    """Return the colors of the sky, the second color on the brush, and the proximity to a light."""
    bands = smeared(noise(rng, x.shape, 17, 2), flow, 30)
    bands = bands / bands.std()
    broad = noise(rng, x.shape, 120, 2)
    tone = 0.36 + 0.20 * bands + 0.07 * broad + 0.10 * np.clip((y / y.max() - 0.35) / 0.3, 0, 1)
    lights = np.zeros_like(x)
    shine = np.zeros_like(x)
    for whirl in whirls:
        away = np.hypot(x - whirl.x, y - whirl.y) / whirl.radius
        if whirl.glow == 0:
            angle = np.arctan2(y - whirl.y, x - whirl.x)
            arms = np.cos(2 * angle - np.sign(whirl.spin) * 7 * away)
            tone += np.exp(-((away / 1.15) ** 2)) * (0.16 + 0.28 * arms)
            continue
        shine = np.maximum(shine, whirl.glow * np.exp(-((away / 0.85) ** 2)))
        tone += np.exp(-((away / 1.7) ** 2)) * (0.18 + 0.16 * np.cos(6 * away))
        lights = np.maximum(lights, smoothstep(1.5, 0.8, away) * whirl.glow)
    blue = ramp(SKY, np.clip(tone, 0, 1))
    gold = ramp(HALO, np.clip(1.12 * shine - 0.12 + 0.09 * bands, 0, 1))
    mask = smoothstep(0.10, 0.55, shine + 0.11 * bands)[..., None]
    color = blue + (gold - blue) * mask
    turned = ramp(SKY, np.clip(tone + 0.24, 0, 1))
    second = turned + (ramp(HALO, np.clip(shine + 0.05, 0, 1)) - turned) * mask
    return color, second, lights

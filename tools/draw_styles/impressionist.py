"""Draw the style `impressionist`: a lily pond below a footbridge and willows, in short broken strokes of oil."""

import numpy as np
from PIL import Image

from draw_styles.fields import FIELD_SIDE, Field, lookup, noise, palette, planning_grid, ramp, smoothstep, to_picture
from draw_styles.scene import Scene, silhouette, streaks
from draw_styles.strokes import Canvas, Layer, Plan, lay_layer, lit

SUPERSAMPLING = 2
LEAVES = palette("#1d2f5a", "#22546a", "#2f7f62", "#6fa64c", "#b9cc5a", "#f2e08a")
MIST = palette("#7a86c0", "#a6b4d6", "#e7c9d0", "#f8e6bd")
WATER = palette("#3a3f8c", "#4d6fb0", "#6f9fc4", "#9fb6dc")
BRIDGE = palette("#22366e", "#2f7f90", "#8fd0b8", "#f4f3c8")
PADS = palette("#24566a", "#3f8f6a", "#86b85e", "#d3d98a")
BANK = palette("#2c4a6e", "#3f8a5a", "#9fc04e", "#efd86a")
WILLOW = palette("#2f6a5a", "#74a848", "#c9d25a", "#f6ea9a")
PETALS = palette("#d8548a", "#f2a0b4", "#fdeee0")
BROAD = Layer(length=0.058, width=0.026, spacing=0.0140, jitter=0.04)
MIDDLE = Layer(length=0.036, width=0.0165, spacing=0.0098, jitter=0.06)
FINE = Layer(length=0.023, width=0.0105, spacing=0.0092, jitter=0.085)


def draw(height: int, width: int, seed: int) -> Image.Image:
    """Return the drawing at a size in pixels; the seed changes the trees, the lilies and every stroke."""
    rng = np.random.default_rng(seed)
    plan, detail = _plan_pond(height, width, rng)
    tall, wide = height * SUPERSAMPLING, width * SUPERSAMPLING
    ground = np.array([0.62, 0.52, 0.56, 0.0], np.float32)
    canvas = Canvas(np.tile(ground, (tall * wide, 1)), tall, wide)
    lay_layer(canvas, plan, BROAD, rng, np.ones_like(detail))
    lay_layer(canvas, plan, MIDDLE, rng, np.full_like(detail, 0.85))
    lay_layer(canvas, plan, FINE, rng, np.clip(0.45 + detail, 0, 1))
    return to_picture(lit(canvas, depth=0.0030 * max(tall, wide)), height, width)


def _plan_pond(height: int, width: int, rng: np.random.Generator) -> tuple[Plan, Field]:
    """Return the plan and a field of the positions that need small strokes (bridge and flowers)."""
    x, y = planning_grid(height, width)
    right, bottom = float(x.max()), float(y.max())
    size = min(right, 1.2 * bottom)
    horizon = 0.43 * bottom
    scene = Scene.blank(x, y)
    _garden(scene, horizon, size, rng)
    _water(scene, horizon, rng)
    detail = _lilies(scene, horizon, size, rng)
    middle = right * rng.uniform(0.48, 0.56)
    detail = np.maximum(detail, _bridge(scene, (middle, horizon), 0.46 * right, size, rng))
    _willow(scene, horizon, size, rng)
    turn = rng.choice([-1, 1])  # mirrored or not
    parts = (scene.flow, scene.color, scene.second, scene.scale, detail)
    flow, color, second, scale, detail = (part[:, ::turn] for part in parts)
    return Plan(flow=flow * np.array([turn, 1], np.float32), color=color, second=second, scale=scale), detail


def _garden(scene: Scene, horizon: float, size: float, rng: np.random.Generator) -> None:
    """Add a misty opening of light between masses of trees, and the bank at their feet."""
    x, y = scene.x, scene.y
    right = float(x.max())
    haze = noise(rng, x.shape, 90, 3)
    light = np.clip(0.55 + 0.5 * (y / horizon - 0.4) + 0.16 * haze, 0, 1)
    scene.lay(np.ones_like(x), ramp(MIST, light), "#f3b98e", flow=(1.0, 0.5 * haze), scale=1.1)
    for number in range(26):
        depth = number / 26
        aside = rng.uniform(0.16, 0.62) * rng.choice([-1, 1])
        position = right * (0.55 + aside), horizon * rng.uniform(0.35 - 0.2 * depth, 0.95)
        radius = size * rng.uniform(0.07, 0.13)
        across, down = (x - position[0]) / radius, (y - position[1]) / (1.15 * radius)
        clump = smoothstep(0.2, -0.2, np.hypot(across, down) - 1 + 0.22 * noise(rng, x.shape, 18, 2))
        sun = np.clip(0.34 - 0.20 * down + 0.22 * across + 0.16 * depth + 0.10 * haze, 0.02, 0.98)
        color = ramp(LEAVES, sun) * (0.55 + 0.45 * depth) + MIST[1] * (0.45 - 0.45 * depth)
        scene.lay(clump, color, "#e8a45c" if number % 3 else "#7a5cb0", flow=(0.5 * across, 1.0), scale=0.95)
    tufts = noise(rng, x.shape, 24, 3)
    edge = horizon - size * (0.035 + 0.010 * tufts)
    grass = np.clip(0.62 + 0.18 * tufts - 6 * (y - edge), 0, 1)
    scene.lay(smoothstep(-0.003, 0.003, y - edge), ramp(BANK, grass), "#e05a78", flow=(0.3, 1.0), scale=0.75)


def _water(scene: Scene, horizon: float, rng: np.random.Generator) -> None:
    """Add still water: what is above it upside down, bluer and lighter, drawn in level strokes."""
    x, y = scene.x, scene.y
    depth = np.clip((y - horizon) / (float(y.max()) - horizon), 0, 1)
    ripple = streaks(rng, x.shape, 18, 5)
    mirrored = np.stack([x + 0.008 * ripple, 1.9 * horizon - 0.9 * y + 0.03 * ripple * (0.2 + depth)], axis=-1)
    above = 0.9 * lookup(scene.color, mirrored * FIELD_SIDE)
    sky = ramp(WATER, np.clip(0.25 + 0.35 * noise(rng, x.shape, 80, 3) + 0.4 * depth, 0, 1))
    color = above + (sky - above) * np.clip(0.10 + 0.42 * depth + 0.14 * ripple, 0, 0.9)[..., None]
    scene.lay(smoothstep(-0.002, 0.002, y - horizon), color, "#d79cc4", flow=(1.0, 0.10 * ripple), scale=0.9)


def _lilies(scene: Scene, horizon: float, size: float, rng: np.random.Generator) -> Field:
    """Add drifts of lily pads that grow towards the viewer, and flowers on them; return where the flowers are."""
    x, y = scene.x, scene.y
    right, bottom = float(x.max()), float(y.max())
    flowers = np.zeros_like(x)
    drifts = noise(rng, x.shape, 70, 2)
    for down in np.sqrt(np.linspace(0.02, 1, 260)):
        place = rng.uniform(0, right), horizon + (bottom - horizon) * (0.05 + 0.98 * down)
        if lookup(drifts, np.array(place) * FIELD_SIDE) < 0.25 - 0.35 * abs(place[0] / right - 0.5):
            continue
        radius = size * (0.012 + 0.040 * down) * rng.uniform(0.75, 1.2)
        across, tall = (x - place[0]) / radius, (y - place[1]) / (radius * (0.22 + 0.20 * down))
        away = np.hypot(across, tall)
        pad = smoothstep(1.08, 0.92, away)
        light = np.clip(0.55 - 0.30 * tall + 0.25 * across + rng.normal(0, 0.12), 0, 1)
        scene.lay(pad, ramp(PADS, light), "#b07ab8", flow=(1.0, 0.08 * across), scale=0.55 + 0.25 * down)
        if rng.random() < 0.42:
            lift = (y - place[1]) / radius + 0.35
            bloom = smoothstep(1.1, 0.8, np.hypot((across - 0.1) / 0.46, lift / 0.36))
            color = ramp(PETALS, np.clip(0.55 - 1.1 * lift + rng.normal(0, 0.2), 0, 1))
            scene.lay(bloom, color, "#fff3d0", flow=(across, lift - 0.5), scale=0.42)
            flowers = np.maximum(flowers, bloom)
    return flowers


def _bridge(scene: Scene, foot: tuple[float, float], half: float, size: float, rng: np.random.Generator) -> Field:
    """Add an arched footbridge with two rails and posts, and its reflection; return its pixels."""
    x, y = scene.x, scene.y
    across = (x - foot[0]) / half
    arch = foot[1] - size * (0.02 + 0.135 * np.sqrt(np.clip(1 - 0.85 * across**2, 0, 1)))
    slope = 0.9 * across
    ends = smoothstep(1.03, 0.99, np.abs(across))
    post = np.abs((across * 8 + 0.5) % 1 - 0.5) / 8 * half
    total = np.zeros_like(x)
    ripple = streaks(rng, x.shape, 10, 5)
    for upwards in (False, True):
        level = y if upwards else 2 * foot[1] + 0.02 - y + 0.012 * ripple
        deck = smoothstep(0.0195, 0.0165, np.abs(level - arch))
        rails = smoothstep(0.0100, 0.0070, np.abs(level - arch + 0.082 * size))
        rails = np.maximum(rails, smoothstep(0.0070, 0.0045, np.abs(level - arch + 0.046 * size)))
        between = (level < arch) & (level > arch - 0.087 * size)
        posts = smoothstep(0.0085, 0.0060, post) * between
        part = np.maximum(np.maximum(deck, rails), posts) * ends * (1.0 if upwards else 0.55)
        light = np.clip(0.55 - 16 * (level - arch) * (np.abs(level - arch) < 0.02) + 0.4 * (rails > 0.5), 0, 1)
        scene.lay(part, ramp(BRIDGE, light), "#5a58b0", flow=(1.0, slope if upwards else -slope), scale=0.5)
        total = np.maximum(total, part)
    return total


def _willow(scene: Scene, horizon: float, size: float, rng: np.random.Generator) -> None:
    """Add a trunk at the edge and strands of a willow that hang from above, pale against the shade."""
    x, y = scene.x, scene.y
    widths = [0.16, 0.10, 0.085, 0.08, 0.085, 0.10]
    foot = (0.03 * float(x.max()), horizon + 0.02 * size)
    bark = ramp(palette("#2f2a5c", "#6a5078", "#c08a5c"), np.clip(0.5 + 10 * (x - foot[0]), 0, 1))
    scene.lay(silhouette(x, y, foot, 1.2 * horizon, widths, widths), bark, "#4f7ac0", flow=(0.1, 1.0), scale=0.7)
    for _ in range(46):
        start = float(x.max()) * rng.triangular(-0.02, 0.02, 0.42)
        length = horizon * rng.uniform(0.45, 1.05) * (1 - start / float(x.max()))
        sway = rng.normal(0.0, 0.05)
        bent = x - start - sway * y - 0.10 * y**2
        taper = np.clip(1 - y / length, 0, 1)
        strand = smoothstep(1.0, 0.5, np.abs(bent) / (size * 0.0095 * (0.4 + 0.6 * taper))) * (y < length)
        color = ramp(WILLOW, np.clip(rng.uniform(0.15, 0.8) + 0.3 * y / horizon, 0, 1))
        scene.lay(0.85 * strand, color, "#5aa0c0", flow=(sway + 0.2 * y, 1.0), scale=0.55)

"""Plan the style `pointillism`: a sunny river bank with sails, a large tree and strollers with parasols."""

import numpy as np

from draw_styles.fields import FIELD_SIDE, Field, lookup, noise, palette, planning_grid, ramp, smoothstep
from draw_styles.scene import Scene, silhouette, streaks
from draw_styles.strokes import Plan

SKY = palette("#4f93d6", "#7db9e2", "#b4dbe2", "#f3e6bd", "#fbd796", "#f8bd98")
CLOUD = palette("#d3a3c6", "#f6cbbd", "#fff3d6")
HILLS = palette("#6470b8", "#8896cc", "#b5b5d6")
WATER = palette("#7fc0de", "#4b8fd0", "#3563b4", "#2c4798")
LEAVES = palette("#1f2160", "#1f4a6e", "#1f7358", "#4b9a48", "#a3c440", "#efe066")
LAWN = palette("#2c3f86", "#2f7a62", "#74b04a", "#bccf4c", "#f2df62", "#fbe9a0")
BARK = palette("#2b1d55", "#5b3768", "#b8703f")
SAIL = palette("#b58fc8", "#f6d5b4", "#fdeec4", "#fff6d8")
RED = palette("#9c2446", "#dd4b2a", "#fba54a")
WHITE = palette("#b79fce", "#f8e6d0", "#fffdf0")
SKIN = palette("#f3c095")[0]
VIOLET = palette("#241a5c", "#51398c", "#b07aa8")


def plan_riverbank(height: int, width: int, rng: np.random.Generator) -> Plan:
    """Return the colors, accents, direction and size of the dabs at each position."""
    x, y = planning_grid(height, width)
    right, bottom = float(x.max()), float(y.max())
    size = min(right, 1.2 * bottom)
    horizon = 0.42 * bottom
    scene = Scene.blank(x, y)
    _sky(scene, horizon, rng)
    _far_bank(scene, horizon, size, rng)
    _river(scene, horizon, rng)
    for position, depth, tall in ((0.94, 0.03, 0.09), (0.50, 0.055, 0.15), (0.61, 0.035, 0.10), (0.79, 0.15, 0.31)):
        foot = (right * (position + rng.uniform(-0.04, 0.04)), bottom * (0.42 + depth))
        _boat(scene, foot, size * tall * rng.uniform(0.9, 1.1), rng)
    _lawn(scene, right, bottom, rng)
    _tree(scene, (right * (0.13 + rng.uniform(-0.03, 0.05)), 0.86 * bottom), size, rng)
    for position, down, tall, dress, parasol in (
        (0.60, 0.865, 0.15, RED, WHITE),
        (0.45, 0.950, 0.29, VIOLET, RED),
        (0.33, 0.935, 0.27, RED, WHITE),
    ):
        foot = (right * (position + rng.uniform(-0.035, 0.035)), bottom * down)
        _stroller(scene, foot, size * tall, dress, parasol)
    turn = rng.choice([-1, 1])  # mirrored or not
    flow, color, second, scale = (part[:, ::turn] for part in (scene.flow, scene.color, scene.second, scene.scale))
    return Plan(flow=flow * np.array([turn, 1], np.float32), color=color, second=second, scale=scale)


def _sky(scene: Scene, horizon: float, rng: np.random.Generator) -> None:
    """Add a sky that is blue above and golden at the horizon, with rosy clouds."""
    down = np.clip(scene.y / horizon, 0, 1)
    swing = noise(rng, down.shape, 130, 2)
    scene.lay(np.ones_like(down), ramp(SKY, down + 0.05 * swing), "#f6b98c", flow=(1.0, 0.30 * swing), scale=1.1)
    cloud = streaks(rng, down.shape, 60, 3) - 0.9 * np.abs(down - 0.5)
    light = ramp(CLOUD, np.clip(0.6 * cloud, 0, 1))
    scene.lay(0.85 * smoothstep(0.1, 0.8, cloud), light, "#8fa6dc", flow=(1.0, 0.25 * swing), scale=1.0)


def _far_bank(scene: Scene, horizon: float, size: float, rng: np.random.Generator) -> None:
    """Add blue hills and in front of them trees, some of them poplars, and a few houses."""
    x, y = scene.x, scene.y
    crest = horizon - size * (0.060 + 0.022 * noise(rng, (2, x.shape[1]), 110, 3)[:1])
    haze = ramp(HILLS, np.clip((y - crest) / (0.08 * size), 0, 1))
    scene.lay(smoothstep(-0.002, 0.002, y - crest), haze, "#eaa0a0", flow=(1.0, 0.2), scale=0.8)
    for position in rng.permutation(np.linspace(0, 1, 30)) * float(x.max()):
        poplar = rng.random() < 0.25
        tall = size * (rng.uniform(0.09, 0.14) if poplar else rng.uniform(0.022, 0.050))
        widths = [0.05, 0.10, 0.11, 0.08, 0.01] if poplar else [0.8, 0.95, 0.85, 0.6, 0.1]
        light = np.clip(0.38 + (x - position) / tall * (4 if poplar else 0.4), 0.1, 0.8)
        tree = silhouette(x, y, (position, horizon), tall, widths, widths)
        scene.lay(tree, ramp(LEAVES, light), "#e98f5a", flow=(0.2, 1.0), scale=0.6)
    for position in rng.uniform(0.24, 0.46, 3) * float(x.max()):
        wall = silhouette(x, y, (position, horizon), 0.030 * size, [0.6, 0.6], [0.6, 0.6])
        roof = silhouette(x, y, (position, horizon - 0.028 * size), 0.018 * size, [1.3, 0.5], [1.3, 0.5])
        scene.lay(wall, SAIL[1], "#f0b070", flow=(0.0, 1.0), scale=0.6)
        scene.lay(roof, RED[1], "#8350a4", flow=(1.0, 0.0), scale=0.6)


def _river(scene: Scene, horizon: float, rng: np.random.Generator) -> None:
    """Add calm water: a distorted reflection of the scene above it, bluer towards the viewer."""
    x, y = scene.x, scene.y
    depth = np.clip((y - horizon) / (float(y.max()) - horizon), 0, 1)
    ripple = streaks(rng, x.shape, 14, 5)
    mirrored = np.stack([x + 0.006 * ripple, 2 * horizon - y + 0.030 * ripple * np.sqrt(depth)], axis=-1)
    above = lookup(scene.color, mirrored * FIELD_SIDE)
    blue = ramp(WATER, np.clip(1.6 * depth + 0.12 * ripple, 0, 1))
    color = above + (blue - above) * np.clip(0.22 + 0.9 * depth + 0.12 * ripple, 0, 0.85)[..., None]
    surface = smoothstep(-0.002, 0.002, y - horizon)
    scene.lay(surface, color, "#f3a268", flow=(1.0, 0.06 * ripple), scale=0.95)


def _boat(scene: Scene, foot: tuple[float, float], tall: float, rng: np.random.Generator) -> None:
    """Add two sails, a hull and their broken reflection."""
    aft, fore = ([0.02, 0.0, 0.0, 0.0], [0.50, 0.45, 0.28, 0.0])[:: rng.choice([-1, 1])]
    ripple = streaks(rng, scene.x.shape, 7, 5)
    reflection = np.clip(0.75 - 0.7 * (scene.y - foot[1]) / tall + 0.2 * ripple, 0, 1)
    for upwards, fraction in ((False, reflection), (True, np.ones_like(scene.x))):
        x = scene.x if upwards else scene.x + 0.05 * tall * ripple
        y = scene.y if upwards else 2 * foot[1] - scene.y
        flow = (0.25, 1.0) if upwards else (1.0, 0.0)
        mast = (foot[0], foot[1] - 0.08 * tall)
        across = (x - foot[0]) / tall
        jib = silhouette(x, y, mast, 0.82 * tall, [0.75 * reach for reach in fore], [0.75 * reach for reach in aft])
        warm = ramp(RED[1:], np.clip(0.4 + 2 * across, 0, 1))
        scene.lay(jib * fraction, warm, "#8350a4", flow=flow, scale=0.7)
        cloth = ramp(SAIL, np.clip(0.35 + 1.3 * across + 0.30 * (mast[1] - y) / tall, 0, 1))
        scene.lay(silhouette(x, y, mast, tall, aft, fore) * fraction, cloth, "#f3a84f", flow=flow, scale=0.7)
        hull = silhouette(x, y, foot, 0.10 * tall, [3.4, 4.2, 4.7], [3.4, 4.4, 5.6])
        scene.lay(hull * fraction, VIOLET[0], "#db4a2c", flow=(1.0, 0.0), scale=0.6)


def _lawn(scene: Scene, right: float, bottom: float, rng: np.random.Generator) -> None:
    """Add sunny grass with blue shade under the tree and along the near edge."""
    x, y = scene.x / right, scene.y / bottom
    edge = 0.625 + 0.34 * x**1.4 + 0.008 * noise(rng, x.shape, 60, 3)
    grass, tufts = smoothstep(-0.002, 0.002, y - edge), noise(rng, x.shape, 20, 3)
    dapple = noise(rng, x.shape, 34, 2)
    shade = smoothstep(0.20, -0.15, np.hypot((x - 0.12) / 0.42, (y - 0.80) / 0.11) - 1 + 0.25 * dapple)
    shade = np.maximum(shade, 0.8 * smoothstep(0.93, 1.02, y + 0.03 * tufts))
    tone = 0.76 + 0.09 * tufts - 0.50 * shade - 0.45 * smoothstep(0.022, 0.0, y - edge)
    color = ramp(LAWN, np.clip(tone, 0, 1))
    scene.lay(grass, color, "#f0914a", flow=(1.0, 0.35 + 0.15 * tufts), scale=1.0)
    scene.lay(grass * shade, color, "#8a62b8", flow=(1.0, 0.1 * tufts), scale=1.0)


def _tree(scene: Scene, foot: tuple[float, float], size: float, rng: np.random.Generator) -> None:
    """Add a forked trunk and clumps of leaves, from the shaded ones behind to the lit ones in front."""
    x, y = scene.x, scene.y
    for lean, tall, slim in ((0.16, 0.60, 0.7), (-0.22, 0.56, 0.55), (-0.02, 0.64, 1.0)):
        up = np.clip((foot[1] - y) / size, 0, 1)
        bent = x - lean * size * np.clip(up - 0.22, 0, 1) ** 1.2 + 0.012 * size * np.sin(14 * up)
        widths = [slim * reach for reach in (0.095, 0.058, 0.048, 0.045, 0.040, 0.036, 0.030, 0.02)]
        lit = np.clip(0.30 + (bent - foot[0]) / (0.07 * size), 0, 1)
        trunk = silhouette(bent, y, foot, tall * size, widths, widths)
        scene.lay(trunk, ramp(BARK, lit), "#3a74c9", flow=(0.15 + lean, -1.0), scale=0.8)
    ragged = noise(rng, x.shape, 14, 3)
    clumps = 40
    for number in range(clumps):
        angle, away = rng.uniform(0, 2 * np.pi), np.sqrt(rng.uniform(0, 1))
        radius = size * rng.uniform(0.050, 0.095)
        aside, lower = 0.31 * away * np.cos(angle), 0.21 * away * np.sin(angle)
        across = (x - foot[0] - size * aside) / radius
        down = (y - foot[1] - size * (lower - 0.68)) / (0.72 * radius)
        leaves = smoothstep(0.12, -0.12, np.hypot(across, down) - 1 + 0.20 * ragged)
        light = 0.30 + 0.30 * number / clumps - 0.9 * lower + 0.35 * aside + 0.25 * (across - down) + 0.07 * ragged
        accent = "#f3a23f" if number % 2 else "#6a4fb4"
        scene.lay(leaves, ramp(LEAVES, np.clip(light, 0.02, 0.98)), accent, flow=(-down, across), scale=0.9)


def _stroller(scene: Scene, foot: tuple[float, float], tall: float, dress: Field, parasol: Field) -> None:
    """Add a figure in a long dress under a parasol, lit from the right, and its shadow on the grass."""
    x, y = scene.x, scene.y
    across = (x - foot[0]) / tall
    shadow = smoothstep(1.15, 0.75, np.hypot((across + 0.45) / 0.60, (y - foot[1] - 0.01 * tall) / (0.08 * tall)))
    scene.lay(0.85 * shadow, LAWN[0], "#8a62b8", flow=(1.0, 0.1), scale=0.7)
    front = [0.17, 0.165, 0.15, 0.13, 0.11, 0.07, 0.10, 0.12, 0.10, 0.03, 0.0]
    back = [0.24, 0.23, 0.22, 0.21, 0.18, 0.08, 0.09, 0.11, 0.09, 0.03, 0.0]  # with a bustle
    light = np.clip(0.40 + 2.4 * across, 0, 1)
    figure = silhouette(x, y, foot, 0.84 * tall, back, front)
    scene.lay(figure, ramp(dress, light), "#3a74c9", flow=(0.15, 1.0), scale=0.50)
    head = smoothstep(1.1, 0.9, np.hypot(across, (y - foot[1]) / tall + 0.83) / 0.060)
    scene.lay(head, SKIN, "#db4a2c", flow=(0.0, 1.0), scale=0.45)
    dome = [1.10, 1.05, 0.94, 0.74, 0.44, 0.05]
    shade = silhouette(x, y, (foot[0] + 0.05 * tall, foot[1] - 0.88 * tall), 0.24 * tall, dome, dome)
    scene.lay(shade, ramp(parasol, np.clip(0.45 + 1.6 * across, 0, 1)), "#f7bd2f", flow=(1.0, 0.0), scale=0.50)

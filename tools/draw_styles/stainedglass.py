"""Draw the style `stainedglass`: a sunrise over hills, a river and irises, in streaked glass between lead cames."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from draw_styles.fields import Field, noise, palette, ramp, resized, smeared, smoothstep, to_picture, unit

SKY = palette("#ffe9a8", "#ffc04d", "#f58a3c", "#e0557a", "#8a4fa8", "#3a4fa8", "#1f3f8c", "#16306e")
SUN = palette("#fff4c4", "#ffcf3a")
HILLS = (
    palette("#5f6fc0", "#8f86d0", "#b49ad8"),
    palette("#1f6f9a", "#2fa3a0", "#6fc4a8"),
    palette("#0f5f4a", "#2f9a52", "#86c04a"),
)
RIVER = palette("#ffd98a", "#7fd0d8", "#2f9ac8", "#1b5fae", "#173f86")
BLADES = palette("#0c5a3a", "#2f9a48", "#a5cf4a")
PETALS = (palette("#3f1f8c", "#7a3fc0", "#c08ae8"), palette("#a01f5a", "#e0486a", "#ff9a8a"))
YELLOW = palette("#f09a1a", "#ffe04a")
BORDER = (palette("#8c1a2a", "#d83a3a"), palette("#12508c", "#2f8ad0"), palette("#0f6a52", "#3fb07a"))
LEAD = palette("#15161a")[0]
SUPERSAMPLING = 2

Mask = NDArray[np.bool_]
Labels = NDArray[np.int64]


@dataclass
class Window:
    """Pieces of glass; coordinates are in units of the image's longer side."""

    x: Field
    y: Field
    rng: np.random.Generator
    piece: Labels
    """Index of the piece at each pixel `(H, W)`."""
    colors: list[tuple[Field, Field, float]] = field(default_factory=list)
    """Color, color of the streaks, and direction of the streaks of each piece."""

    def glaze(self, inside: Mask, cells: Labels, colors: Field, tone: Field | float, angle: float) -> None:
        """Cover pixels with pieces: one for each value of `cells`, of the color at the mean of its tone `(H, W)`."""
        tones = np.broadcast_to(np.asarray(tone, np.float32), inside.shape)[inside]
        _, local = np.unique(cells[inside], return_inverse=True)
        means = np.bincount(local, tones) / np.maximum(np.bincount(local), 1)
        self.piece[inside] = len(self.colors) + local
        for mean in means:
            place = np.clip(mean + self.rng.normal(0, 0.09), 0, 1)
            streak = np.clip(place + self.rng.choice([-1, 1]) * self.rng.uniform(0.12, 0.3), 0, 1)
            gain = 1 + self.rng.normal(0, 0.07)
            pair = [ramp(colors, np.asarray(each)) * gain for each in (place, streak)]
            self.colors.append((pair[0], pair[1], angle + self.rng.normal(0, 0.5)))

    def single(self, inside: Mask, colors: Field, tone: Field | float, angle: float) -> None:
        """Cover pixels with one piece."""
        if inside.any():
            self.glaze(inside, np.zeros(inside.shape, np.int64), colors, tone, angle)


def draw(height: int, width: int, seed: int) -> Image.Image:
    """Return the drawing at a size in pixels; the seed changes the cuts, the hills, the flowers and the glass."""
    rng = np.random.default_rng(seed)
    tall, wide = height * SUPERSAMPLING, width * SUPERSAMPLING
    side = max(tall, wide)
    y, x = np.mgrid[0:tall, 0:wide].astype(np.float32) / np.float32(side)
    window = Window(x, y, rng, np.zeros((tall, wide), np.int64))
    _compose(window, wide / side, tall / side)
    glass = _glass(window)
    came = max(1.2, 0.00165 * side)
    blurred = _edges(window.piece, came)
    lead = smoothstep(0.10, 0.18, blurred)[..., None]
    shade = smoothstep(0.0, 0.42, _edges(window.piece, 4 * came))[..., None]
    glow = glass * (1.22 - 0.42 * shade)
    slope_y, slope_x = np.gradient(_blur(blurred, 0.5 * came) * came)
    shine = np.clip(-(slope_x + slope_y) * 1.3, -0.1, 0.8)[..., None]
    metal = LEAD * (1 + 0.25 * noise(rng, (tall, wide), 5, 2))[..., None] + 0.34 * shine
    return to_picture(glow * (1 - lead) + metal * lead, height, width)


def _blur(values: Field, radius: float) -> Field:
    """Return values in [0, 1] blurred with a Gaussian."""
    levels = Image.fromarray((np.clip(values, 0, 1) * 255).astype(np.uint8))
    return np.asarray(levels.filter(ImageFilter.GaussianBlur(radius)), np.float32) / 255


def _edges(piece: Labels, radius: float) -> Field:
    """Return a smooth ridge along the borders of the pieces, about 1 high."""
    lines = np.zeros(piece.shape, np.float32)
    lines[:, 1:] = piece[:, 1:] != piece[:, :-1]
    lines[1:] = np.maximum(lines[1:], piece[1:] != piece[:-1])
    wide = Image.fromarray((lines * 255).astype(np.uint8)).filter(ImageFilter.MaxFilter(3))
    return np.clip(_blur(np.asarray(wide, np.float32) / 255, radius) * radius * 0.8, 0, 1)


def _glass(window: Window) -> Field:
    """Return the light through the glass `(H, W, 3)`: streaks of a second color, ripples and seeds."""
    rng, shape = window.rng, window.piece.shape
    first, second = (np.array([each[k] for each in window.colors], np.float32)[window.piece] for k in (0, 1))
    grid = (max(16, shape[0] // 2), max(16, shape[1] // 2))
    rows = np.linspace(0, shape[0] - 1, grid[0]).astype(np.intp)
    columns = np.linspace(0, shape[1] - 1, grid[1]).astype(np.intp)
    angle = np.array([each[2] for each in window.colors], np.float32)[window.piece[np.ix_(rows, columns)]]
    flow = unit((np.cos(angle), np.sin(angle)))
    cell = max(grid) / 48
    streak = smeared(noise(rng, grid, cell, 4), flow, int(cell))
    streak = resized(streak / (streak.std() + 1e-6), *shape)
    ripple = smeared(noise(rng, grid, cell / 2, 2), flow, max(2, int(cell / 3)))
    slope = resized(np.gradient(ripple / (ripple.std() + 1e-6), axis=1) * cell / 9, *shape)
    seeds = resized(smoothstep(2.6, 3.4, noise(rng, grid, 3, 1)), *shape)
    blend = smoothstep(-0.3, 1.7, streak)[..., None]
    glass = first + (second - first) * blend
    light = 1 + 0.10 * streak + 0.26 * np.clip(slope, -1, 1) + 0.35 * seeds + 0.05 * noise(rng, shape, 6, 2)
    milky = 0.10 * np.clip(streak, 0, 1.5)[..., None]
    return glass * light[..., None] * (1 - milky) + milky


def _compose(window: Window, right: float, bottom: float) -> None:
    """Cut all pieces, from the sky to the border."""
    rng = window.rng
    sun = (right * rng.uniform(0.56, 0.70), bottom * rng.uniform(0.34, 0.40))
    _sky(window, sun)
    for level, swell, colors in zip((0.47, 0.56, 0.645), (0.16, 0.10, 0.07), HILLS, strict=True):
        _hill(window, level * bottom, swell * bottom, colors)
    _river(window, sun, bottom)
    for position in np.linspace(0.09, 0.91, 6) + rng.uniform(-0.04, 0.04, 6):
        _iris(window, (right * position, bottom * 1.02), bottom * rng.uniform(0.24, 0.50))
    _border(window, right, bottom)


def _sky(window: Window, sun: tuple[float, float]) -> None:
    """Cut rays and rings around a sun."""
    rng, away = window.rng, np.hypot(window.x - sun[0], window.y - sun[1])
    angle = np.arctan2(window.y - sun[1], window.x - sun[0])
    edges = np.cumsum(rng.uniform(0.7, 1.3, 24))
    ray = np.searchsorted(edges / edges[-1] * 2 * np.pi - np.pi, angle)
    offsets = rng.uniform(0, 0.6, 40)[ray] + 0.35 * (ray % 2)
    ring = np.floor(np.log(np.maximum(away, 0.02) / 0.07) / 0.40 + offsets).astype(np.int64)
    everywhere = np.ones(away.shape, bool)
    window.glaze(everywhere, ray + 1000 * ring, SKY, np.clip(0.98 * np.clip(away - 0.04, 0, 1) ** 0.75, 0, 1), 0.2)
    halo = away < 0.105
    window.glaze(halo, np.floor((angle + np.pi) / (2 * np.pi / 13)).astype(np.int64), SKY, 0.12, 1.0)
    window.single(away < 0.070, SUN, 0.5, 0.8)


def _hill(window: Window, level: float, swell: float, colors: Field) -> None:
    """Cut a hill into slabs along its slope."""
    rng, x = window.rng, window.x
    phases, waves = rng.uniform(0, 6, 3), (4.0, 9.0, 15.0)
    crest = sum(
        swell * part * np.sin(wave * x + phase)
        for part, wave, phase in zip((0.6, 0.3, 0.1), waves, phases, strict=True)
    )
    depth = window.y - level + crest
    band = np.floor(depth / 0.062 + 0.25 * np.sin(17 * x + phases[0])).astype(np.int64)
    cut = np.floor((x + rng.choice([-0.7, 0.7]) * depth + 0.035 * (band % 2)) / rng.uniform(0.075, 0.11))
    tone = np.clip(1.0 - 3.2 * depth, 0, 1)
    window.glaze(depth > 0, band * 1000 + cut.astype(np.int64), colors, tone, 0.4)


def _river(window: Window, sun: tuple[float, float], bottom: float) -> None:
    """Cut water in long waves between banks that widen towards the viewer."""
    rng, x, y = window.rng, window.x, window.y
    depth = np.clip((y - 0.61 * bottom) / (0.39 * bottom), 0, 1)
    middle = sun[0] + 0.16 * np.sin(5.2 * depth + 0.4) * (1 - 0.4 * depth) - 0.12 * depth
    aside = np.abs(x - middle) - (0.018 + 0.36 * depth**1.3)
    wave = depth**0.6 / 0.085 + 0.30 * np.sin(19 * x + 7 * depth)
    band = np.floor(wave).astype(np.int64)
    cut = np.floor((x + 0.071 * (band % 3)) / rng.uniform(0.13, 0.17)).astype(np.int64)
    tone = np.clip(0.1 + 0.5 * depth + 1.6 * np.abs(x - middle), 0, 1)
    window.glaze((aside < 0) & (y > 0.61 * bottom), band * 1000 + cut, RIVER, tone, 0.0)


def _iris(window: Window, foot: tuple[float, float], tall: float) -> None:
    """Cut long leaves and a flower of six petals with a yellow heart."""
    rng, x, y = window.rng, window.x, window.y
    up = np.clip((foot[1] - y) / tall, 0, 1.2)
    for bend, length, broad in ((-0.34, 0.72, 0.017), (0.30, 0.80, 0.016), (0.06, 0.55, 0.015), (0.0, 0.93, 0.006)):
        lean = (bend + rng.normal(0, 0.05)) * tall
        width = broad * np.sqrt(np.clip(1 - up / length, 0, 1)) * (0.5 + 0.5 * np.clip(4 * up, 0, 1))
        half = np.abs(x - foot[0] - lean * up**1.7)
        window.single((half < width) & (y <= foot[1]), BLADES, rng.uniform(0.2, 0.9), 1.5)
    colors = PETALS[int(rng.random() < 0.35)]
    head, size = (foot[0], foot[1] - tall), 0.078 * rng.uniform(0.85, 1.2)
    for turn, reach, tone in (
        (2.5, 1.0, 0.3),
        (0.64, 1.0, 0.35),
        (-1.57, 0.9, 0.9),
        (-2.5, 0.8, 0.75),
        (-0.64, 0.8, 0.7),
    ):
        direction = turn + rng.normal(0, 0.12)
        across, down = (x - head[0]) / size, (y - head[1]) / size
        along = across * np.cos(direction) + down * np.sin(direction)
        beside = (down * np.cos(direction) - across * np.sin(direction)) - 0.18 * along**2 * np.sign(np.cos(turn))
        petal = ((along - 0.55 * reach) / (0.60 * reach)) ** 2 + (beside / 0.40) ** 2 < 1
        window.single(petal, colors, tone, direction)
    fall = ((x - head[0]) / 0.34 / size) ** 2 + ((y - head[1] - 0.42 * size) / 0.62 / size) ** 2 < 1
    window.single(fall, colors, 0.5, 1.57)
    heart = ((x - head[0]) / 0.15 / size) ** 2 + ((y - head[1] - 0.18 * size) / 0.30 / size) ** 2 < 1
    window.single(heart, YELLOW, 0.6, 1.57)


def _border(window: Window, right: float, bottom: float) -> None:
    """Cut a frame of alternating blocks."""
    x, y = window.x, window.y
    edge = np.minimum(np.minimum(x, right - x), np.minimum(y, bottom - y))
    upright = np.minimum(x, right - x) < np.minimum(y, bottom - y)
    along = np.where(upright, y / bottom * 9, x / right * 12)
    block = np.floor(along).astype(np.int64)
    number = np.where(upright, 100, 300) + np.where(upright, x > right / 2, y > bottom / 2) * 1000 + block
    for turn, colors in enumerate(BORDER):
        window.glaze((edge < 0.027) & (block % 3 == turn), number, colors, 0.5, 0.5)

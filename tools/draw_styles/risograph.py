"""Draw the style `risograph`: a striped sun over mountains and water behind large leaves, in three screened inks."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from draw_styles.fields import Field, noise, palette, resized, smoothstep, to_picture

PAPER, YELLOW, PINK, BLUE = palette("#f4eddd", "#ffd512", "#f7468f", "#1f62b4")
SUPERSAMPLING = 3
SCREENS = ((YELLOW, 0.26, 118.0), (PINK, 1.31, 104.0), (BLUE, 0.79, 96.0))
"""Ink, angle of its screen in radians, and dots along the longer side."""

Tones = tuple[Field | float, Field | float, Field | float]
"""Tones of yellow, pink and blue: 0 is bare paper, 1 is solid."""


@dataclass
class Plates:
    """The three plates; coordinates are in units of the image's longer side."""

    x: Field
    y: Field
    tones: list[Field]

    def lay(self, inside: Field, tones: Tones) -> None:
        """Cover this fraction of each pixel."""
        self.tones = [old + (new - old) * inside for old, new in zip(self.tones, tones, strict=True)]

    def over(self, inside: Field, plate: int, tone: float) -> None:
        """Print more of one ink."""
        self.tones[plate] = np.maximum(self.tones[plate], tone * inside)

    def disc(self, middle: tuple[float, float], radius: float) -> Field:
        """Return the pixels of a circle."""
        return self._sharp(radius - np.hypot(self.x - middle[0], self.y - middle[1]))

    def _sharp(self, inward: Field) -> Field:
        return smoothstep(-0.0006, 0.0006, inward)


def draw(height: int, width: int, seed: int) -> Image.Image:
    """Return the drawing at a size in pixels; the seed changes the mountains, the leaves and the register."""
    rng = np.random.default_rng(seed)
    tall, wide = height * SUPERSAMPLING, width * SUPERSAMPLING
    side = max(tall, wide)
    y, x = np.mgrid[0:tall, 0:wide].astype(np.float32) / np.float32(side)
    plates = Plates(x, y, [np.zeros_like(x) for _ in SCREENS])
    _compose(plates, wide / side, tall / side, rng)
    rgb = PAPER * (1 + 0.012 * noise(rng, (tall, wide), 6, 2))[..., None]
    for tone, (ink, angle, dots) in zip(plates.tones, SCREENS, strict=True):
        slip = np.rint(rng.normal(0, 0.0022 * side, 2)).astype(int)
        cover = np.roll(_screened(tone, x, y, angle, dots, rng), (int(slip[0]), int(slip[1])), (0, 1))
        rgb = rgb * (1 - cover[..., None] * (1 - ink))  # transparent inks multiply
    return to_picture(rgb[:, :: rng.choice([-1, 1])], height, width)


def _screened(tone: Field, x: Field, y: Field, angle: float, dots: float, rng: np.random.Generator) -> Field:
    """Return the ink of one plate: dots whose size follows the tone, and the uneven print of the drum."""
    cos, sin = np.cos(angle), np.sin(angle)
    turns = np.float32(2 * np.pi * dots)
    u, v = turns * (x * cos + y * sin), turns * (y * cos - x * sin)
    screen = 0.5 + 0.25 * (np.cos(u) + np.cos(v))
    soft = 3.2 * dots / max(tone.shape)
    dot = np.clip(0.5 + (tone - screen) / soft, 0, 1) * (tone > 0.03)
    rows, columns = (max(8, side // 2) for side in tone.shape)
    speckle = resized(noise(rng, (rows, columns), 2.2, 1), *tone.shape)
    drum = resized(noise(rng, (64, 64), 20, 3), *tone.shape)
    bare = smoothstep(1.55, 2.5, speckle + 0.35 * drum)
    cover: Field = dot * (0.95 + 0.03 * np.clip(drum, -2, 1)) * (1 - 0.85 * bare)
    return cover


def _compose(plates: Plates, right: float, bottom: float, rng: np.random.Generator) -> None:
    """Lay the sky, the sun, the mountains, the water and the leaves, from far to near."""
    size = min(right, 1.25 * bottom)
    down = plates.y / bottom
    horizon = 0.62 * bottom
    sun = (right * rng.uniform(0.40, 0.60), bottom * 0.36)
    blue, pink = 0.62 * (1 - down / 0.55), 0.10 + 0.75 * (down - 0.15)
    plates.lay(np.ones_like(down), (np.clip(1.3 * (down - 0.22), 0, 0.7), np.clip(pink, 0, 0.6), np.clip(blue, 0, 1)))
    _stars(plates, right, bottom, rng)
    _sun(plates, sun, 0.215 * size)
    for _ in range(5):
        place = right * rng.uniform(0, 1), bottom * rng.uniform(0.08, 0.40)
        _cloud(plates, place, size * rng.uniform(0.10, 0.20), rng)
    levels = ((0.50, 0.17, (0.0, 0.55, 0.42)), (0.555, 0.13, (0.0, 0.85, 0.62)), (0.60, 0.09, (0.15, 0.55, 0.92)))
    for level, rise, tones in levels:
        _ridge(plates, level * bottom, rise * bottom, tones, rng)
    _water(plates, sun[0], horizon, bottom, rng)
    _leaves(plates, right, bottom, size, rng)


def _stars(plates: Plates, right: float, bottom: float, rng: np.random.Generator) -> None:
    """Leave small discs and crosses of the dark sky unprinted."""
    for _ in range(60):
        place = right * rng.uniform(0, 1), bottom * rng.uniform(0, 0.3)
        radius = rng.uniform(0.0012, 0.0034)
        across, down = np.abs(plates.x - place[0]), np.abs(plates.y - place[1])
        star = smoothstep(1.1, 0.9, (np.sqrt(across) + np.sqrt(down)) / np.sqrt(2.6 * radius))
        plates.lay(np.maximum(star, plates.disc(place, radius * 0.7)), (0.3, 0.0, 0.0))


def _sun(plates: Plates, middle: tuple[float, float], radius: float) -> None:
    """Add a disc from yellow to pink that is cut into stripes towards its foot."""
    down = (plates.y - middle[1]) / radius
    disc = plates.disc(middle, radius)
    stripe = np.floor((down + 1) * 6.5)
    gap = ((down + 1) * 6.5 - stripe) < np.clip(0.10 * (stripe - 4.5), 0, 0.62)
    plates.lay(disc, (1.1, np.clip(0.36 + 0.52 * down, 0.0, 0.95), 0.0))
    plates.lay(disc * gap, (0.25, 0.35, 0.0))


def _cloud(plates: Plates, place: tuple[float, float], broad: float, rng: np.random.Generator) -> None:
    """Add a flat cloud of rounded bars, white above and pink below."""
    for number in range(4):
        half = broad * rng.uniform(0.4, 1.0)
        thick = 0.085 * broad
        middle = place[0] + rng.uniform(-0.5, 0.5) * broad, place[1] + (number - 1.5) * 1.7 * thick
        reach = np.hypot(np.maximum(np.abs(plates.x - middle[0]) - half, 0), plates.y - middle[1])
        bar = smoothstep(0.0006, -0.0006, reach - thick)
        plates.lay(bar, (0.0, np.clip(0.28 + 0.34 * (plates.y - middle[1]) / thick, 0, 0.7), 0.0))


def _ridge(
    plates: Plates, level: float, rise: float, tones: tuple[float, float, float], rng: np.random.Generator
) -> None:
    """Add mountains with a lit and a shaded side, and lines along their slopes."""
    x, y = plates.x[:1], plates.y
    top, lit = np.full_like(x, -1), np.zeros_like(x)
    for position in np.arange(-0.05, 1.1, 0.15) + rng.uniform(-0.05, 0.05, 8):
        tall, broad = rise * rng.uniform(0.45, 1.1), rng.uniform(0.10, 0.19)
        peak = tall * (1 - np.abs(x - position) / broad)
        lit = np.where(peak > top, np.sign(position - x), lit)
        top = np.maximum(top, peak)
    rough = 0.05 * rise * resized(noise(rng, (2, 192), 9, 3), 2, x.shape[1])[:1]
    depth = y - (level - top + rough)
    inside = smoothstep(-0.0006, 0.0006, depth)
    zigzag = 0.25 * rise * resized(noise(rng, (64, 192), 10, 2), *y.shape)
    bright = smoothstep(-0.001, 0.001, (lit + 0 * y) * rise * 0.2 + zigzag * 0.3) * smoothstep(
        1.1 * rise, 0.1 * rise, depth
    )
    yellow, pink, blue = tones
    plates.lay(inside, (yellow + 0.6 * bright, pink, np.clip(blue - 0.45 * bright + 1.2 * depth, 0, 1.1)))
    lines = np.cos(2 * np.pi * 62 * (depth + 0.15 * plates.x * lit)) > 0.78
    plates.over(inside * lines * (1 - bright), 2, 1.0)


def _water(plates: Plates, sun: float, horizon: float, bottom: float, rng: np.random.Generator) -> None:
    """Add water with the broken reflection of the sun and long waves."""
    x, y = plates.x, plates.y
    depth = np.clip((y - horizon) / (bottom - horizon), 0, 1)
    inside = smoothstep(-0.0006, 0.0006, y - horizon)
    plates.lay(inside, (0.12 + 0 * depth, 0.34 - 0.3 * depth, 0.45 + 0.5 * depth))
    rows = np.sqrt(np.maximum(depth, 1e-4)) * 19
    row = np.floor(rows).astype(np.intp)
    wander = rng.normal(0, 0.022, 24)[row] + 0.004 * np.sin(70 * x + 2.4 * row)
    half = (0.10 + 0.05 * depth) * rng.uniform(0.55, 1.15, 24)[row]
    crest = (rows - row > 0.45) & (np.abs(x - sun - wander) < half)
    plates.lay(inside * crest, (1.1, np.clip(0.75 - 0.5 * depth, 0, 1), 0.0))
    wave = np.abs(rows - row - 0.2 - 0.10 * np.sin(40 * x + 3 * row)) < 0.075
    broken = resized(noise(rng, (48, 20), 2, 2), *x.shape) > 0.1
    plates.lay(inside * (wave & broken & ~crest), (0.0, 0.10, 0.10))


def _leaves(plates: Plates, right: float, bottom: float, size: float, rng: np.random.Generator) -> None:
    """Add fans of blades and split round leaves along the lower edge and the corners."""
    greens: tuple[Tones, ...] = (
        (0.9, 0.0, 0.85),
        (1.0, 0.10, 0.55),
        (0.25, 0.30, 1.1),
        (0.6, 1.0, 0.10),
        (1.1, 0.5, 0.0),
    )
    for position, lift in ((0.20, 1.02), (0.52, 1.06), (0.84, 1.02)):
        foot = right * (position + rng.uniform(-0.04, 0.04)), bottom * lift
        for angle in np.linspace(-2.75, -0.4, 9) + rng.normal(0, 0.06, 9):
            length = size * rng.uniform(0.17, 0.29)
            _blade(plates, foot, angle, length, greens[int(rng.integers(5))])
    for position, turn in ((-0.01, -0.75), (1.01, -2.40), (0.36, -1.3), (0.68, -1.9)):
        foot = right * position, bottom * rng.uniform(0.93, 1.0)
        edge = position < 0 or position > 1
        _split_leaf(
            plates, foot, turn + rng.normal(0, 0.1), size * (0.27 if edge else 0.15), greens[0 if edge else 2], rng
        )


def _blade(plates: Plates, foot: tuple[float, float], angle: float, length: float, tones: Tones) -> None:
    """Add a pointed leaf with a shaded half and ribs."""
    cos, sin = float(np.cos(angle)), float(np.sin(angle))
    across, down = plates.x - foot[0], plates.y - foot[1]
    along = (across * cos + down * sin) / length
    beside = (down * cos - across * sin) / length - 0.16 * along**2 * np.sign(cos)
    half = 0.105 * np.sqrt(np.clip(along, 0, 1)) * (1 - np.clip(along, 0, 1)) ** 0.7 * 1.9
    inside = smoothstep(-0.003, 0.003, half - np.abs(beside)) * (along > 0) * (along < 1)
    plates.lay(inside, tones)
    ribs = np.cos(2 * np.pi * 15 * (along - 1.1 * np.abs(beside))) > 0.72
    plates.over(inside * ((beside > 0) | ribs) * (np.abs(beside) > 0.006), 2, 0.62)
    plates.lay(inside * (np.abs(beside) < 0.006), (0.5, 0.05, 0.0))


def _split_leaf(
    plates: Plates, foot: tuple[float, float], angle: float, length: float, tones: Tones, rng: np.random.Generator
) -> None:
    """Add a heart-shaped leaf with deep cuts between its ribs and holes beside its middle."""
    cos, sin = float(np.cos(angle)), float(np.sin(angle))
    across, down = plates.x - foot[0], plates.y - foot[1]
    along = (across * cos + down * sin) / length - 0.25
    beside = (down * cos - across * sin) / length
    away, turn = np.hypot(along, beside), np.abs(np.arctan2(beside, along))
    outline = 0.80 - 0.16 * turn + 0.30 * smoothstep(0.5, 0.0, turn) - 0.25 * smoothstep(2.4, 3.1, turn)
    rib = turn / 0.36 + 0.15 * rng.normal() - 0.9 * away
    cut = np.abs(rib - np.rint(rib)) < 0.16 * smoothstep(0.36, 0.75, away / outline)
    hole = np.hypot((away - 0.30) / 0.08, (rib - np.rint(rib)) / 0.20) < 1
    inside = smoothstep(-0.004, 0.004, outline - away) * ~cut * ~(hole & (turn > 0.3))
    plates.lay(inside, tones)
    plates.over(inside * (beside > 0), 2, 0.95)
    veins = np.abs(rib - np.floor(rib) - 0.5) < 0.035 / np.maximum(away, 0.1) * 0.6
    plates.lay(inside * (veins | (np.abs(beside) < 0.010)), (1.0, 0.0, 0.05))
    texture = np.cos(2 * np.pi * 34 * (away + 0.2 * turn)) > 0.86
    plates.over(inside * texture * ~veins, 2, 1.0)

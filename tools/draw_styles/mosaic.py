"""Draw the style `mosaic`: a sun over scalloped waves in concentric rows of tesserae with pale grout."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from draw_styles.fields import Field, noise, palette, ramp, resized, smoothstep, to_picture

SUN = palette("#f7e7a6", "#f4c542", "#ec9a2c", "#d9582b", "#b3262a")
SKY = palette("#f0dfb4", "#8fc9b9", "#2f9aa0", "#16688c", "#123f73", "#0f2550")
WAVES = (
    palette("#0e2a57", "#1a5f93", "#48a9b5", "#eee3c0", "#155a7c", "#0b2348"),
    palette("#0d3b4f", "#14807a", "#7cc29a", "#f2e2a9", "#d99a2b", "#0d3b4f"),
    palette("#271a4a", "#3f4a9a", "#7fa6d6", "#efe6d2", "#b5452f", "#1c1a45"),
)
GROUT = palette("#cfc4ad")[0]
SUPERSAMPLING = 2

Labels = NDArray[np.intp]
"""Index of the disc or tile that covers each pixel, `(H, W)`."""


@dataclass(frozen=True)
class Disc:
    """A region of concentric rows of tiles; lengths are in units of the image's longer side."""

    x: float
    y: float
    radius: float
    colors: Field
    bands: float
    """Number of times that the colors run from first to last, and back, between the center and the rim."""


def draw(height: int, width: int, seed: int) -> Image.Image:
    """Return the drawing at a size in pixels; the seed changes the sun, the waves and the tiles."""
    rng = np.random.default_rng(seed)
    tall, wide = height * SUPERSAMPLING, width * SUPERSAMPLING
    side = max(tall, wide)
    discs = _composition(tall / side, wide / side, rng)
    tile = max(0.0155 * side, 6.0)
    region, rim = _regions(discs, tall, wide)
    nearest, gap, colors, tilt = _tiles(discs, region, tile, rng)

    edge = np.minimum(gap, 1.2 * rim)
    body = smoothstep(0.08 * tile, 0.18 * tile, edge)[..., None]
    dome = np.sqrt(np.clip(edge / (0.5 * tile), 0, 1))
    slope_y, slope_x = np.gradient(dome * 0.22 * tile)
    glint = -(slope_x + slope_y) * 0.30 + tilt[nearest]
    vein = resized(noise(rng, (256, 256), 5, 3), tall, wide) * 0.035
    glass = colors[nearest] * (1 + glint + vein)[..., None]
    mortar = GROUT * (0.78 + 0.09 * noise(rng, (tall, wide), 4, 2))[..., None]
    shadow = 1 - 0.35 * smoothstep(0.10 * tile, 0.0, edge)[..., None]
    return to_picture(mortar * shadow * (1 - body) + glass * body, height, width)


def _composition(bottom: float, right: float, rng: np.random.Generator) -> list[Disc]:
    """Return the discs of the sky, the sun and the waves from far to near; later discs cover earlier ones."""
    x, y = right * rng.uniform(0.25, 0.75), bottom * rng.uniform(0.22, 0.32)
    discs = [Disc(x, y, 1.6, SKY, 6.2), Disc(x, y, 0.135, SUN, 1.0)]
    radius, level, row = 0.085, 0.60 * bottom, 0
    while level < bottom + 0.9 * radius:
        step = 1.62 * radius
        offset = (row % 2) * step / 2 + rng.uniform(-0.1, 0.1) * step
        for middle in np.arange(offset - step, right + step, step):
            colors = WAVES[int(rng.integers(len(WAVES)))]
            lift = rng.uniform(-0.06, 0.06) * radius
            discs.append(Disc(float(middle), level + lift + radius, 1.02 * radius, colors, 1.0))
        level, radius, row = level + 0.62 * radius, radius * 1.22, row + 1
    return discs


def _regions(discs: list[Disc], tall: int, wide: int) -> tuple[Labels, Field]:
    """Return the uppermost disc at each pixel and its distance to the nearest visible rim in pixels."""
    side = max(tall, wide)
    y, x = np.mgrid[0:tall, 0:wide].astype(np.float32)
    region = np.zeros((tall, wide), np.intp)
    rim = np.full((tall, wide), np.inf, np.float32)
    for number, disc in enumerate(discs):
        inward = disc.radius * side - np.hypot(x - disc.x * side, y - disc.y * side)
        region[inward > 0] = number
        rim = np.where(inward > 0, inward, np.minimum(rim, -inward))
    return region, rim


def _tiles(
    discs: list[Disc], region: Labels, tile: float, rng: np.random.Generator
) -> tuple[Labels, Field, Field, Field]:
    """Return each pixel's tile, the extra distance to the next tile in pixels, and the tiles' colors and tilts."""
    side = max(region.shape)
    nearest = np.zeros(region.shape, np.intp)
    first = np.full(region.shape, 4 * tile, np.float32)
    second = np.full(region.shape, 4 * tile, np.float32)
    colors, tilts = [np.zeros(3, np.float32)], [0.0]
    for number, disc in enumerate(discs):
        for row in range(int(disc.radius * side / tile) + 1):
            radius = (row + 0.5) * tile
            count = max(1, round(2 * np.pi * radius / (tile * rng.uniform(0.9, 1.25))))
            for angle in (np.arange(count) + rng.uniform()) * 2 * np.pi / count:
                spot = radius + tile * rng.uniform(-0.07, 0.07)
                turn = angle + rng.uniform(-0.16, 0.16) * tile / radius
                x, y = disc.x * side + spot * np.cos(turn), disc.y * side + spot * np.sin(turn)
                if not _place((x, y, turn), tile, number, len(colors), region, nearest, first, second):
                    continue
                along = 1 - abs((radius / (disc.radius * side) * disc.bands) % 2 - 1)  # back and forth
                color = ramp(disc.colors, np.asarray(along + rng.normal(0, 0.035)))
                colors.append(color * (1 + rng.normal(0, 0.11)) + rng.normal(0, 0.022, 3).astype(np.float32))
                tilts.append(float(rng.normal(0, 0.05)))
    return nearest, second - first, np.array(colors, np.float32), np.array(tilts, np.float32)


def _place(
    pose: tuple[float, float, float],
    tile: float,
    number: int,
    name: int,
    region: Labels,
    nearest: Labels,
    first: Field,
    second: Field,
) -> bool:
    """Assign the pixels of a region that are closest to a tile (in the 4-norm); return False if there are none."""
    x, y, turn = pose
    reach = 1.6 * tile
    top, bottom = max(0, int(y - reach)), min(region.shape[0], int(y + reach) + 1)
    left, right = max(0, int(x - reach)), min(region.shape[1], int(x + reach) + 1)
    if top >= bottom or left >= right:
        return False
    window = (slice(top, bottom), slice(left, right))
    mine = region[window] == number
    if not mine.any():
        return False
    down, across = np.mgrid[top:bottom, left:right].astype(np.float32)
    down, across = down - y, across - x
    outward = across * np.cos(turn) + down * np.sin(turn)
    sideways = down * np.cos(turn) - across * np.sin(turn)
    distance = ((outward**4 + sideways**4) ** 0.25).astype(np.float32)
    closer = mine & (distance < first[window])
    runner_up = np.where(closer, first[window], np.minimum(second[window], distance))
    second[window] = np.where(mine, runner_up, second[window])
    first[window] = np.where(closer, distance, first[window])
    nearest[window] = np.where(closer, name, nearest[window])
    return True

"""Provide the building blocks of the drawings: smooth noise, color ramps and streamlines."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Field = NDArray[np.floating[Any]]
"""Values on a grid, `(H, W)` or `(H, W, C)`."""

FIELD_SIDE = 512
"""Longer side of the planning grid in cells; the layout is planned on it, independent of the image size."""


def resized(field: Field, height: int, width: int) -> Field:
    """Resize one channel `(H, W)` with a bicubic filter."""
    picture = Image.fromarray(np.ascontiguousarray(field, dtype=np.float32))
    return np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC), dtype=np.float32)


def planning_grid(height: int, width: int) -> tuple[Field, Field]:
    """Return the coordinates x and y of the cells of the planning grid, in units of the image's longer side."""
    scale = FIELD_SIDE / max(height, width)
    rows, columns = max(2, round(height * scale)), max(2, round(width * scale))
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32) / np.float32(FIELD_SIDE)
    return x, y


def noise(rng: np.random.Generator, shape: tuple[int, int], cell: float, octaves: int = 3) -> Field:
    """Return fractal noise of mean 0 and standard deviation 1; its coarsest octave has blobs of about `cell` cells."""
    total = np.zeros(shape, np.float32)
    for octave in range(octaves):
        size = max(1.0, cell / 2**octave)
        rows, columns = int(shape[0] / size) + 4, int(shape[1] / size) + 4
        lattice = rng.normal(size=(rows, columns)).astype(np.float32)
        blobs = resized(lattice, int(rows * size), int(columns * size))
        total += blobs[int(size) :, int(size) :][: shape[0], : shape[1]] / 2**octave
    centered: Field = total - total.mean()
    return centered / (float(total.std()) + 1e-6)


def palette(*colors: str) -> Field:
    """Return colors such as `"#1c3a7e"` as rows of RGB in [0, 1], `(N, 3)`."""
    return np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in colors], np.float32) / 255


def ramp(colors: Field, position: Field) -> Field:
    """Interpolate a palette at `position` (0: first color, 1: last color); adds a channel axis to `position`."""
    stops = np.linspace(0, 1, len(colors))
    channels = [np.interp(position, stops, colors[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=-1).astype(np.float32)


def smoothstep(low: float, high: float, value: Field) -> Field:
    """Return 0 below `low`, 1 above `high` and a smooth transition between them."""
    t: Field = np.clip((value - low) / (high - low), 0, 1)
    return (t * t * (3 - 2 * t)).astype(np.float32)


def lookup(field: Field, points: Field) -> Field:
    """Return the values of a field at the cells nearest to `points`, whose last axis is (x, y) in cells."""
    x = np.clip(np.rint(points[..., 0]), 0, field.shape[1] - 1).astype(np.intp)
    y = np.clip(np.rint(points[..., 1]), 0, field.shape[0] - 1).astype(np.intp)
    values: Field = field[y, x]
    return values


def streamlines(flow: Field, starts: Field, step: Field, count: int) -> Field:
    """Return paths `(N, count + 1, 2)` in cells that follow `flow` `(H, W, 2)` from each start for `count` steps."""
    path: list[Field] = [starts]
    for _ in range(count):
        here = path[-1]
        halfway = here + 0.5 * step[:, None] * lookup(flow, here)
        path.append(here + step[:, None] * lookup(flow, halfway))
    return np.stack(path, axis=1)


def smeared(field: Field, flow: Field, length: int) -> Field:
    """Average a field along the flow, over `length` steps of two cells in each direction."""
    rows, columns = field.shape
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
    total = field.copy()
    for direction in (1.0, -1.0):
        points = np.stack([x, y], axis=-1)
        for _ in range(length):
            points = points + 2 * direction * lookup(flow, points)
            total += lookup(field, points)
    return total / (2 * length + 1)


def unit(vectors: Sequence[Field] | Field) -> Field:
    """Scale vectors (x, y) to length 1, stacked on the last axis."""
    stacked = vectors if isinstance(vectors, np.ndarray) else np.stack(list(vectors), axis=-1)
    length = np.linalg.norm(stacked, axis=-1, keepdims=True)
    scaled: Field = (stacked / np.maximum(length, 1e-6)).astype(np.float32)
    return scaled


def to_picture(rgb: Field, height: int, width: int) -> Image.Image:
    """Convert an RGB field in [0, 1] to an image, reduced to a size in pixels with antialiasing."""
    levels = np.rint(np.clip(rgb, 0, 1) * 255).astype(np.uint8)
    return Image.fromarray(levels).resize((width, height), Image.Resampling.LANCZOS)

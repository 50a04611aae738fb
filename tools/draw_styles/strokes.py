"""Draw oil paint: tapered strokes of many bristles along a flow, wet on wet, and the light on their relief."""

from dataclasses import dataclass

import numpy as np

from draw_styles.fields import Field, lookup, streamlines

LIGHT = np.array([-0.55, -0.65, 0.85], np.float32) / np.float32(np.linalg.norm([-0.55, -0.65, 0.85]))
"""Direction towards the light: x to the right, y down, z towards the viewer."""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One pass of a brush over the image; lengths are fractions of the image's longer side."""

    length: float
    width: float
    spacing: float
    """Distance between the starts of neighboring strokes."""
    jitter: float
    """Standard deviation of the color of a stroke around the plan, in RGB units."""
    opacity: float = 0.95


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Direction, colors and sizes of the strokes on the planning grid."""

    flow: Field
    """Unit vectors `(H, W, 2)`."""
    color: Field
    """RGB `(H, W, 3)`."""
    second: Field
    """Second color on the brush, RGB `(H, W, 3)`."""
    scale: Field
    """Size of the strokes relative to the layer's, `(H, W)`."""


@dataclass
class Canvas:
    """Color and thickness of the wet paint at each pixel, changed in place by each stroke."""

    paint: Field
    """`(H * W, 4)`: RGB and height."""
    height: int
    width: int


def lay_layer(canvas: Canvas, plan: Plan, layer: Layer, rng: np.random.Generator, where: Field) -> None:
    """Draw strokes in random order; `where` is the probability of a stroke at each cell."""
    rows, columns = plan.scale.shape
    side = max(rows, columns)
    pixel = side / max(canvas.height, canvas.width)  # in cells; strokes closer than that add nothing
    pitch = max(layer.spacing * side, 2.5 * pixel)
    y, x = np.mgrid[-pitch : rows + pitch : pitch, -pitch : columns + pitch : pitch]
    starts = np.stack([x.ravel(), y.ravel()], axis=-1) + rng.uniform(-0.6, 0.6, (x.size, 2)) * pitch
    starts = rng.permutation(starts).astype(np.float32)
    starts = starts[lookup(where, starts) > rng.random(len(starts))]

    scale = lookup(plan.scale, starts) * rng.uniform(0.7, 1.3, len(starts)).astype(np.float32)
    lengths = layer.length * side * scale * rng.uniform(0.6, 1.25, len(starts)).astype(np.float32)
    steps = 14
    middle = streamlines(plan.flow, starts, -lengths / (2 * steps), steps)[:, -1]  # half a stroke upstream
    paths = streamlines(plan.flow, middle, lengths / steps, steps)
    to_pixels = np.array([canvas.width / columns, canvas.height / rows], np.float32)
    widths = np.maximum(layer.width * scale * max(canvas.height, canvas.width), 2.5)

    first, second = lookup(plan.color, starts), lookup(plan.second, starts)
    tone = rng.normal(0, layer.jitter, (len(starts), 1)) + rng.normal(0, layer.jitter / 2, (len(starts), 3))
    first = first + tone
    for path, width, one, other in zip(paths * to_pixels, widths, first, second, strict=True):
        lay_stroke(canvas, path, float(width), one, other, layer.opacity, rng)


def lay_stroke(
    canvas: Canvas,
    path: Field,
    width: float,
    color: Field,
    second: Field,
    opacity: float,
    rng: np.random.Generator,
) -> None:
    """Draw one tapered stroke, `width` pixels wide, of bristles with individual mixtures of two colors."""
    length = float(np.linalg.norm(np.diff(path, axis=0), axis=1).sum())
    along, across = int(length / 0.75) + 2, int(width / 0.75) + 2
    s = np.linspace(0, 1, along, dtype=np.float32)[:, None]  # (A, 1) from start to end
    v = np.linspace(-1, 1, across, dtype=np.float32)[None]  # (1, B) from one edge to the other
    knots = np.linspace(0, 1, len(path))
    center = np.stack([np.interp(s[:, 0], knots, path[:, axis]) for axis in (0, 1)], axis=-1)
    tangent = np.gradient(center, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True) + 1e-6

    bristles = rng.normal(size=(3, max(5, int(width / 2.6)))).astype(np.float32)
    positions = np.linspace(-1, 1, bristles.shape[1])
    early, late, mix = (np.interp(v[0], positions, row).astype(np.float32)[None] for row in bristles)
    streak = early * (1 - s) + late * s  # (A, B)
    ragged = s - 0.10 * early + 0.03  # bristles start and end at different points
    profile = np.sqrt(np.clip(ragged / 0.12, 0, 1)) * np.sqrt(np.clip((1.05 - ragged) / 0.5, 0, 1))
    reach = 0.5 * width * (0.15 + 0.85 * profile)
    x = center[:, :1] - tangent[:, 1:] * v * reach
    y = center[:, 1:] + tangent[:, :1] * v * reach
    cover = opacity * np.clip(4 * profile, 0, 1) * np.clip(1.6 - 1.1 * s + 0.55 * streak, 0.1, 1)

    in_width, in_height = np.abs(x + 0.5 - canvas.width / 2), np.abs(y + 0.5 - canvas.height / 2)
    inside = (in_width < canvas.width / 2) & (in_height < canvas.height / 2) & (profile > 0)
    pixels = (np.rint(y[inside]) * canvas.width + np.rint(x[inside])).astype(np.intp)
    blend = np.broadcast_to(0.5 + 0.5 * np.tanh(1.6 * mix - 1.1), x.shape)[inside][:, None]
    paint = np.empty((len(pixels), 4), np.float32)
    paint[:, :3] = (color + (second - color) * blend) * (1 + 0.10 * streak[inside][:, None])
    ridge = 0.55 + 0.45 * v**4 + 0.30 * streak + 0.5 * np.exp(-(((s - 0.93) / 0.05) ** 2))
    wet = canvas.paint[pixels]
    paint[:, 3] = ridge[inside] * min(1.0, width / 8) + 0.35 * wet[:, 3]
    canvas.paint[pixels] = wet + (paint - wet) * cover[inside][:, None]


def lit(canvas: Canvas, depth: float) -> Field:
    """Return the RGB of the painting under a raking light, `(H, W, 3)`; `depth` is the paint thickness in pixels."""
    paint = canvas.paint.reshape(canvas.height, canvas.width, 4)
    slope_y, slope_x = np.gradient(paint[..., 3] * depth)
    normal = np.stack([-slope_x, -slope_y, np.ones_like(slope_x)], axis=-1)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    diffuse = normal @ LIGHT / LIGHT[2]
    halfway = LIGHT + np.array([0, 0, 1], np.float32)
    gloss = np.clip(normal @ (halfway / np.linalg.norm(halfway)), 0, 1) ** 24
    flat_gloss = np.float32((halfway[2] / np.linalg.norm(halfway)) ** 24)
    shade = 0.62 + 0.38 * np.clip(diffuse, 0, 1.7)
    lit_paint: Field = paint[..., :3] * shade[..., None] + 0.10 * np.clip(gloss - flat_gloss, 0, 1)[..., None]
    return lit_paint

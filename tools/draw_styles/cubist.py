"""Draw the style `cubist`: a guitar, a bottle and a newspaper, broken into shaded planes seen from several sides."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from draw_styles.fields import Field, noise, palette, planning_grid, resized, smoothstep, to_picture, unit
from draw_styles.strokes import Canvas, Layer, Plan, lay_layer, lit

SUPERSAMPLING = 2
SOURCE = 1024
"""Pixels of one unit of the picture that is broken up."""
WALL, TABLE, CLOTH, WOOD, SHADE, HOLE, GLASS, PAPER, INK, RUST, SLATE = palette(
    *("#8a8f84", "#6b4a2c", "#d8cbb0", "#c98f45", "#8a5a2a", "#231c18", "#3f5f56", "#e9dfc6", "#1e1a18", "#a8482c"),
    "#54657a",
)
TINTS = palette("#cdb98c", "#a8865a", "#7a6a52", "#5a6660", "#8f9c98", "#3f4a52", "#e6d9b8", "#b06a3c", "#6f7f8c")
"""Colors of the planes: ochers, umbers and cool grays."""
BROAD = Layer(length=0.036, width=0.020, spacing=0.0125, jitter=0.022)
FINE = Layer(length=0.021, width=0.0098, spacing=0.0082, jitter=0.045)

Labels = NDArray[np.intp]


@dataclass(frozen=True)
class Cuts:
    """Straight cuts that divide the picture into planes: the tree of a binary space partition."""

    point: tuple[float, float]
    angle: float
    before: "Cuts | int"
    after: "Cuts | int"

    def labels(self, x: Field, y: Field) -> Labels:
        """Return the number of the plane at each position."""
        side = (y - self.point[1]) * np.cos(self.angle) > (x - self.point[0]) * np.sin(self.angle)
        first, second = (part if isinstance(part, int) else part.labels(x, y) for part in (self.before, self.after))
        return np.where(side, first, second).astype(np.intp)


@dataclass(frozen=True)
class Planes:
    """How each plane shows the picture: one value or row per plane."""

    middle: Field
    turn: Field
    """Rotation in radians."""
    zoom: Field
    shift: Field
    tint: Field
    """RGB of the plane."""
    mix: Field
    """Weight of the tint."""
    light: Field
    """Gradient of the light, per unit of length, `(N, 2)`."""
    stroke: Field
    """Direction of the brush in radians."""

    def source(self, label: Labels, x: Field, y: Field) -> tuple[Field, Field]:
        """Return the position in the picture that each position shows."""
        across, down = x - self.middle[label, 0], y - self.middle[label, 1]
        cos, sin = np.cos(self.turn[label]) * self.zoom[label], np.sin(self.turn[label]) * self.zoom[label]
        u = self.middle[label, 0] + self.shift[label, 0] + across * cos - down * sin
        return u, self.middle[label, 1] + self.shift[label, 1] + across * sin + down * cos


def draw(height: int, width: int, seed: int) -> Image.Image:
    """Return the drawing at a size in pixels; the seed changes the cuts, the planes and every stroke."""
    rng = np.random.default_rng(seed)
    x, y = planning_grid(height, width)
    scale = 1 / max(float(y.max()), float(x.max()) / 1.26)  # the picture is 1.26 wide and 1 high
    picture, lines = _still_life()
    cuts, count = _cut((0.0, 0.0, 1.26, 1.0), 7, [0], rng)
    label = cuts.labels(x * scale, y * scale)
    planes = _planes(label, x * scale, y * scale, count, rng)
    color = _shown(picture, planes, label, x * scale, y * scale)
    tint = planes.tint[label]
    color = color + (tint - color) * planes.mix[label][..., None]
    across = np.stack([x * scale - planes.middle[label, 0], y * scale - planes.middle[label, 1]], axis=-1)
    light = np.clip((across * planes.light[label]).sum(axis=-1), -0.55, 0.60)
    color = np.clip(color * (1 + light[..., None]) + 0.10 * np.clip(light, 0, 1)[..., None], 0.03, 0.97)
    angle = planes.stroke[label]
    plan = Plan(
        flow=unit((np.cos(angle), np.sin(angle))),
        color=color,
        second=np.clip(0.6 * color + 0.4 * tint + 0.06, 0, 1),
        scale=np.ones_like(x),
    )
    tall, wide = height * SUPERSAMPLING, width * SUPERSAMPLING
    canvas = Canvas(np.tile(np.array([0.45, 0.38, 0.30, 0.0], np.float32), (tall * wide, 1)), tall, wide)
    lay_layer(canvas, plan, BROAD, rng, np.ones_like(x))
    lay_layer(canvas, plan, FINE, rng, np.full_like(x, 0.85))
    rgb = lit(canvas, depth=0.0022 * max(tall, wide))
    return to_picture(_drawn(rgb, lines, cuts, planes, scale, rng), height, width)


def _cut(
    box: tuple[float, float, float, float], depth: int, counter: list[int], rng: np.random.Generator
) -> tuple[Cuts | int, int]:
    """Return cuts through the middle of ever smaller boxes, in a few directions, and the number of planes."""
    left, top, right, bottom = box
    if depth == 0 or (depth < 4 and rng.random() < 0.24):
        counter[0] += 1
        return counter[0] - 1, counter[0]
    wide = (right - left) > (bottom - top) * rng.uniform(0.7, 1.4)
    share = rng.uniform(0.36, 0.64)
    point = left + (right - left) * (share if wide else 0.5), top + (bottom - top) * (0.5 if wide else share)
    lean = rng.choice([-0.62, -0.30, 0.12, 0.34, 0.66]) + rng.normal(0, 0.06)
    angle = (np.pi / 2 if wide else 0.0) + lean
    first = (left, top, point[0], bottom) if wide else (left, point[1], right, bottom)
    second = (point[0], top, right, bottom) if wide else (left, top, right, point[1])
    before, _ = _cut(first, depth - 1, counter, rng)
    after, _ = _cut(second, depth - 1, counter, rng)
    return Cuts(point, float(angle), before, after), counter[0]


def _planes(label: Labels, x: Field, y: Field, count: int, rng: np.random.Generator) -> Planes:
    """Return how the planes show the picture, those near the middle turned the most."""
    area = np.maximum(np.bincount(label.ravel(), minlength=count), 1)
    middle = np.stack([np.bincount(label.ravel(), axis.ravel(), count) / area for axis in (x, y)], axis=-1)
    direction = rng.choice([-2.3, -0.8, 0.75, 2.4], count) + rng.normal(0, 0.2, count)
    strength = rng.uniform(2.0, 6.5, count)
    light = np.stack([np.cos(direction), np.sin(direction)], axis=-1) * strength[:, None]
    away = np.hypot(middle[:, 0] - 0.63, (middle[:, 1] - 0.5) * 1.2)
    return Planes(
        middle=middle.astype(np.float32),
        turn=(rng.normal(0, 0.20, count)).astype(np.float32),
        zoom=rng.uniform(0.66, 1.0, count).astype(np.float32),
        shift=rng.normal(0, 0.034, (count, 2)).astype(np.float32),
        tint=TINTS[rng.integers(len(TINTS), size=count)],
        mix=np.clip(rng.uniform(0.04, 0.46, count) + 0.45 * away, 0, 0.85).astype(np.float32),
        light=light.astype(np.float32),
        stroke=(rng.choice([0.1, 0.5, -0.5, 1.4], count) + rng.normal(0, 0.1, count)).astype(np.float32),
    )


def _shown(picture: Field, planes: Planes, label: Labels, x: Field, y: Field) -> Field:
    """Return the values of the picture `(S, T, C)` through the planes."""
    u, v = planes.source(label, x, y)
    rows = np.clip(np.rint(v * SOURCE), 0, picture.shape[0] - 1).astype(np.intp)
    columns = np.clip(np.rint(u * SOURCE), 0, picture.shape[1] - 1).astype(np.intp)
    values: Field = picture[rows, columns]
    return values


def _drawn(rgb: Field, lines: Field, cuts: Cuts | int, planes: Planes, scale: float, rng: np.random.Generator) -> Field:
    """Draw the outlines of the things and the edges of the planes over the paint."""
    tall, wide = rgb.shape[:2]
    y, x = np.mgrid[0:tall, 0:wide].astype(np.float32) * np.float32(scale / max(tall, wide))
    label = cuts.labels(x, y) if isinstance(cuts, Cuts) else np.zeros(x.shape, np.intp)
    outline = _shown(lines[..., None], planes, label, x, y)[..., 0]
    edge = np.zeros((tall, wide), np.float32)
    weight = rng.choice([0.2, 0.75, 1.0], len(planes.turn)).astype(np.float32)[label]
    edge[:, 1:] = (label[:, 1:] != label[:, :-1]) * weight[:, 1:]
    edge[1:] = np.maximum(edge[1:], (label[1:] != label[:-1]) * weight[1:])
    width = max(0.8, 0.0011 * max(tall, wide))
    dark = np.clip(3.0 * width * _blur(edge, width), 0, 1)
    halo = np.clip(
        2.2 * width * _blur(np.roll(edge, (round(2 * width), round(2.5 * width)), (0, 1)), 1.6 * width), 0, 1
    )
    tooth = resized(noise(rng, (max(8, tall // 2), max(8, wide // 2)), 3, 2), tall, wide)
    broken = smoothstep(-1.5, 0.3, tooth)
    lighter = rgb + (PAPER - rgb) * (0.42 * halo)[..., None]
    cover = np.clip(np.maximum(0.78 * dark, 0.88 * outline) * (0.45 + 0.55 * broken), 0, 1)[..., None]
    inked: Field = lighter * (1 - cover) + INK * cover
    return inked


def _blur(values: Field, radius: float) -> Field:
    """Return values in [0, 1] blurred with a Gaussian."""
    levels = Image.fromarray((np.clip(values, 0, 1) * 255).astype(np.uint8))
    return np.asarray(levels.filter(ImageFilter.GaussianBlur(radius)), np.float32) / 255


class _Sketch:
    """Colors and outlines of flat shapes; coordinates are in units of the height."""

    def __init__(self) -> None:
        size = (round(1.26 * SOURCE), SOURCE)
        self.color = Image.new("RGB", size, _levels(WALL))
        self.lines = Image.new("L", size, 0)
        self._color, self._lines = ImageDraw.Draw(self.color), ImageDraw.Draw(self.lines)

    def shape(self, path: Field, color: Field, outline: int = 7) -> None:
        """Fill a polygon `(N, 2)`, hide the lines below it and outline it."""
        points = [tuple(each) for each in (np.asarray(path) * SOURCE).tolist()]
        self._color.polygon(points, fill=_levels(color))
        self._lines.polygon(points, fill=0)
        if outline:
            self._lines.line([*points, points[0]], fill=255, width=outline, joint="curve")

    def stroke(self, path: Field, width: int) -> None:
        """Draw a line along a path `(N, 2)`, width in pixels."""
        points = [tuple(each) for each in (np.asarray(path) * SOURCE).tolist()]
        self._lines.line(points, fill=255, width=width)


def _levels(color: Field) -> tuple[int, ...]:
    return tuple(round(255 * float(value)) for value in color)


def _still_life() -> tuple[Field, Field]:
    """Return the colors `(S, T, 3)` and the outlines `(S, T)` of the things on a table."""
    sketch = _Sketch()
    sketch.shape(np.array([[0, 0], [0.42, 0], [0.30, 0.62], [0, 0.70]]), SLATE, 0)
    sketch.shape(np.array([[0.90, 0], [1.26, 0], [1.26, 0.60], [1.02, 0.62]]), RUST * 0.8, 0)
    sketch.shape(np.array([[-0.1, 0.66], [0.62, 0.56], [1.4, 0.68], [1.4, 1.1], [-0.1, 1.1]]), TABLE)
    sketch.shape(np.array([[0.10, 0.70], [0.60, 0.62], [1.10, 0.78], [0.72, 1.05], [0.22, 1.02]]), CLOTH)
    _newspaper(sketch)
    _bottle(sketch)
    _guitar(sketch)
    _goblet(sketch)
    lines = sketch.lines.filter(ImageFilter.GaussianBlur(1.0))
    return np.asarray(sketch.color, np.float32) / 255, np.asarray(lines, np.float32) / 255


def _newspaper(sketch: _Sketch) -> None:
    """Add a folded newspaper: a sheet with bars of a headline and lines of text."""
    corner, across, down = np.array([0.09, 0.60]), np.array([0.33, -0.10]), np.array([0.10, 0.30])
    sheet = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) @ np.stack([across, down]) + corner
    sketch.shape(sheet, PAPER)
    for row in range(13):
        height = 0.30 + 0.052 * row
        for start, end in ((0.06, 0.47), (0.53, 0.94 - 0.1 * (row % 3))):
            sketch.stroke(np.array([[start, height], [end, height]]) @ np.stack([across, down]) + corner, 5)
    for start, end in ((0.08, 0.20), (0.26, 0.30), (0.36, 0.50), (0.56, 0.60), (0.66, 0.80), (0.85, 0.90)):
        sketch.stroke(np.array([[start, 0.14], [end, 0.14]]) @ np.stack([across, down]) + corner, 46)


def _bottle(sketch: _Sketch) -> None:
    """Add a tall bottle with a label and a highlight."""
    right = np.array([[0.030, 0.06], [0.032, 0.28], [0.085, 0.38], [0.095, 0.46], [0.095, 0.80]])
    path = np.add(np.concatenate([right, right[::-1] * [-1, 1]]), [0.30, 0.0])
    sketch.shape(path, GLASS)
    sketch.shape(np.array([[0.205, 0.52], [0.395, 0.52], [0.395, 0.70], [0.205, 0.70]]), CLOTH)
    for row in range(4):
        sketch.stroke(np.array([[0.23, 0.56 + 0.035 * row], [0.37 - 0.02 * row, 0.56 + 0.035 * row]]), 8)
    sketch.shape(np.array([[0.235, 0.40], [0.25, 0.37], [0.25, 0.50], [0.235, 0.50]]), PAPER, 0)


def _guitar(sketch: _Sketch) -> None:
    """Add a guitar that leans to the right: body, sound hole, neck, frets and strings."""
    turn = np.linspace(0, 2 * np.pi, 120)
    radius = 0.215 + 0.045 * np.cos(turn) - 0.060 * np.cos(2 * turn) ** 3 * (np.abs(np.sin(turn)) > 0.2)
    body = np.stack([0.80 * radius * np.sin(turn), 1.12 * radius * np.cos(turn)], axis=-1)
    tilt, middle = 0.52, np.array([0.66, 0.62])
    spin = np.array([[np.cos(tilt), np.sin(tilt)], [-np.sin(tilt), np.cos(tilt)]])
    sketch.shape(body @ spin + middle, WOOD)
    half = body[(body[:, 0] <= 0.005)]
    sketch.shape(half @ spin + middle, SHADE, 0)
    for scale in (0.066, 0.050):
        hole = np.stack([scale * np.cos(turn), scale * np.sin(turn) - 0.03], axis=-1)
        sketch.shape(hole @ spin + middle, HOLE if scale < 0.06 else CLOTH)
    sketch.shape(
        np.array([[-0.028, -0.05], [0.028, -0.05], [0.022, -0.52], [-0.022, -0.52]]) @ spin + middle, HOLE * 1.6
    )
    head = np.array(
        [[-0.022, -0.50], [0.022, -0.50], [0.044, -0.545], [0.036, -0.65], [-0.036, -0.65], [-0.044, -0.545]]
    )
    sketch.shape(head @ spin + middle, SHADE)
    sketch.shape(np.array([[-0.075, 0.135], [0.075, 0.135], [0.065, 0.160], [-0.065, 0.160]]) @ spin + middle, HOLE)
    for fret in range(9):
        level = -0.16 - 0.037 * fret
        sketch.shape(
            np.array([[-0.026, level], [0.026, level], [0.026, level + 0.006], [-0.026, level + 0.006]]) @ spin
            + middle,
            CLOTH,
            0,
        )
    for string in np.linspace(-0.017, 0.017, 5):
        sketch.stroke(np.array([[1.6 * string, 0.14], [string, -0.60]]) @ spin + middle, 3)


def _goblet(sketch: _Sketch) -> None:
    """Add a wine glass, half full."""
    right = np.array([[0.070, 0.0], [0.074, 0.10], [0.045, 0.17], [0.012, 0.20], [0.012, 0.31], [0.062, 0.335]])
    path = np.add(np.concatenate([right, right[::-1] * [-1, 1]]), [1.03, 0.44])
    sketch.shape(path, palette("#b9c2bc")[0])
    wine = np.array([[0.072, 0.075], [0.073, 0.10], [0.045, 0.165], [-0.045, 0.165], [-0.073, 0.10], [-0.072, 0.075]])
    sketch.shape(np.add(wine, [1.03, 0.44]), RUST)
    turn = np.linspace(0, 2 * np.pi, 40)
    for level, broad in ((0.0, 0.070), (0.075, 0.072), (0.335, 0.062)):
        sketch.stroke(np.stack([1.03 + broad * np.cos(turn), 0.44 + level + 0.018 * np.sin(turn)], axis=-1), 6)

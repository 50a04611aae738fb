"""Draw the style `ukiyoe`: a great wave with claws of foam before a snowy peak, printed from cut blocks."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from draw_styles.fields import Field, noise, palette, ramp, resized, smoothstep, to_picture

PAPER, INDIGO, BLUE, AZURE, PALE, FOAM, OCHRE, STRAW = palette(
    *("#eadcbc", "#152a5a", "#27508c", "#5d8fb4", "#a9c6c8", "#f6f0dd", "#b9824a", "#dcb878")
)
SKY = palette("#8f9a9c", "#c3bda6", "#e6d5b0", "#f0dcb4", "#d8bc96")
SUPERSAMPLING = 3

OUTER = (
    (0.0, 0.60),
    (0.10, 0.40),
    (0.22, 0.22),
    (0.36, 0.11),
    (0.52, 0.075),
    (0.66, 0.11),
    (0.765, 0.20),
    (0.80, 0.30),
)
"""Back of the great wave from its foot to its tip; 1 is the height of the sheet."""
INNER = (
    (0.62, 0.84),
    (0.50, 0.72),
    (0.435, 0.58),
    (0.425, 0.45),
    (0.47, 0.345),
    (0.56, 0.275),
    (0.67, 0.265),
    (0.80, 0.30),
)
"""Hollow of the great wave from its foot to its tip."""
SWELL = ((0.0, 0.80), (0.16, 0.86), (0.34, 0.90), (0.52, 0.845), (0.70, 0.78), (0.88, 0.74), (1.06, 0.70), (1.30, 0.64))
"""Surface of the sea at the foot of the great wave."""
NEAR = ((0.0, 1.04), (0.10, 0.94), (0.20, 0.855), (0.30, 0.80), (0.40, 0.79), (0.47, 0.83), (0.49, 0.885))
"""Back of the small wave in front."""
NEAR_INNER = ((0.62, 1.06), (0.50, 1.02), (0.43, 0.97), (0.405, 0.92), (0.42, 0.885), (0.45, 0.875), (0.49, 0.885))


@dataclass
class Sheet:
    """The print; coordinates are in units of the height of the motif."""

    image: Image.Image
    unit: float
    """Pixels of one unit."""
    shift: tuple[float, float]
    """Position of the motif in pixels."""
    rng: np.random.Generator

    def __post_init__(self) -> None:
        """Open the image for drawing."""
        self._draw = ImageDraw.Draw(self.image)

    def fill(self, path: Field, color: Field) -> None:
        """Print a polygon `(N, 2)`."""
        points = np.asarray(path) * self.unit + self.shift
        self._draw.polygon([tuple(each) for each in points.tolist()], fill=_ink(color))

    def line(self, path: Field, widths: Field | float, color: Field) -> None:
        """Print a line along a path `(N, 2)` whose width varies along it."""
        points = np.asarray(path) * self.unit + self.shift
        length = float(np.linalg.norm(np.diff(points, axis=0), axis=1).sum())
        count = max(2, int(length / max(1.0, 0.0012 * self.unit)))
        place = np.linspace(0, 1, count)
        knots = np.linspace(0, 1, len(points))
        x, y = (np.interp(place, knots, points[:, axis]) for axis in (0, 1))
        given = np.atleast_1d(np.asarray(widths, np.float32))
        radii = 0.5 * self.unit * np.interp(place, np.linspace(0, 1, len(given)), given)
        for each in zip(x, y, radii, strict=True):
            self._dot(*(float(value) for value in each), color)

    def dot(self, middle: Field, radius: float, color: Field) -> None:
        """Print a disc."""
        x, y = (np.asarray(middle) * self.unit + self.shift).tolist()
        self._dot(x, y, radius * self.unit, color)

    def _dot(self, x: float, y: float, radius: float, color: Field) -> None:
        self._draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=_ink(color))


def _ink(color: Field) -> tuple[int, ...]:
    return tuple(round(255 * float(value)) for value in color)


def _curve(points: tuple[tuple[float, float], ...], count: int = 120) -> Field:
    """Return a smooth path `(count, 2)` through points (Catmull-Rom)."""
    given = np.asarray(points, np.float32)
    p = np.concatenate([2 * given[:1] - given[1:2], given, 2 * given[-1:] - given[-2:-1]])
    place = np.linspace(0, len(given) - 1 - 1e-4, count)
    k = place.astype(np.intp)
    t = (place - k)[:, None].astype(np.float32)
    a, b, c, d = (p[k + offset] for offset in range(4))
    path: Field = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
    return path


def draw(height: int, width: int, seed: int) -> Image.Image:
    """Return the drawing at a size in pixels; the seed changes the foam, the stripes and the print."""
    rng = np.random.default_rng(seed)
    tall, wide = height * SUPERSAMPLING, width * SUPERSAMPLING
    unit = max(tall, wide / 1.28) * rng.uniform(1.0, 1.08)
    shift = (rng.uniform(0, 1) * (wide - 1.28 * unit), rng.uniform(0.5, 1) * (tall - unit))
    turn = int(rng.choice([-1, 1]))
    rgb = _sky(tall, wide, rng)
    sheet = Sheet(Image.fromarray((255 * np.clip(rgb, 0, 1)).astype(np.uint8)), unit, shift, rng)
    _peak(sheet)
    _sea(sheet)
    _boat(sheet, (1.02, 0.735), 0.30, -0.22)
    _wave(sheet, OUTER, INNER, 17, 0.052)
    _front(sheet)
    _boat(sheet, (0.72, 0.865), 0.40, 0.10)
    _wave(sheet, NEAR, NEAR_INNER, 9, 0.030)
    print_ = np.asarray(sheet.image, np.float32) / 255
    return to_picture(_pressed(print_, rng)[:, ::turn], height, width)


def _sky(tall: int, wide: int, rng: np.random.Generator) -> Field:
    """Return paper with a wiped gradient: dark above, light in the middle, warm towards the horizon."""
    down = np.linspace(0, 1, tall, dtype=np.float32)[:, None]
    wipe = resized(noise(rng, (64, 80), 24, 2), tall, wide)
    tone = np.clip(down * 1.25 + 0.06 * wipe, 0, 1)
    return ramp(SKY, tone)


def _pressed(rgb: Field, rng: np.random.Generator) -> Field:
    """Add the grain of the block, the mottling of the ink and the fibers of the paper."""
    tall, wide = rgb.shape[:2]
    bend = resized(noise(rng, (64, 80), 26, 2), tall, wide)
    y = np.arange(tall, dtype=np.float32)[:, None] / max(tall, wide)
    rings = resized(noise(rng, (max(8, tall // 5), 24), 3.0, 3), tall, wide)
    grain = np.sin(2 * np.pi * (62 * y + 0.55 * bend + 0.5 * rings))
    mottle = resized(noise(rng, (max(8, tall // 3), max(8, wide // 3)), 3.0, 2), tall, wide)
    paper = resized(noise(rng, (max(8, tall // 2), max(8, wide // 2)), 2.0, 1), tall, wide)
    dark = 1 - rgb.mean(axis=2)
    bare = np.clip(0.070 * grain + 0.05 * mottle, -0.10, 0.16) * (0.55 + dark)
    bare = bare + 0.16 * smoothstep(1.7, 2.6, mottle) * dark
    pressed = rgb + (PAPER - rgb) * np.clip(bare, -0.2, 0.5)[..., None]
    return pressed * (1 + 0.018 * paper)[..., None]


def _peak(sheet: Sheet) -> None:
    """Print a far peak with snow, a dark band of evening behind it, and its outline."""
    slope = _curve(((0.60, 0.79), (0.72, 0.735), (0.84, 0.655), (0.90, 0.605), (0.935, 0.575)), 40)
    other = _curve(((0.965, 0.573), (1.0, 0.605), (1.07, 0.655), (1.24, 0.75)), 40)
    outline = np.concatenate([slope, other])
    sheet.fill(outline, BLUE)
    jagged = np.linspace(0, 1, 15)
    level = 0.632 + 0.022 * np.where(np.arange(15) % 2, 1, -1) + sheet.rng.normal(0, 0.004, 15)
    cap = outline[(outline[:, 1] < 0.635)]
    lower = np.stack([cap[-1, 0] + (cap[0, 0] - cap[-1, 0]) * jagged, np.clip(level, 0, 0.665)], axis=-1)[1:-1]
    sheet.fill(np.concatenate([cap, lower]), FOAM)
    sheet.line(outline, 0.0028, INDIGO)


def _sea(sheet: Sheet) -> None:
    """Print the far sea behind the great wave."""
    surface = _curve(SWELL)
    corners = np.array([[1.30, 1.1], [0.0, 1.1]], np.float32)
    sheet.fill(np.concatenate([np.subtract(surface, [0, 0.02]), corners]), AZURE)
    _combed(sheet, np.subtract(surface, [0, 0.02]), 0.22, 18)


def _front(sheet: Sheet) -> None:
    """Print the swell in front of the great wave with combed stripes and specks of foam."""
    rng = sheet.rng
    surface = _curve(tuple((x, y + 0.055 + 0.012 * np.sin(9 * x)) for x, y in SWELL))
    sheet.fill(np.concatenate([surface, np.array([[1.30, 1.1], [0.0, 1.1]], np.float32)]), BLUE)
    _combed(sheet, surface, 0.36, 26)
    for path in (surface, np.add(surface, [0, 0.010])):
        sheet.line(path, 0.0032, FOAM if path is surface else INDIGO)
    for place in rng.uniform(0.03, 0.98, 70):
        x, y = surface[int(place * (len(surface) - 1))]
        sheet.dot((x, y - abs(rng.normal(0, 0.016))), rng.uniform(0.002, 0.006), FOAM)


def _combed(sheet: Sheet, surface: Field, depth: float, count: int) -> None:
    """Print stripes below a surface that swell and end in points."""
    rng = sheet.rng
    for number in range(count):
        down = depth * (number + 0.4) / count
        start, end = np.sort(rng.uniform(-0.1, 1.1, 2))
        end = max(end, start + 0.35)
        part = surface[int(max(0, start) * 119) : int(min(1, end) * 119) + 1]
        if len(part) < 4:
            continue
        place = np.linspace(0, 1, len(part))
        sag = down * (1 + 0.4 * np.sin(4 * place + rng.uniform(0, 6)))
        color = (INDIGO, PALE, INDIGO, AZURE)[number % 4]
        path = part + np.stack([0 * place, sag], axis=-1)
        sheet.line(path, depth / count * np.array([0.05, 0.6, 0.75, 0.5, 0.05]), color)


def _wave(
    sheet: Sheet,
    back: tuple[tuple[float, float], ...],
    hollow: tuple[tuple[float, float], ...],
    stripes: int,
    claw: float,
) -> None:
    """Print a breaking wave: its body, the stripes that rise in its hollow, and the foam of its crest."""
    rng = sheet.rng
    outer, inner = _curve(back), _curve(hollow)
    sheet.fill(np.concatenate([outer, inner[::-1], np.array([[0.0, 1.1]], np.float32)]), BLUE)
    along = np.linspace(0, 1, len(outer))[:, None]
    for number in range(stripes):
        across = (number + 0.35) / stripes
        sway = 0.035 * np.sin(5 * along + 1.7 * number) * (1 - along)
        path = inner + (outer - inner) * np.clip(across + sway, 0, 1)
        color = (PALE, INDIGO, AZURE, INDIGO, FOAM, INDIGO, AZURE)[number % 7]
        gap = np.linalg.norm(outer - inner, axis=1) / stripes
        first, last = int(rng.uniform(0, 14)), int(rng.uniform(0.80, 0.97) * len(path))
        width = gap[first:last] * np.linspace(0.75, 0.45, last - first) * np.sin(np.linspace(0.15, 3.0, last - first))
        sheet.line(path[first:last], np.maximum(width, 0.001), color)
    sheet.line(inner, 0.0060, INDIGO)
    _foam(sheet, outer, inner, claw)


def _foam(sheet: Sheet, outer: Field, inner: Field, claw: float) -> None:
    """Print the foam: claws that branch and hook forward from the crest, outlined, with spray before them."""
    rng = sheet.rng
    claws: list[tuple[Field, Field]] = []
    tangent = np.gradient(outer, axis=0)
    for place in np.linspace(0.26, 1.0, 34):
        index = min(int(place * (len(outer) - 1)), len(outer) - 2)
        heading = float(np.arctan2(tangent[index, 1], tangent[index, 0]))
        grow = claw * (0.50 + 1.1 * place**2) * rng.uniform(0.7, 1.35)
        _claw(claws, outer[index], heading + rng.choice([-0.5, 0.1, 0.6]), grow, 2, rng)
    lip = np.linspace(0.62, 1.0, 16)
    for place in lip:
        index = min(int(place * (len(inner) - 1)), len(inner) - 1)
        start = inner[index] + (outer[index] - inner[index]) * rng.uniform(0.15, 0.9)
        _claw(claws, start, 1.1 + rng.normal(0, 0.25), claw * rng.uniform(0.8, 1.5), 2, rng)
    for grow, color in ((0.0055, INDIGO), (0.0, FOAM)):
        for path, widths in claws:
            sheet.line(path, widths + grow, color)
    for path, widths in claws[::2]:
        sheet.line(np.add(path[2:], [-0.06 * claw, 0.12 * claw]), widths[2:] * 0.32, PALE)
    for path, _ in claws[::3]:
        sheet.line(path[1:-1], 0.0016, BLUE)
    reach = outer[rng.integers(len(outer) // 3, len(outer), 150)]
    spray = reach + np.abs(rng.normal(0, 1, (150, 2))) * [2.2 * claw, 1.6 * claw] + rng.normal(0, claw, (150, 2))
    for middle in spray:
        radius = claw * rng.uniform(0.03, 0.10)
        sheet.dot(middle, radius + 0.0016, INDIGO)
        sheet.dot(middle, radius, FOAM)


def _claw(
    claws: list[tuple[Field, Field]], start: Field, heading: float, length: float, depth: int, rng: np.random.Generator
) -> None:
    """Add a tapered hook that bends downwards, and smaller ones at its back and its end."""
    bend = rng.uniform(1.1, 2.2)
    angles = heading + bend * np.linspace(0, 1, 7) ** 1.5
    steps = length / 7 * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    path = np.concatenate([[start], start + np.cumsum(steps, axis=0)])
    claws.append((path, length * np.array([0.40, 0.40, 0.36, 0.31, 0.25, 0.19, 0.12, 0.05])))
    if depth:
        for place, turn in ((3, -0.75), (5, -0.35), (6, 0.65)):
            _claw(claws, path[place], float(angles[min(place, 6)]) + turn, 0.58 * length, depth - 1, rng)


def _boat(sheet: Sheet, middle: tuple[float, float], length: float, tilt: float) -> None:
    """Print a long slender boat with a row of crouching rowers."""
    place = np.linspace(-0.5, 0.5, 30)
    sag = -0.34 * place**2
    turn = np.array([[np.cos(tilt), np.sin(tilt)], [-np.sin(tilt), np.cos(tilt)]])
    upper = np.stack([place, sag], axis=-1) * length @ turn + middle
    lower = np.stack([place * 0.93, sag * 0.75 + 0.075], axis=-1) * length @ turn + middle
    for number in range(7):
        x = -0.27 + 0.085 * number
        body = np.array([[x, -0.34 * x**2 - 0.005], [x + 0.02, -0.34 * x**2 - 0.045]]) * length @ turn + middle
        sheet.line(body, 0.052 * length, INDIGO)
        sheet.dot(body[1] + [0.012 * length, -0.028 * length], 0.023 * length, STRAW)
    sheet.fill(np.concatenate([upper, lower[::-1]]), STRAW)
    sheet.line(0.5 * (upper + lower), 0.012 * length, OCHRE)
    for path in (upper, lower):
        sheet.line(path, 0.0032, INDIGO)

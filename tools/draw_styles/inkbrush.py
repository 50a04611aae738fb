"""Draw ink strokes of a round brush on paper, and a pine, a boat and birds made of them."""

from dataclasses import dataclass

import numpy as np

from draw_styles.fields import Field


@dataclass
class Ink:
    """Ink on the paper, darkened in place by each stroke; coordinates are in units of the image's longer side."""

    density: Field
    """Amount of ink `(H, W)`: 0 is paper, 1 is black."""
    tooth: Field
    """Roughness of the paper `(H, W)`, mean 0 and standard deviation 1; a dry brush marks high values first."""
    rng: np.random.Generator

    def stroke(self, path: Field, widths: Field, dark: float, dry: float = 0.0) -> None:
        """Draw one stroke along `path` `(N, 2)` with varying widths; a dry brush leaves gaps."""
        rows, columns = self.density.shape
        side = max(rows, columns)
        path, widths = np.asarray(path) * side, np.maximum(np.asarray(widths) * side, 1.2)
        length = float(np.linalg.norm(np.diff(path, axis=0), axis=1).sum())
        s = np.linspace(0, 1, int(length / 0.7) + 2, dtype=np.float32)
        v = np.linspace(-1, 1, int(widths.max() / 0.7) + 2, dtype=np.float32)[None]
        knots = np.linspace(0, 1, len(path))
        center = np.stack([np.interp(s, knots, path[:, axis]) for axis in (0, 1)], axis=-1)
        tangent = np.gradient(center, axis=0)
        tangent /= np.linalg.norm(tangent, axis=1, keepdims=True) + 1e-6
        reach = 0.5 * np.interp(s, np.linspace(0, 1, len(widths)), widths)[:, None]
        x = np.rint(center[:, :1] - tangent[:, 1:] * v * reach).astype(np.intp)
        y = np.rint(center[:, 1:] + tangent[:, :1] * v * reach).astype(np.intp)
        inside = (x >= 0) & (y >= 0) & (x < columns) & (y < rows)
        hairs = max(4, int(widths.max() / 2.5))
        bristles = np.interp(v[0], np.linspace(-1, 1, hairs), self.rng.normal(size=hairs))[None]
        x, y = x[inside], y[inside]
        lack = dry * (0.4 + 1.2 * s[:, None]) * (1 + 0.5 * bristles) + 0 * v
        wet = np.clip(2.2 - 2.6 * lack[inside] + 0.9 * dry * self.tooth[y, x], 0, 1)
        tone = dark * (1 + 0.12 * bristles + 0 * s[:, None])[inside] * wet
        np.maximum.at(self.density, (y, x), tone.astype(np.float32))


def curve(start: tuple[float, float], angle: float, length: float, bend: float, knots: int = 8) -> Field:
    """Return a path `(knots, 2)` that turns by `bend` along its length."""
    angles = angle + bend * np.linspace(0, 1, knots - 1)
    steps = length / (knots - 1) * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    path: Field = np.concatenate([[start], start + np.cumsum(steps, axis=0)]).astype(np.float32)
    return path


def paint_pine(ink: Ink, foot: tuple[float, float], tall: float, lean: float) -> None:
    """Draw a crooked trunk, offset by `lean` heights at its top, with boughs and fans of needles on both sides."""
    rng = ink.rng
    t = np.linspace(0, 1, 12)
    crook = 0.045 * np.sin(9 * t + rng.uniform(0, 6)) + rng.normal(0, 0.010, 12)
    trunk = np.stack([foot[0] + tall * (lean * t**1.3 + crook - crook[0]), foot[1] - tall * t], axis=-1)
    widths = tall * (0.075 * (1.03 - t) ** 0.8 + 0.06 * np.exp(-t / 0.06))
    ink.stroke(trunk, widths, 0.55, 0.30)
    for angle in (2.55, 2.05, 1.1, 0.6):  # roots
        start = (foot[0] + 0.04 * tall * float(np.cos(angle)), foot[1] - 0.035 * tall)
        root = curve(start, angle, 0.11 * tall, rng.normal(0, 0.6))
        ink.stroke(root, tall * np.array([0.045, 0.024, 0.012, 0.003]), 0.75, 0.45)
    for edge in (-0.40, 0.10, 0.42):  # bark, with drier ink
        ink.stroke(trunk + np.stack([edge * widths, 0 * widths], axis=-1), 0.26 * widths, 0.95, 0.62)
    for number, height in enumerate((0.38, 0.50, 0.62, 0.70, 0.82, 0.90, 0.98)):
        height += rng.uniform(-0.04, 0.02)
        position = [float(np.interp(height, t, trunk[:, axis])) for axis in (0, 1)]
        sense = 1 if number % 2 else -1
        length = tall * (0.62 - 0.40 * height) * rng.uniform(0.6, 1.2) * (1.4 if sense * lean > 0 else 0.8)
        angle = (0 if sense > 0 else np.pi) - sense * rng.uniform(0.1, 0.7)
        bough = curve((position[0], position[1]), angle, length, sense * rng.uniform(0.5, 1.1))
        bough += rng.normal(0, 0.008 * tall, bough.shape).astype(np.float32) * np.linspace(0, 1, 8)[:, None]
        ink.stroke(bough, tall * 0.030 * np.linspace(1.0, 0.3, 8), 0.9, 0.45)
        _pads(ink, bough, tall)


def _pads(ink: Ink, bough: Field, tall: float) -> None:
    """Draw needles on the outer part of a bough: upward fans, pale ones behind black ones."""
    rng, knots = ink.rng, np.linspace(0, 1, len(bough))
    for fraction in np.arange(0.35, 1.08, 0.33) + rng.uniform(-0.05, 0.05):
        middle = np.array([np.interp(fraction, knots, bough[:, axis]) for axis in (0, 1)])
        broad = tall * rng.uniform(0.075, 0.115)
        for dark in (0.28, 0.28, 0.28, 0.55, 0.55, 0.85, 0.85, 1.05):
            aside = rng.uniform(-1, 1)
            lift = 0.45 * (1 - aside**2) * rng.uniform(0.2, 1.0)
            center = middle + broad * np.array([aside, 0.12 - lift])
            for angle in np.linspace(-np.pi * 1.04, 0.04 * np.pi, 15) + rng.normal(0, 0.08, 15):
                length = tall * rng.uniform(0.045, 0.070)
                needle = curve((float(center[0]), float(center[1])), angle, length, rng.normal(0, 0.3), 4)
                ink.stroke(needle, tall * np.array([0.0040, 0.0036, 0.0008]), dark)


def paint_boat(ink: Ink, position: tuple[float, float], size: float) -> None:
    """Draw a skiff with a boatman and a pole, and a few lines of water."""
    x, y = position
    hull = np.array([[-0.5, -0.07], [-0.25, 0.02], [0.1, 0.03], [0.5, -0.10]]) * size + position
    ink.stroke(hull, size * np.array([0.02, 0.10, 0.11, 0.02]), 0.95)
    man = np.array([[0.22, -0.02], [0.21, -0.16], [0.19, -0.27]]) * size + position
    ink.stroke(man, size * np.array([0.10, 0.10, 0.04]), 0.8)
    ink.stroke(np.array([[0.12, -0.27], [0.19, -0.32], [0.27, -0.27]]) * size + position, size * np.full(3, 0.05), 1.0)
    ink.stroke(np.array([[0.05, -0.48], [0.40, 0.16]]) * size + position, size * np.full(2, 0.012), 0.8)
    for down, start, end in ((0.13, -0.7, 0.3), (0.20, -0.2, 0.7), (0.28, -0.5, 0.1)):
        line = np.array([[x + start * size, y + down * size], [x + end * size, y + down * size]])
        ink.stroke(line, size * np.array([0.01, 0.03, 0.01]), 0.32, 0.5)


def paint_birds(ink: Ink, position: tuple[float, float], size: float) -> None:
    """Draw a flock of birds, two short strokes each."""
    for number in range(5):
        x = position[0] + size * (1.1 * number + ink.rng.normal(0, 0.2))
        y = position[1] + size * (0.45 * abs(number - 1.4) + ink.rng.normal(0, 0.12))
        for sense in (-1, 1):
            wing = curve((x, y), -0.9 if sense > 0 else np.pi + 0.9, 0.42 * size, sense * 1.1, 5)
            ink.stroke(wing, size * np.array([0.05, 0.06, 0.02]), 0.75)

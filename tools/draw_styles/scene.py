"""Compose a scene on the planning grid, from far to near."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from draw_styles.fields import Field, noise, palette, resized, smoothstep, unit


@dataclass
class Scene:
    """Colors and strokes at each cell of the planning grid; each layer covers the ones before it."""

    x: Field
    y: Field
    color: Field
    """RGB `(H, W, 3)`."""
    second: Field
    """Color of the accents, RGB `(H, W, 3)`."""
    flow: Field
    """Unit vectors `(H, W, 2)`."""
    scale: Field
    """Size of the brush, `(H, W)`."""

    @classmethod
    def blank(cls, x: Field, y: Field) -> "Scene":
        """Return an empty scene at these coordinates."""
        black = np.zeros((*x.shape, 3), np.float32)
        return cls(x, y, black, black, unit((np.ones_like(x), np.zeros_like(x))), np.ones_like(x))

    def lay(
        self, fraction: Field, color: Field, second: str, *, flow: tuple[Field | float, Field | float], scale: float
    ) -> None:
        """Cover this fraction of each cell."""
        part = fraction[..., None]
        along = unit([np.broadcast_to(np.asarray(axis, np.float32), self.x.shape) for axis in flow])
        self.color = self.color + (color - self.color) * part
        self.second = self.second + (palette(second)[0] - self.second) * part
        self.flow = unit(self.flow + (along - self.flow) * part)
        self.scale = self.scale + (np.float32(scale) - self.scale) * fraction


def silhouette(
    x: Field, y: Field, foot: tuple[float, float], tall: float, left: Sequence[float], right: Sequence[float]
) -> Field:
    """Return the pixels of an upright shape; its widths left and right are listed from bottom to top, in heights."""
    t = (foot[1] - y) / tall
    beyond_left = foot[0] - x - tall * np.interp(t, np.linspace(0, 1, len(left)), left)
    beyond_right = x - foot[0] - tall * np.interp(t, np.linspace(0, 1, len(right)), right)
    beyond = np.maximum(np.maximum(beyond_left, beyond_right), tall * np.maximum(-t, t - 1))
    return smoothstep(0.0016, -0.0016, beyond)


def streaks(rng: np.random.Generator, shape: tuple[int, int], cell: float, stretch: int) -> Field:
    """Return noise with blobs that are `stretch` times wider than tall."""
    return resized(noise(rng, (shape[0], max(2, shape[1] // stretch)), cell, 3), *shape)

"""Clips with exactly known motion: a window that moves over a still image, and a sprite that moves over it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from impasto.images import load_image, to_pil
from impasto.samples import resolve

SIDE = 24
"""Side of the sprite in pixels."""
SIZE, SHIFT = (64, 96), 2
"""Height and width of the frames of a clip, and how far its window moves with each, in pixels."""


@dataclass(frozen=True, eq=False)
class KnownMotion:
    """Two frames with the exact flow between them."""

    earlier: np.ndarray
    """`(H, W, 3)`, uint8."""
    frame: np.ndarray
    flow: np.ndarray
    """Backward flow of `frame`, `(H, W, 2)`."""
    hidden: np.ndarray
    """Pixels of `frame` that `earlier` does not show, `(H, W)`."""
    on_sprite: np.ndarray
    """Pixels of the sprite in `frame`, `(H, W)`."""


def still(name: str = "brushstrokes", size: int = 256) -> torch.Tensor:
    """Return a sample as `(1, 3, H, W)`."""
    return load_image(resolve(name), size=size)


def shifted_window(
    dx: float = 3.0, dy: float = -2.0, sprite: tuple[int, int] | None = (6, 4), shape: tuple[int, int] = (96, 128)
) -> KnownMotion:
    """Return two windows on a still, the second moved by (dx, dy), with a sprite that moves by `sprite` pixels."""
    height, width = shape
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    earlier, frame = (_window(rows + y, columns + x) for x, y in ((0, 0), (dx, dy)))
    flow = np.zeros((*shape, 2), np.float32)
    flow[...] = dx, dy  # a pixel of the second window shows what the first one showed further right and down
    hidden = (columns + dx < 0) | (columns + dx > width - 1) | (rows + dy < 0) | (rows + dy > height - 1)
    on_sprite = np.zeros(shape, bool)
    if sprite is not None:
        picture = np.asarray((still("mosaic", 96)[0, :, :SIDE, :SIDE] * 255).byte()).transpose(1, 2, 0)
        top, left = height // 2 - SIDE // 2, width // 2 - SIDE // 2
        earlier[top : top + SIDE, left : left + SIDE] = picture
        here = np.s_[top + sprite[1] : top + sprite[1] + SIDE, left + sprite[0] : left + sprite[0] + SIDE]
        frame[here], flow[here], on_sprite[here] = picture, (-sprite[0], -sprite[1]), True
        was_there = (np.abs(rows + dy - top - SIDE / 2 + 0.5) < SIDE / 2) & (
            np.abs(columns + dx - left - SIDE / 2 + 0.5) < SIDE / 2
        )
        hidden = (hidden | was_there) & ~on_sprite
    return KnownMotion(earlier, frame, flow, hidden, on_sprite)


def window_frames(count: int = 5, sprite: bool = True) -> list[np.ndarray]:
    """Windows of 64x96 pixels that move by 2 pixels to the right over a still, with a sprite that moves down."""
    ground = np.array(to_pil(still(size=192)))
    picture = np.array(to_pil(still("mosaic", 96)))[:SIDE, :SIDE]
    frames = []
    for i in range(count):
        frame = ground[20 : 20 + SIZE[0], 10 + SHIFT * i : 10 + SHIFT * i + SIZE[1]].copy()
        if sprite:
            frame[4 + 3 * i : 4 + 3 * i + SIDE, 36 : 36 + SIDE] = picture
        frames.append(frame)
    return frames


def turned_window(degrees: float = 2.0, scale: float = 1.02, shape: tuple[int, int] = (96, 128)) -> KnownMotion:
    """Return two windows on a still, the second turned and scaled around the center."""
    height, width = shape
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    y, x = rows - (height - 1) / 2, columns - (width - 1) / 2
    cosine, sine = scale * np.cos(np.radians(degrees)), scale * np.sin(np.radians(degrees))
    old_x, old_y = cosine * x - sine * y + (width - 1) / 2, sine * x + cosine * y + (height - 1) / 2
    flow = np.stack([old_x - columns, old_y - rows], -1).astype(np.float32)
    hidden = (old_x < 0) | (old_x > width - 1) | (old_y < 0) | (old_y > height - 1)
    earlier, frame = _window(rows, columns), _window(old_y, old_x)
    return KnownMotion(earlier, frame, flow, hidden, np.zeros(shape, bool))


def _window(rows: np.ndarray, columns: np.ndarray, margin: int = 32) -> np.ndarray:
    """Return the still at positions in pixels, `(H, W, 3)` uint8."""
    image = still()
    height, width = image.shape[-2:]
    grid = np.stack([(columns + margin + 0.5) * 2 / width - 1, (rows + margin + 0.5) * 2 / height - 1], -1)
    sampled = F.grid_sample(image, torch.from_numpy(grid.astype(np.float32))[None], "bicubic", "reflection", False)
    return np.ascontiguousarray((sampled[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy())

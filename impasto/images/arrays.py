"""Convert arrays of pixels."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from impasto.images.decoding import Pixels


def array_pixels(array: np.ndarray) -> Pixels:
    """Return the colors and the alpha of an array of pixels.

    Args:
        array: `(H, W)`, or `(H, W, C)` with gray, gray and alpha, RGB, or RGBA as C channels; uint8 or uint16 over
            their full range, floats in [0, 1], or bool (black and white, as of a mask); in any byte order.

    Raises:
        ValueError: for another shape or type, an empty side, or values outside [0, 1].
    """
    expected = (
        "an array of pixels must be (H, W) or (H, W, C) with 1 to 4 channels (gray, gray and alpha, RGB, RGBA), "
        "uint8, uint16, bool or floats in [0, 1]"
    )
    levels = array[..., None] if array.ndim == 2 else array
    levels = levels.astype(np.float32 if levels.dtype == bool else levels.dtype.newbyteorder("="), copy=False)
    if levels.ndim != 3 or not 1 <= levels.shape[2] <= 4 or 0 in levels.shape:
        raise ValueError(f"{expected}; not of shape {array.shape}")
    if levels.dtype.kind != "f" and levels.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"{expected}; not {levels.dtype}")
    if levels.dtype.kind == "f":
        levels = levels.astype(np.float32)
        if not (levels.min() >= 0 and levels.max() <= 1):  # also true for NaN
            raise ValueError(f"{expected}; not {levels.min():.4g} to {levels.max():.4g}")
    channels = levels.shape[2]
    colors = levels[..., :3] if channels >= 3 else np.repeat(levels[..., :1], 3, axis=2)
    return colors, levels[..., -1:] if channels in (2, 4) else None


def levels_to_tensor(levels: np.ndarray) -> Tensor:
    """Convert `(H, W, C)`, integers over their full range or floats in [0, 1], to float32 `(1, C, H, W)`."""
    white = np.iinfo(levels.dtype).max if levels.dtype.kind == "u" else 1
    planes = np.ascontiguousarray(levels.transpose(2, 0, 1)).astype(np.float32)[None]
    return torch.from_numpy(np.divide(planes, np.float32(white), out=planes))

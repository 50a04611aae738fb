"""Convert frames of HDR clips to sRGB."""

from __future__ import annotations

from functools import cache

import numpy as np

PQ, HLG = 16, 18
"""Transfer functions of HDR clips, by their numbers in ITU-T H.273."""
WHITE = 203
"""Luminance of reference white in cd/m2 (ITU-R BT.2408), which becomes the white of sRGB; brighter is clipped."""
HLG_PEAK = 1000
"""Luminance in cd/m2 of the display that HLG values are converted for."""
LUMINANCE = np.array([0.2627, 0.6780, 0.0593], np.float32)
"""Luminance of the primaries of BT.2020."""
TO_BT709 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32)
"""From linear BT.2020 to linear BT.709 (ITU-R BT.2087)."""
LEVELS = 8192
"""Levels of the table from linear light to sRGB."""


def hdr_to_srgb(pixels: np.ndarray, transfer: int) -> np.ndarray:
    """Return 8-bit sRGB colors of a frame in BT.2020 with PQ or HLG.

    Args:
        pixels: nonlinear RGB `(H, W, 3)`, uint16 over the full range.
        transfer: `PQ` or `HLG`.

    Returns:
        `(H, W, 3)`, uint8; colors outside of sRGB are clipped.
    """
    light = _linear(transfer)[pixels]
    if transfer == HLG:  # the display makes bright colors brighter (ITU-R BT.2100, gamma 1.2)
        light = light * (HLG_PEAK / WHITE) * (light @ LUMINANCE)[..., None].clip(1e-6) ** np.float32(0.2)
    levels: np.ndarray = ((light @ TO_BT709.T).clip(0, 1) * (LEVELS - 1)).round().astype(np.int32)
    return np.take(_srgb(), levels)


@cache
def _linear(transfer: int) -> np.ndarray:
    """Return the linear light of every 16-bit value: relative to `WHITE` with PQ, scene light in [0, 1] with HLG."""
    x = np.linspace(0, 1, 65536)
    if transfer == PQ:
        power = x ** (1 / 78.84375)
        return (
            10_000 / WHITE * ((power - 0.8359375).clip(0) / (18.8515625 - 18.6875 * power)) ** (1 / 0.1593017578125)
        ).astype(np.float32)
    return np.where(x <= 0.5, x**2 / 3, (np.exp((x - 0.55991073) / 0.17883277) + 0.28466892) / 12).astype(np.float32)


@cache
def _srgb() -> np.ndarray:
    """Return the 8-bit sRGB values of `LEVELS` levels of linear light."""
    x = np.linspace(0, 1, LEVELS)
    return np.round(255 * np.where(x <= 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055)).astype(np.uint8)

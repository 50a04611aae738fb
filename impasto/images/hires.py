"""Read and write 16 bits per channel with pyvips (the extra `hires`), because Pillow supports only 8 in color."""

from __future__ import annotations

from typing import Any

import numpy as np

from impasto.images import profiles

DEFAULT_DPI = (72.0, 72.0)
INSTALL = "pip install impasto[hires]"


def find_vips() -> Any:
    """Return the module pyvips, or None if it or its library is not installed."""
    try:
        import pyvips
    except (ImportError, OSError):
        return None
    return pyvips


def decode(data: bytes, name: str) -> tuple[np.ndarray, np.ndarray | None] | None:
    """Decode a 16-bit PNG or TIFF, upright and in sRGB.

    Args:
        data: bytes of the file.
        name: name of the file in warnings.

    Returns:
        Colors `(H, W, 3)` and alpha `(H, W, 1)` or None, both uint16; None if the pixels are neither 16-bit RGB nor
        gray (CMYK, Lab).

    Raises:
        Exception: whatever pyvips raises for a corrupt file.
    """
    vips = find_vips()
    image = vips.Image.new_from_buffer(data, "", fail_on="error").autorot().copy_memory()  # reads all: finds all damage
    if image.format != "ushort" or image.interpretation not in ("rgb16", "gray16"):
        return None
    converted = to_srgb(image, name)
    return split_alpha(converted.numpy().reshape(image.height, image.width, converted.bands))  # also one band


def to_srgb(image: Any, name: str) -> Any:
    """Return a 16-bit image of pyvips, RGB or gray, with its colors in sRGB and its alpha unchanged.

    Args:
        image: the image, which need not be decoded yet.
        name: name of the file in warnings.
    """
    vips = find_vips()
    bands = 3 if image.interpretation == "rgb16" else 1
    colors = _convert(image.extract_band(0, n=bands), vips, name)
    return colors.bandjoin(image.extract_band(bands)) if image.bands > bands else colors


def split_alpha(levels: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Return colors `(H, W, 3)` and alpha `(H, W, 1)` or None of gray or RGB levels `(H, W, C)`."""
    channels = levels.shape[2]
    colors = levels[..., :3] if channels >= 3 else np.broadcast_to(levels[..., :1], (*levels.shape[:2], 3))
    return colors, levels[..., -1:] if channels in (2, 4) else None


def encode(levels: np.ndarray, suffix: str, dpi: tuple[float, float] | None = None) -> bytes:
    """Encode a 16-bit PNG or TIFF in sRGB.

    Args:
        levels: uint16 `(H, W, 3)`, or `(H, W, 4)` with alpha.
        suffix: `.png` for PNG, anything else for TIFF.
        dpi: pixels per inch, horizontally and vertically.

    Returns:
        Bytes of the file.
    """
    vips = find_vips()
    height, width, bands = levels.shape
    image = vips.Image.new_from_memory(levels.tobytes(), width, height, bands, "ushort")
    image = described(image.copy(interpretation="rgb16"), dpi)
    if suffix == ".png":
        return bytes(image.pngsave_buffer(bitdepth=16, keep="icc"))
    return bytes(image.tiffsave_buffer(compression="deflate", predictor="horizontal"))


def described(image: Any, dpi: tuple[float, float] | None) -> Any:
    """Return an image of pyvips with a resolution in pixels per inch and the sRGB profile."""
    x, y = (each / 25.4 for each in dpi or DEFAULT_DPI)  # libvips counts per millimeter, and always writes a value
    image = image.copy(xres=x, yres=y)
    image.set_type(find_vips().GValue.blob_type, "icc-profile-data", profiles.srgb())
    return image


def _convert(image: Any, vips: Any, name: str) -> Any:
    if not image.get_typeof("icc-profile-data"):
        return image
    try:
        if profiles.is_srgb(bytes(image.get("icc-profile-data"))):
            return image
        options = {"intent": "relative", "black_point_compensation": True, "depth": 16}
        return image.icc_transform("srgb", embedded=True, **options)
    except (profiles.BrokenProfileError, vips.Error) as error:
        profiles.warn_broken(name, error)
        return image

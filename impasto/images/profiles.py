"""Convert the colors of an image file to sRGB with its color profile."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import PIL.Image
from PIL import ImageCms

from impasto.files import reason

INTENT = ImageCms.Intent.RELATIVE_COLORIMETRIC
FLAGS = ImageCms.Flags.BLACKPOINTCOMPENSATION  # maps the black of a print to black, as image editors do

GAMMA_TOLERANCE = 0.05
"""Relative difference from an exponent of 1 / 2.2 up to which colors are read as sRGB."""

_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab": "LAB"}
"""Pillow's mode for the color space that a profile declares."""


class BrokenProfileError(ValueError):
    """Raised for a profile that cannot be read or does not match the mode of the pixels."""


@lru_cache(maxsize=1)
def srgb() -> bytes:
    """Return the sRGB profile that saved images carry; the bytes are the same in every run."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[24:36] = b"\x07\xe8\x00\x01\x00\x01" + bytes(6)  # replaces the creation time of LittleCMS by 2024-01-01
    return bytes(profile)


def to_srgb(picture: PIL.Image.Image, profile: bytes | None, name: str) -> PIL.Image.Image:
    """Convert an image to sRGB in mode RGB.

    Without a profile RGB and gray are assumed to be sRGB, CMYK inverted RGB, and LAB CIE L*a*b* under D50. A broken
    profile is ignored with a warning.

    Args:
        picture: 8-bit image in mode L, RGB, CMYK or LAB.
        profile: bytes of its ICC profile.
        name: name of the file in warnings.
    """
    if profile:
        try:
            return _convert(picture, profile)
        except BrokenProfileError as error:
            warn_broken(name, error)
    if picture.mode == "LAB":
        return _transform(picture, ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")))
    return picture.convert("RGB")


def usable(profile: bytes | None, mode: str, name: str) -> bytes | None:
    """Return a profile with which an image can be converted; None, after a warning, for a broken one.

    Args:
        profile: bytes of an ICC profile.
        mode: mode of the image, L or RGB.
        name: name of the file in warnings.
    """
    if not profile:
        return None
    try:
        _convert(PIL.Image.new(mode, (1, 1)), profile)
    except BrokenProfileError as error:
        warn_broken(name, error)
        return None
    return profile


def gray_curve(profile: bytes | None, name: str) -> np.ndarray | None:
    """Return the sRGB gray in [0, 1] of 256 evenly spaced gray values `(256,)`, or None if they do not change.

    Args:
        profile: bytes of an ICC profile.
        name: name of the file in warnings.
    """
    ramp = PIL.Image.fromarray(np.arange(256, dtype=np.uint8)[None])  # (1, 256)
    curve = np.asarray(to_srgb(ramp, profile, name))[0].astype(np.float32).mean(axis=1) / 255
    return None if np.abs(curve * 255 - np.arange(256)).max() <= 1 else curve


def without_gamma(
    pixels: tuple[np.ndarray, np.ndarray | None], info: Mapping[Any, Any]
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the pixels of a PNG in sRGB if its chunk gAMA declares another exponent (PNG specification, 11.3.3.2).

    A color profile or the chunk sRGB takes precedence, as in browsers.

    Args:
        pixels: colors `(H, W, 3)` and alpha `(H, W, 1)` or None.
        info: the metadata that Pillow read.
    """
    gamma = info.get("gamma")
    if not gamma or abs(gamma * 2.2 - 1) < GAMMA_TOLERANCE or "srgb" in info or info.get("icc_profile"):
        return pixels
    white = np.iinfo(pixels[0].dtype).max if pixels[0].dtype.kind == "u" else 1
    light = (pixels[0].astype(np.float32) / np.float32(white)) ** np.float32(1 / gamma)
    encoded = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** np.float32(1 / 2.4) - 0.055)
    return encoded.astype(np.float32).clip(0, 1), pixels[1]


@lru_cache(maxsize=8)
def is_srgb(profile: bytes) -> bool:
    """Return whether a profile changes no color by more than one 8-bit level, so that pixels need no conversion.

    Raises:
        BrokenProfileError: if the profile cannot be read.
    """
    opened, space = _open(profile)
    if space != "RGB":
        return False
    grid = np.indices((16, 16, 16), dtype=np.uint8).reshape(3, -1, 16).transpose(1, 2, 0) * 17  # (256, 16, 3)
    converted = _transform(PIL.Image.fromarray(np.ascontiguousarray(grid)), opened)
    return bool(np.abs(np.asarray(converted).astype(int) - grid).max() <= 1)


def warn_broken(name: str, error: Exception) -> None:
    """Warn that the profile of a file is ignored and its colors are read as sRGB."""
    warnings.warn(f"{name}: its color profile is ignored: {reason(error)}", stacklevel=2)


def _convert(picture: PIL.Image.Image, profile: bytes) -> PIL.Image.Image:
    opened, space = _open(profile)
    if space == "RGB" and picture.mode == "L":
        picture = picture.convert("RGB")
    if _MODES.get(space) != picture.mode:
        raise BrokenProfileError(f"it describes {space} and the pixels are {picture.mode}")
    return picture if is_srgb(profile) else _transform(picture, opened)


def _open(profile: bytes) -> tuple[ImageCms.ImageCmsProfile, str]:
    """Return the opened profile and the color space that it declares."""
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return opened, str(opened.profile.xcolor_space).strip()
    except Exception as error:  # OSError, PyCMSError, UnicodeDecodeError and others
        raise BrokenProfileError("it is corrupt") from error


def _transform(picture: PIL.Image.Image, profile: ImageCms.ImageCmsProfile) -> PIL.Image.Image:
    target = ImageCms.ImageCmsProfile(io.BytesIO(srgb()))
    try:
        converted = ImageCms.profileToProfile(
            picture, profile, target, renderingIntent=INTENT, outputMode="RGB", flags=FLAGS
        )
    except ImageCms.PyCMSError as error:
        raise BrokenProfileError("it cannot be used") from error
    assert converted is not None  # only in-place conversion returns None
    return converted

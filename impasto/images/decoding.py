"""Decode the bytes of an image file into upright sRGB pixels."""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
import PIL.Image
import PIL.ImageFile
from PIL import PngImagePlugin
from PIL.Image import Transpose

from impasto.files import reason
from impasto.images import hires, plugins, profiles
from impasto.images.metadata import Metadata, read_metadata

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "AVIF", "BMP", "GIF")
READABLE = "a JPEG, PNG, WebP, TIFF, AVIF, BMP or GIF"
CLIP_SUFFIXES = frozenset(
    (".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi", ".mpg", ".mpeg", ".ts", ".ogv", ".wmv", ".flv", ".y4m")
)
"""Suffixes of video files, which are not images."""

TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""First bytes of a TIFF and of a BigTIFF in both byte orders."""

Pixels = tuple[np.ndarray, np.ndarray | None]
"""Colors `(H, W, 3)` and alpha `(H, W, 1)` or None: uint8 or uint16 over their full range, or float32 in [0, 1]."""

_UPRIGHT = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
"""Transformation that undoes each EXIF orientation (Exif 2.32, tag 0x0112)."""
TURNED = (Transpose.TRANSPOSE, Transpose.ROTATE_270, Transpose.TRANSVERSE, Transpose.ROTATE_90)
"""Transformations that exchange width and height."""

MAX_TEXT = 64 * 2**20
"""Bytes of the largest text or color profile of a PNG: of all texts together Pillow allows no more."""

pillow_lock = threading.Lock()


def read(file: BinaryIO, name: str, max_pixels: int) -> tuple[bytes, Pixels, Metadata]:
    """Read an open image file.

    The size in the header is checked before the rest of the file is read.

    Args:
        file: the open file.
        name: name of the file in error messages.
        max_pixels: largest accepted number of pixels.

    Returns:
        All bytes of the file, its pixels and its metadata.

    Raises:
        ValueError: if the file is not an image, is corrupt, or is too large.
    """
    header = read_header(file, name, max_pixels)
    with _quiet_pillow(name):
        file.seek(0)
        data = file.read()
        if header.format == "PNG":
            # Pillow's decoder accepts truncated PNG files and wrong checksums; its verifier does not.
            PIL.Image.open(io.BytesIO(data), formats=FORMATS).verify()
        # A JPEG XL is already decoded.
        picture = header if header.format == "JXL" else _open(io.BytesIO(data), name, max_pixels)
        is_deep = loses_depth(picture)
    plugins.warn_of_hdr(picture, name)
    deep = _decode_deep(data, name) if is_deep else None
    pixels = profiles.without_gamma(deep, picture.info) if deep else decode(picture, name, max_pixels)
    return data, pixels, read_metadata(picture.info, data)


def read_header(file: BinaryIO, name: str, max_pixels: int) -> PIL.ImageFile.ImageFile:
    """Return an open image file as an image of Pillow that is not decoded; arguments and errors as for `read`."""
    with _quiet_pillow(name):
        header = _open(file, name, max_pixels)
        check_size(header.size, name, max_pixels)
    return header


def decode(picture: PIL.Image.Image, name: str, max_pixels: int) -> Pixels:
    """Decode an image of Pillow into upright sRGB pixels.

    Args:
        picture: the image.
        name: its name in error messages.
        max_pixels: largest accepted number of pixels.

    Raises:
        ValueError: if the image is corrupt, too large, or has floating-point or 32-bit pixels.
    """
    with _quiet_pillow(name):
        check_size(picture.size, name, max_pixels)
        picture.load()
        color, alpha = split_alpha(_upright(picture))
    return profiles.without_gamma(_convert(color, alpha, picture.info.get("icc_profile"), name), picture.info)


def to_pixels(
    color: PIL.Image.Image, alpha: PIL.Image.Image | None, profile: bytes | None, name: str
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return uint8 colors `(H, W, 3)` in sRGB, and alpha `(H, W, 1)` or None.

    Args:
        color: image in mode L, RGB, CMYK or LAB.
        alpha: opacity in mode L, or None.
        profile: bytes of the ICC profile of the colors.
        name: name of the file in warnings.
    """
    colors = np.array(profiles.to_srgb(color, profile, name))
    return colors, None if alpha is None else np.array(alpha)[..., None]


def read_text(file: BinaryIO, name: str, keyword: str, max_pixels: int) -> str | None:
    """Return the text under a keyword of an open PNG file; None for other formats or if the text is missing.

    Args:
        file: the open file.
        name: name of the file in error messages.
        keyword: keyword of the text chunk.
        max_pixels: largest accepted number of pixels.

    Raises:
        ValueError: if the file is not an image, is corrupt, or is too large.
    """
    with _quiet_pillow(name):
        picture = _open(file, name, max_pixels)
        if not isinstance(picture, PngImagePlugin.PngImageFile):
            return None
        if keyword not in picture.info:
            check_size(picture.size, name, max_pixels)
            picture.load()  # other programs may write the text after the pixels
        return picture.text.get(keyword)


def is_image(path: Path) -> bool:
    """Return whether a file begins like an image in a supported format; HEIC and JPEG XL are, without the extra too."""
    try:
        with _quiet_pillow(str(path)), path.open("rb") as file:
            if plugins.format_of(file.read(plugins.SIGNATURE)) is None:
                PIL.Image.open(file, formats=FORMATS)
    except ValueError:
        return False
    return True


def read_size(path: str | Path, max_pixels: int) -> tuple[int, int]:
    """Return the height and width of an image file in pixels, upright, from its header.

    Args:
        path: the file.
        max_pixels: largest JPEG XL image in pixels, which is decoded.

    Raises:
        ValueError: if the file is not an image, or a JPEG XL image that is too large.
        OSError: if the file cannot be read.
    """
    name = repr(str(path))
    with open(path, "rb") as file, _quiet_pillow(name):
        picture = _open(file, name, max_pixels)
        width, height = picture.size
        is_turned = picture.format != "TIFF" and _UPRIGHT.get(orientation(picture)) in TURNED  # Pillow turns a TIFF
        return (width, height) if is_turned else (height, width)


def check_size(size: tuple[int, int], name: str, max_pixels: int) -> None:
    """Check the width and height of an image.

    Args:
        size: width and height in pixels.
        name: name of the file in error messages.
        max_pixels: largest accepted number of pixels.

    Raises:
        ValueError: if a side is zero or there are more than `max_pixels` pixels.
    """
    width, height = size
    if width < 1 or height < 1:
        raise ValueError(f"{name}: it is {width} x {height} pixels; an image needs at least 1 x 1")
    if width * height > max_pixels:
        raise ValueError(
            f"{name}: it is {width} x {height} pixels, over the limit of {max_pixels} pixels; "
            f"reduce it, or allow it with --max-pixels {width * height}"
        )


def corrupt(name: str, text: str) -> ValueError:
    """Return the error for a file that a library cannot decode, with what it says."""
    return ValueError(f"{name}: it is corrupt or truncated ({text}); give a complete file")


def orientation(picture: PIL.Image.Image) -> int:
    """Return the EXIF orientation of an image, 1 to 8; 1 where it is missing or wrong, and after a TIFF is decoded."""
    if plugins.is_turned(picture):
        return 1
    try:
        found = picture.getexif().get(0x0112, 1)
    except Exception:  # an image with corrupt EXIF data can still be decoded
        return 1
    return found if found in _UPRIGHT else 1


def _open(file: BinaryIO, name: str, max_pixels: int) -> PIL.ImageFile.ImageFile:
    """Open an image file without decoding more than `max_pixels` pixels.

    Raises:
        ValueError: for a TIFF whose pixels Pillow cannot read, or a format whose extra is not installed.
    """
    start = file.read(plugins.SIGNATURE)
    file.seek(0)
    if plugins.format_of(start) is not None:
        return plugins.open_file(file, name, partial(check_size, name=name, max_pixels=max_pixels))
    try:
        return PIL.Image.open(file, formats=FORMATS)
    except PIL.UnidentifiedImageError:
        file.seek(0)
        if file.read(4) not in TIFF_SIGNATURES:
            raise
        text = "it is a corrupt TIFF, or its pixels are not integers, such as colors in floating-point numbers"
        raise ValueError(f"{name}: {text}; give a complete file with 8 or 16 bits per channel") from None


@contextmanager
def _quiet_pillow(name: str) -> Iterator[None]:
    """Disable Pillow's size limit and warnings, allow large texts and profiles, and convert exceptions to `ValueError`.

    The limits and the warning filters are global, so a lock makes sure that images are decoded one at a time.
    """
    with pillow_lock, warnings.catch_warnings():
        limit, PIL.Image.MAX_IMAGE_PIXELS = PIL.Image.MAX_IMAGE_PIXELS, None
        text_limit, PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_CHUNK, MAX_TEXT
        warnings.simplefilter("ignore")
        try:
            yield
        except PIL.UnidentifiedImageError as error:
            raise ValueError(f"{name}: it is not an image in a supported format; give {READABLE}") from error
        except MemoryError as error:
            raise ValueError(f"{name}: it does not fit into memory; reduce its size") from error
        except Exception as error:  # OSError, SyntaxError, struct.error, EOFError, zlib.error ...
            if type(error) is ValueError and str(error).startswith(f"{name}: "):
                raise
            text = reason(error)
            if "MAX_TEXT" in text:
                size = f"more than {MAX_TEXT // 2**20} MiB"
                raise ValueError(f"{name}: its texts or its color profile take {size}; remove them") from error
            raise corrupt(name, text) from error
        finally:
            PIL.Image.MAX_IMAGE_PIXELS = limit
            PngImagePlugin.MAX_TEXT_CHUNK = text_limit


def loses_depth(picture: PIL.ImageFile.ImageFile) -> bool:
    """Return whether Pillow would reduce 16 bits to 8: color with a raw mode such as `RGB;16B`, but not gray."""
    stored = str(picture.tile) if picture.format in ("PNG", "TIFF") else ""
    return ";16" in stored and not picture.mode.startswith("I")


def _decode_deep(data: bytes, name: str) -> Pixels | None:
    vips = hires.find_vips()
    if vips is None:
        warnings.warn(f"{name}: read with 8 of its 16 bits; to keep all of them, {hires.INSTALL}", stacklevel=2)
        return None
    try:
        pixels = hires.decode(data, name)
    except vips.Error as error:
        raise corrupt(name, reason(error)) from error
    if pixels is None:
        warnings.warn(f"{name}: read with 8 of its 16 bits; to keep all of them, save it as RGB", stacklevel=2)
    return pixels


def _upright(picture: PIL.Image.Image) -> PIL.Image.Image:
    transformation = _UPRIGHT.get(orientation(picture))
    return picture if transformation is None else picture.transpose(transformation)


def _convert(color: PIL.Image.Image, alpha: PIL.Image.Image | None, profile: bytes | None, name: str) -> Pixels:
    if color.mode.startswith("I;16"):
        return _gray16(color, profile, name)
    if color.mode in ("I", "F"):
        kind = "floating-point" if color.mode == "F" else "32-bit integer"
        raise ValueError(f"{name}: its pixels are {kind} numbers; save it with 8 or 16 bits per channel")
    return to_pixels(color, alpha, profile, name)


def _gray16(picture: PIL.Image.Image, profile: bytes | None, name: str) -> Pixels:
    levels = np.array(picture).astype(np.uint16)  # (H, W), in native byte order
    tags = getattr(picture, "tag_v2", {})
    white = 2 ** int(tags.get(258, (16,))[0]) - 1  # BitsPerSample: a TIFF may have 12
    values = levels.astype(np.float32) / white
    if tags.get(262) == 0:  # PhotometricInterpretation WhiteIsZero
        values = 1 - values
    curve = profiles.gray_curve(profile, name)
    if curve is not None:
        values = np.interp(values, np.linspace(0, 1, 256), curve).astype(np.float32)
    transparent = picture.info.get("transparency")
    alpha = None if transparent is None else (levels != transparent).astype(np.float32)[..., None]
    return np.repeat(values[..., None], 3, axis=2), alpha


def split_alpha(picture: PIL.Image.Image) -> tuple[PIL.Image.Image, PIL.Image.Image | None]:
    """Return colors in mode L, RGB, CMYK or LAB, and alpha in mode L; deeper modes (I, I;16, F) unchanged."""
    if picture.mode in ("CMYK", "LAB") or picture.mode.startswith(("I", "F")):
        return picture, None
    gray = picture.mode in ("1", "L", "LA", "La")
    if not picture.has_transparency_data:
        return picture.convert("L" if gray else "RGB"), None
    with_alpha = picture.convert("LA" if gray else "RGBA")
    return with_alpha.convert("L" if gray else "RGB"), with_alpha.getchannel("A")

"""From the bytes of a picture file to upright sRGB pixels."""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import numpy as np
import PIL.Image
import PIL.ImageFile
import PIL.PngImagePlugin
from PIL.Image import Transpose

from impasto.files import reason
from impasto.images import hires, profiles

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "AVIF", "BMP", "GIF")
READABLE = "a JPEG, PNG, WebP, TIFF, AVIF, BMP or GIF"

Pixels = tuple[np.ndarray, np.ndarray | None]
"""Colors `(H, W, 3)` and alpha `(H, W, 1)` or None: uint8, uint16 (white is their maximum), or float32."""

_UPRIGHT = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
"""What undoes each EXIF orientation (Exif 2.32, tag 0x0112)."""

_pillow = threading.Lock()


def read(file: BinaryIO, name: str, max_pixels: int) -> tuple[bytes, Pixels]:
    """All bytes of an open picture file, and its pixels.

    The header is judged before the rest is read. Raises `ValueError`, in one line, for anything that is
    wrong.
    """
    with _quiet_pillow(name):
        header = PIL.Image.open(file, formats=FORMATS)
        check_size(header.size, name, max_pixels)
        file.seek(0)
        data = file.read()
        if header.format == "PNG":
            # Pillow's decoder accepts a PNG without its end, and bad checksums; its verifier does not.
            PIL.Image.open(io.BytesIO(data), formats=FORMATS).verify()
        picture = PIL.Image.open(io.BytesIO(data), formats=FORMATS)
        deep = _loses_depth(picture)
    pixels = _decode_deep(data, name) if deep else None
    return data, pixels or decode(picture, name, max_pixels)


def decode(picture: PIL.Image.Image, name: str, max_pixels: int) -> Pixels:
    """The pixels of `picture`, upright and in sRGB. Raises `ValueError`, in one line, for anything wrong."""
    with _quiet_pillow(name):
        check_size(picture.size, name, max_pixels)
        picture.load()
        color, alpha = _split_alpha(_upright(picture))
    profile = picture.info.get("icc_profile")
    if color.mode.startswith("I;16"):
        return _gray16(color, profile, name)
    if color.mode in ("I", "F"):
        kind = "floating-point" if color.mode == "F" else "32-bit integer"
        raise ValueError(f"{name}: its pixels are {kind} numbers; save it with 8 or 16 bits a channel")
    colors = np.array(profiles.to_srgb(color, profile, name))
    return colors, None if alpha is None else np.array(alpha)[..., None]


def read_text(file: BinaryIO, name: str, keyword: str, max_pixels: int) -> str | None:
    """The text under `keyword` in an open PNG, or None in any other picture. Raises `ValueError`."""
    with _quiet_pillow(name):
        picture = PIL.Image.open(file, formats=FORMATS)
        if not isinstance(picture, PIL.PngImagePlugin.PngImageFile):
            return None
        if keyword not in picture.info:
            check_size(picture.size, name, max_pixels)
            picture.load()  # another program may have moved the text behind the pixels
        return picture.text.get(keyword)


def check_size(size: tuple[int, int], name: str, max_pixels: int) -> None:
    """Raise `ValueError` for a width or height of zero, or for more than `max_pixels` pixels."""
    width, height = size
    if width < 1 or height < 1:
        raise ValueError(f"{name}: it is {width} x {height} pixels; a picture needs at least 1 x 1")
    if width * height > max_pixels:
        raise ValueError(
            f"{name}: it is {width} x {height} pixels, over the limit of {max_pixels} pixels; "
            f"shrink it, or allow it with --max-pixels {width * height}"
        )


@contextmanager
def _quiet_pillow(name: str) -> Iterator[None]:
    """Our limit instead of Pillow's, none of its warnings, and its many exceptions as one line.

    Limit and warning filters are global, hence the lock: pictures are decoded one at a time.
    """
    with _pillow, warnings.catch_warnings():
        limit, PIL.Image.MAX_IMAGE_PIXELS = PIL.Image.MAX_IMAGE_PIXELS, None
        warnings.simplefilter("ignore")
        try:
            yield
        except PIL.UnidentifiedImageError as error:
            raise ValueError(f"{name}: it is not a picture that can be read; give {READABLE}") from error
        except MemoryError as error:
            raise ValueError(f"{name}: it does not fit into memory; shrink it") from error
        except Exception as error:  # OSError, SyntaxError, struct.error, EOFError, zlib.error ...
            if type(error) is ValueError and str(error).startswith(f"{name}: "):
                raise
            text = reason(error)
            raise ValueError(f"{name}: it is damaged or cut short ({text}); give a whole file") from error
        finally:
            PIL.Image.MAX_IMAGE_PIXELS = limit


def _loses_depth(picture: PIL.ImageFile.ImageFile) -> bool:
    """Whether Pillow cuts 16 bits to 8: its name of the layout tells (`RGB;16B`). Gray it keeps whole."""
    stored = str(picture.tile) if picture.format in ("PNG", "TIFF") else ""
    return ";16" in stored and not picture.mode.startswith("I")


def _decode_deep(data: bytes, name: str) -> Pixels | None:
    vips = hires.find_vips()
    if vips is None:
        warnings.warn(f"{name}: read with 8 of its 16 bits; for all of them {hires.INSTALL}", stacklevel=2)
        return None
    try:
        pixels = hires.decode(data, name)
    except vips.Error as error:
        text = f"it is damaged or cut short ({reason(error)})"
        raise ValueError(f"{name}: {text}; give a whole file") from error
    if pixels is None:
        warnings.warn(f"{name}: read with 8 of its 16 bits; for all of them save it as RGB", stacklevel=2)
    return pixels


def _upright(picture: PIL.Image.Image) -> PIL.Image.Image:
    try:
        turn = _UPRIGHT.get(picture.getexif().get(0x0112, 1))  # Pillow has already turned a TIFF, and says 1
    except Exception:  # damaged notes do not make a damaged picture
        return picture
    return picture if turn is None else picture.transpose(turn)


def _gray16(picture: PIL.Image.Image, profile: bytes | None, name: str) -> Pixels:
    levels = np.array(picture).astype(np.uint16)  # (H, W), in this machine's byte order
    tags = getattr(picture, "tag_v2", {})
    top = 2 ** int(tags.get(258, (16,))[0]) - 1  # BitsPerSample: a TIFF may hold 12
    values = levels.astype(np.float32) / top
    if tags.get(262) == 0:  # PhotometricInterpretation: white is zero
        values = 1 - values
    curve = profiles.gray_curve(profile, name)
    if curve is not None:
        values = np.interp(values, np.linspace(0, 1, 256), curve).astype(np.float32)
    clear = picture.info.get("transparency")
    alpha = None if clear is None else (levels != clear).astype(np.float32)[..., None]
    return np.repeat(values[..., None], 3, axis=2), alpha


def _split_alpha(picture: PIL.Image.Image) -> tuple[PIL.Image.Image, PIL.Image.Image | None]:
    """Colors in mode L, RGB, CMYK or LAB, and alpha in mode L; deeper modes (I, I;16, F) as they are."""
    if picture.mode in ("CMYK", "LAB") or picture.mode.startswith(("I", "F")):
        return picture, None
    gray = picture.mode in ("1", "L", "LA", "La")
    if not picture.has_transparency_data:
        return picture.convert("L" if gray else "RGB"), None
    whole = picture.convert("LA" if gray else "RGBA")
    return whole.convert("L" if gray else "RGB"), whole.getchannel("A")

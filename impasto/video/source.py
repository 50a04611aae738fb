"""Define what a file of a clip provides: its size, its color encoding and its frames."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import torch

from impasto.images import MAX_PIXELS
from impasto.types import Image

T = TypeVar("T")
Shape = tuple[int, int]
"""Height and width, in pixels."""

BT709, BT601, BT2020 = 1, 5, 9
"""Color matrices, by their numbers in ITU-T H.273."""
LIMITED, FULL = 1, 2
"""Color ranges: 16 to 235, or 0 to 255."""
SRGB = 13
"""Transfer function of sRGB, by its number in ITU-T H.273."""
SCALING = 4 | 0x40000 | 0x2000
"""Flags of libswscale: bicubic, accurate rounding, chroma at full resolution; without them, colors get darker."""


@dataclass(frozen=True)
class ColorTags:
    """How the values of a file encode colors, by the numbers of ITU-T H.273; the output has the same tags."""

    matrix: int = BT709
    range: int = LIMITED
    primaries: int = BT709
    transfer: int = BT709


@dataclass(frozen=True, eq=False)
class SourceFrame:
    """One frame of a file, which is converted to pixels on demand."""

    time: Fraction
    """Seconds since the first frame of the file."""
    duration: Fraction
    """Seconds that it is shown, if it is the last one; the others are shown until the next one."""
    pixels: Callable[[Shape], np.ndarray]
    """Returns the upright pixels `(H, W, 3)`, uint8, at a height and width."""


class ClipSource(Protocol):
    """A file or a folder with frames."""

    size: Shape
    """Height and width of an upright frame with square pixels."""
    color: ColorTags
    time_base: Fraction
    """Unit of the times, in seconds: every time is a multiple of it."""
    has_audio: bool
    seconds: Fraction | None
    """Seconds of all frames together, as the file says; None where only decoding tells."""
    origin: Fraction
    """Time of the first frame in seconds, on the clock of the file that its sound has too."""

    def frames(self, start: Fraction) -> Iterator[SourceFrame]:
        """Yield the frames from the start of the file, or from an earlier frame than `start` seconds on."""
        ...


class StoppedError(Exception):
    """A run was stopped while it read a clip."""


def until_stopped(frames: Iterable[T], is_stopped: Callable[[], bool]) -> Iterator[T]:
    """Yield the frames of a clip; raise `StoppedError` at the first one after a stop."""
    for frame in frames:
        if is_stopped():
            raise StoppedError
        yield frame


def check_pixels(file: Path, width: int, height: int) -> None:
    """Raise `ValueError` in one line for frames of more than `MAX_PIXELS` pixels, which fill the memory."""
    if width * height > MAX_PIXELS:
        text = f"the frames have {width} x {height} pixels, over the limit of {MAX_PIXELS}"
        raise ValueError(f"{str(file)!r}: {text}; give smaller frames")


def frame_image(pixels: np.ndarray) -> Image:
    """Return `(H, W, 3)` uint8 as `(1, 3, H, W)` in [0, 1]."""
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].float().div_(255).contiguous()


def frame_pixels(image: Image) -> np.ndarray:
    """Return `(1, 3, H, W)` in [0, 1] as `(H, W, 3)` uint8."""
    pixels: np.ndarray = image[0].permute(1, 2, 0).mul(255).round().clamp_(0, 255).byte().contiguous().numpy()
    return pixels

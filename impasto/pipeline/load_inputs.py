"""The pictures that go in, and what the record says of each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from impasto.config import MethodConfig
from impasto.images import MIN_SIDE, Picture, Source, open_picture
from impasto.methods import METHODS
from impasto.optim.coarse_to_fine import STARTS
from impasto.pipeline.result import Input
from impasto.samples import CONTENTS, STYLES, resolve


def open_input(role: Any, source: Source, max_pixels: int) -> tuple[Picture, Input]:
    """A picture at its own size and its entry. Raises `ValueError` where it cannot be read or is too small."""
    path = None
    if isinstance(source, str | Path):
        is_sample = str(source) in {*STYLES, *CONTENTS} and not Path(source).is_file()
        file = resolve(source)
        path = str(source) if is_sample else str(file.absolute())
        source = file
    picture = open_picture(source, max_pixels=max_pixels)
    height, width = picture.image.shape[-2:]
    if min(height, width) < MIN_SIDE:
        raise ValueError(
            f"{role} {picture.name!r} is {width}x{height} pixels; a picture needs at least {MIN_SIDE} on each side"
        )
    return picture, Input(role, path, picture.name, picture.sha256)


def open_mask(role: Any, file: str, max_pixels: int) -> tuple[Picture, Input]:
    """A mask and its entry. Raises `ValueError` where it cannot be read."""
    try:
        mask = open_picture(file, max_pixels=max_pixels)
    except ValueError as error:
        raise ValueError(f"{role}: {error}") from None
    return mask, Input(role, str(Path(file).absolute()), mask.name, mask.sha256)


def start_inputs(config: MethodConfig, max_pixels: int) -> list[Input]:
    """The entry of the picture to start with, if the settings name one. Raises `ValueError` as `open_input` does."""
    start = getattr(config, "start", "content")
    if start in STARTS or start in METHODS:
        return []
    try:
        return [open_input("start", start, max_pixels)[1]]
    except ValueError as error:
        raise ValueError(f"start: choose content, style, noise, a method of one pass or a picture: {error}") from None

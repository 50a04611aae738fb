"""Open the input images of a run and describe them for the record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from impasto.images import MIN_SIDE, Picture, Source, open_picture
from impasto.pipeline.result import Input
from impasto.samples import CONTENTS, STYLES, resolve


def open_input(role: Any, source: Source, max_pixels: int) -> tuple[Picture, Input]:
    """Return an image at its own size and its entry in the record.

    Args:
        role: what the image is used as, such as `content`.
        source: path, name of a sample, PIL image or tensor.
        max_pixels: larger images are refused.

    Raises:
        ValueError: if the image cannot be read or is too small.
    """
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
            f"{role} {picture.name!r} is {width}x{height} pixels; give an image of at least {MIN_SIDE} on each side"
        )
    return picture, Input(role, path, picture.name, picture.sha256)


def open_start(files: Sequence[str], max_pixels: int) -> tuple[Picture, Input] | None:
    """Return the start image and its entry, if the settings name a file. Raises `ValueError` as `open_input` does."""
    if not files:
        return None
    try:
        return open_input("start", files[0], max_pixels)
    except ValueError as error:
        raise ValueError(f"start: give content, style, noise, a feed-forward method or an image: {error}") from None


def open_masks(files: Mapping[str, Sequence[str]], max_pixels: int) -> tuple[list[Picture], list[Picture], list[Input]]:
    """Return the masks of the content, those of the styles, and the entries of all. Raises `ValueError`."""
    masks = [_open_mask("mask", file, max_pixels) for file in files["mask"]]
    style_masks = [_open_mask("style_mask", file, max_pixels) for file in files["style_mask"]]
    entries = [entry for _, entry in (*masks, *style_masks)]
    return [mask for mask, _ in masks], [mask for mask, _ in style_masks], entries


def _open_mask(role: Any, file: str, max_pixels: int) -> tuple[Picture, Input]:
    try:
        mask = open_picture(file, max_pixels=max_pixels)
    except ValueError as error:
        raise ValueError(f"{role}: {error}") from None
    return mask, Input(role, str(Path(file).absolute()), mask.name, mask.sha256)

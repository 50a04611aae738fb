"""Open the input images of a run and describe them for the record."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from torch import Tensor

from impasto.images import MIN_SIDE, Picture, Source, fill_hidden, open_picture
from impasto.pipeline.result import Input
from impasto.samples import CONTENTS, STYLES, resolve

IN_MEMORY = "picture in memory"
"""Name of a picture in memory among the settings."""


def open_input(role: Any, source: Source, max_pixels: int, longer_side: int | None = None) -> tuple[Picture, Input]:
    """Return an image with filled transparent parts, and its entry in the record.

    The image has its own size, but a very large file is reduced while it is read.

    Args:
        role: what the image is used as, such as `content`.
        source: path, name of a sample, or any other source of `open_picture`.
        max_pixels: larger images are refused.
        longer_side: as for `open_picture`.

    Raises:
        ValueError: if the image cannot be read or is too small.
    """
    path = None
    if isinstance(source, str | os.PathLike):
        name = os.fsdecode(source)
        is_sample = name in {*STYLES, *CONTENTS} and not Path(name).is_file()
        source = resolve(name)
        path = name if is_sample else str(source.absolute())
    picture = open_picture(source, max_pixels=max_pixels, longer_side=longer_side)
    height, width = picture.shape
    if min(height, width) < MIN_SIDE:
        raise ValueError(
            f"{role} {picture.name!r} is {width}x{height} pixels; give an image of at least {MIN_SIDE} on each side"
        )
    picture = replace(picture, image=fill_hidden(picture.image, picture.alpha))
    return picture, Input(role, path, picture.name, picture.sha256)


def sources_of(given: Any) -> tuple[Source, ...]:
    """Return the sources of a setting that is one of them, several, or None."""
    return tuple(given) if isinstance(given, list | tuple) else () if given is None else (given,)


def split_pictures(settings: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, tuple[Source, ...]]]:
    """Replace pictures in memory among the settings by a name, because settings are texts and numbers.

    Args:
        settings: settings by name; `start`, `mask` and `style_mask` may be or contain sources of `open_picture`.

    Returns:
        The settings without pictures, and the sources of each of the three settings that has one in memory.
    """
    named, pictures = dict(settings), {}
    for role in ("start", "mask", "style_mask"):
        sources = sources_of(settings.get(role))
        if any(isinstance(each, np.ndarray | Tensor | PIL.Image.Image) or hasattr(each, "read") for each in sources):
            pictures[role] = sources
            names = [each if isinstance(each, str | os.PathLike) else IN_MEMORY for each in sources]
            named[role] = f"file:{IN_MEMORY}" if role == "start" else names
    return named, pictures


def open_start(files: Sequence[Source], max_pixels: int, longer_side: int | None) -> tuple[Picture, Input] | None:
    """Return the start image and its entry, if the settings name a file. Raises `ValueError` as `open_input` does."""
    if not files:
        return None
    try:
        return open_input("start", files[0], max_pixels, longer_side)
    except ValueError as error:
        raise ValueError(f"start: give content, style, noise, a feed-forward method or an image: {error}") from None


def open_masks(
    files: Mapping[str, Sequence[Source]], max_pixels: int
) -> tuple[list[Picture], list[Picture], list[Input]]:
    """Return the masks of the content, those of the styles, and the entries of all. Raises `ValueError`."""
    masks = [open_mask("mask", file, max_pixels) for file in files["mask"]]
    style_masks = [open_mask("style_mask", file, max_pixels) for file in files["style_mask"]]
    entries = [entry for _, entry in (*masks, *style_masks)]
    return [mask for mask, _ in masks], [mask for mask, _ in style_masks], entries


def open_mask(role: Any, file: Source, max_pixels: int) -> tuple[Picture, Input]:
    """Return a mask and its entry in the record. Raises `ValueError` as `open_picture` does."""
    try:
        mask = open_picture(file, max_pixels=max_pixels)
    except ValueError as error:
        raise ValueError(f"{role}: {error}") from None
    path = str(Path(os.fsdecode(file)).absolute()) if isinstance(file, str | os.PathLike) else None
    return mask, Input(role, path, mask.name, mask.sha256)

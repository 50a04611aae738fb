"""Arrange images in a grid with names above the columns and beside the rows."""

from __future__ import annotations

from collections.abc import Sequence

import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

from impasto.images.base import load_image
from impasto.images.encoding import to_pil
from impasto.images.pixels import fit, resize
from impasto.types import Image

GAP = 8
"""Pixels between two images."""
BACKGROUND, TEXT = (255, 255, 255), (40, 40, 40)


def contact_sheet(
    rows: Sequence[Sequence[Image | None]],
    *,
    row_names: Sequence[str] = (),
    column_names: Sequence[str] = (),
    cell: int = 256,
) -> Image:
    """Return a grid of images `(1, 3, H, W)`.

    Args:
        rows: images `(1, 3, h, w)` of any size; None leaves a cell empty.
        row_names: labels beside the rows.
        column_names: labels above the columns.
        cell: side in pixels of the square that each image is resized to fit.

    >>> import torch
    >>> tuple(contact_sheet([[torch.zeros(1, 3, 20, 30), None]], cell=30).shape)
    (1, 3, 36, 84)
    """
    font = PIL.ImageFont.load_default(size=max(10, cell // 14))
    shapes = [[None if each is None else _shape(each, cell) for each in row] for row in rows]
    heights = [max((shape[0] for shape in row if shape), default=cell) for row in shapes]
    columns = max(len(row) for row in rows)
    text_height = int(font.getbbox("Ag")[3]) + GAP
    left = GAP + max((int(font.getlength(name)) + GAP for name in row_names), default=0)
    top = GAP + (text_height if column_names else 0)
    size = (left + columns * (cell + GAP), top + sum(heights) + GAP * len(rows))
    sheet = PIL.Image.new("RGB", size, BACKGROUND)
    draw = PIL.ImageDraw.Draw(sheet)
    for j, name in enumerate(column_names):
        draw.text((left + j * (cell + GAP) + cell // 2, GAP), name, TEXT, font, anchor="ma")
    for i, row in enumerate(rows):
        if i < len(row_names):
            draw.text((GAP, top + heights[i] // 2), row_names[i], TEXT, font, anchor="lm")
        for j, (image, shape) in enumerate(zip(row, shapes[i], strict=True)):
            if image is not None and shape is not None:
                x, y = left + j * (cell + GAP) + (cell - shape[1]) // 2, top + (heights[i] - shape[0]) // 2
                sheet.paste(to_pil(resize(image, shape)), (x, y))
        top += heights[i] + GAP
    return load_image(sheet)


def _shape(image: Image, cell: int) -> tuple[int, int]:
    return fit((image.shape[-2], image.shape[-1]), cell)

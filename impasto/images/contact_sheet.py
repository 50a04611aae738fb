"""A contact sheet: pictures in a grid, names above the columns and beside the rows."""

from __future__ import annotations

from collections.abc import Sequence

import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
import torch

from impasto.images.base import load_image
from impasto.images.pixels import fit, quantize, resize
from impasto.types import Image

GAP = 8
"""Pixels between two pictures."""
PAPER, INK = (255, 255, 255), (40, 40, 40)


def contact_sheet(
    rows: Sequence[Sequence[Image | None]],
    *,
    row_names: Sequence[str] = (),
    column_names: Sequence[str] = (),
    cell: int = 256,
) -> Image:
    """Lays pictures `(1, 3, H, W)` out in rows, each fitted into a square of `cell` pixels; None leaves a gap.

    >>> tuple(contact_sheet([[torch.zeros(1, 3, 20, 30), None]], cell=30).shape)
    (1, 3, 36, 84)
    """
    font = PIL.ImageFont.load_default(size=max(10, cell // 14))
    shapes = [[None if each is None else _shape(each, cell) for each in row] for row in rows]
    heights = [max((shape[0] for shape in row if shape), default=cell) for row in shapes]
    columns = max(len(row) for row in rows)
    line = int(font.getbbox("Ag")[3]) + GAP
    left = GAP + max((int(font.getlength(name)) + GAP for name in row_names), default=0)
    top = GAP + (line if column_names else 0)
    size = (left + columns * (cell + GAP), top + sum(heights) + GAP * len(rows))
    sheet = PIL.Image.new("RGB", size, PAPER)
    draw = PIL.ImageDraw.Draw(sheet)
    for j, name in enumerate(column_names):
        draw.text((left + j * (cell + GAP) + cell // 2, GAP), name, INK, font, anchor="ma")
    for i, row in enumerate(rows):
        if i < len(row_names):
            draw.text((GAP, top + heights[i] // 2), row_names[i], INK, font, anchor="lm")
        for j, (image, shape) in enumerate(zip(row, shapes[i], strict=True)):
            if image is not None and shape is not None:
                x, y = left + j * (cell + GAP) + (cell - shape[1]) // 2, top + (heights[i] - shape[0]) // 2
                sheet.paste(_pil(resize(image, shape)), (x, y))
        top += heights[i] + GAP
    return load_image(sheet)


def _shape(image: Image, cell: int) -> tuple[int, int]:
    return fit((image.shape[-2], image.shape[-1]), cell)


def _pil(image: Image) -> PIL.Image.Image:
    levels = (quantize(image)[0] * 255).round().to(torch.uint8)
    return PIL.Image.fromarray(levels.permute(1, 2, 0).contiguous().numpy())

"""Show a stylized clip beside its input on one page: frames, slices through space and time, and grades."""

from __future__ import annotations

import base64
import html
import io
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import PIL.Image

from impasto.files import check_replaceable, check_writable, write_atomically
from impasto.images import fit
from impasto.video.clip import open_clip

FRAMES = 6
"""Number of consecutive frames from the middle of the clip that are shown."""
SIDE = 320
"""Longer side of the pictures of frames, in pixels."""
SLICE_ROWS = 480
"""Height of a slice in pixels, at most; a row is repeated in short clips."""
STYLE = (
    ":root{color-scheme:light dark}body{font:16px/1.45 system-ui,sans-serif;margin:1.5rem auto;max-width:80rem;"
    "padding:0 1rem}h1,h2{font-family:Georgia,serif;font-weight:500}table{border-collapse:collapse}"
    "td,th{text-align:right;padding:.2rem 1rem .2rem 0}td:first-child,th:first-child{text-align:left}"
    ".pair{display:grid;grid-template-columns:1fr 1fr;gap:.5rem;margin-bottom:.5rem}img{width:100%;display:block}"
)


def check_report(path: str | Path) -> None:
    """Raise `ValueError` in one line if the page cannot be written."""
    if Path(path).suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"report: {str(path)!r} is not a page; give a name that ends in .html")
    check_replaceable(Path(path))
    check_writable(path)


def write_report(
    path: str | Path,
    content: str | os.PathLike[str],
    output: str | os.PathLike[str],
    grades: Mapping[str, Mapping[str, float]],
) -> None:
    """Write a page without references to other files.

    Args:
        path: `.html` file.
        content: the input clip.
        output: the stylized clip, with as many frames.
        grades: values of `grade_clip`.
    """
    check_report(path)
    name = html.escape(Path(output).name)
    rows = "".join(
        f"<tr><td>{html.escape(metric)}</td><td>{_shown(value)}</td><td>{_shown(grades['identity'][metric])}</td></tr>"
        for metric, value in grades["output"].items()
    )
    shape = fit(open_clip(output).size, SIDE)
    pairs = zip(*(_pictures(file, shape) for file in (content, output)), strict=True)
    shown = [f'<div class="pair">{before}{after}</div>' for before, after in pairs]
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{name}</title><style>{STYLE}</style>'
        f"<h1>{name}</h1><table><tr><th>metric</th><th>output</th><th>input</th></tr>{rows}</table>"
        "<p>The warp error of the input is the smallest that makes sense: that of a clip without flicker of its own. "
        f"Left the input, right the output.</p><h2>One row of every frame, from top to bottom</h2>{shown[0]}"
        f"<h2>Consecutive frames</h2>{''.join(shown[1:])}</html>\n"
    )
    write_atomically(path, page.encode())


def _shown(value: float) -> str:
    """Return a value of the table; a dash for one that is not defined, such as that of frames that do not exist."""
    return "\N{EN DASH}" if math.isnan(value) else f"{value:.4g}"


def _pictures(file: str | os.PathLike[str], shape: tuple[int, int]) -> Iterator[str]:
    """Yield the slice through a clip and frames from its middle, as elements of the page."""
    clip = open_clip(file)
    rows = [frame.pixels[shape[0] // 2] for frame in clip.frames(shape)]
    repeats = max(1, SLICE_ROWS // len(rows))
    stride = -(-len(rows) // SLICE_ROWS)
    yield _element(np.stack(rows[::stride]).repeat(repeats, 0), f"Slice through {Path(file).name}")
    first = max(0, len(rows) // 2 - FRAMES // 2)
    for index, frame in enumerate(clip.frames(shape)):
        if first <= index < first + FRAMES:
            yield _element(frame.pixels, f"Frame {index + 1} of {Path(file).name}")


def _element(pixels: np.ndarray, text: str) -> str:
    file = io.BytesIO()
    PIL.Image.fromarray(pixels).save(file, "JPEG", quality=85)
    data = base64.b64encode(file.getvalue()).decode()
    return f'<img src="data:image/jpeg;base64,{data}" alt="{html.escape(text)}">'

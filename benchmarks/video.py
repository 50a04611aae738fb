"""Measure flicker, style and speed of stylized clips, beside the input and beside frames that are stylized alone.

    IMPASTO_WEIGHTS=... IMPASTO_TEST_IMAGES=... python benchmarks/video.py --method micro gatys [--frames 48]

For each style and method, a part of a film is stylized by `impasto.stylize_video` and once more frame by frame. The
table has the warp error (mean squared difference from the frame 1 or 10 before, moved by the flow of the input, times
10^4) beside that of the input, style share and content of VGG-19 at the output size and at the smaller ones of 512,
256 and 128 pixels (means over up to 8 frames), frames per second and processor seconds per frame of the whole command,
decoding, optical flow and encoding included, and the medians of the processor seconds and of the seconds from one frame
to the next, without the first frame and the encoding. `--sheet FOLDER` writes a sheet of 12 consecutive frames and a
space-time slice through one row for each clip. `--set NAME=VALUE` changes a setting.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import torch
from common import machine, picture, table

from impasto import Stylizer, stylize_video
from impasto.allocator import keep_freed_memory
from impasto.metrics.reference import SIZES
from impasto.video import open_clip, write_clip
from impasto.video.grading import GAPS, grade_clip
from impasto.video.settings import VideoSettings

METRICS = ("style_share", "content")
SPEEDS = ("frames/s", "CPU s", "later CPU s", "later s")
FILM = "video/cutBunny.mp4"
STYLES = ("starry_night", "mosaic", "vg_wheat_field")
SHEET, COLUMNS = 12, 4
LOSSLESS = ".mkv"


def main() -> None:
    options = _parse()
    rows: list[list[object]] = []
    torch.set_num_threads(options.threads or torch.get_num_threads())
    keep_freed_memory(of_any_size=True)  # as the command does
    with tempfile.TemporaryDirectory() as folder:
        for style in options.styles:
            for method in options.method:
                rows += _measure(Path(folder), style, method, options)
    head = [
        "style",
        "method",
        *(f"warp error {gap}" for gap in GAPS),
        "style share",
        "content",
        *SPEEDS,
    ]
    print(f"{machine()}\n\n{table(head, rows)}")


def _measure(folder: Path, style: str, method: str, options: argparse.Namespace) -> list[list[object]]:
    """Return the rows of the input, of the frames alone, and of the clip."""
    file = picture(style)
    part: dict[str, Any] = {"start": options.start, "duration": options.frames / 24 - 0.001}
    settings = dict(_setting(each) for each in options.set)
    outputs = {"clip": folder / f"{style}-{method}{LOSSLESS}", "frames alone": folder / f"{style}-alone{LOSSLESS}"}
    clock = _Clock()
    result = stylize_video(
        options.clip, file, outputs["clip"], method, size=options.size, on_frame=clock.lap, **part, **settings
    )
    speeds = {"clip": clock.per_frame(result.frames // result.passes)}
    clip = open_clip(options.clip, **part)
    shape = tuple(result.description["size"])
    content = write_clip(folder / f"input{LOSSLESS}", clip.frames((shape[0], shape[1])), clip)
    if options.alone:
        speeds["frames alone"] = _stylize_alone(content, file, outputs["frames alone"], method, options, settings)
    rows = []
    metrics = [f"{metric}@{each}" for metric in METRICS for each in _sizes(options.size)]
    for name, speed in speeds.items():
        grades = grade_clip(content, file, outputs[name], metrics=metrics)
        row = [style, f"{method}, {name}", *_figures(grades["output"]), *speed]
        rows += [[style, "input", *_figures(grades["identity"]), *[""] * len(SPEEDS)], row] if name == "clip" else [row]
        if options.sheet is not None:
            _draw(outputs[name], options.sheet / f"{style}-{method}-{name.replace(' ', '-')}")
    print(table(["style", "method", "1", "10", "style share", "content", *SPEEDS], rows), flush=True)
    return rows


def _stylize_alone(
    content: Path, style: Path, output: Path, method: str, options: argparse.Namespace, settings: dict[str, Any]
) -> list[str]:
    """Stylize every frame as an image; return the speed."""
    clip = open_clip(content)
    own = {name: value for name, value in settings.items() if name not in VideoSettings.__dataclass_fields__}
    stylizer = Stylizer(str(style), method, size=options.size, **own)
    clock = _Clock()
    frames = (
        type(frame)(np.array(stylizer.stylize(frame.pixels).to_pil()), frame.time, frame.duration)
        for frame in clip.frames()
    )
    write_clip(output, frames, clip)
    return clock.per_frame(options.frames)


class _Clock:
    """Wall time and processor time of a run."""

    def __init__(self) -> None:
        self._wall, self._processor = time.perf_counter(), time.process_time()
        self._laps: list[tuple[float, float]] = []

    def lap(self, step: object = None) -> None:
        """Note that a frame is finished."""
        self._laps.append((time.process_time(), time.perf_counter()))

    def per_frame(self, frames: int) -> list[str]:
        """Return the speeds of `SPEEDS`."""
        wall, processor = time.perf_counter() - self._wall, time.process_time() - self._processor
        later = np.median(np.diff(self._laps, axis=0), axis=0) if len(self._laps) > 1 else (np.nan, np.nan)
        return [f"{frames / wall:.2f}", *(f"{each:.3f}" for each in (processor / frames, *later))]


def _figures(grades: dict[str, float]) -> list[str]:
    errors = [f"{1e4 * grades[f'warp_error@{gap}']:.2f}" for gap in GAPS]
    shares, contents = ([value for name, value in grades.items() if name.startswith(f"{each}@")] for each in METRICS)
    share, content = " / ".join(f"{100 * each:.1f}" for each in shares), " / ".join(f"{each:.2f}" for each in contents)
    return [*errors, f"{share} %", content]


def _sizes(size: int) -> list[int]:
    """Return the longer sides at which an output is graded, in pixels."""
    return [size, *(each for each in SIZES if each < size)]


def _draw(path: Path, target: Path) -> None:
    """Write a sheet of consecutive frames and a space-time slice: one row of every frame, from top to bottom."""
    target.parent.mkdir(parents=True, exist_ok=True)
    frames = [frame.pixels for frame in open_clip(path).frames()]
    middle = frames[max(0, (len(frames) - SHEET) // 2) :][:SHEET]
    rows = [np.concatenate(middle[i : i + COLUMNS], 1) for i in range(0, len(middle) // COLUMNS * COLUMNS, COLUMNS)]
    PIL.Image.fromarray(np.concatenate(rows)).save(f"{target}-sheet.png")
    row = frames[0].shape[0] // 2
    time_slice = np.stack([frame[row] for frame in frames]).repeat(4, 0)
    PIL.Image.fromarray(time_slice).save(f"{target}-slice.png")


def _setting(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", type=Path, default=None)
    parser.add_argument("--styles", nargs="+", default=STYLES)
    parser.add_argument("--method", nargs="+", default=["micro", "gatys"])
    parser.add_argument("--start", type=float, default=0.4)
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--alone", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--sheet", type=Path)
    parser.add_argument("--set", nargs="+", default=[])
    options = parser.parse_args()
    if options.clip is None:
        options.clip = picture("tubingen").parents[1] / FILM
    return options


if __name__ == "__main__":
    main()

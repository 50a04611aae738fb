"""Show the progress of a run: a progress bar on stderr and a preview image."""

from __future__ import annotations

import re
import sys
import time
import warnings
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impasto.images import Bits, resize, save_image
from impasto.pipeline.records import record_path
from impasto.types import Image, Step

if TYPE_CHECKING:
    from rich.progress import Progress
    from torch import Tensor

LINE_INTERVAL = 30.0
"""Seconds between two progress lines where stderr is not a terminal."""
PREVIEW_INTERVAL = 1.0
"""Minimum number of seconds between two previews."""
CLOCK_TIME = 600
"""Remaining seconds from which on the time of the end is shown too."""


class Bar:
    """Progress bar with steps, losses, rate and remaining time on a terminal; elsewhere a line every 30 seconds.

    Args:
        title: text at the start of the bar.
        quiet: show nothing.
        unit: what a step is: `it` for an iteration.
    """

    def __init__(self, title: str, *, quiet: bool = False, unit: str = "it") -> None:
        self._title, self._quiet, self._unit = title, quiet, unit
        self._recent: deque[tuple[int, float]] = deque(maxlen=20)
        self._bar = _rich_bar() if sys.stderr.isatty() and not quiet else None
        self._last_line = time.monotonic()

    def __enter__(self) -> Bar:
        if self._bar is not None:
            self._bar.start()
            self._task = self._bar.add_task(self._title, total=None, figures="loading")
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, step: Step) -> None:
        """Show a step."""
        self._recent.append((step.index, step.seconds))
        if self._bar is not None:
            figures = f"{_losses(step)}  {self._rate(step)}"
            self._bar.update(self._task, total=step.total, completed=step.index, figures=figures)
        elif not self._quiet and time.monotonic() - self._last_line > LINE_INTERVAL:
            self._last_line = time.monotonic()
            print(f"{self._title}: {_losses(step)}  {self._rate(step)}", file=sys.stderr, flush=True)

    def _rate(self, step: Step) -> str:
        """Return the number of steps per second over the last 20 steps, and the remaining time at that rate."""
        (first, start), (last, now) = self._recent[0], self._recent[-1]
        if now <= start:
            return ""
        rate = (last - first) / (now - start)
        text = f"{rate:.1f} {self._unit}/s" if rate >= 1 else f"{1 / rate:.1f} s/{self._unit}"
        if step.total is None:
            return text
        left = round((step.total - step.index) / rate)
        end = "" if left < CLOCK_TIME else f" (until {time.strftime('%a %H:%M', time.localtime(time.time() + left))})"
        return f"{text}  {left // 60}:{left % 60:02d} left{end}"


class Preview:
    """Preview image of a run. A failure to write it is a warning, and the run continues without previews.

    Args:
        path: image file, or None for no preview.
    """

    def __init__(self, path: str | Path | None) -> None:
        self._path = path
        self._next = 0.0

    def __call__(self, step: Step) -> None:
        """Write the preview of a step, unless the last one is recent."""
        start = time.monotonic()
        if self._path is None or start < self._next:
            return
        try:
            save_preview(step.image(), self._path, step.alpha)
        except (ValueError, OSError) as error:
            warnings.warn(f"no further previews: {error}", stacklevel=2)
            self._path = None
        now = time.monotonic()
        self._next = now + max(PREVIEW_INTERVAL, 10 * (now - start))  # at most a tenth of the time


class NumberedImages:
    """The images of every N-th step, at the size of the output. A failure is a warning, and the run continues.

    Args:
        output: image file; that of step 10 of `out.png` is `out-000010.png`.
        every: number of steps from one image to the next; None writes none.
        bits: bits per channel.
    """

    def __init__(self, output: str, every: int | None, *, bits: Bits = 8) -> None:
        self._output, self._every, self._bits = Path(output), every, bits

    def __call__(self, step: Step) -> None:
        """Write the image of a step if it is one of them."""
        if self._every is None or step.index % self._every:
            return
        path = self._output.with_name(f"{self._output.stem}-{step.index:06d}{self._output.suffix}")
        try:
            save_preview(resize(step.image(), step.output_size), path, step.alpha, bits=self._bits)
        except (ValueError, OSError) as error:
            warnings.warn(f"no further numbered images: {error}", stacklevel=2)
            self._every = None


def check_numbered_images(output: str, inputs: Sequence[str]) -> None:
    """Check that no input, and no file of the user, has the name of a numbered image.

    Args:
        output: image file.
        inputs: input files.

    Raises:
        ValueError: for an input that would be overwritten, or another file where the output has no earlier run.
    """
    target = Path(output)
    numbered = re.compile(rf"{re.escape(target.stem)}-\d{{6,}}{re.escape(target.suffix)}")
    for name in inputs:
        if numbered.fullmatch(Path(name).name) and Path(name).resolve().parent == target.resolve().parent:
            raise ValueError(f"{name} is an input and could be overwritten by --save-every: give another output name")
    existing = sorted(file.name for file in target.parent.glob("*") if numbered.fullmatch(file.name) and file.is_file())
    if existing and not record_path(target).exists():
        raise ValueError(f"{existing[0]} exists and could be overwritten by --save-every: give another output name")


def save_preview(image: Image, path: str | Path, alpha: Tensor | None, *, bits: Bits = 8) -> None:
    """Write the image of a step; a format without transparency shows it on white, without a warning at every preview.

    Args:
        image: `(1, 3, H, W)` in [0, 1].
        path: image file.
        alpha: opacity `(1, 1, h, w)` in [0, 1], of any size; None: opaque.
        bits: bits per channel.
    """
    opacity = None if alpha is None else resize(alpha, (image.shape[-2], image.shape[-1]))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".* cannot store transparency")
        save_image(image, path, alpha=opacity, bits=bits)


def _losses(step: Step) -> str:
    sums = step.by_kind() if step.losses else {}
    losses = "  ".join(f"{kind} {loss:.3g}" for kind, loss in sums.items())
    return f"{step.index}{f'/{step.total}' if step.total else ''}  {losses}"


def _rich_bar() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

    console = Console(stderr=True)
    columns: list[Any] = [
        SpinnerColumn("dots" if console.encoding.startswith("utf") else "line"),  # the dots are Braille patterns
        TextColumn("{task.description}"),
        BarColumn(bar_width=16),
        TextColumn("{task.fields[figures]}"),
    ]
    return Progress(*columns, console=console, refresh_per_second=5, redirect_stdout=sys.stdout.isatty())


def plural(count: int, noun: str) -> str:
    """Return a number with a noun.

    >>> plural(1, "step"), plural(2, "step")
    ('1 step', '2 steps')
    """
    return f"{count} {noun}{'' if count == 1 else 's'}"

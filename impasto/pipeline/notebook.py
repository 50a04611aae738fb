"""Show progress and results in notebooks, without importing what a notebook has not loaded."""

from __future__ import annotations

import base64
import html
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from torch import Tensor

from impasto.images import encode_image, fit, resize
from impasto.types import Image, Step

Listener = Callable[[Step], object] | None
"""A function that is called with every step, or None."""
INTERVAL = 0.5
"""Seconds between two updates."""
SHOWN = 360
"""Largest side in pixels of an image in a notebook; a file keeps all pixels."""
FIGURE = (
    '<figure style="display:inline-block;margin:0 .6em 0 0"><img alt="{name}" src="data:image/webp;base64,{data}">'
    "<figcaption>{name}</figcaption></figure>"
)


@contextmanager
def notebook_progress(
    title: str, on_step: Callable[[Step], object] | None
) -> Iterator[Callable[[Step], object] | None]:
    """Yield a function for the steps that also shows them in a notebook; elsewhere `on_step` itself.

    The progress is removed at the end. It is shown for calls in the main thread, and never stops a run.

    Args:
        title: text before the numbers.
        on_step: called with every step; its value is returned.
    """
    if not in_notebook() or threading.current_thread() is not threading.main_thread():
        yield on_step
        return
    progress = _NotebookLine(title, on_step)
    try:
        yield progress
    finally:
        progress.show("")


def in_notebook() -> bool:
    """Return whether the code runs in a notebook, such as Jupyter, and not in a script or a shell."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return shell is not None and hasattr(shell, "kernel")


def thumbnail(image: Image) -> Image:
    """Return an image `(1, 3, H, W)` with at most `SHOWN` pixels on its longer side."""
    shape = (image.shape[-2], image.shape[-1])
    return resize(image, fit(shape, min(SHOWN, max(shape))))


def before_and_after(before: Image | None, after: Image, alpha: Tensor | None, caption: str) -> str:
    """Return HTML with the content image beside the output, both reduced and inside the text.

    Args:
        before: content image `(1, 3, h, w)`, or None.
        after: output `(1, 3, H, W)`.
        alpha: opacity of both `(1, 1, H, W)`, or None.
        caption: text below the images.
    """
    after = thumbnail(after)
    shape = (after.shape[-2], after.shape[-1])
    opacity = None if alpha is None else resize(alpha, shape)
    figures = ""
    for name, image in (("before", before), ("after", after)):
        if image is not None:
            data = encode_image(resize(image, shape), ".webp", alpha=opacity, quality=85)
            figures += FIGURE.format(name=name, data=base64.b64encode(data).decode())
    return f"<div>{figures}<p>{html.escape(caption)}</p></div>"


class _NotebookLine:
    """A line with a bar that a notebook replaces by the next one."""

    def __init__(self, title: str, on_step: Listener) -> None:
        self._title, self._on_step = title, on_step
        self._handle: Any = None
        self._next = time.monotonic() + INTERVAL  # a run of less than that shows nothing

    def __call__(self, step: Step) -> object:
        """Show a step, unless the last one is recent, and pass it on."""
        if time.monotonic() >= self._next:
            self.show(_line(self._title, step))
            self._next = time.monotonic() + INTERVAL
        return None if self._on_step is None else self._on_step(step)

    def show(self, text: str) -> None:
        """Replace the shown line; an empty one only if there is another."""
        with suppress(Exception):  # a run of hours must not fail because a browser has gone
            display = sys.modules["IPython"].display
            if self._handle is not None:
                self._handle.update(display.HTML(text))
            elif text:
                self._handle = display.display(display.HTML(text), display_id=True)


def _line(title: str, step: Step) -> str:
    """Return the HTML of a step."""
    total = f' max="{step.total}" value="{step.index}"' if step.total else ""
    count = f"{step.index}/{step.total}" if step.total else str(step.index)
    loss = f", loss {step.loss:.4g}" if step.losses else ""
    return f"{html.escape(title)} <progress{total}></progress> {count}, {step.seconds:.0f} s{loss}"

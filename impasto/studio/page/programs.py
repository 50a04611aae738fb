"""The studio for programs: typed functions that gradio's client calls by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import gradio as gr
from gradio.events import api
from gradio.utils import get_upload_folder

from impasto.studio.jobs import JobState
from impasto.studio.service import Workshop

T = TypeVar("T")


def offer(workshop: Workshop) -> None:
    """Adds the functions to the page that is being built."""

    def upload(picture: gr.FileData) -> str:
        """Checks and keeps a picture; returns the name under which it can be painted from."""
        return _said(lambda: workshop.uploads.keep(*_brought(picture)))

    def stylize(content: str, styles: list[str], method: str = "gatys", settings: dict[str, Any] | None = None) -> str:
        """Puts a painting in the line; returns its key. Pictures are names of samples or uploads."""
        return _said(lambda: workshop.line.submit(workshop.order(content, styles, method, settings or {})))

    def wait(key: str, seconds: float = 60.0) -> dict[str, Any]:
        """Waits until a painting has ended, or so many seconds; tells how it stands."""
        return _said(lambda: told(workshop.line.wait(key, seconds)))

    def stop(key: str) -> dict[str, Any]:
        """Stops a painting and keeps its best picture, or takes it out of the line."""
        _said(lambda: workshop.line.stop(key))
        return wait(key, 1.0)

    for function in (upload, stylize, wait, stop):
        api(function, api_name=function.__name__, concurrency_limit=None)


def told(view: JobState) -> dict[str, Any]:
    """A job for programs: JSON values."""
    has_picture = view.status in ("done", "stopped")
    return {
        "key": view.key,
        "status": view.status,
        "place": view.place,
        "step": view.step,
        "total": view.total,
        "seconds": round(view.seconds, 3),
        "losses": view.curve[-1].by_kind() if view.curve else {},
        "error": view.error,
        "picture": f"/pictures/{view.key}.png" if has_picture else None,
    }


def _brought(picture: Any) -> tuple[bytes, str]:
    """Bytes and name of a file that gradio's client has brought: only those that lie where gradio puts such files."""
    file = Path(str(picture["path"])).resolve()
    if not file.is_relative_to(Path(get_upload_folder()).resolve()) or not file.is_file():
        raise ValueError("picture: give a file with handle_file(...)")
    return file.read_bytes(), str(picture.get("orig_name") or file.name)


def _said(act: Callable[[], T]) -> T:
    """What is wrong, as the one line that gradio's client shows."""
    try:
        return act()
    except ValueError as error:
        raise gr.Error(str(error), print_exception=False) from None

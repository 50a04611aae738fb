"""Offer typed functions that Python programs call by name with `gradio_client`. Only this file imports gradio."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import gradio as gr
from fastapi import FastAPI
from gradio.events import api
from gradio.utils import get_upload_folder

from impasto.studio.service import StudioService

T = TypeVar("T")


def client_app(service: StudioService) -> FastAPI:
    """Return the application that serves the functions."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    with gr.Blocks(title="impasto studio", analytics_enabled=False) as page:
        _add_functions(service)
    page.queue(default_concurrency_limit=None, max_size=1000)
    options: dict[str, Any] = {"footer_links": [], "run_history": False, "ssr_mode": False, "enable_monitoring": False}
    gr.mount_gradio_app(app, page, "/", max_file_size=service.uploads.max_bytes, **options)
    page.has_launched = True  # otherwise gradio accepts any path in a request as an uploaded file
    return app


def _add_functions(service: StudioService) -> None:
    """Add the functions to the application that is being built."""

    def upload(picture: gr.FileData) -> str:
        """Check and store an image; return its name for `stylize`."""
        return _report_errors(lambda: service.uploads.add(*_read_upload(picture)))

    def stylize(content: str, styles: list[str], method: str = "gatys", settings: dict[str, Any] | None = None) -> str:
        """Submit a job and return its key. Images are names of samples or uploads."""
        fields = {"content": content, "style": styles, "method": method, "settings": settings}
        return _report_errors(lambda: service.queue.submit(service.request_from(fields)))

    def wait(key: str, seconds: float = 60.0) -> dict[str, Any]:
        """Wait until a job has ended, at most for the given seconds; return its state."""
        return _report_errors(lambda: service.queue.wait(key, seconds).to_json())

    def stop(key: str) -> dict[str, Any]:
        """Stop a running job, which keeps its best image, or cancel a waiting job; return its state."""
        _report_errors(lambda: service.queue.stop(key))
        return wait(key, 1.0)

    for function in (upload, stylize, wait, stop):
        api(function, api_name=function.__name__, concurrency_limit=None)


def _read_upload(picture: Any) -> tuple[bytes, str]:
    """Return bytes and name of a file that the client uploaded; any file outside the upload folder is rejected."""
    file = Path(str(picture["path"])).resolve()
    if not file.is_relative_to(Path(get_upload_folder()).resolve()) or not file.is_file():
        raise ValueError("picture: give a file with handle_file(...)")
    return file.read_bytes(), str(picture.get("orig_name") or file.name)


def _report_errors(action: Callable[[], T]) -> T:
    """Turn a `ValueError` into the one-line error that the client of gradio shows."""
    try:
        return action()
    except ValueError as error:
        raise gr.Error(str(error), print_exception=False) from None

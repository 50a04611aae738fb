"""Assemble the web server of the studio: page, HTTP routes and access control."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impasto.studio.access import AccessControl
from impasto.studio.service import TEMPORARY, StudioService

if TYPE_CHECKING:
    import uvicorn

SHUTDOWN_TIMEOUT = 2
"""Seconds that open connections get when the server stops."""


def make_app(service: StudioService, *, token: str | None, experiments: Path) -> AccessControl:
    """Return the studio as an ASGI application.

    Args:
        service: uploads, history and queue.
        token: token that every request needs, or None for this machine only.
        experiments: folder whose experiments the page shows.
    """
    _configure_gradio(service.folder)
    import gradio as gr
    from fastapi import FastAPI

    from impasto.studio.experiment_browser import ExperimentBrowser
    from impasto.studio.http_api import MAX_FILES, HttpApi
    from impasto.studio.page import STYLESHEET, build, theme

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    browser = ExperimentBrowser(experiments)
    app.router.routes += HttpApi(service, browser).routes()
    max_bytes = service.uploads.max_bytes
    page = build(service, browser)
    page.queue(default_concurrency_limit=None, max_size=1000)
    gr.mount_gradio_app(
        app,
        page,
        "/",
        max_file_size=max_bytes,
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        enable_monitoring=False,
        theme=theme(),
        css_paths=[STYLESHEET],
    )
    page.has_launched = True  # otherwise gradio accepts any path in a request as an uploaded file
    return AccessControl(app, token, MAX_FILES * max_bytes)


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Args:
        host: address to listen at.
        port: port from 0 to 65535; 0 selects a free port.

    Raises:
        ValueError: if the address is invalid or in use.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen()  # two sockets can be bound to one address until one of them listens
    except (OSError, OverflowError) as error:
        listener.close()
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ValueError(f"cannot listen at {host}, port {port}: {reason}; give another --port or --host") from None
    return listener


def make_server(app: Any) -> uvicorn.Server:
    """Return a server of an ASGI application; its method `run` ends at a signal, or when `should_exit` is set."""
    import uvicorn

    return uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=SHUTDOWN_TIMEOUT))


def _configure_gradio(folder: Path) -> None:
    """Disable analytics and downloads and keep temporary files in our folder; gradio reads these when imported."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["GRADIO_TEMP_DIR"] = str(folder / TEMPORARY)

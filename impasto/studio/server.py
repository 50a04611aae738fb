"""The studio as a server: workshop, page, plain requests and gate, put together."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

from impasto.studio.access import Gate
from impasto.studio.service import TEMPORARY, Workshop

PATIENCE = 2
"""Seconds that open pages are given at the end."""


def make_app(workshop: Workshop, *, token: str | None, experiments: Path) -> Gate:
    """The studio as an ASGI application."""
    _keep_to_yourself(workshop.folder)
    import gradio as gr
    from fastapi import FastAPI

    from impasto.studio.experiment_browser import Shelf
    from impasto.studio.http_api import PICTURES, routes
    from impasto.studio.page import LOOK, build, theme

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.router.routes += routes(workshop, Shelf(experiments))
    limit = workshop.uploads.max_bytes
    page = build(workshop, experiments)
    page.queue(default_concurrency_limit=None, max_size=1000)
    gr.mount_gradio_app(
        app,
        page,
        "/",
        max_file_size=limit,
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        enable_monitoring=False,
        theme=theme(),
        css_paths=[LOOK],
    )
    page.has_launched = True  # else gradio takes any path in a request for a file that was brought
    return Gate(app, token, PICTURES * limit)


def bind(host: str, port: int) -> socket.socket:
    """An open door; 0 finds a free port. Raises `ValueError` where there is another one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    door = socket.socket(family, socket.SOCK_STREAM)
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        door.bind((host, port))
        door.listen()  # two sockets may be bound to one address until one of them listens
    except (OSError, OverflowError) as error:
        door.close()
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ValueError(f"cannot listen at {host}, port {port}: {reason}; give another --port or --host") from None
    return door


def serve(app: Any, door: socket.socket) -> None:
    """Answers until Ctrl-C."""
    import uvicorn

    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=PATIENCE)
    uvicorn.Server(config).run(sockets=[door])


def _keep_to_yourself(folder: Path) -> None:
    """gradio reads these when it is imported: nothing is told to or asked of anyone, and files stay in our folder."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["GRADIO_TEMP_DIR"] = str(folder / TEMPORARY)

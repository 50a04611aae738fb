"""Start the server of `gradio_client` in the background, because the import of gradio takes seconds."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from anyio import to_thread
from starlette.routing import Mount, Route

from impasto.studio.access import App, Receive, Scope, Send
from impasto.studio.service import TEMPORARY, StudioService

HAS_GRADIO = importlib.util.find_spec("gradio") is not None
PREPARE_DELAY = 20.0
"""Seconds without a request or a job after which gradio is imported: for some seconds it slows down everything else."""


class ClientApi:
    """An ASGI application that builds the one of gradio soon after the start, or at its first request.

    Args:
        service: the studio.
    """

    def __init__(self, service: StudioService) -> None:
        self._service = service
        self._app: Any = None
        self._lock = asyncio.Lock()
        self._closing = asyncio.Event()
        self._last_request = time.monotonic()
        self._tasks: list[asyncio.Task[None]] = []

    def routes(self) -> list[Route | Mount]:
        """Return the routes that the client of gradio requests."""
        return [Route("/config", self), Mount("/gradio_api", _Prefixed(self, "/gradio_api"))] if HAS_GRADIO else []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        await self._prepare()
        await self._app(scope, receive, send)

    def watch(self, app: App) -> App:
        """Return an application of the page, whose requests postpone the preparation; polls of the queue do not."""

        async def watched(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http" and scope["path"] != "/jobs":
                self._last_request = time.monotonic()
            await app(scope, receive, send)

        return watched

    def start(self) -> None:
        """Prepare for requests once the studio is idle."""
        if HAS_GRADIO:
            self._tasks.append(asyncio.create_task(self._prepare_when_idle()))

    async def close(self) -> None:
        """End gradio, if it was started; do not wait for its import."""
        self._closing.set()
        if self._app is None:
            for task in self._tasks:
                task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _prepare_when_idle(self) -> None:
        while not self._closing.is_set() and (delay := self._busy_for()) > 0:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), delay)
        await self._prepare()

    def _busy_for(self) -> float:
        """Return the seconds after which the studio may be idle; 0 if it is."""
        if any(each.is_live for each in self._service.queue.states()):
            return PREPARE_DELAY
        return max(0.0, self._last_request + PREPARE_DELAY - time.monotonic())

    async def _prepare(self) -> None:
        async with self._lock:
            if self._app is None and not self._closing.is_set():
                self._app = await to_thread.run_sync(_make_app, self._service, abandon_on_cancel=True)
                ready = asyncio.Event()
                self._tasks.append(asyncio.create_task(self._live(ready)))
                await ready.wait()

    async def _live(self, ready: asyncio.Event) -> None:
        async with self._app.router.lifespan_context(self._app):
            ready.set()
            await self._closing.wait()


class _Prefixed:
    """Undo how a mount changes the path of a request."""

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]], prefix: str) -> None:
        self._app, self._prefix = app, prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app({**scope, "root_path": scope["root_path"].removesuffix(self._prefix)}, receive, send)


def _make_app(service: StudioService) -> Any:
    """Return the application of gradio, with analytics disabled and temporary files in the folder of the studio."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["GRADIO_TEMP_DIR"] = str(service.folder / TEMPORARY)
    from impasto.studio.client_functions import client_app

    async def make() -> Any:  # gradio opens an event loop of its own, and never closes it, where none runs
        return client_app(service)

    return asyncio.run(make())

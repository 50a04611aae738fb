"""Assemble the web server of the studio: page, HTTP routes and access control."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impasto.studio.access import AccessControl
from impasto.studio.service import StudioService

if TYPE_CHECKING:
    import uvicorn

SHUTDOWN_TIMEOUT = 2
"""Seconds that open connections get when the server stops."""


def make_app(
    service: StudioService, *, token: str | None, experiments: Path, address: str | None = None
) -> AccessControl:
    """Return the studio as an ASGI application.

    Args:
        service: uploads, history and queue.
        token: token that every request needs, or None for this machine only.
        experiments: folder whose experiments the page shows.
        address: address of the page for other machines, with the token; None for this machine only.
    """
    from starlette.applications import Starlette

    from impasto.studio.client_api import ClientApi
    from impasto.studio.experiment_browser import ExperimentBrowser
    from impasto.studio.http_api import MAX_FILES, HttpApi
    from impasto.studio.networks_api import NetworksApi
    from impasto.studio.page_api import PageApi
    from impasto.studio.videos_api import VideosApi

    browser, client = ExperimentBrowser(experiments), ClientApi(service)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        client.start()
        yield
        await client.close()

    page, programs = PageApi(service, browser, address), HttpApi(service, browser)
    made = [*VideosApi(service).routes(), *NetworksApi(service).routes()]
    routes = [*page.routes(), *programs.routes(), *made, *client.routes()]
    app = Starlette(routes=routes, lifespan=lifespan)
    return AccessControl(client.watch(app), token, MAX_FILES * service.uploads.max_bytes)


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


def address_for_others(host: str) -> str:
    """Return the address of this machine that others can open, for a server that listens at every address.

    Args:
        host: address to listen at, such as `0.0.0.0`; any other address than those for all is returned unchanged.
    """
    if host not in ("0.0.0.0", "::"):
        return host
    family, anywhere = (socket.AF_INET, "192.0.2.1") if host == "0.0.0.0" else (socket.AF_INET6, "2001:db8::1")
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((anywhere, 9))  # selects the network interface and sends nothing (RFC 5737, RFC 3849)
            return str(probe.getsockname()[0])
    except OSError:
        return "127.0.0.1" if host == "0.0.0.0" else "::1"

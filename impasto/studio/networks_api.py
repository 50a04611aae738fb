"""Answer the HTTP requests about fast networks for styles: make, list, download and remove them."""

from __future__ import annotations

import re
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from impasto.studio.http_api import NO_STORE, read_json, report_errors
from impasto.studio.service import StudioService


class NetworksApi:
    """The routes of the networks; every handler is a method."""

    def __init__(self, service: StudioService) -> None:
        self.service = service

    def routes(self) -> list[Route]:
        """Return the routes; an error of the caller becomes JSON with status 400."""
        return [
            Route("/networks", report_errors(self.networks), methods=["GET"]),
            Route("/networks", report_errors(self.adapt), methods=["POST"]),
            Route("/networks/{key}.safetensors", report_errors(self.download), methods=["GET"]),
            Route("/networks/{key}", report_errors(self.remove), methods=["DELETE"]),
        ]

    async def networks(self, request: Request) -> Response:
        """Return all networks, the newest first."""
        return JSONResponse({"networks": await run_in_threadpool(self.service.networks.entries)}, headers=NO_STORE)

    async def adapt(self, request: Request) -> Response:
        """Submit a job that adapts a network to a style and return its state."""
        fields = await read_json(request)
        key = await run_in_threadpool(self._submit, fields)
        return JSONResponse(self.service.queue.state(key).to_json(), status_code=202)

    async def download(self, request: Request) -> Response:
        """Return a network as a weights file, named after its style."""
        entry = await run_in_threadpool(self.service.networks.entry, request.path_params["key"])
        name = re.sub(r"[^\w-]+", "-", entry["label"].lower()).strip("-") or "style"
        file = self.service.networks.file(entry["key"])
        return FileResponse(file, filename=f"{name}.safetensors", headers=NO_STORE)

    async def remove(self, request: Request) -> Response:
        """Delete a network; one that is being made is stopped, and nothing of it is kept."""
        key = request.path_params["key"]
        await run_in_threadpool(self.service.remove_network, key)
        return JSONResponse({"removed": key})

    def _submit(self, fields: dict[str, Any]) -> str:
        return self.service.queue.submit_network(self.service.adapt_request_from(fields))

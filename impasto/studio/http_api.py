"""Answer plain HTTP requests: images for the page, uploads, and `POST /stylize` for scripts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from impasto.studio.experiment_browser import ExperimentBrowser
from impasto.studio.service import StudioService

MAX_FILES = 16
"""Largest number of files in one request."""
POLL_INTERVAL = 0.1
"""Seconds between two checks of a job that a client waits for."""
NO_STORE = {"cache-control": "no-store"}
FILE_FIELDS = ("content", "style", "mask", "style_mask")
"""Form fields that contain images."""

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class HttpApi:
    """The routes of the studio beside the page; every handler is a method."""

    def __init__(self, service: StudioService, experiments: ExperimentBrowser) -> None:
        self.service, self.experiments = service, experiments

    def routes(self) -> list[Route]:
        """Return the routes; an error of the caller becomes JSON with status 400."""
        return [
            Route("/sources/{name}", _report_errors(self.source)),
            Route("/pictures/{file}", _report_errors(self.picture)),
            Route("/jobs/{key}/preview", _report_errors(self.preview)),
            Route("/jobs/{key}", _report_errors(self.job), methods=["GET", "DELETE"]),
            Route("/experiments/{key}/{path:path}", _report_errors(self.experiment)),
            Route("/uploads", _report_errors(self.upload), methods=["POST"]),
            Route("/stylize", _report_errors(self.stylize), methods=["POST"]),
        ]

    async def source(self, request: Request) -> Response:
        """Return a sample or an upload as a JPEG. It is always encoded again: an upload's own bytes are never sent."""
        data = await run_in_threadpool(self.service.source_jpeg, request.path_params["name"])
        return Response(data, media_type="image/jpeg", headers={"cache-control": "max-age=3600"})

    async def picture(self, request: Request) -> Response:
        """Return the PNG, the thumbnail (`.jpg`) or the record (`.json`) of a result."""
        key, _, suffix = request.path_params["file"].partition(".")
        entry = self.service.history.entry(key)
        files = {"png": entry.picture, "jpg": entry.thumbnail, "json": entry.picture.with_suffix(".json")}
        if suffix not in files:
            raise ValueError(f"a result is available as png, jpg or json, not as {suffix[:20]!r}")
        return FileResponse(files[suffix])

    async def preview(self, request: Request) -> Response:
        """Return the current image of a job: the last preview, or the picture once the job has ended."""
        key = request.path_params["key"]
        data = None if self.service.history.has(key) else self.service.queue.preview(key)
        if data is None:
            return FileResponse(self.service.history.entry(key).picture, headers=NO_STORE)
        return Response(data, media_type="image/jpeg", headers=NO_STORE)

    async def job(self, request: Request) -> Response:
        """Return the state of a job; `DELETE` stops it first."""
        key = request.path_params["key"]
        if request.method == "DELETE":
            self.service.queue.stop(key)
        return JSONResponse(self.service.queue.state(key).to_json(), headers=NO_STORE)

    async def upload(self, request: Request) -> Response:
        """Store the body as an image and return its name for later requests."""
        file_name = request.query_params.get("name", "picture")
        name = await run_in_threadpool(self.service.uploads.add, await request.body(), file_name)
        label = f"upload {name[:6]}"
        return JSONResponse({"name": name, "label": label, "alt": label})

    async def stylize(self, request: Request) -> Response:
        """Submit a job and return its PNG, or with `wait=0` its state immediately, with status 202."""
        async with request.form(max_files=MAX_FILES, max_fields=100) as form:
            key = await run_in_threadpool(self._submit, form, await self._images(form))
        if form.get("wait") == "0":
            return JSONResponse(self.service.queue.state(key).to_json(), status_code=202)
        while (job := self.service.queue.state(key)).is_live:
            if await request.is_disconnected():
                self.service.queue.stop(key)
            await asyncio.sleep(POLL_INTERVAL)
        if job.error:
            raise ValueError(job.error)
        return FileResponse(self.service.history.entry(key).picture, headers={"x-impasto-key": key})

    async def experiment(self, request: Request) -> Response:
        """Return the report or a picture of an experiment."""
        key, path = request.path_params["key"], request.path_params["path"]
        if path == "report.html":
            return FileResponse(await run_in_threadpool(self.experiments.report, key), headers=NO_STORE)
        return FileResponse(await run_in_threadpool(self.experiments.picture, key, path))

    async def _images(self, form: FormData) -> dict[str, list[str]]:
        """Return the names of the images in each field, after storing those that came as files."""
        names: dict[str, list[str]] = {}
        for field in FILE_FIELDS:
            for value in form.getlist(field):
                if isinstance(value, UploadFile):
                    data = await value.read(self.service.uploads.max_bytes + 1)
                    value = await run_in_threadpool(self.service.uploads.add, data, value.filename or field)
                names.setdefault(field, []).append(value)
        return names

    def _submit(self, form: FormData, images: dict[str, list[str]]) -> str:
        """Submit the job that a form describes and return its key."""
        reserved = {*FILE_FIELDS, "method", "bits", "wait"}
        settings = {name: _parse(str(value)) for name, value in form.multi_items() if name not in reserved}
        request = self.service.make_request(
            "".join(images.get("content", [])[:1]),
            images.get("style", []),
            str(form.get("method", "gatys")),
            settings,
            _parse(str(form.get("bits", 8))),
            masks={role: images[role] for role in ("mask", "style_mask") if role in images},
        )
        return self.service.queue.submit(request)


def _parse(text: str) -> Any:
    """Return a setting read as JSON, or unchanged: `70`, `[0.7, 0.3]`, `lbfgs`."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # thousands of brackets are nested too deeply
        return text


def _report_errors(handler: Handler) -> Handler:
    """Wrap a handler: a `ValueError` becomes `{"error": "..."}` in one line, with status 400."""

    async def handle(request: Request) -> Response:
        try:
            return await handler(request)
        except ValueError as error:
            return JSONResponse({"error": " ".join(str(error).split())}, status_code=400, headers=NO_STORE)

    return handle

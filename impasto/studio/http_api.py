"""Answer the HTTP requests of programs: images, uploads, jobs, and `POST /stylize`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from impasto.studio.catalog import describe_image
from impasto.studio.experiment_browser import ExperimentBrowser
from impasto.studio.portable import portable_png, without_paths
from impasto.studio.previews import PREVIEW_SIZE, TILE_SIZE, media_type
from impasto.studio.service import StudioService
from impasto.studio.uploads import KINDS, NotStoredError

MAX_FILES = 24
"""Largest number of files in one request: a content image, 16 styles and their masks."""
POLL_INTERVAL = 0.1
"""Seconds between two checks of a job that a client waits for."""
NO_STORE = {"cache-control": "no-store"}
REPORT_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
"""Content security policy of the report of an experiment, which is one self-contained file."""
FILE_FIELDS = ("content", "style", "mask", "style_mask")
"""Fields that contain images."""
RESERVED = {*FILE_FIELDS, "method", "bits", "wait", "parent", "network", "download", "draft"}
"""Form fields that are not settings."""

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class HttpApi:
    """The routes of the studio for programs; every handler is a method."""

    def __init__(self, service: StudioService, experiments: ExperimentBrowser) -> None:
        self.service, self.experiments = service, experiments

    def routes(self) -> list[Route]:
        """Return the routes; an error of the caller becomes JSON with status 400."""
        return [
            Route("/sources/{name}", report_errors(self.source)),
            Route("/pictures/{file}", report_errors(self.picture)),
            Route("/jobs", report_errors(self.jobs)),
            Route("/jobs/{key}/preview", report_errors(self.preview)),
            Route("/jobs/{key}", report_errors(self.job), methods=["GET", "DELETE"]),
            Route("/experiments/{key}/{path:path}", report_errors(self.experiment)),
            Route("/uploads", report_errors(self.upload), methods=["POST"]),
            Route("/uploads/{name}", report_errors(self.remove_upload), methods=["DELETE"]),
            Route("/stylize", report_errors(self.stylize), methods=["POST"]),
        ]

    async def source(self, request: Request) -> Response:
        """Return a sample or an upload, encoded again: an upload's own bytes are never sent."""
        size = TILE_SIZE if request.query_params.get("size") == "small" else PREVIEW_SIZE
        data = await run_in_threadpool(self.service.source_preview, request.path_params["name"], size)
        return Response(data, media_type=media_type(data), headers={"cache-control": "max-age=3600"})

    async def picture(self, request: Request) -> Response:
        """Return the PNG, the thumbnail (`.jpg`) or the record (`.json`) of a result, without paths of this machine."""
        key, _, suffix = request.path_params["file"].partition(".")
        entry = self.service.history.entry(key)
        if suffix == "png":
            return Response(await run_in_threadpool(portable_png, entry.picture), media_type="image/png")
        if suffix == "json":
            return JSONResponse(without_paths(entry.record()))
        if suffix == "jpg":
            return FileResponse(entry.thumbnail)
        raise ValueError(f"a result is available as png, jpg or json, not as {suffix[:20]!r}")

    async def preview(self, request: Request) -> Response:
        """Return the current image of a job: the last preview, or the picture once the job has ended."""
        key = request.path_params["key"]
        data = None if self.service.history.has(key) else self.service.queue.preview(key)
        if data is None:
            picture = self.service.history.entry(key).picture
            return Response(await run_in_threadpool(portable_png, picture), media_type="image/png", headers=NO_STORE)
        return Response(data, media_type=media_type(data), headers=NO_STORE)

    async def jobs(self, request: Request) -> Response:
        """Return the states of all jobs that wait or run, and of those in `keys`, and the keys of all networks."""
        keys = set(request.query_params.get("keys", "").split(","))
        states = await run_in_threadpool(self.service.queue.states)
        found = [each.to_json() for each in states if each.is_live or each.key in keys]
        networks = [each["key"] for each in await run_in_threadpool(self.service.networks.entries)]
        return JSONResponse({"jobs": found, "networks": networks}, headers=NO_STORE)

    async def job(self, request: Request) -> Response:
        """Return the state of a job; `DELETE` stops it first."""
        key = request.path_params["key"]
        if request.method == "DELETE":
            self.service.queue.stop(key)
        return JSONResponse(self.service.queue.state(key).to_json(), headers=NO_STORE)

    async def upload(self, request: Request) -> Response:
        """Store the body as an image and return its name for later requests."""
        file_name, kind = request.query_params.get("name", "picture"), request.query_params.get("kind")
        kinds = KINDS if kind is None else {kind} & {*KINDS}
        name = await run_in_threadpool(self.service.uploads.add, await request.body(), file_name, kinds=kinds)
        return JSONResponse(await run_in_threadpool(describe_image, self.service, name))

    async def remove_upload(self, request: Request) -> Response:
        """Remove an upload from the library."""
        await run_in_threadpool(self.service.remove_upload, request.path_params["name"])
        return JSONResponse({"removed": request.path_params["name"]})

    async def stylize(self, request: Request) -> Response:
        """Submit a job and return its PNG, or with `wait=0` its state immediately, with status 202."""
        fields = await self._fields(request)
        key = await run_in_threadpool(self._submit, fields)
        if fields.get("wait") in (0, False):
            return JSONResponse(self.service.queue.state(key).to_json(), status_code=202)
        while self.service.queue.is_live(key):
            if await request.is_disconnected():
                self.service.queue.stop(key)
            await asyncio.sleep(POLL_INTERVAL)
        if error := self.service.queue.state(key).error:
            raise ValueError(error)
        data = await run_in_threadpool(portable_png, self.service.history.entry(key).picture)
        return Response(data, media_type="image/png", headers={"x-impasto-key": key})

    async def experiment(self, request: Request) -> Response:
        """Return the report or a picture of an experiment."""
        key, path = request.path_params["key"], request.path_params["path"]
        if path == "report.html":
            headers = {**NO_STORE, "content-security-policy": REPORT_POLICY}
            return FileResponse(await run_in_threadpool(self.experiments.report, key), headers=headers)
        return FileResponse(await run_in_threadpool(self.experiments.picture, key, path))

    async def _fields(self, request: Request) -> dict[str, Any]:
        """Return the fields of a request, `settings` among them, from a form or from JSON."""
        if request.headers.get("content-type", "").startswith("application/json"):
            fields = await read_json(request)
            if unknown := sorted(set(fields) - {*RESERVED, "settings"}):
                names = ", ".join(sorted({*RESERVED, "settings"}))
                raise ValueError(f"unknown field {unknown[0][:60]!r}; choose from {names}")
            return fields
        async with request.form(max_files=MAX_FILES, max_fields=100) as form:
            images = await self._images(form)
            values = {name: parse(str(value)) for name, value in form.multi_items() if name not in FILE_FIELDS}
        settings = {name: value for name, value in values.items() if name not in RESERVED}
        return {**values, **images, "content": "".join(images.get("content", [])[:1]), "settings": settings}

    async def _images(self, form: FormData) -> dict[str, list[str]]:
        """Return the names of the images in each field, after storing those that came as files."""
        names: dict[str, list[str]] = {}
        for field in FILE_FIELDS:
            for value in form.getlist(field):
                if isinstance(value, UploadFile):
                    data = await value.read(self.service.uploads.max_bytes + 1)
                    add, kinds = self.service.uploads.add, {field} & {*KINDS}
                    value = await run_in_threadpool(add, data, value.filename or field, kinds=kinds)
                names.setdefault(field, []).append(value)
        return names

    def _submit(self, fields: Mapping[str, Any]) -> str:
        """Submit the job that the fields of a request describe and return its key."""
        parent = fields.get("parent") or None
        return self.service.queue.submit(self.service.request_from(fields), parent=parent and str(parent))


async def read_json(request: Request) -> dict[str, Any]:
    """Return the JSON object in the body of a request.

    Raises:
        ValueError: if the body is not a JSON object.
    """
    value = parse((await request.body()).decode("utf-8", "replace"))
    if not isinstance(value, dict):
        raise ValueError("the body is not a JSON object; send an object, or a form as curl -F does")
    return value


def parse(text: str) -> Any:
    """Return a setting read as JSON, or unchanged: `70`, `[0.7, 0.3]`, `lbfgs`."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # thousands of brackets are nested too deeply
        return text


def report_errors(handler: Handler) -> Handler:
    """Wrap a handler: a `ValueError` becomes `{"error": "..."}` in one line, with status 400.

    A client that ended the connection before the end of its request gets no answer, a body over the limit 413, and an
    upload that does not fit on the disk 507.
    """

    async def handle(request: Request) -> Response:
        try:
            return await handler(request)
        except ClientDisconnect:
            text = "the request ended early, or its body is over the limit; send a smaller file"
            return JSONResponse({"error": text}, status_code=413, headers=NO_STORE)
        except (ValueError, HTTPException) as error:
            text = error.detail if isinstance(error, HTTPException) else str(error)
            status = 507 if isinstance(error, NotStoredError) else 400
            return JSONResponse({"error": " ".join(text.split())}, status_code=status, headers=NO_STORE)

    return handle

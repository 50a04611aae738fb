"""Plain requests: pictures for the page, uploads, and `POST /stylize` for programs."""

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

from impasto.studio.experiment_browser import Shelf
from impasto.studio.page.programs import told
from impasto.studio.service import Workshop

PICTURES = 16
"""Pictures that one request may bring."""
LOOK = 0.1
"""Seconds between two looks at a job that someone waits for."""
FRESH = {"cache-control": "no-store"}

Answer = Callable[[Request], Coroutine[Any, Any, Response]]


def routes(workshop: Workshop, shelf: Shelf) -> list[Route]:
    """What is answered beside the page itself."""

    async def source(request: Request) -> Response:
        data = await run_in_threadpool(workshop.picture, request.path_params["name"])
        return Response(data, media_type="image/jpeg", headers={"cache-control": "max-age=3600"})

    async def picture(request: Request) -> Response:
        key, _, kind = request.path_params["file"].partition(".")
        entry = workshop.history.entry(key)
        places = {"png": entry.picture, "jpg": entry.thumbnail, "json": entry.picture.with_suffix(".json")}
        if kind not in places:
            raise ValueError(f"a painting can be had as png, jpg or json, not as {kind[:20]!r}")
        return FileResponse(places[kind])

    async def preview(request: Request) -> Response:
        key = request.path_params["key"]
        data = None if workshop.history.has(key) else workshop.line.preview(key)
        if data is None:
            return FileResponse(workshop.history.entry(key).picture, headers=FRESH)
        return Response(data, media_type="image/jpeg", headers=FRESH)

    async def job(request: Request) -> Response:
        if request.method == "DELETE":
            workshop.line.stop(request.path_params["key"])
        return JSONResponse(told(workshop.line.view(request.path_params["key"])), headers=FRESH)

    async def upload(request: Request) -> Response:
        name = request.query_params.get("name", "picture")
        kept = await run_in_threadpool(workshop.uploads.keep, await request.body(), name)
        label = f"upload {kept[:6]}"
        return JSONResponse({"name": kept, "label": label, "alt": label})

    async def stylize(request: Request) -> Response:
        async with request.form(max_files=PICTURES, max_fields=100) as form:
            key = await run_in_threadpool(_submit, workshop, form, await _pictures(workshop, form))
        if form.get("wait") == "0":
            return JSONResponse(told(workshop.line.view(key)), status_code=202)
        while (view := workshop.line.view(key)).is_live:
            if await request.is_disconnected():
                workshop.line.stop(key)
            await asyncio.sleep(LOOK)
        if view.error:
            raise ValueError(view.error)
        return FileResponse(workshop.history.entry(key).picture, headers={"x-impasto-key": key})

    async def experiment(request: Request) -> Response:
        key, path = request.path_params["key"], request.path_params["path"]
        if path == "report.html":
            return FileResponse(await run_in_threadpool(shelf.report, key), headers=FRESH)
        return FileResponse(await run_in_threadpool(shelf.picture, key, path))

    return [
        Route("/sources/{name}", _in_one_line(source)),
        Route("/pictures/{file}", _in_one_line(picture)),
        Route("/jobs/{key}/preview", _in_one_line(preview)),
        Route("/jobs/{key}", _in_one_line(job), methods=["GET", "DELETE"]),
        Route("/experiments/{key}/{path:path}", _in_one_line(experiment)),
        Route("/uploads", _in_one_line(upload), methods=["POST"]),
        Route("/stylize", _in_one_line(stylize), methods=["POST"]),
    ]


async def _pictures(workshop: Workshop, form: FormData) -> dict[str, list[str]]:
    """The fields that hold pictures: names of samples and earlier uploads, and files, which are kept."""
    pictures: dict[str, list[str]] = {}
    for field in ("content", "style", "mask", "style_mask"):
        for value in form.getlist(field):
            if isinstance(value, UploadFile):
                data = await value.read(workshop.uploads.max_bytes + 1)
                value = await run_in_threadpool(workshop.uploads.keep, data, value.filename or field)
            pictures.setdefault(field, []).append(value)
    return pictures


def _submit(workshop: Workshop, form: FormData, pictures: dict[str, list[str]]) -> str:
    own = {"content", "style", "mask", "style_mask", "method", "bits", "wait"}
    settings = {name: _value(str(value)) for name, value in form.multi_items() if name not in own}
    bits = _value(str(form.get("bits", 8)))
    order = workshop.order(
        "".join(pictures.get("content", [])[:1]),
        pictures.get("style", []),
        str(form.get("method", "gatys")),
        settings,
        bits,
        masks={role: pictures[role] for role in ("mask", "style_mask") if role in pictures},
    )
    return workshop.line.submit(order)


def _value(text: str) -> Any:
    """A setting as JSON, or as it stands: `70`, `[0.7, 0.3]`, `lbfgs`."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _in_one_line(answer: Answer) -> Answer:
    """What the caller can mend, as `{"error": "..."}` with status 400."""

    async def answered(request: Request) -> Response:
        try:
            return await answer(request)
        except ValueError as error:
            return JSONResponse({"error": " ".join(str(error).split())}, status_code=400, headers=FRESH)

    return answered

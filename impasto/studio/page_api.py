"""Answer the requests of the page: its files, the catalog, instant previews, the gallery, comparisons and regions."""

from __future__ import annotations

import gzip
import io
import secrets
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import PIL.Image
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from impasto.studio.catalog import catalog
from impasto.studio.choices import choices_in_png, details
from impasto.studio.comparison import combinations
from impasto.studio.experiment_browser import ExperimentBrowser
from impasto.studio.http_api import NO_STORE, read_json, report_errors
from impasto.studio.networks import METHOD
from impasto.studio.plot import curves_svg
from impasto.studio.portable import portable_png
from impasto.studio.previews import media_type
from impasto.studio.qr_code import qr_svg
from impasto.studio.regions import colors_used, encode_png, label_map
from impasto.studio.requests import request_from_record
from impasto.studio.service import TEMPORARY, StudioService

FILES = Path(__file__).with_name("page")
"""Folder of the HTML, CSS, JavaScript and pictures of the page."""
MEDIA_TYPES = {
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".html": "text/html",
    ".jpg": "image/jpeg",
}
MAX_ZIPPED = 500
"""Largest number of pictures in one archive."""


class PageApi:
    """The routes of the page; every handler is a method."""

    def __init__(self, service: StudioService, experiments: ExperimentBrowser, address: str | None = None) -> None:
        self.service, self.experiments, self.address = service, experiments, address

    def routes(self) -> list[Route]:
        """Return the routes; an error of the caller becomes JSON with status 400."""
        return [
            Route("/", report_errors(self.file)),
            Route("/page/{file}", report_errors(self.file)),
            Route("/address.svg", report_errors(self.qr_code)),
            Route("/catalog", report_errors(self.catalog)),
            Route("/instant", report_errors(self.instant)),
            Route("/settings", report_errors(self.settings), methods=["POST"]),
            Route("/regions", report_errors(self.regions), methods=["POST"]),
            Route("/compare", report_errors(self.compare), methods=["POST"]),
            Route("/gallery", report_errors(self.gallery)),
            Route("/gallery.zip", report_errors(self.archive)),
            Route("/gallery/{key}", report_errors(self.entry), methods=["GET", "DELETE"]),
            Route("/gallery/{key}/{action}", report_errors(self.change), methods=["POST"]),
            Route("/lab", report_errors(self.lab)),
            Route("/lab/{key}", report_errors(self.lab_runs)),
            Route("/jobs/{key}/curve", report_errors(self.curve)),
        ]

    async def file(self, request: Request) -> Response:
        """Return a file of the page."""
        name = request.path_params.get("file", "index.html")
        names = {file.name: file for file in FILES.iterdir() if file.suffix in MEDIA_TYPES}
        if name not in names:
            raise ValueError(f"the page has no file {name[:40]!r}")
        data, headers = names[name].read_bytes(), {"cache-control": "no-cache", "vary": "accept-encoding"}
        if not name.endswith(".jpg") and "gzip" in request.headers.get("accept-encoding", ""):
            data, headers = gzip.compress(data, 6), {**headers, "content-encoding": "gzip"}
        return Response(data, media_type=MEDIA_TYPES[names[name].suffix], headers=headers)

    async def catalog(self, request: Request) -> Response:
        """Return the images, methods and settings."""
        found = await run_in_threadpool(catalog, self.service)
        return JSONResponse({**found, "address": self.address}, headers=NO_STORE)

    async def qr_code(self, request: Request) -> Response:
        """Return the address of the page for other machines as a QR code."""
        if self.address is None:
            raise ValueError("the studio accepts this machine only; start it with --host 0.0.0.0")
        svg = await run_in_threadpool(qr_svg, self.address)
        return Response(svg, media_type=MEDIA_TYPES[".svg"], headers=NO_STORE)

    async def instant(self, request: Request) -> Response:
        """Return a content image in one or several styles, computed at once."""
        query = request.query_params
        size = query.get("size", "")
        pixels = int(size) if size.isdecimal() and len(size) < 6 else 0
        images, network = (query.get("content", ""), query.getlist("style")), query.get("network", "")
        data = await run_in_threadpool(self.service.instant, *images, pixels, network)
        return Response(data, media_type=media_type(data), headers={"cache-control": "max-age=3600"})

    async def settings(self, request: Request) -> Response:
        """Return the choices in the record of the PNG in the body."""
        return JSONResponse(await run_in_threadpool(choices_in_png, self.service, await request.body()))

    async def regions(self, request: Request) -> Response:
        """Store a drawing of regions as a label map; return its name and the indices of the colors that it uses."""
        is_filled = request.query_params.get("fill") == "1"
        return JSONResponse(await run_in_threadpool(self._store_regions, await request.body(), is_filled))

    async def compare(self, request: Request) -> Response:
        """Submit all jobs of a comparison, or none of them; return their states."""
        fields = await read_json(request)
        keys = await run_in_threadpool(self._submit_comparison, fields)
        return JSONResponse({"jobs": [self.service.queue.state(key).to_json() for key in keys]}, status_code=202)

    async def gallery(self, request: Request) -> Response:
        """Return all results, the newest first."""
        entries = await run_in_threadpool(self.service.history.entries)
        return JSONResponse({"entries": [entry.to_json() for entry in entries]}, headers=NO_STORE)

    async def archive(self, request: Request) -> Response:
        """Return the pictures of the results in `keys` as a zip archive."""
        keys = [key for key in request.query_params.get("keys", "").split(",") if key][:MAX_ZIPPED]
        file = await run_in_threadpool(self._zip, keys)
        remove = BackgroundTask(file.unlink, missing_ok=True)
        return FileResponse(
            file, filename="impasto.zip", media_type="application/zip", background=remove, headers=NO_STORE
        )

    async def entry(self, request: Request) -> Response:
        """Return the details of a result; `DELETE` moves it to the trash."""
        key = request.path_params["key"]
        if request.method == "DELETE":
            await run_in_threadpool(self.service.history.delete, key)
            return JSONResponse({"deleted": key})
        return JSONResponse(await run_in_threadpool(details, self.service, key), headers=NO_STORE)

    async def change(self, request: Request) -> Response:
        """Star, unstar, restore or replay a result."""
        key, action = request.path_params["key"], request.path_params["action"]
        history = self.service.history
        if action in ("star", "unstar"):
            await run_in_threadpool(history.star, key, action == "star")
        elif action == "restore":
            await run_in_threadpool(history.restore, key)
        elif action == "replay":
            replayed = request_from_record(history.entry(key).record())
            key = await run_in_threadpool(self.service.queue.submit, replayed)
            return JSONResponse(self.service.queue.state(key).to_json(), status_code=202)
        else:
            raise ValueError(f"unknown action {action[:20]!r}; choose star, unstar, restore or replay")
        return JSONResponse(history.entry(key).to_json())

    async def lab(self, request: Request) -> Response:
        """Return the names of the experiments by their keys."""
        return JSONResponse({"experiments": await run_in_threadpool(self.experiments.find)}, headers=NO_STORE)

    async def lab_runs(self, request: Request) -> Response:
        """Return the table and the runs of an experiment."""
        key = request.path_params["key"]
        return JSONResponse(await run_in_threadpool(self.experiments.summary, key), headers=NO_STORE)

    async def curve(self, request: Request) -> Response:
        """Return the loss curves of a job as HTML."""
        state = self.service.queue.state(request.path_params["key"])
        return JSONResponse({"curve": curves_svg(state.curve)}, headers=NO_STORE)

    def _store_regions(self, png: bytes, is_filled: bool) -> dict[str, Any]:
        try:
            drawing = PIL.Image.open(io.BytesIO(png), formats=["PNG"])
            if drawing.width * drawing.height > self.service.uploads.max_pixels:
                raise ValueError(f"the regions have more than {self.service.uploads.max_pixels} pixels")
            mask = label_map([drawing], drawing.size, fill=is_filled)
        except (OSError, PIL.Image.DecompressionBombError):
            raise ValueError("the regions are not a PNG; draw them again") from None
        used = colors_used(mask)
        return {"name": self.service.uploads.add(encode_png(mask), "regions.png", kinds=()), "used": used}

    def _submit_comparison(self, fields: dict[str, Any]) -> list[str]:
        axes = {name: _numbers(name, fields.get(name)) for name in ("strength", "style_scale") if fields.get(name)}
        methods, shared = fields.get("methods"), fields.get("settings")
        if not isinstance(methods, list) or not isinstance(shared, dict):
            raise ValueError("methods: give a list of methods, and settings")
        jobs = combinations([*map(str, methods)], axes, shared)
        network = {METHOD: fields.get("network")}  # the other methods have no networks
        requests = [
            self.service.request_from(
                {**fields, "method": method, "settings": settings, "network": network.get(method)}
            )
            for method, settings in jobs
        ]
        return self.service.queue.submit_all(requests)

    def _zip(self, keys: Sequence[str]) -> Path:
        """Write the pictures of results into an archive, which the caller deletes, and return its path."""
        entries = [self.service.history.entry(key) for key in keys]
        folder = self.service.folder / TEMPORARY
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{secrets.token_hex(8)}.zip"
        with zipfile.ZipFile(file, "w") as archive:  # PNG files do not become smaller
            for entry in entries:
                archive.writestr(f"impasto-{entry.key[:15]}-{entry.key[-4:]}.png", portable_png(entry.picture))
        return file


def _numbers(name: str, value: Any) -> list[float]:
    if not isinstance(value, list) or not all(isinstance(each, int | float) for each in value):
        raise ValueError(f"{name}: give a list of numbers, not {str(value)[:60]!r}")
    return value
